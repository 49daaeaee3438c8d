"""Compiled Levenberg–Marquardt on the free numbers of the no-arbitrage map, for all slices together.

Arrays are those of `_residuals`.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import njit
from ivhedge.surface._map import map_jacobian, map_slices
from ivhedge.surface._residuals import normal_equations

__all__ = ["cholesky_solve", "minimise"]

COORDINATE_LIMIT = 25.0
SHARE_LIMIT = 10.0  # logistic coordinates of psi: 5e-5 from a bound is on it
STEP_LIMIT = 1.5


@njit()
def cholesky_solve(matrix: FloatArray, right: FloatArray, out: FloatArray) -> bool:
    """Solve a symmetric positive definite system in place; False if it is not positive definite."""
    n = right.size
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for q in range(j):
                total -= matrix[i, q] * matrix[j, q]
            if i == j:
                if not total > 0.0:
                    return False
                matrix[i, i] = math.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    for i in range(n):
        total = right[i]
        for q in range(i):
            total -= matrix[i, q] * out[q]
        out[i] = total / matrix[i, i]
    for i in range(n - 1, -1, -1):
        total = out[i]
        for q in range(i + 1, n):
            total -= matrix[q, i] * out[q]
        out[i] = total / matrix[i, i]
    return True


@njit()
def _assemble(
    jacobian: FloatArray, hessian: FloatArray, gradient: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Normal equations in the free numbers; only the lower triangle is filled."""
    n = gradient.shape[0]
    size = 3 * n
    full, right = np.zeros((size, size)), np.zeros(size)
    scaled = np.empty((3, size))
    for s in range(n):
        rows = jacobian[3 * s : 3 * s + 3]
        for c in range(size):
            for j in range(3):
                scaled[j, c] = (
                    hessian[s, j, 0] * rows[0, c]
                    + hessian[s, j, 1] * rows[1, c]
                    + hessian[s, j, 2] * rows[2, c]
                )
                right[c] += rows[j, c] * gradient[s, j]
        for a in range(size):
            r0, r1, r2 = rows[0, a], rows[1, a], rows[2, a]
            if r0 == 0.0 and r1 == 0.0 and r2 == 0.0:
                continue
            for c in range(a + 1):
                full[a, c] += r0 * scaled[0, c] + r1 * scaled[1, c] + r2 * scaled[2, c]
    return full, right


@njit()
def _trial(
    x: FloatArray, full: FloatArray, right: FloatArray, damping: float, step: FloatArray, trial: FloatArray
) -> bool:
    """Write the damped and clipped step from `x` into `trial`; False if the system cannot be solved."""
    damped = full.copy()
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
def minimise(
    start: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    max_iterations: int,
    tolerance: float,
) -> tuple[FloatArray, float, int, bool]:
    """Levenberg–Marquardt on the free numbers: (x, cost, iterations, converged)."""
    x = start.copy()
    trial, step = np.empty(x.size), np.empty(x.size)
    damping, iterations, converged = 1e-3, 0, False
    cost, hessian, gradient = normal_equations(
        map_slices(x), log_moneyness, vol, weight, offsets, taus, prior, True
    )
    while iterations < max_iterations and not converged:
        iterations += 1
        full, right = _assemble(map_jacobian(x), hessian, gradient)
        accepted = False
        new_cost = cost
        for _ in range(12):
            if _trial(x, full, right, damping, step, trial):
                new_cost = normal_equations(
                    map_slices(trial), log_moneyness, vol, weight, offsets, taus, prior, False
                )[0]
                if new_cost < cost:
                    accepted = True
                    break
            damping *= 5.0
        if not accepted:
            # No smaller cost in any direction tried: a minimum to rounding.
            return x, cost, iterations, True
        converged = cost - new_cost <= tolerance * cost
        damping = max(0.25 * damping, 1e-9)
        x[:] = trial
        cost, hessian, gradient = normal_equations(
            map_slices(x), log_moneyness, vol, weight, offsets, taus, prior, True
        )
    return x, cost, iterations, converged
