"""The site builds without a warning, and its tutorials' commands do what they say."""

import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lhic import cli
from lhic.data.hyspecnet import bundled_root
from tests.common import REPOSITORY, shared_path
from tests.formats import cubes
from tests.formats.test_envi import write
from tests.test_documentation import _commands

DOCS = REPOSITORY / "docs"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    sources = tmp_path / "checkout"
    for name in ("docs", "results", "ckpt", "data", "contrib", "lhic", "README.md", "CONTRIBUTING.md"):
        (sources / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, sources / name)
    shutil.rmtree(sources / "docs" / "made", ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", tmp_path / "site"]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*.html")}
    assert {f"tutorials/{path.stem}.html" for path in (DOCS / "tutorials").glob("*.md")} <= pages
    assert {"index.html", "made/commands.html", "reference.html", "format.html", "search.html"} <= pages
    reference = (tmp_path / "site" / "reference.html").read_text()
    assert "<strong>max_bytes</strong>" in reference, "parameters are listed one by one"


# --- tutorials: what lies in the folder where a reader types them ---


def enmap(folder):
    shutil.copy(shared_path("formats", "real", "enmap_potsdam_tile_128_0.tif"), folder / "ENMAP01-SPECTRAL_IMAGE.TIF")


def hyspecnet(folder):
    shutil.copytree(bundled_root(), folder / "hyspecnet-11k", ignore=shutil.ignore_patterns("*.npy"))


def prisma(folder):
    pytest.importorskip("h5py")
    from tests.formats.test_trees import prisma

    prisma(folder / "PRS_L1_STD.he5")


def emit(folder):
    shutil.copy(shared_path("formats", "emit.nc"), folder / "EMIT_L2A_RFL.nc")


def aviris(folder):
    write(folder, cubes.scene("i2"), "bip", 1, name="f080611t01p00r07rdn_c", header="f080611t01p00r07rdn_c.hdr")


def laboratory(folder):
    for suffix in (".hdr", ".dat"):
        shutil.copy(shared_path("formats", "real", f"image{suffix}"), folder / f"scan{suffix}")
    (folder / "scans" / "morning").mkdir(parents=True)
    write(folder / "scans", cubes.scene("u2"), "bil")
    write(folder / "scans" / "morning", cubes.scene("u2")[:9], "bil")
    np.arange(480, dtype="<u2").tofile(folder / "scan-u16le-4x10x12.raw")


TUTORIALS = {function.__name__: function for function in (enmap, hyspecnet, prisma, emit, aviris, laboratory)}


def test_every_tutorial_is_tested():
    assert {path.stem for path in (DOCS / "tutorials").glob("*.md")} == set(TUTORIALS)


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorials(name, tmp_path, monkeypatch, capsys):
    """Word for word, in their order; but the study's commands, which take their time elsewhere."""
    TUTORIALS[name](tmp_path)
    monkeypatch.chdir(tmp_path)
    for language, block in re.findall(
        r"```(sh|python)\n(.*?)```", (DOCS / "tutorials" / f"{name}.md").read_text(), re.S
    ):
        if language == "python":
            exec(compile(block, f"{name}.md", "exec"), {})
            continue
        for line in _commands(f"```sh\n{block}```"):
            words = shlex.split(line)
            if words[0] == "python3":
                exec(words[2], {})
                np.save("patch.npy", np.load("patch.npy")[::4, :20, :20])
            elif words[0] == "lhic":
                assert cli.main(words[1:]) == 0, f"{line}\n{capsys.readouterr().err}"
            else:
                assert words[0] == "invoke"
