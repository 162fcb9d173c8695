"""Names of all codecs of the benchmark, in the order of the tables.

A module is imported when one of its codecs is asked for, so that the memory of a measurement is that of the
codec measured, and a codec whose library is missing costs one row with an error and not the whole run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from benchmarks.codecs.base import Codec
from lhic.errors import UsageError

# Beginning of the codec names -> module, in the order of the tables: learned, hyperspectral, image, numeric codecs.
MODULES = {
    "lhic": "lhic_codec",
    "rls": "rls_codec",
    "ccsds123": "ccsds123_codec",
    "best-of": "best_of",
    "jpeg-ls": "jpeg_ls",
    "jpeg-xl": "jpeg_xl",
    "jpeg2000": "jpeg2000",
    "htj2k": "htj2k",
    "aec": "aec",
    "lerc": "lerc",
    "png": "png",
    "tiff": "tiff",
    "blosc2": "blosc2",
    "pcodec": "pcodec",
    "zarr": "zarr_default",
}


def factories() -> dict[str, Callable[[], Codec]]:
    """Codec name -> call that makes the adapter, for all codecs, in table order."""
    found: dict[str, Callable[[], Codec]] = {}
    for module in MODULES.values():
        for name, make in _codecs_of(module).items():
            assert name not in found, f"two codecs are called {name}"
            found[name] = make
    return found


def _codecs_of(module: str) -> dict[str, Callable[[], Codec]]:
    if importlib.util.find_spec(f"benchmarks.codecs.{module}") is None:
        return {}
    return importlib.import_module(f"benchmarks.codecs.{module}").CODECS


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
    for beginning, module in MODULES.items():
        if name.startswith(beginning) and name in _codecs_of(module):
            return _codecs_of(module)[name]
    known = factories()
    if name not in known:
        raise UsageError(f"codec: expected one of {', '.join(known)}, found {name!r}")
    return known[name]
