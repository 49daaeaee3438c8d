"""Objectives of a hedge: what counts as risk, by Greeks, by factors, or by the tail of scenarios."""

from ivhedge.hedge.objectives.definitions import (
    BucketedVega,
    ConditionalValueAtRisk,
    DeltaGamma,
    DeltaGammaVega,
    FactorNeutral,
    HedgeObjective,
    MinimumVariance,
)
from ivhedge.hedge.objectives.residual import QUOTE_NOISE, ResidualVols, residual_vols

__all__ = [
    "QUOTE_NOISE",
    "BucketedVega",
    "ConditionalValueAtRisk",
    "DeltaGamma",
    "DeltaGammaVega",
    "FactorNeutral",
    "HedgeObjective",
    "MinimumVariance",
    "ResidualVols",
    "residual_vols",
]
