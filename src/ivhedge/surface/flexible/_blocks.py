"""Compiled algebra of block tridiagonal systems whose blocks come from rows: assemble, factor, solve.

Rows of block e are ``offsets[e]:offsets[e + 1]``. A band row touches its own block, a cut the blocks e and
e + 1.
"""

from typing import Any

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit

__all__ = ["assemble", "factor", "row_values", "solve_factored", "transposed"]

FAST: dict[str, Any] = {**INNER, "fastmath": {"contract", "reassoc"}}
"""Sums may be reordered and fused, so that they vectorise."""


@njit(**FAST)
def row_values(
    x: FloatArray, bands: FloatArray, offsets: IntArray, near: FloatArray, far: FloatArray,
    cut_offsets: IntArray, out: FloatArray,
) -> None:  # fmt: skip
    """Fill `out` with A x of the band rows, then ``near x_e - far x_{e+1}`` of the cuts."""
    n, m = x.shape
    n_rows = bands.shape[0]
    for e in range(n):
        own = x[e]
        for i in range(offsets[e], offsets[e + 1]):
            row, total = bands[i], 0.0
            for c in range(m):
                total += row[c] * own[c]
            out[i] = total
    for e in range(n - 1):
        own, later = x[e], x[e + 1]
        for i in range(cut_offsets[e], cut_offsets[e + 1]):
            row, other, total = near[i], far[i], 0.0
            for c in range(m):
                total += row[c] * own[c] - other[c] * later[c]
            out[n_rows + i] = total


@njit(**FAST)
def transposed(
    weight: FloatArray, bands: FloatArray, offsets: IntArray, near: FloatArray, far: FloatArray,
    cut_offsets: IntArray, out: FloatArray,
) -> None:  # fmt: skip
    """Add the transpose of `row_values` applied to `weight` to `out`."""
    n, m = out.shape
    n_rows = bands.shape[0]
    for e in range(n):
        own = out[e]
        for i in range(offsets[e], offsets[e + 1]):
            row, value = bands[i], weight[i]
            for c in range(m):
                own[c] += value * row[c]
    for e in range(n - 1):
        own, later = out[e], out[e + 1]
        for i in range(cut_offsets[e], cut_offsets[e + 1]):
            row, other, value = near[i], far[i], weight[n_rows + i]
            for c in range(m):
                own[c] += value * row[c]
                later[c] -= value * other[c]


@njit(**FAST)
def _add_products(
    left: FloatArray, right: FloatArray, weight: FloatArray, first_column: int, symmetric: bool,
    out: FloatArray, out_column: int, m: int,
) -> None:  # fmt: skip
    """Add ``Σ_i weight_i left_i right_i'`` to `out`, its upper triangle only where symmetric.

    The m columns used start at `first_column` of left and right and `out_column` of out: whole rows of
    contiguous arrays are passed, because a view of some columns would cost the vectorisation.
    """
    count, i = left.shape[0], 0
    while i + 4 <= count:
        w0, w1, w2, w3 = weight[i], weight[i + 1], weight[i + 2], weight[i + 3]
        for a in range(m):
            skip = a if symmetric else 0
            start, stop = first_column + skip, first_column + m
            row = out[a, out_column + skip : out_column + m]
            r0, r1 = right[i, start:stop], right[i + 1, start:stop]
            r2, r3 = right[i + 2, start:stop], right[i + 3, start:stop]
            at = first_column + a
            f0, f1 = w0 * left[i, at], w1 * left[i + 1, at]
            f2, f3 = w2 * left[i + 2, at], w3 * left[i + 3, at]
            for c in range(m - skip):
                row[c] += f0 * r0[c] + f1 * r1[c] + f2 * r2[c] + f3 * r3[c]
        i += 4
    while i < count:
        for a in range(m):
            skip = a if symmetric else 0
            row = out[a, out_column + skip : out_column + m]
            other = right[i, first_column + skip : first_column + m]
            f0 = weight[i] * left[i, first_column + a]
            for c in range(m - skip):
                row[c] += f0 * other[c]
        i += 1


@njit(**FAST)
def assemble(
    fixed: FloatArray, diagonal: FloatArray, weight: FloatArray, bands: FloatArray, offsets: IntArray,
    near: FloatArray, far: FloatArray, cut_offsets: IntArray, work: FloatArray,
) -> None:  # fmt: skip
    """Fill the rows [H_e | O_e] of `work`, shape (n, m, 2m): diagonal block (upper triangle), block above."""
    n, m = diagonal.shape
    n_rows = bands.shape[0]
    for e in range(n):
        for a in range(m):
            for c in range(m):
                work[e, a, c] = fixed[e, a, c]
                work[e, a, m + c] = 0.0
            work[e, a, a] += diagonal[e, a]
    for e in range(n):
        lo, hi = offsets[e], offsets[e + 1]
        _add_products(bands[lo:hi], bands[lo:hi], weight[lo:hi], 0, True, work[e], 0, m)
        if e < n - 1:
            lo, hi = cut_offsets[e], cut_offsets[e + 1]
            on_cuts = weight[n_rows + lo : n_rows + hi]
            _add_products(near[lo:hi], near[lo:hi], on_cuts, 0, True, work[e], 0, m)
            _add_products(far[lo:hi], far[lo:hi], on_cuts, 0, True, work[e + 1], 0, m)
            _add_products(near[lo:hi], far[lo:hi], -on_cuts, 0, False, work[e], m, m)


@njit(**FAST)
def _factor_block(work: FloatArray, m: int, width: int) -> None:
    """Turn rows [H | O] into [R | R^-T O] with H = R'R, in place; four pivots at a time."""
    k = 0
    while k < m:
        last = min(k + 4, m)
        for j in range(k, last):
            pivot_row = work[j]
            scale = 1.0 / np.sqrt(max(pivot_row[j], 1e-30))
            for c in range(j, width):
                pivot_row[c] *= scale
            for i in range(j + 1, last):
                multiple, row = pivot_row[i], work[i]
                for c in range(i, width):
                    row[c] -= multiple * pivot_row[c]
        if last - k == 4:
            for i in range(last, m):
                f0, f1, f2, f3 = work[k, i], work[k + 1, i], work[k + 2, i], work[k + 3, i]
                row, r0, r1 = work[i, i:], work[k, i:], work[k + 1, i:]
                r2, r3 = work[k + 2, i:], work[k + 3, i:]
                for c in range(width - i):
                    row[c] -= f0 * r0[c] + f1 * r1[c] + f2 * r2[c] + f3 * r3[c]
        k = last


@njit(**FAST)
def factor(work: FloatArray, minus: FloatArray) -> None:
    """Block Cholesky in place; `minus` is minus one, m times."""
    n, m = work.shape[0], work.shape[1]
    for e in range(n):
        if e > 0:
            _add_products(work[e - 1], work[e - 1], minus, m, True, work[e], 0, m)
        _factor_block(work[e], m, 2 * m if e < n - 1 else m)


@njit(**FAST)
def solve_factored(work: FloatArray, right: FloatArray, out: FloatArray) -> None:
    """Solve with the factors of `factor`."""
    n, m = right.shape
    for e in range(n):
        f = out[e]
        for c in range(m):
            f[c] = right[e, c]
        if e > 0:
            for i in range(m):
                row, value = work[e - 1, i, m:], out[e - 1, i]
                for c in range(m):
                    f[c] -= row[c] * value
        for i in range(m):
            f[i] /= work[e, i, i]
            value, row, rest = f[i], work[e, i, i + 1 : m], f[i + 1 :]
            for c in range(m - i - 1):
                rest[c] -= row[c] * value
    for e in range(n - 1, -1, -1):
        x = out[e]
        for i in range(m - 1, -1, -1):
            total = x[i]
            for c in range(i + 1, m):
                total -= work[e, i, c] * x[c]
            if e < n - 1:
                for c in range(m):
                    total -= work[e, i, m + c] * out[e + 1, c]
            x[i] = total / work[e, i, i]
