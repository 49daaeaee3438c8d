"""Rich and cheap by moneyness: the smile that past returns, scaled to today's forecast, would pay for.

Returns over h days are divided by what a forecast had said of them: X = r(t, t+h) / sqrt(h f_t). Their
empirical law holds the skew, the fat tails and the errors of the forecast together. Scaled to the variance
expected now and made a martingale it gives option values, hence an expected implied vol by strike. A
delta-hedged option earns the difference on average, if hedging itself is a fair game.

Bias of the level is the forecaster's own; the shape is that of the past, with the error bars of a block
bootstrap.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY
from ivhedge.forecast.confidence_set import block_indices
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.view.premium import VarianceOutlook
from ivhedge.forecast.walkforward import ForecastRun
from ivhedge.pricing import implied_vol
from ivhedge.surface.base import VolSurface
from ivhedge.surface.quoting import log_moneyness_of_delta

__all__ = ["RichCheap", "StandardisedReturns", "rich_cheap", "standardised_returns"]

_FEWEST = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedReturns:
    """Returns over several horizons in units of what had been forecast.

    Parameters
    ----------
    horizons : tuple of int
        Days.
    values : tuple of FloatArray
        One array per horizon, in order of time, overlapping; mean square near 1 if forecasts are unbiased.
    """

    horizons: tuple[int, ...]
    values: tuple[FloatArray, ...]

    def nearest(self, days: float) -> tuple[int, FloatArray]:
        """Horizon nearest to a tenor in logarithms, and its returns."""
        k = int(np.argmin(np.abs(np.log(np.array(self.horizons) / days))))
        return self.horizons[k], self.values[k]


def standardised_returns(history: DailyMeasures, run: ForecastRun, model: str) -> StandardisedReturns:
    """Returns after each forecast of a walk-forward run over the root of the variance it expected.

    Parameters
    ----------
    history : DailyMeasures
        That of the run, or a longer one.
    run : ForecastRun
    model : str
        One of `run.names`.

    Raises
    ------
    ConfigError
        If the run has no such model.
    DataError
        If the days of the run are not in the history, or a horizon has fewer than 250 complete returns.
    """
    if model not in run.names:
        raise ConfigError(f"expected a model of {list(run.names)}, found {model!r}")
    rows: IntArray = (run.day_ns - history.day_ns[0]) // NS_PER_DAY
    inside = rows[0] >= 0 and rows[-1] < len(history)
    if not inside or not np.array_equal(history.day_ns[rows], run.day_ns):
        raise DataError("expected the history that the run was made on, found days that are not in it")
    said = run.mean[run.names.index(model)]
    path = np.concatenate([[0.0], np.cumsum(history.log_return)])
    values = []
    for k, horizon in enumerate(run.horizons):
        complete = rows + horizon < len(history)
        start = rows[complete] + 1
        moves = path[start + horizon] - path[start]
        values.append(moves / np.sqrt(said[k, complete] * horizon))
        if moves.size < _FEWEST:
            raise DataError(
                f"expected at least {_FEWEST} returns over {horizon} days, found {moves.size}; give a longer "
                "history or shorter horizons"
            )
    return StandardisedReturns(horizons=run.horizons, values=tuple(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class RichCheap:
    """Fair against expected vol by tenor and delta, arrays of shape (n, d).

    Parameters
    ----------
    tau : FloatArray, shape (n,)
        Years.
    call_delta : FloatArray, shape (d,)
        Forward delta of the call on the fair surface; 0.75 is the put of 0.25.
    log_moneyness : FloatArray
    fair_vol, expected_vol : FloatArray
        Decimal; expected is nan where past returns never reached the strike.
    error : FloatArray
        Standard error of the expected vol, block bootstrap.
    horizon_days : tuple of int
        Horizon whose returns stand for each tenor.
    """

    tau: FloatArray
    call_delta: FloatArray
    log_moneyness: FloatArray
    fair_vol: FloatArray
    expected_vol: FloatArray
    error: FloatArray
    horizon_days: tuple[int, ...]

    @property
    def premium(self) -> FloatArray:
        """Fair less expected vol: positive = rich."""
        return self.fair_vol - self.expected_vol

    @property
    def score(self) -> FloatArray:
        """Premium in standard errors of the expected vol."""
        return np.asarray(self.premium / self.error)


def rich_cheap(
    surface: VolSurface,
    outlook: VarianceOutlook,
    returns: StandardisedReturns,
    rng: np.random.Generator,
    *,
    call_delta: ArrayLike = (0.9, 0.75, 0.5, 0.25, 0.1),
    draws: int = 200,
) -> RichCheap:
    """Hold the fair smile against the expected one.

    Parameters
    ----------
    surface : VolSurface
    outlook : VarianceOutlook
        Of the same time; its tenors are those of the result.
    returns : StandardisedReturns
    rng : Generator
        Of the bootstrap.
    call_delta : array_like, shape (d,)
    draws : int
        Bootstrap samples, at least 50.

    Raises
    ------
    ConfigError
        If there are too few draws, a delta is impossible, or the outlook is of another time.
    """
    if draws < 50:
        raise ConfigError(f"expected at least 50 draws, found {draws}")
    if outlook.ts_ns != surface.ts_ns:
        raise ConfigError("expected an outlook of the surface's own time; make it with the surface's ts_ns")
    deltas = np.atleast_1d(np.asarray(call_delta, dtype=np.float64))
    tau = outlook.tau
    strikes = log_moneyness_of_delta(surface, tau[:, None], deltas)
    fair = np.asarray(surface.implied_vol(strikes, tau[:, None]), dtype=np.float64)
    expected, error, used = np.empty_like(fair), np.empty_like(fair), []
    for n, years in enumerate(tau):
        horizon, x = returns.nearest(float(years) * DAYS_PER_YEAR)
        used.append(horizon)
        growth = np.exp(x * np.sqrt(outlook.variance[n] * years))
        expected[n] = _vols(growth[None, :], strikes[n], float(years))[0]
        rows = block_indices(x.size, min(max(10, horizon), x.size // 2), draws, rng)
        drawn = _vols(growth[rows], strikes[n], float(years))
        known = np.isfinite(drawn)
        enough = known.mean(axis=0) > 0.9
        spread = np.where(known, drawn, 0.0)
        count = np.maximum(known.sum(axis=0), 1)
        mean = spread.sum(axis=0) / count
        error[n] = np.sqrt((np.where(known, drawn - mean, 0.0) ** 2).sum(axis=0) / count)
        # A strike that a tenth of the resampled pasts never reaches has no honest error bar.
        expected[n], error[n] = np.where(enough, expected[n], np.nan), np.where(enough, error[n], np.nan)
    return RichCheap(
        tau=tau,
        call_delta=deltas,
        log_moneyness=strikes,
        fair_vol=fair,
        expected_vol=expected,
        error=error,
        horizon_days=tuple(used),
    )


def _vols(growth: FloatArray, strikes: FloatArray, years: float) -> FloatArray:
    """Implied vols, shape (samples, d), of growth factors, shape (samples, n), made martingales."""
    level = growth / growth.mean(axis=1, keepdims=True)
    is_call = strikes >= 0.0
    strike = np.exp(strikes)
    price = np.empty((growth.shape[0], strikes.size))
    for d in range(strikes.size):
        payoff = level - strike[d] if is_call[d] else strike[d] - level
        price[:, d] = np.maximum(payoff, 0.0).mean(axis=1)
    vol = implied_vol(price.ravel(), 1.0, np.tile(strike, len(price)), years, np.tile(is_call, len(price)))
    return np.asarray(np.where(price > 0.0, np.asarray(vol).reshape(price.shape), np.nan))
