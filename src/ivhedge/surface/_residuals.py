"""Compiled vol errors of eSSVI slices: cost, normal equations, and the checks of the certificate.

Quotes come packed: `log_moneyness`, `vol`, `weight` of shape (q,), slice s occupying
`offsets[s]:offsets[s+1]`; `params` has one row (theta, rho, psi) per slice. `prior` has one row
(rho, weight, psi, weight) per slice: two weak pseudo-observations that hold thin slices.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import njit

__all__ = ["dense_checks", "normal_equations", "slice_equations", "weighted_errors"]


@njit()
def slice_equations(
    params: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    tau: float,
    prior: FloatArray,
    hessian: FloatArray,
    gradient: FloatArray,
    wanted: bool,
) -> float:
    """Cost of one slice; adds JᵀJ to `hessian` and −Jᵀr to `gradient` when wanted."""
    theta, rho, psi = params[0], params[1], params[2]
    flat = theta * theta * (1.0 - rho * rho)
    rho_error, psi_error = rho - prior[0], psi - prior[2]
    cost: float = prior[1] * rho_error * rho_error + prior[3] * psi_error * psi_error
    if wanted:
        hessian[1, 1] += prior[1]
        hessian[2, 2] += prior[3]
        gradient[1] -= prior[1] * rho_error
        gradient[2] -= prior[3] * psi_error
    for i in range(log_moneyness.size):
        k = log_moneyness[i]
        z = psi * k
        shifted = z + rho * theta
        root = math.sqrt(shifted * shifted + flat)
        model = math.sqrt(0.5 * (theta + rho * z + root) / tau)
        error = (model - vol[i]) * weight[i]
        cost += error * error
        if wanted:
            scale = 0.25 * weight[i] / (model * tau)
            j0 = scale * (1.0 + (rho * z + theta) / root)
            j1 = scale * z * (1.0 + theta / root)
            j2 = scale * k * (rho + shifted / root)
            hessian[0, 0] += j0 * j0
            hessian[0, 1] += j0 * j1
            hessian[0, 2] += j0 * j2
            hessian[1, 1] += j1 * j1
            hessian[1, 2] += j1 * j2
            hessian[2, 2] += j2 * j2
            gradient[0] -= j0 * error
            gradient[1] -= j1 * error
            gradient[2] -= j2 * error
    if wanted:
        hessian[1, 0], hessian[2, 0], hessian[2, 1] = hessian[0, 1], hessian[0, 2], hessian[1, 2]
    return cost


@njit()
def normal_equations(
    params: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    wanted: bool,
) -> tuple[float, FloatArray, FloatArray]:
    """Cost, JᵀJ of shape (n, 3, 3) and −Jᵀr of shape (n, 3) of the weighted vol errors."""
    n = taus.size
    hessian, gradient = np.zeros((n, 3, 3)), np.zeros((n, 3))
    cost = 0.0
    for s in range(n):
        a, b = offsets[s], offsets[s + 1]
        cost += slice_equations(
            params[s],
            log_moneyness[a:b],
            vol[a:b],
            weight[a:b],
            taus[s],
            prior[s],
            hessian[s],
            gradient[s],
            wanted,
        )
    return cost, hessian, gradient


@njit()
def weighted_errors(
    params: FloatArray, log_moneyness: FloatArray, tau: float, vol: FloatArray, weight: FloatArray
) -> FloatArray:
    """Weighted vol errors of one slice."""
    theta, rho = params[0], params[1]
    errors = np.empty(log_moneyness.size)
    for i in range(errors.size):
        shifted = params[2] * log_moneyness[i] + rho * theta
        root = math.sqrt(shifted * shifted + theta * theta * (1.0 - rho * rho))
        w = 0.5 * (theta + rho * params[2] * log_moneyness[i] + root)
        errors[i] = (math.sqrt(w / tau) - vol[i]) * weight[i]
    return errors


@njit()
def dense_checks(k: FloatArray, params: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Total variance, density factor g(k) and rise over the slice before, on the strikes of each slice.

    `k` has shape (n, m), `params` (n, 3); the results have shapes (n, m), (n, m) and (n - 1, m). The rise
    in row i compares slices i + 1 and i at the strikes of slice i + 1.
    """
    n, m = k.shape
    variance, density, rise = np.empty((n, m)), np.empty((n, m)), np.empty((max(n - 1, 0), m))
    for s in range(n):
        theta, rho, psi = params[s, 0], params[s, 1], params[s, 2]
        flat = theta * theta * (1.0 - rho * rho)
        for i in range(m):
            z = psi * k[s, i]
            shifted = z + rho * theta
            root = math.sqrt(shifted * shifted + flat)
            w = 0.5 * (theta + rho * z + root)
            inverse = 1.0 / root
            slope = 0.5 * psi * (rho + shifted * inverse)
            curvature = 0.5 * psi * psi * flat * inverse * inverse * inverse
            tilt = 1.0 - 0.5 * k[s, i] * slope / w
            variance[s, i] = w
            density[s, i] = tilt * tilt - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * curvature
        if s > 0:
            before, skew, slant = params[s - 1, 0], params[s - 1, 1], params[s - 1, 2]
            flat = before * before * (1.0 - skew * skew)
            for i in range(m):
                z = slant * k[s, i]
                shifted = z + skew * before
                w = 0.5 * (before + skew * z + math.sqrt(shifted * shifted + flat))
                rise[s - 1, i] = variance[s, i] - w
    return variance, density, rise
