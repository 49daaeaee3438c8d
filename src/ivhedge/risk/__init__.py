"""Exposures, scenarios and attribution on the fitted surface.

Packages beside: `attribution`, `controls`, `factors`, `margin`, `stress`, `var`.
"""

from ivhedge.risk.attribution import (
    Attribution,
    attribute_futures,
    attribute_options,
    attribute_path,
)
from ivhedge.risk.buckets import VegaGrid
from ivhedge.risk.exposure import (
    CARRY_NAMES,
    EXPOSURE_NAMES,
    GREEK_EXPOSURE_NAMES,
    SMILE_NAMES,
    Exposures,
    exposures,
)
from ivhedge.risk.legs import LegStatus
from ivhedge.risk.marks import (
    ConservativeMarks,
    MarkStatus,
    OptionMarks,
    SettlementWindow,
    mark_options,
)
from ivhedge.risk.panel import SurfacePanel, build_panel
from ivhedge.risk.scenarios import (
    ScenarioGrid,
    SmileDynamics,
    SpotVolMatrix,
    TimeRoll,
    VolShock,
    scenario_pnl,
    spot_vol_matrix,
)

__all__ = [
    "CARRY_NAMES",
    "EXPOSURE_NAMES",
    "GREEK_EXPOSURE_NAMES",
    "SMILE_NAMES",
    "Attribution",
    "ConservativeMarks",
    "Exposures",
    "LegStatus",
    "MarkStatus",
    "OptionMarks",
    "ScenarioGrid",
    "SettlementWindow",
    "SmileDynamics",
    "SpotVolMatrix",
    "SurfacePanel",
    "TimeRoll",
    "VegaGrid",
    "VolShock",
    "attribute_futures",
    "attribute_options",
    "attribute_path",
    "build_panel",
    "exposures",
    "mark_options",
    "scenario_pnl",
    "spot_vol_matrix",
]
