"""Slippage: what trades cost against their plans, by cause and by cell, and what plans learn from it."""

from ivhedge.hedge.slippage.causes import (
    PlannedTrade,
    RealisedTrade,
    Slippage,
    slippage,
    sum_slippage,
)
from ivhedge.hedge.slippage.cells import SlippageRecord, slippage_table
from ivhedge.hedge.slippage.learning import LearningSettings, LearntCost, LearntCosts, learn_costs

__all__ = [
    "LearningSettings",
    "LearntCost",
    "LearntCosts",
    "PlannedTrade",
    "RealisedTrade",
    "Slippage",
    "SlippageRecord",
    "learn_costs",
    "slippage",
    "slippage_table",
    "sum_slippage",
]
