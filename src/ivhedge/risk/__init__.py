"""Exposures, scenarios and attribution on the fitted surface."""

from ivhedge.risk.attribution import (
    Attribution,
    attribute_futures,
    attribute_options,
    attribute_path,
)
from ivhedge.risk.exposure import EXPOSURE_NAMES, Exposures, exposures
from ivhedge.risk.legs import LegStatus
from ivhedge.risk.marks import MarkStatus, OptionMarks, mark_options
from ivhedge.risk.scenarios import SmileDynamics, SpotVolMatrix, VolShock, spot_vol_matrix

__all__ = [
    "EXPOSURE_NAMES",
    "Attribution",
    "Exposures",
    "LegStatus",
    "MarkStatus",
    "OptionMarks",
    "SmileDynamics",
    "SpotVolMatrix",
    "VolShock",
    "attribute_futures",
    "attribute_options",
    "attribute_path",
    "exposures",
    "mark_options",
    "spot_vol_matrix",
]
