"""Replay quote events under a fixed band, fast: prices, not deltas, are compared between trades.

A hedge h stays inside ``target ± half_width`` as long as ``N(d1)`` lies between two levels, which is d1
between x_low and x_high, which is ln(S/K) between ``x·s − s²/2`` at the total vol s left. Over a short time
the tightest of these is known in closed form, so two prices hold for many events and one comparison per event
decides. At an event outside them the exact delta is taken: the result is that of a delta at every event.
"""

from dataclasses import dataclass
from math import erfc, exp, inf, log, pi, sqrt

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.hedge.policies.protocol import positive
from ivhedge.hedge.policies.simple import FixedBand
from ivhedge.hedge.policies.state import moment_of_option
from ivhedge.pricing.jit import njit

__all__ = ["EventResult", "replay_events", "replay_events_stepwise"]

_WINDOW = 0.002  # share of the time left for which trigger prices are computed
_ROOT_HALF = 0.7071067811865476


@njit()
def _cdf(x: float) -> float:
    return 0.5 * erfc(-x * _ROOT_HALF)


@njit()
def _quantile(p: float, guess: float) -> float:
    # Newton inside a bracket; a level outside (0, 1) is never reached.
    if p <= 0.0:
        return -inf
    if p >= 1.0:
        return inf
    low, high, x = -40.0, 40.0, min(max(guess, -8.0), 8.0)
    for _ in range(100):
        error = _cdf(x) - p
        if error > 0.0:
            high = x
        else:
            low = x
        density = exp(-0.5 * x * x) / sqrt(2.0 * pi)
        new = x - error / density if density > 0.0 else 0.5 * (low + high)
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - x) < 1e-13 * (1.0 + abs(x)):
            return new
        x = new
    return x


@njit()
def _replay(
    times: FloatArray,
    prices: FloatArray,
    strike: float,
    vol: float,
    expiry: float,
    position: float,
    half_width: float,
    to_target: bool,
    cost: float,
    fee: float,
    out: FloatArray,
) -> None:
    hedge = cash = paid = fees = turnover = 0.0
    trades = looks = 0
    low = high = 0.0
    until = -inf
    for i in range(times.size):
        price = prices[i]
        if low < price < high and times[i] <= until:
            continue
        looks += 1
        left = vol * sqrt(max(expiry - times[i], 0.0))
        k = log(price / strike)
        d1 = k / left + 0.5 * left if left > 0.0 else (inf if k > 0.0 else (-inf if k < 0.0 else 0.0))
        delta = _cdf(d1)
        target = -position * delta
        new = hedge
        if hedge < target - half_width:
            new = target if to_target else target - half_width
        elif hedge > target + half_width:
            new = target if to_target else target + half_width
        if new != hedge:
            size = abs(new - hedge)
            cash -= (new - hedge) * price
            paid += cost * size * price
            fees += fee
            turnover += size
            trades += 1
            hedge = new
        # Deltas at which this hedge leaves its band, a hair inside.
        middle = -position * hedge
        x_low = _quantile(middle - half_width + 1e-12, d1)
        x_high = _quantile(middle + half_width - 1e-12, d1)
        until = times[i] + _WINDOW * max(expiry - times[i], 0.0)
        later = vol * sqrt(max(expiry - until, 0.0))
        # x·s − s²/2 is concave in s: its largest value between the times may lie inside, its smallest not.
        if x_low == -inf:
            low = 0.0
        elif later < x_low < left:
            low = strike * exp(0.5 * x_low * x_low)
        else:
            low = strike * exp(max(x_low * left - 0.5 * left * left, x_low * later - 0.5 * later * later))
        if x_high == inf:
            high = inf
        else:
            high = strike * exp(min(x_high * left - 0.5 * left * left, x_high * later - 0.5 * later * later))
    out[0], out[1], out[2], out[3] = cash, hedge, paid, fees
    out[4], out[5], out[6] = turnover, float(trades), float(looks)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventResult:
    """What a replay of events left.

    Parameters
    ----------
    cash : float
        Paid and received for the hedge, USD, costs not counted.
    hedge : float
        At the end, coins.
    cost, fees : float
        USD.
    turnover : float
        Coins.
    trades, looks : int
        `looks`: events at which the delta was computed.
    """

    cash: float
    hedge: float
    cost: float
    fees: float
    turnover: float
    trades: int
    looks: int


def replay_events(
    policy: FixedBand,
    times: ArrayLike,
    prices: ArrayLike,
    *,
    strike: float,
    vol: float,
    expiry: float,
    position: int = -1,
    cost: float = 0.0,
    fee: float = 0.0,
) -> EventResult:
    """Hedge a call through a stream of quotes, the hedge at zero before the first.

    Parameters
    ----------
    policy : FixedBand
    times : array_like, shape (events,)
        Years, not decreasing.
    prices : array_like, shape (events,)
        Mid of the hedge instrument, USD, > 0.
    strike, vol, expiry : float
        USD, decimal, years on the scale of `times`.
    position : int
    cost : float
        One way, per unit of value traded.
    fee : float
        USD per trade.

    Raises
    ------
    DataError
        If times decrease or end after the expiry, or a price is not positive and finite.
    """
    found_times, found_prices = _checked(times, prices, strike, vol, expiry, position, cost, fee)
    out = np.zeros(7)
    _replay(
        found_times,
        found_prices,
        strike,
        vol,
        expiry,
        float(position),
        policy.half_width,
        policy.to_target,
        cost,
        fee,
        out,
    )
    return EventResult(
        cash=float(out[0]),
        hedge=float(out[1]),
        cost=float(out[2]),
        fees=float(out[3]),
        turnover=float(out[4]),
        trades=int(out[5]),
        looks=int(out[6]),
    )


def replay_events_stepwise(
    policy: FixedBand,
    times: ArrayLike,
    prices: ArrayLike,
    *,
    strike: float,
    vol: float,
    expiry: float,
    position: int = -1,
    cost: float = 0.0,
    fee: float = 0.0,
) -> EventResult:
    """Take the delta at every event: the twin of `replay_events` in plain numpy."""
    found_times, found_prices = _checked(times, prices, strike, vol, expiry, position, cost, fee)
    moment = moment_of_option(
        spot=found_prices, strike=strike, tau=expiry - found_times, vol=vol, position=position
    )
    zone = policy.zone(moment)
    hedge = cash = paid = turnover = 0.0
    trades = 0
    rows = zip(
        found_prices.tolist(),
        zone.lower.tolist(),
        zone.upper.tolist(),
        zone.to_lower.tolist(),
        zone.to_upper.tolist(),
        strict=True,
    )
    for price, lower, upper, to_lower, to_upper in rows:
        new = to_lower if hedge < lower else to_upper if hedge > upper else hedge
        if new != hedge:
            cash -= (new - hedge) * price
            paid += cost * abs(new - hedge) * price
            turnover += abs(new - hedge)
            trades += 1
            hedge = new
    return EventResult(
        cash=cash,
        hedge=hedge,
        cost=paid,
        fees=fee * trades,
        turnover=turnover,
        trades=trades,
        looks=found_times.size,
    )


def _checked(
    times: ArrayLike,
    prices: ArrayLike,
    strike: float,
    vol: float,
    expiry: float,
    position: int,
    cost: float,
    fee: float,
) -> tuple[FloatArray, FloatArray]:
    for name, value in (("strike", strike), ("vol", vol)):
        positive(name, value)
    for name, value in (("cost", cost), ("fee", fee)):
        positive(name, value, zero=True)
    found_times = np.ascontiguousarray(times, dtype=np.float64)
    found_prices = np.ascontiguousarray(prices, dtype=np.float64)
    if found_times.ndim != 1 or found_times.shape != found_prices.shape or found_times.size == 0:
        raise DataError(
            f"expected times and prices of one shape (events,), found {found_times.shape} and "
            f"{found_prices.shape}"
        )
    ordered = np.all(np.diff(found_times) >= 0.0) and np.isfinite(found_times[0])
    if not ordered or not found_times[-1] <= expiry < np.inf:
        raise DataError("expected times that do not decrease and end by the expiry; sort the events")
    if not np.all(np.isfinite(found_prices) & (found_prices > 0.0)):
        raise DataError("expected prices finite and above 0; drop events without a quote")
    if position not in (-1, 1):
        raise DataError(f"expected position +1 or -1, found {position}")
    return found_times, found_prices
