"""Results of several machines: what is packed comes back, speeds stay apart, and contradictions are refused by name."""

import json

import pandas as pd
import pytest

from benchmarks.codecs.base import ANYWHERE, LIBRARIES, THIS_MACHINE
from benchmarks.measure import collection, rows
from benchmarks.study import machines
from lhic.errors import DatasetError, UsageError, VerificationError


def row(codec="rls-k0", machine="abacus", n_bytes=100, **more):
    found = {"dataset": "corpus", "form": "clipped", "cube": "lake", "cube_sha256": "ab" * 32, "codec": codec}
    found |= {"provenance": ANYWHERE, "codec_version": "1", "bytes": n_bytes, "bps": 8 * n_bytes / 60, "best_of": 0}
    found |= {"n_samples": 60, "encode_s": 2.0 if machine == "abacus" else 1.0, "decode_s": 1.0, "device": "cpu"}
    found |= {"machine": machine, "cores": 2, "date": "2026-01-01", "libraries": "{}", "peak_rss_bytes": 1 << 20}
    return found | more


@pytest.fixture
def collected(tmp_path):
    """Call that packs rows as a results folder of a machine and gives the file."""

    def pack(name, *found):
        with rows.RowParts(tmp_path / name) as parts:
            for each in found:
                parts.append(each)
        (tmp_path / name / "environment.json").write_text(json.dumps({"machine": name, "commit": "c0ffee"}))
        assert collection.collect(tmp_path / name, tmp_path / f"{name}.parquet") == len(found)
        return tmp_path / f"{name}.parquet"

    return pack


def test_a_collection_holds_the_rows_and_what_they_were_made_with(collected, tmp_path):
    path = collected("abacus", row(), row("lerc"))
    assert pd.read_parquet(path).equals(pd.read_parquet(tmp_path / "abacus" / "rows"))
    assert collection.read(path)[1] == [{"machine": "abacus", "commit": "c0ffee"}]
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"abacus\.parquet"):
        collection.collect(tmp_path / "abacus", path)
    assert path.read_bytes() == before
    collection.collect(tmp_path / "abacus", path, overwrite=True)


def test_machines_are_joined_and_keep_their_speeds(collected, tmp_path, capsys):
    paths = [collected("abacus", row(), row("lerc")), collected("brain", row(machine="brain"))]
    target = tmp_path / "all.parquet"
    table = machines.merge(paths, target).set_index(["codec", "machine"])
    assert table.loc[("rls-k0", "abacus"), "encode MS/s"] * 2 == table.loc[("rls-k0", "brain"), "encode MS/s"]
    out = capsys.readouterr().out
    assert "1 cube, 2 machines" in out and "3 rows of 2 files, which agree" in out
    found, runs = collection.read(target)
    assert len(found) == 3 and [run["machine"] for run in runs] == ["abacus", "brain"]
    third = collected("third", row(machine="third"))
    assert len(collection.merge([target, third], tmp_path / "more.parquet")) == 4, "what was merged can be merged again"
    assert len(collection.merge([target, target], target, overwrite=True)) == 3, "nothing counts twice"


def test_the_latest_result_of_a_machine_stays(collected, tmp_path):
    old = collected("old", row(encode_s=9.0), row("lerc"))
    failed = {"bytes": None, "bps": None, "error": "broken", "date": "2026-03-01"}
    new = collected("new", row(encode_s=3.0, date="2026-02-01"), row("lerc") | failed)
    for paths in ([old, new], [new, old]):
        found = collection.merge(paths, tmp_path / "all.parquet", overwrite=True).set_index("codec")
        assert found.loc["rls-k0", "encode_s"] == 3.0 and found.loc["lerc", "error"] == ""


OTHER_SIZE = {"machine": "brain", "n_bytes": 101}


@pytest.mark.parametrize(
    "first, second, agree",
    [
        ({"provenance": ANYWHERE}, {"codec_version": "2"}, False),
        ({"provenance": LIBRARIES}, {}, False),
        ({"provenance": LIBRARIES}, {"codec_version": "2"}, True),
        ({"provenance": THIS_MACHINE}, {}, True),
        ({"provenance": THIS_MACHINE}, {"machine": "abacus"}, False),
        ({"provenance": THIS_MACHINE}, {"machine": "abacus", "libraries": "other"}, True),
        ({"provenance": ANYWHERE}, {"settings": "other"}, True),
        ({"provenance": ANYWHERE}, {"weights_hash": "other"}, True),
        ({"provenance": ANYWHERE}, {"cube": "moor", "cube_sha256": "cd" * 32}, True),
    ],
)
def test_sizes_must_agree_where_they_are_promised(collected, tmp_path, capsys, first, second, agree):
    paths = [collected("a", row(**first)), collected("b", row(**OTHER_SIZE | first | second))]
    target = tmp_path / "all.parquet"
    if agree:
        assert len(collection.merge(paths, target)) in (1, 2)
        return
    with pytest.raises(VerificationError, match="expected rows that agree, found 1 contradiction"):
        collection.merge(paths, target)
    line = f"contradiction: rls-k0 on lake (clipped): bytes 100 in {paths[0]}, 101 in {paths[1]}"
    assert capsys.readouterr().out.splitlines() == [line] and not target.exists()


def test_another_cube_of_the_same_name_is_refused(collected, tmp_path, capsys):
    paths = [collected("a", row()), collected("b", row(machine="brain", cube_sha256="cd" * 32))]
    with pytest.raises(VerificationError):
        collection.merge(paths, tmp_path / "all.parquet")
    assert "samples abababababab in" in capsys.readouterr().out


def test_what_is_no_collection_is_told(collected, tmp_path):
    path = collected("a", row())
    part = tmp_path / "a" / "rows" / "part-00000.parquet"
    foreign = tmp_path / "foreign.parquet"
    foreign.write_bytes(b"PAR1")
    for wrong, message in ((part, "found no runs in it"), (foreign, "expected a Parquet file of rows")):
        with pytest.raises(DatasetError, match=message):
            collection.merge([path, wrong], tmp_path / "all.parquet")
    with pytest.raises(UsageError, match="expected at least two files, found 1"):
        collection.merge([path], tmp_path / "all.parquet")
    (tmp_path / "a" / "environment.json").unlink()
    with pytest.raises(DatasetError, match=r"environment\.json: expected what a run was made with, found No such file"):
        collection.collect(tmp_path / "a", tmp_path / "new.parquet")
