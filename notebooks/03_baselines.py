# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Baselines: how strong are they, where, and at what speed?
#
# **Question.** What do CCSDS-123, RLS and the general codecs reach over a corpus of cubes, sensor by sensor, and what
# is spectral prediction worth on land and on water?
#
# **Inputs.** The cubes of a dataset as measured; the codecs of `benchmarks/codecs`. Measurements that `rows.csv` below
# `out` already holds are not repeated.
#
# **Outputs.** `tables/baselines.*`, `tables/by_sensor.*`, `tables/by_cube.*`, `tables/spectral_gain.*`,
# `figures/baselines_rate`, `figures/baselines_speed`, `figures/by_sensor` and `figures/spectral_gain` below `out`.
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
reference = "jpeg-ls-bands"  # the codec that others are compared with, sensor by sensor
# Without and with the previous bands: what the second of a pair saves is what spectral prediction is worth.
spectral_pairs = [["jpeg-ls-bands", "jpeg-ls-differences"]]
water_cubes = ["enmap_hyspecnet_dt4950", "DT0000004950"]  # parts of the names of cubes that show mostly water
out = "results/small"

# %%
import pandas as pd

from benchmarks import figures, provenance, tables
from benchmarks.plan import measure, plan_from

plan = plan_from(globals())
rows = measure(plan)
rows = rows[rows["form"] == forms[0]]
table_folder, figure_folder = plan.folder / "tables", plan.folder / "figures"
print(f"{len(rows)} rows, {rows['cube'].nunique()} cubes, {rows['codec'].nunique()} codecs")

# %% [markdown]
# ## The table over the corpus

# %%
baselines = tables.rate_table(rows)
tables.write_table(baselines, table_folder, "baselines", tables.caption(rows, "Mean over"))
baselines.round(3)

# %%
rate = figures.rate_figure(rows)
figures.save_figure(rate, figure_folder, "baselines_rate")
rate

# %% [markdown]
# ## Rate versus speed
#
# Filled markers: one thread. Hollow markers: all cores, for codecs that can use them.

# %%
speed = figures.rate_speed_figure(rows)
figures.save_figure(speed, figure_folder, "baselines_speed")
speed

# %% [markdown]
# ## Sensor by sensor

# %%
by_sensor = tables.group_table(rows, "sensor")
tables.write_table(by_sensor, table_folder, "by_sensor", tables.caption(rows, "Mean bits per sample by sensor;"))
by_cube = tables.group_table(rows, "cube")
tables.write_table(by_cube, table_folder, "by_cube", tables.caption(rows, "Bits per sample of each cube;"))
by_sensor.round(3)

# %%
sensors = figures.group_figure(rows, "sensor", reference)
figures.save_figure(sensors, figure_folder, "by_sensor")
sensors

# %% [markdown]
# ## What is spectral prediction worth?
#
# Each pair is one coder without and with knowledge of the previous bands. Over land neighbouring bands are almost
# copies of each other; over water there is little signal, the noise of two bands is independent, and a predictor
# that takes the band before into account adds its noise.

# %%
ground = {cube: "water" if any(part in cube for part in water_cubes) else "land" for cube in rows["cube"].unique()}
gains = tables.gain_table(rows, [tuple(pair) for pair in spectral_pairs], pd.Series(ground))
tables.write_table(gains, table_folder, "spectral_gain", tables.caption(rows, "Spectral prediction, cube by cube;"))
summary = gains.groupby(["pair", "group"])["saved %"].agg(["mean", "min", "max", "count"])
summary.round(1)

# %%
gain = figures.gain_figure(gains)
figures.save_figure(gain, figure_folder, "spectral_gain")
gain

# %%
print("commit:", provenance.commit())
print("weights:", ", ".join(sorted(set(rows["weights_hash"]) - {""})) or "no learned codec")
print("seed:", seed)
print("device:", ", ".join(sorted(set(rows["device"]) - {""})), "on", provenance.machine())
