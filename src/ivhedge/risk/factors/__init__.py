"""Factors of surface dynamics: estimated from panels, joint across underlyings, applied by revaluation."""

from ivhedge.risk.factors.betas import BetaSettings, VegaBeta, spot_beta, vega_beta
from ivhedge.risk.factors.components import VolComponents, explained_share, principal_components
from ivhedge.risk.factors.covariance import ShrunkCovariance, ewma_weights, shrink_covariance
from ivhedge.risk.factors.estimate import FactorFit, FactorKind, FactorSettings, factor_scores, fit_factors
from ivhedge.risk.factors.loadings import (
    NO_FACTORS,
    FactorLoadings,
    FactorRisk,
    factor_loadings,
    factor_risk,
)
from ivhedge.risk.factors.model import Factor, FactorModel
from ivhedge.risk.factors.regimes import Regime, RegimeRule, regime_rule, stressed_times
from ivhedge.risk.factors.shapes import VolShape, named_shapes, tenor_shapes, vega_weights
from ivhedge.risk.factors.shifted import ShiftedSurface
from ivhedge.risk.factors.steps import PanelSteps, panel_steps

__all__ = [
    "NO_FACTORS",
    "BetaSettings",
    "Factor",
    "FactorFit",
    "FactorKind",
    "FactorLoadings",
    "FactorModel",
    "FactorRisk",
    "FactorSettings",
    "PanelSteps",
    "Regime",
    "RegimeRule",
    "ShiftedSurface",
    "ShrunkCovariance",
    "VegaBeta",
    "VolComponents",
    "VolShape",
    "ewma_weights",
    "explained_share",
    "factor_loadings",
    "factor_risk",
    "factor_scores",
    "fit_factors",
    "named_shapes",
    "panel_steps",
    "principal_components",
    "regime_rule",
    "shrink_covariance",
    "spot_beta",
    "stressed_times",
    "tenor_shapes",
    "vega_beta",
    "vega_weights",
]
