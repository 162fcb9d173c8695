"""lhic-ax: adaptive experts, a learned mixture, integers from the samples to the coder.

In coding order: `levels` (with `bands`, `nodata`, `near_lossless`, `packing`) maps a tile to planes of model values;
`walk` goes through them step by step in the order of `layout`; `experts` predict and `context` describes each sample;
`network` turns the description into a mixture; `symbols` codes the sample under it.  `coding` joins the parts.
"""

from lhic.families.ax.parameters import SECTION_NAMES, describe_parameters

__all__ = ["AUTO_DEVICE", "SECTION_NAMES", "describe_parameters", "load"]

AUTO_DEVICE = "cpu"
"""What ``auto`` means for this family.

A GPU gives the same bytes and codes batches of tiles some thirty times as fast as 16 cores do, but a single small tile
only a few times, and its kernels are compiled for some twenty seconds when they are first used: it has to be asked for.
"""


def load(name, config, tensors, weights_hash, device="cpu"):
    """See `coding.load`; numba is imported only now, because reading a header must not need it."""
    from lhic.families.ax.model import load as load_now

    return load_now(name, config, tensors, weights_hash, device)
