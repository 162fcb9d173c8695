"""LHIC-BP, the published learned codec, with a stream that decodes on any machine.

The network: `config`, `network` (training form) and its parts `spectral`, `spatial`, `context`, `head`; in coding order
`recurrent` and `wavefront` (torch), `conditions_numba` and `wavefront_numba` (compiled, CPU).  The coding path:
`quantise`, `side`, `engines`, `coding`.  `published` imports the authors' checkpoints.
"""

from lhic.extras import needs
from lhic.families.bp.parameters import SECTION_NAMES, describe_parameters
from lhic.families.family import Family


def load(name, config, tensors, weights_hash, device="cpu"):
    """See `coding.load`; torch is imported only now, because reading a header must not need it."""
    with needs("bp", f"model {name!r}"):
        from lhic.families.bp.coding import load as load_now

    return load_now(name, config, tensors, weights_hash, device)


family = Family(SECTION_NAMES, describe_parameters, load)
