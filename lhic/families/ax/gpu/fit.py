"""The experts' normal equations of an epoch, and their solution in the order of the format."""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.families.ax.gpu import pixel
from lhic.families.ax.gpu.constants import (
    COEFFICIENT_BITS,
    COEFFICIENT_LIMIT,
    FORGET_SHIFT,
    RELATIVE_RIDGE,
    RIDGE,
    ROW_MARGIN,
    WAVE_MARGIN,
)
from lhic.families.ax.gpu.learn import ending_plane
from lhic.families.ax.gpu.pictures import N_ABOUT

ONE_COEFFICIENT = tl.constexpr(2.0**COEFFICIENT_BITS.value)
TO_FORGOTTEN = tl.constexpr(2.0**-FORGET_SHIFT.value)


@triton.jit
def _inputs(
    about, r, n, z, at, i, j, mean, there, n_rows, n_columns, wave_apart,
    HAS_MEAN: tl.constexpr, HAS_CONSTANT: tl.constexpr, INSIDE: tl.constexpr, EARLIER: tl.constexpr,
):  # fmt: skip
    """Regressors r of n of an expert for a wave's samples as they were before it, float64 (len(r), q).

    about : of the expert's regressors, N_ABOUT numbers each
    Of the places that a regressor sees, only two rows up from the first row is not known before the sample itself.
    """
    has = r < n
    about += r * N_ABOUT
    offset = tl.load(about, mask=has, other=0)
    known = has & (z >= tl.load(about + 1, mask=has, other=0))
    itself = (offset == -2 * wave_apart - 2)[:, None] & (i == 0)[None, :]
    known = known[:, None] & there[None, :] & (itself == 0)
    value = tl.load(at[None, :] + offset[:, None], mask=known, other=0)
    if HAS_MEAN:
        value -= tl.load(about + 2, mask=has, other=0).to(tl.int32)[:, None] * mean[None, :]
    if HAS_CONSTANT:
        value += tl.load(about + 3, mask=has, other=0).to(tl.int32)[:, None]
    if EARLIER:
        sample, other = tl.load(about + 6, mask=has, other=0), tl.load(about + 7, mask=has, other=0)
        also = known & (sample != 0)[:, None]
        value -= tl.load(at[None, :] + sample[:, None], mask=also, other=0)
        value += tl.load(at[None, :] + other[:, None], mask=also, other=0)
    if INSIDE:
        down = i[None, :] + tl.load(about + 4, mask=has, other=0).to(tl.int32)[:, None]
        right = j[None, :] + tl.load(about + 5, mask=has, other=0).to(tl.int32)[:, None]
        value = tl.where((down >= 0) & (down < n_rows) & (right >= 0) & (right < n_columns), value, 0)
    return value.to(tl.float64)


@triton.jit
def _add(gram, first_row, first_column, n, products, ROWS: tl.constexpr, COLUMNS: tl.constexpr, R: tl.constexpr,
         FORGETS: tl.constexpr):  # fmt: skip
    """Add products (ROWS, COLUMNS) to a part of the normal equations."""
    row, column = first_row + tl.arange(0, ROWS), first_column + tl.arange(0, COLUMNS)
    at = gram + row[:, None] * R + column[None, :]
    inside = (row < n)[:, None] & (column < n)[None, :]
    before = tl.load(at, mask=inside, other=0.0)
    if FORGETS:
        before -= tl.floor(before * TO_FORGOTTEN)
    tl.store(at, before + products, mask=inside)


@triton.jit
def _add_moment(moment, r, n, sums, FORGETS: tl.constexpr):
    before = tl.load(moment + r, mask=r < n, other=0.0)
    if FORGETS:
        before -= tl.floor(before * TO_FORGOTTEN)
    tl.store(moment + r, before + sums, mask=r < n)


@triton.jit
def add_epoch(
    step, buffer, regressors, weights, gram, moment, systems, exists,
    buffer_size, picture_apart, plane_apart, wave_apart, n_planes, n_active, n_most, n_rows, n_columns, waves, n,
    ABOUT_MEAN: tl.constexpr, FORGETS: tl.constexpr, EXPERT: tl.constexpr,
    E: tl.constexpr, R: tl.constexpr, SIZE: tl.constexpr, REST: tl.constexpr, Q: tl.constexpr,
    EPOCH: tl.constexpr, PERIOD: tl.constexpr,
    HAS_MEAN: tl.constexpr, HAS_CONSTANT: tl.constexpr, INSIDE: tl.constexpr, EARLIER: tl.constexpr,
):  # fmt: skip
    """Add an epoch's samples to the normal equations of one expert, of n regressors, in one plane whose epoch ends.

    Matrices of SIZE rows, and REST more (0: none), are multiplied by tensor cores; of the triangles only the lower.
    An expert that forgets does so before it learns the next epoch, which is after `solve_system`.
    systems : int64 (tiles, ending planes, E), number of the system to solve, -1 for none
    """
    number = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    z, n_done = ending_plane(tl.load(step), number, waves, n_planes, n_active, EPOCH, PERIOD)
    plane = tile * n_planes + tl.maximum(z, 0)
    system = plane * E + EXPERT
    valid = (z >= 0) & (tl.load(exists + plane) != 0)
    tl.store(systems + (tile * tl.num_programs(0) + number) * E + EXPERT, tl.where(valid, system, -1))
    if valid:
        about = regressors + EXPERT * R * N_ABOUT
        r = tl.arange(0, SIZE)
        products = tl.zeros((SIZE, SIZE), tl.float64)
        sums = tl.zeros((SIZE,), tl.float64)
        if REST > 0:
            r_rest = SIZE + tl.arange(0, REST)
            below = tl.zeros((REST, SIZE), tl.float64)
            corner = tl.zeros((REST, REST), tl.float64)
            sums_rest = tl.zeros((REST,), tl.float64)
        for k in range(0, EPOCH):
            wave = (n_done - EPOCH + k).to(tl.int32)
            first = tl.maximum((wave - n_columns + 2) >> 1, 0)
            end = tl.minimum(wave >> 1, n_rows - 1) + 1
            end = tl.where(pixel.teaches_experts(wave, n_rows * n_columns), end, first)
            for begin in range(first, end, Q):
                i = begin + tl.arange(0, Q)
                j = wave - 2 * i
                there = i < end
                at = buffer + tile * buffer_size + z * plane_apart + (wave + WAVE_MARGIN) * wave_apart + ROW_MARGIN + i
                target = tl.load(at, mask=there, other=0)
                detail = tl.load(at + picture_apart, mask=there, other=0)
                mean = target - detail
                at_weight = weights + (plane * EPOCH + k) * n_most + i - first
                weight = tl.load(at_weight, mask=there, other=0).to(tl.float64)
                if ABOUT_MEAN:
                    target = detail
                x = _inputs(
                    about, r, n, z, at, i, j, mean, there, n_rows, n_columns, wave_apart,
                    HAS_MEAN, HAS_CONSTANT, INSIDE, EARLIER,
                )  # fmt: skip
                across = tl.trans(x)
                weighted = x * weight[None, :]
                products = tl.dot(weighted, across, products, out_dtype=tl.float64)
                sums += tl.sum(weighted * target.to(tl.float64)[None, :], 1)
                if REST > 0:
                    x = _inputs(
                        about, r_rest, n, z, at, i, j, mean, there, n_rows, n_columns, wave_apart,
                        HAS_MEAN, HAS_CONSTANT, INSIDE, EARLIER,
                    )  # fmt: skip
                    weighted = x * weight[None, :]
                    below = tl.dot(weighted, across, below, out_dtype=tl.float64)
                    corner = tl.dot(weighted, tl.trans(x), corner, out_dtype=tl.float64)
                    sums_rest += tl.sum(weighted * target.to(tl.float64)[None, :], 1)
        own_gram, own_moment = gram + system * R * R, moment + system * R
        _add(own_gram, 0, 0, n, products, SIZE, SIZE, R, FORGETS)
        _add_moment(own_moment, r, n, sums, FORGETS)
        if REST > 0:
            _add(own_gram, SIZE, 0, n, below, REST, SIZE, R, FORGETS)
            _add(own_gram, SIZE, SIZE, n, corner, REST, REST, R, FORGETS)
            _add_moment(own_moment, r_rest, n, sums_rest, FORGETS)


@triton.jit
def solve_system(
    gram, moment, work, coefficients, systems, sizes,
    E: tl.constexpr, R: tl.constexpr, SIZE: tl.constexpr, AT_ONCE: tl.constexpr,
):  # fmt: skip
    """One system of normal equations (section 4.4), each sum in the order of the format.

    systems : int64, its number among gram (., R, R), moment and coefficients (., R); -1: nothing to do
    sizes : int64 (E,), of the systems with number e, e + E, ...
    work : (., R + AT_ONCE, SIZE) for each program.  Its rows are columns of the factor, one after the other, from where
        all read what one of them wrote, then the solution.  What is not yet known is 0, so that AT_ONCE products can be
        loaded together, those beyond the end too: taking 0 away changes nothing.
    To be compiled without fused multiply-add (``enable_fp_fusion=False``), for one warp.
    """
    own = tl.program_id(0).to(tl.int64)
    system = tl.load(systems + own)
    if system >= 0:
        n = tl.load(sizes + system % E).to(tl.int32)
        gram += system * R * R
        moment += system * R
        work += own * (R + AT_ONCE) * SIZE
        solution = work + (R + AT_ONCE - 1) * SIZE
        row = tl.arange(0, SIZE)
        for zeroed in range(0, R + AT_ONCE):
            tl.store(work + zeroed * SIZE + row, row * 0.0)
        tl.debug_barrier()
        for j in range(0, n):
            below = (row >= j) & (row < n)
            column = tl.load(gram + row * R + j, mask=below, other=0.0)
            diagonal = tl.load(gram + j * R + j)
            right = tl.load(moment + j)
            pivot = diagonal + (RIDGE + diagonal * RELATIVE_RIDGE)
            rest = tl.where(row == j, pivot, column)
            at, known = work, solution
            for _begin in range(0, j, AT_ONCE):
                for k in tl.static_range(AT_ONCE):
                    of_j = tl.load(at + (k * SIZE + j))
                    rest = rest - tl.load(at + k * SIZE + row) * of_j
                    right = right - tl.load(known + k) * of_j
                at += AT_ONCE * SIZE
                known += AT_ONCE
            pivot = tl.sum(tl.where(row == j, rest, 0.0), 0)
            root = tl.sqrt(pivot)
            found = rest / root
            tl.debug_barrier()
            tl.store(work + j * SIZE + row, tl.where(row == j, root, found), mask=below)
            tl.store(solution + j, right / root)
            tl.debug_barrier()
        for down in range(0, n):
            i = n - 1 - down
            total = tl.load(solution + i)
            at = work + i * SIZE
            for begin in range(i + 1, n, AT_ONCE):
                for k in tl.static_range(AT_ONCE):
                    total = total - tl.load(at + begin + k) * tl.load(solution + begin + k)
            found = total / tl.load(at + i)
            tl.debug_barrier()
            tl.store(solution + i, found)
            tl.debug_barrier()
        # Adding 1.5 * 2^52 and taking it away rounds to the nearest integer, ties to even.
        found = tl.load(solution + row, mask=row < n, other=0.0) * ONE_COEFFICIENT
        found = tl.minimum(tl.maximum(found, -COEFFICIENT_LIMIT), COEFFICIENT_LIMIT)
        found = (found + 6755399441055744.0) - 6755399441055744.0
        tl.store(coefficients + system * R + row, found, mask=row < n)
