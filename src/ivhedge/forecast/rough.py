"""Rough volatility: the log variance as a fractional Brownian motion with a small Hurst exponent.

    E[X_{t+D} | F_t] = cos(H pi)/pi * D^{H+1/2} * integral of X_s / ((t-s+D) (t-s)^{H+1/2}) ds

(Gatheral, Jaisson and Rosenbaum 2018, eq. 5.1), with the kernel summed over days, cut and normalised; the
mean over the horizon is taken in logarithms, and the level comes back by smearing over the past.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray
from ivhedge.forecast.base import level_scale, require_history
from ivhedge.forecast.calendar import NO_SEASON, forward_season, season_factors
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.rolling import forward_mean, kernel_mean

__all__ = ["RoughForecaster", "hurst_exponent", "rough_kernel"]

_MEMORY = 365


def hurst_exponent(log_vol: FloatArray, *, max_lag: int = 30) -> float:
    """Half the slope of ln E|X_{t+D} − X_t|² on ln D, D = 1..`max_lag`; kept inside [0.02, 0.48].

    Parameters
    ----------
    log_vol : FloatArray, shape (days,)
    max_lag : int

    Raises
    ------
    DataError
        With fewer than four times `max_lag` days.

    Notes
    -----
    Measurement noise of daily variances lowers the estimate; for forecasting that is what is wanted, since
    a noisy last day should count less.
    """
    if log_vol.size < 4 * max_lag:
        raise DataError(
            f"expected at least {4 * max_lag} days for lags up to {max_lag}, found {log_vol.size}"
        )
    lags = np.arange(1, max_lag + 1)
    moment = np.array([np.mean((log_vol[lag:] - log_vol[:-lag]) ** 2) for lag in lags])
    slope = np.polyfit(np.log(lags), np.log(moment), 1)[0]
    return float(np.clip(0.5 * slope, 0.02, 0.48))


def rough_kernel(hurst: float, horizon: int, *, memory: int = _MEMORY) -> FloatArray:
    """Weights of past days, newest first, averaged over days 1 to `horizon`; they add up to one."""
    past = np.arange(memory) + 0.5
    ahead = np.arange(1, horizon + 1)[:, None]
    weight = ahead ** (hurst + 0.5) / ((past + ahead) * past ** (hurst + 0.5))
    mean = (weight / weight.sum(axis=1, keepdims=True)).mean(axis=0)
    return np.asarray(mean, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoughForecaster:
    """Kernel forecast of the log variance.

    Parameters
    ----------
    weekly : bool
        Free the variances of the weekday's factor first and put the factors of the days ahead back.
    """

    name: str = "RFSV"
    weekly: bool = True
    refit_days: int = 7
    memory: int = _MEMORY

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "_FittedRough":
        """Estimate the Hurst exponent, the week and the level; see `Forecaster.fit`."""
        require_history(history, 150, horizons, self.name)
        season = season_factors(history.garman_klass, history.weekday) if self.weekly else NO_SEASON
        log = np.log(history.garman_klass / season[history.weekday])
        hurst = hurst_exponent(0.5 * log)
        kernels = tuple(rough_kernel(hurst, horizon) for horizon in horizons)
        smear = []
        for horizon, kernel in zip(horizons, kernels, strict=True):
            target = np.log(forward_mean(history.garman_klass, horizon))
            target = target - np.log(forward_season(history.weekday, horizon, season))
            error = (target - kernel_mean(log, kernel))[30 : len(history) - horizon]
            smear.append(float(np.mean(np.exp(error))))
        return _FittedRough(
            horizons=horizons,
            season=season,
            hurst=hurst,
            kernels=kernels,
            level=np.array(smear) * level_scale(history),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FittedRough:
    horizons: tuple[int, ...]
    season: FloatArray
    hurst: float
    kernels: tuple[FloatArray, ...]
    level: FloatArray

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        begin = max(0, start - _MEMORY)
        tail = history.rows(begin, len(history))
        log = np.log(tail.garman_klass / self.season[tail.weekday])
        out = np.empty((len(history) - start, len(self.horizons)))
        for k, (horizon, kernel) in enumerate(zip(self.horizons, self.kernels, strict=True)):
            ahead = forward_season(tail.weekday[start - begin :], horizon, self.season)
            out[:, k] = np.exp(kernel_mean(log, kernel)[start - begin :]) * ahead * self.level[k]
        return out
