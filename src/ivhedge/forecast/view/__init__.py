"""The view on volatility: premium, expected earnings of vega, targets, and spikes that interrupt them."""

from ivhedge.forecast.view.expectation import HoldingCosts, VegaExpectation, vega_expectation
from ivhedge.forecast.view.nowcast import Nowcast, fit_nowcast, recent_variance
from ivhedge.forecast.view.premium import VarianceOutlook, VariancePremium, variance_outlook, variance_premium
from ivhedge.forecast.view.smile import RichCheap, StandardisedReturns, rich_cheap, standardised_returns
from ivhedge.forecast.view.spikes import Regime, SpikeRules, SpikeState, spike_start, spike_update
from ivhedge.forecast.view.target import VegaTarget, ViewRules, VolView, vega_targets

__all__ = [
    "HoldingCosts",
    "Nowcast",
    "Regime",
    "RichCheap",
    "SpikeRules",
    "SpikeState",
    "StandardisedReturns",
    "VarianceOutlook",
    "VariancePremium",
    "VegaExpectation",
    "VegaTarget",
    "ViewRules",
    "VolView",
    "fit_nowcast",
    "recent_variance",
    "rich_cheap",
    "spike_start",
    "spike_update",
    "standardised_returns",
    "variance_outlook",
    "variance_premium",
    "vega_expectation",
    "vega_targets",
]
