# %% [markdown]
# # Bit rate: the study's first table
#
# **Question.** How many bits per sample does each codec need, and how fast is it?
#
# **Inputs.** The cubes of a dataset, as measured and clipped to [0, 10000] as the literature reports on HySpecNet-11k;
# the codecs of `benchmarks/codecs`. Measurements that `rows` below `out` already holds are not repeated.
#
# **Outputs.** `rows` (Parquet) and its export `rows.csv`, `tables/bitrate.{md,tex,csv}`, `tables/errors.*` if anything
# failed, `figures/bitrate` and `figures/rate_speed` below `out`.
#
# **Run time.** Seconds when the rows are there; otherwise as long as the codecs take, one process after the other.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus or hyspecnet-11k
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
exclude = []  # names of cubes to leave out
max_cubes = None  # a random choice of so many cubes; None takes all
seed = 0  # of that choice
forms = ["as-measured", "clipped"]
codecs = ["jpeg-ls-bands", "aec-bands"]  # names in benchmarks/codecs/registry.py
slow_codecs = []  # further codecs, timed on all cores only
slow_forms = ["as-measured"]  # the forms these are run on
thread_modes = ["one", "all"]  # timed on one thread, on all cores, or both
repeats = 5  # timings behind each median
long_s = 20.0  # what takes longer the first time is timed by that pass alone
timeout_s = 3600.0  # a measurement is given up after this
device = "cpu"  # auto, cpu or cuda; for codecs that can choose
out = "results/local/small"

# %%
from benchmarks.study import parameters

parameters.check_cell("02_bitrate", globals())

from benchmarks.exhibits import catalogue, seen, tables
from benchmarks.measure import provenance
from benchmarks.measure.plan import measure, plan_from

plan = plan_from(globals())
rows = seen.noted(measure(plan))
print(f"{len(rows)} rows, {tables.cubes(rows)}, {rows['codec'].nunique()} codecs")

# %% [markdown]
# ## The table
#
# `bps` are bits per sample: every byte the decoder reads is counted, and nothing else is given to it. `MS/s` are
# million samples per second over all cubes. `best of` means that the encoder tried several settings on each cube. In
# `ccsds123-pP` (CCSDS-123.0-B-2), P is the number of earlier bands that predict. `docs/benchmarks.md` says what is fair
# and what is not about each codec.

# %%
bitrate = catalogue.rate_table(rows)
bitrate.write(plan.folder)
print(bitrate.full_caption)
bitrate.body.round(3)

# %%
failed = catalogue.error_table(rows)
if len(failed.body):
    failed.write(plan.folder)
failed.body

# %% [markdown]
# ## Rate

# %%
rate = catalogue.rate_figure(rows)
rate.write(plan.folder)
rate.body

# %% [markdown]
# ## Rate and speed
#
# Only the first form, so that each codec is one point. Filled markers: one thread. Hollow markers: all cores, for
# codecs that can use them.

# %%
speed = catalogue.rate_speed_figure(rows[rows["form"] == forms[0]])
speed.write(plan.folder)
speed.body

# %%
print(provenance.footer(seed, rows["weights_hash"], ", ".join(sorted(set(rows["device"])))))
