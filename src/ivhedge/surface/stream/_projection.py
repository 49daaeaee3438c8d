"""Compiled publication: raw slices into the no-arbitrage domain, and the check that they are there."""

import math

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import njit
from ivhedge.surface.stream._kernel import RHO_MAX, _model

_WITHIN = 1.5  # standard deviations of moneyness
_STRIKES = 7

__all__ = ["moved_by", "project", "sufficient"]


@njit()
def project(slices: FloatArray, taus: FloatArray, out: FloatArray) -> None:
    """Slices (theta, rho, psi) without arbitrage nearest below or above the raw ones, forward in expiry.

    Clipping into the bounds of Mingone (2022); a slice already inside stays as it is.
    """
    n = taus.size
    margin = 1.0 - 1e-7
    ratio = np.ones(n)
    for i in range(n):
        theta, rho = slices[i, 0] * taus[i], min(max(slices[i, 1], -RHO_MAX), RHO_MAX)
        if i > 0:
            ratio[i] = max((1.0 + out[i - 1, 1]) / (1.0 + rho), (1.0 - out[i - 1, 1]) / (1.0 - rho))
            theta = max(theta, out[i - 1, 0] * ratio[i] * (1.0 + 1e-9))
        out[i, 0], out[i, 1] = theta, rho
    cap = np.inf
    caps = np.empty(n)
    for i in range(n - 1, -1, -1):
        wing = 1.0 + abs(out[i, 1])
        cap = min(cap, margin * min(4.0 / wing, 2.0 * math.sqrt(out[i, 0] / wing)))
        caps[i] = cap
        cap = cap / ratio[i] * (1.0 - 1e-9)
    for i in range(n):
        low, high = 1e-12, caps[i]
        if i > 0:
            low = out[i - 1, 2] * ratio[i] * (1.0 + 1e-10)
            high = max(low, min(high, out[i - 1, 2] * out[i, 0] / out[i - 1, 0]))
        out[i, 2] = min(max(slices[i, 2] * taus[i], low), high)


@njit()
def sufficient(params: FloatArray, first: int, last: int) -> bool:
    """Sufficient conditions for no arbitrage of slices first..last and against their neighbours.

    Gatheral and Jacquier (2014), theorem 4.2; Hendriks and Martini (2019), proposition 3.5.
    """
    tiny = 1e-12
    for i in range(max(first, 0), min(last, params.shape[0] - 1) + 1):
        theta, rho, psi = params[i, 0], params[i, 1], params[i, 2]
        wing = psi * (1.0 + abs(rho))
        if not (theta > 0.0 and psi > 0.0 and abs(rho) < 1.0 and wing < 4.0 and psi * wing <= 4.0 * theta):
            return False
    for i in range(max(first, 1), min(last + 1, params.shape[0] - 1) + 1):
        t0, r0, p0 = params[i - 1, 0], params[i - 1, 1], params[i - 1, 2]
        t1, r1, p1 = params[i, 0], params[i, 1], params[i, 2]
        up = p1 * (1.0 + r1) >= p0 * (1.0 + r0) * (1.0 - tiny)
        down = p1 * (1.0 - r1) >= p0 * (1.0 - r0) * (1.0 - tiny)
        if not (up and down and t1 >= t0 and p1 * t0 <= p0 * t1 * (1.0 + tiny)):
            return False
    return True


@njit()
def moved_by(slices: FloatArray, taus: FloatArray, params: FloatArray) -> FloatArray:
    """Largest difference of vol, decimal, between what is published and the raw slices, about the money."""
    out = np.zeros(taus.size)
    for e in range(taus.size):
        a, rho, b = slices[e, 0], slices[e, 1], slices[e, 2]
        theta, skew, psi = params[e, 0] / taus[e], params[e, 1], params[e, 2] / taus[e]
        for i in range(_STRIKES):
            k = (2.0 * i / (_STRIKES - 1) - 1.0) * _WITHIN * math.sqrt(a * taus[e])
            out[e] = max(out[e], abs(_model(k, a, rho, b)[0] - _model(k, theta, skew, psi)[0]))
    return out
