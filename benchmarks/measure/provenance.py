"""Where a row comes from: machine, libraries, commit, date.

Decides how each is found out and what stands there when it cannot be; knows nothing of codecs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lhic.errors import BackendError

REPOSITORY = Path(__file__).resolve().parents[2]
# What can change a number, as git's pathspecs: neither results nor documents, nor the outputs inside notebooks.
CODE = ("lhic", "benchmarks", "notebooks/*.py", "notebooks/params", "ckpt", "configs", ":(exclude)*.md")
LIBRARIES = ("numpy", "imagecodecs", "pyjpegls", "tifffile", "zarr", "numba", "torch")


def shown(path: Path) -> Path:
    """A path as it is printed: from the repository on, where it is below it."""
    return path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path


def cube_sha256(cube: np.ndarray) -> str:
    """SHA-256 (hex) of the samples in little-endian (S, H, W) order; shape and dtype stand in the row."""
    little = np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("<"))
    return hashlib.sha256(little.data).hexdigest()


def dataset_sha256(cubes: Iterable[str]) -> str:
    """SHA-256 (hex) over the `cube_sha256` of cubes that are measured together, in one form.

    The hashes are taken once each, sorted, one per line, so order and repetition do not matter; cubes that cannot
    be read (``""``) are left out.  One line of Python recomputes it from the rows.
    """
    lines = sorted(set(cubes) - {""})
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def commit() -> str:
    """Commit of the source tree, with ``-dirty`` when its `CODE` differs from it; ``unknown`` outside git."""
    head = _git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return head + ("-dirty" if is_changed() else "")


def is_changed() -> bool:
    """Whether tracked files of the `CODE` differ from the commit; False outside git."""
    return bool(_git("status", "--porcelain", "--untracked-files=no", "--", *CODE))


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def now() -> str:
    """Date and time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine() -> str:
    """Processor model as the operating system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def has_cuda() -> bool:
    """Whether torch is here and finds a CUDA device."""
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def device_of(wanted: str) -> str:
    """``cpu`` or ``cuda``, of ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    BackendError
        ``cuda`` on a machine without it.
    """
    if wanted == "cpu" or has_cuda():
        return "cpu" if wanted == "cpu" else "cuda"
    if wanted == "cuda":
        raise BackendError("device 'cuda': expected a CUDA device that torch can use, found none")
    return "cpu"


def device_name(device: str) -> str:
    """Model of the CUDA device, or ``cpu``."""
    if device != "cuda":
        return "cpu"
    import torch

    return torch.cuda.get_device_name()


def footer(seed: int, weights: Iterable[str] = (), device: str = "cpu") -> str:
    """What the last cell of a notebook says: commit, weights (SHA-256), seed, device and machine."""
    used = device_name(device_of(device)) if device in ("auto", "cpu", "cuda") else device
    found = ", ".join(sorted(set(weights) - {""})) or "no learned codec"
    return f"commit: {commit()}\nweights: {found}\nseed: {seed}\ndevice: {used} on {machine()}"


def n_cores() -> int:
    """Cores this process may use, which is fewer than the machine has in a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def library_versions() -> dict[str, str]:
    """Python and the libraries that do the work, without importing them."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def environment() -> dict:
    """All of the above as one JSON-able dict: the ``environment.json`` of a results folder."""
    return {
        "machine": machine(),
        "cores": n_cores(),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": library_versions(),
        "commit": commit(),
        "date": now(),
    }
