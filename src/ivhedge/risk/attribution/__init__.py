"""P&L attribution: where the change of a position's value came from.

`attribute_options` explains single steps with the exact second-order remainder. `explain` goes along
sub-steps between two marks of a book: Taylor terms to third order with a residual, or ordered full
revaluation, which is exact; split by leg, expiry, term and factor, with hedges apart from carry.
"""

from ivhedge.risk.attribution.book import PERPETUAL, ExplainStatus, HeldLegs, LegMarks, Role, mark_legs
from ivhedge.risk.attribution.bridge import BridgedPath, SpotPath, bridge
from ivhedge.risk.attribution.explain import ExplainSettings, Flows, explain, trading_profit
from ivhedge.risk.attribution.explanation import CARRY, FLOWS, Explanation, join_explanations
from ivhedge.risk.attribution.factors import FORWARD_PARTS, MARKET_FACTORS, VOL_PARTS
from ivhedge.risk.attribution.steps import (
    TERMS,
    Attribution,
    attribute_futures,
    attribute_options,
    attribute_path,
)
from ivhedge.risk.attribution.taylor import MODEL_TERMS
from ivhedge.risk.attribution.vol_moves import SURFACE_PARTS, SurfaceMove, surface_move

__all__ = [
    "CARRY",
    "FLOWS",
    "FORWARD_PARTS",
    "MARKET_FACTORS",
    "MODEL_TERMS",
    "PERPETUAL",
    "SURFACE_PARTS",
    "TERMS",
    "VOL_PARTS",
    "Attribution",
    "BridgedPath",
    "ExplainSettings",
    "ExplainStatus",
    "Explanation",
    "Flows",
    "HeldLegs",
    "LegMarks",
    "Role",
    "SpotPath",
    "SurfaceMove",
    "attribute_futures",
    "attribute_options",
    "attribute_path",
    "bridge",
    "explain",
    "join_explanations",
    "mark_legs",
    "surface_move",
    "trading_profit",
]
