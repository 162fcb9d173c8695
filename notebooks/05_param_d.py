# %% [markdown]
# # Bit partition: how deep should a sample be split?
#
# **Question.** A bit-partition model codes the upper bits of each sample (`msp`) and then its lowest d bits (`lsp`).
# How do rate and time depend on d, and how do the two planes share the bits?
#
# **Inputs.** One cube of a dataset, a corner of it by default; a model with the option `param_d`.
#
# **Outputs.** `tables/param_d.*` and `figures/param_d` below `out`.
#
# **Run time.** On two cores, some seven seconds for each depth with the default crop and `lhic-bp-xs`; about a minute
# for each depth with a whole patch of 128 x 128 pixels.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus, hyspecnet-11k or the name of one's own (docs/add_a_dataset.md)
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
cube_index = 0  # which cube of the dataset
crop = 32  # rows and columns taken from the upper left corner; 0 takes all
max_bands = 0  # only so many of the first bands; 0 takes all
model = "lhic-bp-xs"  # any model with this option and sections msp and lsp
option = "param_d"
depths = [4, 5, 6, 7, 8, 9, 10, 11, 12]
passes = 1  # timings behind each median
device = "auto"  # auto, cpu or cuda
seed = 0  # nothing here is random; recorded because every notebook records one
out = "results/local/small"

# %%
from benchmarks.study import parameters

parameters.check_cell("05_param_d", globals())


import lhic
from benchmarks.exhibits import codec_figures, figures, tables
from benchmarks.measure import depth, provenance
from benchmarks.study import selection

table_folder, figure_folder = provenance.REPOSITORY / out / "tables", provenance.REPOSITORY / out / "figures"
item, whole, cube = selection.select("05_param_d", globals())
print(f"{item.name}\n{cube.dtype} {cube.shape} of {whole.shape}, {cube.min()} to {cube.max()}, {cube.size:,} samples")

# %% [markdown]
# ## Rate and time
#
# Every stream is decoded and compared. `msp values` is how many values the upper plane can have in this cube: 1 means
# that the lower plane holds everything. The model was trained with the depth that its configuration names; others show
# it planes that it has not seen, so this is what the *option* gives, and less than training for that depth would.

# %%
trained = lhic.load_model(model, device).config.get(option, "another depth")
print(f"{model} was trained with {option} = {trained}")
found = depth.depth_table(cube, model, depths, option, device, passes)
about = f"{model} with depths {depths[0]} to {depths[-1]}, 1 cube {cube.shape} of {dataset}"
shown = found.astype({"depth": str, "msp values": str, "bytes": str})
tables.write_table(shown, table_folder, "param_d", f"{about}, {passes} timing(s) on {provenance.machine()}.")
found.round(3)

# %%
param_d = codec_figures.depth_figure(found)
figures.save_figure(param_d, figure_folder, "param_d", f"{about}.")
param_d

# %%
best = found.loc[found["bps"].idxmin()]
print(
    f"smallest: d = {best['depth']:g} with {best['bps']:.3f} bits per sample, {best['msp bps']:.3f} of them in the msp"
)

# %%
print(provenance.footer(seed, [lhic.load_model(model, device).weights_hash.hex()], device))
