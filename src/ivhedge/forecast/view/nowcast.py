"""What has happened since the last forecast, carried into the next days.

A forecaster speaks at the end of a day; a spike does not wait for it. The variance of the last 24 hours
against the forecast moves what is expected of the next ones by an elasticity that is measured on the past.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY
from ivhedge.forecast.bars import Bars
from ivhedge.forecast.measures import weekday_of
from ivhedge.forecast.walkforward import ForecastRun

__all__ = ["Nowcast", "fit_nowcast", "recent_variance"]

_FEWEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Nowcast:
    """Elasticities of the variance to come to the surprise of the last 24 hours.

    Parameters
    ----------
    horizons : tuple of int
        Days.
    elasticity : FloatArray, shape (horizons,)
        Of the variance from `hour` on, in logarithms, within 0 and 1.
    error : FloatArray, shape (horizons,)
        Standard error, robust to overlap (Bartlett).
    hour : float
        Hours after the forecast at which it was measured.
    """

    horizons: tuple[int, ...]
    elasticity: FloatArray
    error: FloatArray
    hour: float

    def scale(self, recent: float, forecast: float, days: float, *, most: float = 10.0) -> float:
        """Factor on the expected variance of the next `days`; 1 without a surprise.

        Parameters
        ----------
        recent : float
            Variance realised in the last 24 hours, per day.
        forecast : float
            Expected variance per day that the surprise is measured against.
        days : float
        most : float
            Largest factor, and one over the smallest.

        Raises
        ------
        DataError
            If a variance is not positive and finite.
        """
        if not all(np.isfinite(v) and v > 0.0 for v in (recent, forecast, days)):
            raise DataError(f"expected positive variances and days, found {recent}, {forecast}, {days}")
        at = float(np.interp(np.log(days), np.log(self.horizons), self.elasticity))
        return float(np.clip((recent / forecast) ** at, 1.0 / most, most))


def recent_variance(bars: Bars, ts_ns: int) -> float:
    """Realised variance of the 24 hours before a time, from whole bars, per day.

    Raises
    ------
    DataError
        If the bars do not cover those hours, or nothing moved in them.
    """
    step = bars.interval_ns
    close = bars.close.ravel()
    last = int((ts_ns - int(bars.day_ns[0])) // step)
    count = int(NS_PER_DAY // step)
    if last - count < 1 or last > close.size:
        raise DataError("expected bars of the last 24 hours, found none; feed newer bars")
    path = close[last - count - 1 : last]
    moves = np.diff(np.log(path[np.isfinite(path)]))
    variance = float((moves**2).sum())
    if not (moves.size >= 0.9 * count and variance > 0.0):
        raise DataError(f"expected {count} bars that move in the last 24 hours, found {moves.size}")
    return variance * count / moves.size


def fit_nowcast(bars: Bars, run: ForecastRun, model: str, *, hour: float = 12.0) -> Nowcast:
    """Measure the elasticities on the past.

    Parameters
    ----------
    bars : Bars
    run : ForecastRun
        A walk-forward run on their daily measures.
    model : str
    hour : float
        Hours into each day at which the surprise is taken; what comes after it is the outcome.

    Returns
    -------
    Nowcast

    Raises
    ------
    DataError
        With fewer than 100 complete outcomes.
    """
    step = bars.interval_ns
    moves = np.concatenate([[0.0], np.diff(np.log(_filled(bars.close.ravel())))]) ** 2
    total = np.concatenate([[0.0], np.cumsum(moves)])
    per_day = int(NS_PER_DAY // step)
    first = ((run.day_ns - int(bars.day_ns[0])) // NS_PER_DAY + 1) * per_day
    cut = first + int(hour * 3_600e9 // step)
    said = run.mean[run.names.index(model)]
    elasticity, error = [], []
    for k, horizon in enumerate(run.horizons):
        known = (cut - per_day >= 0) & (cut + horizon * per_day < total.size)
        at = cut[known]
        if at.size < _FEWEST:
            raise DataError(f"expected at least {_FEWEST} outcomes over {horizon} days, found {at.size}")
        recent = total[at] - total[at - per_day]
        came = (total[at + horizon * per_day] - total[at]) / horizon
        good = (recent > 0.0) & (came > 0.0)
        forecast = said[k, known][good]
        x = np.log(recent[good] / said[0, known][good])
        y = np.log(came[good] / forecast)
        week = weekday_of(run.day_ns[known][good])
        slope, se = _slope(_less_weekday(x, week), _less_weekday(y, week), horizon)
        elasticity.append(min(max(slope, 0.0), 1.0))
        error.append(se)
    return Nowcast(horizons=run.horizons, elasticity=np.array(elasticity), error=np.array(error), hour=hour)


def _less_weekday(values: FloatArray, weekday: IntArray) -> FloatArray:
    """Less the mean of the weekday: a calm Saturday is no surprise."""
    count = np.maximum(np.bincount(weekday, minlength=7), 1)
    return np.asarray(values - (np.bincount(weekday, values, minlength=7) / count)[weekday])


def _filled(close: FloatArray) -> FloatArray:
    known = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(close.size), 0))
    return np.asarray(close[known])


def _slope(x: FloatArray, y: FloatArray, horizon: int) -> tuple[float, float]:
    centred = x - x.mean()
    square = float((centred**2).mean())
    slope = float((centred * y).mean()) / square
    score = centred * (y - y.mean() - slope * centred)
    lag = max(horizon - 1, int(x.size ** (1.0 / 3.0)))
    variance = float((score**2).mean())
    for j in range(1, lag + 1):
        variance += 2.0 * (1.0 - j / (lag + 1.0)) * float((score[j:] * score[:-j]).sum()) / x.size
    return slope, float(np.sqrt(max(variance, 0.0) / x.size) / square)
