# %% [markdown]
# # Quickstart: one cube in, a stream out, the same cube back
#
# **Question.** How is a cube encoded and decoded, and where do the bits of the stream go: in which plane, in which
# bands, at which pixels?
#
# **Inputs.** One cube of a dataset, by default the bundled HySpecNet-11k patch; one model.
#
# **Outputs.** `figures/planes`, `figures/bits_by_band` and `figures/bits_map` below `out`.
#
# **Run time.** About a minute on two cores for the default crop; it grows with the number of samples.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus, hyspecnet-11k or the name of one's own (docs/add_a_dataset.md)
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
cube_index = 0  # which cube of the dataset
crop = 64  # rows and columns taken from the upper left corner; 0 takes all
model = "lhic-ax-unseen"  # the default model's recipe, trained without the bundled patch
device = "auto"  # auto, cpu or cuda
bands = []  # shown as pictures; none named: three of them
seed = 0  # nothing here is random; recorded because every notebook records one
out = "results/local/small"

# %%
from benchmarks.study import parameters

parameters.check_cell("01_quickstart", globals())

import time

import numpy as np
import pandas as pd

import lhic
from benchmarks.exhibits import codec_figures, figures
from benchmarks.measure import provenance
from benchmarks.study import selection

figure_folder = provenance.REPOSITORY / out / "figures"
item, _, cube = selection.select("01_quickstart", globals())
n_bands, n_rows, n_columns = cube.shape
about_cube = f"1 cube {cube.shape} of {dataset}"
print(f"{item.name}\n{cube.dtype} {cube.shape}, {cube.min()} to {cube.max()}, {cube.size:,} samples")

# %% [markdown]
# ## Encode and decode
#
# The stream knows shape, dtype, metadata and which weights wrote it. Decoding needs nothing else, on any device.

# %%
start = time.perf_counter()
stream = lhic.encode(cube, model=model, device=device, metadata=item.metadata())
encode_s = time.perf_counter() - start
start = time.perf_counter()
again = lhic.decode(stream, device=device)
decode_s = time.perf_counter() - start

assert again.dtype == cube.dtype and np.array_equal(again, cube)
about = lhic.inspect(stream)
print(f"equal. {len(stream):,} bytes, {8 * len(stream) / cube.size:.3f} bits per sample")
print(f"encoded in {encode_s:.1f} s, decoded in {decode_s:.1f} s, the first call's compilation included")

# %% [markdown]
# ## What is in the stream

# %%
sections = pd.DataFrame(about["tiles"], columns=about["section_names"])
sizes = pd.DataFrame({"bytes": sections.sum()})
sizes.loc["header and trailer"] = len(stream) - int(sections.to_numpy().sum())
sizes["bits per sample"] = 8 * sizes["bytes"] / cube.size
print(f"{about['n_tiles']} tiles of {about['tile_shape']}, parameters {about['parameters']}")
sizes.round(4)

# %% [markdown]
# ## Upper and lower bits
#
# The pictures split the samples, less the least one or the stream's offset, into upper bits (`msp`), which show the
# scene, and lower ones (`lsp`), in which much is noise: where the model splits them, or at 8 bits if it codes them whole.

# %%
split_bits, offset = about["parameters"].get("param_d", 8), about["parameters"].get("offset", int(cube.min()))
shown = bands or sorted({n_bands // 4, n_bands // 2, 3 * n_bands // 4})
planes = codec_figures.planes_figure(cube.astype(np.int64) - offset, shown, split_bits)
figures.save_figure(
    planes, figure_folder, "planes", f"Bands and their upper and lower bits, {split_bits} in the lower; {about_cube}."
)
planes

# %% [markdown]
# ## Where the bits go, band by band
#
# `bit_costs` gives the width of each symbol's interval in bits, of each part of a sample if there are several: what the
# entropy coder spends, sample by sample. Their sum agrees with the coded sections, side information left out.

# %%
costs = lhic.load_model(model, device).bit_costs(cube)  # (parts, bands, rows, columns)
by_band = pd.DataFrame(costs.sum(axis=(2, 3)).T, columns=["msp", "lsp"] if len(costs) == 2 else ["samples"])
print(f"bit costs: {by_band.to_numpy().sum() / 8:,.0f} bytes; all sections: {sections.sum().sum():,}")
title = f"{model}, {item.name[-20:]}, 1 cube {cube.shape}"
bits_by_band = codec_figures.bands_figure(by_band / (n_rows * n_columns), "bits per sample", stacked=True, title=title)
figures.save_figure(
    bits_by_band, figure_folder, "bits_by_band", f"Bits per sample along the bands, {model}; {about_cube}."
)
bits_by_band

# %%
by_band["spread of the samples"] = cube.reshape(n_bands, -1).std(axis=1)
by_band["bits per sample"] = costs.mean(axis=(2, 3)).sum(axis=0)
print("the five bands with the most bits")
by_band.nlargest(5, "bits per sample").round(2)

# %% [markdown]
# ## Where the bits go, pixel by pixel
#
# The mean over the bands. Where a cube has several tiles or a detector's stripes, their corners and lines stand out.

# %%
bits_map = codec_figures.map_figure(costs.sum(axis=0).mean(axis=0), f"bits per sample, mean of {n_bands} bands")
figures.save_figure(
    bits_map, figure_folder, "bits_map", f"Bits per sample, mean over the bands, {model}; {about_cube}."
)
bits_map

# %%
print(provenance.footer(seed, [about["weights_sha256"]], device))
