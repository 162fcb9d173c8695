"""The header: every option there and back, exact bytes, and what a reader refuses."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from lhic.ccsds123 import (
    ParameterError,
    Parameters,
    StreamError,
    SupplementaryTable,
    TruncatedError,
    UnsupportedFieldError,
    read_header,
    write_header,
)
from tests.ccsds123.cases import parameters

PLAIN = Parameters(8, 14, 18, signed=True, weight_resolution=14, weight_update_final=3)
PLAIN_HEADER = "00 0012 000e 0008 81 0000 08 00 0c 00 a2 59 00 92 26"


def changed(position: int, value: int, p: Parameters = PLAIN) -> bytes:
    data = bytearray(write_header(p))
    data[position] = value
    return bytes(data)


def test_exact_bytes():
    # Worked out by hand: 5.3, Tables 5-3 to 5-13.
    assert write_header(PLAIN).hex() == PLAIN_HEADER.replace(" ", "")


def test_capacities_are_written_as_zero():
    p = Parameters(65536, 1, 2, dynamic_range=32, output_word_bytes=8, unary_length_limit=32)
    data = write_header(p)
    assert data[5:7] == b"\0\0" and read_header(data) == (p, len(data))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(p=parameters())
def test_every_header_reads_back(p):
    data = write_header(p)
    assert read_header(data) == (p, len(data))
    assert read_header(data + b"\xff" * 3) == (p, len(data))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(p=parameters())
def test_every_shorter_header_is_truncated(p):
    data = write_header(p)
    for size in range(len(data)):
        with pytest.raises(TruncatedError):
            read_header(data[:size])


@pytest.mark.parametrize(
    "table_type, structure, payload",
    [
        ("unsigned", "zero-dimensional", bytes([0b01100_101, 0b00000000, 0b1_0000000])),  # 12 bits
        ("signed", "per band", bytes([0b01000_000]) + bytes(8)),  # 8 elements of 8 bits, 3 fill bits
        ("float", "zero-dimensional", bytes([0b01010_101, 0b01111_000, 0, 0])),  # 10 + 5 + 1 bits, bias of 5
    ],
)
def test_supplementary_tables_are_carried(table_type, structure, payload):
    table = SupplementaryTable(table_type, 7, structure, payload, user_data=3)
    p = replace(PLAIN, supplementary_tables=(table, table))
    data = write_header(p)
    assert read_header(data) == (p, len(data))


@pytest.mark.parametrize(
    "position, value, field",
    [
        (7, 0xC1, "reserved"),  # image metadata
        (10, 0x88, "reserved"),
        (10, 0x0E, "entropy_coder"),
        (11, 0x10, "reserved"),
        (12, 0x8C, "reserved"),  # predictor
        (16, 0x01, "weight_init_resolution"),
        (16, 0x80, "weight exponent offset table"),
        (18, 0x27, "accumulator"),
    ],
)
def test_reserved_bits_and_contradictions_are_refused(position, value, field):
    with pytest.raises(StreamError, match=field):
        read_header(changed(position, value))


@pytest.mark.parametrize(
    "position, value, field",
    [
        (7, 0x83, "dynamic_range"),  # D = 1
        (9, 0x01, "interleaving_depth"),  # with band-sequential order
        (13, 0x1F, "register_size"),  # R = 31
        (14, 0xA9, "weight_update_interval"),
        (15, 0x95, "weight_update_final"),
        (17, 0x12, "unary_length_limit"),
    ],
)
def test_fields_out_of_range_are_named(position, value, field):
    with pytest.raises(ParameterError, match=f"^{field}"):
        read_header(changed(position, value))


@pytest.mark.parametrize(
    "position, value, field",
    [
        (16, 0x45, "weight_init_table"),
        (18, 0x3E, "accumulator_init"),
    ],
)
def test_tables_outside_the_header_are_named(position, value, field):
    with pytest.raises(UnsupportedFieldError, match=f"^{field}"):
        read_header(changed(position, value))


def test_weight_exponent_offsets_outside_the_header_are_named():
    with pytest.raises(UnsupportedFieldError, match=r"^weight_exponent_offsets"):
        read_header(changed(12, 0x0D))


def test_periodic_error_limit_updating_is_named():
    p = replace(PLAIN, order="bi", interleaving_depth=1, absolute_error_limit=1, absolute_error_limit_bits=1)
    with pytest.raises(UnsupportedFieldError, match=r"^periodic_error_limit_updating"):
        read_header(changed(17, 0x40, p))
