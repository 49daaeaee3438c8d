"""The adjustment as a value: what was wrong, what to trade in which order, what it leaves."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import TypeAlias

from ivhedge.core.units import format_ns
from ivhedge.hedge.adjustment.gauges import Gauge
from ivhedge.hedge.adjustment.state import AdjustmentState, Cause
from ivhedge.hedge.result import PlanLeg

__all__ = ["Adjustment", "AdjustmentStatus", "GaugeChange", "Json", "Step"]

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


class AdjustmentStatus(StrEnum):
    """What came of the decision."""

    NOTHING = "nothing"
    ADJUSTED = "adjusted"
    DELEVERAGED = "deleveraged"
    CANNOT = "cannot"


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeChange:
    """A gauge before and after all steps; severity 0 = inside its outer edges."""

    gauge: Gauge
    before: float
    after: float
    severity_before: float
    severity_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Trades that belong together, to be filled before the next step.

    Parameters
    ----------
    reason : str
    legs : tuple of PlanLeg
    delta, vega : float
        Expected after the step: coin; numeraire per vol point over all tenors.
    gauges : mapping of name to value
        Expected after the step.
    initial_margin, equity : float or None
        After the step, margin currency; None without a margin guard.
    """

    reason: str
    legs: tuple[PlanLeg, ...]
    delta: float
    vega: float
    gauges: dict[str, float]
    initial_margin: float | None
    equity: float | None

    @property
    def cost_usd(self) -> float:
        """Spread, impact and fees, USD."""
        return sum(leg.cost.total_usd for leg in self.legs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What to do now about limits, margin and drift.

    Parameters
    ----------
    ts_ns : int
    underlying : str
    status : AdjustmentStatus
        ``cannot`` may carry steps: they lead as near to the limits as can be reached.
    reason : str
    causes : tuple of Cause
        Every gauge beyond its outer edge, those that wait included.
    steps : tuple of Step
        In the order of execution.
    changes : tuple of GaugeChange
    full_cost_usd : float or None
        Cost of going all the way to the targets; None where they cannot be reached or there was no trade.
    binding : tuple of str
        What is in the way, where the status is ``cannot``.
    human : tuple of str
        What somebody has to do about it.
    notes : tuple of str
    state : AdjustmentState
        For the next decision.
    """

    ts_ns: int
    underlying: str
    status: AdjustmentStatus
    reason: str
    causes: tuple[Cause, ...]
    steps: tuple[Step, ...]
    changes: tuple[GaugeChange, ...]
    full_cost_usd: float | None
    binding: tuple[str, ...]
    human: tuple[str, ...]
    notes: tuple[str, ...]
    state: AdjustmentState

    @property
    def legs(self) -> tuple[PlanLeg, ...]:
        """Trades of all steps in their order."""
        return tuple(leg for step in self.steps for leg in step.legs)

    @property
    def cost_usd(self) -> float:
        """Spread, impact and fees of all steps, USD."""
        return sum(step.cost_usd for step in self.steps)

    @property
    def is_inside(self) -> bool:
        """Whether every gauge ends inside its outer edges."""
        return all(change.severity_after == 0.0 for change in self.changes)

    def to_dict(self) -> dict[str, Json]:
        """Everything as JSON-ready values; exact numbers as text."""
        return {
            "time": format_ns(self.ts_ns),
            "ts_ns": self.ts_ns,
            "underlying": self.underlying,
            "status": self.status.value,
            "reason": self.reason,
            "cost_usd": self.cost_usd,
            "full_cost_usd": self.full_cost_usd,
            "causes": [_cause(cause) for cause in self.causes],
            "steps": [_step(step) for step in self.steps],
            "gauges": [_change(change) for change in self.changes],
            "binding": list(self.binding),
            "human": list(self.human),
            "notes": list(self.notes),
            "state": {
                name: {"ts_ns": last.ts_ns, "severity": last.severity}
                for name, last in self.state.last.items()
            },
        }


def _cause(cause: Cause) -> dict[str, Json]:
    return {
        "name": cause.gauge.name,
        "kind": cause.gauge.kind.value,
        "value": _number(cause.value),
        "severity": cause.severity,
        "acts": cause.acts,
        "why": cause.why,
    }


def _step(step: Step) -> dict[str, Json]:
    return {
        "reason": step.reason,
        "cost_usd": step.cost_usd,
        "delta": step.delta,
        "vega": step.vega,
        "initial_margin": step.initial_margin,
        "equity": step.equity,
        "gauges": {name: _number(value) for name, value in step.gauges.items()},
        "legs": [
            {
                "instrument": leg.instrument.key,
                "quantity": f"{leg.quantity:f}",
                "price_limit": f"{leg.price_limit:f}",
                "cost_usd": leg.cost.total_usd,
                "reason": leg.reason,
            }
            for leg in step.legs
        ],
    }


def _change(change: GaugeChange) -> dict[str, Json]:
    gauge = change.gauge
    edges = (gauge.lower, gauge.inner_lower, gauge.inner_upper, gauge.upper)
    return {
        "name": gauge.name,
        "unit": gauge.unit,
        "kind": gauge.kind.value,
        "before": _number(change.before),
        "after": _number(change.after),
        "edges": [_number(edge) for edge in edges],
        "severity_before": change.severity_before,
        "severity_after": change.severity_after,
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
