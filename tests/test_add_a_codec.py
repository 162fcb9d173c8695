"""docs/add_a_codec.md does what it says, and a broken package harms nobody but itself."""

import sys

import pytest

from benchmarks.codecs import registry
from benchmarks.measure.rows import read_rows
from lhic.errors import BackendError, UsageError
from tests.tutorial import follow, install

GOOD = "from benchmarks.codecs.base import Codec\nclass Raw(Codec):\n    name, version, settings = 'mine', '1', {}\n"
METHODS = "    def encode(self, cube): return b''\n    def decode(self, data): return None\n"


@pytest.mark.slow
def test_the_tutorial(tmp_path):
    checked, measured, named = follow("add_a_codec.md", tmp_path)
    rows = read_rows(tmp_path / "measured").set_index("codec")
    assert checked == "" and "delta_zlib:DeltaZlib" in measured
    assert set(rows.index) == {"delta_zlib:DeltaZlib", "png-default"} and (rows["error"] == "").all()
    assert 0 < rows.loc["delta_zlib:DeltaZlib", "bps"] < 16 and (rows["encode_s"] > 0).all()
    assert named.startswith("delta-zlib zlib 1.")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A call that puts a package with one module and entry points on the path."""

    def make(name: str, source: str | None, points: dict[str, str]) -> None:
        folder = tmp_path / name
        folder.mkdir()
        if source is not None:
            (folder / f"{name}.py").write_text(source)
        lines = "\n".join(f"{point} = '{value}'" for point, value in points.items())
        text = f"[project]\nname = '{name}'\nversion = '2.0'\n[project.entry-points.'lhic.codecs']\n{lines}\n"
        (folder / "pyproject.toml").write_text(text)
        install(folder)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return make


def test_a_package_adds_a_codec_after_ours(package):
    package("outside_a", GOOD + METHODS, {"mine": "outside_a:Raw"})
    assert list(registry.factories())[-1] == "mine"
    assert registry.make("mine").version == "1"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (None, "No module named 'outside_b'"),
        ("raise RuntimeError('first\\nsecond')", "RuntimeError: first second"),
        ("Other = 1", "no attribute 'Raw'"),
        ("def Raw(): return 3", "expected a benchmarks.codecs.base.Codec, found int"),
        (GOOD, "abstract"),
        ((GOOD + METHODS).replace("'mine'", "'other'"), "found the name 'other'"),
        ((GOOD + METHODS).replace("version,", "versions,"), "found no version"),
        ("def Raw(needed): return 3", "needed"),
    ],
)
def test_a_broken_package_is_told_when_its_codec_is_asked_for(package, source, expected):
    package("outside_b", source, {"mine": "outside_b:Raw"})
    assert "mine" in registry.factories() and registry.make("png-default").name == "png-default"
    make = registry.find("mine")
    with pytest.raises(BackendError, match=r"lhic\.codecs: mine") as error:
        make()
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_unreadable_metadata_is_passed_over(package, tmp_path):
    package("outside_c", GOOD + METHODS, {"mine": "outside_c:Raw"})
    package("outside_d", GOOD + METHODS, {"theirs": "outside_d:Raw"})
    (info,) = (tmp_path / "outside_d").glob("*.dist-info")
    (info / "entry_points.txt").write_text("[lhic.codecs]\nno equals sign\n")
    assert "mine" in registry.factories() and "theirs" not in registry.factories()


def test_our_names_stay_ours_and_two_packages_are_not_chosen_between(package):
    package("outside_e", GOOD + METHODS, {"mine": "outside_e:Raw", "png-default": "outside_e:Raw"})
    assert registry.make("png-default").name == "png-default" and list(registry.factories()).count("png-default") == 1
    package("outside_f", GOOD + METHODS, {"mine": "outside_f:Raw"})
    with pytest.raises(UsageError, match=r"found outside_f 2\.0, outside_e 2\.0"):
        registry.make("mine")


def test_an_unknown_name_is_told_with_the_nearest_those_of_packages_too(package):
    package("outside_g", GOOD + METHODS, {"my-png": "outside_g:Raw"})
    with pytest.raises(UsageError, match=r"the nearest of \d+ are .*my-png.*, found 'my-pngs'"):
        registry.find("my-pngs")
