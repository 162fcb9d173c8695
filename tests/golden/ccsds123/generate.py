"""Writes the vectors of this folder: synthetic images, coded by the readable implementation.

They guard our streams against change and are cut, flipped and altered by tests; that the implementation conforms is
shown by vectors of others, not by these.

    python -m tests.golden.ccsds123.generate
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from lhic.ccsds123 import Parameters, read_header
from lhic.ccsds123.conformance import FIELDS
from tests.ccsds123.readable import decode, encode
from tests.ccsds123.reference import map_samples

FOLDER = Path(__file__).parent
N_BANDS, N_ROWS, N_COLUMNS = 5, 9, 8
PER_BAND = tuple(range(1, N_BANDS + 1))
WEIGHTS = tuple(tuple(range(-2, 1 + min(z, 2))) for z in range(N_BANDS))
OFFSETS = tuple((-6, *(5 - i for i in range(min(z, 2)))) for z in range(N_BANDS))

VECTORS: dict[str, dict] = {
    "sample_adaptive_bsq": {"dynamic_range": 12, "accumulator_init": PER_BAND},
    "sample_adaptive_tables": {
        "prediction_bands": 2,
        "weight_init_resolution": 6,
        "weight_init_table": WEIGHTS,
        "weight_exponent_offsets": OFFSETS,
        "output_word_bytes": 4,
        "signed": True,
    },
    "sample_adaptive_bi_lossy": {
        "order": "bi",
        "interleaving_depth": 3,
        "absolute_error_limit": PER_BAND,
        "absolute_error_limit_bits": 3,
        "relative_error_limit": 2000,
        "relative_error_limit_bits": 11,
        "representative_resolution": 4,
        "representative_damping": PER_BAND,
        "representative_offset": 7,
        "local_sum": "narrow neighbor",
    },
    "sample_adaptive_deep": {"dynamic_range": 32, "prediction_bands": 15, "user_data": 77, "signed": True},
    "hybrid_bsq": {"entropy_coder": "hybrid", "prediction_mode": "reduced", "local_sum": "narrow column"},
    "hybrid_bil": {
        "entropy_coder": "hybrid",
        "order": "bi",
        "interleaving_depth": 1,
        "dynamic_range": 13,
        "rescaling_counter_size": 4,
        "output_word_bytes": 8,
    },
    "hybrid_low_entropy_lossy": {
        "entropy_coder": "hybrid",
        "order": "bi",
        "interleaving_depth": N_BANDS,
        "dynamic_range": 13,
        "absolute_error_limit": 50,
        "absolute_error_limit_bits": 6,
        "initial_accumulator": 0,
    },
    "block_adaptive_bip": {
        "entropy_coder": "block-adaptive",
        "order": "bi",
        "interleaving_depth": N_BANDS,
        "block_size": 16,
        "reference_interval": 4,
        "local_sum": "wide column",
    },
}


def synthetic_image(p: Parameters) -> np.ndarray:
    """A slope with noise, one dark corner and one outlier."""
    rng = np.random.default_rng(20)
    rows = np.add.outer(np.arange(p.n_rows) * 17, np.arange(p.n_columns) * 5)
    cube = 900 + 60 * np.arange(p.n_bands)[:, None, None] + rows + rng.integers(-9, 10, p.shape)
    cube[:, :3, :3] = 0
    cube[3, 5, 5] = p.sample_limits[1]
    return cube.astype(p.dtype)


def main() -> None:
    for name, options in VECTORS.items():
        p = Parameters(N_BANDS, N_ROWS, N_COLUMNS, **options)
        cube = synthetic_image(p)
        data = encode(cube, p)
        stem = FOLDER / name
        stem.with_suffix(".c123").write_bytes(data)
        np.save(stem.with_suffix(".npy"), cube)
        if p.fidelity != "lossless":
            np.save(FOLDER / f"{name}.rec.npy", decode(data))
        described = {key: value_of(read_header(data)[0]) for key, value_of in FIELDS.items()}
        described["hybrid_initial_accumulator"] = p.initial_accumulator
        indices = map_samples(cube, p).astype("<u4")
        described["mapped_index_sha256"] = hashlib.sha256(indices.tobytes()).hexdigest()
        stem.with_suffix(".json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
