"""Compiled kernels for prices and Greeks; the mathematics is that of ``_numpy_kernels``.

Every loop over options is free of calls, branches and tables so that the compiler can use vector
instructions: logarithm, exponential and erfcx are polynomials, choices are selects. Greeks are worked off in
blocks that stay in the cache, one output per loop.
"""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing._greeks_numpy import INV_SQRT_TWO_PI
from ivhedge.pricing._numpy_kernels import (
    EXP_MIN,
    H_MAX,
    LOWER_Y,
    PRICE_MAX,
    PRICE_MIN,
    S_MAX,
    S_MIN,
    SQRT_HALF,
)
from ivhedge.pricing._polynomials import erfcx_polynomial, exp_polynomial, log_polynomial
from ivhedge.pricing.jit import njit

__all__ = ["erfcx_pair", "greeks_kernel", "log_ratio", "normal_cdf", "price_kernel"]

BITS_OF_1_5 = np.float64(1.5).view(np.uint64)
BITS_OF_2_52 = np.float64(2.0**52).view(np.uint64)
BIAS = np.uint64(1023)
MANTISSA_BITS = np.uint64(52)
LOG_2 = float(np.log(2.0))
LOG_2_HIGH, LOG_2_LOW = 0.69314718036912381649, 1.90821492927058770002e-10
INV_LOG_2 = float(1.0 / np.log(2.0))
ROUNDER = 1.5 * 2.0**52
BLOCK = 512


@njit(forceinline=True, fastmath={"contract"})
def log_ratio(numerator: float, denominator: float) -> float:
    """ln(numerator/denominator) of positive normal numbers, to full relative accuracy near 1 too."""
    top, bottom = np.float64(numerator).view(np.uint64), np.float64(denominator).view(np.uint64)
    # Biased exponent of the ratio, rounded so that after scaling the ratio lies in [2/3, 3/2].
    exponent = (top - bottom + BITS_OF_1_5) >> MANTISSA_BITS
    scaled = np.uint64(bottom + ((exponent - BIAS) << MANTISSA_BITS)).view(np.float64)
    power = np.uint64(exponent | BITS_OF_2_52).view(np.float64) - (2.0**52 + 1023.0)
    z = (numerator - scaled) / (numerator + scaled)
    return power * LOG_2 + z * log_polynomial(z * z)


@njit(forceinline=True, fastmath={"contract"})
def exp_negative(x: float) -> float:
    """exp(x) for x ≤ 0; 0 below −708."""
    bounded = x if x > EXP_MIN else EXP_MIN
    shifted = bounded * INV_LOG_2 + ROUNDER
    n = shifted - ROUNDER
    r = (bounded - n * LOG_2_HIGH) - n * LOG_2_LOW
    scale = np.float64(shifted).view(np.uint64) << MANTISSA_BITS
    value = np.uint64(np.float64(exp_polynomial(r)).view(np.uint64) + scale).view(np.float64)
    return value if x > EXP_MIN else 0.0


@njit(forceinline=True, fastmath={"contract"})
def erfcx_pair(y1: float, y2: float) -> tuple[float, float]:
    """(erfcx(y1) − erfcx(y2))/(y2 − y1) without cancellation, and erfcx(y1) + erfcx(y2); y ≥ −0.85."""
    shifted1, shifted2 = y1 + 4.0, y2 + 4.0
    product = 1.0 / (shifted1 * shifted2)
    i1, i2 = shifted2 * product, shifted1 * product
    c1, c2 = 1.0 - 6.4 * i1, 1.0 - 6.4 * i2
    value1, slope = erfcx_polynomial(c1, c2)
    value2 = value1 + (c2 - c1) * slope
    return product * (value2 - 6.4 * i1 * slope), value1 * i1 + value2 * i2


@njit(forceinline=True, fastmath={"contract"})
def normal_cdf(d: float) -> float:
    """N(d), with full relative accuracy in the lower tail."""
    y = abs(d) * SQRT_HALF
    i = 1.0 / (y + 4.0)
    value, _ = erfcx_polynomial(1.0 - 6.4 * i, 0.0)
    tail = 0.5 * exp_negative(-0.5 * d * d) * value * i
    return tail if d < 0.0 else 1.0 - tail


@njit(forceinline=True, fastmath={"contract"})
def is_valid(forward: float, strike: float, tau: float, vol: float) -> bool:
    """Tell where the inputs describe an option; without short cuts, which would be branches."""
    prices = (forward >= PRICE_MIN) & (forward <= PRICE_MAX) & (strike >= PRICE_MIN) & (strike <= PRICE_MAX)
    return prices & (tau >= 0.0) & (tau < np.inf) & (vol >= 0.0) & (vol < np.inf)


@njit(forceinline=True, fastmath={"contract"})
def bounded_total_vol(tau: float, vol: float) -> float:
    """vol·sqrt(tau), bounded where every price has long reached its maximum."""
    total_vol = vol * math.sqrt(tau)
    return total_vol if total_vol < S_MAX else S_MAX


@njit(forceinline=True, fastmath={"contract"})
def option_price(forward: float, strike: float, total_vol: float, sign: float) -> float:
    """Undiscounted Black-76 price: out-of-the-money value by divided difference, plus intrinsic value."""
    a = abs(log_ratio(forward, strike))
    h = a / total_vol if a < H_MAX * total_vol else H_MAX
    t = 0.5 * total_vol
    y1, y2 = (h - t) * SQRT_HALF, (h + t) * SQRT_HALF
    upper = y1 < LOWER_Y
    quotient, total = erfcx_pair(-y1 if upper else y1, y2)
    scale = 0.5 * math.sqrt(forward) * math.sqrt(strike) * exp_negative(-0.5 * (h * h + t * t))
    cap = forward if forward < strike else strike
    otm = cap - scale * total if upper else scale * (total_vol * SQRT_HALF) * quotient
    intrinsic = sign * (forward - strike)
    return otm + (intrinsic if intrinsic > 0.0 else 0.0)


@njit(fastmath={"contract"}, nogil=True)
def price_kernel(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    sign: FloatArray,
    out: FloatArray,
) -> None:
    """Fill `out` with prices, NaN where the inputs are invalid."""
    for i in range(out.size):
        price = option_price(forward[i], strike[i], bounded_total_vol(tau[i], vol[i]), sign[i])
        out[i] = price if is_valid(forward[i], strike[i], tau[i], vol[i]) else np.nan


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
