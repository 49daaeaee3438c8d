"""What steers the fusion of venues."""

import math
from dataclasses import dataclass

from ivhedge.core.errors import ConfigError

__all__ = ["FusionSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionSettings:
    """How venues are told apart and pooled.

    Parameters
    ----------
    anchor : str, optional
        Venue whose biases are zero by definition. Without one, biases are relative to the consensus: the
        mean of the venues' common biases, weighted by the information in their quotes (spread, depth, age,
        number, copies counted once) when the model is made, is 0.
    venue_prior : float
        Prior standard deviation of a venue's common level and slope bias, in its own half-spreads: a tight
        market cannot stand far from value without being traded against.
    expiry_prior : float
        Where the estimate of the spread of biases between a venue's expiries begins, same unit.
    drift_per_day : float
        Standard deviation by which biases walk in a day, same unit; how fast the memory fades.
    error_memory_s : float
        Quotes this far apart in time count as independent looks; nearer snapshots share information in
        proportion, so that a quote that stands for an hour is not counted 3,600 times.
    rounds : int
        Rounds of reweighting.
    min_overlap : int
        Quotes that a venue needs in an expiry which another venue quotes too for its bias to be measured.
    copy_threshold : float
        Correlation of errors, at its lower 3-sigma bound, from which two venues share one opinion.
    hold_half_life_s : float
        The last corrected quotes of a venue that drops stay for ten such times, moved with the others and
        widened by what they may have moved alone, their weight halving in this time on top: its loss then
        moves the surface slowly.
    vol_of_vol : float
        Relative standard deviation of vols per square root of a year; how far held quotes may have moved.
    inflation : float
        Factor on the standard errors, checked by simulation (`benchmarks/fusion.py`).

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """

    anchor: str | None = None
    venue_prior: float = 1.0
    expiry_prior: float = 0.2
    drift_per_day: float = 0.3
    error_memory_s: float = 60.0
    rounds: int = 14
    min_overlap: int = 3
    copy_threshold: float = 0.5
    hold_half_life_s: float = 900.0
    vol_of_vol: float = 1.5
    inflation: float = 1.05

    def __post_init__(self) -> None:
        positive = {
            "venue_prior": self.venue_prior,
            "expiry_prior": self.expiry_prior,
            "drift_per_day": self.drift_per_day,
            "error_memory_s": self.error_memory_s,
            "copy_threshold": self.copy_threshold,
            "hold_half_life_s": self.hold_half_life_s,
            "vol_of_vol": self.vol_of_vol,
            "inflation": self.inflation,
        }
        for name, value in positive.items():
            if not (value > 0.0 and math.isfinite(value)):
                raise ConfigError(f"expected {name} above 0 and finite, found {value}")
        if self.rounds < 4 or self.min_overlap < 1:
            raise ConfigError(
                f"expected rounds >= 4 and min_overlap >= 1, found {self.rounds} and {self.min_overlap}"
            )
