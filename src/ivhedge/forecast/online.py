"""One forecaster kept up to date day by day, and the term structure it states."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY
from ivhedge.forecast.base import FittedForecaster, Forecaster, VarianceForecast
from ivhedge.forecast.calendar import season_factors
from ivhedge.forecast.errors import Calibration, SaneRange, fitted_errors, last_resort, sane_range
from ivhedge.forecast.measures import DailyMeasures

__all__ = ["OnlineForecaster", "TermStructure", "forecast_term_structure"]

DEFAULT_HORIZONS = (1, 2, 3, 5, 7, 14, 30, 60, 90)
_LOW, _HIGH = 3, 13


class OnlineForecaster:
    """A forecaster with its history, its fit and the record of its errors.

    `update` adds days and learns from targets that they complete; it does not refit. `refit` does, and is
    due every `forecaster.refit_days` (see `refit_due`).

    Parameters
    ----------
    forecaster : Forecaster
    history : DailyMeasures
        What is known at the start; the first fit is made on it.
    horizons : tuple of int
        Days ahead, increasing.

    Raises
    ------
    ConfigError
        If the horizons do not increase from at least one day.
    DataError
        If the history is too short.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        history: DailyMeasures,
        horizons: tuple[int, ...] = DEFAULT_HORIZONS,
    ) -> None:
        if not horizons or min(horizons) < 1 or any(np.diff(horizons) <= 0):
            raise ConfigError(f"expected increasing horizons of at least 1 day, found {horizons}")
        self.forecaster = forecaster
        self.horizons = horizons
        self.replaced = 0
        """Forecasts, over all horizons, that the insanity filter has replaced."""
        self._history = history
        # Later days wait here until someone asks for the history: joining years of it daily is a waste.
        self._waiting: list[DailyMeasures] = []
        keep = max(forecaster.memory, max(horizons), 30) + 2
        self._keep = keep
        self._tail = history.rows(max(0, len(history) - keep), len(history))
        self._known = len(history)
        self._bands = [Calibration(h) for h in horizons]
        # What was stated, with the level known then; as far back as a target can still complete.
        self._stated: deque[tuple[VarianceForecast, ...]] = deque(maxlen=max(horizons))
        self._scales: deque[float] = deque(maxlen=max(horizons))
        self._stated_at = -1
        self._fit: FittedForecaster
        self._allowed: SaneRange
        self.refit()

    @property
    def history(self) -> DailyMeasures:
        """Everything known so far."""
        for days in self._waiting:
            self._history = self._history.append(days)
        self._waiting.clear()
        return self._history

    @property
    def refit_due(self) -> bool:
        """True once `refit_days` updates were made since the last fit."""
        return self._known - self._fitted_at >= self.forecaster.refit_days

    def refit(self) -> None:
        """Fit on everything known so far and restate the forecast."""
        history = self.history
        self._fit = self.forecaster.fit(history, self.horizons)
        self._fitted_at = len(history)
        self._allowed = sane_range(history, self.horizons)
        self._rv_sum, self._gk_sum = float(history.rv.sum()), float(history.garman_klass.sum())
        errors = [np.empty(0)] * len(self.horizons)
        if any(band.needs_fitted_errors for band in self._bands):
            scale = self._rv_sum / self._gk_sum
            errors = fitted_errors(self._fit, history, self.horizons, scale, self._allowed)
        for band, error in zip(self._bands, errors, strict=True):
            band.refit(error)
        # A refit on the same day replaces what was stated, it does not add a day.
        self._state(again=self._stated_at == len(history))

    def update(self, days: DailyMeasures) -> tuple[VarianceForecast, ...]:
        """Add the next days, one by one, and return the forecast after the last.

        Raises
        ------
        GapError
            If a day is missing or comes twice; the state is then unchanged.
        """
        joined = self._tail.append(days)
        self._waiting.append(days)
        for known in range(len(self._tail) + 1, len(joined) + 1):
            self._tail = joined.rows(max(0, known - self._keep), known)
            self._known += 1
            self._rv_sum += float(joined.rv[known - 1])
            self._gk_sum += float(joined.garman_klass[known - 1])
            self._learn()
            self._state(again=False)
        return self._stated[-1]

    def forecast(self) -> tuple[VarianceForecast, ...]:
        """Distribution at each horizon, as of the end of the last known day."""
        return self._stated[-1]

    def _learn(self) -> None:
        for k, (band, horizon) in enumerate(zip(self._bands, self.horizons, strict=True)):
            if len(self._stated) >= horizon:
                said = self._stated[-horizon][k]
                # The level is the one known when the forecast was made, as in a walk-forward.
                scale = self._scales[-horizon]
                came = float(self._tail.garman_klass[-horizon:].mean()) * scale
                # Weekday of the day at whose end it was stated.
                day = int((self._tail.weekday[-1] - horizon) % 7)
                band.observe(came, said.mean, float(said.quantiles[_LOW]), float(said.quantiles[_HIGH]), day)

    def _state(self, *, again: bool) -> None:
        tail = self._tail
        said = self._fit.predict(tail, len(tail) - 1)
        today = int(tail.weekday[-1])
        kept, bad = self._allowed.apply(said, last_resort(tail, len(tail) - 1, self.horizons))
        forecast = tuple(
            VarianceForecast(
                horizon=horizon,
                mean=float(kept[0, k]),
                quantiles=self._bands[k].quantiles(float(kept[0, k]), today),
                replaced=bool(bad[0, k]),
            )
            for k, horizon in enumerate(self.horizons)
        )
        self.replaced += int(bad.sum())
        if again:
            self._stated[-1] = forecast
        else:
            self._stated.append(forecast)
            self._scales.append(self._rv_sum / self._gk_sum)
        self._stated_at = self._known


@dataclass(frozen=True, slots=True, kw_only=True)
class TermStructure:
    """Expected volatility by tenor, ready to be held against an implied surface.

    Parameters
    ----------
    as_of_ns : int
        End of the last known day: the time the forecast speaks from.
    tenor_days : FloatArray, shape (tenors,)
    vol, low, high : FloatArray, shape (tenors,)
        Annual volatility (365 days, decimal): root of the expected mean variance, and the band.
    level : float
        Probability inside the band.
    replaced : bool
        True if a horizon used here was replaced by the insanity filter.
    """

    as_of_ns: int
    tenor_days: FloatArray
    vol: FloatArray
    low: FloatArray
    high: FloatArray
    level: float
    replaced: bool


def forecast_term_structure(
    state: OnlineForecaster, tenors: ArrayLike, *, level: float = 0.9
) -> TermStructure:
    """Volatility with a band at any tenor up to the longest horizon.

    Parameters
    ----------
    state : OnlineForecaster
    tenors : array_like, shape (tenors,)
        Days from the end of the last known day, positive; fractions are allowed.
    level : float
        Probability inside the band, in (0, 1).

    Returns
    -------
    TermStructure

    Raises
    ------
    ConfigError
        If a tenor is not positive or lies beyond the longest horizon, or the level is out of range.

    Notes
    -----
    Between two horizons the cumulative variance grows with the weekday factors of the days between; below
    one day it is shared evenly over the day. The width of the band, in logarithms, is interpolated in
    ln(days) and held below the shortest horizon.
    """
    days = np.atleast_1d(np.asarray(tenors, dtype=np.float64))
    longest = state.horizons[-1]
    if not np.all((days > 0.0) & (days <= longest)):
        raise ConfigError(
            f"expected tenors in (0, {longest}] days, found {days}; give the forecaster longer horizons"
        )
    if not 0.0 < level < 1.0:
        raise ConfigError(f"expected a level strictly between 0 and 1, found {level}")
    said = state.forecast()
    if not all(np.isfinite(f.mean) and f.mean > 0.0 for f in said):
        raise DataError("expected positive variances, found none; refit on a sound history")
    season = season_factors(state.history.garman_klass, state.history.weekday)
    today = int(state.history.weekday[-1])
    clock = np.concatenate([[0.0], np.cumsum(season[(today + 1 + np.arange(longest)) % 7])])
    horizon = np.array(state.horizons, dtype=np.float64)
    total = np.maximum.accumulate([f.mean * f.horizon for f in said])
    knots = np.concatenate([[0.0], clock[list(state.horizons)]])
    at = np.interp(days, np.arange(longest + 1.0), clock)
    mean = np.interp(at, knots, np.concatenate([[0.0], total])) / days
    bands = np.array([f.interval(level) for f in said]) / np.array([f.mean for f in said])[:, None]
    low, high = (np.exp(np.interp(np.log(days), np.log(horizon), np.log(bands[:, k]))) for k in (0, 1))
    return TermStructure(
        as_of_ns=int(state.history.day_ns[-1]) + NS_PER_DAY,
        tenor_days=days,
        vol=np.sqrt(mean * DAYS_PER_YEAR),
        low=np.sqrt(mean * low * DAYS_PER_YEAR),
        high=np.sqrt(mean * high * DAYS_PER_YEAR),
        level=level,
        replaced=any(f.replaced for f in said),
    )
