"""The loop of the array replay, compiled, and its numpy twin.

Between two looks nothing is priced: an event is only compared with the two levels at which the next look is
due. Prices are whole ticks, positions whole lots and money whole units of half a tick on a lot, so sums are
exact.
"""

import math

import numpy as np
from scipy.special import ndtr

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR
from ivhedge.pricing.jit import njit

__all__ = ["FEE_SCALE", "Totals", "replay_kernel", "replay_twin"]

FEE_SCALE = 10_000_000
"""Fees are whole parts of this of the notional."""

Totals = tuple[int, int, int, int, int, int, int]
"""Trades, looks, cash, fees, slippage, payoffs (money in units) and the final position in lots."""

_SQRT_HALF = 0.7071067811865476
_CHUNK = 4096


@njit()
def delta_of(forward: float, strike: float, tau: float, vol: float, is_call: bool, adjusted: bool) -> float:
    if tau <= 0.0:
        return 0.0
    total = vol * math.sqrt(tau)
    d1 = math.log(forward / strike) / total + 0.5 * total
    upper = 0.5 * math.erfc(-d1 * _SQRT_HALF)
    if not adjusted:
        return upper if is_call else upper - 1.0
    # dV/dS less V/F: what is left of N(d1) is (K/F) N(d2).
    share = strike / forward
    lower = 0.5 * math.erfc(-(d1 - total) * _SQRT_HALF)
    return share * lower if is_call else share * (lower - 1.0)


@njit()
def first_at_or_after(times: IntArray, when: int, start: int) -> int:
    low, high = start, times.size
    while low < high:
        middle = (low + high) // 2
        if times[middle] < when:
            low = middle + 1
        else:
            high = middle
    return low


@njit()
def replay_kernel(
    ts: IntArray,
    bid: IntArray,
    ask: IntArray,
    strike: IntArray,
    expiry: IntArray,
    is_call: IntArray,
    held: IntArray,
    vol_ts: IntArray,
    vols: FloatArray,
    tick: float,
    lot: float,
    interval_ns: int,
    move: float,
    band: float,
    to_edge: bool,
    adjusted: bool,
    fee: int,
    trade_at: IntArray,
    trade_lots: IntArray,
) -> Totals:
    n, legs = ts.size, strike.size
    last = 9223372036854775807
    cash = fees = slippage = payoffs = position = np.int64(0)
    trades = looks = 0
    row = 0
    settled = np.zeros(legs, dtype=np.bool_)
    place = 0
    while place < n:
        looks += 1
        now = ts[place]
        twice = np.int64(bid[place]) + np.int64(ask[place])
        while row + 1 < vol_ts.size and vol_ts[row + 1] <= now:
            row += 1
        due = last if interval_ns <= 0 else now + interval_ns
        if row + 1 < vol_ts.size:
            due = min(due, vol_ts[row + 1])
        forward = 0.5 * twice * tick
        net = position * lot
        for leg in range(legs):
            if settled[leg]:
                continue
            if expiry[leg] <= now:
                over = twice - 2 * strike[leg]
                payoffs += held[leg] * max(over if is_call[leg] else -over, np.int64(0))
                settled[leg] = True
                continue
            due = min(due, expiry[leg])
            tau = (expiry[leg] - now) / NS_PER_YEAR
            net += (
                held[leg]
                * lot
                * delta_of(forward, strike[leg] * tick, tau, vols[row, leg], is_call[leg] != 0, adjusted)
            )
        if abs(net) > band:
            excess = net - math.copysign(band, net) if to_edge else net
            size = np.int64(-round(excess / lot))
            if size != 0:
                price = 2 * np.int64(ask[place] if size > 0 else bid[place])
                charge = (abs(size) * price * fee + FEE_SCALE - 1) // FEE_SCALE
                position += size
                cash -= size * price + charge
                fees += charge
                slippage += abs(size) * abs(price - twice)
                trade_at[trades] = place
                trade_lots[trades] = size
                trades += 1
        low, high = twice * (1.0 - move), twice * (1.0 + move)
        end = n if due == last else first_at_or_after(ts, due, place + 1)
        place += 1
        while place < end:
            seen = np.int64(bid[place]) + np.int64(ask[place])
            if seen <= low or seen >= high:
                break
            place += 1
    return trades, looks, int(cash), int(fees), int(slippage), int(payoffs), int(position)


def replay_twin(
    ts: IntArray,
    bid: IntArray,
    ask: IntArray,
    strike: IntArray,
    expiry: IntArray,
    is_call: IntArray,
    held: IntArray,
    vol_ts: IntArray,
    vols: FloatArray,
    tick: float,
    lot: float,
    interval_ns: int,
    move: float,
    band: float,
    to_edge: bool,
    adjusted: bool,
    fee: int,
    trade_at: IntArray,
    trade_lots: IntArray,
) -> Totals:
    twice_all = bid.astype(np.int64) + ask
    alive = np.ones(strike.size, dtype=bool)
    cash = fees = slippage = payoffs = position = trades = looks = 0
    place = 0
    while place < ts.size:
        looks += 1
        now, twice = int(ts[place]), int(twice_all[place])
        row = int(np.searchsorted(vol_ts, now, side="right")) - 1
        ends = alive & (expiry <= now)
        over = (twice - 2 * strike[ends]) * np.where(is_call[ends] != 0, 1, -1)
        payoffs += int(np.sum(held[ends] * np.maximum(over, 0)))
        alive &= ~ends
        forward, level = 0.5 * twice * tick, strike[alive] * tick
        total = vols[row, alive] * np.sqrt((expiry[alive] - now) / NS_PER_YEAR)
        d1 = np.log(forward / level) / total + 0.5 * total
        weight = level / forward * ndtr(d1 - total) if adjusted else ndtr(d1)
        shift = np.where(is_call[alive] != 0, 0.0, level / forward if adjusted else 1.0)
        net = position * lot + float(np.sum(held[alive] * lot * (weight - shift)))
        if abs(net) > band:
            size = -round((net - math.copysign(band, net) if to_edge else net) / lot)
            if size != 0:
                price = 2 * int(ask[place] if size > 0 else bid[place])
                charge = -(-abs(size) * price * fee // FEE_SCALE)
                position += size
                cash -= size * price + charge
                fees += charge
                slippage += abs(size) * abs(price - twice)
                trade_at[trades], trade_lots[trades] = place, size
                trades += 1
        times = [now + interval_ns] if interval_ns > 0 else []
        times += [int(vol_ts[row + 1])] if row + 1 < vol_ts.size else []
        times += expiry[alive].tolist()
        end = int(np.searchsorted(ts, min(times))) if times else ts.size
        place = _next_look(twice_all, place + 1, max(end, place + 1), twice * (1 - move), twice * (1 + move))
    return trades, looks, cash, fees, slippage, payoffs, position


def _next_look(twice: IntArray, start: int, end: int, low: float, high: float) -> int:
    while start < end:
        part = twice[start : min(start + _CHUNK, end)]
        outside = (part <= low) | (part >= high)
        if outside.any():
            return start + int(np.argmax(outside))
        start += part.size
    return end
