"""Mispricing: executable static arbitrage, and quotes that pay in expectation, as candidates for a plan."""

from ivhedge.hedge.mispricing.arbitrage import ArbitrageKind, ArbitrageLeg, StaticArbitrage
from ivhedge.hedge.mispricing.bands import BandSettings, FairBand, VolError, fair_band, fused_error
from ivhedge.hedge.mispricing.handing import CandidateEdges, Finding, edge_quotes
from ivhedge.hedge.mispricing.offers import Offer, Offers, executable_offers
from ivhedge.hedge.mispricing.outcomes import Outcomes, OutcomeSettings, outcomes
from ivhedge.hedge.mispricing.pairs import PairMispricing
from ivhedge.hedge.mispricing.reversion import Reversion, estimate_reversion
from ivhedge.hedge.mispricing.search import StaticSettings
from ivhedge.hedge.mispricing.static import ArbitrageScan, static_arbitrages
from ivhedge.hedge.mispricing.statistical import MispricingScan, mispricings
from ivhedge.hedge.mispricing.worth import QuoteMispricing, StatisticalSettings

__all__ = [
    "ArbitrageKind",
    "ArbitrageLeg",
    "ArbitrageScan",
    "BandSettings",
    "CandidateEdges",
    "FairBand",
    "Finding",
    "MispricingScan",
    "Offer",
    "Offers",
    "OutcomeSettings",
    "Outcomes",
    "PairMispricing",
    "QuoteMispricing",
    "Reversion",
    "StaticArbitrage",
    "StaticSettings",
    "StatisticalSettings",
    "VolError",
    "edge_quotes",
    "estimate_reversion",
    "executable_offers",
    "fair_band",
    "fused_error",
    "mispricings",
    "outcomes",
    "static_arbitrages",
]
