# %% [markdown]
# # Learned peers: how good are the learned codecs, and at what cost?
#
# **Question.** What do learned codecs gain over RLS (recursive least squares, which is not trained), on the sensor that
# they were trained for and on others? How many parameters and multiply-accumulates does a sample cost, and how fast
# are they?
#
# **Inputs.** The rows of the study in `out`, those of `results/small` where it has none yet; and the rows of
# `further`: LineRWKV with its published weights and its peers, on crops of several sensors and on whole EnMAP cubes. Nothing is
# measured here.
#
# **Outputs.** `tables/learned_peers.*`, `figures/learned_transfer` and `figures/learned_cost`, and `tables/learned_ideas.*`
# where `ideas` has a table, below `out`.
#
# **Run time.** Seconds.

# %% tags=["parameters"]
reference = "rls-k20"  # the codec that others are compared with
peers = ["rls-k20", "rls-k20-vff", "ccsds123-best", "ccsds123-tuned"]  # codecs without training that are shown, too
further = ["results/linerwkv"]  # results folders whose rows are shown beside those of the study; missing ones are not
ideas = "results/learned_ideas"  # folder with a table of ablations, shown as it is; may be missing
form = "as-measured"  # or clipped
seed = 0  # of the bootstrap: its own; recorded because every notebook records one
out = "results/local/small"

# %%
from benchmarks.study import parameters

parameters.check_cell("08_learned_peers", globals())

from IPython.display import Markdown, display

from benchmarks.exhibits import catalogue, learned
from benchmarks.measure import provenance
from benchmarks.study import report

folder = provenance.REPOSITORY / out
folders = [report.source_of(folder), *(provenance.REPOSITORY / name for name in further)]
rows = learned.rows_of(folders, [reference, *peers], form)
print(f"{len(rows)} rows of {rows['codec'].nunique()} codecs on {rows['cube'].nunique()} cubes")

# %% [markdown]
# ## The table
#
# `change %` is the mean of the cubes' differences to the reference, below 0 where the codec is smaller; bounds are 95 %
# bootstrap intervals over five cubes or more. Every cube counts alike. MACs are the multiply-accumulates of a sample.

# %%
table = catalogue.learned_table(rows, reference, "learned_peers")
table.write(folder)
print(table.full_caption)
table.body.round(3)

# %% [markdown]
# ## Does what was learned on one sensor hold on another?
#
# LineRWKV was trained on EnMAP by its authors. Codecs that learn while they code (RLS, CCSDS-123) have no sensor.

# %%
transfer = catalogue.transfer_figure(rows, reference, "learned_transfer")
transfer.write(folder)
transfer.body

# %% [markdown]
# ## What does the gain cost?

# %%
cost = catalogue.learned_cost_figure(rows, reference, "learned_cost")
cost.write(folder)
cost.body

# %% [markdown]
# ## Ideas of other learned codecs, one at a time

# %%
found = catalogue.ideas_table(provenance.REPOSITORY / ideas, "learned_ideas")
if found is None:
    print(f"{ideas}: nothing there yet")
else:
    found.write(folder)
    display(Markdown(found.caption), found.body)

# %%
print(provenance.footer(seed, rows["weights_hash"], ", ".join(sorted(set(rows["device"])))))
