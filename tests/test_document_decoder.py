"""The decoder that was written from the documents alone reads the golden streams."""

import ast
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from tests import document_decoder
from tests.document_decoder import DecodeError, decode
from tests.golden.make import beside, cubes, line_cubes, pinned_cubes, tuned_cube, value_cubes

GOLDEN = Path(__file__).parent / "golden"
STREAMS = sorted(GOLDEN.glob("*/*.lhic"))
TRACED = "planes_48"
WEIGHTS = [Path(__file__).parents[1] / "ckpt", *sorted({path.parent for path in STREAMS})]


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """The cube of each name of a golden stream."""
    lossless = {name: cube for name, (cube, settings) in pinned_cubes().items() if "max_error" not in settings}
    lossless |= {name: cube for name, (cube, options) in value_cubes().items() if "max_error" not in options}
    return (
        {name: cube for name, (cube, _) in cubes().items()}
        | lossless
        | line_cubes()
        | {"tuned_uint16": tuned_cube()}
        | {"beside_uint16": beside()[0]}
    )


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden_streams(path, expected):
    cube = decode(path.read_bytes(), WEIGHTS)
    if path.stem in expected:  # near-lossless streams are held to their checksums, which `decode` checks
        assert cube.dtype == expected[path.stem].dtype
        assert cube.tobytes() == expected[path.stem].tobytes()


def test_the_trace_of_a_stream_is_what_is_found_on_the_way():
    """`python -m tests.document_decoder` prints it, for whoever writes a decoder."""
    folder = GOLDEN / "lhic_ax_tiny"
    lines = document_decoder.trace_of((folder / f"{TRACED}.lhic").read_bytes(), [folder])
    assert (folder / f"{TRACED}.trace.txt").read_text().splitlines() == lines


def test_there_are_golden_streams():
    families = {document_decoder.read_container(path.read_bytes())[0].family for path in STREAMS}
    assert families == {"raw", "shuffled", "lhic-ax", "lhic-bp", "linerwkv"}


def test_no_part_of_the_package_is_used():
    tree = ast.parse(Path(document_decoder.__file__).read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module.split(".")[0])
    assert not imported & {"lhic", "torch", "tests", "importlib"}


SMALL = sorted([*GOLDEN.glob("*/one_sample_uint8.lhic"), *GOLDEN.glob("auxiliary/*.lhic")])


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.parent.name)
def test_damaged_streams_are_rejected(path):
    stream = path.read_bytes()
    for position in range(len(stream)):
        damaged = bytearray(stream)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(DecodeError):
            decode(bytes(damaged), WEIGHTS)
        with pytest.raises(DecodeError):
            decode(stream[:position], WEIGHTS)
    with pytest.raises(DecodeError):
        decode(stream + b"\0", WEIGHTS)


def test_weights_must_be_at_hand(tmp_path):
    with pytest.raises(DecodeError, match="model mismatch"):
        decode((GOLDEN / "lhic_ax/one_sample_uint8.lhic").read_bytes(), [tmp_path])


# --- examples and checksums that the documents give ---


def test_tiny_stream():
    """format.md, 6."""
    stream = bytes.fromhex(
        "89 4c 48 49 43 0d 0a 1a 01 00 1b 00 00 00 36 00 00 00 00 00 00 00 01 01 01 02 01 02 01 6d 01 66 00 00 00 01 01"
        "44 33 22 11 5b 26 b9 09 ed bb 7d 27 2a cb 3e 99 1d"
    )
    header, sections = document_decoder.read_container(stream)
    assert (header.shape, header.dtype, header.family) == ((1, 1, 2), np.uint8, "f")
    assert header.tiles[0].samples_crc == 0x11223344
    assert sections == [[b"\x2a"]]


@pytest.mark.parametrize(
    ("section", "L", "P", "symbols"),
    [
        ("05 00 00 00 00 80 00 00 07 00 00 00", 1, 24, [(5, 1), (7, 1)]),
        ("af aa aa aa 02 00 00 00 00 00 00 80 00 00 00 00", 2, 2, [(1, 3), (0, 4), (3, 1)]),
    ],
)
def test_coded_sections(section, L, P, symbols):
    """format_rans.md, 3."""
    coded = document_decoder.CodedSection(bytes.fromhex(section), L, P)
    for start, freq in symbols:
        assert start <= coded.slot() < start + freq
        coded.take(start, freq)
    coded.end()


def test_logistic_tables():
    """format_rans.md, 4."""

    def sha(table: list[int]) -> str:
        return hashlib.sha256(struct.pack(f"<{len(table)}q", *table)).hexdigest()

    assert sha(document_decoder.POWER) == "ed3bfe835121ebe539215c3b449df183fd101456405a659e5a5e5d123c936237"
    assert sha(document_decoder.CURVE) == "049e92d940da215bac416b8952d960cd6e49a0031d509f42185c5ec7405a2895"


def test_mixture():
    """format_rans.md, 4."""
    w = document_decoder.mixture_weights([0, -32])
    assert w == [10923, 5461]
    F = document_decoder.cumulative([(512, 256, w[0]), (1024, 320, w[1])], 8, 16)
    assert [F(x) for x in range(9)] == [0, 19118, 26689, 35103, 42727, 48522, 52476, 55094, 65536]


def test_logarithm_and_power():
    """format_lhic_ax.md, 3."""
    logarithms = (
        "0 1 1 1 2 2 2 3 3 3 4 4 4 4 5 5 5 6 6 6 6 7 7 7 7 8 8 8 9 9 9 9 9 10 10 10 10 11 11 11 11 12 12 12 12 12 13 13"
        " 13 13 13 14 14 14 14 14 15 15 15 15 15 16 16 16"
    )
    powers = "16384 15689 15024 14387 13777 13193 12634 12098 11585 11094 10624 10173 9742 9329 8933 8555"
    assert document_decoder.LOG_TABLE.tolist() == [int(number) for number in logarithms.split()]
    assert document_decoder.POW_TABLE.tolist() == [int(number) for number in powers.split()]


def test_side_section():
    """format_lhic_ax_side.md, 7."""
    header = document_decoder.Header(np.dtype("u1"), False, (2, 1, 3), (1, 3), "lhic-ax", b"", b"", 3, [])
    side = document_decoder.read_side(bytes.fromhex("00 0a 4b 00 0e 03 04"), header, 0, 1, 3)
    assert not side.mask.any()
    dense, constant = side.bands
    assert [levels.tolist() for levels in document_decoder.levels_of(dense)] == [[-1, 0, 1]]
    assert document_decoder.levels_of(constant) == []
    assert document_decoder.samples_of(dense, [np.array([[-1, 1, 0]])], side, 0).tolist() == [[7, 9, 8]]
    assert document_decoder.samples_of(constant, [], side, 0).tolist() == [[5, 5, 5]]
