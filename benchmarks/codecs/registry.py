"""Names of all codecs of the benchmark, and the sets the study profiles use.

Modules are imported when their codecs are asked for, so a codec whose library is missing costs one
row with an error and not the whole run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from benchmarks.codecs.base import Codec
from lhic.errors import UsageError

# Order of the tables: learned, hyperspectral, image, numeric codecs.
MODULES = (
    "lhic_codec",
    "rls_codec",
    "ccsds123_codec",
    "jpeg_ls",
    "jpeg_xl",
    "jpeg2000",
    "htj2k",
    "aec",
    "lerc",
    "png",
    "tiff",
    "blosc2",
    "pcodec",
    "zarr_default",
)


def factories() -> dict[str, Callable[[], Codec]]:
    """Codec name -> call that makes the adapter, in table order."""
    found: dict[str, Callable[[], Codec]] = {}
    for module in MODULES:
        if importlib.util.find_spec(f"benchmarks.codecs.{module}") is None:
            continue
        for name, make in importlib.import_module(f"benchmarks.codecs.{module}").CODECS.items():
            assert name not in found, f"two codecs are called {name}"
            found[name] = make
    return found


def make(name: str) -> Codec:
    """The adapter called `name`.

    Raises
    ------
    UsageError
        Unknown name; the message lists the known ones.
    BackendError
        The library behind it is not available.
    """
    known = factories()
    if name not in known:
        raise UsageError(f"codec: expected one of {', '.join(known)}, found {name!r}")
    return known[name]()
