"""Prices, implied vols and Greeks of options on a forward: pure functions on arrays, no I/O."""

from ivhedge.pricing.black76 import black76_price
from ivhedge.pricing.coin import COIN_GREEK_NAMES, coin_greeks, coin_price, usd_price
from ivhedge.pricing.greeks import (
    GREEK_NAMES,
    black76_greeks,
    gamma_1pct,
    theta_per_day,
    vega_per_vol_point,
)
from ivhedge.pricing.implied_vol import implied_vol
from ivhedge.pricing.scenario_grid import ScenarioGrid, scenario_grid
from ivhedge.pricing.status import IvStatus
from ivhedge.pricing.threads import set_threads, threads
from ivhedge.pricing.warmup import warmup

__all__ = [
    "COIN_GREEK_NAMES",
    "GREEK_NAMES",
    "IvStatus",
    "ScenarioGrid",
    "black76_greeks",
    "black76_price",
    "coin_greeks",
    "coin_price",
    "gamma_1pct",
    "implied_vol",
    "scenario_grid",
    "set_threads",
    "theta_per_day",
    "threads",
    "usd_price",
    "vega_per_vol_point",
    "warmup",
]
