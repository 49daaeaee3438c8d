"""The plain numpy twin of the implied-volatility kernel.

The equation ln b(a, s) = ln β is solved for the total vol s by Householder steps of third order, in the
notation of ``_numpy_kernels``. The exponential is taken out analytically: with r = b/b'(s), b' the normal
density term, g = ln(r/β) − (h² + t²)/2 − ½·ln 2π, so accuracy does not depend on how far out of the money
the option is. Where β is above half of its maximum the complement b_max − β takes the place of β.
"""

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, StatusArray
from ivhedge.pricing._numpy_kernels import (
    LOWER_Y,
    SQRT_HALF,
    divided_difference,
    log_ratio_numpy,
    valid_numpy,
)
from ivhedge.pricing.status import IvStatus

__all__ = ["implied_vol_numpy"]

HALF_LOG_TWO_PI = float(0.5 * np.log(2.0 * np.pi))
SQRT_PI_HALF = float(np.sqrt(0.5 * np.pi))
MAX_STEPS = 60
SPLITTER = 2.0**27 + 1.0
"""Splits a double into two halves whose products are exact."""
VOL_MIN = 1e-290
"""Smaller vols come out of prices with too few bits left to be inverted."""
LAST_STEP, LAST_STEP_S = 1e-4, 4.0
"""A fourth-order step below this fraction of s, or of 4 if s is more, leaves an error far below rounding."""


def implied_vol_numpy(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sign: FloatArray,
    *,
    coin: bool = False,
) -> tuple[FloatArray, StatusArray]:
    """Implied vols and statuses of flat arrays of one shape; prices in dollars, or in coin."""
    with np.errstate(all="ignore"):
        price, low = _in_dollars(price, forward) if coin else (price, np.zeros_like(price))
        time_value, headroom = _time_value(price, low, forward, strike, sign)
        status = _classify(price, forward, strike, tau, time_value, headroom)
        vol = np.full(price.shape, np.nan)
        live = np.flatnonzero(status == IvStatus.OK)
        if live.size:
            total_vol, converged = _solve(forward[live], strike[live], time_value[live], headroom[live])
            found = total_vol / np.sqrt(tau[live])
            converged &= (total_vol >= VOL_MIN) & (found >= VOL_MIN) & (found < np.inf)
            vol[live] = np.where(converged, found, np.nan)
            status[live[~converged]] = IvStatus.NOT_CONVERGED
    return vol, status


def _in_dollars(price: FloatArray, forward: FloatArray) -> tuple[FloatArray, FloatArray]:
    # Dekker's product: the rounded product and its exact error.
    high = price * forward
    price_high, forward_high = (SPLITTER * x - (SPLITTER * x - x) for x in (price, forward))
    price_low, forward_low = price - price_high, forward - forward_high
    error = ((price_high * forward_high - high) + price_high * forward_low + price_low * forward_high) + (
        price_low * forward_low
    )
    return high, np.where((np.abs(high) < 1e290) & (np.abs(price) < 1e290), error, 0.0)


def _time_value(
    price: FloatArray, low: FloatArray, forward: FloatArray, strike: FloatArray, sign: FloatArray
) -> tuple[FloatArray, FloatArray]:
    # In the money the intrinsic value is removed together with the rounding error of F − K (Knuth's TwoSum),
    # which is all that is left of the time value of a deep option.
    intrinsic = forward - strike
    shift = intrinsic - forward
    error = (forward - (intrinsic - shift)) - (strike + shift)
    in_the_money = sign * intrinsic > 0
    time_value = np.where(in_the_money, (price - sign * intrinsic) - sign * error, price) + low
    return time_value, (np.where(sign > 0, forward, strike) - price) - low


def _classify(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    time_value: FloatArray,
    headroom: FloatArray,
) -> StatusArray:
    good = (np.abs(price) < np.inf) & (tau > 0) & valid_numpy(forward, strike, tau, np.zeros_like(tau))
    choices = [~good, headroom <= 0, time_value < 0, time_value == 0]
    codes = [IvStatus.BAD_INPUT, IvStatus.ABOVE_MAXIMUM, IvStatus.BELOW_INTRINSIC, IvStatus.NO_TIME_VALUE]
    return np.select(choices, [np.uint8(c) for c in codes], default=np.uint8(IvStatus.OK)).astype(np.uint8)


def _solve(
    forward: FloatArray, strike: FloatArray, time_value: FloatArray, headroom: FloatArray
) -> tuple[FloatArray, BoolArray]:
    a = np.abs(log_ratio_numpy(forward, strike))
    root = np.sqrt(forward) * np.sqrt(strike)
    upper = headroom < 0.5 * np.minimum(forward, strike)
    target = np.where(upper, headroom, time_value)
    s = _start(a, time_value / root, upper)
    converged = np.zeros(s.shape, dtype=np.bool_)
    active = np.arange(s.size)
    for _ in range(MAX_STEPS):
        s_new = _step(s[active], a[active], root[active], target[active], upper[active])
        done = np.abs(s_new - s[active]) <= LAST_STEP * np.minimum(s_new, LAST_STEP_S)
        s[active] = s_new
        converged[active[done]] = True
        active = active[~done]
        if active.size == 0:
            break
    return s, converged


def _start(a: FloatArray, beta: FloatArray, upper: BoolArray) -> FloatArray:
    # Upper region: just right of the inflection √(2a). Lower: Bachelier at the money, Gaussian tail outside.
    beta = np.maximum(beta, 1e-310)
    tail = a / np.sqrt(2.0 * (np.log(a + beta) - np.log(beta)))
    return np.where(upper, np.sqrt(2.0 * a) + 0.001, np.where(a < beta, 2.5 * beta, tail))


def _step(s: FloatArray, a: FloatArray, root: FloatArray, target: FloatArray, upper: BoolArray) -> FloatArray:
    h, t = a / s, 0.5 * s
    r = _price_over_slope(s, h, t, upper)
    value = np.abs(r) * root
    # The quotient overflows where the price is that much smaller than sqrt(F·K).
    log_gap = np.where(value < 1e290 * target, np.log(value / target), np.log(value) - np.log(target))
    g = log_gap - 0.5 * (h * h + t * t) - HALF_LOG_TWO_PI
    v = h * h / s - 0.25 * s
    w = v * v - 3.0 * (h / s) ** 2 - 0.25
    newton = -g * r
    a1 = g * (1.0 - r * v)
    a2 = g * g * (r * r * w - 3.0 * r * v + 2.0)
    denominator = 1.0 + a1 + a2 / 6.0
    householder = newton * (1.0 + 0.5 * a1) / denominator
    step = np.where((denominator > 0) & (np.abs(newton) < 0.5 * s), householder, newton)
    return np.clip(s + step, 0.5 * s, 2.0 * s)


def _price_over_slope(s: FloatArray, h: FloatArray, t: FloatArray, upper: BoolArray) -> FloatArray:
    """Return b/b' in the lower region, −(b_max − b)/b' in the upper one."""
    from scipy.special import erfcx

    y1, y2 = (h - t) * SQRT_HALF, (h + t) * SQRT_HALF
    quotient, _ = divided_difference(np.maximum(y1, LOWER_Y), y2)
    lower = np.where(y1 >= LOWER_Y, SQRT_HALF * s * quotient, erfcx(y1) - erfcx(y2))
    return SQRT_PI_HALF * np.where(upper, -(erfcx(-y1) + erfcx(y2)), lower)
