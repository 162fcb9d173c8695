"""The header of a compressed image: `Parameters` to bytes and back, exactly (CCSDS 123.0-B-2, 5.3).

Reader and writer stand side by side, structure by structure, in the order of the standard.  All fields are
unsigned, most significant bit first; every structure ends on a byte.  A value equal to the capacity of its
field is written as 0 (an axis of 65536, D of 16, R of 64, B of 8 ...).

The standard lets tables be sent by other means than the header; a stream that relies on it cannot be decoded
from its bytes alone and is refused, naming the field.
"""

from __future__ import annotations

from lhic.ccsds123.bits import BitReader, BitWriter
from lhic.ccsds123.errors import StreamError, UnsupportedFieldError
from lhic.ccsds123.parameters import (
    BLOCK_SIZES,
    ENTROPY_CODERS,
    FIDELITIES,
    LOCAL_SUMS,
    ORDERS,
    PREDICTION_MODES,
    TABLE_STRUCTURES,
    TABLE_TYPES,
    Parameters,
    SupplementaryTable,
)


def write_header(p: Parameters) -> bytes:
    """The header of an image with parameters `p`."""
    out = BitWriter()
    _write_image(out, p)
    for table in p.supplementary_tables:
        _write_supplementary_table(out, table)
    _write_predictor(out, p)
    if p.fidelity != "lossless":
        _write_quantization(out, p)
    if p.representative_resolution is not None:
        _write_representatives(out, p)
    _write_entropy_coder(out, p)
    return out.to_bytes()


def read_header(data: bytes) -> tuple[Parameters, int]:
    """Parameters of a compressed image, and the number of bytes its header takes.

    Raises
    ------
    ParameterError
        A field is out of range.
    UnsupportedFieldError
        Periodic error limit updating, or a table that is not in the header.
    StreamError
        Reserved bits set, codes without meaning, or too few bytes (TruncatedError).
    """
    bits = BitReader(data)
    fields = _read_image(bits)
    fields["supplementary_tables"] = tuple(
        _read_supplementary_table(bits, fields) for _ in range(fields.pop("n_tables"))
    )
    fidelity = fields.pop("fidelity")
    has_representatives = _read_predictor(bits, fields)
    if fidelity != "lossless":
        _read_quantization(bits, fields, fidelity)
    if has_representatives:
        _read_representatives(bits, fields)
    _read_entropy_coder(bits, fields)
    return Parameters(**fields), bits.position // 8


# 5.3.2 Image metadata


def _write_image(out: BitWriter, p: Parameters) -> None:
    out.put(p.user_data, 8)
    for size in (p.n_columns, p.n_rows, p.n_bands):
        out.put(size % 0x10000, 16)
    out.put(p.signed, 1)
    out.put(0, 1)
    out.put(p.dynamic_range > 16, 1)
    out.put(p.dynamic_range % 16, 4)
    out.put(ORDERS.index(p.order), 1)
    out.put(p.interleaving_depth % 0x10000, 16)
    out.put(0, 2)
    out.put(p.output_word_bytes % 8, 3)
    out.put(ENTROPY_CODERS.index(p.entropy_coder), 2)
    out.put(0, 1)
    out.put(FIDELITIES.index(p.fidelity), 2)
    out.put(0, 2)
    out.put(len(p.supplementary_tables), 4)


def _read_image(bits: BitReader) -> dict:
    fields: dict = {"user_data": bits.get(8, "user_data")}
    for axis in ("n_columns", "n_rows", "n_bands"):
        fields[axis] = bits.get(16, axis) or 0x10000
    fields["signed"] = bool(bits.get(1, "sample type"))
    bits.expect_zeros(1, "reserved bits of the image metadata")
    large = bits.get(1, "large dynamic range flag")
    fields["dynamic_range"] = (bits.get(4, "dynamic_range") or 16) + 16 * large
    fields["order"] = ORDERS[bits.get(1, "order")]
    depth = bits.get(16, "interleaving_depth")
    fields["interleaving_depth"] = depth if fields["order"] == "bsq" else depth or 0x10000
    bits.expect_zeros(2, "reserved bits of the image metadata")
    fields["output_word_bytes"] = bits.get(3, "output_word_bytes") or 8
    fields["entropy_coder"] = _named(bits.get(2, "entropy_coder"), ENTROPY_CODERS, "entropy_coder")
    bits.expect_zeros(1, "reserved bits of the image metadata")
    fields["fidelity"] = FIDELITIES[bits.get(2, "fidelity")]
    bits.expect_zeros(2, "reserved bits of the image metadata")
    fields["n_tables"] = bits.get(4, "number of supplementary tables")
    return fields


def _write_supplementary_table(out: BitWriter, table: SupplementaryTable) -> None:
    out.put(TABLE_TYPES.index(table.type), 2)
    out.put(0, 2)
    out.put(table.purpose, 4)
    out.put(0, 1)
    out.put(TABLE_STRUCTURES.index(table.structure), 2)
    out.put(0, 1)
    out.put(table.user_data, 4)
    for byte in table.payload:
        out.put(byte, 8)


def _read_supplementary_table(bits: BitReader, fields: dict) -> SupplementaryTable:
    name = "supplementary_tables"
    table_type = _named(bits.get(2, name), TABLE_TYPES, name)
    bits.expect_zeros(2, name)
    purpose = bits.get(4, name)
    bits.expect_zeros(1, name)
    structure = TABLE_STRUCTURES[bits.get(2, name)]
    bits.expect_zeros(1, name)
    user_data = bits.get(4, name)
    n_elements = {
        "zero-dimensional": 1,
        "per band": fields["n_bands"],
        "per band and column": fields["n_bands"] * fields["n_columns"],
        "per row and column": fields["n_rows"] * fields["n_columns"],
    }[structure]
    # The subblock opens with the depths of its elements; they are read only to know how long it is.
    start = bits.position
    if table_type == "float":
        significand = bits.get(5, name)
        exponent = bits.get(3, name) or 8
        n_bits = 8 + exponent + (1 + significand + exponent) * n_elements
    else:
        n_bits = 5 + (bits.get(5, name) or 32) * n_elements
    bits.position = start
    n_bytes = (n_bits + 7) // 8
    payload = bits.get(8 * n_bytes, name).to_bytes(n_bytes, "big")
    return SupplementaryTable(table_type, purpose, structure, payload, user_data)


# 5.3.3 Predictor metadata


def _write_predictor(out: BitWriter, p: Parameters) -> None:
    has_offsets = p.weight_exponent_offsets is not None
    has_weights = p.weight_init_table is not None
    out.put(0, 1)
    out.put(p.representative_resolution is not None, 1)
    out.put(p.prediction_bands, 4)
    out.put(PREDICTION_MODES.index(p.prediction_mode), 1)
    out.put(has_offsets, 1)
    out.put(LOCAL_SUMS.index(p.local_sum), 2)
    out.put(p.register_size % 64, 6)
    out.put(p.weight_resolution - 4, 4)
    out.put(p.weight_update_interval.bit_length() - 5, 4)
    out.put(p.weight_update_initial + 6, 4)
    out.put(p.weight_update_final + 6, 4)
    out.put(has_offsets, 1)  # the table is in the header
    out.put(has_weights, 1)
    out.put(has_weights, 1)  # the table is in the header
    out.put(p.weight_init_resolution or 0, 5)
    for table, n_bits in ((p.weight_init_table, p.weight_init_resolution or 0), (p.weight_exponent_offsets, 4)):
        for row in table or ():
            for value in row:
                out.put(value % (1 << n_bits), n_bits)
        out.fill(1)


def _read_predictor(bits: BitReader, fields: dict) -> bool:
    """Add the predictor's fields; tells whether the sample representative structure follows."""
    bits.expect_zeros(1, "reserved bits of the predictor metadata")
    has_representatives = bool(bits.get(1, "sample representative flag"))
    fields["prediction_bands"] = bits.get(4, "prediction_bands")
    fields["prediction_mode"] = PREDICTION_MODES[bits.get(1, "prediction_mode")]
    has_offsets = bits.get(1, "weight exponent offset flag")
    fields["local_sum"] = LOCAL_SUMS[bits.get(2, "local_sum")]
    fields["register_size"] = bits.get(6, "register_size") or 64
    fields["weight_resolution"] = bits.get(4, "weight_resolution") + 4
    fields["weight_update_interval"] = 1 << (bits.get(4, "weight_update_interval") + 4)
    fields["weight_update_initial"] = bits.get(4, "weight_update_initial") - 6
    fields["weight_update_final"] = bits.get(4, "weight_update_final") - 6
    offsets_here = bits.get(1, "weight exponent offset table flag")
    has_weights = bits.get(1, "weight initialization method")
    weights_here = bits.get(1, "weight initialization table flag")
    resolution = bits.get(5, "weight_init_resolution")

    full = fields["prediction_mode"] == "full"
    n_previous = [min(z, fields["prediction_bands"]) for z in range(fields["n_bands"])]
    if has_weights:
        _must_be_here(weights_here, "weight_init_table")
        if resolution < 3:
            raise StreamError(f"weight_init_resolution: expected 3 or more, found {resolution}")
        fields["weight_init_resolution"] = resolution
        fields["weight_init_table"] = tuple(
            tuple(bits.get_signed(resolution, "weight_init_table") for _ in range(n + 3 * full)) for n in n_previous
        )
        bits.align("fill bits of the weight initialization table")
    elif weights_here or resolution:
        raise StreamError("weight_init_resolution: expected 0 with default weights, found a table flag or others")
    if has_offsets:
        _must_be_here(offsets_here, "weight_exponent_offsets")
        fields["weight_exponent_offsets"] = tuple(
            tuple(bits.get_signed(4, "weight_exponent_offsets") for _ in range(n + full)) for n in n_previous
        )
        bits.align("fill bits of the weight exponent offset table")
    elif offsets_here:
        raise StreamError("weight exponent offset table flag: expected 0 without offsets, found 1")
    return has_representatives


def _write_quantization(out: BitWriter, p: Parameters) -> None:
    if p.order == "bi":
        out.put(0, 8)  # error limit update period: not used
    for limit, n_bits in (
        (p.absolute_error_limit, p.absolute_error_limit_bits or 0),
        (p.relative_error_limit, p.relative_error_limit_bits or 0),
    ):
        if limit is None:
            continue
        per_band = isinstance(limit, tuple)
        out.put(0, 1)
        out.put(per_band, 1)
        out.put(0, 2)
        out.put(n_bits % 16, 4)
        for value in limit if isinstance(limit, tuple) else (limit,):
            out.put(value, n_bits)
        out.fill(1)


def _read_quantization(bits: BitReader, fields: dict, fidelity: str) -> None:
    if fields["order"] == "bi":
        bits.expect_zeros(1, "reserved bits of the error limit update period")
        if bits.get(1, "periodic_error_limit_updating"):
            raise UnsupportedFieldError("periodic_error_limit_updating: expected 0 (not used), found 1")
        bits.expect_zeros(6, "error limit update period")
    for kind in ("absolute", "relative"):
        if kind not in fidelity:
            continue
        name = f"{kind}_error_limit"
        bits.expect_zeros(1, f"reserved bits of {name}")
        per_band = bits.get(1, name)
        bits.expect_zeros(2, f"reserved bits of {name}")
        n_bits = bits.get(4, f"{name}_bits") or 16
        fields[f"{name}_bits"] = n_bits
        if per_band:
            fields[name] = tuple(bits.get(n_bits, name) for _ in range(fields["n_bands"]))
        else:
            fields[name] = bits.get(n_bits, name)
        bits.align(f"fill bits of {name}")


def _write_representatives(out: BitWriter, p: Parameters) -> None:
    resolution = p.representative_resolution or 0
    out.put(0, 5)
    out.put(resolution, 3)
    values = (p.representative_damping, p.representative_offset)
    for value in values:
        per_band = isinstance(value, tuple)
        out.put(0, 1)
        out.put(per_band, 1)
        out.put(per_band, 1)  # the table is in the header
        out.put(0, 1)
        out.put(0 if isinstance(value, tuple) else value, 4)
    for value in values:
        for entry in value if isinstance(value, tuple) else ():
            out.put(entry, resolution)
        out.fill(1)


def _read_representatives(bits: BitReader, fields: dict) -> None:
    bits.expect_zeros(5, "reserved bits of the sample representatives")
    resolution = bits.get(3, "representative_resolution")
    fields["representative_resolution"] = resolution
    names = ("representative_damping", "representative_offset")
    for name in names:
        bits.expect_zeros(1, f"reserved bits of {name}")
        per_band = bits.get(1, name)
        table_here = bits.get(1, name)
        bits.expect_zeros(1, f"reserved bits of {name}")
        fields[name] = bits.get(4, name)
        if per_band:
            _must_be_here(table_here, name)
            fields[name] = None  # read below: both tables follow both sets of flags
        elif table_here:
            raise StreamError(f"{name}: expected no table for a value shared by all bands, found the flag set")
    for name in names:
        if fields[name] is None:
            fields[name] = tuple(bits.get(resolution, name) for _ in range(fields["n_bands"]))
            bits.align(f"fill bits of {name}")


# 5.3.4 Entropy coder metadata


def _write_entropy_coder(out: BitWriter, p: Parameters) -> None:
    if p.entropy_coder == "block-adaptive":
        out.put(0, 1)
        out.put(BLOCK_SIZES.index(p.block_size), 2)
        out.put(p.restricted_codes, 1)
        out.put(p.reference_interval % 4096, 12)
        return
    out.put(p.unary_length_limit % 32, 5)
    out.put(p.rescaling_counter_size - 4, 3)
    out.put(p.initial_count_exponent % 8, 3)
    if p.entropy_coder == "hybrid":
        out.put(0, 5)
        return
    init = p.accumulator_init
    out.put(15 if isinstance(init, tuple) else init, 4)
    out.put(isinstance(init, tuple), 1)  # the table is in the header
    for value in init if isinstance(init, tuple) else ():
        out.put(value, 4)
    out.fill(1)


def _read_entropy_coder(bits: BitReader, fields: dict) -> None:
    if fields["entropy_coder"] == "block-adaptive":
        bits.expect_zeros(1, "reserved bits of the block-adaptive coder")
        fields["block_size"] = BLOCK_SIZES[bits.get(2, "block_size")]
        fields["restricted_codes"] = bool(bits.get(1, "restricted_codes"))
        fields["reference_interval"] = bits.get(12, "reference_interval") or 4096
        return
    fields["unary_length_limit"] = bits.get(5, "unary_length_limit") or 32
    fields["rescaling_counter_size"] = bits.get(3, "rescaling_counter_size") + 4
    fields["initial_count_exponent"] = bits.get(3, "initial_count_exponent") or 8
    if fields["entropy_coder"] == "hybrid":
        bits.expect_zeros(5, "reserved bits of the hybrid coder")
        return
    fields["accumulator_init"] = bits.get(4, "accumulator_init")
    table_here = bits.get(1, "accumulator initialization table flag")
    if fields["accumulator_init"] == 15:
        _must_be_here(table_here, "accumulator_init")
        fields["accumulator_init"] = tuple(bits.get(4, "accumulator_init") for _ in range(fields["n_bands"]))
        bits.align("fill bits of the accumulator initialization table")
    elif table_here:
        raise StreamError("accumulator initialization table flag: expected 0 with a constant, found 1")


def _named(code: int, names: tuple[str, ...], field: str) -> str:
    if code >= len(names):
        raise StreamError(f"{field}: expected a code 0..{len(names) - 1}, found {code}")
    return names[code]


def _must_be_here(table_here: int, field: str) -> None:
    if not table_here:
        raise UnsupportedFieldError(f"{field}: expected the table in the header, found it announced elsewhere")
