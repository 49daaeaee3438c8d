"""When to act, where to stop, and how much of everything may be held."""

from dataclasses import dataclass, field
from math import inf, isfinite

from ivhedge.core.errors import ConfigError

__all__ = ["AdjustmentSettings", "GrossLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrossLimits:
    """Most that may be held regardless of sign; infinite = no limit.

    Parameters
    ----------
    option_units : float
        Sum of option sizes, units of the underlying.
    notional_usd : float
        Of options and futures at the index, USD.
    """

    option_units: float = inf
    notional_usd: float = inf

    def __post_init__(self) -> None:
        for name in ("option_units", "notional_usd"):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"expected {name} at or above 0 (inf = off), found {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentSettings:
    """How adjustments are triggered and how far they go.

    Parameters
    ----------
    return_share : float
        The inner edge: share of the way from a band's target to its edge. Above 0, below 1.
    requirement_share : float
        What margin, gross and control limits are brought back to: share of the limit. Above 0, below 1.
    min_gap_s : float
        Least time between two adjustments for one cause, unless it got worse.
    worse_by : float
        Growth of a cause's severity since its last adjustment, as a share of it, from which the time does
        not count.
    leg_worth : float
        Share of a plan's cost that one leg less may cost.
    leg_worth_usd : float
        The same as an amount; the larger of both holds.
    max_steps : int
        Most steps of one deleveraging.
    gross : GrossLimits
    """

    return_share: float = 0.75
    requirement_share: float = 0.9
    min_gap_s: float = 300.0
    worse_by: float = 0.25
    leg_worth: float = 0.05
    leg_worth_usd: float = 1.0
    max_steps: int = 40
    gross: GrossLimits = field(default_factory=GrossLimits)

    def __post_init__(self) -> None:
        for name in ("return_share", "requirement_share"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(
                    f"expected {name} above 0 and below 1, found {getattr(self, name)}; at 1 every crossing "
                    "of an edge would trade"
                )
        for name in ("min_gap_s", "worse_by", "leg_worth", "leg_worth_usd"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise ConfigError(f"expected {name} finite and at or above 0, found {getattr(self, name)}")
        if self.max_steps < 1:
            raise ConfigError(f"expected max_steps at or above 1, found {self.max_steps}")
