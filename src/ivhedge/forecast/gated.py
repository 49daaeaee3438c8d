"""A member that has to earn its place: it joins a combination only where its recent record says so.

At each fit, every member is also fitted on what was known `trial_days` ago and judged on the days since.
Per horizon the member on trial joins if the combination with it had a lower QLIKE than without it, by more
than `margin` standard errors. What is not known to help stays out; nothing is read that lies ahead.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.forecast.base import FittedForecaster, Forecaster, efficient_target
from ivhedge.forecast.combine import geometric_mean
from ivhedge.forecast.evaluation import long_run_variance, qlike
from ivhedge.forecast.measures import DailyMeasures

__all__ = ["FittedGatedCombination", "GatedCombination"]

_FEWEST_TRIALS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedCombination:
    """Geometric mean of `members`, and of `on_trial` at the horizons where it has helped.

    Parameters
    ----------
    name : str
    members : tuple of Forecaster
    on_trial : Forecaster
    trial_days : int
        Days that judge it.
    margin : float
        Standard errors (Bartlett, overlapping horizons) by which it has to have helped.
    """

    name: str
    members: tuple[Forecaster, ...]
    on_trial: Forecaster
    trial_days: int = 365
    margin: float = 1.0

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError(f"{self.name}: expected at least one member, found none")
        if self.trial_days < _FEWEST_TRIALS or not self.margin >= 0.0:
            raise ConfigError(
                f"{self.name}: expected trial_days >= {_FEWEST_TRIALS} and margin >= 0, found "
                f"{self.trial_days} and {self.margin}"
            )

    @property
    def refit_days(self) -> int:
        """The shortest of its members'."""
        return min(member.refit_days for member in (*self.members, self.on_trial))

    @property
    def memory(self) -> int:
        """The longest of its members'."""
        return max(member.memory for member in (*self.members, self.on_trial))

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "FittedGatedCombination":
        """Fit every member, and hold the trial; see `Forecaster.fit`."""
        return FittedGatedCombination(
            members=tuple(member.fit(history, horizons) for member in self.members),
            on_trial=self.on_trial.fit(history, horizons),
            joins=self._trial(history, horizons),
        )

    def _trial(self, history: DailyMeasures, horizons: tuple[int, ...]) -> BoolArray:
        joins = np.zeros(len(horizons), dtype=np.bool_)
        known = len(history) - self.trial_days
        if known < self.trial_days:
            return joins
        past = history.rows(0, known)
        plain = [member.fit(past, horizons).predict(history, known - 1) for member in self.members]
        tried = self.on_trial.fit(past, horizons).predict(history, known - 1)
        without, with_it = geometric_mean(plain), geometric_mean([*plain, tried])
        for k, horizon in enumerate(horizons):
            came = efficient_target(history, horizon)[known - 1 :]
            use = np.isfinite(came) & np.isfinite(tried[:, k])
            if int(use.sum()) < _FEWEST_TRIALS:
                continue
            saved = qlike(came[use], without[use, k]) - qlike(came[use], with_it[use, k])
            lag = max(horizon - 1, int(saved.size ** (1.0 / 3.0)))
            error = np.sqrt(long_run_variance(saved, lag) / saved.size)
            joins[k] = saved.mean() > self.margin * error
        return joins


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedGatedCombination:
    """Fitted members.

    Parameters
    ----------
    members : tuple of FittedForecaster
    on_trial : FittedForecaster
    joins : BoolArray, shape (horizons,)
        Where the member on trial takes part.
    """

    members: tuple[FittedForecaster, ...]
    on_trial: FittedForecaster
    joins: BoolArray

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        """Geometric mean of those that take part and have a positive, finite figure."""
        stated = [member.predict(history, start) for member in self.members]
        tried = np.where(self.joins, self.on_trial.predict(history, start), np.nan)
        return geometric_mean([*stated, tried])
