"""Patches of HySpecNet-11k: GeoTIFFs by their names, which the dataset's paper tells more about than they do."""

from __future__ import annotations

import os
import re

from lhic.formats import geotiff
from lhic.formats.base import NO_WISH, Wish

PATCH = re.compile(r"^ENMAP01-.*-Y\d+_X\d+-SPECTRAL_IMAGE\.TIF$", re.IGNORECASE)
N_BANDS = 224
NO_DATA_BANDS = {*range(126, 141), *range(160, 167)}
"""Water vapour: these bands hold no data in any patch."""


def is_patch(path: str) -> bool:
    return PATCH.match(os.path.basename(path)) is not None


class PatchFile(geotiff.GeoTiffFile):
    """A patch with all its bands; those without data are said to be bad."""

    format = "a HySpecNet patch"

    def __init__(self, path: str, wish: Wish = NO_WISH):
        super().__init__(path, wish)
        if self.shape[0] == N_BANDS:
            self.metadata.setdefault("bad_bands", [band in NO_DATA_BANDS for band in range(N_BANDS)])
        self.metadata.setdefault("quantity", "reflectance")
        self.metadata.setdefault("scale", 1e-4)
