"""Value at risk and expected shortfall by full revaluation, and their backtests."""

from ivhedge.risk.var.coverage import (
    CoverageTest,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    exceedances,
    kupiec,
)
from ivhedge.risk.var.filtering import (
    StandardisedReturns,
    ewma_daily_vol,
    filtered_scenarios,
    standardised_returns,
)
from ivhedge.risk.var.history import SurfaceSeries, compose_shocks, shock_history
from ivhedge.risk.var.monte_carlo import factor_scenarios, multivariate_t_draws, t_copula_draws
from ivhedge.risk.var.report import StatedLosses, VarReport, var_report
from ivhedge.risk.var.response import ResponseSettings, SmileResponse, fit_response, response_scenarios
from ivhedge.risk.var.revalue import LegProfits, revalue
from ivhedge.risk.var.shocks import ScenarioSet, ShockHistory, ShockLayout
from ivhedge.risk.var.shortfall import ShortfallTest, shortfall_z2
from ivhedge.risk.var.tail import TailRisk, tail_risk

__all__ = [
    "CoverageTest",
    "LegProfits",
    "ResponseSettings",
    "ScenarioSet",
    "ShockHistory",
    "ShockLayout",
    "ShortfallTest",
    "SmileResponse",
    "StandardisedReturns",
    "StatedLosses",
    "SurfaceSeries",
    "TailRisk",
    "VarReport",
    "christoffersen_conditional_coverage",
    "christoffersen_independence",
    "compose_shocks",
    "ewma_daily_vol",
    "exceedances",
    "factor_scenarios",
    "filtered_scenarios",
    "fit_response",
    "kupiec",
    "multivariate_t_draws",
    "response_scenarios",
    "revalue",
    "shock_history",
    "shortfall_z2",
    "standardised_returns",
    "t_copula_draws",
    "tail_risk",
    "var_report",
]
