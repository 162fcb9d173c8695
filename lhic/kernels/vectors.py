"""Vectors of a fixed number of lanes in compiled kernels: what numba's own loops keep in memory stays in registers.

Decides nothing.  Python code builds the LLVM instructions of a kernel once, when numba compiles it, through llvmlite;
every target has such vectors, of whatever length its registers are.  Arrays are given by their addresses
(`address`); nothing is checked here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import DTypeLike

INDEX, INT32, SHORT, BYTE = (ir.IntType(n_bits) for n_bits in (64, 32, 16, 8))
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
CACHE_LINE = 64  # bytes
_COMPARISONS = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">=", "__eq__": "=="}


def vector(scalar: ir.Type, n: int) -> ir.VectorType:
    return ir.VectorType(scalar, n)


def constant(value: int) -> ir.Constant:
    return ir.Constant(INDEX, value)


def lanes(numbers: list[int]) -> ir.Constant:
    """Mask of `shuffle_vector`."""
    return ir.Constant(vector(INT32, len(numbers)), numbers)


def element(builder, base, offset, scalar):
    """Pointer to an element of an array at address `base`."""
    return builder.gep(builder.inttoptr(base, scalar.as_pointer()), [offset])


def vector_at(builder, base, offset, kind):
    """Pointer to `kind.count` elements from there on."""
    return builder.bitcast(element(builder, base, offset, kind.element), kind.as_pointer())


def broadcast(builder, scalar, kind):
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, lanes([0] * kind.count))


def loop(builder, n, step, start, body):
    """Vectors after ``body(i, vectors) -> vectors`` for i = 0, step .. below n; `start` if n is 0."""
    before = builder.basic_block
    inside, after = builder.append_basic_block("loop"), builder.append_basic_block("loop_done")
    builder.cbranch(builder.icmp_signed(">", n, constant(0)), inside, after)
    builder.position_at_end(inside)
    i = builder.phi(INDEX)
    values = [builder.phi(value.type) for value in start]
    found = body(i, values)
    following, end = builder.add(i, constant(step)), builder.basic_block
    for phi, first, then in zip([i, *values], [constant(0), *start], [following, *found], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(then, end)
    builder.cbranch(builder.icmp_signed("<", following, n), inside, after)
    builder.position_at_end(after)
    return _merged(builder, start, before, found, end)


def repeat_while(builder, start, condition, body):
    """Vectors after ``body(vectors) -> vectors``, repeated while ``condition(vectors)``, an i1, holds."""
    before = builder.basic_block
    test, inside, after = (builder.append_basic_block(name) for name in ("test", "inside", "repeated"))
    builder.branch(test)
    builder.position_at_end(test)
    values = [builder.phi(value.type) for value in start]
    builder.cbranch(condition(values), inside, after)
    builder.position_at_end(inside)
    found, end = body(values), builder.basic_block
    for phi, first, then in zip(values, start, found, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(then, end)
    builder.branch(test)
    builder.position_at_end(after)
    return values


def _merged(builder, one, from_one, other, from_other):
    found = []
    for a, b in zip(one, other, strict=True):
        found.append(builder.phi(a.type))
        found[-1].add_incoming(a, from_one)
        found[-1].add_incoming(b, from_other)
    return found


def kernel(generate: Callable) -> Callable:
    """Decorator: ``generate(builder, *arguments)`` as a function of int64 arguments for numba's kernels."""

    def code(context, builder, signature, arguments):
        generate(builder, *cgutils.unpack_tuple(builder, arguments[0]))
        return context.get_dummy_value()

    @intrinsic
    def called(typing_context, *arguments):
        return types.void(types.UniTuple(types.int64, len(arguments))), code

    return called


@intrinsic
def address(typing_context, array):
    """Of an array's first element, int64, as kernels take it.

    ``array.ctypes.data`` counts references, and is a uint64, which numba turns into float64 where an int64 is added.
    """

    def code(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, INDEX)

    return types.int64(array), code


def register_bytes() -> int:
    """Length of the vector registers of the processor that numba compiles for: 64, or 32 and less."""
    if config.CPU_NAME or config.CPU_FEATURES:
        return 64 if "+avx512f" in (config.CPU_FEATURES or "") else 32
    return 64 if binding.get_host_cpu_features().get("avx512f") else 32


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> np.ndarray:
    """`np.zeros`, from an address on that no vector straddles a line of the cache from."""
    size = math.prod(np.atleast_1d(shape).tolist()) * np.dtype(dtype).itemsize
    room = np.zeros(size + CACHE_LINE, np.uint8)
    begin = -room.ctypes.data % CACHE_LINE
    return room[begin : begin + size].view(dtype).reshape(shape)


class Vector:
    """A vector's value in a kernel, with numpy's operators; integers have a sign, and each rounding is separate.

    Numbers stand for vectors of them.  Comparisons give masks for `where`.
    """

    def __init__(self, builder, value):
        self.builder, self.value, self.kind = builder, value, value.type

    @property
    def is_float(self) -> bool:
        return self.kind.element in (FLOAT, DOUBLE)

    def like(self, value) -> Vector:
        if isinstance(value, Vector):
            return value
        return Vector(self.builder, same(self.kind, value))

    def _with(self, other, integer: str, floating: str = "", reverse: bool = False) -> Vector:
        name = floating if self.is_float else integer
        pair = (self.value, self.like(other).value)
        return Vector(self.builder, getattr(self.builder, name)(*(pair[::-1] if reverse else pair)))

    def __add__(self, other):
        return self._with(other, "add", "fadd")

    def __sub__(self, other):
        return self._with(other, "sub", "fsub")

    def __rsub__(self, other):
        return self._with(other, "sub", "fsub", reverse=True)

    def __mul__(self, other):
        return self._with(other, "mul", "fmul")

    def __truediv__(self, other):
        return self._with(other, "", "fdiv")

    def __rshift__(self, other):
        return self._with(other, "ashr")

    def __lshift__(self, other):
        return self._with(other, "shl")

    def __and__(self, other):
        return self._with(other, "and_")

    def __or__(self, other):
        return self._with(other, "or_")

    def unsigned_shift(self, other):
        """To the right, filling with zeros."""
        return self._with(other, "lshr")

    def both(self, other):
        """Of two masks."""
        return self._with(other, "and_")

    def spread(self, n: int) -> Vector:
        """A scalar in all of n lanes."""
        return Vector(self.builder, broadcast(self.builder, self.value, vector(self.kind, n)))

    def _compared(self, other, operator: str) -> Vector:
        compare = self.builder.fcmp_ordered if self.is_float else self.builder.icmp_signed
        return Vector(self.builder, compare(operator, self.value, self.like(other).value))

    def __lt__(self, other):
        return self._compared(other, "<")

    def __le__(self, other):
        return self._compared(other, "<=")

    def __gt__(self, other):
        return self._compared(other, ">")

    def __ge__(self, other):
        return self._compared(other, ">=")

    def equals(self, other):
        return self._compared(other, "==")

    def minimum(self, other) -> Vector:
        """The other one where self is not a number."""
        return where(self < other, self, other)

    def maximum(self, other) -> Vector:
        return where(self > other, self, other)

    def to(self, scalar: ir.Type) -> Vector:
        """Lanes as another type: integers by extending or cutting, doubles to integers by rounding towards 0."""
        kind, builder = vector(scalar, self.kind.count), self.builder
        if scalar == self.kind.element:
            return self
        if self.is_float:
            name = "fptosi" if isinstance(scalar, ir.IntType) else "fpext" if scalar == DOUBLE else "fptrunc"
        elif isinstance(scalar, ir.IntType):
            name = "sext" if scalar.width > self.kind.element.width else "trunc"
        else:
            name = "sitofp"
        return Vector(builder, getattr(builder, name)(self.value, kind))

    def _of_doubles(self, name: str) -> Vector:
        assert self.kind.element == DOUBLE
        kind = ir.FunctionType(self.kind, [self.kind])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.v{self.kind.count}f64")
        return Vector(self.builder, self.builder.call(function, [self.value]))

    def floor(self) -> Vector:
        return self._of_doubles("floor")

    def __abs__(self) -> Vector:
        return self._of_doubles("fabs")

    def lane(self, k: int):
        return self.builder.extract_element(self.value, ir.Constant(INT32, k))

    def any(self):
        """Whether a mask is set anywhere, an i1."""
        bits = self.builder.bitcast(self.value, ir.IntType(self.kind.count))
        return self.builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))


def where(mask: Vector, one: Vector, other) -> Vector:
    builder = mask.builder
    if not isinstance(one, Vector):
        one = other.like(one)
    return Vector(builder, builder.select(mask.value, one.value, one.like(other).value))


def joined(builder, scalars: list) -> Vector:
    """A vector of these scalars."""
    found = ir.Constant(vector(scalars[0].type, len(scalars)), ir.Undefined)
    for k, scalar in enumerate(scalars):
        found = builder.insert_element(found, scalar, ir.Constant(INT32, k))
    return Vector(builder, found)


def load(builder, base, offset, kind) -> Vector:
    """A vector from memory, or one element in all lanes of a vector: see `load_all`."""
    return Vector(builder, builder.load(vector_at(builder, base, offset, kind), align=kind_bytes(kind.element)))


def load_all(builder, base, offset, kind) -> Vector:
    """One element of an array, in all lanes."""
    return Vector(builder, broadcast(builder, builder.load(element(builder, base, offset, kind.element)), kind))


def store(builder, value: Vector, base, offset) -> None:
    pointer = vector_at(builder, base, offset, value.kind)
    builder.store(value.value, pointer, align=kind_bytes(value.kind.element))


def kind_bytes(scalar: ir.Type) -> int:
    return {FLOAT: 4, DOUBLE: 8}.get(scalar) or scalar.width // 8


def table_entries(builder, table, numbers: Vector, scalar: ir.Type = INDEX) -> Vector:
    """Entry of a table for each lane; numbers must be within it.

    table : a numpy array, which becomes a part of the kernel, or an address of int64
    """
    if isinstance(table, np.ndarray):
        scalar, table = _constants(builder, table)
    entries = [builder.load(element(builder, table, numbers.lane(k), scalar)) for k in range(numbers.kind.count)]
    return joined(builder, entries)


def _constants(builder, table: np.ndarray):
    """Type of the elements and address of a table that is written into the module."""
    scalar = DOUBLE if table.dtype == np.float64 else INDEX
    kind = ir.ArrayType(scalar, len(table))
    name = f"table_{hashlib.sha256(table.tobytes()).hexdigest()[:16]}"
    found = builder.module.globals.get(name)
    if found is None:
        found = ir.GlobalVariable(builder.module, kind, name)
        found.linkage, found.global_constant = "internal", True
        found.initializer = ir.Constant(kind, table.tolist())
    return scalar, builder.ptrtoint(found, INDEX)


def same(kind: ir.VectorType, value) -> ir.Constant:
    """A number in all lanes."""
    return ir.Constant(kind, [ir.Constant(kind.element, value)] * kind.count)
