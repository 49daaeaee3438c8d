"""Forecasters without a regression: random walk and exponential means."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.forecast.base import level_scale, require_history
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.rolling import MEMORY, exponential_mean, trailing_mean

__all__ = ["EwmaForecaster", "RandomWalkForecaster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomWalkForecaster:
    """Tomorrow is like the last max(7, horizon) days: realised variance."""

    name: str = "random walk"
    refit_days: int = 7
    memory: int = MEMORY

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "_FittedWalk":
        """Nothing to fit; see `Forecaster.fit`."""
        require_history(history, 7, horizons, self.name)
        return _FittedWalk(horizons=horizons)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FittedWalk:
    horizons: tuple[int, ...]

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        spans = [max(7, horizon) for horizon in self.horizons]
        return np.column_stack([trailing_mean(history.rv, span)[start:] for span in spans])


@dataclass(frozen=True, slots=True, kw_only=True)
class EwmaForecaster:
    """Exponential mean of squared daily returns, or of Garman-Klass at the level of realised variance.

    Parameters
    ----------
    weight : float
        On the newest day; 0.06 is RiskMetrics' 0.94.
    use_range : bool
        Garman-Klass instead of squared returns.
    """

    name: str
    weight: float = 0.06
    use_range: bool = False
    refit_days: int = 7
    memory: int = MEMORY

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "_FittedEwma":
        """Only the level is fitted; see `Forecaster.fit`."""
        require_history(history, 30, horizons, self.name)
        scale = level_scale(history) if self.use_range else 1.0
        return _FittedEwma(forecaster=self, horizons=horizons, scale=scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FittedEwma:
    forecaster: EwmaForecaster
    horizons: tuple[int, ...]
    scale: float

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        begin = max(0, start - self.forecaster.memory)
        tail = history.rows(begin, len(history))
        source = tail.garman_klass if self.forecaster.use_range else tail.log_return**2
        mean = exponential_mean(source, self.forecaster.weight)[start - begin :] * self.scale
        return np.repeat(mean[:, None], len(self.horizons), axis=1)
