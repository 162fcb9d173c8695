"""Which models there are, and how a name becomes a loaded model.

Weights are looked for in the folders of ``LHIC_CKPT`` (separated like ``PATH``), then in ``ckpt/`` of the installed
package, then in ``ckpt/`` of a source checkout.  Families are imported only when one of their models is loaded, so
that listing models and reading stream headers need neither torch nor a GPU.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from lhic.errors import BackendError, CheckpointError, ModelMismatchError, UsageError
from lhic.families.family import Model
from lhic.families.weights import load_weights, read_description

FAMILIES = {"lhic-bp": "lhic.families.bp", "lhic-ax": "lhic.families.ax", "raw": "lhic.families.raw"}
"""Family name (docs/format.md, section 4) -> module that implements it (`lhic.families.family`)."""

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


def list_models() -> list[ModelEntry]:
    """All models found, one per name, sorted by name.  Damaged files raise `CheckpointError`."""
    entries: dict[str, ModelEntry] = {}
    for folder in weights_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            description = read_description(path)
            entry = ModelEntry(
                path.name.removesuffix(SUFFIX),
                description["family"],
                path,
                path.stat().st_size,
                description["sha256"],
                description.get("info", {}),
            )
            entries.setdefault(entry.name, entry)
    return [entries[name] for name in sorted(entries)]


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
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise BackendError("device 'cuda': expected a CUDA device that torch can use, found none")
    return "cpu"


def load_model(model: str | os.PathLike = DEFAULT_MODEL, device: str = "auto") -> Model:
    """Load a model by name or path.  The last few are kept in memory.

    Raises
    ------
    UsageError, CheckpointError, BackendError
    """
    path = find_weights(model)
    if device != "auto":
        device = resolve_device(device)
    if not path.is_file():
        raise UsageError(f"{path}: expected a weights file ({SUFFIX}), found nothing there")
    if device == "auto":
        family = read_description(path)["family"]
        device = resolve_device(family_module(family).AUTO_DEVICE if family in FAMILIES else "cpu")
    state = path.stat()
    return _load_cached(path.resolve(), device, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _load_cached(path: Path, device: str, mtime_ns: int, file_bytes: int) -> Model:
    weights = load_weights(path)
    if weights.family not in FAMILIES:
        raise CheckpointError(f"{path}: expected a model of family {', '.join(FAMILIES)}, found {weights.family!r}")
    return family_module(weights.family).load(weights.name, weights.config, weights.tensors, weights.sha256, device)


def family_module(family: str) -> ModuleType:
    """The module that implements a family; `ModelMismatchError` if a stream names one this version lacks."""
    if family not in FAMILIES:
        raise ModelMismatchError(f"header: expected a family among {', '.join(FAMILIES)}, found {family!r}")
    return importlib.import_module(FAMILIES[family])


def model_for_stream(
    name: str, family: str, weights_hash: bytes, device: str, override: str | os.PathLike | None = None
) -> Model:
    """The model that wrote a stream.

    Looked for under `override` if given, else by the stream's model name, else by hash among all models found.

    Raises
    ------
    ModelMismatchError
        No model with these weights.
    """
    if override is not None:
        model = load_model(override, device)
    else:
        entry = _find_entry(name, weights_hash)
        if entry is None:
            raise ModelMismatchError(
                f"model {name!r} ({family}): expected weights with SHA-256 {weights_hash.hex()[:16]}..., found no "
                f"such file; pass it with --model PATH or put its folder into LHIC_CKPT"
            )
        model = load_model(entry.path, device)
    if (model.family, model.weights_hash) != (family, weights_hash):
        raise ModelMismatchError(
            f"model {model.name!r}: expected {family} weights with SHA-256 {weights_hash.hex()[:16]}... "
            f"(the stream was written by {name!r}), found {model.family} {model.weights_hash.hex()[:16]}..."
        )
    return model


def _find_entry(name: str, weights_hash: bytes) -> ModelEntry | None:
    entries = list_models()
    by_hash = [entry for entry in entries if entry.sha256 == weights_hash.hex()]
    by_name = [entry for entry in entries if entry.name == name]
    return next(iter(by_hash + by_name), None)
