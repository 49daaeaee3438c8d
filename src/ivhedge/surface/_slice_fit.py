"""Compiled robust fit of each slice on its own: where the joint fit starts.

Arrays are those of `_residuals`.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import njit
from ivhedge.surface._map import CAP_MARGIN
from ivhedge.surface._minimise import cholesky_solve
from ivhedge.surface._residuals import slice_equations, weighted_errors

__all__ = ["fit_slices"]


@njit()
def _huber(errors: FloatArray, weight: FloatArray, min_scale: float) -> FloatArray:
    """Weights of vol errors, less where an error exceeds one and a half robust scales."""
    size = np.abs(errors)
    scale = max(1.4826 * np.sort(size)[size.size // 2], min_scale)
    robust = weight.copy()
    for i in range(size.size):
        if size[i] > 1.5 * scale:
            robust[i] *= math.sqrt(1.5 * scale / size[i])
    return robust


@njit()
def _step(
    current: FloatArray, hessian: FloatArray, gradient: FloatArray, damping: float, trial: FloatArray
) -> bool:
    """Write a damped step, held inside the butterfly domain, into `trial`; False if there is none."""
    damped, step = hessian.copy(), np.empty(3)
    for c in range(3):
        damped[c, c] *= 1.0 + damping
        damped[c, c] += 1e-12
    if not cholesky_solve(damped, gradient, step):
        return False
    trial[0] = current[0] * (1.0 + min(max(step[0] / current[0], -0.5), 0.5))
    trial[1] = min(max(current[1] + min(max(step[1], -0.3), 0.3), -0.95), 0.95)
    wing = 1.0 + abs(trial[1])
    cap = CAP_MARGIN * min(4.0 / wing, 2.0 * math.sqrt(trial[0] / wing))
    move = min(max(step[2] / current[2], -0.5), 0.7)
    trial[2] = min(current[2] * (1.0 + move), cap)
    return True


@njit()
def _descend(
    current: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    tau: float,
    prior: FloatArray,
) -> None:
    """Levenberg–Marquardt on one slice, in place."""
    trial = np.empty(3)
    damping = 1e-3
    for _ in range(12):
        hessian, gradient = np.zeros((3, 3)), np.zeros(3)
        cost = slice_equations(current, log_moneyness, vol, weight, tau, prior, hessian, gradient, True)
        new_cost = cost
        for _ in range(8):
            if _step(current, hessian, gradient, damping, trial):
                new_cost = slice_equations(
                    trial, log_moneyness, vol, weight, tau, prior, hessian, gradient, False
                )
                if new_cost < cost:
                    break
            damping *= 5.0
        if not new_cost < cost:
            return
        current[:] = trial
        damping = max(0.2 * damping, 1e-9)
        if cost - new_cost <= 1e-6 * cost:
            return


@njit()
def fit_slices(
    atm_vol: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    min_scale: float,
    rounds: int,
) -> FloatArray:
    """Robust (Huber) fit of each slice on its own, inside its butterfly domain: params of shape (n, 3)."""
    params = np.empty((taus.size, 3))
    for s in range(taus.size):
        a, b, tau = offsets[s], offsets[s + 1], taus[s]
        current = params[s]
        current[0] = atm_vol[s] * atm_vol[s] * tau
        current[1] = 0.0
        current[2] = 0.8 * math.sqrt(current[0])
        for _ in range(rounds):
            errors = weighted_errors(current, log_moneyness[a:b], tau, vol[a:b], weight[a:b])
            robust = _huber(errors, weight[a:b], min_scale)
            _descend(current, log_moneyness[a:b], vol[a:b], robust, tau, prior[s])
    return params
