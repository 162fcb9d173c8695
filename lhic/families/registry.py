"""Which models there are, and how a name becomes a loaded model.

Weights are looked for in the folders of ``LHIC_CKPT`` (separated like ``PATH``), then in ``ckpt/`` of the installed
package, then in ``ckpt/`` of a source checkout.  Other files there, of other projects or damaged ones, do no harm.
Families are imported only when one of their models is loaded, so that listing models and reading stream headers need
neither torch nor a GPU.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lhic.errors import BackendError, CheckpointError, ModelMismatchError, UsageError
from lhic.extras import needs
from lhic.families.family import Family, Model
from lhic.families.weights import load_weights, read_description
from lhic.release import __version__

FAMILIES = {
    "lhic-bp": "lhic.families.bp",
    "lhic-ax": "lhic.families.ax",
    "linerwkv": "lhic.families.linerwkv",
    "raw": "lhic.families.raw",
    "shuffled": "lhic.families.shuffled",
}
"""Family name (docs/format.md, section 4) -> module that offers it as ``family`` (`lhic.families.family.Family`)."""

DEFAULT_MODEL = "lhic-ax"
DEVICES = ("auto", "cpu", "cuda")
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ModelEntry:
    """A weights file that was found: what ``lhic models`` lists."""

    name: str
    family: str
    path: Path
    file_bytes: int
    sha256: str
    info: dict


def weights_folders() -> list[Path]:
    """Folders searched for weights, first one wins."""
    package = Path(__file__).resolve().parents[1]
    configured = [Path(part) for part in os.environ.get("LHIC_CKPT", "").split(os.pathsep) if part]
    return [folder for folder in (*configured, package / "ckpt", package.parent / "ckpt") if folder.is_dir()]


def weights_files(model: object = None) -> list[str | os.PathLike]:
    """Files that no output may replace: the weights that are found by name, and `model` if it is a path."""
    found: list[str | os.PathLike] = [path for folder in weights_folders() for path in folder.glob(f"*{SUFFIX}")]
    return [*found, model] if isinstance(model, str | os.PathLike) else found


def list_models() -> list[ModelEntry]:
    """All models found, one per name, sorted by name; files that are no weights of ours are passed over."""
    entries: dict[str, ModelEntry] = {}
    for _, entry in _files():
        if entry:
            entries.setdefault(entry.name, entry)
    return [entries[name] for name in sorted(entries)]


def _files(pattern: str = "*") -> Iterator[tuple[Path, ModelEntry | None]]:
    """Every file that may hold weights, and what it says; None if it is not ours, or damaged."""
    for folder in weights_folders():
        for path in sorted(folder.glob(pattern + SUFFIX)):
            try:
                found, name = read_description(path), path.name.removesuffix(SUFFIX)
            except CheckpointError:
                yield path, None
            else:
                info = found.get("info", {})
                yield path, ModelEntry(name, found["family"], path, path.stat().st_size, found["sha256"], info)


def find_weights(model: str | os.PathLike) -> Path:
    """Path of a model given by name or by path.

    Raises
    ------
    UsageError
        No such name and no such file; the message lists the names there are.
    """
    text = os.fspath(model)
    if text.endswith(SUFFIX) or os.sep in text:
        return Path(text)
    for folder in weights_folders():
        path = folder / f"{text}{SUFFIX}"
        if path.is_file():
            return path
    names = ", ".join(entry.name for entry in list_models()) or "none"
    raise UsageError(f"model {text!r}: expected a path to a {SUFFIX} file or one of the models found ({names})")


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes CUDA where there is any.

    Raises
    ------
    UsageError
        Unknown device name.
    BackendError
        ``cuda`` asked for on a machine without it.
    """
    if device not in DEVICES:
        raise UsageError(f"device {device!r}: expected one of {', '.join(DEVICES)}")
    if device == "cpu":
        return device
    try:
        with needs("gpu", f"device {device!r}"):
            import torch
    except BackendError:
        if device == "auto":
            return "cpu"
        raise
    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise BackendError("device 'cuda': expected a CUDA device that torch can use, found none")
    return "cpu"


def load_model(model: str | os.PathLike = DEFAULT_MODEL, device: str = "auto") -> Model:
    """Load a model by name or path.  The last few are kept in memory.

    Parameters
    ----------
    model : name (``lhic models``) or path of a weights file
    device : ``auto``, ``cpu`` or ``cuda``

    Raises
    ------
    UsageError, CheckpointError, BackendError

    Examples
    --------
    >>> import lhic
    >>> lhic.load_model("lhic-ax-fast").config["width"]
    16
    """
    path = find_weights(model)
    if device != "auto":
        device = resolve_device(device)
    if not path.is_file():
        raise UsageError(f"{path}: expected a weights file ({SUFFIX}), found nothing there")
    if device == "auto":
        family = read_description(path)["family"]
        device = resolve_device(family_of(family).auto_device if family in FAMILIES else "cpu")
    state = path.stat()
    return _load_cached(path.resolve(), device, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _load_cached(path: Path, device: str, mtime_ns: int, file_bytes: int) -> Model:
    weights = load_weights(path)
    if weights.family not in FAMILIES:
        raise CheckpointError(f"{path}: expected a model of family {', '.join(FAMILIES)}, found {weights.family!r}")
    return family_of(weights.family).load(weights.name, weights.config, weights.tensors, weights.sha256, device)


def as_model(model: str | os.PathLike | Model, device: str) -> Model:
    """A model that is loaded, or now becomes so.

    Raises
    ------
    UsageError
        Something else; or a loaded model that is on another device than asked for.
    """
    if isinstance(model, str | os.PathLike):
        return load_model(model, device)
    if not isinstance(model, Model):
        raise UsageError(f"model: expected a name, a path or a loaded model, found {type(model).__name__}")
    if device != "auto" and resolve_device(device) != model.device:
        raise UsageError(
            f"device {device!r}: expected that of the loaded model {model.name!r}, which is on {model.device}"
        )
    return model


def family_of(name: str) -> Family:
    """The family of a stream; `ModelMismatchError` if this version lacks it."""
    if name not in FAMILIES:
        raise ModelMismatchError(
            f"header: expected a family that lhic {__version__} reads ({', '.join(FAMILIES)}), found {name!r}: "
            "the release that wrote this stream can read it"
        )
    return importlib.import_module(FAMILIES[name]).family


def model_for_stream(
    name: str, family: str, weights_hash: bytes, device: str, override: str | os.PathLike | Model | None = None
) -> Model:
    """The model that wrote a stream, for certain: its weights have the hash that the stream states.

    Looked for under `override` if given, else by the stream's model name, else by hash among all models found.
    Streams without weights need none, whatever was asked for.

    Raises
    ------
    ModelMismatchError
        No model with these weights.
    """
    without_weights = family_of(family).without_weights
    if without_weights and not weights_hash:
        return without_weights()
    model = as_model(_find(name, weights_hash) if override is None else override, device)
    if (model.family, model.weights_hash) != (family, weights_hash):
        raise ModelMismatchError(
            f"model {model.name!r}: expected {family} weights with SHA-256 {weights_hash.hex()[:16]}... "
            f"(the stream was written by {name!r}), found {model.family} {model.weights_hash.hex()[:16]}..."
        )
    return model


def _find(name: str, weights_hash: bytes) -> Path:
    """Where the weights with a hash are: under that name if there are such, else under any."""
    strange = []
    for pattern in (name, "*"):
        for path, entry in _files(pattern):
            if entry and entry.sha256 == weights_hash.hex():
                return path
            if not entry and path not in strange:
                strange.append(path)
    passed = f" (no lhic weights: {', '.join(map(str, strange))})" if strange else ""
    raise ModelMismatchError(
        f"model {name!r}: expected weights with SHA-256 {weights_hash.hex()[:16]}..., found no such file"
        f"{_of_name(name)}; pass it with --model PATH or put its folder into LHIC_CKPT{passed}"
    )


def _of_name(name: str) -> str:
    """What is known of weights that are not there though others of their name are."""
    found = [entry.sha256[:16] for _, entry in _files(name) if entry and entry.name == name]
    return f": {name} of lhic {__version__} has {found[0]}..., another release wrote this stream" if found else ""
