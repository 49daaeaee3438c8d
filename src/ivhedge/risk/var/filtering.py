"""Volatility filters, and scenarios made of past shocks rescaled to the volatility of today."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY
from ivhedge.risk.var.shocks import ScenarioSet, ShockHistory

__all__ = ["StandardisedReturns", "ewma_daily_vol", "filtered_scenarios", "standardised_returns"]


def ewma_daily_vol(
    ts_ns: ArrayLike, prices: ArrayLike, *, half_life_days: float | Sequence[float]
) -> FloatArray:
    """Volatility per day of the log price, known at each time, from irregular observations.

    Parameters
    ----------
    ts_ns : array_like, shape (T,)
        Strictly ascending; hourly bars, 6-hourly snapshots and gaps may follow each other.
    prices : array_like, shape (T,)
    half_life_days : float or sequence of float
        In calendar time. The variances of several are averaged: a day and some months together follow
        bursts without forgetting the level, and beat any single one on BTC and ETH since 2022.

    Returns
    -------
    FloatArray, shape (T,)
        Square root of a mean of ``r² / dt`` whose weights are the time covered times their decay; the first
        value is NaN, the next ones mean over what there is.

    Raises
    ------
    ConfigError
        If the half-life is not positive and finite.
    DataError
        If times do not ascend or a price is not positive and finite.

    References
    ----------
    RiskMetrics (1996), section 5.2, in continuous time.
    """
    times, price = np.asarray(ts_ns, dtype=np.int64), np.asarray(prices, dtype=np.float64)
    lives = np.atleast_1d(np.asarray(half_life_days, dtype=np.float64))
    if lives.ndim != 1 or not lives.size or not (np.isfinite(lives).all() and lives.min() > 0.0):
        raise ConfigError(f"expected a positive half-life in days, found {half_life_days}")
    if times.ndim != 1 or times.shape != price.shape or times.size < 2 or (np.diff(times) <= 0).any():
        raise DataError(f"expected at least two times, ascending, and as many prices, found {times.shape}")
    if not (np.isfinite(price).all() and price.min() > 0.0):
        raise DataError("expected positive prices; leave missing ones out")
    days = np.diff(times) / NS_PER_DAY
    square = np.diff(np.log(price)) ** 2 / days
    variances = [_ewma(np.exp2(-days / life), square) for life in lives.tolist()]
    return np.concatenate([[np.nan], np.sqrt(np.mean(variances, axis=0))])


def _ewma(decay: FloatArray, square: FloatArray) -> FloatArray:
    out = np.empty_like(square)
    mean = mass = 0.0
    for i, (kept, now) in enumerate(zip(decay.tolist(), square.tolist(), strict=True)):
        mean, mass = kept * mean + (1.0 - kept) * now, kept * mass + (1.0 - kept)
        out[i] = mean / mass
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedReturns:
    """Joint returns over one horizon in units of the volatility that was forecast for them.

    Parameters
    ----------
    underlyings : tuple of str
    start_ns, end_ns : IntArray, shape (T,)
    values : FloatArray, shape (T, underlyings)
        Root mean square near 1 where the filter is right.
    overlap : int
        Neighbours that share history.
    """

    underlyings: tuple[str, ...]
    start_ns: IntArray
    end_ns: IntArray
    values: FloatArray
    overlap: int

    def until(self, ts_ns: int) -> "StandardisedReturns":
        """Those that were over by a time."""
        known = self.end_ns <= ts_ns
        if not known.any():
            raise EmptyData("expected returns before the forecast, found none; begin later")
        return StandardisedReturns(
            underlyings=self.underlyings,
            start_ns=self.start_ns[known],
            end_ns=self.end_ns[known],
            values=self.values[known],
            overlap=self.overlap,
        )


def standardised_returns(
    underlyings: tuple[str, ...],
    ts_ns: ArrayLike,
    prices: ArrayLike,
    vols: ArrayLike,
    *,
    horizon_ns: int = NS_PER_DAY,
    spacing_ns: int = NS_PER_DAY // 4,
    warm_up_ns: int = 60 * NS_PER_DAY,
) -> StandardisedReturns:
    """Divide the log returns over each horizon by the volatility known at its start.

    Parameters
    ----------
    underlyings : tuple of str
    ts_ns : array_like, shape (T,)
        Common times, ascending.
    prices, vols : array_like, shape (T, underlyings)
        Spot and volatility per day, see `ewma_daily_vol`.
    horizon_ns, spacing_ns : int
        Length of a return, and time between the starts of two: a quarter of the horizon by default, so that
        the hour of the day at which a day ends does not matter.
    warm_up_ns : int
        Left out at the beginning, until the filter has settled.

    Raises
    ------
    DataError
        If shapes do not fit.
    EmptyData
        If no return is left.

    Notes
    -----
    A return ends at the observation nearest to its end, at most a tenth of the horizon from it, and is scaled
    to the horizon by the square root of time.
    """
    times, price, vol = np.asarray(ts_ns, np.int64), np.asarray(prices, float), np.asarray(vols, float)
    if price.shape != (times.size, len(underlyings)) or vol.shape != price.shape:
        raise DataError(
            f"expected prices and vols of shape {(times.size, len(underlyings))}, found {price.shape}"
        )
    goals = np.arange(times[0] + warm_up_ns, times[-1] - horizon_ns + 1, spacing_ns)
    begin, end = _nearest(times, goals), _nearest(times, goals + horizon_ns)
    span = times[end] - times[begin]
    near = (np.abs(span - horizon_ns) <= horizon_ns // 10) & (np.abs(times[begin] - goals) <= spacing_ns // 2)
    begin, end, span = begin[near], end[near], span[near]
    scale = np.sqrt(NS_PER_DAY / span)[:, None]
    values = np.log(price[end] / price[begin]) * scale / vol[begin]
    good = np.isfinite(values).all(axis=1)
    if not good.any():
        raise EmptyData("expected at least one return over the horizon after the warm-up, found none")
    return StandardisedReturns(
        underlyings=underlyings,
        start_ns=times[begin][good],
        end_ns=times[end][good],
        values=values[good],
        overlap=max(1, -(-horizon_ns // spacing_ns)),
    )


def _nearest(times: IntArray, goals: IntArray) -> IntArray:
    later = np.clip(np.searchsorted(times, goals), 1, times.size - 1)
    return np.where(goals - times[later - 1] <= times[later] - goals, later - 1, later)


def filtered_scenarios(
    history: ShockHistory,
    *,
    horizon_ns: int = NS_PER_DAY,
    half_life_days: float = 20.0,
    bounds: tuple[float, float] = (0.25, 4.0),
    centre: bool = True,
    age_half_life_days: float | None = None,
) -> ScenarioSet:
    """Rescale past joint shocks to today's volatility (filtered historical simulation).

    Parameters
    ----------
    history : ShockHistory
        Known at the forecast, shocks of about the horizon, in order of time; see `ShockHistory.until`.
    horizon_ns : int
        Time that passes in the scenarios.
    half_life_days : float
        Of the exponentially weighted volatility of each number.
    bounds : tuple of float
        Least and largest ratio of today's volatility to that of then.
    centre : bool
        Take the mean off each number: a drift of 150 days is chance.
    age_half_life_days : float, optional
        Of the probability of a shock with its age (Boudoukh, Richardson, Whitelaw 1998); all alike without.

    Raises
    ------
    ConfigError
        If the half-life or the bounds are out of range.
    EmptyData
        If there are fewer than ten shocks.

    Notes
    -----
    Each shock is divided by the volatility known at its start and multiplied by that of today; a row stays
    together, hence the dependence between spot, smiles and coins is the one that was. Volatility is filtered
    from shocks that ended before: overlapping ones do not leak into their own scale.

    References
    ----------
    Hull, White (1998), J. of Risk 1. Barone-Adesi, Giannopoulos, Vosper (1999), J. of Futures Markets 19.
    """
    if not half_life_days > 0.0 or not 0.0 < bounds[0] <= 1.0 <= bounds[1]:
        raise ConfigError(
            f"expected half_life_days > 0 and bounds around 1, found {half_life_days}, {bounds}"
        )
    if age_half_life_days is not None and not age_half_life_days > 0.0:
        raise ConfigError(f"expected age_half_life_days above 0 or None, found {age_half_life_days}")
    n = history.values.shape[0]
    if n < 10:
        raise EmptyData(f"expected at least ten shocks for filtered scenarios, found {n}; record more")
    values = history.values - history.values.mean(axis=0) if centre else history.values
    then, now = rolling_rms(history, values, half_life_days)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(then > 0.0, now / then, 1.0)
    return ScenarioSet(
        layout=history.layout,
        horizon_ns=horizon_ns,
        values=values * np.clip(ratio, *bounds),
        weights=None if age_half_life_days is None else _by_age(history, age_half_life_days),
        overlap=overlap_of(history),
    )


def _by_age(history: ShockHistory, half_life_days: float) -> FloatArray:
    mass = np.exp2((history.end_ns - history.end_ns.max()) / (NS_PER_DAY * half_life_days))
    return np.asarray(mass / mass.sum())


def overlap_of(history: ShockHistory) -> int:
    """Shocks that begin within the length of one."""
    if history.start_ns.size < 2:
        return 1
    step = np.median(np.diff(history.start_ns))
    return max(1, round(float(np.median(history.end_ns - history.start_ns) / step)))


def rolling_rms(
    history: ShockHistory, values: FloatArray, half_life_days: float
) -> tuple[FloatArray, FloatArray]:
    """Weighted root mean square of each column as known at each start (n, D), and at the last end (D,).

    The plain one of the whole sample enters with a twentieth of the mass, which steadies the beginning.
    """
    n = values.shape[0]
    square = values**2
    anchor = square.mean(axis=0)
    # Weighted sums in closed recursion over ends, read at each start.
    ends = history.end_ns
    gaps = np.diff(ends, prepend=ends[0]) / NS_PER_DAY
    sums, mass = np.zeros((n + 1, values.shape[1])), np.zeros(n + 1)
    for i in range(n):
        kept = 2.0 ** (-gaps[i] / half_life_days)
        sums[i + 1], mass[i + 1] = kept * sums[i] + square[i], kept * mass[i] + 1.0
    known = np.searchsorted(ends, history.start_ns, side="right")
    weight = 0.05 * max(float(mass[-1]), 1.0)
    smooth = (sums + weight * anchor) / (mass + weight)[:, None]
    return np.sqrt(smooth[known]), np.sqrt(smooth[-1])
