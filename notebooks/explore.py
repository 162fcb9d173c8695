# %% [markdown]
# # Explore: a cube, its bands, and what codecs make of them
#
# **Question.** What is in a cube, what is left of a band after a simple prediction, where do the bits of two codecs go,
# and what is in their streams?
#
# **Inputs.** The cubes of a dataset; codecs of the registry, lhic's models among them.
#
# **Outputs.** What you download. Open it in JupyterLab and run all cells. `lhic explore` shows the same as a page, also
# of files of your own.
#
# **Run time.** Each codec codes a cube once, the bundled one in less than a second or some ten seconds; the first time,
# lhic compiles its kernels. Everything else answers at once.

# %% tags=["parameters"]
dataset = "bundled"  # bundled, corpus, hyspecnet-11k or the name of one's own (docs/add_a_dataset.md)
root = None  # the dataset's folder; relative to the repository
split = None  # hyspecnet-11k only, e.g. "hard/test"
codecs = []  # names to choose from, the first two are shown first; empty: every codec there is
crop = 0  # rows and columns in the middle to begin with; 0 takes all, or 128 of more than 256
seed = 0  # nothing here is random; recorded because every notebook records one

# %%
from benchmarks.study import parameters

parameters.check_cell("explore", globals())

import panel

from benchmarks.codecs import registry
from benchmarks.measure import provenance
from benchmarks.study.explore import explorer

panel.extension(inline=True)  # its scripts come along; without that the browser would fetch them
root_path = None if root is None else provenance.REPOSITORY / root
shown = explorer(dataset, root_path, split, codecs, crop)

# %% [markdown]
# ## What is shown
#
# * **Above, left:** three bands of the whole cube as colours, chosen by wavelength, or by number where the cube
#   has none. **Middle:** the samples of the band that the slider chooses. **Right:** these samples minus a simple
#   prediction. It is for the eye; every codec has its own.
# * **Below:** bits per sample by place, of two codecs on one scale, and what the second spends more. lhic's models and
#   the sample-adaptive coder of CCSDS-123 say what each sample costs. Of any other codec, each block of pixels is coded
#   alone, with all its bands: real bytes, but headers weigh more than in a whole cube and nothing is learned across
#   blocks.
# * **Right:** the spectrum at the pixel that you click, and what each of its samples costs; the histogram of a picture.
# * Dragging moves all pictures together. With the dashed square among the tools you drag a rectangle: codecs then code
#   that part alone.

# %%
shown.wait()
shown

# %%
print(provenance.footer(seed, [registry.make(name).weights_hash for name in (shown.first.value, shown.second.value)]))
