"""Compiled building blocks of the kernels: logarithm, exponential, erfcx and the normal distribution.

None has a call, a branch or a table, so that a loop over options that uses them can be vectorised: functions
are polynomials, choices are selects.
"""

import math

import numpy as np

from ivhedge.pricing._numpy_kernels import EXP_MIN, PRICE_MAX, PRICE_MIN, S_MAX, SQRT_HALF
from ivhedge.pricing._polynomials import erfcx_polynomial, exp_polynomial, log_polynomial
from ivhedge.pricing.jit import njit

__all__ = ["bounded_total_vol", "erfcx_pair", "exp_negative", "is_valid", "log_ratio", "normal_cdf"]

BITS_OF_1_5 = np.float64(1.5).view(np.uint64)
BITS_OF_2_52 = np.float64(2.0**52).view(np.uint64)
BIAS = np.uint64(1023)
MANTISSA_BITS = np.uint64(52)
LOG_2 = float(np.log(2.0))
LOG_2_HIGH, LOG_2_LOW = 0.69314718036912381649, 1.90821492927058770002e-10
INV_LOG_2 = float(1.0 / np.log(2.0))
ROUNDER = 1.5 * 2.0**52


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
