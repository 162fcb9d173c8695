# %% [markdown]
# # The dataset: what does it look like, and are its splits what they should be?
#
# **Question.** What is in the cubes that a codec has to deal with: signal, noise, stripes, negative samples, nodata,
# likeness of neighbouring bands? Are the official splits complete and disjoint?
#
# **Inputs.** Some cubes of a dataset: the bundled HySpecNet-11k patch, a folder of `.npy` cubes or a HySpecNet-11k
# root.
#
# **Outputs.** `tables/dataset_{values,splits}.*` and
# `figures/dataset_{quicklooks,spectra,noise,histograms,correlation}` below `out`.
#
# **Run time.** Some ten seconds for the bundled patch, about five seconds more for each cube of its size.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus, hyspecnet-11k or the name of one's own (docs/add_a_dataset.md)
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
exclude = []  # names of cubes to leave out
n_cubes = 4  # a random choice of so many cubes; None takes all
seed = 0  # of that choice
colour_bands = None  # red, green and blue; None: by wavelength or sensor
nodata = -32768  # where a file does not say it; None: every sample counts
out = "results/local/small"

# %%
from benchmarks.study import parameters

parameters.check_cell("00_dataset", globals())

import pandas as pd

from benchmarks.exhibits import dataset_figures, dataset_views, figures, noise_floor, tables
from benchmarks.measure import measurement, provenance
from benchmarks.study import selection
from lhic.data import open_dataset

root_path = None if root is None else provenance.REPOSITORY / root
table_folder, figure_folder = provenance.REPOSITORY / out / "tables", provenance.REPOSITORY / out / "figures"
every = [item for item in open_dataset(dataset, root_path, split) if item.name not in exclude]
items = measurement.choose(every, n_cubes, seed)
names = {item.name: item.name[-27:] for item in items}  # EnMAP's names end with what tells them apart
cubes = {names[item.name]: item.load() for item in items}
for name, cube in cubes.items():
    selection.check_colours("00_dataset", colour_bands, len(cube), name)
missing = {names[item.name]: item.metadata().get("nodata", nodata) for item in items}
counted = f"{len(cubes)} of {len(every)} cubes of {dataset}"
pd.DataFrame(
    [
        {"cube": name, "sensor": item.sensor, "dtype": cubes[name].dtype.name, "shape": cubes[name].shape}
        for item, name in zip(items, names.values())
    ]
)

# %% [markdown]
# ## Quicklooks
#
# Three bands near 640, 550 and 470 nm, each stretched between its 2 % and 98 % quantile. Where neither the file nor the
# sensor says which bands these are, the colours are false: three bands spread over the cube.

# %%
pictures = {}
for item, (name, cube) in zip(items, cubes.items()):
    shown = colour_bands or dataset_views.colour_bands(len(cube), item.sensor, item.metadata())
    title = f"{name}\nbands {', '.join(map(str, shown))}"
    pictures[title] = dataset_views.true_colour(cube, shown, missing[name])
quicklooks = dataset_figures.quicklook_figure(pictures)
figures.save_figure(quicklooks, figure_folder, "dataset_quicklooks", f"Quicklooks of {counted}.")
quicklooks

# %% [markdown]
# ## Spectra
#
# Median of each band, and the range of the middle 90 % of its pixels.

# %%
statistics = {name: dataset_views.band_statistics(cube, missing[name]) for name, cube in cubes.items()}
spectra = dataset_figures.spectra_figure(statistics)
figures.save_figure(spectra, figure_folder, "dataset_spectra", f"Median and middle 90 % of each band, {counted}.")
spectra

# %% [markdown]
# ## Noise and stripes
#
# *Spread* is the standard deviation of a band. *Noise* is estimated from the differences of horizontal neighbours in
# the most homogeneous fifth of all 8 x 8 blocks: texture makes it too large, and noise that resampling has correlated,
# as in rectified (L2A) images, makes it too small. *Stripes* is the standard deviation of the means along parallel
# lines, without their smooth part; the lines have the slope at which that is largest, because rectification slants
# the stripes of a detector. Where they do not stand out along any slope, 0 is printed, and what is drawn is the scene's
# own texture. Where noise is close to the spread, there is little to predict from other bands.
#
# The *noise floor* is what noise takes that neither neighbouring bands nor neighbouring samples tell, in bits per sample:
# codecs stay above it, unless pixels repeat or noise has a pattern.

# %%
for name, cube in cubes.items():
    slope = dataset_views.stripe_slope(cube, missing[name])
    floor = noise_floor.floor_of(cube, missing[name])["floor"].mean()
    print(f"{name}: stripes move {-slope:+.2f} columns per row; noise floor {floor:.2f} bits per sample")
noise = dataset_figures.noise_figure(statistics)
figures.save_figure(noise, figure_folder, "dataset_noise", f"Spread, noise and stripes of each band, {counted}.")
noise

# %% [markdown]
# ## Values
#
# Shares of all samples. Clipping to [0, 10000], as the literature on HySpecNet-11k does, moves all that is negative,
# and all nodata, to zero: `zero after clipping` is the mass that a model then finds there. `levels used` is the share
# of the values between minimum and maximum that occur at all; far below 1, the cube was scaled after quantisation.

# %%
summaries = {name: dataset_views.value_summary(cube, missing[name]) for name, cube in cubes.items()}
values = pd.DataFrame(summaries).T.rename_axis("cube").reset_index()
for column in ("minimum", "maximum", "distinct values"):
    values[column] = values[column].map("{:g}".format)
tables.write_table(values, table_folder, "dataset_values", f"Values and shares of samples; {counted}.")
values.round(4)

# %%
histograms = {name: dataset_views.value_histogram(cube, missing[name]) for name, cube in cubes.items()}
histogram = dataset_figures.histogram_figure(histograms)
figures.save_figure(
    histogram, figure_folder, "dataset_histograms", f"Values without nodata, before and after clipping; {counted}."
)
histogram

# %% [markdown]
# ### Nodata
#
# Bands with any nodata in them, as runs.

# %%
for name, table in statistics.items():
    bands = table.index[table["nodata"] > 0]
    runs = pd.Series(bands).groupby(bands - pd.RangeIndex(len(bands))).agg(["min", "max"])
    found = ", ".join(f"{low}-{high}" for low, high in runs.to_numpy()) or "none"
    print(f"{name}: {100 * table['nodata'].mean():.2f} % of the samples; bands {found}")

# %% [markdown]
# ## Correlation between bands
#
# What spectral prediction can rest on: near 1 over land, near 0 over water and in absorption bands.

# %%
correlations = {name: dataset_views.band_correlation(cube, missing[name], seed) for name, cube in cubes.items()}
for name, table in correlations.items():
    median = pd.Series(dataset_views.neighbour_correlation(table)).median()
    print(f"{name}: median correlation with the band before {median:.3f}")
correlation = dataset_figures.correlation_figure(correlations)
figures.save_figure(correlation, figure_folder, "dataset_correlation", f"Correlation between bands, {counted}.")
correlation

# %% [markdown]
# ## Splits
#
# The documented numbers of HySpecNet-11k against the folder. Parts of the easy split share no patch, those of the hard
# split share no tile.

# %%
splits = dataset_views.split_checks(dataset, root_path)
tables.write_table(splits, table_folder, "dataset_splits", f"Checks of the splits of {dataset}.")
splits

# %%
print(provenance.footer(seed))
