"""Compiled robust fit of each slice on its own: where the joint fit starts.

Arrays are those of `_residuals`.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit
from ivhedge.surface._map import CAP_MARGIN
from ivhedge.surface._residuals import NORMAL, order_statistic, slice_equations, slice_errors

__all__ = ["fit_slices"]


@njit(**INNER)
def _step(
    current: FloatArray, hessian: FloatArray, gradient: FloatArray, damping: float, trial: FloatArray
) -> bool:
    """Write a damped step, held inside the butterfly domain, into `trial`; False if there is none."""
    up = 1.0 + damping
    # Cholesky factors of the three by three system.
    f00 = hessian[0, 0] * up + 1e-12
    if not f00 > 0.0:
        return False
    l10, l20 = hessian[1, 0] / f00, hessian[2, 0] / f00
    f11 = hessian[1, 1] * up + 1e-12 - l10 * hessian[1, 0]
    if not f11 > 0.0:
        return False
    l21 = (hessian[2, 1] - l20 * hessian[1, 0]) / f11
    f22 = hessian[2, 2] * up + 1e-12 - l20 * hessian[2, 0] - l21 * l21 * f11
    if not f22 > 0.0:
        return False
    y1 = gradient[1] - l10 * gradient[0]
    s2 = (gradient[2] - l20 * gradient[0] - l21 * y1) / f22
    s1 = y1 / f11 - l21 * s2
    s0 = gradient[0] / f00 - l10 * s1 - l20 * s2
    trial[0] = current[0] * (1.0 + min(max(s0 / current[0], -0.5), 0.5))
    trial[1] = min(max(current[1] + min(max(s1, -0.3), 0.3), -0.95), 0.95)
    wing = 1.0 + abs(trial[1])
    cap = CAP_MARGIN * min(4.0 / wing, 2.0 * math.sqrt(trial[0] / wing))
    trial[2] = min(current[2] * (1.0 + min(max(s2 / current[2], -0.5), 0.7)), cap)
    return True


@njit(**INNER)
def _descend(
    current: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    tau: float,
    prior: FloatArray,
    limit: float,
) -> None:
    """Levenberg–Marquardt on Huber's loss of one slice, in place."""
    trial, hessian, gradient = current.copy(), np.empty((3, 3)), np.empty(3)
    best_hessian, best_gradient = np.empty((3, 3)), np.empty(3)
    cost, damping, steps, failures = np.inf, 1e-3, 0, 0
    while steps <= 12 and failures < 8:
        new_cost = slice_equations(
            trial, log_moneyness, low, high, weight, tau, prior, limit, False, hessian, gradient
        )
        if new_cost < cost:
            gain, cost = cost - new_cost, new_cost
            current[:] = trial
            best_hessian[:], best_gradient[:] = hessian, gradient
            if gain <= 1e-4 * cost:
                return
            if steps > 0:
                damping = max(0.2 * damping, 1e-9)
            steps += 1
            failures = 0
        else:
            failures += 1
            damping *= 5.0
        if not _step(current, best_hessian, best_gradient, damping, trial):
            trial[:] = current


@njit()
def fit_slices(
    atm_vol: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    counts: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    min_scale: float,
    huber: float,
    rounds: int,
) -> FloatArray:
    """Robust (Huber) fit of each slice on its own, inside its butterfly domain: params of shape (n, 3)."""
    params = np.empty((taus.size, 3))
    for s in range(taus.size):
        a, b, tau = offsets[s], offsets[s + 1], taus[s]
        middle = a + counts[s]
        current = params[s]
        current[0] = atm_vol[s] * atm_vol[s] * tau
        current[1] = 0.0
        current[2] = 0.8 * math.sqrt(current[0])
        errors = np.empty(counts[s])
        for _ in range(rounds):
            slice_errors(
                current, log_moneyness[a:middle], low[a:middle], high[a:middle], weight[a:middle], tau, errors
            )
            scale = max(NORMAL * order_statistic(errors, errors.size // 2), min_scale)
            _descend(
                current, log_moneyness[a:b], low[a:b], high[a:b], weight[a:b], tau, prior[s], huber * scale
            )
    return params
