"""Regressions on past variance: the HAR family, in levels and in logarithms.

Levels are fitted by weighted least squares (rows scaled by 1/max(median target, monthly mean), so that a
crash does not decide the fit); logarithms by ridge regression on standardised columns, taken back by
Duan's smearing factor mean(exp(residual)), which needs no normality.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.forecast import blocks
from ivhedge.forecast.base import level_scale, require_history
from ivhedge.forecast.calendar import NO_SEASON, forward_season, season_factors, weekday_shares
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.rolling import MEMORY, forward_mean, trailing_mean

__all__ = ["Calendar", "FittedLinear", "HarForecaster"]

Block = Callable[[DailyMeasures, FloatArray], FloatArray]
_MIN_ROWS = 60


class Calendar(StrEnum):
    """What a regression knows of the week ahead."""

    NONE = "none"
    WEEKEND = "weekend"
    WEEKDAYS = "weekdays"
    """Saturday, Sunday and Monday apart, and all variances freed of the weekday's factor first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarForecaster:
    """A regression of the coming variance on columns of the past.

    Parameters
    ----------
    name : str
    columns : tuple of functions from `blocks`
    log : bool
        Regress logarithms (of Garman-Klass variance) instead of levels (of realised variance).
    calendar : Calendar
    ridge : float
        Penalty per row on standardised coefficients; logarithms only.
    window : int
        Days in a fit; 0 means all.
    refit_days, memory : int
    """

    name: str
    columns: tuple[Block, ...]
    log: bool = True
    calendar: Calendar = Calendar.NONE
    ridge: float = 1e-8
    window: int = 500
    refit_days: int = 7
    memory: int = MEMORY

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "FittedLinear":
        """Fit every horizon; see `Forecaster.fit`.

        Raises
        ------
        DataError
            If fewer than 120 days (and the longest horizon) are known.
        """
        require_history(history, 2 * _MIN_ROWS, horizons, self.name)
        season = NO_SEASON
        if self.calendar is Calendar.WEEKDAYS:
            season = season_factors(history.garman_klass, history.weekday)
        x = self.design(history, season)
        known: BoolArray = np.asarray(np.isfinite(x).all(axis=1))
        x = np.where(known[:, None], x, 0.0)
        first = max(30, len(history) - self.window) if self.window else 30
        k = x.shape[1]
        coefficients = np.empty((len(horizons), 1 + k))
        by_weekday = np.empty((len(horizons), 7))
        week = np.arange(7)
        for row, horizon in enumerate(horizons):
            use = np.zeros(len(history), dtype=np.bool_)
            use[first : len(history) - horizon] = True
            beta, smear = self._solve(x, use & known, history, season, horizon)
            coefficients[row] = beta[: 1 + k]
            by_weekday[row] = self.calendar_columns(week, horizon) @ beta[1 + k :]
            if self.log:
                level = smear * level_scale(history) * forward_season(week, horizon, season)
                by_weekday[row] += np.log(level)
        return FittedLinear(forecaster=self, season=season, coefficients=coefficients, by_weekday=by_weekday)

    def design(self, history: DailyMeasures, season: FloatArray) -> FloatArray:
        """Columns that do not depend on the horizon, shape (days, k)."""
        return np.concatenate([block(history, season) for block in self.columns], axis=1)

    def calendar_columns(self, weekday: IntArray, horizon: int) -> FloatArray:
        """Shares of the special days ahead, shape (days, 0, 1 or 3)."""
        share = weekday_shares(weekday, horizon)
        if self.calendar is Calendar.WEEKEND:
            return np.asarray(share[:, 5:].sum(axis=1, keepdims=True))
        # Beyond a week the factors say it all, and the shares are nearly constant.
        if self.calendar is Calendar.WEEKDAYS and horizon < 7:
            return np.asarray(share[:, [5, 6, 0]])
        return np.zeros((weekday.size, 0))

    def _solve(
        self, x: FloatArray, use: BoolArray, history: DailyMeasures, season: FloatArray, horizon: int
    ) -> tuple[FloatArray, float]:
        """Intercept, slopes and slopes of the calendar; and the smearing factor."""
        full = np.concatenate([x, self.calendar_columns(history.weekday, horizon)], axis=1)
        if use.sum() < _MIN_ROWS:
            return np.full(1 + full.shape[1], np.nan), np.nan
        rows = full[use]
        if self.log:
            target = np.log(forward_mean(history.garman_klass, horizon)[use])
            target = target - np.log(forward_season(history.weekday[use], horizon, season))
            beta = _ridge(rows, target, self.ridge)
            return beta, float(np.mean(np.exp(target - beta[0] - rows @ beta[1:])))
        target = forward_mean(history.rv, horizon)[use]
        weight = 1.0 / np.maximum(np.median(target), trailing_mean(history.rv, 30)[use])
        a = np.column_stack([np.ones(len(rows)), rows]) * weight[:, None]
        # Products of variances are tiny: columns of like size keep the rank test honest.
        size = np.sqrt((a**2).mean(axis=0))
        size[size == 0.0] = 1.0
        return np.linalg.lstsq(a / size, target * weight, rcond=1e-10)[0] / size, 1.0


def _ridge(x: FloatArray, y: FloatArray, penalty: float) -> FloatArray:
    centre, spread = x.mean(axis=0), x.std(axis=0)
    varies = spread > 1e-9
    z = (x - centre) / np.where(varies, spread, 1.0)
    gram = z.T @ z / len(z) + (max(penalty, 1e-10)) * np.eye(z.shape[1])
    slope = np.linalg.solve(gram, z.T @ (y - y.mean()) / len(z))
    slope = np.where(varies, slope / np.where(varies, spread, 1.0), 0.0)
    return np.concatenate([[y.mean() - centre @ slope], slope])


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLinear:
    """A fitted regression.

    Parameters
    ----------
    forecaster : HarForecaster
    season : FloatArray, shape (7,)
    coefficients : FloatArray, shape (horizons, 1 + columns)
        Intercept and slopes.
    by_weekday : FloatArray, shape (horizons, 7)
        What the weekday of the last known day adds; in logarithms with the level and the smearing factor.
    """

    forecaster: HarForecaster
    season: FloatArray
    coefficients: FloatArray
    by_weekday: FloatArray

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        """See `FittedForecaster.predict`; nan where a column is not known."""
        begin = max(0, start - self.forecaster.memory)
        tail = history.rows(begin, len(history))
        x = self.forecaster.design(tail, self.season)[start - begin :]
        value = self.coefficients[:, 0] + x @ self.coefficients[:, 1:].T
        value = value + self.by_weekday.T[tail.weekday[start - begin :]]
        return np.asarray(np.exp(np.minimum(value, 50.0)) if self.forecaster.log else value)


def har(name: str = "HAR") -> HarForecaster:
    """Return the plain HAR, the yardstick and the last resort."""
    return HarForecaster(name=name, columns=(blocks.rv,), log=False)
