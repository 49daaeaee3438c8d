"""The adaptive hedge ratio: what a recalibration published, as a ratio."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.ratios.legs import RatioLegs
from ivhedge.hedge.ratios.protocol import ratio_delta
from ivhedge.hedge.ratios.settings import RecalibrationSettings
from ivhedge.surface.dynamics import SmileDelta

__all__ = ["AdaptiveRatio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveRatio:
    """A slope for each bucket times the shape of β; Black-Scholes where it is 0 and outside the grid.

    Parameters
    ----------
    settings : RecalibrationSettings
    factors : FloatArray, shape (buckets.count,)
        Slopes after shrinkage: β of a 30-day option at N(d1) = ½.
    name : str
    """

    settings: RecalibrationSettings
    factors: FloatArray
    name: str = "adaptive"

    def __post_init__(self) -> None:
        shape = (self.settings.buckets.count,)
        if self.factors.shape != shape or not np.isfinite(self.factors).all():
            raise ConfigError(f"expected finite factors of shape {shape}, found {self.factors.shape}")

    @property
    def abstains(self) -> bool:
        """Whether it is Black-Scholes everywhere."""
        return not self.factors.any()

    def beta_at(self, days: FloatArray, call_delta: FloatArray) -> FloatArray:
        """β at days to expiry and N(d1)."""
        at = self.settings.buckets.locate(days, call_delta)
        slope = np.where(at >= 0, self.factors[np.maximum(at, 0)], 0.0)
        return np.asarray(slope * self.settings.shape(days, call_delta))

    def vol_beta(self, legs: RatioLegs) -> FloatArray:
        """β of each option."""
        return self.beta_at(legs.days, legs.call_delta)

    def delta(self, legs: RatioLegs) -> SmileDelta:
        """Delta with the published slopes."""
        return ratio_delta(self, legs)
