"""Previews: the right bands, stretched; no more read and computed than the family needs."""

import numpy as np
import pytest

import lhic
from lhic import preview
from lhic.errors import MemoryBudgetError, TruncatedStreamError, UsageError
from lhic.families import registry
from lhic.families.raw import RawModel
from lhic.picture import choose_bands, stretch
from tests.stored_family import StoredModel


@pytest.fixture(scope="module")
def cube():
    return np.random.default_rng(0).integers(-50, 1000, (12, 20, 30)).astype("int16")


def test_picture_of_three_bands(cube):
    found = preview(lhic.encode(cube, RawModel()), (7, 0, 3))
    assert found.image.shape == (20, 30, 3) and found.image.dtype == np.uint8 and found.bands == (7, 0, 3)
    for channel, band in enumerate(found.bands):
        assert np.array_equal(found.image[..., channel], stretch(cube[band], -32768))
    assert found.samples_computed == cube[:8].size and found.n_samples == cube.size
    assert found.bytes_read == found.stream_bytes - 4 - cube[8:].nbytes


def test_the_rest_of_the_stream_is_not_looked_at(cube):
    stream = bytearray(lhic.encode(cube, RawModel()))
    whole = preview(bytes(stream), (1, 2, 0))
    stream[whole.bytes_read :] = bytes(len(stream) - whole.bytes_read)
    again = preview(bytes(stream), (1, 2, 0))
    assert np.array_equal(again.image, whole.image) and again.bytes_read == whole.bytes_read < len(stream) / 2
    with pytest.raises(TruncatedStreamError):
        preview(bytes(stream[:-9]), (1, 2, 0))


def test_families_without_a_shortcut_decode_everything(cube, monkeypatch):
    monkeypatch.setitem(registry.FAMILIES, "stored", "tests.stored_family")
    model = StoredModel("stored", {}, bytes(32))
    stream = lhic.encode(cube, model, fallback=False)
    shortcut = preview(stream, (0, 0, 0), model=model)
    monkeypatch.delattr(StoredModel, "decode_first_bands")
    whole = preview(stream, (0, 0, 0), model=model)
    assert np.array_equal(shortcut.image, whole.image)
    assert shortcut.samples_computed == cube.size / 2 and whole.samples_computed == cube.size
    assert shortcut.bytes_read < whole.bytes_read == len(stream) - 4


def test_bands_by_wavelength_or_spread(cube):
    nanometres = np.linspace(400, 730, 12).tolist()
    assert choose_bands(12, nanometres) == (8, 5, 2) and choose_bands(12) == (6, 4, 2) and choose_bands(1) == (0, 0, 0)
    assert preview(lhic.encode(cube, RawModel(), metadata={"wavelengths": nanometres})).bands == (8, 5, 2)
    for bands in [(0, 1), (0, 1, 12), (-1, 0, 1), (0, 1, 2.5), (0, 1, "2"), (0, 1, True)]:
        with pytest.raises(UsageError, match=r"^bands: expected .* 0\.\.11, found"):
            preview(lhic.encode(cube, RawModel()), bands)


def test_a_preview_keeps_to_the_memory_budget(cube):
    stream = lhic.encode(cube, RawModel())
    with pytest.raises(MemoryBudgetError, match=r"^stream: "):
        preview(stream, (0, 1, 2), memory_budget=3 * cube[:3].nbytes)
    assert preview(stream, (0, 1, 2), memory_budget=3 * cube[:3].nbytes + 3 * cube[0, 0].nbytes + 400)


def test_stretch():
    band = np.arange(101).reshape(1, 101)
    grey = stretch(band)[0]
    assert grey[0] == grey[2] == 0 and grey[98] == grey[100] == 255 and grey[50] in (127, 128)
    assert (np.diff(grey.astype(int)) >= 0).all()
    with_nodata = np.append(band, [[-32768] * 50], axis=1)
    assert np.array_equal(stretch(with_nodata, -32768)[0], [*grey, *[0] * 50])
    assert not stretch(np.full((2, 2), 7)).any() and not stretch(np.full((2, 2), 7), 7).any()


@pytest.mark.parametrize("metadata,dtype", [({"nodata": 99}, "uint8"), ({}, "int8")])
def test_nodata_is_black_and_does_not_count(metadata, dtype):
    value = metadata.get("nodata", -128)
    cube = np.arange(3 * 100, dtype="int32").reshape(3, 10, 10) % 90
    cube[:, :5] = value
    found = preview(lhic.encode(cube.astype(dtype), RawModel(), metadata=metadata), (0, 1, 2))
    assert not found.image[:5].any()
    assert np.array_equal(found.image[5:, :, 0], stretch(cube[0, 5:]))
