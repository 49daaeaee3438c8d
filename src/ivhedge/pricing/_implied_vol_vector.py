"""The straight-line part of the implied-volatility kernel: a few hundred options at a time, no branches.

One block of options goes through short loops that hand their results on in a scratch array: a single long
loop would wait for its own chain of operations, and its constants would not fit the registers. Each loop
reads and writes rows of `BLOCK` numbers at fixed offsets, so that the compiler knows they do not overlap.
"""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing._elementary import (
    BIAS,
    BITS_OF_1_5,
    BITS_OF_2_52,
    LOG_2,
    MANTISSA_BITS,
    log_ratio,
)
from ivhedge.pricing._guesses import (
    FAR_Q_SCALE,
    FAR_Q_SHIFT,
    FAR_U_SCALE,
    NEAR_Q_SCALE,
    NEAR_Q_SHIFT,
    NEAR_U_SCALE,
    QUANTILE_ROOT,
    QUANTILE_SCALE,
    QUANTILE_SHIFT,
    far_bachelier,
    far_high,
    far_low,
    near_bachelier,
    near_high,
    near_low,
    quantile_polynomial,
    short_log_polynomial,
)
from ivhedge.pricing._implied_vol_numpy import HALF_LOG_TWO_PI, SQRT_PI_HALF, VOL_MIN
from ivhedge.pricing._implied_vol_scalar import in_price_domain, price_in_dollars, value_above_intrinsic
from ivhedge.pricing._numpy_kernels import LOWER_Y, SQRT_HALF
from ivhedge.pricing._polynomials import erfcx_polynomial
from ivhedge.pricing.jit import njit, prefer_full_vectors

__all__ = ["BLOCK", "LOG_MONEYNESS", "ROWS", "TARGET", "TARGET_MIN", "invert_near", "invert_rejected"]

BLOCK = 256
"""Options per pass: nine rows of them stay in the first-level cache."""
LOG_MONEYNESS, TARGET, TOTAL_VOL, RATIO, SCALE, C1, C2, GUESS_Q, GUESS_U = (BLOCK * row for row in range(9))
"""Where the rows begin: a, β, s, r = b/b', and what loops hand to the next one."""
ROWS = 9
TARGET_MIN = 1e-200
"""The vector path takes no smaller β; its logarithm needs normal numbers."""
LAST_STEP_MAX = 2e-4
"""After a Newton step below this fraction of s the fourth-order error is below 2e-15, see docs/pricing.md."""
Y_LIMIT = LOWER_Y - 0.05


@njit(fastmath={"contract"}, nogil=True)
def normalise(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    work: FloatArray,
) -> None:
    """Fill a = |ln(F/K)| and β = time value/sqrt(F·K), NaN where there is no such option."""
    prefer_full_vectors()
    for i in range(price.size):
        f, k = forward[i], strike[i]
        time_value = value_above_intrinsic(price[i], 0.0, f, k, 1.0 if is_call[i] else -1.0)
        beta = time_value / math.sqrt(f * k)
        work[i + LOG_MONEYNESS] = abs(log_ratio(f, k))
        work[i + TARGET] = beta if in_price_domain(f, k) & (beta > TARGET_MIN) & (beta < 1.0) else np.nan


@njit(fastmath={"contract"}, nogil=True)
def normalise_coin(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    work: FloatArray,
) -> None:
    """Do what `normalise` does for prices in coin."""
    prefer_full_vectors()
    for i in range(price.size):
        f, k = forward[i], strike[i]
        high, low = price_in_dollars(price[i], f, True)
        time_value = value_above_intrinsic(high, low, f, k, 1.0 if is_call[i] else -1.0)
        beta = time_value / math.sqrt(f * k)
        work[i + LOG_MONEYNESS] = abs(log_ratio(f, k))
        work[i + TARGET] = beta if in_price_domain(f, k) & (beta > TARGET_MIN) & (beta < 1.0) else np.nan


@njit(forceinline=True, fastmath={"contract"})
def short_log_ratio(numerator: float, denominator: float) -> float:
    """ln(numerator/denominator) with the few digits a guess needs."""
    top, bottom = np.float64(numerator).view(np.uint64), np.float64(denominator).view(np.uint64)
    exponent = (top - bottom + BITS_OF_1_5) >> MANTISSA_BITS
    scaled = np.uint64(bottom + ((exponent - BIAS) << MANTISSA_BITS)).view(np.float64)
    power = np.uint64(exponent | BITS_OF_2_52).view(np.float64) - (2.0**52 + 1023.0)
    z = (numerator - scaled) / (numerator + scaled)
    return power * LOG_2 + z * short_log_polynomial(z * z)


@njit(fastmath={"contract"}, nogil=True)
def guess_near(size: int, work: FloatArray) -> None:
    """Fill a total vol exact enough for one step, for h ≤ 12 and s ≤ 2.2."""
    prefer_full_vectors()
    for i in range(size):
        a, beta = work[i + LOG_MONEYNESS], work[i + TARGET]
        distance = short_log_ratio(a + beta, beta)
        q = NEAR_Q_SCALE * distance / (distance + NEAR_Q_SHIFT) - 1.0
        s0 = (a + beta) * near_bachelier(q)
        work[i + TOTAL_VOL] = s0
        work[i + GUESS_Q] = q
        work[i + GUESS_U] = NEAR_U_SCALE * (s0 * s0) - 1.0
    for i in range(size):
        work[i + SCALE] = near_high(work[i + GUESS_Q], work[i + GUESS_U])
    for i in range(size):
        work[i + TOTAL_VOL] *= near_low(work[i + SCALE], work[i + GUESS_Q], work[i + GUESS_U])


@njit(fastmath={"contract"}, nogil=True)
def guess_far(size: int, work: FloatArray) -> None:
    """Fill a total vol exact enough for two steps, for h ≤ 36 and s ≤ 8."""
    prefer_full_vectors()
    for i in range(size):
        a, beta = work[i + LOG_MONEYNESS], work[i + TARGET]
        distance = short_log_ratio(a + beta, beta)
        q = FAR_Q_SCALE * distance / (distance + FAR_Q_SHIFT) - 1.0
        s0 = (a + beta) * far_bachelier(q)
        work[i + TOTAL_VOL] = s0
        work[i + GUESS_Q] = q
        work[i + GUESS_U] = FAR_U_SCALE * (s0 * s0) - 1.0
    for i in range(size):
        work[i + SCALE] = far_high(work[i + GUESS_Q], work[i + GUESS_U])
    for i in range(size):
        work[i + TOTAL_VOL] *= far_low(work[i + SCALE], work[i + GUESS_Q], work[i + GUESS_U])


@njit(fastmath={"contract"}, nogil=True)
def guess_upper(size: int, work: FloatArray) -> None:
    """Fill a total vol exact enough for two steps from β = (maximum − price)/sqrt(F·K).

    (b_max − b)/b_max = N(h − t)·(1 + ρ) with ρ between 0 and 1; N(−z) = exp(−v) gives t − h = z.
    """
    prefer_full_vectors()
    for i in range(size):
        a = work[i + LOG_MONEYNESS]
        share = 1.0 + 1.0 / (1.0 + a)
        # v − ln 2 for v = −ln(β/(b_max·share)), b_max = exp(−a/2).
        d = log_ratio(0.5 * share, work[i + TARGET]) - 0.5 * a
        d = d if d > 0.0 else 0.0
        x = QUANTILE_SCALE * d / (d + QUANTILE_SHIFT) - 1.0
        z = d / math.sqrt(d + QUANTILE_ROOT) * quantile_polynomial(x)
        work[i + TOTAL_VOL] = z + math.sqrt(z * z + 2.0 * a)


@njit(fastmath={"contract"}, nogil=True)
def ratio_lower(size: int, work: FloatArray) -> None:
    """Fill r = b/b' at s: a divided difference of erfcx, which does not cancel."""
    prefer_full_vectors()
    for i in range(size):
        s = work[i + TOTAL_VOL]
        # y + 4 times s, so that one division serves h = a/s and both arguments of the polynomial.
        left = (work[i + LOG_MONEYNESS] - 0.5 * (s * s)) * SQRT_HALF + 4.0 * s
        right = left + SQRT_HALF * (s * s)
        inverse = s / (left * right)
        work[i + SCALE] = (SQRT_PI_HALF * SQRT_HALF) * (s * s) * inverse
        work[i + C1] = 1.0 - 6.4 * (right * inverse)
        work[i + C2] = 1.0 - 6.4 * (left * inverse)
    for i in range(size):
        c1, c2 = work[i + C1], work[i + C2]
        value, slope = erfcx_polynomial(c1, c2)
        work[i + RATIO] = work[i + SCALE] * (value + (c2 - c1) * slope - (1.0 - c1) * slope)


@njit(fastmath={"contract"}, nogil=True)
def ratio_upper(size: int, work: FloatArray) -> None:
    """Fill r = −(b_max − b)/b' at s: two terms of one sign."""
    prefer_full_vectors()
    for i in range(size):
        s = work[i + TOTAL_VOL]
        left = (0.5 * (s * s) - work[i + LOG_MONEYNESS]) * SQRT_HALF + 4.0 * s
        right = (0.5 * (s * s) + work[i + LOG_MONEYNESS]) * SQRT_HALF + 4.0 * s
        inverse = s / (left * right)
        work[i + C1] = 1.0 - 6.4 * (right * inverse)
        work[i + C2] = 1.0 - 6.4 * (left * inverse)
    for i in range(size):
        c1, c2 = work[i + C1], work[i + C2]
        value, slope = erfcx_polynomial(c1, c2)
        total = value * (1.0 - c1) + (value + (c2 - c1) * slope) * (1.0 - c2)
        work[i + RATIO] = (-SQRT_PI_HALF / 6.4) * total


@njit(forceinline=True, fastmath={"contract"})
def householder(s: float, a: float, r: float, target: float) -> tuple[float, float, float, float]:
    """One step on ln b(s) = ln β: Newton's, over and under of the third-order factor to it, and h − t."""
    t = 0.5 * s
    inverse = 1.0 / s
    h = a * inverse
    slope = h * inverse
    g = log_ratio(abs(r), target) - 0.5 * (h * h + t * t) - HALF_LOG_TWO_PI
    v = h * slope - 0.5 * t
    w = v * v - 3.0 * slope * slope - 0.25
    a1 = g * (1.0 - r * v)
    a2 = g * g * (r * r * w - 3.0 * (r * v) + 2.0)
    return -g * r, 1.0 + 0.5 * a1, 1.0 + a1 + a2 * (1.0 / 6.0), h - t


@njit(fastmath={"contract"}, nogil=True)
def improve(size: int, work: FloatArray) -> None:
    """Make one Householder step."""
    prefer_full_vectors()
    for i in range(size):
        s, a = work[i + TOTAL_VOL], work[i + LOG_MONEYNESS]
        step, over, under, _ = householder(s, a, work[i + RATIO], work[i + TARGET])
        work[i + TOTAL_VOL] = s + step * over / under


@njit(fastmath={"contract"}, nogil=True)
def finish(tau: FloatArray, upper: bool, work: FloatArray, vol: FloatArray) -> None:
    """Make the last step and fill vols; NaN where it is too long to be the last, or out of the domain."""
    prefer_full_vectors()
    # b is close to its maximum where y1 is below the limit, and far from it where −y1 is.
    side = -1.0 if upper else 1.0
    for i in range(vol.size):
        s, a, target = work[i + TOTAL_VOL], work[i + LOG_MONEYNESS], work[i + TARGET]
        step, over, under, distance = householder(s, a, work[i + RATIO], target)
        found = (s * under + step * over) / (under * math.sqrt(tau[i]))
        # The logarithm does not hand a NaN on, so that the target has to be asked again.
        good = (
            (abs(step) < LAST_STEP_MAX * s) & (side * distance > Y_LIMIT / SQRT_HALF) & (target > TARGET_MIN)
        )
        vol[i] = found if good & (found >= VOL_MIN) & (found < np.inf) else np.nan


@njit(nogil=True)
def invert_near(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    is_call: BoolArray,
    coin: bool,
    work: FloatArray,
    vol: FloatArray,
) -> None:
    """Fill vols of at most `BLOCK` options; NaN for the wings, upper region and whatever has no vol."""
    if coin:
        normalise_coin(price, forward, strike, is_call, work)
    else:
        normalise(price, forward, strike, is_call, work)
    guess_near(vol.size, work)
    ratio_lower(vol.size, work)
    finish(tau, False, work, vol)


@njit(nogil=True)
def invert_rejected(tau: FloatArray, upper: bool, work: FloatArray, vol: FloatArray) -> None:
    """Fill vols of options in the wings, or above half of their maximum; NaN where two steps do not do.

    `work` holds a, and β or the distance to the maximum, of as many options as `vol` has.
    """
    size = vol.size
    if upper:
        guess_upper(size, work)
        ratio_upper(size, work)
        improve(size, work)
        ratio_upper(size, work)
    else:
        guess_far(size, work)
        ratio_lower(size, work)
        improve(size, work)
        ratio_lower(size, work)
    finish(tau, upper, work, vol)
