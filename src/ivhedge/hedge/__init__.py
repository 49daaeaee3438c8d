"""Hedge instruments, costs, limits and the plan that brings risk where it should be."""

from ivhedge.hedge.costs import DEFAULT_HALF_SPREAD_BPS, CostModel, Quote, TradeCost, UnitCost
from ivhedge.hedge.factors import Factors, RiskModel
from ivhedge.hedge.instruments import HedgeMarket, InstrumentRules, hedge_market
from ivhedge.hedge.limits import Band, HedgeLimits, Numeraire, TenorBand
from ivhedge.hedge.margin_guard import MarginGuard, MarginVerdict
from ivhedge.hedge.optimiser import SolverStatus
from ivhedge.hedge.plan import plan_hedge
from ivhedge.hedge.result import FactorChange, HedgePlan, PlanLeg, PlanStatus, SolverInfo
from ivhedge.hedge.triggers import (
    AlwaysTrigger,
    AnyTrigger,
    BandTrigger,
    Decision,
    HedgeState,
    IntervalTrigger,
    Trigger,
)

__all__ = [
    "DEFAULT_HALF_SPREAD_BPS",
    "AlwaysTrigger",
    "AnyTrigger",
    "Band",
    "BandTrigger",
    "CostModel",
    "Decision",
    "FactorChange",
    "Factors",
    "HedgeLimits",
    "HedgeMarket",
    "HedgePlan",
    "HedgeState",
    "InstrumentRules",
    "IntervalTrigger",
    "MarginGuard",
    "MarginVerdict",
    "Numeraire",
    "PlanLeg",
    "PlanStatus",
    "Quote",
    "RiskModel",
    "SolverInfo",
    "SolverStatus",
    "TenorBand",
    "TradeCost",
    "Trigger",
    "UnitCost",
    "hedge_market",
    "plan_hedge",
]
