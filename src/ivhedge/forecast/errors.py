"""From a point forecast to a distribution, and the filter that keeps it sane.

The log errors ln(outcome/forecast) of a model's own past make its distribution: those of live forecasts
where there are any, those of the fit before. The fit's own errors are too small, and more so the fewer
independent targets it saw, so they are widened by sqrt(1 + parameters · horizon / days).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.forecast.base import PROBABILITIES, FittedForecaster
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.rolling import forward_mean, trailing_mean

__all__ = ["Calibration", "SaneRange", "error_quantiles", "fitted_errors", "last_resort", "sane_range"]

_PARAMETERS = 6.0
_LIVE_YEAR = 365
_LIVE_MEMORY = 730
_MEDIAN = 8
_KINDS_FROM = 140
_KIND_AFTER = (0, 0, 0, 0, 1, 2, 0)
"""Kind of the next day: 1 after a Friday, 2 after a Saturday."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaneRange:
    """What a forecast may say, per horizon (Bollerslev, Patton and Quaedvlieg 2016).

    Parameters
    ----------
    low, high : FloatArray, shape (horizons,)
        The extremes of past targets, widened by half.
    """

    low: FloatArray
    high: FloatArray

    def apply(self, forecast: FloatArray, resort: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Put the last resort, itself cut to the range, in place of what is out of range or not a number.

        Parameters
        ----------
        forecast, resort : FloatArray, shape (rows, horizons)

        Returns
        -------
        forecast : FloatArray
        replaced : BoolArray
        """
        with np.errstate(invalid="ignore"):
            good = (forecast >= self.low) & (forecast <= self.high)
        cut = np.clip(resort, self.low, self.high)
        return np.where(good, forecast, cut), ~good


def sane_range(history: DailyMeasures, horizons: tuple[int, ...]) -> SaneRange:
    """Range of the realised and the Garman-Klass targets seen so far."""
    low, high = [], []
    for horizon in horizons:
        both = np.concatenate(
            [forward_mean(x, horizon)[: len(history) - horizon] for x in (history.rv, history.garman_klass)]
        )
        low.append(both.min() / 1.5)
        high.append(both.max() * 1.5)
    return SaneRange(low=np.array(low), high=np.array(high))


def last_resort(history: DailyMeasures, start: int, horizons: tuple[int, ...]) -> FloatArray:
    """Mean realised variance of the last 30 days, for rows `start` and later, shape (rows, horizons)."""
    begin = max(0, start - 30)
    mean = trailing_mean(history.rv[begin:], 30)[start - begin :]
    return np.repeat(mean[:, None], len(horizons), axis=1)


def error_quantiles(fitted: FloatArray, live: FloatArray, horizon: int) -> FloatArray:
    """Quantiles of the log errors at `PROBABILITIES`.

    Parameters
    ----------
    fitted : FloatArray
        Log errors of the fit on its own rows.
    live : FloatArray
        Log errors of forecasts made before their outcome; they count once there are two months and twice the
        horizon of them, and then the fit's own are left out in proportion.
    horizon : int

    Returns
    -------
    FloatArray, shape (17,)
    """
    if fitted.size == 0 and live.size == 0:
        raise ConfigError("expected errors of the fit or of live forecasts, found neither")
    centre = float(fitted.mean()) if fitted.size else 0.0
    widened = centre + (fitted - centre) * np.sqrt(1.0 + _PARAMETERS * horizon / max(fitted.size, 1))
    if fitted.size and live.size < 60 + 2 * horizon:
        pool, weight = widened, np.ones(widened.size)
    else:
        pool = np.concatenate([widened, live])
        share = min(1.0, live.size / _LIVE_YEAR) if fitted.size else 1.0
        weight = np.concatenate([np.full(widened.size, (1.0 - share) / max(widened.size, 1) + 1e-12),
                                 np.full(live.size, share / live.size)])  # fmt: skip
    order = np.argsort(pool)
    mass = np.cumsum(weight[order])
    place = (mass - 0.5 * weight[order]) / mass[-1]
    inside = np.interp(PROBABILITIES, place, pool[order])
    # Two months of errors do not hold a half-percent quantile: the outer ones are at least normal.
    mean = float(np.average(pool, weights=weight))
    spread = float(np.sqrt(np.average((pool - mean) ** 2, weights=weight)))
    normal = mean + spread * ndtri(PROBABILITIES)
    outer = np.where(PROBABILITIES < 0.03, np.minimum(inside, normal), inside)
    outer = np.where(PROBABILITIES > 0.97, np.maximum(inside, normal), outer)
    return np.asarray(np.maximum.accumulate(outer + 1e-9 * np.arange(outer.size)))


def _spread_by_kind(errors: FloatArray, kind: IntArray) -> FloatArray:
    """Distance of the errors of each kind of day from their median, against all, shrunk by twenty days."""
    away = np.abs(errors - np.median(errors))
    out = np.ones(3)
    for k in range(3):
        mine = away[kind == k]
        out[k] = (mine.sum() + 20.0 * away.mean()) / (mine.size + 20.0) / away.mean()
    return out


class Calibration:
    """Errors of one model at one horizon, and the band they justify today.

    The width follows adaptive conformal inference (Gibbs and Candes 2021), on the logarithm of the width:
    a miss of the 90 % band widens the distribution, a hit narrows it a little. Overlapping outcomes teach
    less, so the step shrinks with the root of the horizon.

    At one day the errors of Saturdays and Sundays are measured apart: their spread against that of the
    others, shrunk towards one, scales what is stated for such a day.

    Parameters
    ----------
    horizon : int
    step : float
        Change of the log width at a miss of certainty.
    """

    def __init__(self, horizon: int, *, step: float = 0.05) -> None:
        self._horizon = horizon
        self._step = step / float(np.sqrt(horizon))
        self._log_width = 0.0
        self._live: list[float] = []
        self._kind: list[int] = []
        self._spread = np.ones(3)
        self._grid: FloatArray | None = None

    @property
    def needs_fitted_errors(self) -> bool:
        """False once a year of live errors has taken over."""
        return len(self._live) < _LIVE_YEAR

    def refit(self, fitted_errors: FloatArray) -> None:
        """Renew the quantiles from a new fit's errors on its own rows and the live ones."""
        live = np.array(self._live[-_LIVE_MEMORY:])
        if self._horizon == 1 and live.size >= _KINDS_FROM:
            kind = np.array(self._kind[-_LIVE_MEMORY:])
            self._spread = _spread_by_kind(live, kind)
            middle = np.median(live)
            live = middle + (live - middle) / self._spread[kind]
        grid = error_quantiles(fitted_errors, live, self._horizon)
        self._grid = np.asarray(grid, dtype=np.float64)

    def quantiles(self, mean: float, weekday: int) -> FloatArray:
        """Variance per day at `PROBABILITIES` around an expected variance.

        Parameters
        ----------
        mean : float
        weekday : int
            Of the last known day, Monday 0.
        """
        if self._grid is None:
            raise ConfigError("expected a fit before a forecast; call refit first")
        middle = self._grid[_MEDIAN]
        width = float(np.exp(self._log_width)) * self._spread[_KIND_AFTER[weekday]]
        return np.asarray(mean * np.exp(middle + width * (self._grid - middle)))

    def observe(self, outcome: float, mean: float, low: float, high: float, weekday: int) -> None:
        """Learn from one completed target, and the mean and 90 % band stated for it on that weekday."""
        self._kind.append(_KIND_AFTER[weekday])
        self._live.append(float(np.log(outcome / mean)))
        missed = not low <= outcome <= high
        self._log_width = float(np.clip(self._log_width + self._step * (missed - 0.1), -0.7, 1.0))


def fitted_errors(
    fit: FittedForecaster,
    history: DailyMeasures,
    horizons: tuple[int, ...],
    scale: float,
    allowed: SaneRange,
) -> list[FloatArray]:
    """Log errors of a fit on the last 500 rows of its own history, per horizon."""
    start = max(60, len(history) - 500)
    said, _ = allowed.apply(fit.predict(history, start), last_resort(history, start, horizons))
    out = []
    for k, horizon in enumerate(horizons):
        came = forward_mean(history.garman_klass, horizon)[start:] * scale
        error = np.log(came / said[:, k])
        out.append(error[np.isfinite(error)])
    return out
