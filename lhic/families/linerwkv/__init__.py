"""LineRWKV, the published learned codec that reads a scene line by line, with a stream that decodes on any machine.

`network` predicts; `side` holds what is sent beside (means and deviations, the range); `residual` codes samples
around predictions, or `lhic.ccsds123` what is left of them as the authors do; `coding` puts it together.  `published`
imports the authors' weights, `conformance` compares predictions with theirs.
"""

from lhic.extras import needs
from lhic.families.family import Family
from lhic.families.linerwkv.parameters import SECTION_NAMES, describe_parameters


def load(name, config, tensors, weights_hash, device="cpu"):
    """See `coding.load`; torch is imported only now, because reading a header must not need it."""
    with needs("bp", f"model {name!r}"):
        from lhic.families.linerwkv.coding import load as load_now

    return load_now(name, config, tensors, weights_hash, device)


family = Family(SECTION_NAMES, describe_parameters, load, auto_device="cpu")
