"""lhic-ax: adaptive experts, a learned mixture, integers from the samples to the coder.

In coding order: `levels` (with `bands`, `nodata`, `near_lossless`, `packing`) maps a tile to planes of model values;
`walk` goes through them step by step in the order of `layout`; `experts` predict and `context` describes each sample;
`network` turns the description into a mixture; `symbols` codes the sample under it.  `coding` joins the parts.
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
