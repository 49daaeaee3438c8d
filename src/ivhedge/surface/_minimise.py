"""Compiled robust fit of all slices together, on the free numbers of the no-arbitrage map.

Levenberg–Marquardt on a robust loss whose scales are measured again between rounds and kept in the last one.
Arrays are those of `_residuals`.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit
from ivhedge.surface._map import map_jacobian, map_slices
from ivhedge.surface._residuals import normal_equations, robust_weights, scales_of

__all__ = ["cholesky_solve", "robust_fit"]

COORDINATE_LIMIT = 25.0
SHARE_LIMIT = 10.0  # logistic coordinates of psi: 5e-5 from a bound is on it
STEP_LIMIT = 1.5
ROUND_TOLERANCE = 1e-3
TOLERANCE = 3e-5  # in 720 quotes a gain of a hundredth of one half-spread squared: far below their noise
LAST_ROUND = 40
"""Most steps of the last round."""


@njit(**INNER)
def cholesky_solve(matrix: FloatArray, right: FloatArray, out: FloatArray) -> bool:
    """Solve a positive definite system given by its upper triangle, in place; False if it is not."""
    n = right.size
    out[:] = right
    for j in range(n):
        row = matrix[j, j:]
        if not row[0] > 0.0:
            return False
        over = 1.0 / math.sqrt(row[0])
        for c in range(row.size):
            row[c] *= over
        out[j] *= over
        below = out[j:]
        for i in range(1, row.size):
            factor, target, source = row[i], matrix[j + i, j + i :], row[i:]
            for c in range(target.size):
                target[c] -= factor * source[c]
            below[i] -= factor * out[j]
    for i in range(n - 1, -1, -1):
        row, below = matrix[i, i:], out[i:]
        total = out[i]
        for c in range(1, row.size):
            total -= row[c] * below[c]
        out[i] = total / row[0]
    return True


@njit(**INNER)
def _assemble(
    jacobian: FloatArray, hessian: FloatArray, gradient: FloatArray, full: FloatArray, right: FloatArray
) -> None:
    """Normal equations in the free numbers; only the upper triangle is filled."""
    full[:] = 0.0
    right[:] = 0.0
    for s in range(gradient.shape[0]):
        h, g = hessian[s], gradient[s]
        r0, r1, r2 = jacobian[3 * s], jacobian[3 * s + 1], jacobian[3 * s + 2]
        for a in range(right.size):
            if r0[a] == 0.0 and r1[a] == 0.0 and r2[a] == 0.0:
                continue
            right[a] += r0[a] * g[0] + r1[a] * g[1] + r2[a] * g[2]
            p0 = r0[a] * h[0, 0] + r1[a] * h[0, 1] + r2[a] * h[0, 2]
            p1 = r0[a] * h[0, 1] + r1[a] * h[1, 1] + r2[a] * h[1, 2]
            p2 = r0[a] * h[0, 2] + r1[a] * h[1, 2] + r2[a] * h[2, 2]
            target, t0, t1, t2 = full[a, a:], r0[a:], r1[a:], r2[a:]
            for c in range(target.size):
                target[c] += p0 * t0[c] + p1 * t1[c] + p2 * t2[c]


@njit(**INNER)
def _trial(
    x: FloatArray,
    full: FloatArray,
    right: FloatArray,
    damping: float,
    damped: FloatArray,
    step: FloatArray,
    trial: FloatArray,
) -> bool:
    """Write the damped and clipped step from `x` into `trial`; False if the system cannot be solved."""
    damped[:] = full
    for c in range(x.size):
        damped[c, c] += damping * (full[c, c] + 1e-6) + 1e-9
    if not cholesky_solve(damped, right, step):
        return False
    for c in range(x.size):
        move = min(max(step[c], -STEP_LIMIT), STEP_LIMIT)
        limit = SHARE_LIMIT if c >= 2 * (x.size // 3) else COORDINATE_LIMIT
        trial[c] = min(max(x[c] + move, -limit), limit)
    return True


@njit()
def robust_fit(
    start: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    counts: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    min_scale: float,
    turning: tuple[float, float],
    rounds: tuple[int, int, int],
    max_iterations: int,
    scale_tolerance: float,
) -> tuple[FloatArray, FloatArray, int, int, bool]:
    """Slices, robust weights, steps, rounds, and whether the last round reached its minimum.

    `turning` holds the turning points of Huber's and Tukey's loss, `rounds` the number of the first round,
    of the first one with Tukey's loss, and of the end.
    """
    n, size = taus.size, start.size
    x, trial, step = start.copy(), start.copy(), np.empty(size)
    full, damped, right = np.empty((size, size)), np.empty((size, size)), np.empty(size)
    hessian, gradient, params = np.empty((n, 3, 3)), np.empty((n, 3)), np.empty((n, 3))
    scales, limit = np.ones(n), np.ones(n)
    cost, damping = np.inf, 1e-3
    iterations, number, steps, failures = 0, rounds[0], 0, 0
    is_tukey, last, at_minimum, begins = False, False, False, True
    # One place that evaluates, for the start of a round and its trials alike: it is compiled once.
    while True:
        here = map_slices(trial)
        if begins:
            new = scales_of(here, log_moneyness, low, high, weight, offsets, counts, taus, min_scale)
            settled = is_tukey and np.max(np.abs(new / scales - 1.0)) <= scale_tolerance
            is_tukey = number >= rounds[1]
            last = settled or number == rounds[2] - 1
            scales, limit = new, new * (turning[1] if is_tukey else turning[0])
            cost, steps, failures = np.inf, 0, 0
        new_cost = normal_equations(
            here,
            log_moneyness,
            low,
            high,
            weight,
            offsets,
            taus,
            prior,
            limit,
            is_tukey,
            hessian,
            gradient,
        )
        ends = False
        if begins or new_cost < cost:
            gain = cost - new_cost
            cost, failures = new_cost, 0
            x[:], params[:] = trial, here
            if not begins:
                steps += 1
                damping = max(0.25 * damping, 1e-9)
                at_minimum = gain <= (TOLERANCE if last else ROUND_TOLERANCE) * cost
                ends = at_minimum or steps == (LAST_ROUND if last else max_iterations)
            if not ends:
                _assemble(map_jacobian(x), hessian, gradient, full, right)
        else:
            failures += 1
            damping *= 5.0
            if failures == 12:
                # No smaller cost in any direction tried: a minimum to rounding.
                at_minimum, ends, damping = True, True, 1e-3
        begins = ends
        if not ends:
            if not _trial(x, full, right, damping, damped, step, trial):
                trial[:] = x
            continue
        iterations += steps
        number += 1
        if last:
            break
        trial[:] = x
    robust = robust_weights(params, log_moneyness, low, high, weight, offsets, taus, limit, is_tukey)
    return params, robust, iterations, number - rounds[0], at_minimum
