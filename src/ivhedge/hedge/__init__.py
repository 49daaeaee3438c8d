"""Hedge instruments, costs, limits and the plan that brings risk where it should be."""

from ivhedge.hedge.costs import DEFAULT_HALF_SPREAD_BPS, CostModel, Quote, TradeCost, UnitCost
from ivhedge.hedge.factors import Factors, RiskModel
from ivhedge.hedge.instruments import HedgeMarket, InstrumentRules, hedge_market
from ivhedge.hedge.limits import Band, HedgeLimits, Numeraire, TenorBand
from ivhedge.hedge.margin_guard import ElsewhereMargin, MarginGuard, MarginVerdict, judge_plans
from ivhedge.hedge.objectives import (
    BucketedVega,
    ConditionalValueAtRisk,
    DeltaGamma,
    DeltaGammaVega,
    FactorNeutral,
    HedgeObjective,
    MinimumVariance,
    ResidualVols,
    residual_vols,
)
from ivhedge.hedge.optimiser import SolverStatus
from ivhedge.hedge.plan import EdgeQuote, HoldingPeriod, plan_hedge
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
from ivhedge.hedge.trust import trusted_edges, trusted_market
from ivhedge.hedge.view_bands import view_bands

__all__ = [
    "DEFAULT_HALF_SPREAD_BPS",
    "AlwaysTrigger",
    "AnyTrigger",
    "Band",
    "BandTrigger",
    "BucketedVega",
    "ConditionalValueAtRisk",
    "CostModel",
    "Decision",
    "DeltaGamma",
    "DeltaGammaVega",
    "EdgeQuote",
    "ElsewhereMargin",
    "FactorChange",
    "FactorNeutral",
    "Factors",
    "HedgeLimits",
    "HedgeMarket",
    "HedgeObjective",
    "HedgePlan",
    "HedgeState",
    "HoldingPeriod",
    "InstrumentRules",
    "IntervalTrigger",
    "MarginGuard",
    "MarginVerdict",
    "MinimumVariance",
    "Numeraire",
    "PlanLeg",
    "PlanStatus",
    "Quote",
    "ResidualVols",
    "RiskModel",
    "SolverInfo",
    "SolverStatus",
    "TenorBand",
    "TradeCost",
    "Trigger",
    "UnitCost",
    "hedge_market",
    "judge_plans",
    "plan_hedge",
    "residual_vols",
    "trusted_edges",
    "trusted_market",
    "view_bands",
]
