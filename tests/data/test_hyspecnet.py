import shutil

import numpy as np
import pytest
import tifffile

from lhic.data import hyspecnet as h
from lhic.data import open_dataset
from lhic.errors import DatasetError


@pytest.fixture(scope="module")
def bundled():
    (patch,) = h.find_patches(h.bundled_root())
    return patch


@pytest.fixture
def root(tmp_path, bundled):
    """A copy of the bundled root that a test may damage."""
    shutil.copytree(bundled.root, tmp_path / "hyspecnet-11k")
    return tmp_path / "hyspecnet-11k"


def write_split(root, name, lines):
    file = root / "splits" / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def fake_lines(n_patches, n_tiles):
    for i in range(n_patches):
        tile = f"ENMAP01-____L2A-DT{i % n_tiles:010d}_20221103T162438Z_001_V010110_20221118T145147Z"
        patch = f"{tile}-Y00010128_X{i:08d}"
        yield f"{tile}/{patch}/{patch}-DATA.npy"


def test_kept_bands_are_202():
    assert len(h.KEPT_BANDS) == 202
    assert h.DROPPED_BANDS[0] == 126 and h.DROPPED_BANDS[14] == 140 and h.DROPPED_BANDS[15:] == tuple(range(160, 167))


def test_documented_counts_add_up():
    assert sum(h.SPLIT_SIZES["easy"].values()) == h.N_PATCHES
    assert sum(h.SPLIT_TILES["hard"].values()) == h.N_TILES


def test_bundled_patch_is_as_distributed(bundled):
    bands = h.read_tif(bundled.tif)
    assert bands.shape == (224, 128, 128) and bands.dtype == np.int16
    # The dropped bands are exactly the ones without data.
    empty = [b for b in range(224) if (bands[b] == h.NODATA).all()]
    assert tuple(empty) == h.DROPPED_BANDS


def test_unclipped_keeps_every_value_and_clipped_only_the_documented_range(bundled):
    bands = h.read_tif(bundled.tif)
    plain, clipped = h.read_patch(bundled), h.read_patch(bundled, clip=True)
    assert plain.dtype == np.int16 and clipped.dtype == np.int32
    np.testing.assert_array_equal(plain, np.delete(bands, h.DROPPED_BANDS, axis=0))
    np.testing.assert_array_equal(clipped, np.where(plain < 0, 0, np.minimum(plain, 10_000)))
    assert (plain.min(), plain.max()) == (-359, 768)


@pytest.mark.shared
def test_bundled_patch_equals_the_independent_copy(bundled):
    from tests.common import shared_path

    expected = np.load(shared_path("data/cubes/enmap_hyspecnet_dt4950_X04390566.npy"))
    np.testing.assert_array_equal(h.read_patch(bundled), expected)


def test_metadata_is_what_the_tags_say(bundled):
    metadata = h.read_metadata(bundled.tif)
    assert metadata == {
        "nodata": -32768,
        "crs": "EPSG:32618",
        "transform": [30.0, 0.0, 691845.0, 0.0, -30.0, 4561935.0],
    }


@pytest.mark.parametrize(
    ("written", "found"),
    [("-32768.0", -32768), ("-3.2768e+04", -32768), ("nan", None), ("0.5", None), ("1e999", None), ("none", None)],
)
def test_a_nodata_tag_is_an_integer_or_one_line(tmp_path, written, found):
    path = tmp_path / "x.tif"
    tags = [(42113, "s", 0, written, True)]  # GDAL_NODATA
    tifffile.imwrite(path, np.zeros((4, 5), np.int16), extratags=tags)
    if found is not None:
        assert h.read_metadata(path) == {"nodata": found}
        return
    with pytest.raises(DatasetError, match=rf"x\.tif: nodata: expected an integer, found '{written}'"):
        h.read_metadata(path)


def test_metadata_of_a_damaged_tif_is_one_line(bundled, tmp_path):
    data, path = bundled.tif.read_bytes(), tmp_path / "x.tif"
    damaged = [data[:size] for size in (0, 3, 4, 8, 200)]
    rng = np.random.default_rng(0)
    for place in rng.integers(0, 2000, 60):  # where the directory of the tags is
        damaged.append(data[:place] + bytes([data[place] ^ 1 << rng.integers(8)]) + data[place + 1 : 5000])
    n_errors = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            assert isinstance(h.read_metadata(path), dict)
        except DatasetError as error:
            n_errors += 1
            assert "\n" not in str(error) and "x.tif" in str(error)
    assert n_errors >= 5
    with pytest.raises(DatasetError, match="file missing"):
        h.read_metadata(tmp_path / "none.tif")


def test_root_may_be_named_by_its_parent(root):
    assert h.find_patches(root) == h.find_patches(root.parent)


def test_split_size_is_checked_against_the_official_one(root):
    lines = list(fake_lines(1149, 30))
    write_split(root, "easy/test", lines[:-1])
    with pytest.raises(DatasetError, match=r"expected the official 1149 patches, found 1148"):
        h.read_split(root, "easy/test")
    write_split(root, "hard/test", fake_lines(100, 24))
    with pytest.raises(DatasetError, match=r"expected the official 25 tiles, found 24"):
        h.read_split(root, "hard/test")
    write_split(root, "easy/test", lines[:-1] + lines[:1])  # right length, one patch twice
    with pytest.raises(DatasetError, match="found 1148"):
        h.read_split(root, "easy/test")


def test_missing_patches_are_counted_and_named(root):
    lines = list(fake_lines(1149, 30))
    write_split(root, "easy/test", lines)
    with pytest.raises(DatasetError, match="1149 of the 1149 patches of split easy/test are missing") as caught:
        h.read_split(root, "easy/test")
    assert lines[0].replace("DATA.npy", "SPECTRAL_IMAGE.TIF") in str(caught.value)
    assert h.DOI in str(caught.value) and "\n" not in str(caught.value)


def test_missing_split_names_those_that_are_there(root):
    with pytest.raises(DatasetError, match=r"hard/train\.csv: split file missing \(found: bundled/test\)"):
        h.read_split(root, "hard/train")


@pytest.mark.parametrize("line", ["x.npy", "tile/patch/patch-DATA.npy", "a/b/c/d"])
def test_malformed_split_line(root, line):
    write_split(root, "mine/test", [line])
    with pytest.raises(DatasetError):
        h.read_split(root, "mine/test")


def test_empty_split(root):
    write_split(root, "mine/test", [])
    with pytest.raises(DatasetError, match="at least one patch"):
        h.read_split(root, "mine/test")


def test_incomplete_root_is_not_complete(root):
    with pytest.raises(DatasetError, match="expected 11483 patches, found 1"):
        h.check_complete(root)


def test_no_dataset_at_all(tmp_path):
    with pytest.raises(DatasetError, match="expected a folder `patches`"):
        h.find_patches(tmp_path)
    (tmp_path / "patches").mkdir()
    with pytest.raises(DatasetError, match="found none"):
        h.find_patches(tmp_path)


@pytest.mark.parametrize("keep", [0, 3, 5_000, 60_000, 1_800_000, -1])
def test_half_downloaded_tif(root, keep):
    (patch,) = h.find_patches(root)
    data = patch.tif.read_bytes()
    patch.tif.write_bytes(data[:keep])
    with pytest.raises(DatasetError, match=r"SPECTRAL_IMAGE\.TIF: .*download it again"):
        h.read_patch(patch)


def test_tif_of_another_shape(root):
    (patch,) = h.find_patches(root)
    tifffile.imwrite(patch.tif, np.zeros((3, 128, 128), np.int16), photometric="minisblack")
    with pytest.raises(DatasetError, match=r"expected int16 \(224, 128, 128\), found int16 \(3, 128, 128\)"):
        h.read_patch(patch)


def test_convert_root_writes_once_and_refuses_foreign_arrays(root):
    (patch,) = h.find_patches(root)
    assert h.convert_root(root, clip=True, progress=False) == [patch.array_path(True)]
    assert h.convert_root(root, clip=False, progress=False) == [patch.array_path(False)]
    np.testing.assert_array_equal(np.load(patch.array_path(True)), h.read_patch(patch, clip=True))
    np.testing.assert_array_equal(np.load(patch.array_path(False)), h.read_patch(patch))
    assert h.convert_root(root, clip=True, progress=False) == []
    assert not list(root.rglob("*.partial"))

    np.save(patch.array_path(True), np.zeros((202, 128, 128), np.float32))
    with pytest.raises(DatasetError, match="expected int32"):
        h.convert_root(root, clip=True, progress=False)
    patch.array_path(True).write_bytes(b"\x93NUMPY")
    with pytest.raises(DatasetError, match="damaged"):
        h.convert_root(root, clip=True, progress=False)
    assert h.convert_root(root, clip=True, overwrite=True, progress=False) == [patch.array_path(True)]


def test_open_dataset_reads_the_bundled_patch(bundled):
    (item,) = open_dataset("bundled")
    assert item.name == bundled.name and item.sensor == "EnMAP"
    np.testing.assert_array_equal(item.load(), h.read_patch(bundled))
    (item,) = open_dataset("bundled", clip=True)
    assert item.load().dtype == np.int32 and item.load().min() == 0
    assert item.metadata()["crs"] == "EPSG:32618"


def test_open_dataset_with_a_split_of_a_real_root(root):
    (item,) = open_dataset("hyspecnet-11k", root, "bundled/test")
    assert item.load().shape == (202, 128, 128)


def test_converted_arrays_are_used_where_they_fit(root):
    (patch,) = h.find_patches(root)
    expected = h.read_patch(patch, clip=True)
    (item,) = open_dataset("hyspecnet-11k", root, clip=True)
    np.save(patch.array_path(True), expected + 1)
    np.testing.assert_array_equal(item.load(), expected + 1)
    np.save(patch.array_path(True), (expected / 10_000).astype(np.float32))  # another pipeline's file of this name
    np.testing.assert_array_equal(item.load(), expected)
