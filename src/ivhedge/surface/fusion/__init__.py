"""Several venues' quotes as one surface: biases, noise, copies, staleness, leadership."""

from ivhedge.surface.fusion.chain import venue_quotes
from ivhedge.surface.fusion.fuse import FusedSurface, fuse
from ivhedge.surface.fusion.health import VenueHealth, venue_health
from ivhedge.surface.fusion.leadership import (
    InformationShare,
    LeadLag,
    hayashi_yoshida,
    information_share,
    lead_lag,
    venue_lags,
)
from ivhedge.surface.fusion.model import BiasStatus, VenueModel
from ivhedge.surface.fusion.quotes import VenueQuotes
from ivhedge.surface.fusion.settings import FusionSettings
from ivhedge.surface.fusion.staleness import StaleDetector, StaleSettings, VenueState, VenueWatch

__all__ = [
    "BiasStatus",
    "FusedSurface",
    "FusionSettings",
    "InformationShare",
    "LeadLag",
    "StaleDetector",
    "StaleSettings",
    "VenueHealth",
    "VenueModel",
    "VenueQuotes",
    "VenueState",
    "VenueWatch",
    "fuse",
    "hayashi_yoshida",
    "information_share",
    "lead_lag",
    "venue_health",
    "venue_lags",
    "venue_quotes",
]
