# %% [markdown]
# # Report: everything the study found, in one document
#
# **Question.** What did a run of the study find, and where does each number come from?
#
# **Inputs.** The rows of a results folder, and the tables and figures that the other notebooks left there. Where
# nothing was measured yet, the rows of `results/small`.
#
# **Outputs.** `report/report.html`, one file with everything in it, for screen and paper; all tables and figures that
# rows alone give, written anew.
#
# **Run time.** Half a minute; nothing is measured.

# %% tags=["parameters"]
out = "results/local/small"  # the results folder, below the repository
seed = 0  # the bootstrap has its own (benchmarks/exhibits/statistics.py); recorded because every notebook records one

# %%
from benchmarks.study import parameters

parameters.check_cell("09_report", globals())

from IPython.display import display

from benchmarks.measure import provenance, rows
from benchmarks.study import report

folder = provenance.REPOSITORY / out
source = report.source_of(folder)
found = rows.read_rows(source)
collected = report.collect(folder, source)
path = report.write(collected)
print(f"{out}/report/{path.name}: {path.stat().st_size:,} bytes")

# %% [markdown]
# ## The report

# %%
for part in report.displayed(collected):
    display(part)

# %%
print(provenance.footer(seed, found["weights_hash"], ", ".join(sorted(set(found["device"])))))
