"""Models that users expect beside the surface, for comparison and as priors: SVI, SABR, Heston, Bates."""

from ivhedge.surface.models.bates import BatesModel
from ivhedge.surface.models.heston import HestonModel
from ivhedge.surface.models.quotes import VolQuotes
from ivhedge.surface.models.report import ArbitrageReport, ModelFit
from ivhedge.surface.models.sabr import SABR_BOUNDS, SabrModel, fit_sabr, sabr_arbitrage
from ivhedge.surface.models.stochastic_fit import BATES_BOUNDS, HESTON_BOUNDS, fit_bates, fit_heston
from ivhedge.surface.models.svi import JumpWingSvi, NaturalSvi, RawSvi
from ivhedge.surface.models.svi_arbitrage import repair_svi, svi_arbitrage
from ivhedge.surface.models.svi_fit import fit_svi
from ivhedge.surface.models.truth import (
    TRUE_BATES,
    TRUE_DAYS,
    TRUE_HESTON,
    TruthQuotes,
    TruthSettings,
    truth_quotes,
)

__all__ = [
    "BATES_BOUNDS",
    "HESTON_BOUNDS",
    "SABR_BOUNDS",
    "TRUE_BATES",
    "TRUE_DAYS",
    "TRUE_HESTON",
    "ArbitrageReport",
    "BatesModel",
    "HestonModel",
    "JumpWingSvi",
    "ModelFit",
    "NaturalSvi",
    "RawSvi",
    "SabrModel",
    "TruthQuotes",
    "TruthSettings",
    "VolQuotes",
    "fit_bates",
    "fit_heston",
    "fit_sabr",
    "fit_svi",
    "repair_svi",
    "sabr_arbitrage",
    "svi_arbitrage",
    "truth_quotes",
]
