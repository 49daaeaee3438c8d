"""Walk-forward: what would have been said, day by day, with nothing but the past.

At each refit a model sees only rows before it, so a target enters training only once it is complete. Days
between two refits are forecast with the coefficients of the last one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.forecast.base import PROBABILITIES, FittedForecaster, Forecaster
from ivhedge.forecast.combine import Combination
from ivhedge.forecast.errors import Calibration, fitted_errors, last_resort, sane_range
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.rolling import forward_mean

__all__ = ["ForecastRun", "walk_forward"]

LOW, HIGH = 3, 13
"""Places of 5 % and 95 % in `PROBABILITIES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRun:
    """Forecasts of several models, and what came.

    Parameters
    ----------
    names : tuple of str
    horizons : tuple of int
    day_ns : IntArray, shape (days,)
        Day at whose end each forecast was made.
    mean : FloatArray, shape (models, horizons, days)
        Expected variance per day, fraction squared.
    quantiles : FloatArray, shape (models, horizons, days, 17)
    target, realised : FloatArray, shape (horizons, days)
        Outcome by Garman-Klass at the level known at the forecast, and by realised variance; nan where it
        is not complete yet.
    replaced : BoolArray, shape (models, horizons, days)
        Where the insanity filter acted.
    refits : IntArray, shape (models,)
    fit_seconds : FloatArray, shape (models,)
        By the timer that was passed; zero without one.
    """

    names: tuple[str, ...]
    horizons: tuple[int, ...]
    day_ns: IntArray
    mean: FloatArray
    quantiles: FloatArray
    target: FloatArray
    realised: FloatArray
    replaced: BoolArray
    refits: IntArray
    fit_seconds: FloatArray


def walk_forward(
    history: DailyMeasures,
    forecasters: Sequence[Forecaster],
    horizons: tuple[int, ...] = (1, 7, 30),
    *,
    start: int,
    timer: Callable[[], float] | None = None,
) -> ForecastRun:
    """Forecast every day from row `start - 1` on.

    Parameters
    ----------
    history : DailyMeasures
    forecasters : sequence of Forecaster
    horizons : tuple of int
    start : int
        Rows known at the first fit.
    timer : callable, optional
        Returns seconds; used for the cost of fits only.

    Returns
    -------
    ForecastRun

    Raises
    ------
    ConfigError
        If two models share a name.
    DataError
        If nothing is left to forecast, or too little to fit.
    """
    names = tuple(f.name for f in forecasters)
    if len(set(names)) != len(names):
        raise ConfigError(f"expected distinct names, found {sorted(names)}")
    if not max(horizons) < start < len(history):
        raise DataError(
            f"expected a start between {max(horizons) + 1} and {len(history) - 1} days, found {start}"
        )
    out = _Output(history, names, horizons, start)
    fits: dict[str, FittedForecaster] = {}
    bands = {name: [Calibration(h) for h in horizons] for name in names}
    for known in range(start, len(history) + 1, 7):
        seen = history.rows(0, known)
        ahead = history.rows(0, min(known + 6, len(history)))
        allowed, resort = sane_range(seen, horizons), last_resort(ahead, known - 1, horizons)
        for m, model in enumerate(forecasters):
            if model.name not in fits or (known - start) % model.refit_days < 7:
                begin = timer() if timer else 0.0
                fit = model.from_fits(fits) if isinstance(model, Combination) else None
                fits[model.name] = fit or model.fit(seen, horizons)
                out.seconds[m] += timer() - begin if timer else 0.0
                out.refits[m] += 1
            kept, bad = allowed.apply(fits[model.name].predict(ahead, known - 1), resort)
            out.forecast(m, known - 1, kept, bad)
            own = bands[model.name]
            out.learn(m, known - 1, own)
            errors = [np.empty(0)] * len(horizons)
            if any(band.needs_fitted_errors for band in own):
                errors = fitted_errors(fits[model.name], seen, horizons, out.scale[known - 1], allowed)
            for band, error in zip(own, errors, strict=True):
                band.refit(error)
            for row in range(known - 1, len(ahead)):
                if row >= known:
                    out.learn(m, row, own)
                out.state(m, row, own)
    return out.result()


class _Output:
    """The arrays of a run while it is being filled; rows are those of the history."""

    def __init__(
        self, history: DailyMeasures, names: tuple[str, ...], horizons: tuple[int, ...], start: int
    ) -> None:
        self.first = start - 1
        self.names, self.horizons, self.day_ns = names, horizons, history.day_ns[start - 1 :]
        self.weekday = history.weekday[start - 1 :].tolist()
        shape = (len(names), len(horizons), self.day_ns.size)
        self.mean, self.quantiles = np.empty(shape), np.empty((*shape, PROBABILITIES.size))
        self.replaced = np.zeros(shape, dtype=np.bool_)
        self.refits, self.seconds = np.zeros(len(names), dtype=np.int64), np.zeros(len(names))
        self.scale = np.cumsum(history.rv) / np.cumsum(history.garman_klass)
        efficient = [forward_mean(history.garman_klass, h) * self.scale for h in horizons]
        self.target = np.array(efficient)[:, start - 1 :]
        self.realised = np.array([forward_mean(history.rv, h) for h in horizons])[:, start - 1 :]

    def forecast(self, m: int, row: int, kept: FloatArray, bad: BoolArray) -> None:
        block = slice(row - self.first, row - self.first + len(kept))
        self.mean[m, :, block], self.replaced[m, :, block] = kept.T, bad.T

    def learn(self, m: int, row: int, bands: list[Calibration]) -> None:
        today = row - self.first
        for k, horizon in enumerate(self.horizons):
            # The target stated `horizon` days ago is complete with today's row.
            then = today - horizon
            if then >= 0:
                low, high = self.quantiles[m, k, then, LOW], self.quantiles[m, k, then, HIGH]
                bands[k].observe(self.target[k, then], self.mean[m, k, then], low, high, self.weekday[then])

    def state(self, m: int, row: int, bands: list[Calibration]) -> None:
        today = row - self.first
        for k, band in enumerate(bands):
            self.quantiles[m, k, today] = band.quantiles(self.mean[m, k, today], self.weekday[today])

    def result(self) -> ForecastRun:
        return ForecastRun(
            names=self.names,
            horizons=self.horizons,
            day_ns=self.day_ns,
            mean=self.mean,
            quantiles=self.quantiles,
            target=self.target,
            realised=self.realised,
            replaced=self.replaced,
            refits=self.refits,
            fit_seconds=self.seconds,
        )
