"""The view on volatility: premium, expected earnings of vega, targets, and spikes that interrupt them."""

from ivhedge.forecast.view.expectation import HoldingCosts, VegaExpectation, vega_expectation
from ivhedge.forecast.view.premium import VarianceOutlook, VariancePremium, variance_outlook, variance_premium
from ivhedge.forecast.view.spikes import Regime, SpikeRules, SpikeState, spike_start, spike_update
from ivhedge.forecast.view.target import VegaTarget, ViewRules, VolView, vega_targets

__all__ = [
    "HoldingCosts",
    "Regime",
    "SpikeRules",
    "SpikeState",
    "VarianceOutlook",
    "VariancePremium",
    "VegaExpectation",
    "VegaTarget",
    "ViewRules",
    "VolView",
    "spike_start",
    "spike_update",
    "variance_outlook",
    "variance_premium",
    "vega_expectation",
    "vega_targets",
]
