"""The straight-line passes of the implied-volatility solver: whole blocks of options, no branches.

One block goes through short loops that hand their results on in a scratch array: a single long loop would
wait for its own chain of operations, and its constants would not fit the registers. Rows of the scratch lie
at fixed offsets, so that the compiler knows they do not overlap. A vol comes out as NaN where a pass is not
made for the option; nothing else is decided here.
"""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing._elementary import LOG_2, log_ratio, split_ratio
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
from ivhedge.pricing._implied_vol_numpy import HALF_LOG_TWO_PI, LAST_STEP_S, SQRT_PI_HALF, VOL_MIN
from ivhedge.pricing._implied_vol_scalar import in_price_domain, price_in_dollars, value_above_intrinsic
from ivhedge.pricing._numpy_kernels import LOWER_Y, SQRT_HALF
from ivhedge.pricing._polynomials import erfcx_polynomial
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, INNER, njit, prefer_full_vectors
from ivhedge.pricing.straight import absolute, select, square_root, straight

__all__ = ["invert_far", "invert_near", "invert_upper"]

BLOCK = 256
"""Options per block: nine rows of them stay in the first-level cache."""
STRIDE = BLOCK + 8
"""Rows a power of two apart would get in each other's way there."""
LOG_MONEYNESS, TARGET, TOTAL_VOL, RATIO, SCALE, C1, C2, GUESS_Q, GUESS_U = (STRIDE * row for row in range(9))
"""Where the rows begin: a, β, s, r = b/b', and what loops hand to the next one."""
ROWS = 9
TARGET_MIN = 1e-280
"""The passes take no smaller β; its logarithm needs normal numbers."""
TOTAL_VOL_MIN = 1e-75
"""Nor a smaller s; its square has to be a normal number."""
LAST_STEP_MAX = 2e-4
"""After a Newton step below this fraction of s, or of 4, the error is below 1e-15, see docs/pricing.md."""
DISTANCE_MIN = (LOWER_Y - 0.05) / SQRT_HALF
"""h − t from which the divided difference of erfcx is good; t − h for the upper region's sum."""
PASS = f"int64({', '.join([IN_FLOATS] * 4)}, {IN_BOOLS}, boolean, float64[::1])"


@straight
def normalised(price: float, low: float, forward: float, strike: float, is_call: bool) -> tuple[float, float]:
    """Return a = |ln(F/K)| and β = time value/sqrt(F·K), NaN where there is no such option."""
    beta = value_above_intrinsic(price, low, forward, strike, is_call) / square_root(forward * strike)
    good = in_price_domain(forward, strike) & (beta > TARGET_MIN) & (beta < 1.0)
    return absolute(log_ratio(forward, strike)), select(good, beta, math.nan)


@straight
def normalised_rest(
    price: float, low: float, forward: float, strike: float, is_call: bool
) -> tuple[float, float]:
    """Return a and (maximum − price)/sqrt(F·K), NaN unless that is less than half of the maximum."""
    rest = (select(is_call, forward, strike) - price) - low
    beta = rest / square_root(forward * strike)
    upper = rest < 0.5 * select(forward < strike, forward, strike)
    good = in_price_domain(forward, strike) & (beta > TARGET_MIN) & upper
    return absolute(log_ratio(forward, strike)), select(good, beta, math.nan)


@straight
def short_log_ratio(numerator: float, denominator: float) -> float:
    """ln(numerator/denominator) with the few digits a guess needs."""
    power, scaled = split_ratio(numerator, denominator)
    z = (numerator - scaled) / (numerator + scaled)
    return power * LOG_2 + z * short_log_polynomial(z * z)


@straight
def near_start(a: float, beta: float) -> tuple[float, float, float]:
    """Bachelier's total vol and the variables of its correction."""
    distance = short_log_ratio(a + beta, beta)
    q = NEAR_Q_SCALE * distance / (distance + NEAR_Q_SHIFT) - 1.0
    s = (a + beta) * near_bachelier(q)
    return s, q, NEAR_U_SCALE * (s * s) - 1.0


@straight
def far_start(a: float, beta: float) -> tuple[float, float, float]:
    """Bachelier's total vol and the variables of its correction, wider but less exact."""
    distance = short_log_ratio(a + beta, beta)
    q = FAR_Q_SCALE * distance / (distance + FAR_Q_SHIFT) - 1.0
    s = (a + beta) * far_bachelier(q)
    return s, q, FAR_U_SCALE * (s * s) - 1.0


@straight
def upper_start(a: float, beta: float) -> float:
    """Total vol from the distance to the maximum.

    (b_max − b)/b_max = N(h − t)·(1 + ρ) with ρ between 0 and 1; N(−z) = exp(−v) gives t − h = z.
    """
    share = 1.0 + 1.0 / (1.0 + a)
    # v − ln 2 for v = −ln(β/(b_max·share)), b_max = exp(−a/2).
    d = log_ratio(0.5 * share, beta) - 0.5 * a
    d = select(d > 0.0, d, 0.0)
    x = QUANTILE_SCALE * d / (d + QUANTILE_SHIFT) - 1.0
    z = d / square_root(d + QUANTILE_ROOT) * quantile_polynomial(x)
    return z + square_root(z * z + 2.0 * a)


@straight
def lower_arguments(s: float, a: float) -> tuple[float, float, float]:
    """Scale of r = b/b' and the two arguments of erfcx's polynomial, at y1 = (h − t)/√2, y2 = (h + t)/√2."""
    # y + 4 times s, so that one division serves h = a/s and both arguments.
    square = s * s
    near = (a - 0.5 * square) * SQRT_HALF
    away = near + SQRT_HALF * square
    left, right = near + 4.0 * s, away + 4.0 * s
    inverse = 1.0 / (left * right)
    scale = (SQRT_PI_HALF * SQRT_HALF) * square * (s * inverse)
    # (y − 2.4)/(y + 4): 1 − 6.4/(y + 4) rounds three times as much where y is about 0.
    return scale, (near - 2.4 * s) * (right * inverse), (away - 2.4 * s) * (left * inverse)


@straight
def lower_ratio(scale: float, c1: float, c2: float) -> float:
    """R = b/b': a divided difference of erfcx, which does not cancel."""
    value, slope = erfcx_polynomial(c1, c2)
    return scale * (value + (c2 - c1) * slope - (1.0 - c1) * slope)


@straight
def upper_arguments(s: float, a: float) -> tuple[float, float]:
    """Return the arguments of erfcx's polynomial at −y1 and y2."""
    left = (0.5 * (s * s) - a) * SQRT_HALF + 4.0 * s
    right = (0.5 * (s * s) + a) * SQRT_HALF + 4.0 * s
    inverse = s / (left * right)
    return 1.0 - 6.4 * (right * inverse), 1.0 - 6.4 * (left * inverse)


@straight
def upper_ratio(c1: float, c2: float) -> float:
    """R = −(b_max − b)/b': two terms of one sign."""
    value, slope = erfcx_polynomial(c1, c2)
    total = value * (1.0 - c1) + (value + (c2 - c1) * slope) * (1.0 - c2)
    return (-SQRT_PI_HALF / 6.4) * total


@straight
def householder(s: float, a: float, r: float, target: float) -> tuple[float, float, float, float]:
    """One step on ln b(s) = ln β: Newton's, over and under of the third-order factor to it, and h − t."""
    t = 0.5 * s
    inverse = 1.0 / s
    h = a * inverse
    slope = h * inverse
    g = log_ratio(absolute(r), target) - 0.5 * (h * h + t * t) - HALF_LOG_TWO_PI
    v = h * slope - 0.5 * t
    w = v * v - 3.0 * slope * slope - 0.25
    a1 = g * (1.0 - r * v)
    a2 = g * g * (r * r * w - 3.0 * (r * v) + 2.0)
    return -g * r, 1.0 + 0.5 * a1, 1.0 + a1 + a2 * (1.0 / 6.0), h - t


@straight
def improved(s: float, a: float, r: float, target: float) -> float:
    """Total vol after one step."""
    step, over, under, _ = householder(s, a, r, target)
    return s + step * over / under


@straight
def final_vol(s: float, a: float, r: float, target: float, tau: float, side: float) -> float:
    """Vol after the last step; NaN where that is too long to be the last, or out of the domain.

    `side` is 1 for the lower and −1 for the upper region.
    """
    step, over, under, distance = householder(s, a, r, target)
    found = (s * under + step * over) / (under * square_root(tau))
    # The logarithm does not hand a NaN on, so that the target has to be asked again.
    inside = (side * distance > DISTANCE_MIN) & (target > TARGET_MIN) & (s > TOTAL_VOL_MIN)
    longest = LAST_STEP_MAX * select(s < LAST_STEP_S, s, LAST_STEP_S)
    converged = (absolute(step) < longest) & (found >= VOL_MIN) & (found < math.inf)
    return select(inside & converged, found, math.nan)


@njit(fastmath={"contract"}, nogil=True, **INNER)
def fill_ratio(size: int, work: FloatArray) -> None:
    """Fill r at s in the lower region."""
    prefer_full_vectors()
    for i in range(size):
        scale, c1, c2 = lower_arguments(work[i + TOTAL_VOL], work[i + LOG_MONEYNESS])
        work[i + SCALE], work[i + C1], work[i + C2] = scale, c1, c2
    for i in range(size):
        work[i + RATIO] = lower_ratio(work[i + SCALE], work[i + C1], work[i + C2])


@njit(fastmath={"contract"}, nogil=True, **INNER)
def fill_upper_ratio(size: int, work: FloatArray) -> None:
    """Fill r at s in the upper region."""
    prefer_full_vectors()
    for i in range(size):
        c1, c2 = upper_arguments(work[i + TOTAL_VOL], work[i + LOG_MONEYNESS])
        work[i + C1], work[i + C2] = c1, c2
    for i in range(size):
        work[i + RATIO] = upper_ratio(work[i + C1], work[i + C2])


@njit(fastmath={"contract"}, nogil=True, **INNER)
def finish(tau: FloatArray, side: float, work: FloatArray, vol: FloatArray) -> int:
    """Make the last step, fill vols and count those that are NaN."""
    prefer_full_vectors()
    for i in range(vol.size):
        s, a, r, target = work[i + TOTAL_VOL], work[i + LOG_MONEYNESS], work[i + RATIO], work[i + TARGET]
        vol[i] = final_vol(s, a, r, target, tau[i], side)
    rejected = 0
    for i in range(vol.size):
        rejected += vol[i] != vol[i]
    return rejected


@njit(fastmath={"contract"}, nogil=True, **INNER)
def normalise(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    coin: bool,
    work: FloatArray,
) -> None:
    """Fill a and β."""
    prefer_full_vectors()
    if coin:
        for i in range(price.size):
            high, low = price_in_dollars(price[i], forward[i], True)
            a, beta = normalised(high, low, forward[i], strike[i], is_call[i])
            work[i + LOG_MONEYNESS], work[i + TARGET] = a, beta
    else:
        for i in range(price.size):
            a, beta = normalised(price[i], 0.0, forward[i], strike[i], is_call[i])
            work[i + LOG_MONEYNESS], work[i + TARGET] = a, beta


@njit(PASS, fastmath={"contract"}, nogil=True)
def invert_near(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    is_call: BoolArray,
    coin: bool,
    vol: FloatArray,
) -> int:
    """Fill the vols of ordinary options, h ≤ 12 and s ≤ 2.2, in one step; return how many are left NaN."""
    prefer_full_vectors()
    work = np.empty(ROWS * STRIDE)
    rejected = 0
    for start in range(0, vol.size, BLOCK):
        part = slice(start, min(start + BLOCK, vol.size))
        n = vol[part].size
        normalise(price[part], forward[part], strike[part], is_call[part], coin, work)
        for i in range(n):
            s, q, u = near_start(work[i + LOG_MONEYNESS], work[i + TARGET])
            work[i + TOTAL_VOL], work[i + GUESS_Q], work[i + GUESS_U] = s, q, u
        for i in range(n):
            work[i + SCALE] = near_high(work[i + GUESS_Q], work[i + GUESS_U])
        for i in range(n):
            work[i + TOTAL_VOL] *= near_low(work[i + SCALE], work[i + GUESS_Q], work[i + GUESS_U])
        fill_ratio(n, work)
        rejected += finish(tau[part], 1.0, work, vol[part])
    return rejected


@njit(PASS, fastmath={"contract"}, nogil=True)
def invert_far(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    is_call: BoolArray,
    coin: bool,
    vol: FloatArray,
) -> int:
    """Fill the vols of wings, h ≤ 36 and s ≤ 8, in two steps; return how many are left NaN."""
    prefer_full_vectors()
    work = np.empty(ROWS * STRIDE)
    rejected = 0
    for start in range(0, vol.size, BLOCK):
        part = slice(start, min(start + BLOCK, vol.size))
        n = vol[part].size
        normalise(price[part], forward[part], strike[part], is_call[part], coin, work)
        for i in range(n):
            s, q, u = far_start(work[i + LOG_MONEYNESS], work[i + TARGET])
            work[i + TOTAL_VOL], work[i + GUESS_Q], work[i + GUESS_U] = s, q, u
        for i in range(n):
            work[i + SCALE] = far_high(work[i + GUESS_Q], work[i + GUESS_U])
        for i in range(n):
            work[i + TOTAL_VOL] *= far_low(work[i + SCALE], work[i + GUESS_Q], work[i + GUESS_U])
        fill_ratio(n, work)
        for i in range(n):
            s, a, r, target = work[i + TOTAL_VOL], work[i + LOG_MONEYNESS], work[i + RATIO], work[i + TARGET]
            work[i + TOTAL_VOL] = improved(s, a, r, target)
        fill_ratio(n, work)
        rejected += finish(tau[part], 1.0, work, vol[part])
    return rejected


@njit(PASS, fastmath={"contract"}, nogil=True)
def invert_upper(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    is_call: BoolArray,
    coin: bool,
    vol: FloatArray,
) -> int:
    """Fill the vols of prices above half of their maximum in two steps; return how many are left NaN."""
    prefer_full_vectors()
    work = np.empty(ROWS * STRIDE)
    rejected = 0
    for start in range(0, vol.size, BLOCK):
        part = slice(start, min(start + BLOCK, vol.size))
        n = vol[part].size
        f, k, p, call = forward[part], strike[part], price[part], is_call[part]
        for i in range(n):
            high, low = price_in_dollars(p[i], f[i], coin)
            a, beta = normalised_rest(high, low, f[i], k[i], call[i])
            work[i + LOG_MONEYNESS], work[i + TARGET] = a, beta
        for i in range(n):
            work[i + TOTAL_VOL] = upper_start(work[i + LOG_MONEYNESS], work[i + TARGET])
        fill_upper_ratio(n, work)
        for i in range(n):
            s, a, r, target = work[i + TOTAL_VOL], work[i + LOG_MONEYNESS], work[i + RATIO], work[i + TARGET]
            work[i + TOTAL_VOL] = improved(s, a, r, target)
        fill_upper_ratio(n, work)
        rejected += finish(tau[part], -1.0, work, vol[part])
    return rejected
