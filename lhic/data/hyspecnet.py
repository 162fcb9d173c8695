"""HySpecNet-11k: where its patches and splits are, and how a patch becomes a cube.

Decides the folder layout, which 202 of the 224 bands are kept, and what counts as complete.  Knows nothing
of models or streams.  Source: M. H. P. Fuchs and B. Demir, "HySpecNet-11k: a large-scale hyperspectral
dataset for benchmarking learning-based hyperspectral image compression methods", IGARSS 2023, and its data
repository (DOI 10.5061/dryad.fttdz08zh), CC0 1.0.

    <root>/patches/<tile>/<patch>/<patch>-SPECTRAL_IMAGE.TIF      224 bands, int16, no data = -32768
    <root>/patches/<tile>/<patch>/<patch>-DATA.npy                202 bands, int32, clipped to [0, 10000]
    <root>/patches/<tile>/<patch>/<patch>-DATA_INT16.npy          202 bands, int16, as measured
    <root>/splits/{easy,hard}/{train,val,test}.csv                one <tile>/<patch>/<patch>-DATA.npy per line

Only the TIFs and the splits are distributed; `convert_root` writes the arrays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lhic.data import enmap
from lhic.errors import DatasetError, one_line
from lhic.extras import needs
from lhic.formats import save_cube
from lhic.formats.hyspecnet import N_BANDS, NO_DATA_BANDS

if TYPE_CHECKING:
    import tifffile

DOI = "10.5061/dryad.fttdz08zh"
N_PATCHES = 11_483
N_TILES = 250
SPLIT_SIZES: dict[str, dict[str, int | None]] = {
    "easy": {"train": 8038, "val": 2296, "test": 1149},  # patch-wise: a tile may be in several parts
    "hard": {"train": None, "val": None, "test": None},  # tile-wise: the tiles are counted instead
}
SPLIT_TILES = {"hard": {"train": 175, "val": 50, "test": 25}}

N_BANDS_FILE = N_BANDS
PATCH_SIZE = 128
DROPPED_BANDS = tuple(sorted(NO_DATA_BANDS))
KEPT_BANDS = tuple(b for b in range(N_BANDS_FILE) if b not in DROPPED_BANDS)
# The files' bands are in the order of wavelengths, so that where the detectors overlap (902 to 993 nm) bands of the two
# alternate: in the bundled patch, whose detectors differ in offset, the spectrum jumps where this order says so.
NOMINAL_NM = tuple(sorted(enmap.NOMINAL_NM)[b] for b in KEPT_BANDS)
NODATA = -32768
CLIP_RANGE = (0, 10_000)

TIF_SUFFIX = "-SPECTRAL_IMAGE.TIF"
CLIPPED_SUFFIX = "-DATA.npy"
INT16_SUFFIX = "-DATA_INT16.npy"

HOW_TO_GET = (
    f"download hyspecnet-11k-01.tar.gz .. -10.tar.gz and hyspecnet-11k-splits.tar.gz (DOI {DOI}; "
    "torchgeo's HySpecNet11k fetches a mirror) and unpack them so that `patches` and `splits` lie in the root"
)


@dataclass(frozen=True)
class Patch:
    """One patch of the dataset: where it is, not what is in it."""

    root: Path
    tile: str
    name: str

    @property
    def folder(self) -> Path:
        return self.root / "patches" / self.tile / self.name

    @property
    def tif(self) -> Path:
        return self.folder / (self.name + TIF_SUFFIX)

    def array_path(self, clip: bool) -> Path:
        """File that `convert_root` writes for this patch."""
        return self.folder / (self.name + (CLIPPED_SUFFIX if clip else INT16_SUFFIX))

    def exists(self) -> bool:
        return self.tif.is_file()


def tile_of(patch_name: str) -> str:
    """Name of the EnMAP tile a patch was cut from.

    >>> tile_of("ENMAP01-____L2A-DT0000004950_20221103T162438Z-Y01460273_X04390566")
    'ENMAP01-____L2A-DT0000004950_20221103T162438Z'
    """
    tile, separator, position = patch_name.rpartition("-")
    if not separator or not position.startswith("Y") or "_X" not in position:
        raise DatasetError(f"patch name: expected <tile>-Y<row>_X<column>, found {patch_name!r}")
    return tile


def find_root(folder: str | os.PathLike) -> Path:
    """The folder that holds `patches`: `folder` itself or `folder/hyspecnet-11k`.

    Raises
    ------
    DatasetError
        If neither holds a folder `patches`.
    """
    folder = Path(folder)
    for root in (folder, folder / "hyspecnet-11k"):
        if (root / "patches").is_dir():
            return root
    raise DatasetError(f"{folder}: expected a folder `patches` in it, found none; {HOW_TO_GET}")


def find_patches(root: str | os.PathLike) -> list[Patch]:
    """All patches under a root whose TIF is there, in order of their names.

    Raises
    ------
    DatasetError
        If the root has no `patches` folder, or no patch in it.
    """
    root = find_root(root)
    tifs = sorted(root.glob(f"patches/*/*/*{TIF_SUFFIX}"))
    if not tifs:
        raise DatasetError(f"{root}: expected patches/*/*/*{TIF_SUFFIX}, found none; {HOW_TO_GET}")
    return [Patch(root, tif.parent.parent.name, tif.parent.name) for tif in tifs]


def read_split(root: str | os.PathLike, split: str) -> list[Patch]:
    """Patches that a split file names, in its order; every one of them is there.

    Parameters
    ----------
    root : path
        Folder that holds `patches` and `splits`, or its parent.
    split : str
        "easy/train", "hard/test", ...: the path of the csv below `splits`, without its suffix.

    Raises
    ------
    DatasetError
        If the file is missing, malformed, of another length than the official split of that name,
        or names patches that are not there.
    """
    root = find_root(root)
    file = root / "splits" / f"{split}.csv"
    if not file.is_file():
        known = sorted(str(f.relative_to(root / "splits"))[:-4] for f in root.glob("splits/*/*.csv"))
        found = ", ".join(known) or "no split at all"
        raise DatasetError(f"{file}: split file missing (found: {found}); {HOW_TO_GET}")
    patches = [_patch_of_line(root, line, file) for line in file.read_text().split()]
    _check_split_size(split, patches, file)
    missing = [p for p in patches if not p.exists()]
    if missing:
        raise DatasetError(
            f"{root}: {len(missing)} of the {len(patches)} patches of split {split} are missing, "
            f"the first is {missing[0].tif.relative_to(root)}; {HOW_TO_GET}"
        )
    return patches


def check_complete(root: str | os.PathLike) -> dict[str, int]:
    """Compare a root with the documented counts of the whole dataset.

    Returns
    -------
    dict
        ``patches``, ``tiles`` and the length of each split.

    Raises
    ------
    DatasetError
        If a split is missing or incomplete, or patches or tiles are missing.
    """
    patches = find_patches(root)
    counts = {"patches": len(patches), "tiles": len({p.tile for p in patches})}
    for name, expected in (("patches", N_PATCHES), ("tiles", N_TILES)):
        if counts[name] != expected:
            raise DatasetError(f"{root}: expected {expected} {name}, found {counts[name]}; {HOW_TO_GET}")
    for difficulty, parts in SPLIT_SIZES.items():
        for part in parts:
            counts[f"{difficulty}/{part}"] = len(read_split(root, f"{difficulty}/{part}"))
    return counts


def read_tif(path: str | os.PathLike) -> np.ndarray:
    """All 224 bands of a patch as distributed, int16 (224, 128, 128), no data = -32768.

    Raises
    ------
    DatasetError
        If the file is missing, cut short, not a TIFF, or of another shape or sample type.
    """
    with _opened(path) as tif:
        _check_strips(tif.pages[0], Path(path))
        array = tif.asarray()
    expected = (N_BANDS_FILE, PATCH_SIZE, PATCH_SIZE)
    if array.shape != expected or array.dtype != np.int16:
        raise DatasetError(f"{path}: expected int16 {expected}, found {array.dtype} {array.shape}")
    return array


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tifffile.TiffFile]:
    """A TIF to read from; whatever is amiss with it is a `DatasetError`."""
    if not Path(path).is_file():
        raise DatasetError(f"{path}: file missing; {HOW_TO_GET}")
    with needs("formats", str(path)):
        import tifffile
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif
    except DatasetError:
        raise
    except Exception as error:  # the reader and its decompressor have no common error class
        raise DatasetError(f"{path}: expected a whole TIFF, found {one_line(error)}; download it again") from error


def read_patch(patch: Patch | str | os.PathLike, clip: bool = False) -> np.ndarray:
    """The 202 valid bands of a patch.

    Parameters
    ----------
    patch : Patch or path of a SPECTRAL_IMAGE.TIF
    clip : bool
        True gives int32 clipped to [0, 10000] (reflectance x 10^4), what the literature reports on: it
        loses the negative samples and turns no data into 0. False, the default, gives the samples as
        measured, int16.

    Returns
    -------
    ndarray (202, 128, 128)
    """
    bands = read_tif(patch.tif if isinstance(patch, Patch) else patch)[list(KEPT_BANDS)]
    return np.clip(bands, *CLIP_RANGE).astype(np.int32) if clip else bands


def load_patch(patch: Patch, clip: bool = False) -> np.ndarray:
    """As `read_patch`, but from the array that `convert_root` wrote, if it is there: several times faster.

    Arrays of another layout under that name, such as the float ones of other pipelines, are passed over.
    """
    try:
        converted = _holds_patch(patch.array_path(clip), clip)
    except DatasetError:
        converted = False
    return np.load(patch.array_path(clip), allow_pickle=False) if converted else read_patch(patch, clip)


def read_metadata(path: str | os.PathLike) -> dict:
    """What a TIF says about its grid: ``nodata``, ``crs`` (EPSG code) and ``transform``, where given.

    The files carry no wavelengths, so none are returned. Keys and values are those of docs/format.md,
    section 2.

    Raises
    ------
    DatasetError
        The file is missing or damaged, or its nodata value is no integer.
    """
    metadata: dict = {}
    with _opened(path) as tif:
        geo_keys = tif.geotiff_metadata or {}
        nodata = tif.pages[0].tags.valueof("GDAL_NODATA")
        if nodata is not None:
            metadata["nodata"] = _integer(nodata, path)
        if "ProjectedCSTypeGeoKey" in geo_keys:
            metadata["crs"] = f"EPSG:{int(geo_keys['ProjectedCSTypeGeoKey'])}"
        if "ModelPixelScale" in geo_keys and "ModelTiepoint" in geo_keys:
            dx, dy, _ = geo_keys["ModelPixelScale"]
            column, row, _, x, y, _ = geo_keys["ModelTiepoint"][:6]
            metadata["transform"] = [dx, 0.0, x - column * dx, 0.0, -dy, y + row * dy]
    return metadata


def _integer(text: str, path: str | os.PathLike) -> int:
    """A nodata value as GDAL writes it: ``-32768``, ``-32768.0``, ``-3.2768e+04``."""
    try:
        value = float(text)
        if value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise DatasetError(f"{path}: nodata: expected an integer, found {text!r}")


def convert_root(
    root: str | os.PathLike, clip: bool, split: str | None = None, overwrite: bool = False, progress: bool = True
) -> list[Path]:
    """Write the 202-band array of every patch beside its TIF.

    Arrays that are there already are kept if shape and dtype fit. Each file is written under another name and
    renamed, so an interrupted run leaves no half file and can be started again.

    Raises
    ------
    DatasetError
        If a TIF is damaged, or an array with another shape or dtype is there and `overwrite` is false.
    """
    patches = read_split(root, split) if split else find_patches(root)
    written = []
    for patch in tqdm(patches, desc="convert", unit="patch", disable=not progress):  # tqdm prints on stderr
        target = patch.array_path(clip)
        if overwrite or not _holds_patch(target, clip):
            save_cube(target, read_patch(patch, clip), overwrite)
            written.append(target)
    return written


def bundled_root() -> Path:
    """Root of the one patch that comes with the source tree (data/README.md).

    Raises
    ------
    DatasetError
        If the package was installed without the source tree.
    """
    root = Path(__file__).parents[2] / "data" / "hyspecnet-11k"
    for candidate in (root, Path("data") / "hyspecnet-11k"):
        if (candidate / "patches").is_dir():
            return candidate
    raise DatasetError(f"{root}: the bundled sample is missing; run from a clone of the repository")


def _patch_of_line(root: Path, line: str, file: Path) -> Patch:
    parts = line.split("/")
    if len(parts) != 3 or parts[2] != parts[1] + CLIPPED_SUFFIX or tile_of(parts[1]) != parts[0]:
        raise DatasetError(f"{file}: expected lines <tile>/<patch>/<patch>{CLIPPED_SUFFIX}, found {line!r}")
    return Patch(root, parts[0], parts[1])


def _check_split_size(split: str, patches: list[Patch], file: Path) -> None:
    difficulty, _, part = split.partition("/")
    expected = {
        "patches": SPLIT_SIZES.get(difficulty, {}).get(part),
        "tiles": SPLIT_TILES.get(difficulty, {}).get(part),
    }
    found = {"patches": len(set(patches)), "tiles": len({p.tile for p in patches})}
    for unit, count in expected.items():
        if count is not None and found[unit] != count:
            message = f"{file}: expected the official {count} {unit}, found {found[unit]}"
            raise DatasetError(f"{message}; {HOW_TO_GET}")
    if not patches:
        raise DatasetError(f"{file}: expected at least one patch, found none")


def _check_strips(page: tifffile.TiffPage, path: Path) -> None:
    # TIFF readers fill missing strips with zeros, so a half-downloaded file would look like data.
    size = path.stat().st_size
    needed = max(offset + count for offset, count in zip(page.dataoffsets, page.databytecounts))
    if needed > size or 0 in page.databytecounts:
        raise DatasetError(f"{path}: expected at least {needed} bytes, found {size}; download it again")


def _holds_patch(path: Path, clip: bool) -> bool:
    if not path.exists():
        return False
    expected = _array_layout(clip)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{path}: damaged array, remove it or convert with overwrite ({error})") from error
    if (array.dtype, array.shape) != expected:
        raise DatasetError(
            f"{path}: expected {expected[0]} {expected[1]}, found {array.dtype} {array.shape}; "
            "remove it or convert with overwrite"
        )
    return True


def _array_layout(clip: bool) -> tuple[np.dtype, tuple[int, int, int]]:
    return np.dtype(np.int32 if clip else np.int16), (len(KEPT_BANDS), PATCH_SIZE, PATCH_SIZE)
