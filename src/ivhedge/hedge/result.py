"""The plan as a value: legs, cost, exposures before and after."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import isfinite, sqrt
from typing import TypeAlias

import polars as pl

from ivhedge.core.instruments import Instrument
from ivhedge.core.units import format_ns
from ivhedge.hedge.costs import TradeCost
from ivhedge.hedge.limits import Numeraire
from ivhedge.hedge.optimiser import SolverStatus

__all__ = ["FactorChange", "HedgePlan", "Json", "PlanLeg", "PlanStatus", "SolverInfo"]

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


class PlanStatus(StrEnum):
    """What came of the planning."""

    NO_ACTION = "no_action"
    OK = "ok"
    BEST_EFFORT = "best_effort"
    SOLVER_FAILED = "solver_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLeg:
    """One trade of a plan.

    Parameters
    ----------
    instrument : Instrument
    quantity : Decimal
        Contracts in whole lots, positive = buy.
    price_limit : Decimal
        Price the cost is reckoned with, on the tick ladder.
    cost : TradeCost
    reason : str
    edge_usd : float
        Profit expected of the trade itself, USD, before its cost.
    """

    instrument: Instrument
    quantity: Decimal
    price_limit: Decimal
    cost: TradeCost
    reason: str
    edge_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorChange:
    """One exposure before and after the plan; a bound of None is open."""

    name: str
    unit: str
    before: float
    after: float
    target: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverInfo:
    """How the optimisation went; residuals are relative, NaN when nothing was solved."""

    status: SolverStatus
    iterations: int
    primal_residual: float
    duality_gap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgePlan:
    """What to trade now, why, at what cost, and what it leaves.

    Parameters
    ----------
    ts_ns : int
    underlying : str
    numeraire : Numeraire
    status : PlanStatus
    reason : str
    legs : tuple of PlanLeg
    factors : tuple of FactorChange
    variance_before, variance_after : float
        Of one horizon's profit about the targets, USD².
    objective_before, objective_after : float
        Cost less edge, penalties and priced risk, USD, or USD a day of holding where `counted_days` is set;
        the second is never above the first.
    binding : tuple of str
        What keeps the bands out of reach, when the status is best effort.
    notes : tuple of str
    n_candidates : int
        Instruments that could be traded.
    solver : SolverInfo
    counted_days : float or None
        Days over which the cost of options in and out was spread; None without a holding period.
    """

    ts_ns: int
    underlying: str
    numeraire: Numeraire
    status: PlanStatus
    reason: str
    legs: tuple[PlanLeg, ...]
    factors: tuple[FactorChange, ...]
    variance_before: float
    variance_after: float
    objective_before: float
    objective_after: float
    binding: tuple[str, ...]
    notes: tuple[str, ...]
    n_candidates: int
    solver: SolverInfo
    counted_days: float | None = None

    @property
    def edge_usd(self) -> float:
        """Expected profit of the trades themselves, USD; not part of `cost_usd`."""
        return sum(leg.edge_usd for leg in self.legs)

    @property
    def cost_usd(self) -> float:
        """Spread, impact and fees of all legs, USD."""
        return sum(leg.cost.total_usd for leg in self.legs)

    @property
    def exposures_before(self) -> dict[str, float]:
        """Exposure by factor name before the plan."""
        return {factor.name: factor.before for factor in self.factors}

    @property
    def exposures_after(self) -> dict[str, float]:
        """Exposure by factor name once the plan is filled."""
        return {factor.name: factor.after for factor in self.factors}

    def to_table(self) -> pl.DataFrame:
        """One row per leg; costs in the settlement currency and in USD."""
        rows = [_leg_row(leg) for leg in self.legs]
        return pl.DataFrame(rows, schema=_LEG_SCHEMA, orient="row")

    def factor_table(self) -> pl.DataFrame:
        """One row per factor: before, after, target and band."""
        names = ("name", "unit", "before", "after", "target", "lower", "upper")
        rows = [tuple(getattr(factor, name) for name in names) for factor in self.factors]
        types = [pl.String, pl.String] + [pl.Float64] * 5
        return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")

    def to_dict(self) -> dict[str, Json]:
        """Everything as JSON-ready values; exact numbers as text."""
        return {
            "time": format_ns(self.ts_ns),
            "ts_ns": self.ts_ns,
            "underlying": self.underlying,
            "numeraire": self.numeraire.value,
            "status": self.status.value,
            "reason": self.reason,
            "binding": list(self.binding),
            "notes": list(self.notes),
            "cost_usd": self.cost_usd,
            "edge_usd": self.edge_usd,
            "counted_days": self.counted_days,
            "sd_before_usd": sqrt(self.variance_before),
            "sd_after_usd": sqrt(self.variance_after),
            "objective_before_usd": self.objective_before,
            "objective_after_usd": self.objective_after,
            "n_candidates": self.n_candidates,
            "legs": [_leg_dict(leg) for leg in self.legs],
            "factors": [_factor_dict(factor) for factor in self.factors],
            "solver": {
                "status": self.solver.status.value,
                "iterations": self.solver.iterations,
                "primal_residual": _number(self.solver.primal_residual),
                "duality_gap": _number(self.solver.duality_gap),
            },
        }


_LEG_SCHEMA = {
    "instrument": pl.String(),
    "side": pl.String(),
    "contracts": pl.Float64(),
    "price_limit": pl.Float64(),
    "currency": pl.String(),
    "spread": pl.Float64(),
    "impact": pl.Float64(),
    "fee": pl.Float64(),
    "cost_usd": pl.Float64(),
    "reason": pl.String(),
}


def _leg_row(leg: PlanLeg) -> tuple[str | float, ...]:
    return (
        leg.instrument.key,
        "buy" if leg.quantity > 0 else "sell",
        float(abs(leg.quantity)),
        float(leg.price_limit),
        leg.instrument.settle_currency.code,
        leg.cost.spread,
        leg.cost.impact,
        leg.cost.fee,
        leg.cost.total_usd,
        leg.reason,
    )


def _leg_dict(leg: PlanLeg) -> dict[str, Json]:
    return {
        "instrument": leg.instrument.key,
        "quantity": f"{leg.quantity:f}",
        "price_limit": f"{leg.price_limit:f}",
        "currency": leg.instrument.settle_currency.code,
        "spread": leg.cost.spread,
        "impact": leg.cost.impact,
        "fee": f"{leg.cost.fee_money.to_decimal():f}",
        "cost_usd": leg.cost.total_usd,
        "edge_usd": leg.edge_usd,
        "reason": leg.reason,
    }


def _factor_dict(factor: FactorChange) -> dict[str, Json]:
    return {
        "name": factor.name,
        "unit": factor.unit,
        "before": factor.before,
        "after": factor.after,
        "target": factor.target,
        "lower": factor.lower,
        "upper": factor.upper,
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
