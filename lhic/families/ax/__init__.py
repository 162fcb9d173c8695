"""lhic-ax: adaptive experts, a learned mixture, integers from the samples to the coder.

`planes` maps a tile to planes of model values and back; `model` joins it to an engine, `cpu` or `gpu`, which walks
through the planes and codes them: predict, blend, describe, network, mixture, coder, learn.  Both take what the format
says from the same places: `spec` (constants, tables, orders), `pixel` (formulas of a sample), `experts` (regressors),
`wavefront` (order and memory), `integer_net` (weights), `levels`.  `observe` is the walk as training sees it; `tune`
and `changes` fit a network to a cube.
"""

from lhic.families.ax.parameters import SECTION_NAMES, describe_parameters
from lhic.families.family import Family


def load(name, config, tensors, weights_hash, device="cpu"):
    """See `model.load`; numba is imported only now, because reading a header must not need it."""
    from lhic.families.ax.model import load as load_now

    return load_now(name, config, tensors, weights_hash, device)


# A GPU gives the same bytes and codes batches of tiles some thirty times as fast as 16 cores do, but a single small
# tile only a few times, and its kernels take some twenty seconds to compile at first use: it has to be asked for.
family = Family(SECTION_NAMES, describe_parameters, load, auto_device="cpu")
