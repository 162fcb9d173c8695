"""xarray: the engine ``lhic`` opens streams, decoded where they are looked at; the accessor ``.lhic`` writes them.

Decides which parts of a stream become variables, coordinates and attributes, and back.  What these are called, and how
they lie in a stream, is `lhic.formats.tree`'s affair, as for NetCDF: a dataset is one more tree of named arrays.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lhic.api import ModelLike, encode_file
from lhic.errors import InvalidCubeError, UsageError, one_line
from lhic.extras import needs
from lhic.families.registry import DEFAULT_MODEL
from lhic.formats.base import Scene, Wish, number
from lhic.formats.rest import REST, write_rest
from lhic.formats.tree import TREE, Plan, TreeFile, Variable, plan
from lhic.opened import CACHE_BYTES, StreamCube, open_cube
from lhic.stream.auxiliary import HEADER_MARK

with needs("xarray", "lhic.integrations.xarray"):
    import xarray as xr
    from xarray import conventions
    from xarray.backends import BackendArray, BackendEntrypoint
    from xarray.core import indexing

NAME = "xarray"
SUFFIX = ".lhic"
PER_BAND = {"band_names": "band_name", "scale": "scale", "offset": "offset", "nodata": "nodata"}
"""Metadata that may be a list, and the coordinate that then says it."""
FROM_METADATA = ("wavelength", "fwhm", "good_wavelengths", "spatial_ref", *PER_BAND.values())
OF_THE_SOURCE = "source", "default_bands"
"""Metadata that a dataset does not say: it may be changed, and has attributes for the second."""


# --- stream to dataset ------------------------------------------------------------------------------------------------


class LhicBackendEntrypoint(BackendEntrypoint):
    """What ``xarray.open_dataset("scene.lhic")`` calls.

    The samples are the variable `cube` with the axes ``band``, ``y``, ``x``; what ``to_lhic`` wrote has its own names.
    """

    description = "Open lhic streams (.lhic), decoded where they are indexed"
    url = "https://docs.xarray.dev/en/stable/internals/how-to-add-new-backend.html"

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        mask_and_scale: bool = True,
        decode_times: bool = True,
        concat_characters: bool = True,
        decode_coords: bool = True,
        use_cftime: bool | None = None,
        decode_timedelta: bool | None = None,
        device: str = "auto",
        model: ModelLike | None = None,
        threads: int | None = None,
        cache_bytes: int = CACHE_BYTES,
        check: bool = False,
    ) -> xr.Dataset:
        """A stream as a dataset, of which only the header is read now.

        Parameters
        ----------
        filename_or_obj : path, URL or binary file object, as `lhic.open` takes them; of bytes, ``io.BytesIO(stream)``
        mask_and_scale : whether "no data" becomes NaN, and samples what they stand for; also where bands differ in it
        device, model, threads, cache_bytes, check : as `lhic.open` takes them
        drop_variables, decode_times, concat_characters, decode_coords, use_cftime, decode_timedelta : as
            `xarray.open_dataset` takes them

        Raises
        ------
        UsageError
            Bytes, of which xarray makes no chunks.
        LhicError
            What `lhic.open` raises; also later, where samples are looked at.
        """
        if isinstance(filename_or_obj, bytes | bytearray | memoryview):
            found = type(filename_or_obj).__name__
            raise UsageError(
                f"stream: expected a path, a URL or a file object such as io.BytesIO(stream), found {found}"
            )
        source = os.path.expanduser(filename_or_obj) if isinstance(filename_or_obj, str) else filename_or_obj
        source = source.getvalue() if isinstance(source, io.BytesIO) else source  # which can be pickled
        cube = open_cube(source, device, model=model, threads=threads, cache_bytes=cache_bytes, check=check)
        dataset, indexes = _dataset(cube, mask_and_scale)
        decoded = xr.decode_cf(
            dataset,
            mask_and_scale=mask_and_scale,
            decode_times=decode_times,
            concat_characters=concat_characters,
            decode_coords=decode_coords,
            drop_variables=drop_variables,
            use_cftime=use_cftime,
            decode_timedelta=decode_timedelta,
        )
        decoded = _with_indexes(decoded, indexes)
        decoded.set_close(cube.close)
        return decoded

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        return os.path.splitext(os.fspath(filename_or_obj))[1].lower() == SUFFIX


class CubeArray(BackendArray):
    """The samples, with the axes of the dataset; what is indexed is decoded.

    order : of each axis, which axis of the cube it is; -1 for one of length 1 that is none
    bands : scale, offset and "no data" of each band, where these are to be applied
    """

    def __init__(self, cube: StreamCube, order: tuple[int, ...], bands: np.ndarray | None = None):
        self._cube, self._order, self._bands = cube, order, bands
        self.shape = tuple(1 if axis < 0 else cube.shape[axis] for axis in order)
        self.dtype = cube.dtype if bands is None else np.dtype("float64")

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        kept = [axis for axis in self._order if axis >= 0]
        parts = [_one(k, n) if isinstance(k, int | np.integer) else k for k, n in zip(key, self.shape)]
        window = {axis: part for axis, part in zip(self._order, parts) if axis >= 0}
        samples = self._cube[window[0], window[1], window[2]]
        if self._bands is not None:
            samples = _physical(samples, self._bands[:, window[0]])
        samples = np.expand_dims(samples.transpose(kept), [i for i, axis in enumerate(self._order) if axis < 0])
        rest = (slice(None) if axis >= 0 else part for axis, part in zip(self._order, parts))
        samples = samples[tuple(rest)]
        return samples[tuple(0 if isinstance(k, int | np.integer) else slice(None) for k in key)]


def _one(place: int, n: int) -> slice:
    """The one place of an axis of n."""
    if not -n <= place < n:
        raise IndexError(f"index: expected {-n}..{n - 1}, found {place}")
    return slice(place % n, place % n + 1)


class AuxiliaryArray(BackendArray):
    """An array beside the cube, read when it is looked at."""

    def __init__(self, cube: StreamCube, name: str):
        self._cube, self._name = cube, name
        self.shape, self.dtype = cube.auxiliary[name]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._cube.read_auxiliary(self._name), dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        return self._cube.read_auxiliary(self._name)[key]


def _physical(samples: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Samples (S, h, w) as what they stand for, float64; `bands` is scale, offset and "no data" of each."""
    scale, offset, nodata = (values[:, None, None] for values in bands)
    return np.where(samples == nodata, np.nan, samples * scale + offset)


def _dataset(cube: StreamCube, mask_and_scale: bool) -> tuple[xr.Dataset, list[str]]:
    """The dataset as it is stored, with attributes for `xarray.decode_cf`; and coordinates that are to be indexes."""
    sources = {TREE: cube.read_auxiliary(HEADER_MARK + TREE).tobytes()} if HEADER_MARK + TREE in cube.auxiliary else {}
    beside = {name: AuxiliaryArray(cube, name) for name in cube.auxiliary if not name.startswith(HEADER_MARK)}
    scene = Scene(cube.shape, cube.dtype, cube.metadata, sources, beside)
    is_own = bool(scene.source(NAME) and sources)
    tree = plan(scene, NAME)
    attributes = dict(tree.groups.get("", {}))
    bands = _per_band(cube)
    variables: dict[str, xr.Variable] = {}
    for node in tree.nodes:
        name = node.path.replace("/", "_")
        if node.path == tree.cube:
            variables[name] = _cube_variable(cube, tree, node.names, node.attributes, bands if mask_and_scale else None)
            continue
        data = np.asarray(node.data) if node.dtype is None else node.data
        if isinstance(data, AuxiliaryArray):
            data = indexing.LazilyIndexedArray(data)
        variables[name] = xr.Variable(node.names, data, node.attributes)
    if not is_own:
        _tell_the_rest(cube, variables, attributes, bands is not None and not mask_and_scale)
    dataset = xr.Dataset(variables, attrs=attributes)
    if is_own:
        indexes = tree.extra.get("indexes", [])
        return dataset, [name for name in indexes if isinstance(name, str)] if isinstance(indexes, list) else []
    return dataset.set_coords([name for name in FROM_METADATA if name in variables]), ["wavelength"]


def _cube_variable(
    cube: StreamCube, tree: Plan, names: tuple[str, ...], attributes: Mapping[str, Any], bands: np.ndarray | None
) -> xr.Variable:
    tiles = cube.shape[0], *cube.tile_shape
    chunks = {name: 1 if axis < 0 else tiles[axis] for name, axis in zip(names, tree.order, strict=True)}
    said = dict(attributes)
    if bands is not None:
        said = {key: value for key, value in said.items() if key not in ("scale_factor", "add_offset", "_FillValue")}
        if "unit" in cube.metadata:
            said["units"] = cube.metadata["unit"]
    data = indexing.LazilyIndexedArray(CubeArray(cube, tree.order, bands))
    return xr.Variable(names, data, said, {"preferred_chunks": chunks})


def _per_band(cube: StreamCube) -> np.ndarray | None:
    """Scale, offset and "no data" of each band, (3, S) float64; None where all bands have the same."""
    if not any(isinstance(cube.metadata.get(key), list) for key in ("scale", "offset", "nodata")):
        return None
    found = np.empty((3, cube.shape[0]))
    for row, (key, default) in enumerate((("scale", 1), ("offset", 0), ("nodata", None))):
        value = cube.metadata.get(key, default)
        listed = value if isinstance(value, list) else [value] * cube.shape[0]
        found[row] = [np.nan if item is None else float(item) for item in listed]
    return found


def _tell_the_rest(
    cube: StreamCube, variables: dict[str, xr.Variable], attributes: dict[str, Any], as_stored: bool
) -> None:
    """Metadata that CF has no place for: lists as coordinates of the bands, to be selected along; others as JSON."""
    said = {key: value for key, value in cube.metadata.items() if key not in OF_THE_SOURCE}
    own = json.loads(attributes.pop(REST, "{}"))
    for key, name in PER_BAND.items():
        value = said.get(key)
        if key != "nodata" or isinstance(value, list):
            own.pop(key, None)
        if isinstance(value, list) and name not in variables and as_stored:
            listed = [np.nan if item is None else float(item) for item in value]
            variables[name] = xr.Variable(("band",), np.asarray(listed))
        elif key in ("scale", "offset") and as_stored and value is not None:
            own[key] = value
    own.pop("default_bands", None)
    if "default_bands" in cube.metadata:
        variables["cube"].attrs["default_bands"] = cube.metadata["default_bands"]
    if own:
        attributes[REST] = write_rest(own)


def _with_indexes(dataset: xr.Dataset, names: list[str]) -> xr.Dataset:
    """With ``.sel(wavelength=...)``, say, where no two places have the same value."""
    for name in names:
        found = dataset.coords.get(name)
        if found is not None and found.ndim == 1 and name not in dataset.xindexes:
            if len(np.unique(found.values)) == found.size:
                dataset = dataset.set_xindex(name)
    return dataset


# --- dataset to stream ------------------------------------------------------------------------------------------------


@xr.register_dataset_accessor("lhic")
@xr.register_dataarray_accessor("lhic")
class LhicAccessor:
    """``.lhic`` of datasets and arrays, once `lhic.integrations.xarray` is imported or a stream was opened."""

    def __init__(self, data: xr.Dataset | xr.DataArray):
        self._data = data

    def to_lhic(
        self,
        path: str | os.PathLike,
        model: ModelLike = DEFAULT_MODEL,
        *,
        variable: str | None = None,
        axes: str | None = None,
        overwrite: bool = False,
        **options: Any,
    ) -> dict:
        """Write a stream with the cube, and with the other variables, coordinates and attributes beside it.

        Values are packed as `Dataset.to_netcdf` packs them: by the variable's encoding (``dtype``, ``_FillValue``,
        ``scale_factor``, ``add_offset``), then coded without loss. Of an array of Dask's, windows are computed. A value
        that its ``dtype`` cannot hold is refused, which `Dataset.to_netcdf` writes as another one.

        Parameters
        ----------
        path : to write
        variable : which one is the cube, where a dataset has several
        axes : such as ``rows,columns,bands``, where the names of the axes do not tell
        overwrite : whether it may replace a file
        model, options : as `lhic.encode_file` takes them

        Returns
        -------
        dict : what `lhic.inspect` says of the stream

        Raises
        ------
        InvalidCubeError
            A value is out of the range of the dtype that its variable is packed as, or would come back as "no data";
            NaN without a ``_FillValue`` to stand for it. No file is written.
        LhicError
            What `lhic.encode_file` raises.

        Examples
        --------
        >>> import numpy as np, tempfile, xarray as xr
        >>> scene = xr.DataArray(np.arange(6 * 9 * 8, dtype="int16").reshape(6, 9, 8), dims=("band", "y", "x"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     info = scene.lhic.to_lhic(f"{folder}/scene.lhic", "lhic-ax-fast")
        ...     again = xr.open_dataarray(f"{folder}/scene.lhic", engine=LhicBackendEntrypoint)
        ...     again.identical(scene.rename("cube"))
        True
        """
        data = self._data
        if isinstance(data, xr.DataArray):
            variable = str(data.name or "cube")
            data = (data.expand_dims("band") if data.ndim == 2 else data).to_dataset(name=variable)
        file = DatasetFile(data, Wish(variable, axes))
        for note in file.notes:
            if " is left out" in note:
                warnings.warn(note, stacklevel=2)
        return encode_file(file, path, model, overwrite=overwrite, **options)


class DatasetFile(TreeFile):
    """A dataset as a file of which windows are computed when they are read."""

    format = "an xarray dataset"
    name = NAME

    def __init__(self, dataset: xr.Dataset, wish: Wish):
        super().__init__("dataset")
        self.inputs = []
        for name, index in dataset.xindexes.items():
            if isinstance(index, xr.indexes.PandasMultiIndex):
                expected = f"indexes of one level: reset_index({name!r}) makes coordinates of it"
                raise InvalidCubeError(f"dataset: expected {expected}, found a MultiIndex")
        originals, said = conventions.encode_dataset_coordinates(dataset)
        try:
            encoded, attributes = conventions.cf_encoder(originals, said)
        except (ValueError, OverflowError, TypeError) as error:
            expected = "variables that xarray can encode"
            raise InvalidCubeError(f"dataset: expected {expected}, found {one_line(error)}") from error
        variables = [
            Variable(
                str(name), _values(str(name), one, originals.get(name)), tuple(map(str, one.dims)), dict(one.attrs)
            )
            for name, one in encoded.items()
        ]
        indexes = [str(name) for name in dataset.xindexes if name not in dataset.dims]  # that a name does not tell
        self.choose(variables, {"": dict(attributes)}, wish, (0, 1, 2), {"indexes": indexes})
        self.sources = {TREE: self.tree()}

    def _metadata(self) -> dict[str, Any]:
        found = super()._metadata()
        assert self.cube.names is not None
        n_bands, band = self.shape[0], self.cube.names[self.order.index(0)]
        for key, name in PER_BAND.items():
            for one in self._variables:
                if one.name == name and one.names == (band,):
                    values = one.array[...].tolist()
                    found[key] = values if key == "band_names" else [None if v != v else number(v) for v in values]
        bands = np.asarray(self.cube.attributes.get("default_bands", [])).ravel().tolist()
        if 1 <= len(bands) <= 3 and all(isinstance(one, int) and 0 <= one < n_bands for one in bands):
            found["default_bands"] = bands
        return found | self._transform(found.get("transform"))

    def _transform(self, stated: list[float] | None) -> dict[str, Any]:
        """That of the coordinates, which are selected along; unless what is stated says the same, to the last bit."""
        assert self.cube.names is not None
        found = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        for axis, step_at, first_at in ((1, 4, 5), (2, 0, 2)):
            name = self.cube.names[self.order.index(axis)]
            values = [one.array[...] for one in self._variables if one.name == name and one.names == (name,)]
            if not values or len(values[0]) < 2 or values[0].dtype.kind not in "iuf":
                return {}
            (centres,) = values
            step = (float(centres[-1]) - float(centres[0])) / (len(centres) - 1)
            regular = float(centres[0]) + step * np.arange(len(centres))
            if step == 0 or not np.allclose(centres, regular, rtol=0, atol=abs(step) / 1000):
                return {}
            found[step_at], found[first_at] = step, float(centres[0]) - step / 2
        extent = [max(self.shape[1:]) * abs(found[4]), max(self.shape[1:]) * abs(found[0])]
        if stated and np.allclose(stated, found, rtol=1e-9, atol=1e-6 * min(extent)):
            return {}
        return {"transform": [number(value) for value in found]}


class _Values:
    """A variable as it is stored; basic slices of it are computed."""

    def __init__(self, variable: xr.Variable):
        self._variable, self.shape = variable, variable.shape
        self.dtype = np.dtype(variable.dtype)
        if self.dtype.kind == "O":
            texts = np.asarray(variable.values).ravel().tolist()
            if not all(isinstance(text, str) for text in texts):
                raise InvalidCubeError("dataset: expected numbers, times and texts, found other objects")
        self.chunks = tuple(max(sizes) for sizes in variable.chunks) if variable.chunks else None

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self._variable[key].values)


def _values(name: str, stored: xr.Variable, original: xr.Variable | None) -> _Values:
    """A variable as it is stored, checked where xarray packs numbers into another dtype."""
    is_packed = (
        original is not None
        and original.dtype != stored.dtype
        and {original.dtype.kind, stored.dtype.kind} <= set("iuf")
    )
    return _Packed(name, stored, original) if is_packed else _Values(stored)


class _Packed(_Values):
    """Numbers that xarray packs into another dtype, which it does without a look at that one's range."""

    def __init__(self, name: str, stored: xr.Variable, original: xr.Variable):
        super().__init__(stored)
        self._name, self._original = name, original

    def __getitem__(self, key: Any) -> np.ndarray:
        stored, original = self._variable[key], self._original[key]
        if self.chunks:
            from dask import compute

            values, wanted = compute(stored.data, original.data)  # at once: what both are made of is computed once
        else:
            values, wanted = stored.values, original.values
        values, wanted = np.asarray(values), np.asarray(wanted)
        self._check(values, wanted, stored.attrs)
        return values

    def _check(self, stored: np.ndarray, original: np.ndarray, said: Mapping[str, Any]) -> None:
        """`InvalidCubeError` if a value is not what is stored for it, to one step."""
        scale, offset = float(said.get("scale_factor", 1)), float(said.get("add_offset", 0))
        fills = [said[key] for key in ("_FillValue", "missing_value") if key in said]
        packed, finite = f"{self._name}: expected values that {stored.dtype} holds", np.isfinite(original)
        if scale != 1 or offset != 0:
            packed += f" with scale_factor {scale:g} and add_offset {offset:g}"
        if stored.dtype.kind == "f":
            self._refuse(finite & ~np.isfinite(stored), original, packed)
            return
        if not fills:
            self._refuse(np.isnan(original), original, f"{self._name}: expected a _FillValue to stand for NaN")
        # A signed type may stand for an unsigned one, and the other way round, which the attribute says.
        kind = {"true": "u", "false": "i"}.get(str(said.get("_Unsigned")).lower(), stored.dtype.kind)
        dtype = np.dtype(f"{kind}{stored.dtype.itemsize}")
        limits = np.iinfo(dtype)
        with np.errstate(all="ignore"):
            steps = (original.astype(np.float64) - offset) / scale
            rounded = np.round(steps)
            # float(max) + 1 is exact for each dtype, and max itself is not for int64.
            outside = (rounded < float(limits.min)) | (rounded >= float(limits.max) + 1)
            # xarray may compute in binary32, whose rounding is allowed for; a value that wraps is off by 256 or more.
            off = np.abs(stored.astype(dtype).astype(np.float64) - steps) > 1 + 1e-6 * np.abs(steps)
        self._refuse(~np.isnan(original) & (outside | off), original, packed)
        if original.dtype.kind == "f":
            for fill in fills:
                lost = finite & (stored == fill) & (original != fill)
                self._refuse(
                    lost, original, f"{self._name}: expected values that are not packed to {fill}, its _FillValue"
                )

    @staticmethod
    def _refuse(wrong: np.ndarray, original: np.ndarray, expected: str) -> None:
        if wrong.any():
            n_others = int(np.count_nonzero(wrong)) - 1
            more = f" and {n_others} more in the same window" if n_others else ""
            raise InvalidCubeError(f"{expected}, found {original[wrong].flat[0]}{more}")
