"""A seeded market of made-up venues whose truth is known, for demos, tests and the scoring of estimators."""

from ivhedge.market.simulator.bates import BatesParams, bates_otm_price, bates_price
from ivhedge.market.simulator.config import (
    BTC,
    ETH,
    AssetConfig,
    CarryConfig,
    CorrelationConfig,
    RealWorldParams,
    SimulationConfig,
)
from ivhedge.market.simulator.listing import ExpiryRule, StrikeRule
from ivhedge.market.simulator.market import SimulatedMarket, simulate_market
from ivhedge.market.simulator.venues import DEFAULT_VENUES, Outage, OutageMode, VenueProfile

__all__ = [
    "BTC",
    "DEFAULT_VENUES",
    "ETH",
    "AssetConfig",
    "BatesParams",
    "CarryConfig",
    "CorrelationConfig",
    "ExpiryRule",
    "Outage",
    "OutageMode",
    "RealWorldParams",
    "SimulatedMarket",
    "SimulationConfig",
    "StrikeRule",
    "VenueProfile",
    "bates_otm_price",
    "bates_price",
    "simulate_market",
]
