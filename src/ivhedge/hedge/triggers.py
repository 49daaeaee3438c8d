"""When to hedge: pure decisions on the time and the exposures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Protocol

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.hedge.limits import Band

__all__ = [
    "AlwaysTrigger",
    "AnyTrigger",
    "BandTrigger",
    "Decision",
    "HedgeState",
    "IntervalTrigger",
    "Trigger",
]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to hedge now, and why."""

    fire: bool
    reason: str


class Trigger(Protocol):
    """Something that decides when to hedge."""

    def decide(self, ts_ns: int, last_hedge_ns: int | None, exposure: Mapping[str, float]) -> Decision:
        """Decide.

        Parameters
        ----------
        ts_ns : int
            Now, nanoseconds since the epoch, UTC.
        last_hedge_ns : int or None
            None = never hedged.
        exposure : mapping of factor name to exposure
            ``delta``, ``gamma_1pct``, ``vega_<min>_<max>d``, as in the plan.
        """
        ...


@dataclass(frozen=True, slots=True)
class AlwaysTrigger:
    """Hedge at every look."""

    def decide(self, ts_ns: int, last_hedge_ns: int | None, exposure: Mapping[str, float]) -> Decision:
        """Decide; always yes."""
        return Decision(True, "hedges at every look")


@dataclass(frozen=True, slots=True)
class IntervalTrigger:
    """Hedge when `hours` have passed since the last hedge."""

    hours: float

    def __post_init__(self) -> None:
        if not (isfinite(self.hours) and self.hours > 0.0):
            raise ConfigError(f"expected a finite interval above 0 hours, found {self.hours}")

    def decide(self, ts_ns: int, last_hedge_ns: int | None, exposure: Mapping[str, float]) -> Decision:
        """Decide by the time passed."""
        if last_hedge_ns is None:
            return Decision(True, "first hedge")
        passed = (ts_ns - last_hedge_ns) / NS_PER_HOUR
        return Decision(
            passed >= self.hours, f"{passed:.1f} h since the last hedge, interval {self.hours:g} h"
        )


@dataclass(frozen=True, slots=True)
class BandTrigger:
    """Hedge when an exposure leaves its band.

    Parameters
    ----------
    bands : mapping of factor name to Band
        ``delta``, ``gamma_1pct`` or ``vega_<min>_<max>d``; ``vega`` stands for every vega bucket.
    """

    bands: Mapping[str, Band]

    def __post_init__(self) -> None:
        if not self.bands:
            raise ConfigError("expected at least one band to watch, found none; use AlwaysTrigger instead")

    def decide(self, ts_ns: int, last_hedge_ns: int | None, exposure: Mapping[str, float]) -> Decision:
        """Decide by the first exposure outside its band.

        Raises
        ------
        ConfigError
            If a watched name is none of the exposures: it would never fire.
        DataError
            If a watched exposure is not a number.
        """
        unknown = sorted(self.bands.keys() - exposure.keys() - {"vega"})
        if unknown:
            raise ConfigError(
                f"expected bands on exposures of {sorted(exposure)}, found {unknown}; use these names, or "
                "'vega' for every vega bucket"
            )
        for name, value in exposure.items():
            band = self.bands.get(name, self.bands.get("vega") if name.startswith("vega_") else None)
            if band is None:
                continue
            if isnan(value):
                raise DataError(f"expected a number for the exposure {name}, found {value}; check the marks")
            if band.violation(value) > 0.0:
                return Decision(True, f"{name} {value:.6g} outside {band.lower:.6g} to {band.upper:.6g}")
        return Decision(False, "every watched exposure is inside its band")


@dataclass(frozen=True, slots=True)
class AnyTrigger:
    """Hedge when one of several triggers says so: a timetable with a band, say."""

    triggers: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        if not self.triggers:
            raise ConfigError("expected at least one trigger, found none")

    def decide(self, ts_ns: int, last_hedge_ns: int | None, exposure: Mapping[str, float]) -> Decision:
        """Decide by the first trigger that fires."""
        decisions = [trigger.decide(ts_ns, last_hedge_ns, exposure) for trigger in self.triggers]
        fired = [decision for decision in decisions if decision.fire]
        return fired[0] if fired else Decision(False, "; ".join(d.reason for d in decisions))


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeState:
    """What a hedger remembers between looks.

    Parameters
    ----------
    last_hedge_ns : int or None
        Time of the last hedge; None = never.
    trigger : Trigger
    """

    last_hedge_ns: int | None = None
    trigger: Trigger = field(default_factory=AlwaysTrigger)
