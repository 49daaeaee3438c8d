"""The plain numpy twins of the compiled kernels: same mathematics, scipy's erfcx, whole arrays at once.

Notation, all out-of-the-money (OTM) and normalised by sqrt(F·K): a = |ln(F/K)|, total vol s = vol·sqrt(tau),
h = a/s, t = s/2, y1 = (h − t)/√2, y2 = (h + t)/√2. The OTM Black price is::

    b(a, s) = ½·exp(−(h² + t²)/2)·[erfcx(y1) − erfcx(y2)],   b_max = exp(−a/2) = min(F, K)/sqrt(F·K)
"""

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing._constants import ERFCX
from ivhedge.pricing.straight import fused_multiply_add

__all__ = [
    "EXP_MIN",
    "FAR",
    "H_MAX",
    "LOG_2_HIGH",
    "LOG_2_LOW",
    "LOWER_Y",
    "PRICE_MAX",
    "PRICE_MIN",
    "SQRT_HALF",
    "SQUARE_MAX",
    "S_MAX",
    "S_MIN",
    "TAU_MIN",
    "black76_price_numpy",
    "divided_difference",
    "energy_pair_numpy",
    "exp_numpy",
    "log_ratio_numpy",
    "tails_numpy",
    "total_vol_numpy",
    "valid_numpy",
]

SQRT_HALF = float(np.sqrt(0.5))
LOWER_Y = -0.8
"""Below it erfcx(y1) is written by reflection: the upper region, where b is close to its maximum."""
PRICE_MIN, PRICE_MAX = 1e-150, 1e150
"""Domain of forward and strike; inside it no product or ratio of them overflows."""
S_MIN, S_MAX = 1e-100, 1000.0
"""Total vols treated as 0 by the Greeks, and bounded because every price has long reached its maximum."""
EXP_MIN = -708.0
"""Below it exp leaves the normal numbers and is set to 0, here and in the compiled kernels."""
H_MAX = 60.0
"""exp(−h²/2) is 0 in float64 from h = 38.7 on; the bound keeps h finite at zero volatility."""


FAR = 7.0
"""Deviations from which the exponent of the price is computed with compensation."""
LOG_2_HIGH, LOG_2_LOW = 0.69314718036912381649, 1.90821492927058770002e-10
SQUARE_MAX, TAU_MIN = 1e120, 1e-290
"""Vols whose square and times whose reciprocal stay normal numbers; others take the plainer formulas."""


def valid_numpy(forward: FloatArray, strike: FloatArray, tau: FloatArray, vol: FloatArray) -> BoolArray:
    """Tell where the inputs describe an option: F and K in the domain, finite tau and vol of at least 0."""
    ok = (forward >= PRICE_MIN) & (forward <= PRICE_MAX) & (strike >= PRICE_MIN) & (strike <= PRICE_MAX)
    return np.asarray(ok & (tau >= 0) & (tau < np.inf) & (vol >= 0) & (vol < np.inf))


def log_ratio_numpy(forward: FloatArray, strike: FloatArray) -> FloatArray:
    """ln(F/K) with full relative accuracy also where F is close to K."""
    ratio = forward / strike
    near = (ratio > 0.5) & (ratio < 2.0)
    return np.where(near, np.log1p(np.where(near, (forward - strike) / strike, 0.0)), np.log(ratio))


def total_vol_numpy(tau: FloatArray, vol: FloatArray) -> FloatArray:
    """Total volatility vol·sqrt(tau), bounded where every price has long reached its maximum."""
    return np.minimum(vol * np.sqrt(tau), S_MAX)


def exp_numpy(x: FloatArray) -> FloatArray:
    """exp(x), 0 where it would leave the normal numbers."""
    return np.where(x > EXP_MIN, np.exp(x), 0.0)


def energy_pair_numpy(
    forward: FloatArray, strike: FloatArray, tau: FloatArray, vol: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(h − t)²/2 as a sum high + low: 34 deviations away a rounding of ln(F/K) costs 1e-13 of the price."""
    # ln(F/K) = power·ln 2 + 2·atanh(z), |z| ≤ 0.2.
    _, power = np.frexp(forward / strike * np.sqrt(0.5))
    scaled = np.ldexp(strike, power)
    bottom = forward + scaled
    shift = bottom - forward
    bottom_low = (forward - (bottom - shift)) + (scaled - shift)
    z = (forward - scaled) / bottom
    z_low = (fused_multiply_add(-z, bottom, forward - scaled) - z * bottom_low) / bottom
    tail = np.zeros_like(z)
    for k in range(25, 1, -2):
        tail = tail * z * z + 2.0 / k
    main = power * LOG_2_HIGH
    x = main + 2.0 * z
    x_low = (2.0 * z - (x - main)) + (2.0 * z_low + (z * z * z * tail + power * LOG_2_LOW))
    x, x_low = x + x_low, x_low - ((x + x_low) - x)
    # (a − w/2)²/(2w) with w = vol²·tau.
    a, a_low = np.abs(x), x_low * np.sign(x)
    square = vol * vol
    w = square * tau
    w_low = fused_multiply_add(square, tau, -w) + fused_multiply_add(vol, vol, -square) * tau
    u = a - 0.5 * w
    shift = u - a
    u_low = (a - (u - shift)) + (-0.5 * w - shift) + (a_low - 0.5 * w_low)
    quotient = u / w
    residual = fused_multiply_add(-quotient, w, u) + (u_low - quotient * w_low)
    energy = u * quotient
    low = fused_multiply_add(u, quotient, -energy) + (u * residual / w + u_low * quotient)
    return 0.5 * energy, 0.5 * low


def divided_difference(y1: FloatArray, y2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (erfcx(y1) − erfcx(y2))/(y2 − y1) and erfcx(y1) + erfcx(y2), without cancellation.

    The difference quotient falls out of the Horner recurrence, so it is as exact at y1 = y2 as elsewhere.
    """
    i1, i2 = 1.0 / (y1 + 4.0), 1.0 / (y2 + 4.0)
    # 1 − 6.4·i rounds three times as much where y is about 0.
    c1, c2 = (y1 - 2.4) * i1, (y2 - 2.4) * i2
    value, slope = np.full_like(y1, ERFCX[-1]), np.zeros_like(y1)
    for coefficient in ERFCX[-2::-1]:
        slope = slope * c2 + value
        value = value * c1 + coefficient
    value2 = value + (c2 - c1) * slope
    return i1 * i2 * (value2 - 6.4 * i1 * slope), value * i1 + value2 * i2


def black76_price_numpy(
    forward: FloatArray, strike: FloatArray, tau: FloatArray, vol: FloatArray, sign: FloatArray
) -> FloatArray:
    """Undiscounted Black-76 price; NaN where the inputs are invalid. Flat arrays of one shape."""
    with np.errstate(all="ignore"):
        ok = valid_numpy(forward, strike, tau, vol)
        a = np.abs(log_ratio_numpy(forward, strike))
        s = total_vol_numpy(tau, vol)
        h = np.where(a < H_MAX * s, a / s, H_MAX)
        t = 0.5 * s
        y1, y2 = (h - t) * SQRT_HALF, (h + t) * SQRT_HALF
        upper = y1 < LOWER_Y
        quotient, total = divided_difference(np.where(upper, -y1, y1), y2)
        energy, low = 0.5 * (h - t) * (h - t), np.zeros_like(s)
        ordinary = (vol > 1.0 / SQUARE_MAX) & (vol < SQUARE_MAX) & (tau > TAU_MIN)
        far = np.flatnonzero((h - t > FAR) & (h < H_MAX) & ok & ordinary)
        energy[far], low[far] = energy_pair_numpy(forward[far], strike[far], tau[far], vol[far])
        # sqrt(F·K)·exp(−(h² + t²)/2), as a = 2·h·t.
        scale = 0.5 * np.minimum(forward, strike) * exp_numpy(-energy) * (1.0 - low)
        cap = np.minimum(forward, strike)
        otm = np.where(upper, cap - scale * total, scale * (s * SQRT_HALF) * quotient)
        return np.where(ok, otm + np.maximum(sign * (forward - strike), 0.0), np.nan)


def tails_numpy(d: FloatArray) -> FloatArray:
    """Return the normal distribution function N(d), with full relative accuracy in the lower tail."""
    from scipy.special import ndtr

    return np.asarray(ndtr(d))
