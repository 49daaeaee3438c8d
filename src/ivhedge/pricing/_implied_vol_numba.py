"""Compiled implied-volatility kernel: the vector path first, then queues for what it rejects.

Ordinary options take one Householder step from a near guess. The rest waits in two queues, for the wings and
for prices above half of their maximum, each worked off in blocks with two steps. What is left goes through
the scalar solver, which also tells why an option has no vol.
"""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray, StatusArray
from ivhedge.pricing._implied_vol_scalar import implied_vol_item, in_price_domain, price_in_dollars
from ivhedge.pricing._implied_vol_vector import (
    BLOCK,
    LOG_MONEYNESS,
    ROWS,
    TARGET,
    TARGET_MIN,
    invert_near,
    invert_rejected,
)
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, njit

__all__ = ["implied_vol_kernel"]


@njit(forceinline=True)
def upper_target(forward: float, strike: float, headroom: float) -> float:
    """Distance to the maximum over sqrt(F·K); NaN where the vector path is not made for it."""
    if not in_price_domain(forward, strike):
        return math.nan
    beta = headroom / math.sqrt(forward * strike)
    return beta if beta > TARGET_MIN else math.nan


@njit(nogil=True)
def work_off(
    upper: bool,
    waiting: IntArray,
    years: FloatArray,
    queue: FloatArray,
    found: FloatArray,
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    coin: bool,
    vol: FloatArray,
    status: StatusArray,
) -> None:
    """Invert the options of a queue together, and what is left one by one."""
    invert_rejected(years, upper, queue, found)
    for place in range(waiting.size):
        i = waiting[place]
        vol[i] = found[place]
        if math.isnan(found[place]):
            high, low = price_in_dollars(price[i], forward[i], coin)
            vol[i], status[i] = implied_vol_item(high, low, forward[i], strike[i], years[place], is_call[i])


@njit(f"void({', '.join([IN_FLOATS] * 4)}, {IN_BOOLS}, boolean, float64[::1], uint8[::1])", nogil=True)
def implied_vol_kernel(
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
    work, found = np.empty(ROWS * BLOCK), np.empty(BLOCK)
    # One queue for the wings, one for the upper region: items, years to expiry, what the solver needs.
    waiting, years = np.empty((2, BLOCK), np.int64), np.empty((2, BLOCK))
    queues = np.empty((2, ROWS * BLOCK))
    count = np.zeros(2, np.int64)
    status[:] = 0
    for start in range(0, price.size, BLOCK):
        part = slice(start, min(start + BLOCK, price.size))
        vols = vol[part]
        invert_near(price[part], forward[part], strike[part], tau[part], is_call[part], coin, work, vols)
        rejected = 0
        for i in range(vols.size):
            rejected += np.isnan(vols[i])
        if rejected == 0:
            continue
        for i in range(vols.size):
            if not math.isnan(vols[i]):
                continue
            item = start + i
            f, k = forward[item], strike[item]
            high, low = price_in_dollars(price[item], f, coin)
            headroom = ((f if is_call[item] else k) - high) - low
            upper = 1 if headroom < 0.5 * min(f, k) else 0
            place = count[upper]
            waiting[upper, place], years[upper, place] = item, tau[item]
            queues[upper, place + LOG_MONEYNESS] = work[i + LOG_MONEYNESS]
            queues[upper, place + TARGET] = upper_target(f, k, headroom) if upper else work[i + TARGET]
            count[upper] += 1
            if count[upper] == BLOCK:
                count[upper] = 0
                work_off(
                    upper == 1, waiting[upper], years[upper], queues[upper], found,
                    price, forward, strike, is_call, coin, vol, status,
                )  # fmt: skip
    for upper in range(2):
        size = count[upper]
        work_off(
            upper == 1, waiting[upper, :size], years[upper, :size], queues[upper], found[:size],
            price, forward, strike, is_call, coin, vol, status,
        )  # fmt: skip
