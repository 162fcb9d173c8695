"""Names of all codecs of the benchmark, in the order of the tables.

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
    "best_of",
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
    """The adapter called `name`, or what ``module:callable`` returns for a codec outside the registry.

    Raises
    ------
    UsageError
        Unknown name; the message lists the known ones.
    BackendError
        The library behind it is not available.
    """
    return find(name)()


def find(name: str) -> Callable[[], Codec]:
    """The call that makes the adapter; raises `UsageError` for an unknown name."""
    module, colon, attribute = name.partition(":")
    if colon:
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise UsageError(f"codec {name!r}: expected module:callable, found {error}") from error
    known = factories()
    if name not in known:
        raise UsageError(f"codec: expected one of {', '.join(known)}, found {name!r}")
    return known[name]
