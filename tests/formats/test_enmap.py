"""EnMAP products by their XML, and HySpecNet patches by their names."""

import numpy as np
import pytest

from lhic.data.hyspecnet import bundled_root, find_patches
from lhic.errors import UsageError
from lhic.formats import open_cube
from tests.formats.cubes import check_windows, scene
from tests.formats.test_geotiff import write

pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

PRODUCT = "ENMAP01-____L2A-DT0000000001_20220612T105735Z_028_V010303_20230922T131734Z"


def product(folder, name=f"{PRODUCT}-SPECTRAL_IMAGE.TIF", n_bands=24):
    bands = "".join(
        f'<bandID number="{i + 1}"><wavelengthCenterOfBand>{420 + 8.5 * i}</wavelengthCenterOfBand>'
        f"<FWHMOfBand>7</FWHMOfBand><GainOfBand>0.0001</GainOfBand><OffsetOfBand>0</OffsetOfBand></bandID>"
        for i in range(n_bands)
    )
    xml = folder / f"{PRODUCT}-METADATA.XML"
    xml.write_text(
        f'<?xml version="1.0"?><level_X><base><startTime>2022-06-12T10:57:35Z</startTime></base>'
        f"<specific><bandCharacterisation>{bands}</bandCharacterisation><backgroundValue>-32768</backgroundValue>"
        f"</specific></level_X>"
    )
    write(folder / name, scene())
    write(folder / f"{PRODUCT}-QL_QUALITY_CLOUD.TIF", np.eye(20, 17, dtype="uint8")[None])
    return xml


def test_a_product_by_either_name(tmp_path):
    xml = product(tmp_path)
    for path in (xml, tmp_path / f"{PRODUCT}-SPECTRAL_IMAGE.TIF", tmp_path):
        with open_cube(path) as found:
            check_windows(found, scene())
            said = found.metadata
            assert said["wavelengths"][1] == 428.5 and said["wavelength_unit"] == "nm" and said["fwhm"] == [7] * 24
            assert said["scale"] == 1e-4 and said["nodata"] == -32768 and said["quantity"] == "reflectance"
            assert said["times"] == ["2022-06-12T10:57:35Z"] and found.sources["METADATA.XML"] == xml.read_bytes()
            assert np.array_equal(found.auxiliary()["QL_QUALITY_CLOUD"][0], np.eye(20, 17, dtype="uint8"))


def test_two_images_of_a_product_are_a_choice(tmp_path):
    for part in ("VNIR", "SWIR"):
        xml = product(tmp_path, f"{PRODUCT}-SPECTRAL_IMAGE_{part}.TIF")
    with pytest.raises(UsageError, match="an EnMAP product with two cubes, SWIR and VNIR: choose with --variable"):
        open_cube(xml)
    with open_cube(xml, variable="VNIR") as found:
        check_windows(found, scene())


def test_bands_that_the_xml_does_not_describe_are_told(tmp_path):
    with open_cube(product(tmp_path, n_bands=23)) as found:
        assert "wavelengths" not in found.metadata and "23 bands, the image has 24" in found.notes[0]


def test_a_patch_is_read_with_all_its_bands():
    (patch,) = find_patches(bundled_root())
    with open_cube(patch.tif) as found:
        assert found.shape == (224, 128, 128) and sum(found.metadata["bad_bands"]) == 22
        assert found.format == "a HySpecNet patch" and found.metadata["crs"].startswith("EPSG:")
