"""Clock weights from hourly prices: realised variance by weekday and hour."""

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, EmptyData, GapError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, format_ns
from ivhedge.surface._clock_estimate import ClockEstimate, estimate_of, week_blocks

__all__ = ["estimate_realised_clock"]

CELLS = 168
_MONDAY = 3 * NS_PER_DAY
_LEAST_WEEKS = 8
_CLOSE_SQUARED = 2.0 * np.log(2.0) - 1.0


def estimate_realised_clock(
    ts_ns: ArrayLike,
    open_: ArrayLike,
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    *,
    rng: np.random.Generator,
    jump_quantile: float = 0.995,
    n_draws: int = 400,
    block_weeks: int = 4,
    name: str = "realised",
) -> ClockEstimate:
    """Estimate weekday and hour weights from hourly bars.

    Parameters
    ----------
    ts_ns : integer array_like, shape (n,)
        Begin of each bar, full hours UTC, ascending.
    open_, high, low, close : array_like, shape (n,)
        Prices, USD.
    rng : numpy.random.Generator
        For the block bootstrap.
    jump_quantile : float
        Winsorising: hours above this quantile of the ratio to their cell's mean are cut down to it.
    n_draws, block_weeks : int
        Bootstrap draws, and weeks per block.
    name : str

    Returns
    -------
    ClockEstimate

    Raises
    ------
    DataError
        If times are not ascending full hours, or prices are not positive, finite and ordered.
    GapError
        If every week misses hours; weeks with a missing hour are left out.
    EmptyData
        If fewer than eight whole weeks remain.

    Notes
    -----
    Variance of an hour by Garman and Klass (1980). Each week is divided by its own mean, so that calm and
    wild years count alike. Cells are shrunk towards weekday effect times hour effect, by as much as their
    differences from that product look like noise (empirical Bayes).
    """
    ts, variance = _hourly_variance(ts_ns, open_, high, low, close)
    if not 0.9 <= jump_quantile <= 1.0:
        raise ConfigError(f"expected a jump_quantile from 0.9 to 1, found {jump_quantile}")
    weeks = _whole_weeks(ts, variance)
    ratio = weeks / weeks.mean(axis=1, keepdims=True)
    cell = ratio.mean(axis=0)
    cell = np.where(cell > 0.0, cell, 1.0)
    cap = float(np.quantile(ratio / cell, jump_quantile))
    ratio = np.minimum(ratio, cap * cell)
    noise = ratio.var(axis=0, ddof=1) / ratio.shape[0]
    draws = ratio[week_blocks(ratio.shape[0], block_weeks, n_draws, rng)].mean(axis=1)
    return estimate_of(
        shrunk_cells(ratio.mean(axis=0), noise),
        shrunk_cells(draws, noise),
        n_weeks=ratio.shape[0],
        name=name,
    )


def shrunk_cells(means: FloatArray, noise: FloatArray) -> FloatArray:
    """Cells (…, 168) shrunk to weekday times hour, mean one, by the sampling variance `noise` (168,)."""
    table = means.reshape(*means.shape[:-1], 7, 24)
    table = table / table.mean(axis=(-2, -1), keepdims=True)
    product = table.mean(axis=-1, keepdims=True) * table.mean(axis=-2, keepdims=True)
    product = np.maximum(product, 1e-6)
    excess = table / product - 1.0
    error = noise.reshape(7, 24) / (product * product)
    between = np.maximum((excess * excess - error).mean(axis=(-2, -1), keepdims=True), 0.0)
    total = between + error
    kept = np.divide(between, total, out=np.zeros_like(total), where=total > 0.0)
    shrunk = product * (1.0 + kept * excess)
    return np.asarray(shrunk / shrunk.mean(axis=(-2, -1), keepdims=True))


def _hourly_variance(
    ts_ns: ArrayLike, open_: ArrayLike, high: ArrayLike, low: ArrayLike, close: ArrayLike
) -> tuple[IntArray, FloatArray]:
    """Checked times, and the variance of each hour's log return."""
    ts = np.asarray(ts_ns)
    prices = np.array([np.asarray(p, dtype=np.float64) for p in (open_, high, low, close)])
    if ts.ndim != 1 or prices.shape != (4, ts.size):
        raise DataError(f"expected one bar per time, found {ts.shape} times and prices of {prices.shape[1:]}")
    if not np.issubdtype(ts.dtype, np.integer):
        raise DataError(f"expected times as integer nanoseconds UTC, found {ts.dtype}; convert with to_ns")
    if ts.size and bool((ts % NS_PER_HOUR != 0).any()):
        raise DataError("expected bars that begin on full hours, found one that does not; resample them")
    back = np.flatnonzero(np.diff(ts) <= 0)
    if back.size:
        raise DataError(
            f"expected ascending times, found {format_ns(int(ts[back[0] + 1]))} after "
            f"{format_ns(int(ts[back[0]]))}; sort the bars and drop duplicates"
        )
    o, h, low_, c = prices
    good = np.isfinite(prices).all(axis=0) & (prices > 0.0).all(axis=0) & (h >= low_)
    if not bool(good.all()):
        raise DataError(
            f"expected positive, finite prices with high above low, {int((~good).sum())} bars are not"
        )
    variance = 0.5 * np.log(h / low_) ** 2 - _CLOSE_SQUARED * np.log(c / o) ** 2
    return ts.astype(np.int64), np.maximum(variance, 0.0)


def _whole_weeks(ts: IntArray, variance: FloatArray) -> FloatArray:
    """Weeks that have all their hours and any variance, shape (n, 168)."""
    hour = (ts + _MONDAY) // NS_PER_HOUR
    week, cell = hour // CELLS, hour % CELLS
    numbers, row = np.unique(week, return_inverse=True)
    table = np.full((numbers.size, CELLS), np.nan)
    table[row, cell] = variance
    whole = table[np.isfinite(table).all(axis=1) & (np.nansum(table, axis=1) > 0.0)]
    if numbers.size >= _LEAST_WEEKS and whole.shape[0] == 0:
        raise GapError("expected weeks with all 168 hours, found none; fill the missing hours")
    if whole.shape[0] < _LEAST_WEEKS:
        raise EmptyData(
            f"expected at least {_LEAST_WEEKS} whole weeks, found {whole.shape[0]}; give more history"
        )
    return np.asarray(whole)
