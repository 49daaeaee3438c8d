"""Paths to run policies on: simulated ones, and windows of a recorded price."""

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.hedge.policies.paths import HedgePaths
from ivhedge.hedge.policies.protocol import positive

__all__ = ["gbm_paths", "realised_vol_mark", "recorded_calls"]

_HOURS_PER_YEAR = 8_760.0


def gbm_paths(
    rng: np.random.Generator,
    *,
    n_paths: int,
    n_steps: int,
    tau: float,
    vol: float,
    spot: float = 100.0,
    strike: float | None = None,
    rate: float = 0.0,
    drift: float = 0.0,
    position: int = -1,
) -> HedgePaths:
    """Draw geometric Brownian motion, the hedger knowing its vol.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_paths, n_steps : int
    tau : float
        Life of the option, years.
    vol, drift, rate : float
        Per year, decimal.
    spot, strike : float
        USD; at the money without a strike.
    position : int
    """
    if n_paths < 1 or n_steps < 1:
        raise ConfigError(f"expected at least one path and one step, found {n_paths} and {n_steps}")
    positive("tau", tau)
    positive("vol", vol)
    dt = tau / n_steps
    steps = (drift - 0.5 * vol * vol) * dt + vol * np.sqrt(dt) * rng.standard_normal((n_paths, n_steps))
    walk = np.concatenate([np.zeros((n_paths, 1)), np.cumsum(steps, axis=1)], axis=1)
    return HedgePaths(
        spot=spot * np.exp(walk),
        strike=np.full(n_paths, spot if strike is None else strike),
        vol=np.full(n_paths, vol),
        dt=dt,
        position=position,
        rate=rate,
    )


def realised_vol_mark(close: ArrayLike, *, days: tuple[int, ...] = (7, 30)) -> FloatArray:
    """Root of the mean of realised variances over trailing windows: a crude mark that knows no future.

    Parameters
    ----------
    close : array_like, shape (hours,)
        Hourly, USD.
    days : tuple of int
        Lengths of the windows.

    Returns
    -------
    FloatArray, shape (hours,)
        Per year, decimal; NaN until the longest window is full.

    Raises
    ------
    DataError
        If a price is not positive and finite.
    """
    prices = np.asarray(close, dtype=np.float64)
    if prices.ndim != 1 or not np.all(np.isfinite(prices) & (prices > 0.0)):
        raise DataError("expected one row of hourly prices, finite and above 0; fill or cut gaps first")
    total = np.concatenate([[0.0], np.cumsum(np.diff(np.log(prices)) ** 2)])
    variance = np.full(prices.size, 0.0)
    for length in days:
        hours = 24 * length
        own = np.full(prices.size, np.nan)
        own[hours:] = (total[hours:] - total[:-hours]) * _HOURS_PER_YEAR / hours
        variance += own / len(days)
    return np.asarray(np.sqrt(variance))


def recorded_calls(
    ts_ns: ArrayLike,
    close: ArrayLike,
    *,
    every_hours: int,
    life_hours: int = 168,
    first_ns: int | None = None,
    vol: ArrayLike | None = None,
) -> tuple[HedgePaths, IntArray]:
    """Cut a recorded hourly price into the lives of at-the-money calls, sold one after the other.

    Parameters
    ----------
    ts_ns : integer array_like, shape (hours,)
        Time of each price, nanoseconds UTC, hourly without gaps.
    close : array_like, shape (hours,)
        USD.
    every_hours : int
        Hours from one sale to the next; `life_hours` gives windows that do not overlap.
    life_hours : int
        7 days by default.
    first_ns : int, optional
        The first sale is at or after it and a whole number of `every_hours` away; by default on the first
        Friday 08:00 UTC with a vol mark.
    vol : array_like, shape (hours,), optional
        Vol that prices the sale and holds for its life; `realised_vol_mark` without it.

    Returns
    -------
    HedgePaths
        Prices scaled to 100 at the sale, so P&L is in per cent of the notional.
    IntArray, shape (windows,)
        Times of the sales, nanoseconds UTC.

    Raises
    ------
    DataError
        If times are not hourly.
    EmptyData
        If no window fits.
    """
    times, prices = np.asarray(ts_ns, dtype=np.int64), np.asarray(close, dtype=np.float64)
    if times.ndim != 1 or times.shape != prices.shape or np.any(np.diff(times) != NS_PER_HOUR):
        raise DataError("expected as many hourly times without gaps as prices; fill or cut gaps first")
    if every_hours < 1 or life_hours < 1:
        raise ConfigError(f"expected every_hours and life_hours >= 1, found {every_hours} and {life_hours}")
    mark = realised_vol_mark(prices) if vol is None else np.asarray(vol, dtype=np.float64)
    marked = np.flatnonzero(np.isfinite(mark) & (mark > 0.0))
    if marked.size == 0:
        raise EmptyData("expected at least one hour with a vol mark, found none; the default needs 30 days")
    anchor = _FRIDAY_8_NS if first_ns is None else first_ns
    late = times[marked[0]] if first_ns is None else max(int(times[marked[0]]), first_ns)
    period = every_hours * NS_PER_HOUR
    first = anchor + -(-(int(late) - anchor) // period) * period
    begin = (first - int(times[0])) // NS_PER_HOUR
    rows = np.arange(begin, times.size - life_hours, every_hours)
    rows = rows[np.isfinite(mark[rows])]
    if rows.size == 0:
        raise EmptyData(f"expected at least one life of {life_hours} h after the first mark, found none")
    spot = 100.0 * prices[rows[:, None] + np.arange(life_hours + 1)] / prices[rows, None]
    paths = HedgePaths(spot=spot, strike=np.full(rows.size, 100.0), vol=mark[rows], dt=1.0 / _HOURS_PER_YEAR)
    return paths, times[rows]


_FRIDAY_8_NS = NS_PER_DAY + 8 * NS_PER_HOUR
"""1970-01-02 08:00 UTC, a Friday: expiries are weekly from there."""
