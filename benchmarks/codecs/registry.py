"""Names of all codecs of the benchmark, in the order of the tables.

A module is imported when one of its codecs is asked for, so that the memory of a measurement is that of the
codec measured, and a codec whose library is missing costs one row with an error and not the whole run.
Other installed packages add codecs through entry points of the group ``lhic.codecs`` (docs/add_a_codec.md); a name
of ours stays ours.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable

from benchmarks.codecs.base import Codec
from lhic import extensions
from lhic.errors import BackendError, UsageError

GROUP = "lhic.codecs"  # of the entry points

# Beginning of the codec names -> module, in the order of the tables: learned, hyperspectral, image, numeric codecs.
MODULES = {
    "lhic": "lhic_codec",
    "rls": "rls_codec",
    "ccsds123": "ccsds123_codec",
    "ccsds123-tuned": "ccsds123_tuned",
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
    """Codec name -> call that makes the adapter, for all codecs, in table order; those of other packages come last."""
    found: dict[str, Callable[[], Codec]] = {}
    for module in MODULES.values():
        for name, make in _codecs_of(module).items():
            assert name not in found, f"two codecs are called {name}"
            found[name] = make
    return found | {name: make for name, make in _foreign().items() if name not in found}


def _foreign() -> dict[str, Callable[[], Codec]]:
    return {name: _checked(extension) for name, extension in extensions.find(GROUP).items()}


def _checked(extension: extensions.Extension) -> Callable[[], Codec]:
    def make() -> Codec:
        codec = extension.call()
        where = f"{GROUP}: {extension.name}"
        if not isinstance(codec, Codec):
            raise BackendError(f"{where}: expected a benchmarks.codecs.base.Codec, found {type(codec).__name__}")
        missing = [name for name in ("name", "version", "settings") if not hasattr(codec, name)]
        if missing or codec.name != extension.name:
            found = f"no {missing[0]}" if missing else f"the name {codec.name!r}"
            raise BackendError(f"{where}: expected a codec of this name with version and settings, found {found}")
        return codec

    return make


def _codecs_of(module: str) -> dict[str, Callable[[], Codec]]:
    if importlib.util.find_spec(f"benchmarks.codecs.{module}") is None:
        return {}
    return importlib.import_module(f"benchmarks.codecs.{module}").CODECS


def make(name: str) -> Codec:
    """The adapter called `name`, or what ``module:callable`` returns for a codec outside the registry.

    Raises
    ------
    UsageError
        Unknown name; the message has the nearest ones.
    BackendError
        The library behind it is not available, or the package that offers it is broken.
    """
    try:
        return find(name)()
    except ImportError as error:
        raise BackendError(f"codec {name!r}: expected its library to be installed, found {error}") from error


def find(name: str) -> Callable[[], Codec]:
    """The call that makes the adapter; raises `UsageError` for an unknown name."""
    module, colon, attribute = name.partition(":")
    if colon:
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise UsageError(f"codec {name!r}: expected module:callable, found {error}") from error
    for beginning, module in MODULES.items():
        # A model of the user's own may have any name.
        if (beginning == "lhic" or name.startswith(beginning)) and name in _codecs_of(module):
            return _codecs_of(module)[name]
    foreign = _foreign()
    if name not in foreign:
        near = difflib.get_close_matches(name, factories(), 4, 0.0)
        known = f"the nearest of {len(factories())} are {', '.join(near)} (invoke bench --list-codecs has all)"
        raise UsageError(f"codec: expected the name of a codec, {known}, found {name!r}")
    return foreign[name]
