"""The flexible layer: kernel mixtures fitted to bands, all expiries in one convex program."""

from ivhedge.surface.flexible.basis import BasisSettings
from ivhedge.surface.flexible.error_bars import error_bars
from ivhedge.surface.flexible.fit import backbone_instead, fit_flexible
from ivhedge.surface.flexible.proof import FlexibleProof, WingArgument, least_mix, prove
from ivhedge.surface.flexible.quotes import FlexibleQuotes, flexible_quotes
from ivhedge.surface.flexible.result import FlexibleFit, FlexibleSettings, SliceStatus
from ivhedge.surface.flexible.surface import FlexibleSurface

__all__ = [
    "BasisSettings",
    "FlexibleFit",
    "FlexibleProof",
    "FlexibleQuotes",
    "FlexibleSettings",
    "FlexibleSurface",
    "SliceStatus",
    "WingArgument",
    "backbone_instead",
    "error_bars",
    "fit_flexible",
    "flexible_quotes",
    "least_mix",
    "prove",
]
