# %% [markdown]
# # Throughput: what makes coding faster, and what does it grow with?
#
# **Question.** How does speed depend on CPU threads and on a GPU, on the number of tiles coded at once, on the size of
# the image and on the number of bands?
#
# **Inputs.** One cube of a dataset; codecs of the registry; one model of lhic.
#
# **Outputs.** `tables/throughput_{threads,batch,gpu,size,bands,growth}.*` and `figures/throughput_{threads,size,bands}`
# below `out`.
#
# **Run time.** Two minutes on two cores for the defaults; learned codecs among `codecs` take longer.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus, hyspecnet-11k or the name of one's own (docs/add_a_dataset.md)
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
cube_index = 0  # which cube of the dataset
crop = 0  # rows and columns taken from the upper left corner; 0 takes all
codecs = ["jpeg-ls-bands", "jpeg-xl-e3-bands", "ccsds123-p3", "rls-k20"]  # timed by threads and device
thread_counts = [1, 2, 4, 8, 16]  # those above the cores there are, are left out
growth_codecs = [
    "jpeg-ls-bands",
    "jpeg-xl-e3-bands",
    "ccsds123-p3",
    "rls-k20",
]  # timed by size and bands, on one thread
image_sizes = [16, 32, 64, 128]  # rows and columns
band_counts = [13, 25, 50, 101, 202]
batch_model = "lhic-bp-xs"
batch_sizes = [1, 2, 4]  # tiles in one call
passes = 3  # timings behind each median
device = "auto"  # auto, cpu or cuda; of the batches
seed = 0  # nothing here is random; recorded because every notebook records one
out = "results/local/small"

# %%
from benchmarks.study import parameters

parameters.check_cell("06_throughput", globals())

import pandas as pd

import lhic
from benchmarks.exhibits import codec_figures, figures, tables
from benchmarks.measure import gpu, provenance, throughput
from benchmarks.study import selection

table_folder, figure_folder = provenance.REPOSITORY / out / "tables", provenance.REPOSITORY / out / "figures"
item, _, cube = selection.select("06_throughput", globals())
timing = f"1 cube of {dataset}, median of {passes} on {provenance.machine()}, {provenance.n_cores()} cores"
print(f"{item.name}\n{cube.dtype} {cube.shape}, {cube.size:,} samples; {provenance.n_cores()} cores")
print("GPU: " + (provenance.device_name("cuda") if provenance.has_cuda() else "none here, its rows are left out"))

# %% [markdown]
# ## Threads and device
#
# Codecs that only ever use one thread have one line. Everything runs in this process, one after the other; what else
# the machine was doing meanwhile is not known.

# %%
threads = throughput.by_threads(codecs, cube, thread_counts, passes)
shown = threads.drop(columns=["rows", "columns", "bands"]).astype({"threads": str, "samples": str})
tables.write_table(shown, table_folder, "throughput_threads", f"Speed by threads; {cube.shape}, {timing}.")
looks = list(dict.fromkeys([*growth_codecs, *codecs]))  # a codec looks the same in all figures
threads_figure = codec_figures.speed_figure(threads, "threads", "threads", looks)
figures.save_figure(threads_figure, figure_folder, "throughput_threads", f"Speed by threads; {cube.shape}, {timing}.")
shown.round(3)

# %%
threads_figure

# %% [markdown]
# ## Batch
#
# How many tiles the model is given at once: what a GPU needs to be busy, and what keeps the cores of a CPU busy.

# %%
tile = throughput.first_tile(batch_model, cube, device)
batch = throughput.by_batch(batch_model, tile, batch_sizes, device, passes)
where = f"{batch_model} on {provenance.device_of(device)}, tiles of {tile.shape}, {timing}"
counted = batch.astype({"tiles": str, "samples": str})
tables.write_table(counted, table_folder, "throughput_batch", f"Speed by tiles coded at once; {where}.")
batch.round(3)

# %% [markdown]
# ## On a GPU, as measured elsewhere
#
# A GPU is seldom at hand. These rows are those of `invoke bench-gpu`, from whatever machine it last ran on: batches of
# the bundled patch, host and transfers included, beside the compiled walk on all cores of the same machine.

# %%
on_gpu = gpu.committed()
if len(on_gpu):
    caption = "lhic-ax on a GPU: copies of 1 cube (bundled) coded at once, medians; rows: results/gpu/rows.csv."
    tables.write_table(on_gpu, table_folder, "throughput_gpu", caption)
on_gpu.round(2)

# %% [markdown]
# ## Growth with image size and bands
#
# Seconds grow like a power of the number of pixels (all bands) or bands (whole image): an exponent of 1 means that each
# sample costs the same, less that there is a fixed cost per cube or band, more that a sample costs more in a larger
# cube.

# %%
size = throughput.by_size(growth_codecs, cube, throughput.square_shapes(cube, image_sizes), passes)
bands = throughput.by_size(growth_codecs, cube, throughput.band_shapes(cube, band_counts), passes)
size["pixels"] = size["rows"] * size["columns"]
shown = pd.concat({"pixels": throughput.growth(size, "pixels"), "bands": throughput.growth(bands, "bands")})
grown = shown.reset_index(level=0, names="with").reset_index(drop=True)
tables.write_table(grown, table_folder, "throughput_growth", f"Exponent of the time; {timing}, one thread.")
for name, table in (("size", size), ("bands", bands)):
    counts = table.columns.intersection(["threads", "bands", "rows", "columns", "samples", "pixels"])
    counted = table.astype(dict.fromkeys(counts, str))
    tables.write_table(counted, table_folder, f"throughput_{name}", f"Speed by {name}; {timing}.")
grown.round(2)

# %%
size_figure = codec_figures.speed_figure(size, "rows", "rows and columns", looks)
figures.save_figure(size_figure, figure_folder, "throughput_size", f"Speed by image size; {timing}, one thread.")
size_figure

# %%
bands_figure = codec_figures.speed_figure(bands, "bands", "bands", looks)
figures.save_figure(bands_figure, figure_folder, "throughput_bands", f"Speed by bands; {timing}, one thread.")
bands_figure

# %%
print(provenance.footer(seed, [lhic.load_model(batch_model, device).weights_hash.hex()], device))
