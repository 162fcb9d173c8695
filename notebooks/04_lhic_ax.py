# %% [markdown]
# # Inside lhic-ax: what it gains, where, and why it decodes everywhere
#
# **Question.** Where does lhic-ax stand between rate and speed, in which bands does it gain, which of its experts and
# mixture components do the work, what did each part bring, and is it really exact?
#
# **Inputs.** One cube of a dataset, a corner of it by default; weights of the family lhic-ax; rows of a study below
# `out`, or of `results/small` where there are none, and the tables below `results/cross_validation` and
# `results/ablations`.
#
# **Outputs.** `tables/ax_*` and `figures/ax_*` below `out`.
#
# **Run time.** About a minute on two cores with the default crop.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus, hyspecnet-11k or the name of one's own (docs/add_a_dataset.md)
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
cube_index = 0  # which cube of the dataset
crop = 32  # rows and columns taken from the upper left corner; 0 takes all, at most 32,768 pixels
max_bands = 0  # only so many of the first bands; 0 takes all
ax_model = "lhic-ax-unseen"  # laid open; of the family lhic-ax
ax_models = ["lhic-ax-fast-unseen", "lhic-ax-unseen", "lhic-ax-max-unseen", "lhic-ax"]  # compared on the crop
reference = "ccsds123-p3"  # whose bits are shown beside, band by band
max_errors = [0, 1, 2, 5]  # bounds of near-lossless coding
device = "auto"  # auto, cpu or cuda
seed = 0  # nothing here is random; recorded because every notebook records one
out = "results/local/small"

# %%
from benchmarks.study import parameters

parameters.check_cell("04_lhic_ax", globals())

import pandas as pd
from IPython.display import Markdown

import lhic
from benchmarks.codecs.registry import make
from benchmarks.exhibits import ax_views, catalogue, codec_figures, figures, seen, tables
from benchmarks.measure import ax_tables, provenance
from benchmarks.measure.rows import read_rows
from benchmarks.study import report, selection
from lhic import preview
from lhic.train.ax import view

folder = provenance.REPOSITORY / out
item, whole, cube = selection.select("04_lhic_ax", globals())
whole_sha256 = provenance.cube_sha256(whole)
about = f"1 cube {cube.shape} of {dataset}"
print(f"{item.name}\n{cube.dtype} {cube.shape} of {whole.shape}, {cube.min()} to {cube.max()}, {cube.size:,} samples")

# %% [markdown]
# ## Rate against speed
#
# From the rows that the study has measured on whole cubes, not from this crop. A dagger marks weights that have seen
# some of the cubes in training: `lhic-ax` and its presets `fast` and `max` have seen the bundled patch,
# those whose names end in `-unseen` are the same recipes without it.

# %%
measured = tables.good(seen.noted(read_rows(report.source_of(folder))))
form = "as-measured" if (measured["form"] == "as-measured").any() else measured["form"].iloc[0]
chosen = measured[measured["form"] == form]
learned = chosen["codec"][chosen["codec"].str.startswith("lhic-ax")].nunique()
speed = catalogue.rate_speed_figure(chosen, "ax_rate_speed")
speed.write(folder)
print(f"{learned} of the {chosen['codec'].nunique()} codecs are lhic-ax. {speed.caption}")
speed.body

# %% [markdown]
# ## The presets on this crop
#
# Rates of a small crop are higher than those of whole cubes, because every expert begins with nothing; speeds of a
# crop say little more than their order. Every stream was decoded and compared.

# %%
presets = ax_tables.preset_table(cube, ax_models, whole_sha256, device)
counted = presets.astype(dict.fromkeys(["network MACs", "weights bytes"], str))
timed = f"{about}, one timing on {provenance.machine()}"
tables.write_table(counted, folder / "tables", "ax_presets", f"Presets of lhic-ax; {timed}.")
presets.round(3)

# %% [markdown]
# ## Bits band by band
#
# Of lhic-ax the ideal code length under its mixtures, sample by sample; of the other codec what each band adds to the
# stream of the bands before it.

# %%
looked = view(cube, ax_model)
bits = pd.DataFrame(
    {
        ax_model: ax_views.bits_of_bands(looked, cube.shape[0]),
        reference: ax_tables.bits_added(cube, make(reference)),
    }
)
print((bits.sum() / cube.size).round(4).to_string())
by_band = codec_figures.bands_figure(bits / cube[0].size, "bits per sample")
figures.save_figure(by_band, folder / "figures", "ax_bands", f"Bits per sample along the bands; {about}.")
by_band

# %% [markdown]
# ## Which expert counts
#
# The experts are weighted by the inverse square of their errors around a sample, in this band and the one before.
# Weights near a quarter say that the experts are wrong by about as much; where the spatial expert, which sees no other
# band, gains weight, the earlier bands are of less use.

# %%
blend = ax_views.blend_by_band(looked)
print(blend.mean().round(3).to_string())
blend_by_band = codec_figures.bands_figure(blend, "mean weight in the blend", stacked=True)
figures.save_figure(
    blend_by_band, folder / "figures", "ax_blend", f"Mean weight of each expert of {ax_model} in the blend; {about}."
)
blend_by_band

# %% [markdown]
# ## Where the mixture puts its weight
#
# A component's place is its distance from the blended prediction in units of the expected error, its width the scale of
# its logistic in that unit. Narrow components serve the samples whose value the network is sure of, wide ones
# the tails.

# %%
components = ax_views.component_table(looked)
tables.write_table(
    components.astype({"component": str}), folder / "tables", "ax_components", f"Mixture of {ax_model}; {about}."
)
components.round(3)

# %% [markdown]
# ## Cubes that no weights have seen
#
# Cross-validation: each fold is trained without its cubes, by a shorter run than the shipped weights had, and then
# codes them whole. The first folds leave scenes out (others of the same sensor stay), the second whole sensors: that
# is what to expect of an instrument nobody has trained on. The ratio is to the smallest of six CCSDS-123 streams.

# %%
Markdown(ax_views.experiment("cross_validation"))

# %% [markdown]
# ## What each part brings
#
# Ablations: the default changed in one point, trained by a short run on crops and tested on cubes that were left out.
# Rates are ideal code lengths without side information, so they compare with each other and with nothing else. A change
# of a tenth of a percent or two is within what another seed would do.

# %%
Markdown(ax_views.experiment("ablations"))

# %% [markdown]
# ## Exactness
#
# The stream must not depend on threads or device. That it is the one that the documents describe is shown by a decoder
# in the tests that was written from them alone and shares nothing with the codec.

# %%
exact = ax_tables.exactness_table(cube, ax_model)
assert (exact["equal"] == "yes").all()
counted = exact.astype({"numbers": str})
tables.write_table(counted, folder / "tables", "ax_exactness", f"Exactness of {ax_model}; {about}.")
exact

# %% [markdown]
# ## Near-lossless
#
# lhic-ax quantises before it predicts, CCSDS-123 in its loop. Both streams are decoded and the greatest error is taken.

# %%
bounded = ax_tables.near_lossless_table(cube, ax_model, max_errors, device)
whole_numbers = bounded.columns[bounded.columns.str.contains("error")]
tables.write_table(
    bounded.astype(dict.fromkeys(whole_numbers, str)), folder / "tables", "ax_near_lossless", f"Error bound; {about}."
)
bound_figure = codec_figures.bound_figure(bounded)
figures.save_figure(bound_figure, folder / "figures", "ax_near_lossless", f"Rate against error bound; {about}.")
bounded.round(3)

# %%
bound_figure

# %% [markdown]
# ## Preview
#
# What `lhic preview` does. Bands depend on earlier ones, and the stream keeps them in groups, so a picture needs the
# groups up to its last band and no more.

# %%
stream = lhic.encode(cube, ax_model, device, metadata=item.metadata() if cube.shape[0] == whole.shape[0] else None)
look = preview(stream, device=device)
print(
    f"bands {look.bands} of {cube.shape[0]}: read {look.bytes_read:,} of {look.stream_bytes:,} bytes "
    f"({look.bytes_read / look.stream_bytes:.0%}), computed {look.samples_computed:,} of {look.n_samples:,} samples"
)
picture = codec_figures.map_figure(look.image.mean(axis=2), "preview, mean of its three bands")
picture

# %%
print(provenance.footer(seed, [lhic.load_model(ax_model, device).weights_hash.hex()], device))
