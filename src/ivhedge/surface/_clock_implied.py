"""Clock weights from option prices: term structures of at-the-money variance, snapshot by snapshot."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import CalibrationError, ConfigError, DataError, EmptyData
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, year_fraction
from ivhedge.surface._clock_estimate import ClockEstimate, estimate_of, week_blocks
from ivhedge.surface.clock import VarianceClock

__all__ = ["estimate_implied_clock"]

_MONDAY = 3 * NS_PER_DAY
_LEAST_VOL_ERROR = 0.01
_LEAST_WEEKS = 4
# Forward variance is a level and a slope in variance time, scaled to weeks so that both are of one size.
_WEEKS_PER_YEAR = 52.0
_RIDGE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """Total variances of many snapshots: times, variances, weights and the snapshot (0, 1, …) of each."""

    ts: IntArray
    expiry: IntArray
    variance: FloatArray
    weight: FloatArray
    owner: IntArray
    count: int


def estimate_implied_clock(
    ts_ns: ArrayLike,
    expiry_ns: ArrayLike,
    vol: ArrayLike,
    half_spread: ArrayLike,
    *,
    shape: ArrayLike | None = None,
    rng: np.random.Generator,
    max_days: float = 10.0,
    min_days: float = 0.3,
    n_draws: int = 100,
    block_weeks: int = 2,
    name: str = "implied",
) -> ClockEstimate:
    """Estimate weekday weights, and how much of an intraday shape is priced, from at-the-money vols.

    Parameters
    ----------
    ts_ns, expiry_ns : integer array_like, shape (n,)
        Snapshot and expiry of each vol; any order.
    vol, half_spread : array_like, shape (n,)
        At-the-money implied vol on calendar time and half of its bid-ask, decimals.
    shape : array_like, shape (7, 24), optional
        Intraday shape, as by `estimate_realised_clock`. Its power is estimated with the seven weekdays;
        without it the weights are flat inside a day.
    rng : numpy.random.Generator
    max_days, min_days : float
        Expiries used: the daily ones and the first weekly ones show the week, longer ones average it away.
    n_draws, block_weeks : int
        Block bootstrap over weeks of snapshots.
    name : str

    Returns
    -------
    ClockEstimate

    Raises
    ------
    DataError
        If shapes differ, times are not integers, an expiry lies before its snapshot, or a number is not
        finite and positive.
    EmptyData
        If fewer than four weeks have snapshots with four expiries in range.
    CalibrationError
        If the fit does not settle.

    Notes
    -----
    In each snapshot total variance is taken as a·V + b·V², V the variance time to expiry: forward variance
    linear in the clock. The weights are those under which the term structures of all snapshots are smoothest,
    by robust least squares (soft L1, in units of each half-spread). The line is free in every snapshot, so
    that neither the level nor the slope of a day can pass for a weekday effect; forward variances between
    consecutive daily expiries (Friday 08:00 to Saturday 08:00 and so on) are what identifies the days.
    """
    terms, week = _terms(ts_ns, expiry_ns, vol, half_spread, min_days, max_days)
    form = _shape(shape)
    best = _fit(terms, form, np.zeros(6 if shape is None else 7))
    weeks, member = np.unique(week, return_inverse=True)
    draws = []
    for pick in week_blocks(weeks.size, block_weeks, n_draws, rng):
        times = np.bincount(pick, minlength=weeks.size).astype(np.float64)
        draws.append(_table(_fit(terms, form, best, np.sqrt(times[member])), form))
    return estimate_of(
        _table(best, form),
        np.array(draws),
        n_weeks=int(weeks.size),
        hour_power=float(best[6]) if best.size == 7 else 0.0,
        name=name,
    )


def _terms(
    ts_ns: ArrayLike,
    expiry_ns: ArrayLike,
    vol: ArrayLike,
    half_spread: ArrayLike,
    min_days: float,
    max_days: float,
) -> tuple[_Terms, IntArray]:
    """Checked input cut to the short expiries, and the week of each row."""
    ts, expiry = np.asarray(ts_ns), np.asarray(expiry_ns)
    sigma, half = np.asarray(vol, dtype=np.float64), np.asarray(half_spread, dtype=np.float64)
    if ts.ndim != 1 or not ts.shape == expiry.shape == sigma.shape == half.shape:
        raise DataError("expected one expiry, vol and half-spread per time, found different lengths")
    if not (np.issubdtype(ts.dtype, np.integer) and np.issubdtype(expiry.dtype, np.integer)):
        raise DataError(f"expected integer nanoseconds UTC, found {ts.dtype} and {expiry.dtype}; use to_ns")
    if bool((expiry <= ts).any()):
        raise DataError(
            "expected expiries after their snapshots, found one that is not; drop what has expired"
        )
    if not bool((np.isfinite(sigma) & (sigma > 0.0) & np.isfinite(half) & (half >= 0.0)).all()):
        raise DataError("expected finite, positive vols and half-spreads, found one that is not; drop it")
    if not 0.0 <= min_days < max_days:
        raise ConfigError(f"expected min_days below max_days, found {min_days} and {max_days}")
    tau = year_fraction(ts, expiry)
    keep = (tau * 365.0 >= min_days) & (tau * 365.0 <= max_days)
    _, owner, sizes = np.unique(np.where(keep, ts, -1), return_inverse=True, return_counts=True)
    # Two numbers per snapshot are free: fewer than four expiries say little about the clock.
    keep &= sizes[owner] >= 4
    week = (ts.astype(np.int64) + _MONDAY) // (7 * NS_PER_DAY)
    if np.unique(week[keep]).size < _LEAST_WEEKS:
        raise EmptyData(
            f"expected {_LEAST_WEEKS} weeks of snapshots, four expiries of {min_days} to {max_days} days, "
            f"found {np.unique(week[keep]).size}; give more snapshots"
        )
    owner = np.unique(ts[keep], return_inverse=True)[1]
    variance = sigma[keep] ** 2 * tau[keep]
    error = np.maximum(half[keep] / sigma[keep], _LEAST_VOL_ERROR)
    terms = _Terms(
        ts=ts[keep].astype(np.int64),
        expiry=expiry[keep].astype(np.int64),
        variance=variance,
        weight=1.0 / (2.0 * variance * error),
        owner=owner.astype(np.int64),
        count=int(owner.max()) + 1,
    )
    return terms, np.asarray(week[keep], dtype=np.int64)


def _shape(shape: ArrayLike | None) -> FloatArray:
    """Log of the intraday shape of each weekday."""
    table = np.ones((7, 24)) if shape is None else np.asarray(shape, dtype=np.float64)
    if table.shape != (7, 24) or not bool((np.isfinite(table) & (table > 0.0)).all()):
        raise ConfigError(f"expected an intraday shape of (7, 24) positive numbers, found {table.shape}")
    return np.asarray(np.log(table / table.mean(axis=1, keepdims=True)))


def _table(numbers: FloatArray, form: FloatArray) -> FloatArray:
    """Weights (7, 24) from six log weekdays (the seventh is minus their sum) and the power of the shape."""
    logs = np.append(numbers[:6], -numbers[:6].sum())
    inside = np.exp((numbers[6] if numbers.size == 7 else 0.0) * form)
    table = np.exp(logs)[:, None] * inside / inside.mean(axis=1, keepdims=True)
    return np.asarray(table / table.mean())


def _residuals(numbers: FloatArray, terms: _Terms, form: FloatArray, times: FloatArray) -> FloatArray:
    """Misfit of the best line of each snapshot, in half-spreads; `times` is the root of the repetitions."""
    clock = VarianceClock.from_weights(_table(numbers, form))
    V = clock.variance_time(terms.ts, terms.expiry)
    design = np.stack((V, V * V * _WEEKS_PER_YEAR), axis=1) * terms.weight[:, None]
    target = terms.variance * terms.weight
    gram, right = np.zeros((terms.count, 2, 2)), np.zeros((terms.count, 2, 1))
    np.add.at(gram, terms.owner, design[:, :, None] * design[:, None, :])
    np.add.at(right, terms.owner, (design * target[:, None])[:, :, None])
    gram += _RIDGE * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(2)
    line = np.linalg.solve(gram, right)[:, :, 0]
    return np.asarray(((design * line[terms.owner]).sum(axis=1) - target) * times)


def _fit(terms: _Terms, form: FloatArray, start: FloatArray, times: FloatArray | None = None) -> FloatArray:
    """Find the log weekdays and the power of the shape."""
    from scipy.optimize import least_squares

    repeats = np.ones(terms.ts.size) if times is None else times
    found = least_squares(
        _residuals,
        start,
        args=(terms, form, repeats),
        bounds=(np.full(start.size, -4.0), np.full(start.size, 4.0)),
        loss="soft_l1",
        xtol=1e-6,
        ftol=1e-8,
    )
    if not found.success:
        raise CalibrationError(
            f"the weekday weights did not settle ({found.message}); give more snapshots with daily expiries"
        )
    return np.asarray(found.x, dtype=np.float64)
