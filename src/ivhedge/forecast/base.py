"""What every forecaster does, and what every forecast is.

Rows, not dates: a forecast *at row t* is made when day t has ended and speaks of the mean daily variance of
days t+1 to t+h. A target at row t is complete only when row t+h is known, and enters no fit before that.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import ndtr, ndtri

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.rolling import forward_mean

__all__ = [
    "PROBABILITIES",
    "FittedForecaster",
    "Forecaster",
    "VarianceForecast",
    "efficient_target",
    "level_scale",
    "require_history",
]

PROBABILITIES = np.array(
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995]
)
"""Where a forecast's quantiles are stated."""


class FittedForecaster(Protocol):
    """Coefficients of one fit; forecasts any later row."""

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        """Mean daily variance over each horizon, forecast at the end of rows `start` and later.

        Parameters
        ----------
        history : DailyMeasures
            Needs `memory` rows before `start`; a row's forecast uses nothing after it.
        start : int

        Returns
        -------
        FloatArray, shape (rows, horizons)
            Fraction squared per day. Not yet filtered: may be out of any range.
        """
        ...


class Forecaster(Protocol):
    """A recipe that turns history into a fit."""

    @property
    def name(self) -> str:
        """Unique name."""
        ...

    @property
    def refit_days(self) -> int:
        """Days between two fits in a walk-forward."""
        ...

    @property
    def memory(self) -> int:
        """Rows before a row that its forecast can depend on."""
        ...

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> FittedForecaster:
        """Fit on the targets that are complete within `history`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceForecast:
    """Distribution of the mean daily variance over the next `horizon` days.

    Parameters
    ----------
    horizon : int
        Days.
    mean : float
        Expected variance per day, fraction squared: the figure that QLIKE judges.
    quantiles : FloatArray, shape (17,)
        Variance per day at `PROBABILITIES`, increasing.
    replaced : bool
        True where the insanity filter put its own figure in place of the model's.
    """

    horizon: int
    mean: float
    quantiles: FloatArray
    replaced: bool = False

    @property
    def vol(self) -> float:
        """Annual volatility of the mean variance, decimal, 365 days."""
        return float(np.sqrt(self.mean * DAYS_PER_YEAR))

    def quantile(self, probability: ArrayLike) -> FloatArray:
        """Variance per day at a probability; log-normal beyond the outermost stated quantiles."""
        p = np.asarray(probability, dtype=np.float64)
        if np.any((p <= 0.0) | (p >= 1.0)):
            raise ConfigError(f"expected probabilities strictly between 0 and 1, found {p}")
        x, z = ndtri(p), ndtri(PROBABILITIES)
        log = np.log(self.quantiles)
        inside = np.interp(x, z, log)
        low = log[0] + (x - z[0]) * (log[1] - log[0]) / (z[1] - z[0])
        high = log[-1] + (x - z[-1]) * (log[-1] - log[-2]) / (z[-1] - z[-2])
        return np.asarray(np.exp(np.where(x < z[0], low, np.where(x > z[-1], high, inside))))

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Central band of the variance per day."""
        low, high = self.quantile([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        return float(low), float(high)

    def cdf(self, variance: float) -> float:
        """Probability of a variance per day at or below this one (the PIT of an outcome)."""
        return float(probability_of(np.array([variance]), self.quantiles[None, :])[0])


def probability_of(outcome: FloatArray, quantiles: FloatArray) -> FloatArray:
    """PIT of outcomes, row by row; `quantiles` has shape (rows, 17)."""
    z = ndtri(PROBABILITIES)
    y, q = np.log(outcome), np.log(quantiles)
    out = np.empty(y.size)
    for k in range(y.size):
        step = np.maximum(np.diff(q[k]), 1e-12)
        if y[k] <= q[k, 0]:
            out[k] = z[0] + (y[k] - q[k, 0]) * (z[1] - z[0]) / step[0]
        elif y[k] >= q[k, -1]:
            out[k] = z[-1] + (y[k] - q[k, -1]) * (z[-1] - z[-2]) / step[-1]
        else:
            out[k] = np.interp(y[k], q[k], z)
    return np.asarray(ndtr(out), dtype=np.float64)


def level_scale(history: DailyMeasures) -> float:
    """Mean realised variance over mean Garman-Klass, on what is known: their levels differ by 10 to 15 %."""
    return float(history.rv.mean() / history.garman_klass.mean())


def efficient_target(history: DailyMeasures, horizon: int) -> FloatArray:
    """Mean Garman-Klass variance of the `horizon` days after each row, at the level of realised variance."""
    return forward_mean(history.garman_klass, horizon) * level_scale(history)


def require_history(history: DailyMeasures, rows: int, horizons: tuple[int, ...], name: str) -> None:
    """Refuse a history too short for a fit.

    Raises
    ------
    ConfigError
        If no horizon is given or one is below a day.
    DataError
        If the history is too short; says how many days are needed.
    """
    if not horizons or min(horizons) < 1:
        raise ConfigError(f"expected horizons of at least 1 day, found {horizons}")
    needed = rows + max(horizons)
    if len(history) < needed:
        raise DataError(
            f"{name}: expected at least {needed} days for horizons up to {max(horizons)} days, "
            f"found {len(history)}; give a longer history or shorter horizons"
        )
