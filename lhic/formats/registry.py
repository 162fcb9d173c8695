"""Which reader a path has, and which writer: by what the file begins with first, and by its name second."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from lhic.cube import CubeSink, check_cube, check_layout
from lhic.errors import InvalidCubeError, LhicError, UsageError, one_line
from lhic.formats import enmap, envi, geotiff, hdf5, hyspecnet, mat, netcdf, npy, raw, zarr
from lhic.formats.axes import VARIABLE
from lhic.formats.base import CubeFile, Scene, Wish, suffix_of
from lhic.formats.flat import FlatFile
from lhic.io.atomic import atomic_folder, atomic_write, check_place
from lhic.io.memory import check_memory
from lhic.io.source import STANDARD, Source, open_source

HEAD_BYTES = 4096
LHIC = b"\x89LHIC"
OTHERS = {
    b"\x0e\x03\x13\x01": "an HDF4 file: h4toh5 makes an HDF5 file of it",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"BZh": "a bzip2 archive: unpack it first",
    b"\xfd7zXZ": "an xz archive: unpack it first",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\x89LHIC": "an lhic stream: it is encoded already",
    b"%PDF": "a PDF document",
}
KNOWN = ".npy, ENVI, GeoTIFF, HDF5, NetCDF, MATLAB, Zarr, an EnMAP product, or headerless with its geometry in the name"
HDF5_BEGINS = (0, 512, 1024, 2048)
WRITERS = {
    **dict.fromkeys(geotiff.SUFFIXES, geotiff.NAME),
    **dict.fromkeys((".hdr", *envi.DATA_SUFFIXES[:9]), envi.NAME),
    **dict.fromkeys(netcdf.SUFFIXES, netcdf.NAME),
    **dict.fromkeys(hdf5.SUFFIXES, hdf5.NAME),
    **dict.fromkeys(zarr.SUFFIXES, zarr.NAME),
    **dict.fromkeys(mat.SUFFIXES, mat.NAME),
    **dict.fromkeys(npy.SUFFIXES, npy.NAME),
}
"""Suffix of an output -> format; headerless files are known by their geometry."""
CLAIMING_SUFFIXES = (*npy.SUFFIXES, *geotiff.SUFFIXES, *netcdf.SUFFIXES, *hdf5.SUFFIXES)
"""Of files that can be nothing else than what they are called."""
USUAL_SUFFIX = {
    geotiff.NAME: ".tif",
    netcdf.NAME: ".nc",
    hdf5.NAME: ".h5",
    zarr.NAME: ".zarr",
    mat.NAME: ".mat",
    mat.NAME_73: ".mat",
    npy.NAME: ".npy",
}


def open_cube(path: str | os.PathLike, variable: str | None = None, axes: str | None = None) -> CubeFile:
    """The cube in a file, a folder of Zarr, or a pipe; ``-`` is standard input.

    Parameters
    ----------
    path : by its beginning, whatever its suffix, the format is recognised
    variable : which of several arrays; of a TIFF, the number of the page; ``.npy``, ENVI and headerless files have none
    axes : names of the axes in the file's order, such as ``rows,columns,bands``, or ``bsq``, ``bil``, ``bip``

    Raises
    ------
    UsageError
        Nothing is there, or what is there leaves a choice; or a variable of a file that has but one array.
    InvalidCubeError
        It is not a complete file of a known format, or holds no cube.
    BackendError
        The format's library is not installed.
    """
    name, wish = os.fspath(path), Wish(variable, axes)
    if os.path.isdir(name):
        cube = _of_folder(name, wish)
    else:
        source = open_source(name, "a file with a cube")
        with ExitStack() as opened:
            opened.callback(source.close)
            cube = _of_file(source, name, wish)
            if getattr(cube, "_source", None) is source:  # it reads on from there
                opened.pop_all()
    try:
        if cube.dtype.kind not in "biuf":
            raise InvalidCubeError(f"{cube.path}: {cube.format} of {cube.dtype}: expected integers or floats")
        if variable is not None and isinstance(cube, FlatFile):
            raise UsageError(
                f"{cube.path}: {cube.format}: expected no {VARIABLE}, for it has one array, found {variable!r}"
            )
        stated = {"variable": variable, "axes": axes}
        if "source" in cube.metadata:  # so that `open_original` opens it alike
            cube.metadata["source"] = {k: v for k, v in stated.items() if v is not None} | cube.metadata["source"]
        if 0 in cube.shape:
            raise InvalidCubeError(f"{cube.path}: {cube.format}: expected no empty axis, found shape {cube.shape}")
    except BaseException:
        cube.close()
        raise
    return cube


def open_original(path: str | os.PathLike, metadata: dict[str, Any]) -> CubeFile:
    """The cube of a file that is to be compared with a stream's, opened as the stream's source was if it may be that.

    metadata : of the stream
    """
    source = metadata.get("source", {})
    wish = {key: source[key] for key in ("variable", "axes") if isinstance(source.get(key), str)}
    try:
        cube = open_cube(path)
    except (UsageError, InvalidCubeError):
        if not wish:
            raise
        return open_cube(path, **wish)
    if wish and cube.metadata.get("source", {}).get("format", npy.NAME) == source.get("format"):
        with contextlib.suppress(UsageError, InvalidCubeError), cube:
            return open_cube(path, **wish)
        return open_cube(path)
    return cube


def _of_folder(path: str, wish: Wish) -> CubeFile:
    if zarr.is_store(path):
        return zarr.ZarrFile(path, wish)
    products = [name for name in os.listdir(path) if enmap.is_xml(name)]
    if len(products) == 1:
        return enmap.EnmapFile(os.path.join(path, products[0]), wish)
    raise UsageError(f"{path}: expected a file with a cube, found a folder that is no Zarr store")


def _of_file(source: Source, path: str, wish: Wish) -> CubeFile:
    head = source[:HEAD_BYTES]
    if head.startswith(npy.MAGIC[: max(len(head), 1)]):
        return npy.NpyFile(source, wish)
    kind = _kind_of(source, head, path)
    if kind is None:
        raise InvalidCubeError(f"{source.name}: expected a file of a known format ({KNOWN}), found {_told(head)}")
    if kind is raw.RawFile:
        return raw.RawFile(source, wish)
    if path != STANDARD and stat.S_ISREG(os.stat(path).st_mode):
        return kind(path, wish)
    if kind is envi.EnviFile:
        raise UsageError(f"{source.name}: an ENVI header: expected a path, beside which its samples are, found a pipe")
    with tempfile.NamedTemporaryFile(suffix=".spooled", delete=False) as spooled:  # libraries want a path
        try:
            for begin in range(0, len(source), 1 << 20):
                spooled.write(source[begin : begin + (1 << 20)])
            spooled.flush()
            cube: CubeFile = kind(spooled.name, wish)
            cube.path, cube.inputs = source.name, []
            return cube
        finally:
            with contextlib.suppress(OSError):  # an open file stays readable
                os.unlink(spooled.name)


def _kind_of(source: Source, head: bytes, path: str) -> Any:
    """The class of the reader; None for what no reader knows."""
    if head.startswith(geotiff.MAGICS):
        if hyspecnet.is_patch(path):
            return hyspecnet.PatchFile
        return enmap.EnmapFile if enmap.metadata_beside(path) else geotiff.GeoTiffFile
    if head.startswith(netcdf.MAGICS):
        return netcdf.NetCdfFile
    if head.startswith(mat.MAGIC_73):
        return mat.Mat73File
    if head.startswith(mat.MAGIC_5):
        return mat.MatFile
    if any(source[begin : begin + 8] == hdf5.MAGIC for begin in HDF5_BEGINS):
        return netcdf.NetCdfFile if _is_netcdf(source, path) else hdf5.Hdf5File
    if enmap.is_xml(path):
        return enmap.EnmapFile
    if head.startswith(LHIC):
        return None
    if envi.is_header(head) or envi.is_esri(head) or envi.header_of(path):
        return envi.EnviFile
    return raw.RawFile if raw.geometry(path) else None


def _is_netcdf(source: Source, path: str) -> bool:
    """NetCDF-4 is HDF5 with an attribute of its root that says so; older ones have only their suffix."""
    return b"_NCProperties" in source[:65536] or path.lower().endswith(netcdf.SUFFIXES)


def is_cube(path: str) -> bool:
    """Whether the file, or the folder, is of a format that is read; no more than its beginning is looked at."""
    if os.path.isdir(path):
        return zarr.is_store(path)
    with open_source(path) as source:
        head = source[:HEAD_BYTES]
        return head.startswith(npy.MAGIC) or (bool(head) and _kind_of(source, head, path) is not None)


def find_cubes(folder: str) -> Iterator[str]:
    """All below a folder that `is_cube`; of an EnMAP product or an ENVI file the one name that stands for the whole."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in list(folders):
            if zarr.is_store(os.path.join(place, name)):
                folders.remove(name)
                yield os.path.join(place, name)
        products = [name.upper().removesuffix("-METADATA.XML") for name in names if enmap.is_xml(name)]
        for name in sorted(names):
            path = os.path.join(place, name)
            if any(name.upper().startswith(product) for product in products) and not enmap.is_xml(name):
                continue
            if name.lower().endswith(".lhic") or not os.path.isfile(path):
                continue
            if envi.header_of(path) in (None, path) and _may_be_cube(path):
                yield path


def _may_be_cube(path: str) -> bool:
    """Whether a reader is to be asked: it refuses what is called a cube and is none, and what cannot be read."""
    try:
        return os.path.splitext(path)[1].lower() in CLAIMING_SUFFIXES or is_cube(path)
    except (OSError, LhicError):
        return True


def _told(head: bytes) -> str:
    for magic, what in OTHERS.items():
        if head.startswith(magic):
            return what
    return f"one that begins with {head[:8].hex(' ')}" if head else "an empty file"


def load_cube(path: str | os.PathLike, variable: str | None = None, axes: str | None = None) -> np.ndarray:
    """Read a whole cube, of any format that `lhic.encode_file` takes; ``-`` is standard input.

    Raises
    ------
    MemoryBudgetError
        It is too large; judged from its header alone.
    LhicError
        What else `open_cube` raises.
    """
    with open_cube(path, variable, axes) as cube:
        check_layout(cube.shape, cube.dtype, cube.path)
        check_memory(cube.nbytes, cube.path, f"shape {cube.shape} of {cube.dtype}")
        return cube[:, :, :]


# --- writing ----------------------------------------------------------------------------------------------------------


def format_of(path: str | os.PathLike, scene: Scene) -> str:
    """The format of an output: by its suffix, else that of the source, else ``.npy``.

    Raises
    ------
    UsageError
        The suffix is that of another kind of file.
    """
    name = os.fspath(path)
    source = scene.metadata.get("source", {})
    came_in = source.get("format") if isinstance(source, dict) else None
    suffix = os.path.splitext(name)[1].lower()
    if came_in == raw.NAME and raw.geometry(name) and suffix == str(source.get("suffix", "")).lower():
        return raw.NAME
    if came_in == envi.NAME and suffix == str(source.get("data_suffix", "")).lower() and name != STANDARD:
        return envi.NAME
    found = WRITERS.get(suffix)
    if found == mat.NAME and came_in == mat.NAME_73:
        return mat.NAME_73
    if found:
        return found
    special = name == STANDARD or (os.path.exists(name) and not os.path.isfile(name))  # a pipe, or a device
    if special or (not suffix and came_in in (None, npy.NAME)):
        return npy.NAME
    raise UsageError(
        f"{name}: expected a suffix that names a format ({', '.join(sorted(WRITERS))}), found {suffix or 'none'}"
    )


def usual_name(stream: str | os.PathLike, scene: Scene, suffix: str | None = None) -> str:
    """What a decoded stream is called if nobody says it: its name, with the suffix of the format that came in.

    suffix : of another format

    Raises
    ------
    UsageError
        No writer has that suffix.
    """
    stem = os.path.splitext(os.fspath(stream))[0]
    if suffix is not None:
        wanted = "." + suffix.lower().lstrip(".")
        if wanted not in WRITERS:
            raise UsageError(f"--format: expected one of {', '.join(sorted(WRITERS))}, found {suffix!r}")
        return stem + wanted
    source = scene.metadata.get("source", {})
    source = source if isinstance(source, dict) else {}
    kind = source.get("format", npy.NAME)
    if kind == envi.NAME:
        return stem + suffix_of(source, "header_suffix", ".hdr")
    if kind == raw.NAME:
        stem = stem if raw.geometry(stem) else f"{stem}-{raw.name_of(scene.dtype, scene.shape)}"
        return stem + suffix_of(source, "suffix", ".raw")
    if source.get("product") == enmap.NAME:
        return enmap.image_name(stem, str(source.get("image", "")))
    own = str(source.get("suffix") or USUAL_SUFFIX.get(kind, ".npy"))
    return stem + (own if own.lower() in WRITERS else USUAL_SUFFIX.get(kind, ".npy"))


@contextmanager
def create_cube(
    path: str | os.PathLike, scene: Scene, overwrite: bool = False, kind: str | None = None
) -> Iterator[CubeSink]:
    """A sink of windows; what it took stands at `path` once the block ends well, and nothing otherwise.

    kind : format; default: `format_of`
    What the file cannot say is then in the notes of the scene.
    """
    name = os.fspath(path)
    kind = kind or format_of(name, scene)
    if kind in (npy.NAME, raw.NAME):
        with atomic_write(name, overwrite) as file:
            yield npy.NpySink(file, scene) if kind == npy.NAME else raw.RawSink(file, scene)
        return
    source = scene.metadata.get("source", {})
    is_product = kind == geotiff.NAME and isinstance(source, dict) and source.get("product") == enmap.NAME
    create: Any = {
        geotiff.NAME: enmap.create if is_product else geotiff.create,
        "cog": lambda path, scene: geotiff.create(path, scene, cloud_optimized=True),
        envi.NAME: envi.create,
        netcdf.NAME: netcdf.create,
        hdf5.NAME: hdf5.create,
        zarr.NAME: zarr.create,
        mat.NAME: mat.create,
        mat.NAME_73: mat.create,
    }[kind]
    with atomic_folder(name, overwrite) as place, ExitStack() as opened:
        try:
            sink = opened.enter_context(create(place, scene))
        except (LhicError, OSError, MemoryError):
            raise
        except Exception as error:  # what a stream from elsewhere says of its source may be anything
            expected = f"what the stream says to make {kind}"
            advice = ": lhic export does without what it says of its source" if source else ""
            raise InvalidCubeError(f"{name}: expected {expected}, found {one_line(error)}{advice}") from error
        yield sink


def export_cube(
    path: str | os.PathLike, scene: Scene, overwrite: bool = False
) -> contextlib.AbstractContextManager[CubeSink]:
    """As `create_cube`, but whatever the source was: what any reader of the format expects; a GeoTIFF is a COG."""
    said = {key: value for key, value in scene.metadata.items() if key != "source"}
    kind = format_of(path, Scene(scene.shape, scene.dtype, said))
    kept = {name: raw for name, raw in scene.sources.items() if kind == geotiff.NAME and name == geotiff.GDAL}
    plain = Scene(scene.shape, scene.dtype, said, kept, scene.auxiliary, scene.notes)
    return create_cube(path, plain, overwrite, "cog" if kind == geotiff.NAME else kind)


def check_output(path: str | os.PathLike, overwrite: bool = False) -> None:
    """`UsageError` if `create_cube` would refuse the place."""
    if not (overwrite and zarr.is_store(os.fspath(path))):
        check_place(path, overwrite)


def stream_name(path: str) -> str:
    """What the stream of a cube is called if nobody says it: the cube's name with the suffix ``.lhic``.

    >>> stream_name("a/scene.dat.hdr"), stream_name("a/scene.v2.tif"), stream_name("ENMAP01-X-METADATA.XML")
    ('a/scene.lhic', 'a/scene.v2.lhic', 'ENMAP01-X.lhic')
    """
    stem, suffix = os.path.splitext(path.rstrip("/"))
    if suffix.lower() == ".hdr" and os.path.splitext(stem)[1].lower() in envi.DATA_SUFFIXES:
        stem = os.path.splitext(stem)[0]
    return (stem[: -len("-METADATA")] if enmap.is_xml(path) else stem) + ".lhic"


def check_stream_name(path: str | os.PathLike) -> None:
    """`UsageError` if a stream of that name would be taken for a file of another format."""
    stem, suffix = os.path.splitext(os.fspath(path))
    kind = WRITERS.get(suffix.lower())
    if kind is not None:
        raise UsageError(f"{path}: expected a name for a stream, such as {stem}.lhic, found the suffix of {kind}")


def save_cube(path: str | os.PathLike, cube: np.ndarray, overwrite: bool = False) -> None:
    """Write a cube, as ``.npy`` or in the format of the path's suffix; it appears when it is complete."""
    n_bands, n_rows, n_columns = check_cube(cube, "cube").shape
    with create_cube(path, Scene((n_bands, n_rows, n_columns), cube.dtype), overwrite) as sink:
        sink[:, :, :] = cube
