"""Settings of the adaptive hedge ratio."""

from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.ratios.buckets import RatioBuckets

__all__ = ["RecalibrationSettings"]

_REFERENCE_DAYS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalibrationSettings:
    """How an adaptive ratio learns, forgets, doubts and abstains.

    Parameters
    ----------
    buckets : RatioBuckets
    half_life_days : float
        Of the memory.
    pooled_t, bucket_t : float
        |t| below which the pooled slope, and that of a bucket, count as nothing; above it 1 − (c/t)² is kept.
    least_effective_steps : float
        (Σw)²/Σw² below which nothing is kept.
    tenor_power, delta_tilt : float
        β goes with ``(30/days)**tenor_power·(1 + delta_tilt·(½ − N(d1)))``.
    scale_half_life_days : float
        Of the usual size of a step; one s times as large counts with the root of 1/s.
    tolerance : float
        Standard errors by which an estimate must leave the published one before that is replaced.
    max_age_days : float
        Published parameters that differ at all are replaced at this age.
    max_silence_days : float
        Time since the last step after which the ratio is Black-Scholes until the next.

    Notes
    -----
    The figures were chosen on BTC and ETH before 2026-03-15.
    """

    buckets: RatioBuckets = field(default_factory=RatioBuckets)
    half_life_days: float = 2.5
    pooled_t: float = 2.0
    bucket_t: float = 2.0
    least_effective_steps: float = 8.0
    tenor_power: float = 0.5
    delta_tilt: float = 1.0
    scale_half_life_days: float = 17.0
    tolerance: float = 0.1
    max_age_days: float = 1.0
    max_silence_days: float = 2.0

    def __post_init__(self) -> None:
        above = ("half_life_days", "scale_half_life_days", "max_age_days", "max_silence_days")
        for name in above:
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise ConfigError(f"expected {name} above 0 and finite, found {getattr(self, name)}")
        for name in ("pooled_t", "bucket_t", "tenor_power", "tolerance"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise ConfigError(f"expected {name} at or above 0 and finite, found {getattr(self, name)}")
        if not 2.0 <= self.least_effective_steps < np.inf:
            raise ConfigError(f"expected least_effective_steps >= 2, found {self.least_effective_steps}")
        if not -2.0 < self.delta_tilt < 2.0:
            raise ConfigError(f"expected delta_tilt in (-2, 2), found {self.delta_tilt}")

    def shape(self, days: FloatArray, call_delta: FloatArray) -> FloatArray:
        """β relative to that of 30 days at N(d1) = ½; positive."""
        tenor = (_REFERENCE_DAYS / np.asarray(days, dtype=np.float64)) ** self.tenor_power
        return np.asarray(tenor * (1.0 + self.delta_tilt * (0.5 - np.asarray(call_delta))))
