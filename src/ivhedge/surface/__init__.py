"""Arbitrage-free implied-volatility surfaces, fitted and certified."""

from ivhedge.surface.base import VolSurface
from ivhedge.surface.calibrate import Calibration, PackedQuotes, RobustSettings, calibrate_essvi
from ivhedge.surface.certificate import (
    ArbitrageCertificate,
    DifferentiableSurface,
    Violation,
    certify,
    density_factor,
)
from ivhedge.surface.essvi import EssviSurface, essvi_derivatives, essvi_total_variance
from ivhedge.surface.fit import FitSettings, SurfaceFit, fit_surface
from ivhedge.surface.report import FitReport
from ivhedge.surface.selection import SelectionRules, select_quotes

__all__ = [
    "ArbitrageCertificate",
    "Calibration",
    "DifferentiableSurface",
    "EssviSurface",
    "FitReport",
    "FitSettings",
    "PackedQuotes",
    "RobustSettings",
    "SelectionRules",
    "SurfaceFit",
    "Violation",
    "VolSurface",
    "calibrate_essvi",
    "certify",
    "density_factor",
    "essvi_derivatives",
    "essvi_total_variance",
    "fit_surface",
    "select_quotes",
]
