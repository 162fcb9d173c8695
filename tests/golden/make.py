"""Golden streams: written once, decoded forever.

One folder per format version and model.  A folder holds the streams of the cubes below and, for a model that is not
shipped, its weights.  ``invoke golden`` calls `write_missing`, which never touches a file that exists; the tests decode
every stream and compare what today's encoder writes byte by byte.  A stream that can no longer be read is a defect of
the reader, whatever changed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lhic
from lhic.families.ax.config import AxConfig
from lhic.families.ax.integer_net import shapes
from lhic.families.bp.config import LhicBpConfig
from lhic.families.raw import RawModel
from lhic.families.weights import Weights, save_weights
from lhic.io.cube import atomic_write

FOLDER = Path(__file__).parent
TINY = FOLDER / "v1_lhic_bp_tiny" / "lhic-bp-tiny.safetensors"
AX_TINY = FOLDER / "v1_lhic_ax_tiny" / "lhic-ax-tiny.safetensors"
AX_TINY_2 = FOLDER / "v2_lhic_ax_tiny" / "lhic-ax-tiny-2.safetensors"
MODELS = {
    "v1_lhic_bp_tiny": TINY,
    "v1_lhic_bp_xs": "lhic-bp-xs",
    "v1_lhic_ax_tiny": AX_TINY,
    "v1_lhic_ax": "lhic-ax-1",
    "v1_lhic_ax_fast": "lhic-ax-fast-1",
    "v1_lhic_ax_max": "lhic-ax-max-1",
    "v2_lhic_ax_tiny": AX_TINY_2,
    "v2_lhic_ax": "lhic-ax",
    "v2_lhic_ax_fast": "lhic-ax-fast",
    "v2_lhic_ax_max": "lhic-ax-max",
    "v1_raw": RawModel(),
}
"""Folder -> model, by path, by the name of shipped weights, or itself."""

METADATA = {"wavelengths": [423.0, 428.8, 434.3], "nodata": -32768, "crs": "EPSG:32633"}


def cubes() -> dict[str, tuple[np.ndarray, dict]]:
    """Name -> cube and encoding options.  Integer formulas only, so that they are the same in every library version."""
    band, row, column = np.ogrid[0:3, 0:35, 0:34]
    texture = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 24  # 0..255, irregular
    land = 900 + 11 * row + 7 * column + 40 * band + texture // 16
    water = texture // 4 - 20
    gaps = np.where((row > 30) | (band == 1), -32768, water)
    return {
        "land_uint16": (land.astype("uint16"), {}),
        "water_int16_nodata": (gaps.astype("int16"), {"metadata": METADATA}),
        "wide_int32": ((land * 25 - 12_000).astype("int32"), {"param_d": 10}),
        "one_sample_uint8": (np.full((1, 1, 1), 200, "uint8"), {"param_d": 4}),
        "thin_big_endian": (land[:, :1, :].astype(">i2"), {}),
    }


TUNED = FOLDER / "v2_lhic_ax_tiny" / "tuned_uint16.lhic"
"""A stream with changed weights; to find these is a matter of floats, so other encoders may write others."""


def tuned_cube() -> np.ndarray:
    band, row, column = np.ogrid[0:6, 0:60, 0:64]
    texture = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 24
    return (900 + 11 * row + 7 * (column // 2) + 40 * band + (texture - texture[:, :, ::-1]) // 4).astype("uint16")


def write_missing() -> None:
    """Write weights and streams that are not there yet."""
    for path, weights in ((TINY, tiny_weights), (AX_TINY, tiny_ax_weights), (AX_TINY_2, tiny_ax_weights_2)):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            save_weights(path, weights())
    for folder, model in MODELS.items():
        (FOLDER / folder).mkdir(exist_ok=True)
        for name, (cube, options) in cubes().items():
            path = FOLDER / folder / f"{name}.lhic"
            if not path.exists():
                with atomic_write(path) as file:
                    file.write(encode(cube, model, options))
                print(f"written: {path.relative_to(FOLDER)}")
    if not TUNED.exists():
        with atomic_write(TUNED) as file:
            file.write(encode(tuned_cube(), AX_TINY_2, {"tuning_steps": 60}))


def encode(cube: np.ndarray, model: str | Path | RawModel, options: dict, device: str = "cpu") -> bytes:
    """A stream of this very model, also where the samples as they are would be shorter."""
    if isinstance(model, RawModel):
        options = {name: value for name, value in options.items() if name == "metadata"}
    return lhic.encode(cube, model, device=device, fallback=False, **options)


def tiny_weights() -> Weights:
    """The smallest LHIC-BP with every kind of part, untrained."""
    import torch

    from lhic.families.bp.network import LspNet, MspNet

    torch.manual_seed(1)
    widths = ("dim_msp_spectral", "dim_msp_spatial", "dim_lsp_spectral", "dim_lsp_spatial", "dim_plane", "dim_params")
    layers = ("spatial_msp", "spectral_msp", "spatial_lsp", "spectral_lsp", "plane", "params", "context")
    config = LhicBpConfig.from_dict(
        {name: 4 for name in widths} | {f"N_layers_{name}": 1 for name in layers} | {"num_mixture": 2}
    )
    tensors = {}
    for prefix, kind in (("msp", MspNet), ("lsp", LspNet)):
        net = kind(config)
        for parameter in net.parameters():
            if not parameter.any():  # some layers start at zero and would leave what is before them untested
                torch.nn.init.normal_(parameter, std=0.3)
        tensors |= {f"{prefix}.{name}": tensor.numpy() for name, tensor in net.state_dict().items()}
    return Weights("lhic-bp-tiny", "lhic-bp", config.to_dict(), tensors, {"training": "none: golden streams only"})


TINY_AX = {
    "detail_planes": 2, "sample_planes": 2, "short_planes": 1, "spatial_neighbours": 6, "epoch": 4, "width": 8,
    "depth": 2, "components": 3,
}  # fmt: skip


def tiny_ax_weights() -> Weights:
    """The smallest lhic-ax with every kind of expert and layer of version 1, untrained."""
    return _tiny_ax("lhic-ax-tiny", AxConfig(**TINY_AX, far_neighbours=0, repeats=0, blend=0))


def tiny_ax_weights_2() -> Weights:
    """The same with the parts of version 2."""
    return _tiny_ax("lhic-ax-tiny-2", AxConfig(**TINY_AX, far_neighbours=14, repeats=4, blend=8))


def _tiny_ax(name: str, config: AxConfig) -> Weights:
    """Formulas, so that no generator decides."""
    tensors = {}
    for number, (name, shape) in enumerate(sorted(shapes(config).items())):
        index = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
        limit = {"biases": 4096, "last_bias": 65536}.get(name, 96)
        tensors[name] = ((index * 7919 + number * 104729 + 17) * 2654435761 % 2**32 % (2 * limit) - limit).astype(
            "int32"
        )
    return Weights(name, "lhic-ax", config.to_dict(), tensors, {"training": "none: golden streams only"})
