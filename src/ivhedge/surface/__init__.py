"""Arbitrage-free implied-volatility surfaces, fitted and certified."""

from ivhedge.surface._clock_atm import atm_vols
from ivhedge.surface._clock_estimate import ClockEstimate, combine_estimates
from ivhedge.surface._clock_implied import estimate_implied_clock
from ivhedge.surface._clock_realised import estimate_realised_clock
from ivhedge.surface.averaging import (
    SETTLEMENT_WINDOW_NS,
    AveragedTerms,
    averaged_price,
    averaged_terms,
    averaged_total_variance,
)
from ivhedge.surface.base import VolSurface
from ivhedge.surface.calibrate import Calibration, PackedQuotes, QuoteBounds, RobustSettings, calibrate_essvi
from ivhedge.surface.certificate import (
    ArbitrageCertificate,
    DifferentiableSurface,
    Violation,
    certify,
    density_factor,
)
from ivhedge.surface.clock import ClockEvent, VarianceClock
from ivhedge.surface.density import log_density, probability_below, quantile, risk_neutral_moments
from ivhedge.surface.dynamics import (
    SkewStickiness,
    SmileRule,
    StickyMoneyness,
    StickyStrike,
    fixed_strike_vol_slope,
    minimum_variance_delta,
    move_surface,
)
from ivhedge.surface.essvi import EssviSurface, essvi_derivatives, essvi_total_variance
from ivhedge.surface.fit import FitSettings, SurfaceFit, SurfaceModel, fit_surface
from ivhedge.surface.flexible import (
    FlexibleFit,
    FlexibleSettings,
    FlexibleSurface,
    fit_flexible,
    flexible_quotes,
)
from ivhedge.surface.local_vol import local_variance, local_vol
from ivhedge.surface.quoting import AtmConvention, DeltaConvention, smile_table, strikes_of_delta
from ivhedge.surface.report import FitReport
from ivhedge.surface.selection import SelectionRules, select_quotes
from ivhedge.surface.skew_stickiness import SkewStickinessEstimate, estimate_skew_stickiness
from ivhedge.surface.variance_swap import forward_variance, variance_swap_rate, w_transform_variance

__all__ = [
    "SETTLEMENT_WINDOW_NS",
    "ArbitrageCertificate",
    "AtmConvention",
    "AveragedTerms",
    "Calibration",
    "ClockEstimate",
    "ClockEvent",
    "DeltaConvention",
    "DifferentiableSurface",
    "EssviSurface",
    "FitReport",
    "FitSettings",
    "FlexibleFit",
    "FlexibleSettings",
    "FlexibleSurface",
    "PackedQuotes",
    "QuoteBounds",
    "RobustSettings",
    "SelectionRules",
    "SkewStickiness",
    "SkewStickinessEstimate",
    "SmileRule",
    "StickyMoneyness",
    "StickyStrike",
    "SurfaceFit",
    "SurfaceModel",
    "VarianceClock",
    "Violation",
    "VolSurface",
    "atm_vols",
    "averaged_price",
    "averaged_terms",
    "averaged_total_variance",
    "calibrate_essvi",
    "certify",
    "combine_estimates",
    "density_factor",
    "essvi_derivatives",
    "essvi_total_variance",
    "estimate_implied_clock",
    "estimate_realised_clock",
    "estimate_skew_stickiness",
    "fit_flexible",
    "fit_surface",
    "fixed_strike_vol_slope",
    "flexible_quotes",
    "forward_variance",
    "local_variance",
    "local_vol",
    "log_density",
    "minimum_variance_delta",
    "move_surface",
    "probability_below",
    "quantile",
    "risk_neutral_moments",
    "select_quotes",
    "smile_table",
    "strikes_of_delta",
    "variance_swap_rate",
    "w_transform_variance",
]
