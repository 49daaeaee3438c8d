"""Compiled map from free numbers to slices without arbitrage, its derivatives and its inverse.

The map is that of Mingone (2022), No arbitrage global parametrization for the eSSVI volatility surface: of
the 3n free numbers the first n give rho = 0.999·tanh(x), the next n the rises exp(x) of theta, and the last n
the logistic share of the way from the smallest to the largest psi that the other slices leave. `params` has
one row (theta, rho, psi) per slice.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import njit

__all__ = ["CAP_MARGIN", "RHO_LIMIT", "coordinates_of", "map_jacobian", "map_slices"]

RHO_LIMIT = 0.999
CAP_MARGIN = 0.9999  # keeps slices strictly inside the butterfly domain


@njit()
def _skew_ratio(rho_before: float, rho: float) -> float:
    """Smallest growth of psi that keeps both wing slopes from falling."""
    return max((1.0 + rho_before) / (1.0 + rho), (1.0 - rho_before) / (1.0 - rho))


@njit()
def _psi_caps(theta: FloatArray, rho: FloatArray, ratio: FloatArray) -> FloatArray:
    """Largest psi of each slice: butterfly of its own, and room for those after it."""
    n = theta.size
    caps = np.empty(n)
    for i in range(n - 1, -1, -1):
        wing = 1.0 + abs(rho[i])
        caps[i] = CAP_MARGIN * min(4.0 / wing, 2.0 * math.sqrt(theta[i] / wing))
        if i < n - 1:
            caps[i] = min(caps[i], caps[i + 1] / ratio[i + 1])
    return caps


@njit()
def map_slices(x: FloatArray) -> FloatArray:
    """Slices without arbitrage from any 3n finite numbers."""
    n = x.size // 3
    theta, rho, ratio = np.empty(n), np.empty(n), np.ones(n)
    for i in range(n):
        rho[i] = RHO_LIMIT * math.tanh(x[i])
        theta[i] = math.exp(x[n + i])
        if i > 0:
            ratio[i] = _skew_ratio(rho[i - 1], rho[i])
            theta[i] += theta[i - 1] * ratio[i]
    caps = _psi_caps(theta, rho, ratio)
    params = np.empty((n, 3))
    for i in range(n):
        low, high = 0.0, caps[i]
        if i > 0:
            low = params[i - 1, 2] * ratio[i]
            high = max(low, min(high, params[i - 1, 2] * theta[i] / theta[i - 1]))
        share = 1.0 / (1.0 + math.exp(-x[2 * n + i]))
        params[i, 0], params[i, 1], params[i, 2] = theta[i], rho[i], low + share * (high - low)
    return params


@njit()
def _rho_theta_ratio(
    x: FloatArray, theta: FloatArray, rho: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Derivatives of theta and rho, and the skew ratios with theirs, all by the free numbers."""
    n = theta.size
    d_theta, d_rho = np.zeros((n, x.size)), np.zeros((n, x.size))
    ratio, d_ratio = np.ones(n), np.zeros((n, x.size))
    for i in range(n):
        tanh = math.tanh(x[i])
        d_rho[i, i] = RHO_LIMIT * (1.0 - tanh * tanh)
        d_theta[i, n + i] = math.exp(x[n + i])
        if i > 0:
            up = (1.0 + rho[i - 1]) / (1.0 + rho[i])
            down = (1.0 - rho[i - 1]) / (1.0 - rho[i])
            ratio[i] = max(up, down)
            if up >= down:
                d_ratio[i, i - 1] = d_rho[i - 1, i - 1] / (1.0 + rho[i])
                d_ratio[i, i] = -up * d_rho[i, i] / (1.0 + rho[i])
            else:
                d_ratio[i, i - 1] = -d_rho[i - 1, i - 1] / (1.0 - rho[i])
                d_ratio[i, i] = down * d_rho[i, i] / (1.0 - rho[i])
            for c in range(x.size):
                d_theta[i, c] += ratio[i] * d_theta[i - 1, c] + theta[i - 1] * d_ratio[i, c]
    return d_theta, d_rho, ratio, d_ratio


@njit()
def _cap_derivatives(
    theta: FloatArray,
    rho: FloatArray,
    ratio: FloatArray,
    d_theta: FloatArray,
    d_rho: FloatArray,
    d_ratio: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The caps of `_psi_caps` with their derivatives."""
    n, size = d_theta.shape
    caps, d_caps = np.empty(n), np.zeros((n, size))
    for i in range(n - 1, -1, -1):
        wing = 1.0 + abs(rho[i])
        d_wing = math.copysign(d_rho[i, i], rho[i])
        far, near = 4.0 / wing, 2.0 * math.sqrt(theta[i] / wing)
        caps[i] = CAP_MARGIN * min(far, near)
        if far <= near:
            d_caps[i, i] = -caps[i] * d_wing / wing
        else:
            for c in range(size):
                d_caps[i, c] = 0.5 * caps[i] * d_theta[i, c] / theta[i]
            d_caps[i, i] -= 0.5 * caps[i] * d_wing / wing
        if i < n - 1 and caps[i + 1] / ratio[i + 1] < caps[i]:
            caps[i] = caps[i + 1] / ratio[i + 1]
            for c in range(size):
                d_caps[i, c] = (d_caps[i + 1, c] - caps[i] * d_ratio[i + 1, c]) / ratio[i + 1]
    return caps, d_caps


@njit()
def _psi_derivatives(
    x: FloatArray,
    theta: FloatArray,
    psi: FloatArray,
    caps: FloatArray,
    ratio: FloatArray,
    d_theta: FloatArray,
    d_caps: FloatArray,
    d_ratio: FloatArray,
) -> FloatArray:
    """Derivatives of psi, a share of the way from its lower to its upper bound."""
    n, size = d_theta.shape
    d_psi = np.zeros((n, size))
    for i in range(n):
        share = 1.0 / (1.0 + math.exp(-x[2 * n + i]))
        low, high = 0.0, caps[i]
        slope_bound = False
        if i > 0:
            low = psi[i - 1] * ratio[i]
            limit = psi[i - 1] * theta[i] / theta[i - 1]
            slope_bound = limit < high
            high = max(low, min(high, limit))
        for c in range(size):
            d_low, d_high = 0.0, d_caps[i, c]
            if i > 0:
                d_low = d_psi[i - 1, c] * ratio[i] + psi[i - 1] * d_ratio[i, c]
                if slope_bound:
                    d_high = (
                        d_psi[i - 1, c] * theta[i]
                        + psi[i - 1] * (d_theta[i, c] - theta[i] / theta[i - 1] * d_theta[i - 1, c])
                    ) / theta[i - 1]
            d_psi[i, c] = d_low + share * (d_high - d_low)
        d_psi[i, 2 * n + i] += (high - low) * share * (1.0 - share)
    return d_psi


@njit()
def map_jacobian(x: FloatArray) -> FloatArray:
    """Derivatives of `map_slices`: row 3s + j is parameter j of slice s, columns are the 3n numbers."""
    n = x.size // 3
    params = map_slices(x)
    theta, rho, psi = params[:, 0], params[:, 1], params[:, 2]
    d_theta, d_rho, ratio, d_ratio = _rho_theta_ratio(x, theta, rho)
    caps, d_caps = _cap_derivatives(theta, rho, ratio, d_theta, d_rho, d_ratio)
    d_psi = _psi_derivatives(x, theta, psi, caps, ratio, d_theta, d_caps, d_ratio)
    jacobian = np.empty((x.size, x.size))
    for i in range(n):
        jacobian[3 * i], jacobian[3 * i + 1], jacobian[3 * i + 2] = d_theta[i], d_rho[i], d_psi[i]
    return jacobian


@njit()
def coordinates_of(params: FloatArray) -> FloatArray:
    """Free numbers whose slices are near `params`: each slice is moved into what the map can reach."""
    n = params.shape[0]
    x = np.empty(3 * n)
    theta, rho, ratio = np.empty(n), np.empty(n), np.ones(n)
    for i in range(n):
        x[i] = math.atanh(min(max(params[i, 1] / RHO_LIMIT, -0.97), 0.97))
        rho[i] = RHO_LIMIT * math.tanh(x[i])
        theta[i] = params[i, 0]
        floor = 0.0
        if i > 0:
            ratio[i] = _skew_ratio(rho[i - 1], rho[i])
            floor = theta[i - 1] * ratio[i]
        rise = max(params[i, 0] - floor, 0.01 * params[i, 0])
        x[n + i] = math.log(rise)
        theta[i] = floor + rise
    caps = _psi_caps(theta, rho, ratio)
    before = 0.0
    for i in range(n):
        low, high = 0.0, caps[i]
        if i > 0:
            low = before * ratio[i]
            high = max(low, min(high, before * theta[i] / theta[i - 1]))
        share = (params[i, 2] - low) / (high - low) if high > low else 0.5
        share = min(max(share, 0.02), 0.98)
        x[2 * n + i] = math.log(share / (1.0 - share))
        before = low + share * (high - low)
    return x
