import numpy as np
import pytest

from lhic.data import synthetic

WIDTHS = ("msp_spectral", "msp_spatial", "lsp_spectral", "lsp_spatial", "plane", "params")
LAYERS = ("spectral_msp", "spatial_msp", "spectral_lsp", "spatial_lsp", "plane", "context", "params")


def make_settings(folder):
    """A run of six steps on small synthetic cubes written to `folder`, as nested dicts."""
    for name, make in (("train", synthetic.land_cube), ("held_out", synthetic.water_cube)):
        (folder / name).mkdir()
        for i in range(2):
            np.save(folder / name / f"{name}_{i}.npy", make(np.random.default_rng(i), (6 + i, 36, 40)))
    model = {f"dim_{w}": 4 for w in WIDTHS} | {f"N_layers_{n}": 1 for n in LAYERS} | {"num_mixture": 2}
    return {
        "name": "tiny",
        "family": "lhic-bp",
        "model": model,
        "freeze_attention": True,
        "train": [{"kind": "corpus", "root": str(folder / "train")}],
        "validation": [{"kind": "corpus", "root": str(folder / "held_out")}],
        "steps": 6,
        "batch": {"tile_bands": 8, "run_bands": [2, 4], "first_band": 0.5},
        "augment": {"dark": 0.5, "clipped": 0.5},
        "optimiser": {"lr": 0.003, "schedule": "cosine", "warmup_steps": 2, "ema_decay": 0.9},
        "validation_tiles": 2,
        "validate_every": 2,
        "checkpoint_every": 2,
        "threads": 1,
    }


@pytest.fixture
def settings(tmp_path):
    return make_settings(tmp_path)
