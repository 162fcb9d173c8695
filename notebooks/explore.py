# %% [markdown]
# # Explore: one cube, one band, one codec
#
# **Question.** What is left of a band after a simple prediction, where do a codec's bits go, and what is in its stream?
#
# **Inputs.** The cubes of a dataset; codecs of the registry, lhic's models among them.
#
# **Outputs.** None: everything is shown here, nothing is written. Open it in JupyterLab.
#
# **Run time.** Each choice takes as long as the codec needs for the crop: below a second for most, some seconds for
# `lhic-bp-xs`.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus, hyspecnet-11k or the name of one's own (docs/add_a_dataset.md)
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
codecs = []  # names to choose from, the first is shown first; empty: every codec there is
crop = 64  # rows and columns taken from the upper left corner; 0 takes all
block = 16  # rows and columns of the blocks for codecs that do not say what a sample costs
seed = 0  # nothing here is random; recorded because every notebook records one

# %%
from benchmarks.study import parameters

parameters.check_cell("explore", globals())

from benchmarks.codecs import registry
from benchmarks.measure import provenance
from benchmarks.study.explore import Explorer
from lhic.data import open_dataset

root_path = None if root is None else provenance.REPOSITORY / root
quick_first = ["jpeg-ls-bands", *(name for name in registry.factories() if name != "jpeg-ls-bands")]
explorer = Explorer(open_dataset(dataset, root_path, split), codecs or quick_first, crop, block)

# %% [markdown]
# ## What is shown
#
# * **Left:** the samples of the band. **Middle:** the samples minus a simple prediction: the band before, the band
#   before fitted to this one, or the spatial neighbours. These predictions are for the eye; every codec has its own.
# * **Right:** bits per sample by place. For a model that can say what each sample costs, exactly that, in this band or
#   on average over all. For any other codec each block of pixels is coded alone, with all its bands: real bytes, but
#   headers weigh more than in a whole cube and nothing is learned across blocks.
# * **Below:** the sections of the stream. Only lhic's streams say what they consist of.

# %%
explorer.show()
explorer

# %%
print(provenance.footer(seed, [registry.make(explorer.codec.value).weights_hash]))
