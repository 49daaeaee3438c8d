"""Combinations: the geometric mean of several forecasts, with equal weights.

Equal weights because estimated ones rarely pay for their noise (Timmermann 2006); logarithms because one
wild member then moves the combination by its share only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.forecast.base import FittedForecaster, Forecaster
from ivhedge.forecast.measures import DailyMeasures

__all__ = ["Combination", "FittedCombination"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Geometric mean of its members.

    Parameters
    ----------
    name : str
    members : tuple of Forecaster
    """

    name: str
    members: tuple[Forecaster, ...]

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ConfigError(f"{self.name}: expected at least two members, found {len(self.members)}")

    @property
    def refit_days(self) -> int:
        """The shortest of its members'."""
        return min(member.refit_days for member in self.members)

    @property
    def memory(self) -> int:
        """The longest of its members'."""
        return max(member.memory for member in self.members)

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "FittedCombination":
        """Fit every member; see `Forecaster.fit`."""
        return FittedCombination(members=tuple(m.fit(history, horizons) for m in self.members))

    def from_fits(self, fits: Mapping[str, FittedForecaster]) -> "FittedCombination | None":
        """Build from fits at hand, by name; None unless every member is among them."""
        if any(member.name not in fits for member in self.members):
            return None
        return FittedCombination(members=tuple(fits[member.name] for member in self.members))


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCombination:
    """Fitted members."""

    members: tuple[FittedForecaster, ...]

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        """Geometric mean of the members that have a positive, finite figure; nan where none has."""
        return geometric_mean([member.predict(history, start) for member in self.members])


def geometric_mean(forecasts: list[FloatArray]) -> FloatArray:
    """Elementwise geometric mean over what is positive and finite."""
    stack = np.array(forecasts)
    good = np.isfinite(stack) & (stack > 0.0)
    count = good.sum(axis=0)
    log = np.where(good, np.log(np.where(good, stack, 1.0)), 0.0).sum(axis=0)
    return np.asarray(np.where(count > 0, np.exp(log / np.maximum(count, 1)), np.nan))
