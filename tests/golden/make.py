"""Golden streams: what the documents of the format say, as bytes.

One folder for each model.  A folder holds the streams of cubes below and, for a model that is not shipped, its
weights.  ``invoke golden`` calls `write_missing`, which never touches a file that exists; the tests decode every stream
and compare what today's encoder writes byte by byte.  Once the format is released, a stream that can no longer be read
is a defect of the reader, whatever changed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import lhic
from lhic.families.ax.config import AxConfig
from lhic.families.ax.integer_net import shapes
from lhic.families.ax.model import AxModel
from lhic.families.ax.parameters import StreamParameters
from lhic.families.bp.config import LhicBpConfig
from lhic.families.family import Model, Work
from lhic.families.raw import RawModel
from lhic.families.shuffled import ShuffledModel
from lhic.families.weights import Weights, save_weights
from lhic.io.atomic import atomic_write

FOLDER = Path(__file__).parent
BP_TINY = FOLDER / "lhic_bp_tiny" / "lhic-bp-tiny.safetensors"
AX_TINY = FOLDER / "lhic_ax_tiny" / "lhic-ax-tiny.safetensors"
LINERWKV_TINY = FOLDER / "linerwkv_tiny" / "linerwkv-tiny.safetensors"
LINERWKV = {"linerwkv_tiny": "mixture", "linerwkv_tiny_ccsds123": "ccsds123"}
"""Folder -> coder of streams of `line_cubes` by `LINERWKV_TINY`."""

MODELS = {
    "lhic_bp_tiny": BP_TINY,
    "lhic_bp_xs": "lhic-bp-xs",
    "lhic_ax_tiny": AX_TINY,
    "lhic_ax": "lhic-ax",
    "lhic_ax_fast": "lhic-ax-fast",
    "lhic_ax_max": "lhic-ax-max",
    "lhic_ax_turbo": "lhic-ax-turbo",
    "raw": RawModel(),
    "values": AX_TINY,
    "values_raw": RawModel(),
    "values_shuffled": ShuffledModel(),
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
        "wide_int32": ((land * 25 - 12_000).astype("int32"), {}),
        "one_sample_uint8": (np.full((1, 1, 1), 200, "uint8"), {}),
        "thin_big_endian": (land[:, :1, :].astype(">i2"), {}),
    }


def pinned_cubes() -> dict[str, tuple[np.ndarray, dict]]:
    """Name -> cube and what its stream is made with: cubes that take every way through the format of lhic-ax.

    The cubes above hold six bands, one group, one lane and one tile.  These pin what reaches farther: regressors up to
    32 planes back, groups that follow one another, lanes, tiles at an edge, and every kind of band.
    """
    band, row, column = np.ogrid[0:48, 0:16, 0:18]
    noise = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 20  # 0..4095, irregular
    smooth = 700 + 13 * row + 5 * column + (band * 37) % 90 * (row + column) // 8
    scene = smooth + noise // 100
    scene[1::7] += noise[1::7] // 9  # some bands are noisier, so that experts differ
    nodata = np.broadcast_to((row < 5) | ((2 * row + column) % 11 == 0), (9, 16, 18))
    part = scene[:9] - 800
    part[2] = 41  # one value wherever there is data
    part[4, 7, 9] = -30_000  # isolated, below
    part[5, 8, 3] = 30_000  # and above
    part[6] = 7 * (part[6] // 7)  # gaps in the histogram
    part[6, 12, 12] = 30_001
    wide = scene[:6].astype("int64") * 40_009 % 2**31  # many values: two planes
    ranked = np.where(noise[:6] % 5 > 2, 3_000_000_000, 17) + (noise[:6] % 40) * 1_000_003  # few, far apart
    wide[1::2] = ranked[1::2] % 2**32
    twice = scene[:40].copy()
    twice[:, 1::3] = twice[:, 0:-1:3]  # rows and columns that stand twice
    twice[:, :, 4::5] = twice[:, :, 3:-1:5]
    signed = scene[:12] % 251 - 125
    ends = noise[:2, :9, :8] * 16
    ends[:, 3, 4:8] = 0, 1, 65_534, 65_535  # all model values that there are
    quiet = band[:9] + np.where((band[:9] > 5) & (noise[:9] % 5 == 0), 7, 5)  # nothing is expected, then comes noise
    quiet[:, 3, 4] += 1
    band, row, column = np.ogrid[0:3, 0:64, 0:128]  # the fewest pixels of a tile that is not small
    noise = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 28
    not_small = 60 + row // 3 + column // 5 + 9 * band + noise % 7
    return {
        "planes_48": (scene.astype("uint16"), {"group_planes": 7, "n_lanes": 3}),
        "tall_planes": (scene[:40, :, :9].astype("uint16"), {"group_planes": 64}),
        "kinds_int16": (np.where(nodata, -32768, part).astype("int16"), {"group_planes": 4, "n_lanes": 2}),
        "wide_uint32": (wide.astype("uint32"), {"group_planes": 3, "n_lanes": 5}),
        "repeats_int16": (twice.astype(">i2"), {"group_planes": 16, "n_lanes": 1}),
        "tiles_int16": ((scene[:20] - 900).astype("int16"), {"tile": (9, 8), "group_planes": 6}),
        "pixels_uint16": (scene[:30, :3, :4].astype("uint16"), {"tile": (1, 1)}),
        "bound_3_int8": (signed.astype("int8"), {"max_error": 3, "group_planes": 5, "n_lanes": 2}),
        "bound_2_nodata": (np.where(nodata, -32768, part).astype("int16"), {"max_error": 2, "tile": (16, 9)}),
        "ends_uint16": (ends.astype("uint16"), {}),
        "quiet_uint8": (quiet.astype("uint8"), {}),
        "large_tile_uint8": ((signed[:2, :9, :8] + 125).astype("uint8"), {"tile": (700, 900)}),
        "not_small_uint8": (not_small.astype("uint8"), {"group_planes": 2, "n_lanes": 2}),
        "bound_900_int32": (wide[:4, :11, :12].astype("int32"), {"max_error": 900}),
    }


def line_cubes() -> dict[str, np.ndarray]:
    """Name -> a cube for a network that takes lines: those above, one of more groups of lines, and one of two tiles."""
    band, row, column = np.ogrid[0:2, 0:3, 0:260]
    found = {name: cube for name, (cube, _) in cubes().items()}
    found["groups_int16"] = found["land_uint16"][:, :35, :12].astype("int16") - 1200
    found["groups_int16"][:, 16] = -5  # a line of one value, whose deviation normalises sixteen
    found["tiles_uint16"] = (300 + 9 * band + row + column // 3 + (row * 7 + column * 5) % 11).astype("uint16")
    return found


def value_cubes() -> dict[str, tuple[np.ndarray, dict]]:
    """Name -> cube and options: samples that are no integers of at most 32 bits, and every kind of map."""
    band, row, column = np.ogrid[0:4, 0:11, 0:13]
    texture = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32
    numbers = 900 + 11 * row + 7 * column + 40 * band + (texture >> 26)
    pattern = (texture.astype("uint32") & 0x83FFFFFF | 0x3C000000).view("float32")  # of both signs, about 0.01 .. 2
    odd = (numbers / 10_000).astype("float32")
    odd[:, :2] = -9999.0
    odd[1, 4, 5:9] = np.array([0x7FC00001, 0xFF800000, 0x80000000, 0x7F800000], "uint32").view("float32")
    single = numbers.astype("float32") * np.float32(1e-4) + np.float32(-0.1)
    wide = numbers.astype("int64") * 2**34 + texture
    return {
        "step_float32": (odd, {"metadata": {"nodata": -9999.0}}),
        "native_float32": (single.astype(">f4"), {}),
        "steps_float64": (numbers * np.array([1e-4, 0.01, 1 / 3, 0.5]).reshape(4, 1, 1) + [[[0.25]]], {}),
        "order_float32": (pattern, {}),
        "order_float64": (pattern.astype("float64") * (1 + texture * 2.0**-50), {}),
        "step_float16": ((numbers % 512 / 8).astype("float16"), {}),
        "fits_int64": (numbers.astype("int64") - 1000, {}),
        "wide_int64": (wide, {}),
        "divided_uint64": (numbers.astype("uint64") * 1_000_003 + 2**63, {}),
        "mask_bool": (texture >> 27 > row, {}),
        "bound_float32": (pattern, {"max_error": 0.01}),
    }


BP_OPTIONS = {"wide_int32": {"param_d": 10}, "one_sample_uint8": {"param_d": 4}}
PRESETS = ("land_uint16", "water_int16_nodata", "one_sample_uint8")
"""Of `cubes`, for shipped weights of lhic-ax, of which all that is pinned by those that are not is the same."""

CASES = [
    (folder, name)
    for folder in MODELS
    if not folder.startswith("values")
    for name in (PRESETS if folder.startswith("lhic_ax") and folder != "lhic_ax_tiny" else cubes())
]
VALUE_CASES = [(folder, name) for folder in MODELS if folder.startswith("values") for name in value_cubes()]
PINNED_CASES = [("lhic_ax_tiny", name) for name in pinned_cubes()]
PINNED_CASES += [
    ("lhic_ax_turbo", name) for name in pinned_cubes() if name not in ("pixels_uint16", "large_tile_uint8")
]
PINNED_CASES += [("lhic_ax", name) for name in ("planes_48", "kinds_int16", "repeats_int16", "not_small_uint8")]


class PinnedModel(AxModel):
    """A model whose streams are cut as a test wants them, not as its encoder finds best."""

    def __init__(self, model: AxModel, tile: tuple[int, int] | None = None, **parameters: int):
        super().__init__(model.name, model.settings, model.net, model.weights_hash, model.device)
        self.tile = tile
        self.parameters = StreamParameters(**{"max_error": 0, "group_planes": 16, "n_lanes": 1} | parameters)

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        return self.tile or (n_rows, n_columns)

    def plan(self, cube: np.ndarray, work: Work) -> bytes:
        return self.parameters.to_bytes()


def encode_pinned(cube: np.ndarray, model: str | Path, settings: dict, device: str = "cpu") -> bytes:
    """A stream of a cube of `pinned_cubes`."""
    return lhic.encode(cube, PinnedModel(lhic.load_model(model, device), **settings), fallback=False)


TUNED = FOLDER / "lhic_ax_tiny" / "tuned_uint16.lhic"
"""A stream with changed weights, as the encoder here finds them."""


def tuned_cube() -> np.ndarray:
    band, row, column = np.ogrid[0:6, 0:60, 0:64]
    texture = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 24
    return (900 + 11 * row + 7 * (column // 2) + 40 * band + (texture - texture[:, :, ::-1]) // 4).astype("uint16")


BESIDE = FOLDER / "auxiliary" / "beside_uint16.lhic"
"""A stream with auxiliary sections, and every key of the metadata."""


def beside() -> tuple[np.ndarray, dict, dict[str, np.ndarray]]:
    """A cube, its metadata, and what belongs to it."""
    row, column = np.ogrid[0:5, 0:4]
    arrays = {
        "location/lat": 50 + row / 8 - column / 16,
        "glt": (row * 4 + column).astype(">i4"),
        "mask": row > column,
        "Straße": np.array(7.5, "<f4"),
        "nothing": np.zeros((0, 3), "<u2"),
        "@header.hdr": np.frombuffer(b"ENVI\nsamples = 4\n", np.uint8),
    }
    metadata = {
        "wavelengths": [0.42, 0.43, 0.44], "fwhm": [0.01, 0.01, 0.02], "wavelength_unit": "um",
        "bad_bands": [False, True, False], "band_names": ["a", "b, c", "λ"], "default_bands": [2, 1, 0],
        "nodata": [0, None, "NaN"], "scale": 0.5, "offset": [1, 2, 3.5], "quantity": "reflectance", "unit": "1",
        "description": "two words", "crs": "EPSG:32633", "transform": [30, 0, 1, 0, -30, 2],
        "gcps": [[0, 0, 10.5, 50, 0]], "gcps_crs": "EPSG:4326", "rpcs": {"line_off": 1.5},
        "times": ["2022-07-24T10:45:26"], "source": {"format": "envi", "data_suffix": ".dat"}, "extra": {"a": [1]},
    }  # fmt: skip
    return cubes()["land_uint16"][0][:, :5, :4], metadata, arrays


def encode_beside() -> bytes:
    cube, metadata, arrays = beside()
    return lhic.encode(cube, RawModel(), metadata=metadata, auxiliary=arrays)


def encode_lines(cube: np.ndarray, folder: str) -> bytes:
    """A stream of a cube of `line_cubes`."""
    return lhic.encode(cube, LINERWKV_TINY, fallback=False, coder=LINERWKV[folder])


def stream_of(folder: str, name: str, device: str = "cpu") -> bytes:
    """What today's encoder writes for one of the cases."""
    if (folder, name) in PINNED_CASES:
        cube, settings = pinned_cubes()[name]
        return encode_pinned(cube, MODELS[folder], settings, device)
    cube, options = (value_cubes() if (folder, name) in VALUE_CASES else cubes())[name]
    if folder.startswith("lhic_bp"):
        options = options | BP_OPTIONS.get(name, {})
    return encode(cube, MODELS[folder], options, device)


def tuned_stream() -> bytes:
    return encode(tuned_cube(), AX_TINY, {"tuning_steps": 60})


def write_missing() -> None:
    """Write weights and streams that are not there yet."""
    for path, weights in ((BP_TINY, tiny_weights), (AX_TINY, tiny_ax_weights), (LINERWKV_TINY, tiny_line_weights)):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            save_weights(path, weights())
    made: dict[Path, Callable[[], bytes]] = {
        FOLDER / folder / f"{name}.lhic": partial(stream_of, folder, name)
        for folder, name in CASES + VALUE_CASES + PINNED_CASES
    }
    for folder in LINERWKV:
        made |= {FOLDER / folder / f"{name}.lhic": partial(encode_lines, c, folder) for name, c in line_cubes().items()}
    for path, stream in (made | {BESIDE: encode_beside, TUNED: tuned_stream}).items():
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            with atomic_write(path) as file:
                file.write(stream())
            print(f"written: {path.relative_to(FOLDER)}")


def encode(cube: np.ndarray, model: str | Path | Model, options: dict, device: str = "cpu") -> bytes:
    """A stream of this very model, also where the samples as they are would be shorter."""
    if isinstance(model, RawModel | ShuffledModel):
        options = {name: value for name, value in options.items() if name == "metadata"}
    return lhic.encode(cube, model, device=device, fallback=False, **options)


def tiny_line_weights() -> Weights:
    """A small LineRWKV with every kind of layer; formulas, so that no generator decides.

    Each tensor spreads around what the layer begins with in training, so that no part fades or takes over.
    """
    import torch

    from lhic.families.linerwkv.config import LineRwkvConfig
    from lhic.families.linerwkv.network import LineRwkv

    width = {name: 6 for name in ("dim_enc", "dim_att", "dim_ffn")}
    layers = {"N_layers_encoder": 2, "n_layer_lines": 2, "n_layer_bands": 2, "N_layers_decoder": 2}
    config = LineRwkvConfig(**width, kernel_size=3, **layers)
    with torch.random.fork_rng(devices=[]):
        shapes = {name: tuple(tensor.shape) for name, tensor in LineRwkv(config).state_dict().items()}
    tensors = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        index = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
        spread = ((index * 7919 + number * 104729 + 17) * 2654435761 % 2**32 % 257 - 128) / 256  # -1/2 .. 1/2
        is_norm = name.endswith("weight") and ("ln" in name or "norm" in name)
        centre = 1.0 if is_norm else 0.5 if "time_mix" in name else -1.0 if "time_decay" in name else 0.0
        tensors[name] = (centre + spread).astype("float32")
    info = {"training": "none: golden streams only"}
    return Weights("linerwkv-tiny", "linerwkv", config.to_dict(), tensors, info)


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


def tiny_ax_weights() -> Weights:
    """The smallest lhic-ax with every kind of expert and layer; made by formulas, so that no generator decides.

    Its last layer has room to change.
    """
    config = AxConfig(
        detail_planes=2, sample_planes=2, short_planes=1, spatial_neighbours=6, far_neighbours=14, joint_planes=1,
        joint_far=2, epoch=4, width=8, depth=2, components=3, repeats=4, blend=8, adaptation=2,
    )  # fmt: skip
    tensors = {}
    for number, (tensor, shape) in enumerate(sorted(shapes(config).items())):
        index = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
        limit = {"biases": 4096, "last_bias": 65536}.get(tensor, 96)
        tensors[tensor] = ((index * 7919 + number * 104729 + 17) * 2654435761 % 2**32 % (2 * limit) - limit).astype(
            "int32"
        )
    return Weights("lhic-ax-tiny", "lhic-ax", config.to_dict(), tensors, {"training": "none: golden streams only"})
