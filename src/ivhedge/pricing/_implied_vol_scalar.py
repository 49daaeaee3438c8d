"""Compiled implied volatility of one option: statuses, and the solver for what the vector path rejects."""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, StatusArray
from ivhedge.pricing._elementary import erfcx_pair, log_ratio
from ivhedge.pricing._implied_vol_numpy import (
    HALF_LOG_TWO_PI,
    LAST_STEP,
    LAST_STEP_S,
    MAX_STEPS,
    SPLITTER,
    SQRT_PI_HALF,
    VOL_MIN,
)
from ivhedge.pricing._numpy_kernels import LOWER_Y, PRICE_MAX, PRICE_MIN, SQRT_HALF
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, INNER, njit
from ivhedge.pricing.status import IvStatus
from ivhedge.pricing.straight import absolute, exact, select, straight

__all__ = ["in_price_domain", "price_in_dollars", "solve_one_by_one", "value_above_intrinsic"]

OK = int(IvStatus.OK)
BELOW_INTRINSIC = int(IvStatus.BELOW_INTRINSIC)
ABOVE_MAXIMUM = int(IvStatus.ABOVE_MAXIMUM)
NO_TIME_VALUE = int(IvStatus.NO_TIME_VALUE)
BAD_INPUT = int(IvStatus.BAD_INPUT)
NOT_CONVERGED = int(IvStatus.NOT_CONVERGED)


@exact
def price_in_dollars(price: float, forward: float, coin: bool) -> tuple[float, float]:
    """Price in dollars and its rounding error: of a price in coin the exact product with the forward."""
    # Dekker's product, which needs no fused operations of the machine.
    factor = select(coin, forward, 1.0)
    high = price * factor
    split = SPLITTER * price
    price_high = split - (split - price)
    price_low = price - price_high
    split = SPLITTER * factor
    factor_high = split - (split - factor)
    factor_low = factor - factor_high
    error = ((price_high * factor_high - high) + price_high * factor_low + price_low * factor_high) + (
        price_low * factor_low
    )
    # Beyond that the splitting overflows; such a price is above every maximum anyway.
    return high, select(coin & (absolute(high) < 1e290) & (absolute(price) < 1e290), error, 0.0)


@exact
def value_above_intrinsic(price: float, low: float, forward: float, strike: float, is_call: bool) -> float:
    """Price less intrinsic value, together with the rounding error of F − K (Knuth's TwoSum)."""
    intrinsic = forward - strike
    shift = intrinsic - forward
    error = (forward - (intrinsic - shift)) - (strike + shift)
    sign = select(is_call, 1.0, -1.0)
    value = sign * intrinsic
    return select(value > 0.0, (price - value) - sign * error, price) + low


@straight
def in_price_domain(forward: float, strike: float) -> bool:
    """Tell where forward and strike are numbers the formulas are made for."""
    forward_ok = (forward >= PRICE_MIN) & (forward <= PRICE_MAX)
    return forward_ok & (strike >= PRICE_MIN) & (strike <= PRICE_MAX)


@njit(**INNER)
def price_over_slope(s: float, h: float, t: float, upper: bool) -> float:
    """Return b/b' in the lower region, −(b_max − b)/b' in the upper one.

    erfcx(−y) = 2·exp(y²) − erfcx(y) takes every argument into the polynomial's range.
    """
    y1, y2 = (h - t) * SQRT_HALF, (h + t) * SQRT_HALF
    reflected = y1 < LOWER_Y or (upper and y1 <= -LOWER_Y)
    quotient, total = erfcx_pair(-y1 if reflected else y1, y2)
    if upper:
        rest = total if reflected else 2.0 * math.exp(y1 * y1) - SQRT_HALF * s * quotient
        return -SQRT_PI_HALF * rest
    difference = 2.0 * math.exp(y1 * y1) - total if reflected else SQRT_HALF * s * quotient
    return SQRT_PI_HALF * difference


@njit(**INNER)
def next_total_vol(s: float, a: float, root: float, target: float, log_target: float, upper: bool) -> float:
    """Make one Householder step of third order on ln b, kept inside [s/2, 2s]."""
    h, t = a / s, 0.5 * s
    r = price_over_slope(s, h, t, upper)
    value = abs(r) * root
    # The quotient overflows where the price is that much smaller than sqrt(F·K).
    log_gap = math.log(value / target) if value < 1e290 * target else math.log(value) - log_target
    g = log_gap - 0.5 * (h * h + t * t) - HALF_LOG_TWO_PI
    v = h * h / s - 0.25 * s
    w = v * v - 3.0 * (h / s) ** 2 - 0.25
    step = -g * r
    a1 = g * (1.0 - r * v)
    a2 = g * g * (r * r * w - 3.0 * r * v + 2.0)
    denominator = 1.0 + a1 + a2 / 6.0
    if denominator > 0.0 and abs(step) < 0.5 * s:
        step *= (1.0 + 0.5 * a1) / denominator
    return min(max(s + step, 0.5 * s), 2.0 * s)


@njit(**INNER)
def solve_total_vol(a: float, root: float, time_value: float, headroom: float, cap: float) -> float:
    """Total vol of an option with time value and headroom above 0; NaN without convergence."""
    upper = headroom < 0.5 * cap
    target = headroom if upper else time_value
    beta = max(time_value / root, 1e-310)
    if upper:
        s = math.sqrt(2.0 * a) + 0.001
    elif a < beta:
        s = 2.5 * beta
    else:
        s = a / math.sqrt(2.0 * (math.log(a + beta) - math.log(beta)))
    log_target = math.log(target)
    for _ in range(MAX_STEPS):
        previous = s
        s = next_total_vol(s, a, root, target, log_target, upper)
        if abs(s - previous) <= LAST_STEP * min(s, LAST_STEP_S):
            return s
    return math.nan


@njit(**INNER)
def implied_vol_item(
    price: float, low: float, forward: float, strike: float, tau: float, is_call: bool
) -> tuple[float, int]:
    """Implied vol and status of one option; the price is `price` + `low` dollars."""
    if not (in_price_domain(forward, strike) and abs(price) < np.inf and 0.0 < tau < np.inf):
        return math.nan, BAD_INPUT
    headroom = ((forward if is_call else strike) - price) - low
    if headroom <= 0.0:
        return math.nan, ABOVE_MAXIMUM
    time_value = value_above_intrinsic(price, low, forward, strike, is_call)
    if time_value <= 0.0:
        return math.nan, (BELOW_INTRINSIC if time_value < 0.0 else NO_TIME_VALUE)
    root = math.sqrt(forward) * math.sqrt(strike)
    s = solve_total_vol(abs(log_ratio(forward, strike)), root, time_value, headroom, min(forward, strike))
    vol = s / math.sqrt(tau)
    if s >= VOL_MIN and VOL_MIN <= vol < np.inf:
        return vol, OK
    return math.nan, NOT_CONVERGED


@njit(f"void({', '.join([IN_FLOATS] * 4)}, {IN_BOOLS}, boolean, float64[::1], uint8[::1])", nogil=True)
def solve_one_by_one(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    is_call: BoolArray,
    coin: bool,
    vol: FloatArray,
    status: StatusArray,
) -> None:
    """Fill vols and statuses; prices in dollars, or in coin."""
    for i in range(vol.size):
        high, low = price_in_dollars(price[i], forward[i], coin)
        vol[i], status[i] = implied_vol_item(high, low, forward[i], strike[i], tau[i], is_call[i])
