import csv
import io

import numpy as np
import pytest

from lhic.explore import exports
from lhic.explore.coding import Result
from lhic.explore.views import Bits

CUBE = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def test_the_table_says_samples_and_bits_band_by_band():
    costs = np.stack([np.full((3, 4), 1.5), np.full((3, 4), 4.25)]).astype(np.float32)
    results = [
        Result("a", b"", {}, 24, 0.0, Bits(costs)),
        Result("b", b"", {}, 24, 0.0, Bits(None, np.zeros((3, 4)), 4)),
        Result("c", b"", {}, 24, 0.0),
    ]
    text = exports.spectra_csv(CUBE[:, 1, 2], CUBE, (1, 2), np.array([500.5, 600.0]), results)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["sample"] for row in rows] == ["6", "18"] and [row["wavelength_nm"] for row in rows] == [
        "500.5",
        "600.0",
    ]
    assert rows[1] | {"bits_a": "4.25", "mean_bits_a": "4.25", "mean_sample": "17.5", "band": "1"} == rows[1]
    assert not any(name.endswith(("_b", "_c")) for name in rows[0]), "they do not say what a sample costs"
    outside = list(csv.DictReader(io.StringIO(exports.spectra_csv(CUBE[:, 0, 0], CUBE, None, None, results))))
    assert outside[0]["bits_a"] == "" == outside[0]["wavelength_nm"] and outside[0]["mean_bits_a"] == "1.5"


def test_the_picture_has_all_maps():
    image = pytest.importorskip("PIL.Image")
    maps = [exports.Map(np.zeros((3, 4, 4), np.uint8), "colours")] + [
        exports.Map(CUBE[0], f"map {n}", 0, 11, "viridis") for n in range(4)
    ]
    picture = image.open(io.BytesIO(exports.maps_png(maps, "a cube")))
    assert picture.format == "PNG" and picture.width > 1000 and picture.height > 700
    assert len(np.unique(np.asarray(picture).reshape(-1, picture.mode.count("") - 1), axis=0)) > 20
