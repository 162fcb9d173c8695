"""Extrapolated cost, against figures worked out by hand."""

import pandas as pd
import pytest

from benchmarks.exhibits.cost import SAMPLES_OF_A_PATCH, caption, cost_table, n_patches, why_not

HOUR = 3600.0


def row(codec, cube, seconds, samples=1000, **more):
    found = {"codec": codec, "cube": cube, "device": "cpu", "error": "", "n_samples": samples, "machine": "M"}
    found |= {"encode_s": seconds, "decode_s": seconds and 2 * seconds, "encode_all_s": None, "decode_all_s": None}
    return found | {"bytes": samples, "item_s": seconds and 4 * seconds, "workers": 2, "cores": 8} | more


def test_cost_is_a_proportion_of_samples():
    table = pd.DataFrame(
        [
            row("fast", "a", HOUR, samples=1000),
            row("fast", "b", 3 * HOUR, samples=3000),
            row("slow", "a", None, encode_all_s=5 * HOUR, decode_all_s=6 * HOUR),
            row("slow", "b", None, error="broken"),
        ]
    )
    lines = cost_table(table, 40_000_000).set_index("codec")
    fast, slow = lines.loc["fast"], lines.loc["slow"]
    assert list(lines.index) == ["fast", "slow"], "the cheapest first"
    assert (fast["cubes"], fast["threads"], slow["cubes"], slow["threads"]) == ("2", "one", "1", "8")
    assert (fast["encode h"], fast["decode h"], fast["measure h"]) == pytest.approx((40_000, 80_000, 160_000))
    assert fast["streams GB"] == pytest.approx(0.04)
    assert pd.isna(fast["h ± %"]) and pd.isna(fast["GB ± %"]), "two cubes have no interval"
    assert slow["encode h"] == pytest.approx(200_000) and pd.isna(slow["h ± %"]) and pd.isna(slow["measure h"])
    assert "2 cubes (x), extrapolated by samples from 2 measured" in caption(table, "x", 2)


def test_the_interval_covers_what_cubes_differ_by():
    table = pd.DataFrame([row("x", str(i), 1 + i % 2, bytes=1000 * (1 + i % 2)) for i in range(100)])
    # Seconds per sample are 3 or 6 thousandths: mean 4.5, standard error 0.15, so 1.96 * 0.15 / 4.5 = 6.5 percent.
    line = cost_table(table, 1000).iloc[0]
    assert (line["h ± %"], line["GB ± %"]) == pytest.approx((6.5, 6.5), rel=0.1)


def test_patches_of_one_tile_count_as_one():
    tile = "ENMAP01-____L2A-DT0000004950_20221103T162438Z_{:03}_V010110_20221118T145147Z-Y01460273_X0439056{}"
    patches = [row("x", tile.format(i, j), 1 + i % 2) for i in range(6) for j in range(9)]
    of_tiles = pd.DataFrame([row("x", str(i), 1 + i % 2) for i in range(6)])
    found = [cost_table(table, 1000)["h ± %"].item() for table in (pd.DataFrame(patches), of_tiles)]
    assert found[0] == pytest.approx(found[1], rel=0.05), "nine patches of a tile say no more than one"
    assert pd.isna(cost_table(pd.DataFrame(patches[:36]), 1000)["h ± %"].item()), "four tiles are too few"


def test_few_cubes_do_not_speak_for_a_dataset():
    measured = pd.DataFrame([row("x", str(i), 1) for i in range(20)] + [row("x", "20", None, error="broken")])
    assert why_not(measured, 1148) == ""
    few = "expected at least 20 cubes to speak for 1148, found 19 measured"
    assert why_not(measured.iloc[1:], 1148) == few
    assert why_not(measured, 20) == "all 20 cubes are measured"
    assert why_not(measured.iloc[:1], 1) == "the only cube is measured"


def test_published_sizes_of_the_splits():
    assert (n_patches("easy/test"), n_patches("hard/test"), n_patches(None)) == (1149, 1148, 11_483)
    assert SAMPLES_OF_A_PATCH == 202 * 128 * 128
