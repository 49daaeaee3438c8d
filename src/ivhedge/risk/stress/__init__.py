"""Stresses: days that happened and days made up, with full revaluation of a whole book."""

from ivhedge.risk.stress.catalogue import load_catalogue, parse_catalogue
from ivhedge.risk.stress.definitions import (
    LiquidityShock,
    SkewShock,
    Stress,
    StressCatalogue,
    StressKind,
    VenueShock,
    VolShift,
)
from ivhedge.risk.stress.report import StressReport, StressResult
from ivhedge.risk.stress.run import run_stress

__all__ = [
    "LiquidityShock",
    "SkewShock",
    "Stress",
    "StressCatalogue",
    "StressKind",
    "StressReport",
    "StressResult",
    "VenueShock",
    "VolShift",
    "load_catalogue",
    "parse_catalogue",
    "run_stress",
]
