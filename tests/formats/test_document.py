"""The tables of docs/formats.md say what the registry knows, and what files that are written keep."""

import re

import numpy as np
import pytest

import lhic
from lhic.families.raw import RawModel
from lhic.formats import envi, geotiff, hdf5, mat, netcdf, npy, open_cube, zarr
from lhic.formats.registry import WRITERS
from tests.common import REPOSITORY
from tests.formats.cubes import BANDS, COLUMNS, ROWS, WAVELENGTHS, scene

DOCUMENT = (REPOSITORY / "docs" / "formats.md").read_text()
ROW_OF = {  # format -> beginning of its row in the first table
    npy.NAME: "`.npy`",
    envi.NAME: "ENVI",
    geotiff.NAME: "GeoTIFF",
    hdf5.NAME: "HDF5",
    netcdf.NAME: "NetCDF",
    mat.NAME: "MATLAB 5",
    zarr.NAME: "Zarr",
}
RPCS = dict.fromkeys("line_off samp_off lat_off long_off height_off".split(), 100.0)
RPCS |= dict.fromkeys("line_scale samp_scale lat_scale long_scale height_scale".split(), 2.0)
RPCS |= {key: [1.0] * 20 for key in "line_num_coeff line_den_coeff samp_num_coeff samp_den_coeff".split()}
SPECTRAL = {"wavelengths": WAVELENGTHS, "fwhm": [8.5] * BANDS, "wavelength_unit": "nm"}
PLACE = {"crs": "EPSG:32633", "transform": [30, 0, 300000, 0, -30, 5000000]}
POINTS = {
    "gcps": [[0, 0, 10, 50, 0], [0, COLUMNS, 11, 50, 0], [ROWS, 0, 10, 49, 0], [ROWS, COLUMNS, 11, 49, 0]],
    "gcps_crs": "EPSG:4326",
}
SAID = {  # line of the second table -> metadata with what it is about
    "wavelengths, width, unit": SPECTRAL,
    "bad bands": {"bad_bands": [band % 5 == 0 for band in range(BANDS)]},
    "names of bands": {"band_names": [f"band {band}" for band in range(BANDS)]},
    "bands to show": {"default_bands": [9, 5, 2]},
    "nodata": {"nodata": -32768},
    "nodata of each band": {"nodata": [*range(BANDS - 1), None]},
    "scale and offset": {"scale": 0.0001, "offset": 0.5},
    "scale and offset of each band": {
        "scale": [0.001 * (band + 1) for band in range(BANDS)],
        "offset": [-1.5 * band for band in range(BANDS)],
    },
    "quantity": {"quantity": "radiance"},
    "unit": {"unit": "W m-2 sr-1"},
    "description": {"description": "a lake"},
    "coordinate system, transform": PLACE,
    "control points": POINTS,
    "RPCs": {"rpcs": RPCS},
    "times": {"times": ["2024-05-01T10:00:00Z"]},
    "`extra`": {"extra": {"campaign": [1, 2]}},
}
COLUMNS_OF = {
    "GeoTIFF": "a.tif",
    "ENVI": "a.hdr",
    "NetCDF": "a.nc",
    "HDF5": "a.h5",
    "Zarr": "a.zarr",
    "MATLAB": "a.mat",
}
pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform", "ignore::lhic.errors.LhicWarning")


def rows() -> list[list[str]]:
    """Cells of the first table."""
    table = DOCUMENT.partition("\n|")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("| \n").split(" | ")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("name", sorted(set(WRITERS.values())))
def test_the_first_table_names_the_suffixes_that_are_written(name):
    (row,) = (row for row in rows() if row[0].startswith(ROW_OF[name]))
    told = set(re.findall(r"`(\.\w+)`", row[5]))
    assert told == {suffix for suffix, written in WRITERS.items() if written == name}


def is_kept(key: str, value: object, found: object) -> bool:
    if key == "crs" and found:
        crs = pytest.importorskip("rasterio.crs").CRS
        return crs.from_string(found) == crs.from_string(value)
    if key == "rpcs":
        return bool(found) and all(np.allclose(found[name], number) for name, number in value.items())
    return found == value


@pytest.mark.slow
def test_the_second_table_says_what_is_kept(tmp_path):
    """By writing each of these things into each format, from a stream that came from none, and reading it."""
    for library in ("rasterio", "netCDF4", "h5py", "scipy", "zarr"):
        pytest.importorskip(library)
    lines = ["| what a stream says | " + " | ".join(COLUMNS_OF) + " |", "|---|" + "---|" * len(COLUMNS_OF)]
    for line, said in SAID.items():
        (tmp_path / "a.lhic").write_bytes(lhic.encode(scene(), RawModel(), metadata=said))
        cells = []
        for name in COLUMNS_OF.values():
            lhic.decode_file(tmp_path / "a.lhic", tmp_path / name, plain=True, overwrite=True)
            with open_cube(tmp_path / name) as cube:
                kept = [key for key, value in said.items() if is_kept(key, value, cube.metadata.get(key))]
                assert np.array_equal(cube[:, :, :], scene())
            cells.append("yes" if len(kept) == len(said) else ", ".join(kept) or "no")
        lines.append(f"| {line} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    assert table in DOCUMENT, f"docs/formats.md: expected this table\n{table}"
