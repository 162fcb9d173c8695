# %% [markdown]
# # Baselines: how strong are they, where, and at what speed?
#
# **Question.** What do CCSDS-123, RLS (recursive least squares) and the general codecs reach over a corpus of cubes,
# sensor by sensor, how sure are the differences between them, and what is spectral prediction worth on land and on
# water?
#
# **Inputs.** The cubes of a dataset as measured; the codecs of `benchmarks/codecs`. Measurements that `rows` below
# `out` already holds are not repeated.
#
# **Outputs.** `tables/baselines.*`, `tables/paired.*`, `tables/by_sensor.*`, `tables/by_cube.*` (up to 20 cubes),
# `tables/spectral_gain.*`, `figures/baselines_rate`, `figures/baselines_speed`, `figures/paired`, `figures/by_sensor`
# and `figures/spectral_gain` below `out`.
#
# **Run time.** Seconds when the rows are there; otherwise as long as the codecs take, one process after the other.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus or hyspecnet-11k
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
exclude = []  # names of cubes to leave out
max_cubes = None  # a random choice of so many cubes; None takes all
seed = 0  # of that choice
forms = ["as-measured"]
codecs = ["jpeg-ls-bands", "jpeg-ls-differences", "aec-bands"]  # names in benchmarks/codecs/registry.py
slow_codecs = []  # further codecs, timed on all cores only
slow_forms = []  # the forms these are run on
thread_modes = ["one", "all"]  # timed on one thread, on all cores, or both
repeats = 5  # timings behind each median
long_s = 20.0  # what takes longer the first time is timed by that pass alone
timeout_s = 3600.0  # a measurement is given up after this
device = "cpu"  # auto, cpu or cuda; for codecs that can choose
reference = "jpeg-ls-bands"  # the codec that others are compared with
# Without and with the previous bands: what the second of a pair saves is what spectral prediction is worth.
spectral_pairs = [["jpeg-ls-bands", "jpeg-ls-differences"]]
water_cubes = ["enmap_hyspecnet_dt4950", "DT0000004950"]  # parts of the names of cubes that show mostly water
out = "results/local/small"

# %%
from benchmarks.study import parameters

parameters.check_cell("03_baselines", globals())

from benchmarks.exhibits import catalogue, seen, tables
from benchmarks.measure import provenance
from benchmarks.measure.plan import measure, plan_from

plan = plan_from(globals())
rows = seen.noted(measure(plan))
rows = rows[rows["form"] == forms[0]]
print(f"{len(rows)} rows, {tables.cubes(rows)}, {rows['codec'].nunique()} codecs")

# %% [markdown]
# ## The table over the corpus
#
# `bps` is the mean of the cubes' rates in bits per sample, `total` all bits by all samples. `MS/s` are million samples
# per second.

# %%
baselines = catalogue.rate_table(rows, "baselines")
baselines.write(plan.folder)
print(baselines.full_caption)
baselines.body.round(3)

# %%
rate = catalogue.rate_figure(rows, "baselines_rate")
rate.write(plan.folder)
rate.body

# %% [markdown]
# ## Rate versus speed
#
# Filled markers: one thread. Hollow markers: all cores, for codecs that can use them.

# %%
speed = catalogue.rate_speed_figure(rows, "baselines_speed")
speed.write(plan.folder)
speed.body

# %% [markdown]
# ## How sure are the differences?
#
# Codecs are compared on the same cubes, so that the spread of the cubes themselves drops out. Patches of one
# HySpecNet-11k tile are drawn together; fewer than five cubes or tiles give no interval
# (`benchmarks/exhibits/statistics.py`).

# %%
paired = catalogue.paired_table(rows, reference)
paired.write(plan.folder)
print(paired.full_caption)
paired.body.round(3)

# %%
differences = catalogue.paired_figure(rows, reference)
differences.write(plan.folder)
differences.body

# %% [markdown]
# ## Sensor by sensor

# %%
by_sensor = catalogue.group_table(rows, "sensor")
by_sensor.write(plan.folder)
if rows["cube"].nunique() <= 20:  # a column each
    catalogue.group_table(rows, "cube").write(plan.folder)
by_sensor.body.round(3)

# %%
sensors = catalogue.group_figure(rows, "sensor", reference)
sensors.write(plan.folder)
sensors.body

# %% [markdown]
# ## What is spectral prediction worth?
#
# Each pair is one coder without and with knowledge of the previous bands (of `ccsds123-pP`, P bands). Over land
# neighbouring bands are almost copies of each other. Over water there is little signal and the noise of two bands is
# independent, so a predictor that takes the band before into account adds its noise.

# %%
gains = catalogue.gain_table(rows, spectral_pairs, water_cubes)
gains.write(plan.folder)
summary = gains.body.groupby(["pair", "group"])["saved %"].agg(["mean", "min", "max", "count"])
summary.round(1)

# %%
gain = catalogue.gain_figure(gains)
gain.write(plan.folder)
gain.body

# %%
print(provenance.footer(seed, rows["weights_hash"], ", ".join(sorted(set(rows["device"])))))
