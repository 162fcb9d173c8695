"""What floats take: lhic-ax beside the compressors that people use for floats, on the bundled patch in several forms.

The patch holds integers.  As reflectance they are integers times a step, in whichever type; as radiance, or resampled,
they are floats like those that processing leaves behind.  Every codec gives every bit back, which is checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

import lhic
from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.runs import origin, written
from lhic.data import open_dataset
from lhic.errors import VerificationError

MODEL = "lhic-ax-unseen"
BOUNDS = {"radiance, float32": 0.01, "resampled, float32": 1e-4}
HEAD = ("cube", "codec", "bits per sample", "encode, MS/s", "decode, MS/s", "remark")


@dataclass(frozen=True)
class FloatCodec:
    """encode : cube to bytes; decode : bytes, shape and dtype to cube; version : of the library."""

    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes, tuple[int, ...], np.dtype], np.ndarray]
    version: str
    max_error: float = 0.0


def measure_floats(config_path: Path, out: Path) -> list[dict]:
    """Code each form of the patch by each codec; rows also go to `out`.

    config_path : not needed: there is nothing to set

    Raises
    ------
    VerificationError
        A codec changed a bit, or did not keep its bound.
    """
    rows = []
    forms = cubes(open_dataset("bundled")[0].load())
    for name, cube in tqdm(forms.items(), desc="floats", unit="cube"):
        for codec_name, codec in codecs(cube, BOUNDS.get(name)).items():
            rows.append(measured(name, cube, codec_name, codec))
            written(out, rows, floats_table(rows))
    return rows


def cubes(patch: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> the patch, int16 reflectance times 10,000, in another form."""
    n_bands, _, n_columns = patch.shape
    no_data = (patch == -32768) | (np.arange(n_columns) < 9)
    single = patch.astype("float32")
    sun = 1 + 900 * np.exp(-(((np.arange(n_bands) - 20) / 60) ** 2))  # about W m-2 um-1
    smile = 1 + 1e-3 * np.sin(np.arange(n_columns) / 40)
    gain = sun[:, None, None] * smile / np.pi / 10_000
    rows, columns = single[:, :-1] * np.float32(0.7) + single[:, 1:] * np.float32(0.3), slice(None, -1)
    resampled = rows[:, :, columns] * np.float32(0.4) + rows[:, :, 1:] * np.float32(0.6)
    return {
        "integers, int16": patch,
        "integers, float32": single,
        "/ 10000, float32": single / np.float32(10_000),
        "/ 10000, float32, NaN": np.where(no_data, np.float32(np.nan), single / np.float32(10_000)),
        "* 0.0001, float64": patch * 0.0001,
        "radiance, float32": ((patch + 50) * gain).astype("float32"),
        "resampled, float32": resampled / np.float32(10_000),
        "radiance, float64": (patch + 50) * gain,
    }


def codecs(cube: np.ndarray, bound: float | None = None) -> dict[str, FloatCodec]:
    """Codecs that take samples of this dtype; fpzip only where it is installed."""
    import imagecodecs
    import zstandard

    size = cube.dtype.itemsize
    of_imagecodecs = f"imagecodecs {imagecodecs.__version__}"

    def lhic_codec(max_error: float = 0) -> FloatCodec:
        options = {"max_error": max_error} if max_error else {}
        encode = lambda cube: lhic.encode(cube, MODEL, "cpu", **options)  # noqa: E731
        return FloatCodec(encode, lambda data, *_: lhic.decode(data, "cpu"), lhic.__version__, max_error)

    def blosc2(cube: np.ndarray) -> bytes:
        return imagecodecs.blosc2_encode(cube, level=9, compressor="zstd", shuffle="bitshuffle", typesize=size)

    def zstd(cube: np.ndarray) -> bytes:
        shuffled = cube.reshape(-1).view(np.uint8).reshape(-1, size).T
        return zstandard.ZstdCompressor(level=9).compress(shuffled.tobytes())

    def unzstd(data: bytes, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        shuffled = np.frombuffer(zstandard.ZstdDecompressor().decompress(data), np.uint8)
        return np.ascontiguousarray(shuffled.reshape(size, -1).T).view(dtype).reshape(shape)

    found = {
        MODEL: lhic_codec(),
        "zstd 9, byte-shuffled": FloatCodec(zstd, unzstd, f"zstandard {zstandard.__version__}"),
        "blosc2 zstd 9, bit-shuffled": FloatCodec(
            blosc2,
            lambda data, shape, dtype: np.frombuffer(imagecodecs.blosc2_decode(data), dtype).reshape(shape),
            of_imagecodecs,
        ),
        "pcodec 12": FloatCodec(
            lambda cube: imagecodecs.pcodec_encode(cube.reshape(-1), level=12),
            lambda data, shape, dtype: imagecodecs.pcodec_decode(
                data, shape=(int(np.prod(shape)),), dtype=dtype
            ).reshape(shape),
            of_imagecodecs,
        ),
    }
    if bound:
        found[f"{MODEL}, max_error {bound:g}"] = lhic_codec(bound)
    if cube.dtype.kind == "f" and np.isfinite(cube).all():  # zfp says of NaN that it is undefined
        found["zfp reversible"] = FloatCodec(
            lambda cube: imagecodecs.zfp_encode(cube, mode=imagecodecs.ZFP.MODE.REVERSIBLE),
            lambda data, shape, dtype: imagecodecs.zfp_decode(data).reshape(shape),
            of_imagecodecs,
        )
    if cube.dtype.kind == "f" and (fpzip := _fpzip()):
        found["fpzip"] = FloatCodec(
            lambda cube: fpzip.compress(cube, precision=0, order="C"),
            lambda data, shape, dtype: fpzip.decompress(data, order="C").reshape(shape),
            f"fpzip {version('fpzip')}",
        )
    return found


def _fpzip():
    try:
        import fpzip
    except ImportError:
        return None
    return fpzip


def measured(name: str, cube: np.ndarray, codec_name: str, codec: FloatCodec) -> dict:
    """A row, once the cube has come back."""
    if codec_name.startswith(MODEL):  # loads and compiles
        codec.decode(codec.encode(np.ascontiguousarray(cube[:3, :16, :16])), (3, 16, 16), cube.dtype)
    started = time.perf_counter()
    data = codec.encode(np.ascontiguousarray(cube))
    encoded = time.perf_counter()
    again = codec.decode(data, cube.shape, cube.dtype)
    decoded = time.perf_counter()
    if codec.max_error:
        is_right = bool((np.abs(again.astype(np.float64) - cube) <= codec.max_error).all())
    else:
        is_right = again.dtype == cube.dtype and again.tobytes() == cube.tobytes()
    if not is_right:
        raise VerificationError(f"{codec_name}: expected {name} back, found other samples")
    row = {"cube": name, "dtype": cube.dtype.name, "shape": str(cube.shape), "codec": codec_name}
    row |= {
        "version": codec.version,
        "max_error": codec.max_error,
        "bytes": len(data),
        "bps": 8 * len(data) / cube.size,
    }
    return row | {"encode_s": encoded - started, "decode_s": decoded - encoded} | origin()


def floats_table(rows: list[dict]) -> str:
    """Markdown: a line for each row, cubes in order, the smallest first."""
    names = list(dict.fromkeys(row["cube"] for row in rows))
    lines = []
    for row in sorted(rows, key=lambda row: (names.index(row["cube"]), row["bps"])):
        n_samples = 8e-6 * row["bytes"] / row["bps"]
        speeds = [f"{n_samples / row[key]:.2f}" for key in ("encode_s", "decode_s")]
        remark = f"off by {row['max_error']:g} at most" if row["max_error"] else ""
        lines.append([row["cube"], row["codec"], f"{row['bps']:.3f}", *speeds, remark])
    return markdown(HEAD, lines)
