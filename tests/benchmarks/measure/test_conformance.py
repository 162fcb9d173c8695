"""Folders of vectors: every one is named, and the command fails if one differs."""

import shutil

import pytest

from benchmarks.measure.conformance import run_suite
from lhic.errors import UsageError, VerificationError
from tests.common import REPOSITORY

VECTORS = REPOSITORY / "tests" / "golden" / "ccsds123"


def test_vectors_are_named_one_by_one(tmp_path, capsys):
    for path in VECTORS.glob("hybrid_b*"):
        shutil.copy(path, tmp_path)
    run_suite("ccsds123", tmp_path)
    assert capsys.readouterr().out == "hybrid_bil: equal\nhybrid_bsq: equal\n2 of 2 conform\n"
    (tmp_path / "hybrid_bsq.c123").write_bytes(b"no stream")
    with pytest.raises(VerificationError, match="expected all 2 vectors to agree, found 1 differ"):
        run_suite("ccsds123", tmp_path)
    assert "hybrid_bsq: differs: " in capsys.readouterr().out


def test_bad_input(tmp_path):
    with pytest.raises(UsageError, match="suite: expected one of lhic-bp, linerwkv, ccsds123, found 'jpeg'"):
        run_suite("jpeg", tmp_path)
    with pytest.raises(UsageError, match="expected a folder of conformance vectors, found none"):
        run_suite("ccsds123", tmp_path / "gone")
    with pytest.raises(VerificationError, match="expected conformance vectors of suite ccsds123, found none"):
        run_suite("ccsds123", tmp_path)
