"""Gradient-boosted trees on the columns of the best regression; needs the extra `ivhedge[forecast]`."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.forecast import blocks
from ivhedge.forecast.base import level_scale, require_history
from ivhedge.forecast.calendar import forward_season, season_factors, weekday_shares
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.rolling import MEMORY, forward_mean

__all__ = ["BoostingForecaster", "boosting_available"]


def boosting_available() -> bool:
    """Tell whether scikit-learn is installed."""
    return find_spec("sklearn") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostingForecaster:
    """Histogram gradient boosting of the log variance, freed of the weekday's factor.

    Parameters
    ----------
    rounds, learning_rate, depth, leaf
        Trees, shrinkage, depth and least rows in a leaf. No early stopping, so nothing is random.
    refit_days : int
        Four weeks: a fit costs a hundred regressions.
    """

    name: str = "boosting"
    rounds: int = 80
    learning_rate: float = 0.05
    depth: int = 3
    leaf: int = 30
    refit_days: int = 28
    memory: int = MEMORY

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "_FittedBoosting":
        """Grow the trees; see `Forecaster.fit`.

        Raises
        ------
        ConfigError
            If scikit-learn is not installed.
        """
        require_history(history, 200, horizons, self.name)
        if not boosting_available():
            raise ConfigError("boosting needs scikit-learn; install ivhedge[forecast] or leave the model out")
        grow = import_module("sklearn.ensemble").HistGradientBoostingRegressor
        season = season_factors(history.garman_klass, history.weekday)
        trees, smear = [], []
        for horizon in horizons:
            x = _columns(history, season, horizon)[30 : len(history) - horizon]
            target = np.log(forward_mean(history.garman_klass, horizon))
            target = (target - np.log(forward_season(history.weekday, horizon, season)))[
                30 : len(history) - horizon
            ]
            tree = grow(
                max_iter=self.rounds,
                learning_rate=self.learning_rate,
                max_depth=self.depth,
                min_samples_leaf=self.leaf,
                early_stopping=False,
            ).fit(x, target)
            trees.append(tree)
            smear.append(float(np.mean(np.exp(target - tree.predict(x)))))
        return _FittedBoosting(
            horizons=horizons,
            season=season,
            trees=tuple(trees),
            level=np.array(smear) * level_scale(history),
        )


def _columns(history: DailyMeasures, season: FloatArray, horizon: int) -> FloatArray:
    share = weekday_shares(history.weekday, horizon)[:, [5, 6, 0]]
    parts = [
        blocks.log_gk(history, season),
        blocks.exponential_log_gk(history, season)[:, 1:],
        blocks.leverage(history, season),
        blocks.gk_against_rv(history, season),
        blocks.late_gk(history, season),
        share,
    ]
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FittedBoosting:
    horizons: tuple[int, ...]
    season: FloatArray
    trees: tuple[Any, ...]
    level: FloatArray

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        begin = max(0, start - MEMORY)
        tail = history.rows(begin, len(history))
        out = np.empty((len(history) - start, len(self.horizons)))
        for k, (horizon, tree) in enumerate(zip(self.horizons, self.trees, strict=True)):
            x = _columns(tail, self.season, horizon)[start - begin :]
            ahead = forward_season(tail.weekday[start - begin :], horizon, self.season)
            out[:, k] = np.exp(tree.predict(x)) * ahead * self.level[k]
        return out
