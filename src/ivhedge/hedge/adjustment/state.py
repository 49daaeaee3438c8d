"""What an adjuster remembers, so that it does not act on the same thing again and again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from ivhedge.core.errors import DataError
from ivhedge.core.units import NS_PER_SECOND, format_ns
from ivhedge.hedge.adjustment.gauges import Gauge
from ivhedge.hedge.adjustment.ruler import Reading, Ruler
from ivhedge.hedge.adjustment.settings import AdjustmentSettings

__all__ = ["AdjustmentState", "Cause", "LastAction", "remember", "watch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAction:
    """When a cause was last acted on, and how severe it was then."""

    ts_ns: int
    severity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentState:
    """Last action by name of the cause; goes into one decision and comes out of it."""

    last: Mapping[str, LastAction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A gauge beyond its outer edge.

    Parameters
    ----------
    gauge : Gauge
    value : float
    severity : float
        Distance beyond the edge in units of half the band; margin: as a share of the requirement.
    acts : bool
        Whether it calls for action now.
    why : str
    """

    gauge: Gauge
    value: float
    severity: float
    acts: bool
    why: str


def watch(
    ruler: Ruler, reading: Reading, state: AdjustmentState, settings: AdjustmentSettings, ts_ns: int
) -> tuple[Cause, ...]:
    """Find which gauges are beyond their edges, and which of them call for action now, the worst first.

    Raises
    ------
    DataError
        If a gauge is not a number, or the state is from after `ts_ns`.
    """
    causes = []
    for i, gauge in enumerate(ruler.gauges):
        value, severity = float(reading.values[0, i]), float(reading.outside[0, i])
        if value != value or not isfinite(severity):
            raise DataError(f"expected a number for {gauge.name}, found {value}; mend its inputs")
        if severity > 0.0:
            acts, why = _calls(gauge, value, severity, state, settings, ts_ns)
            causes.append(Cause(gauge=gauge, value=value, severity=severity, acts=acts, why=why))
    return tuple(sorted(causes, key=lambda cause: -cause.severity))


def _calls(
    gauge: Gauge,
    value: float,
    severity: float,
    state: AdjustmentState,
    settings: AdjustmentSettings,
    ts_ns: int,
) -> tuple[bool, str]:
    found = f"{gauge.name} {value:.4g} {gauge.unit} outside {_range(gauge)}"
    last = state.last.get(gauge.name)
    if last is None:
        return True, found
    if last.ts_ns > ts_ns:
        raise DataError(
            f"expected a state from before {format_ns(ts_ns)}, found an action of {format_ns(last.ts_ns)}; "
            "pass times in order"
        )
    passed = (ts_ns - last.ts_ns) / NS_PER_SECOND
    if passed >= settings.min_gap_s:
        return True, found
    if severity > last.severity * (1.0 + settings.worse_by) + 1e-12:
        return True, f"{found}; worse than at the last action {passed:.0f} s ago"
    return False, f"{found}; acted on {passed:.0f} s ago, waits until {settings.min_gap_s:g} s have passed"


def _range(gauge: Gauge) -> str:
    return f"{gauge.lower:.4g} to {gauge.upper:.4g}" if gauge.lower > -1e300 else f"at most {gauge.upper:.4g}"


def remember(state: AdjustmentState, causes: tuple[Cause, ...], ts_ns: int) -> AdjustmentState:
    """State after the causes that acted were dealt with."""
    acted = {c.gauge.name: LastAction(ts_ns=ts_ns, severity=c.severity) for c in causes if c.acts}
    return AdjustmentState(last={**state.last, **acted})
