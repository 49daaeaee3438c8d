"""Compiled Greeks, worked off in blocks that stay in the cache, one output per loop."""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing._elementary import bounded_total_vol, exp_negative, is_valid, log_ratio, normal_cdf
from ivhedge.pricing._greeks_numpy import INV_SQRT_TWO_PI
from ivhedge.pricing._numpy_kernels import H_MAX, S_MIN
from ivhedge.pricing._price_numba import option_price
from ivhedge.pricing.jit import njit

__all__ = ["fill_greek", "greeks_kernel"]

BLOCK = 512


@njit(fastmath={"contract"}, nogil=True)
def fill_state(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    total_vol: FloatArray,
    d1: FloatArray,
    density: FloatArray,
) -> None:
    """Fill what all Greeks share: the total vol, d1 and the normal density at d1."""
    for i in range(forward.size):
        s = bounded_total_vol(tau[i], vol[i])
        x = log_ratio(forward[i], strike[i])
        h = x / s if abs(x) < H_MAX * s else (H_MAX if x > 0.0 else -H_MAX)
        d = h + 0.5 * s
        total_vol[i] = s
        d1[i] = d
        density[i] = INV_SQRT_TWO_PI * exp_negative(-0.5 * d * d)


@njit(fastmath={"contract"}, nogil=True)
def fill_greek(
    code: int,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    sign: FloatArray,
    total_vol: FloatArray,
    d1: FloatArray,
    density: FloatArray,
    out: FloatArray,
) -> None:
    """Fill one Greek, numbered by its place in ``GREEK_NAMES``."""
    n = out.size
    if code in (0, 5):
        # Price, or rho = −tau·price.
        for i in range(n):
            weight = 1.0 if code == 0 else -tau[i]
            out[i] = weight * option_price(forward[i], strike[i], total_vol[i], sign[i])
    elif code == 1:
        for i in range(n):
            out[i] = sign[i] * normal_cdf(sign[i] * d1[i])
    elif code == 2:
        for i in range(n):
            out[i] = density[i] / (forward[i] * total_vol[i])
    elif code == 3:
        for i in range(n):
            out[i] = forward[i] * density[i] * math.sqrt(tau[i])
    elif code == 4:
        for i in range(n):
            out[i] = -0.5 * forward[i] * density[i] * vol[i] / math.sqrt(tau[i])
    elif code == 6:
        for i in range(n):
            out[i] = -density[i] * (d1[i] - total_vol[i]) / vol[i]
    elif code == 7:
        for i in range(n):
            vega = forward[i] * density[i] * math.sqrt(tau[i])
            out[i] = vega * d1[i] * (d1[i] - total_vol[i]) / vol[i]
    elif code == 8:
        for i in range(n):
            out[i] = density[i] * (d1[i] - total_vol[i]) / (2.0 * tau[i])
    elif code == 9:
        for i in range(n):
            half_vega_over_tau = 0.5 * forward[i] * density[i] / math.sqrt(tau[i])
            out[i] = -half_vega_over_tau * (1.0 + d1[i] * (d1[i] - total_vol[i]))
    elif code == 10:
        for i in range(n):
            gamma = density[i] / (forward[i] * total_vol[i])
            out[i] = -gamma / forward[i] * (d1[i] / total_vol[i] + 1.0)
    elif code == 11:
        for i in range(n):
            gamma = density[i] / (forward[i] * total_vol[i])
            out[i] = gamma * (d1[i] * (d1[i] - total_vol[i]) - 1.0) / vol[i]
    elif code == 12:
        for i in range(n):
            gamma = density[i] / (forward[i] * total_vol[i])
            out[i] = gamma * (1.0 - d1[i] * (d1[i] - total_vol[i])) / (2.0 * tau[i])
    elif code == 13:
        for i in range(n):
            d2 = d1[i] - total_vol[i]
            product = d1[i] * d2
            vega = forward[i] * density[i] * math.sqrt(tau[i])
            out[i] = -(vega / vol[i] / vol[i]) * (product * (1.0 - product) + d1[i] * d1[i] + d2 * d2)
    elif code == 14:
        for i in range(n):
            out[i] = -sign[i] * normal_cdf(sign[i] * (d1[i] - total_vol[i]))
    elif code == 15:
        for i in range(n):
            out[i] = density[i] / strike[i] * forward[i] / strike[i] / total_vol[i]


@njit(fastmath={"contract"}, nogil=True)
def greeks_kernel(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    sign: FloatArray,
    codes: IntArray,
    out: FloatArray,
    irregular: BoolArray,
) -> None:
    """Fill one row of `out` per code; flag the items (invalid, or zero total vol) that need the twin."""
    total_vol, d1, density = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, forward.size, BLOCK):
        stop = min(start + BLOCK, forward.size)
        n = stop - start
        f, k, years, v = forward[start:stop], strike[start:stop], tau[start:stop], vol[start:stop]
        s, d, phi = total_vol[:n], d1[:n], density[:n]
        fill_state(f, k, years, v, s, d, phi)
        for i in range(n):
            irregular[start + i] = not (is_valid(f[i], k[i], years[i], v[i]) and s[i] >= S_MIN)
        for row in range(codes.size):
            fill_greek(codes[row], f, k, years, v, sign[start:stop], s, d, phi, out[row][start:stop])
