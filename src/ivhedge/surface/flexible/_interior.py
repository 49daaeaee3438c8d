"""Compiled primal-dual interior point for one quadratic program over a chain of blocks.

Minimise ``Σ_e ½ x_e'P_e x_e + q_e'x_e + Σ γ·t`` over x >= 0 and t >= 0 subject to

* ``E_e x_e = b_e`` (two rows per block),
* ``low - t <= A_e x_e <= high + t`` (bands; a side that is infinite does not exist),
* ``near x_e - far x_{e+1} <= t`` (cuts between neighbours).

Every band side and cut has its slack s, its multiplier z in [0, γ], its excess t and the multiplier
``y = γ - z`` of the latter. All four are eliminated to one number on the diagonal, ``D = z / (s + z·t/y)``,
so that the system solved per step has the size of x alone and couples neighbouring blocks only: block
Cholesky, two right-hand sides per step (Mehrotra's predictor and corrector). Sides are stacked: the upper
ones of all rows, the lower ones, the cuts.

References
----------
Mehrotra (1992), On the implementation of a primal-dual interior point method.
Friedlander, Orban (2012), A primal-dual regularized interior-point method for convex quadratic programs.
"""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit
from ivhedge.surface.flexible._blocks import assemble, factor, row_values, solve_factored, transposed

__all__ = ["EQUALITY_SLACK", "interior_point"]

EQUALITY_SLACK = 1e-9
"""Regularisation of the equalities; the error it leaves falls by this factor in each step."""


@njit(**INNER)
def _spread(rows: FloatArray, n_rows: int, out: FloatArray) -> None:
    """Values of rows and cuts as values of sides."""
    for i in range(n_rows):
        out[i], out[n_rows + i] = rows[i], -rows[i]
    for i in range(n_rows, rows.size):
        out[n_rows + i] = rows[i]


@njit(**INNER)
def _gather(sides: FloatArray, n_rows: int, flip: float, out: FloatArray) -> None:
    """Sides added up per row and cut; the lower ones times `flip`."""
    for i in range(n_rows):
        out[i] = sides[i] + flip * sides[n_rows + i]
    for i in range(n_rows, out.size):
        out[i] = sides[n_rows + i]


@njit(**INNER)
def _start_sides(
    bound: FloatArray, value: FloatArray, penalty: FloatArray, start_gap: float,
    s: FloatArray, z: FloatArray, t: FloatArray, y: FloatArray,
) -> int:  # fmt: skip
    count = 0
    for i in range(bound.size):
        s[i], z[i], t[i], y[i] = 1.0, 0.0, 0.0, 1.0
        if np.isfinite(bound[i]):
            room = bound[i] - value[i]
            s[i] = max(room, 0.1 * np.sqrt(start_gap))
            z[i] = min(0.5 * penalty[i], start_gap / s[i])
            y[i] = penalty[i] - z[i]
            t[i] = max(start_gap / y[i], 1e-12)
            count += 2
    return count


@njit(**INNER)
def _targets(
    centre: float, corrector: bool, s: FloatArray, z: FloatArray, t: FloatArray, y: FloatArray,
    ds: FloatArray, dz: FloatArray, dt: FloatArray, row_error: FloatArray,
    shift: FloatArray, target_t: FloatArray,
) -> None:  # fmt: skip
    """Constant part of the multipliers' step, and the right side of the excess' complementarity."""
    for i in range(s.size):
        shift[i], target_t[i] = 0.0, 0.0
        if z[i] > 0.0:
            target, target_t[i] = centre - s[i] * z[i], centre - t[i] * y[i]
            if corrector:
                # The predictor's second-order terms; that of y is minus that of z.
                target -= ds[i] * dz[i]
                target_t[i] += dt[i] * dz[i]
            ratio = z[i] / y[i]
            shift[i] = (target - ratio * target_t[i] - z[i] * row_error[i]) / (s[i] + ratio * t[i])


@njit(**INNER)
def _side_steps(
    weight: FloatArray, shift: FloatArray, target_t: FloatArray, step: FloatArray, row_error: FloatArray,
    s: FloatArray, z: FloatArray, t: FloatArray, y: FloatArray,
    ds: FloatArray, dz: FloatArray, dt: FloatArray,
) -> float:  # fmt: skip
    """Steps of slacks, multipliers and excesses; the largest length that keeps them positive."""
    shrink = 1.0
    for i in range(s.size):
        ds[i], dz[i], dt[i] = 0.0, 0.0, 0.0
        if z[i] > 0.0:
            dz[i] = weight[i] * step[i] + shift[i]
            dt[i] = (target_t[i] + t[i] * dz[i]) / y[i]
            ds[i] = dt[i] - step[i] + row_error[i]
            # Largest relative fall of the four.
            shrink = max(shrink, -ds[i] / s[i], -dz[i] / z[i])
            shrink = max(shrink, -dt[i] / t[i], dz[i] / y[i])
    return 1.0 / shrink


@njit(**INNER)
def _complementarity(
    length: float, s: FloatArray, z: FloatArray, t: FloatArray, y: FloatArray,
    ds: FloatArray, dz: FloatArray, dt: FloatArray,
) -> float:  # fmt: skip
    total = 0.0
    for i in range(s.size):
        if z[i] > 0.0:
            dual = length * dz[i]
            total += (s[i] + length * ds[i]) * (z[i] + dual) + (t[i] + length * dt[i]) * (y[i] - dual)
    return total


@njit()
def interior_point(
    quadratic: FloatArray, linear: FloatArray, equality: FloatArray, equal_to: FloatArray,
    bands: FloatArray, offsets: IntArray, bound: FloatArray, penalty: FloatArray,
    near: FloatArray, far: FloatArray, cut_offsets: IntArray,
    start: FloatArray, start_gap: float, tolerance: float, max_iterations: int,
) -> tuple[FloatArray, FloatArray, int, float, float]:  # fmt: skip
    """Solve the program of the module's head.

    `bound` and `penalty` are per side. Returns x, the multipliers of the sides, the number of steps, the
    last mean complementarity and the largest residual.
    """
    n, m = start.shape
    n_rows, n_cuts = bands.shape[0], near.shape[0]
    n_sides = 2 * n_rows + n_cuts
    fixed = np.empty((n, m, m))
    for e in range(n):
        for a in range(m):
            f0, f1 = equality[e, 0, a] / EQUALITY_SLACK, equality[e, 1, a] / EQUALITY_SLACK
            for c in range(m):
                fixed[e, a, c] = quadratic[e, a, c] + f0 * equality[e, 0, c] + f1 * equality[e, 1, c]
    x, zx = np.empty((n, m)), np.empty((n, m))
    for e in range(n):
        for c in range(m):
            x[e, c] = max(start[e, c], 1e-3)
            zx[e, c] = start_gap / x[e, c]
    on_rows, value, step = np.zeros(n_rows + n_cuts), np.zeros(n_sides), np.zeros(n_sides)
    row_values(x, bands, offsets, near, far, cut_offsets, on_rows)
    _spread(on_rows, n_rows, value)
    s, z, t, y = np.empty(n_sides), np.empty(n_sides), np.empty(n_sides), np.empty(n_sides)
    ds, dz, dt = np.empty(n_sides), np.empty(n_sides), np.empty(n_sides)
    n_pairs = n * m + _start_sides(bound, value, penalty, start_gap, s, z, t, y)
    weight, shift, target_t = np.empty(n_sides), np.empty(n_sides), np.empty(n_sides)
    row_error = np.zeros(n_sides)
    work, minus = np.empty((n, m, 2 * m)), np.full(m, -1.0)
    dx, dzx, residual, right = np.empty((n, m)), np.empty((n, m)), np.empty((n, m)), np.empty((n, m))
    diagonal, multiplier, missing = np.empty((n, m)), np.zeros((n, 2)), np.empty((n, 2))
    gap, worst, iterations = start_gap, np.inf, 0
    for iteration in range(max_iterations + 1):
        row_values(x, bands, offsets, near, far, cut_offsets, on_rows)
        _spread(on_rows, n_rows, value)
        total, worst = 0.0, 0.0
        for i in range(n_sides):
            row_error[i], weight[i] = 0.0, 0.0
            if z[i] > 0.0:
                row_error[i] = bound[i] + t[i] - value[i] - s[i]
                worst = max(worst, abs(row_error[i]))
                weight[i] = z[i] / (s[i] + z[i] * t[i] / y[i])
                total += s[i] * z[i] + t[i] * y[i]
        _gather(z, n_rows, -1.0, on_rows)
        for i in range(on_rows.size):
            on_rows[i] = -on_rows[i]
        for e in range(n):
            missing[e, 0], missing[e, 1] = equal_to[e, 0], equal_to[e, 1]
            for c in range(m):
                missing[e, 0] -= equality[e, 0, c] * x[e, c]
                missing[e, 1] -= equality[e, 1, c] * x[e, c]
                pull = zx[e, c] - linear[e, c]
                pull -= multiplier[e, 0] * equality[e, 0, c] + multiplier[e, 1] * equality[e, 1, c]
                for a in range(m):
                    pull -= quadratic[e, c, a] * x[e, a]
                residual[e, c] = pull
                total += x[e, c] * zx[e, c]
                diagonal[e, c] = zx[e, c] / x[e, c]
            worst = max(worst, abs(missing[e, 0]), abs(missing[e, 1]))
        transposed(on_rows, bands, offsets, near, far, cut_offsets, residual)
        for e in range(n):
            for c in range(m):
                worst = max(worst, 1e-3 * abs(residual[e, c]))
        gap = total / n_pairs
        if (gap < tolerance and worst < 10.0 * tolerance) or iteration == max_iterations:
            break
        iterations += 1
        _gather(weight, n_rows, 1.0, on_rows)
        assemble(fixed, diagonal, on_rows, bands, offsets, near, far, cut_offsets, work)
        factor(work, minus)
        centre, length = 0.0, 1.0
        for phase in range(2):
            _targets(centre, phase == 1, s, z, t, y, ds, dz, dt, row_error, shift, target_t)
            for e in range(n):
                f0, f1 = missing[e, 0] / EQUALITY_SLACK, missing[e, 1] / EQUALITY_SLACK
                for c in range(m):
                    own = centre - x[e, c] * zx[e, c]
                    if phase == 1:
                        own -= dx[e, c] * dzx[e, c]
                    dzx[e, c] = own
                    right[e, c] = (
                        residual[e, c] + own / x[e, c] + f0 * equality[e, 0, c] + f1 * equality[e, 1, c]
                    )
            _gather(shift, n_rows, -1.0, on_rows)
            for i in range(on_rows.size):
                on_rows[i] = -on_rows[i]
            transposed(on_rows, bands, offsets, near, far, cut_offsets, right)
            solve_factored(work, right, dx)
            row_values(dx, bands, offsets, near, far, cut_offsets, on_rows)
            _spread(on_rows, n_rows, step)
            length = _side_steps(weight, shift, target_t, step, row_error, s, z, t, y, ds, dz, dt)
            for e in range(n):
                for c in range(m):
                    dzx[e, c] = (dzx[e, c] - zx[e, c] * dx[e, c]) / x[e, c]
                    length = min(length, -1.0 / min(dx[e, c] / x[e, c], dzx[e, c] / zx[e, c], -1.0))
            if phase == 0:
                ahead = _complementarity(length, s, z, t, y, ds, dz, dt)
                for e in range(n):
                    for c in range(m):
                        ahead += (x[e, c] + length * dx[e, c]) * (zx[e, c] + length * dzx[e, c])
                centre = gap * max(ahead / total, 0.0) ** 3
        length = min(1.0, 0.995 * length)
        for e in range(n):
            more0, more1 = -missing[e, 0], -missing[e, 1]
            for c in range(m):
                more0 += equality[e, 0, c] * dx[e, c]
                more1 += equality[e, 1, c] * dx[e, c]
                x[e, c] += length * dx[e, c]
                zx[e, c] += length * dzx[e, c]
            multiplier[e, 0] += length * more0 / EQUALITY_SLACK
            multiplier[e, 1] += length * more1 / EQUALITY_SLACK
        for i in range(n_sides):
            s[i] += length * ds[i]
            z[i] += length * dz[i]
            t[i] += length * dt[i]
            y[i] -= length * dz[i]
    return x, z, iterations, gap, worst
