"""Compiled augmented Lagrangian method for one quadratic program over a chain of blocks.

Minimise ``Σ_e ½ x_e'P_e x_e + q_e'x_e + Σ_i cap_i·dist(v_i, [low_i, high_i])`` with the values v of rows,
``v_i = a_i'x_e``, and of cuts, ``v_i = near_i'x_e - far_i'x_{e+1}``. Equalities are rows with low = high and
an infinite cap, bounds rows with an infinite cap, bands and cuts rows with a finite one.

Each row has a multiplier y and a stiffness σ. The augmented Lagrangian is convex, once differentiable and
piecewise quadratic; Newton's method with an exact line search finds its minimum in finitely many steps, then
``y = clip(y + σ·(v - high), 0, cap)``, likewise below. Only rows that touch a side of their interval enter
the second derivative. A start far from the answer is led to it by rows that are soft at first.

Blocks are factored one by one; cuts are joined to them by their Schur complement. Blocks that no cut connects
are solved on their own.

References
----------
Hermans, Themelis, Patrinos (2022), QPALM: a proximal augmented Lagrangian method for nonconvex quadratic
programs.
Hintermüller, Ito, Kunisch (2002), The primal-dual active set strategy as a semismooth Newton method.
"""

from typing import Any

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit

__all__ = ["newton_chain"]

FAST: dict[str, Any] = {**INNER, "fastmath": {"contract", "reassoc"}}
"""Sums may be reordered and fused, so that they vectorise."""
EQUALITIES = 2
STIFF = 1e3
MAX_OUTER = 50
MAX_TRIALS = 30
LINE_TOLERANCE = 0.1
"""Of the derivative at the end of a step, over that at its start."""
GROWTH = 10.0
PATIENCE = 10


@njit(**FAST)
def _dot(a: FloatArray, b: FloatArray) -> float:
    total = 0.0
    for c in range(b.size):
        total += a[c] * b[c]
    return total


@njit(**FAST)
def _add(out: FloatArray, value: float, row: FloatArray) -> None:
    for c in range(out.size):
        out[c] += value * row[c]


@njit(**INNER)
def _clipped(shifted: float, stiff: float, low: float, high: float, cap: float) -> float:
    """Multiplier after a step; `shifted` is the value plus multiplier / stiffness."""
    return min(max(stiff * (shifted - high), 0.0), cap) + max(min(stiff * (shifted - low), 0.0), -cap)


@njit(**INNER)
def _values(
    x: FloatArray, rows: FloatArray, offsets: IntArray, near: FloatArray, far: FloatArray,
    cut_offsets: IntArray, lo: int, hi: int, out: FloatArray,
) -> None:  # fmt: skip
    """Values of the rows of blocks lo to hi, and of the cuts between them."""
    for e in range(lo, hi):
        own, bounds = x[e], offsets[e] + EQUALITIES
        for i in range(offsets[e], bounds):
            out[i] = _dot(rows[i], own)
        for c in range(own.size):
            out[bounds + c] = own[c]
        for i in range(bounds + own.size, offsets[e + 1]):
            out[i] = _dot(rows[i], own)
        if e > lo:
            before = x[e - 1]
            for i in range(cut_offsets[e - 1], cut_offsets[e]):
                out[rows.shape[0] + i] = _dot(near[i], before) - _dot(far[i], own)


@njit(**INNER)
def _gradient(
    x: FloatArray, quadratic: FloatArray, linear: FloatArray, hat: FloatArray, rows: FloatArray,
    offsets: IntArray, near: FloatArray, far: FloatArray, cut_offsets: IntArray, lo: int, hi: int,
    out: FloatArray,
) -> float:  # fmt: skip
    """Gradient for given multipliers; returns its largest entry."""
    worst = 0.0
    for e in range(lo, hi):
        own, pull, bounds = x[e], out[e], offsets[e] + EQUALITIES
        for c in range(own.size):
            pull[c] = linear[e, c] + _dot(quadratic[e, c], own) + hat[bounds + c]
        for i in range(offsets[e], offsets[e + 1]):
            if hat[i] != 0.0 and not bounds <= i < bounds + own.size:
                _add(pull, hat[i], rows[i])
        if e > lo:
            for i in range(cut_offsets[e - 1], cut_offsets[e]):
                value = hat[rows.shape[0] + i]
                if value != 0.0:
                    _add(out[e - 1], value, near[i])
                    _add(pull, -value, far[i])
    for e in range(lo, hi):
        for c in range(out.shape[1]):
            worst = max(worst, abs(out[e, c]))
    return worst


@njit(**INNER)
def _multipliers(
    value: FloatArray, y: FloatArray, stiff: FloatArray, low: FloatArray, high: FloatArray, cap: FloatArray,
    start: int, stop: int, hat: FloatArray, on: BoolArray,
) -> bool:  # fmt: skip
    """Multipliers after a step, and which rows touch a side; returns whether the latter changed."""
    changed = False
    for i in range(start, stop):
        hat[i] = _clipped(value[i] + y[i] / stiff[i], stiff[i], low[i], high[i], cap[i])
        touches = hat[i] != 0.0 and abs(hat[i]) < cap[i]
        if touches != on[i]:
            changed, on[i] = True, touches
    return changed


@njit(**INNER)
def _accept(y: FloatArray, hat: FloatArray, stiff: FloatArray, start: int, stop: int) -> float:
    """Take the multipliers over; returns the largest violation."""
    gap = 0.0
    for i in range(start, stop):
        gap = max(gap, abs(hat[i] - y[i]) / stiff[i])
        y[i] = hat[i]
    return gap


@njit(**FAST)
def _pull(
    length: float, shifted: FloatArray, slope: FloatArray, stiff: FloatArray, low: FloatArray,
    high: FloatArray, cap: FloatArray,
) -> tuple[float, float]:  # fmt: skip
    """First and second derivative of the rows' part of the augmented Lagrangian along a step."""
    total, bend = 0.0, 0.0
    for i in range(shifted.size):
        at = shifted[i] + length * slope[i]
        above = min(max(stiff[i] * (at - high[i]), 0.0), cap[i])
        below = min(max(stiff[i] * (low[i] - at), 0.0), cap[i])
        pull = above - below
        total += slope[i] * pull
        bend += slope[i] * slope[i] * stiff[i] if 0.0 < above + below < cap[i] else 0.0
    return total, bend


@njit(**INNER)
def _scale(stiff: FloatArray, factor: float, r0: int, r1: int, c0: int, c1: int) -> None:
    for i in range(r0, r1):
        stiff[i] *= factor
    for i in range(c0, c1):
        stiff[i] *= factor * factor


@njit(**FAST)
def _factor(work: FloatArray, m: int, width: int) -> None:
    """Turn rows [H | O] into [R | R^-T O] with H = R'R, in place; four pivots at a time."""
    for quarter in range((m + 3) // 4):
        k = 4 * quarter
        last = min(k + 4, m)
        for j in range(k, last):
            pivot = work[j, :width]
            scale = 1.0 / np.sqrt(max(pivot[j], 1e-30))
            for c in range(j, width):
                pivot[c] *= scale
            for i in range(j + 1, last):
                _add(work[i, i:width], -pivot[i], pivot[i:])
        for i in range(last, m):
            f0, f1, f2, f3 = work[k, i], work[k + 1, i], work[k + 2, i], work[k + 3, i]
            row, r0, r1 = work[i, i:width], work[k, i:], work[k + 1, i:]
            r2, r3 = work[k + 2, i:], work[k + 3, i:]
            for c in range(row.size):
                row[c] -= f0 * r0[c] + f1 * r1[c] + f2 * r2[c] + f3 * r3[c]


@njit(**INNER)
def _forward(work: FloatArray, f: FloatArray) -> None:
    m = f.size
    for i in range(m):
        f[i] /= work[i, i]
        _add(f[i + 1 :], -f[i], work[i, i + 1 :])


@njit(**INNER)
def _backward(work: FloatArray, f: FloatArray) -> None:
    m = f.size
    for i in range(m - 1, -1, -1):
        f[i] = (f[i] - _dot(work[i, i + 1 :], f[i + 1 :])) / work[i, i]


@njit(**INNER)
def _bend(
    rows: FloatArray, offsets: IntArray, stiff: FloatArray, on: BoolArray, held: BoolArray, lo: int, hi: int,
    bent: FloatArray,
) -> None:  # fmt: skip
    """Bring the blocks' second derivatives up to date with the rows that touch; `held` are those in them."""
    m = bent.shape[1]
    for e in range(lo, hi):
        mine, bounds = bent[e - lo], offsets[e] + EQUALITIES
        for i in range(offsets[e], offsets[e + 1]):
            if on[i] == held[i]:
                continue
            held[i] = on[i]
            change = stiff[i] if on[i] else -stiff[i]
            if bounds <= i < bounds + m:
                mine[i - bounds, i - bounds] += change
            else:
                row = rows[i]
                for a in range(m):
                    if row[a] != 0.0:
                        _add(mine[a, a:m], change * row[a], row[a:])


@njit(**INNER)
def _prepare(
    near: FloatArray, far: FloatArray, stiff: FloatArray, n_rows: int, chosen: IntArray, first: IntArray,
    bent: FloatArray, lo: int, hi: int, stale: BoolArray, work: FloatArray, schur: FloatArray,
) -> None:  # fmt: skip
    """Factor the second derivative: blocks with the columns of their cuts, then the cuts' own matrix.

    Only blocks that are `stale`, where rows or cuts began or ceased to touch, are factored anew.
    """
    m = bent.shape[1]
    n_on = first[hi - lo]
    for k in range(n_on):
        for j in range(n_on):
            schur[k, j] = 0.0
        schur[k, k] = 1.0 / stiff[n_rows + chosen[k]]
    for e in range(lo, hi):
        mine = work[e - lo]
        # Cuts with the earlier and with the later expiry.
        k0, k1, k2 = first[max(e - lo - 1, 0)], first[e - lo], first[e - lo + 1]
        if stale[e - lo]:
            stale[e - lo] = False
            for a in range(m):
                row, own = mine[a], bent[e - lo, a]
                for c in range(m):
                    row[c] = own[c]
            for a in range(m):
                for k in range(k0, k1):
                    mine[a, m + k - k0] = -far[chosen[k], a]
                for k in range(k1, k2):
                    mine[a, m + k - k0] = near[chosen[k], a]
            _factor(mine, m, m + k2 - k0)
        for a in range(m):
            for k in range(k2 - k0):
                _add(schur[k0 + k, k0 + k : k2], mine[a, m + k], mine[a, m + k :])
    _factor(schur, n_on, n_on)


@njit(**INNER)
def _direction(
    gradient: FloatArray, first: IntArray, lo: int, hi: int, work: FloatArray, schur: FloatArray,
    on_cuts: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Newton's step from the factors."""
    m = gradient.shape[1]
    for k in range(on_cuts.size):
        on_cuts[k] = 0.0
    for e in range(lo, hi):
        mine, step = work[e - lo], out[e]
        for c in range(m):
            step[c] = -gradient[e, c]
        _forward(mine, step)
        k0, k2 = first[max(e - lo - 1, 0)], first[e - lo + 1]
        for a in range(m):
            for k in range(k2 - k0):
                on_cuts[k0 + k] += mine[a, m + k] * step[a]
    _forward(schur, on_cuts)
    _backward(schur, on_cuts)
    for e in range(lo, hi):
        mine, step = work[e - lo], out[e]
        k0, k2 = first[max(e - lo - 1, 0)], first[e - lo + 1]
        for a in range(m):
            for k in range(k2 - k0):
                step[a] -= mine[a, m + k] * on_cuts[k0 + k]
        _backward(mine, step)


@njit(**INNER)
def _touching(
    on: BoolArray, cut_offsets: IntArray, lo: int, hi: int, chosen: IntArray, first: IntArray
) -> int:
    """List the cuts that touch; `first` receives the number of the first one of each block."""
    count = 0
    for e in range(lo, hi):
        first[e - lo] = count
        if e < hi - 1:
            for i in range(cut_offsets[e], cut_offsets[e + 1]):
                if on[i]:
                    chosen[count] = i
                    count += 1
    first[hi - lo] = count
    return count


@njit(**INNER)
def _shift(
    value: FloatArray, y: FloatArray, stiff: FloatArray, start: int, stop: int, out: FloatArray
) -> None:
    """Values plus multipliers over stiffness."""
    for i in range(start, stop):
        out[i] = value[i] + y[i] / stiff[i]


@njit(**INNER)
def _length(
    x: FloatArray, d: FloatArray, g: FloatArray, quadratic: FloatArray, linear: FloatArray,
    shifted: FloatArray, slope: FloatArray, stiff: FloatArray, low: FloatArray,
    high: FloatArray, cap: FloatArray, lo: int, hi: int, r0: int, r1: int, c0: int, c1: int,
) -> float:  # fmt: skip
    """Length of a step: the zero of the derivative along it, which rises."""
    at_zero, base, curve = 0.0, 0.0, 0.0
    for e in range(lo, hi):
        step = d[e]
        at_zero += _dot(g[e], step)
        base += _dot(linear[e], step)
        for c in range(step.size):
            bend = _dot(quadratic[e, c], step)
            base += bend * x[e, c]
            curve += bend * step[c]
    length, left, right = 1.0, 0.0, np.inf
    for _ in range(MAX_TRIALS):
        rows, row_bend = _pull(
            length, shifted[r0:r1], slope[r0:r1], stiff[r0:r1], low[r0:r1], high[r0:r1], cap[r0:r1]
        )
        cuts, cut_bend = _pull(
            length, shifted[c0:c1], slope[c0:c1], stiff[c0:c1], low[c0:c1], high[c0:c1], cap[c0:c1]
        )
        total, bend = base + length * curve + rows + cuts, curve + row_bend + cut_bend
        if abs(total) <= LINE_TOLERANCE * abs(at_zero):
            break
        if total > 0.0:
            right = length
        else:
            left = length
        # The derivative is piecewise linear: Newton's method, kept inside what is known to hold the zero.
        length -= total / max(bend, 1e-300)
        if not left < length < right:
            length = 2.0 * left if right == np.inf else 0.5 * (left + right)
    return length


@njit(**INNER)
def _curvature(quadratic: FloatArray, row: FloatArray) -> float:
    total = 0.0
    for c in range(row.size):
        if row[c] != 0.0:
            total += row[c] * _dot(quadratic[c], row)
    return total


@njit(**INNER)
def _stiffness(
    quadratic: FloatArray, rows: FloatArray, offsets: IntArray, near: FloatArray, far: FloatArray,
    cut_offsets: IntArray, out: FloatArray,
) -> None:  # fmt: skip
    """Stiffness of the rows: large against the curvature of the objective along them."""
    n_rows, m = rows.shape[0], quadratic.shape[1]
    for i in range(n_rows):
        out[i] = STIFF
    for e in range(quadratic.shape[0]):
        mine, bounds = quadratic[e], offsets[e] + EQUALITIES
        for i in range(offsets[e], bounds):
            out[i] = 10.0 * STIFF * _curvature(mine, rows[i]) / _dot(rows[i], rows[i]) ** 2
        for c in range(m):
            out[bounds + c] = STIFF * max(mine[c, c], 1e-6)
        if e > 0:
            for i in range(cut_offsets[e - 1], cut_offsets[e]):
                size = _dot(near[i], near[i]) + _dot(far[i], far[i])
                bend = _curvature(quadratic[e - 1], near[i]) + _curvature(mine, far[i])
                out[n_rows + i] = 10.0 * STIFF * bend / size**2


@njit()
def newton_chain(
    quadratic: FloatArray, linear: FloatArray, rows: FloatArray, offsets: IntArray,
    near: FloatArray, far: FloatArray, cut_offsets: IntArray,
    low: FloatArray, high: FloatArray, cap: FloatArray, x: FloatArray, y: FloatArray,
    softer: int, tolerance: float, cut_tolerance: float, max_steps: int,
    steps: IntArray,
) -> None:  # fmt: skip
    """Solve the program of the module's head; x and y are start and answer.

    Rows of a block: equalities, one bound per variable, bands. `low` to `y` are per row, then per cut;
    stiffnesses reach those of `_stiffness` after `softer` rounds of growth.
    `steps`, per block, receives the number of Newton steps, minus one more than it where the largest
    violation did not come below `tolerance`, that of cuts below `cut_tolerance`.
    """
    n, m = x.shape
    n_rows = rows.shape[0]
    value, slope, hat, shifted = np.empty((4, low.size))
    on, held = np.zeros(low.size, dtype=np.bool_), np.zeros(low.size, dtype=np.bool_)
    stiff = np.empty(low.size)
    _stiffness(quadratic, rows, offsets, near, far, cut_offsets, stiff)
    g, d = np.empty((n, m)), np.empty((n, m))
    # Not a plain 0: numba would compile everything once more for that number.
    hi = offsets[0]
    while hi < n:
        lo = hi
        hi += 1
        while hi < n and cut_offsets[hi] > cut_offsets[hi - 1]:
            hi += 1
        r0, r1, c0, c1 = offsets[lo], offsets[hi], n_rows + cut_offsets[lo], n_rows + cut_offsets[hi - 1]
        work, bent = np.empty((hi - lo, m, m + c1 - c0)), np.empty((hi - lo, m, m))
        schur, chosen = np.empty((c1 - c0, c1 - c0)), np.empty(c1 - c0, dtype=np.int64)
        first, stale = np.zeros(hi - lo + 1, dtype=np.int64), np.ones(hi - lo, dtype=np.bool_)
        on_cuts = np.empty(0)
        count, outer, exact, fresh, rescaled, done = 0, 0, False, True, True, False
        grow = 1.0
        for _ in range(softer):
            grow *= GROWTH
        _scale(stiff, 1.0 / grow, r0, r1, c0, c1)
        scale = 1.0
        for e in range(lo, hi):
            for c in range(m):
                scale = max(scale, abs(linear[e, c]))
        while not done:
            _values(x, rows, offsets, near, far, cut_offsets, lo, hi, value)
            changed = False
            for e in range(lo, hi):
                if _multipliers(value, y, stiff, low, high, cap, offsets[e], offsets[e + 1], hat, on):
                    changed = stale[e - lo] = True
            for e in range(lo, hi - 1):
                i, j = n_rows + cut_offsets[e], n_rows + cut_offsets[e + 1]
                if _multipliers(value, y, stiff, low, high, cap, i, j, hat, on):
                    changed = stale[e - lo] = stale[e - lo + 1] = True
            fresh |= changed
            worst = _gradient(x, quadratic, linear, hat, rows, offsets, near, far, cut_offsets, lo, hi, g)
            if worst < 1e-10 * scale or (exact and not changed) or count >= max_steps:
                gap = _accept(y, hat, stiff, r0, r1)
                cut_gap = _accept(y, hat, stiff, c0, c1)
                outer += 1
                exact = False
                if outer <= softer:
                    _scale(stiff, GROWTH, r0, r1, c0, c1)
                    fresh = rescaled = True
                    continue
                solved = gap < tolerance and cut_gap < cut_tolerance
                if not solved and outer % PATIENCE == 0:
                    # Rows that nearly depend on each other come to terms slowly.
                    _scale(stiff, GROWTH, r0, r1, c0, c1)
                    fresh = rescaled = True
                if solved or outer >= MAX_OUTER or count >= max_steps:
                    done = True
                    for e in range(lo, hi):
                        steps[e] = count if solved else -count - 1
                continue
            count += 1
            if fresh:
                fresh = False
                n_on = _touching(on[n_rows:], cut_offsets, lo, hi, chosen, first)
                on_cuts = np.empty(n_on)
                if rescaled:
                    rescaled = False
                    for i in range(r0, r1):
                        held[i] = False
                    for e in range(lo, hi):
                        bent[e - lo], stale[e - lo] = quadratic[e], True
                _bend(rows, offsets, stiff, on, held, lo, hi, bent)
                _prepare(near, far, stiff, n_rows, chosen, first, bent, lo, hi, stale, work, schur)
            _direction(g, first, lo, hi, work, schur, on_cuts, d)
            _values(d, rows, offsets, near, far, cut_offsets, lo, hi, slope)
            _shift(value, y, stiff, r0, r1, shifted)
            _shift(value, y, stiff, c0, c1, shifted)
            length = _length(
                x, d, g, quadratic, linear, shifted, slope, stiff, low, high, cap, lo, hi, r0, r1, c0, c1
            )
            exact = length == 1.0
            for e in range(lo, hi):
                _add(x[e], length, d[e])
