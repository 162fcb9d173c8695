"""What is in files of lhic-ax weights, as the tables of ckpt/README.md."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from benchmarks.exhibits.tables import markdown
from lhic.families.weights import Weights, load_weights

GREATEST_SUM = 1 << 24  # that float32 adds exactly


def weights_tables(paths: Iterable[Path]) -> str:
    """Two Markdown tables: sizes and training of each file, and its hashes."""
    paths = sorted(paths)
    found = [(path, load_weights(path)) for path in paths]
    head = ["", "file, bytes", "parameters", "cubes", "copies of each", "steps x batch"]
    head += ["seconds, observing included where not kept from an earlier run"]
    head += [f"greatest sum a layer can reach, of 2^24 = {GREATEST_SUM:,}"]
    sizes = markdown(head, [_size(path, weights) for path, weights in found], right=(1, 2, 3, 4, 6, 7))
    hashes = [
        [f"`{path.stem}`", f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`", f"`{weights.sha256.hex()}`"]
        for path, weights in found
    ]
    return f"{sizes.strip()}\n\n{markdown(['', 'SHA-256 of the file', 'model SHA-256'], hashes).strip()}"


def _size(path: Path, weights: Weights) -> list[str]:
    info = weights.info
    training, observed = info["training"], info["training"]["observations"]
    learnt = weights.tensors["last_bias"].size if training.get("constant") else _size_of_all(weights)
    return [
        f"`{path.stem}`",
        f"{path.stat().st_size:,}",
        f"{learnt:,}",
        f"{len(info['training_cubes'])}",
        f"{observed['copies'] + len(observed.get('imitations', ()))}",
        f"{training['steps']:,} x {training['batch']:,}",
        f"{info['seconds']:.0f}",
        f"{max(info['greatest_sums'].values()):,}",
    ]


def _size_of_all(weights: Weights) -> int:
    return sum(tensor.size for tensor in weights.tensors.values())
