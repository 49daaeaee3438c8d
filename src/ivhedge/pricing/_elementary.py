"""Building blocks of the kernels: logarithm, exponential, erfcx and the normal distribution.

Polynomials and selects only: no call, no branch, no table, so that a loop over options can be vectorised.
"""

from typing import cast

import numpy as np

from ivhedge.pricing._numpy_kernels import (
    EXP_MIN,
    H_MAX,
    LOG_2_HIGH,
    LOG_2_LOW,
    PRICE_MAX,
    PRICE_MIN,
    S_MAX,
    SQRT_HALF,
)
from ivhedge.pricing._polynomials import erfcx_polynomial, exp_polynomial, log_polynomial
from ivhedge.pricing.straight import (
    absolute,
    bits_of,
    float_of,
    fused_multiply_add,
    select,
    shift_left,
    shift_right,
    square_root,
    straight,
)

__all__ = [
    "atanh_tail",
    "bounded_total_vol",
    "distance",
    "energy_pair",
    "erfcx_pair",
    "erfcx_parts",
    "exp_negative",
    "exp_negative_sum",
    "is_valid",
    "log_pair",
    "log_ratio",
    "normal_cdf",
    "quotient_pair",
    "split_ratio",
]

BITS_OF_1_5, BITS_OF_2_52 = bits_of(1.5), bits_of(2.0**52)
BITS_OF_MIN, BITS_OF_MAX, BITS_OF_INFINITY = bits_of(PRICE_MIN), bits_of(PRICE_MAX), bits_of(np.inf)
BIAS, MANTISSA_BITS = 1023, 52
LOG_2 = float(np.log(2.0))
INV_LOG_2 = float(1.0 / np.log(2.0))
ROUNDER = 1.5 * 2.0**52
TINY_VOL = 1e-150


@straight
def split_ratio(numerator: float, denominator: float) -> tuple[float, float]:
    """Return p and the denominator times 2**p, with p such that their ratio lies in [2/3, 3/2]."""
    top, bottom = bits_of(numerator), bits_of(denominator)
    # Biased exponent of the ratio, rounded.
    exponent = shift_right(top - bottom + BITS_OF_1_5, MANTISSA_BITS)
    scaled = float_of(bottom + shift_left(exponent - np.uint64(BIAS), MANTISSA_BITS))
    power = float_of(exponent | BITS_OF_2_52) - (2.0**52 + BIAS)
    return power, scaled


@straight
def log_ratio(numerator: float, denominator: float) -> float:
    """ln(numerator/denominator) of positive normal numbers, to full relative accuracy near 1 too."""
    power, scaled = split_ratio(numerator, denominator)
    z = (numerator - scaled) / (numerator + scaled)
    return power * LOG_2 + z * log_polynomial(z * z)


@straight
def exp_negative_sum(x: float, low: float) -> float:
    """exp(x + low) for x ≤ 0 and a correction `low` beyond the last digit of x; 0 below −708."""
    bounded = select(x > EXP_MIN, x, EXP_MIN)
    shifted = bounded * INV_LOG_2 + ROUNDER
    n = shifted - ROUNDER
    r = (bounded - n * LOG_2_HIGH) + (low - n * LOG_2_LOW)
    value = float_of(bits_of(exp_polynomial(r)) + shift_left(bits_of(shifted), MANTISSA_BITS))
    return select(x > EXP_MIN, value, 0.0)


@straight
def exp_negative(x: float) -> float:
    """exp(x) for x ≤ 0; 0 below −708."""
    return exp_negative_sum(x, 0.0)


@straight
def distance(forward: float, strike: float, total_vol: float) -> tuple[float, float]:
    """Return |ln(F/K)|/s, bounded by H_MAX, and 1/s; `log_ratio` with one division for both."""
    divisor = select(total_vol > TINY_VOL, total_vol, TINY_VOL)
    power, scaled = split_ratio(forward, strike)
    denominator = forward + scaled
    both = 1.0 / (denominator * divisor)
    inverse_vol = both * denominator
    z = (forward - scaled) * (both * divisor)
    h = absolute(power * LOG_2 + z * log_polynomial(z * z)) * inverse_vol
    return select(h < H_MAX, h, H_MAX), inverse_vol


@straight
def quotient_pair(forward: float, strike: float) -> tuple[float, float, float]:
    """Return z with its rounding error, and p, such that ln(F/K) = p·ln 2 + 2·atanh(z) and |z| ≤ 0.2."""
    power, scaled = split_ratio(forward, strike)
    numerator, denominator = forward - scaled, forward + scaled
    shift = denominator - forward
    denominator_low = (forward - (denominator - shift)) + (scaled - shift)
    inverse = 1.0 / denominator
    z = numerator * inverse
    z_low = (fused_multiply_add(-z, denominator, numerator) - z * denominator_low) * inverse
    return z, z_low, power


@straight
def log_pair(z: float, z_low: float, power: float) -> tuple[float, float]:
    """p·ln 2 + 2·atanh(z) as a sum high + low of twice the working precision."""
    square = z * z
    main = power * LOG_2_HIGH
    high = main + 2.0 * z
    low = (2.0 * z - (high - main)) + (2.0 * z_low + (z * square * atanh_tail(square) + power * LOG_2_LOW))
    x = high + low
    return x, low - (x - high)


@straight
def energy_pair(x: float, x_low: float, tau: float, vol: float, inverse_vol: float) -> tuple[float, float]:
    """(h − t)²/2 as a sum high + low, from x = ln(F/K) with its rounding error.

    It is (a − w/2)²/(2w) with w = vol²·tau, in the notation of ``_numpy_kernels``. 34 deviations away one
    rounding of a would cost 1e-13 of the price.
    """
    a = absolute(x)
    a_low = select(x >= 0.0, x_low, -x_low)
    square = vol * vol
    w = square * tau
    w_low = fused_multiply_add(square, tau, -w) + fused_multiply_add(vol, vol, -square) * tau
    u = a - 0.5 * w
    shift = u - a
    u_low = (a - (u - shift)) + (-0.5 * w - shift) + (a_low - 0.5 * w_low)
    inverse_w = inverse_vol * inverse_vol
    quotient = u * inverse_w
    residual = fused_multiply_add(-quotient, w, u) + (u_low - quotient * w_low)
    energy = u * quotient
    energy_low = fused_multiply_add(u, quotient, -energy) + (u * inverse_w * residual + u_low * quotient)
    return 0.5 * energy, 0.5 * energy_low


@straight
def atanh_tail(w: float) -> float:
    """(2·atanh(z)/z − 2)/z² in powers of w = z² ≤ 0.04: the Taylor series, in two chains."""
    v = w * w
    even = 2.0 / 23.0
    even = even * v + 2.0 / 19.0
    even = even * v + 2.0 / 15.0
    even = even * v + 2.0 / 11.0
    even = even * v + 2.0 / 7.0
    even = even * v + 2.0 / 3.0
    odd = 2.0 / 21.0
    odd = odd * v + 2.0 / 17.0
    odd = odd * v + 2.0 / 13.0
    odd = odd * v + 2.0 / 9.0
    odd = odd * v + 2.0 / 5.0
    return odd * w + even


@straight
def erfcx_parts(y1: float, y2: float) -> tuple[float, float, float]:
    """(erfcx(y1) − erfcx(y2))/(y2 − y1) without cancellation, erfcx(y1) and erfcx(y2); y ≥ −0.85."""
    shifted1, shifted2 = y1 + 4.0, y2 + 4.0
    product = 1.0 / (shifted1 * shifted2)
    i1, i2 = shifted2 * product, shifted1 * product
    # 1 − 6.4·i rounds three times as much where y is about 0.
    c1, c2 = (y1 - 2.4) * i1, (y2 - 2.4) * i2
    value1, slope = erfcx_polynomial(c1, c2)
    value2 = value1 + (c2 - c1) * slope
    return product * (value2 - 6.4 * i1 * slope), value1 * i1, value2 * i2


@straight
def erfcx_pair(y1: float, y2: float) -> tuple[float, float]:
    """(erfcx(y1) − erfcx(y2))/(y2 − y1) without cancellation, and erfcx(y1) + erfcx(y2); y ≥ −0.85."""
    quotient, value1, value2 = erfcx_parts(y1, y2)
    return quotient, value1 + value2


@straight
def normal_cdf(d: float) -> float:
    """N(d), with full relative accuracy in the lower tail."""
    y = absolute(d) * SQRT_HALF
    i = 1.0 / (y + 4.0)
    value, _ = erfcx_polynomial((y - 2.4) * i, 0.0)
    tail = 0.5 * exp_negative(-0.5 * d * d) * value * i
    return select(d < 0.0, tail, 1.0 - tail)


@straight
def is_valid(forward: float, strike: float, tau: float, vol: float) -> bool:
    """Tell where the inputs describe an option."""
    # As unsigned numbers the bits of positive floats keep their order, and all others lie above.
    width = BITS_OF_MAX - BITS_OF_MIN
    forward_ok = bits_of(forward) - BITS_OF_MIN <= width
    strike_ok = bits_of(strike) - BITS_OF_MIN <= width
    # Adding 0 turns −0 into 0.
    finite = (bits_of(tau + 0.0) < BITS_OF_INFINITY) & (bits_of(vol + 0.0) < BITS_OF_INFINITY)
    return cast("bool", forward_ok & strike_ok & finite)


@straight
def bounded_total_vol(tau: float, vol: float) -> float:
    """vol·sqrt(tau), bounded where every price has long reached its maximum."""
    total_vol = vol * square_root(tau)
    return select(total_vol < S_MAX, total_vol, S_MAX)
