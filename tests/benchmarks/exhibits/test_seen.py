"""No rate on training data goes unmarked."""

import dataclasses

import pandas as pd
import pytest

import lhic
from benchmarks.exhibits import seen, tables

W = "ab" * 32


def rows(*entries, weights_hash=W):
    """Rows of (codec, cube, form, hash)."""
    return pd.DataFrame(
        [
            {"dataset": "corpus", "codec": codec, "cube": cube, "form": form, "cube_sha256": sha256}
            | {"weights_hash": weights_hash if codec.startswith("lhic") else "", "device": "cpu", "error": ""}
            | {"machine": "chip", "cores": 2.0}
            for codec, cube, form, sha256 in entries
        ]
    )


MIXED = rows(
    ("lhic-x", "a", "as-measured", "1"),
    ("lhic-x", "a", "clipped", "2"),
    ("lhic-x", "b", "as-measured", "3"),
    ("aec", "a", "as-measured", "1"),
)


def test_states():
    assert seen.seen(MIXED, {W: frozenset("1")}).tolist() == ["seen", "seen", "unseen", "not trained"]
    assert seen.seen(MIXED, {W: frozenset("9")}).tolist() == ["unseen", "unseen", "unseen", "not trained"]
    assert seen.seen(MIXED, {W: None}).tolist()[0] == "unknown", "the weights file does not say"
    assert seen.seen(MIXED, {}).tolist()[0] == "unknown", "no such weights here"


def test_clipped_samples_alone_do_not_say_which_cube_they_are():
    clipped = rows(("lhic-x", "a", "clipped", "2"))
    assert seen.seen(clipped, {W: frozenset("1")}).tolist() == ["unknown"]
    assert seen.seen(clipped, {W: frozenset("2")}).tolist() == ["seen"]


def test_what_is_noted_outlives_a_choice_of_rows(monkeypatch):
    monkeypatch.setattr(seen, "training_cubes", lambda: {W: frozenset("1")})
    clipped = MIXED["form"] == "clipped"
    assert seen.seen(MIXED[clipped]).tolist() == ["unknown"]
    assert seen.seen(seen.noted(MIXED)[clipped]).tolist() == ["seen"]


@pytest.mark.parametrize(
    ("cubes", "mark", "note"),
    [
        ("1", "†", "† 1 of 2 cubes were training data of lhic-x."),
        ("9", "", ""),
        (None, "‡", "‡ 2 of 2 cubes may have been training data of lhic-x."),
    ],
)
def test_marks_and_notes(monkeypatch, cubes, mark, note):
    known = {W: None if cubes is None else frozenset(cubes)}
    monkeypatch.setattr(seen, "training_cubes", lambda: known)
    assert seen.marks(MIXED, tables.label(MIXED)).get("lhic-x", "") == mark
    assert seen.notes(MIXED, tables.label(MIXED)) == note
    assert tables.training_notes(MIXED) == note
    kept = seen.unseen_only(MIXED)["cube"].unique().tolist()
    assert kept == {"1": ["b"], "9": ["a", "b"], None: []}[cubes]


def test_the_shipped_models_say_what_they_were_trained_on():
    known = seen.training_cubes()
    assert known
    for model in lhic.list_models():
        assert known[model.sha256], f"{model.name}: its weights file names no training cubes"
        assert all(len(sha256) == 64 for sha256 in known[model.sha256])


def test_a_model_found_later_is_known_by_its_weights(monkeypatch):
    entry = dataclasses.replace(lhic.list_models()[0], sha256=W, info={"training_cubes": ["1", "3"]})
    monkeypatch.setattr(seen, "list_models", lambda: [entry])
    assert seen.seen(MIXED).tolist() == ["seen", "seen", "seen", "not trained"]
