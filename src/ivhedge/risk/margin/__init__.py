"""Initial and maintenance margin on the venues' own rules, what-if, stress, liquidation distance, limits."""

from ivhedge.risk.margin.engine import (
    MarginBatch,
    MarginModel,
    MarginResult,
    MarginStatus,
    evaluate,
    margin,
    prepare_margin,
)
from ivhedge.risk.margin.positions import (
    CONSERVATIVE_VOL,
    Account,
    Collateral,
    MarginPositions,
    PositionKind,
    positions_from_legs,
)
from ivhedge.risk.margin.profiles import (
    available_margin_profiles,
    load_margin_profile,
    parse_margin_profile,
)
from ivhedge.risk.margin.rules import MarginProfile, Scenario, ScenarioRules, StandardRules, VolMove
from ivhedge.risk.margin.standard import blend_forward
from ivhedge.risk.margin.whatif import (
    DistanceStatus,
    LiquidationDistance,
    MarginCheck,
    MarginLimits,
    Stress,
    WhatIf,
    check_margin,
    liquidation_distance,
    stressed_margin,
    what_if,
)

__all__ = [
    "CONSERVATIVE_VOL",
    "Account",
    "Collateral",
    "DistanceStatus",
    "LiquidationDistance",
    "MarginBatch",
    "MarginCheck",
    "MarginLimits",
    "MarginModel",
    "MarginPositions",
    "MarginProfile",
    "MarginResult",
    "MarginStatus",
    "PositionKind",
    "Scenario",
    "ScenarioRules",
    "StandardRules",
    "Stress",
    "VolMove",
    "WhatIf",
    "available_margin_profiles",
    "blend_forward",
    "check_margin",
    "evaluate",
    "liquidation_distance",
    "load_margin_profile",
    "margin",
    "parse_margin_profile",
    "positions_from_legs",
    "prepare_margin",
    "stressed_margin",
    "what_if",
]
