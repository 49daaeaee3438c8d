"""Quotes: schemas, readers, cleaning, forwards, store and a simulated market."""

from ivhedge.market.cleaning import CleanedChain, CleaningRules, DropReason, clean_chain
from ivhedge.market.contracts import known_venues, load_contracts
from ivhedge.market.forward_basis import StablePrice
from ivhedge.market.forwards import (
    ForwardCurve,
    ForwardMethod,
    ForwardSettings,
    ForwardStatus,
    estimate_forwards,
)
from ivhedge.market.instruments import instrument_from_name, instruments_of
from ivhedge.market.mid_bias import FairStatus, MidBiasSettings, UnbiasedMids, unbiased_mids
from ivhedge.market.readers import FORMATS, read_chains, read_futures
from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA, conform
from ivhedge.market.slicing import snapshots
from ivhedge.market.snapshot import MarketSnapshot
from ivhedge.market.vols import QuoteSettings, QuoteStatus, QuoteVols, quote_vols

__all__ = [
    "CHAIN_SCHEMA",
    "FORMATS",
    "FUTURES_SCHEMA",
    "CleanedChain",
    "CleaningRules",
    "DropReason",
    "FairStatus",
    "ForwardCurve",
    "ForwardMethod",
    "ForwardSettings",
    "ForwardStatus",
    "MarketSnapshot",
    "MidBiasSettings",
    "QuoteSettings",
    "QuoteStatus",
    "QuoteVols",
    "StablePrice",
    "UnbiasedMids",
    "clean_chain",
    "conform",
    "estimate_forwards",
    "instrument_from_name",
    "instruments_of",
    "known_venues",
    "load_contracts",
    "quote_vols",
    "read_chains",
    "read_futures",
    "snapshots",
    "unbiased_mids",
]
