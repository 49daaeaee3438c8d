"""Perpetuals and dated futures of one venue."""

from collections.abc import Sequence

import numpy as np

from ivhedge.core.instruments import InstrumentKind, Settlement
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_SECOND
from ivhedge.market.contracts import ContractSpec
from ivhedge.market.simulator.listing import expiry_label
from ivhedge.market.simulator.quotes import QuoteColumns, quoted_sizes
from ivhedge.market.simulator.venues import VenueProfile, round_to_ticks

__all__ = ["FUNDING_CAP_8H", "PERPETUAL_EXPIRY", "quote_futures"]

FUNDING_CAP_8H = 0.005
"""Largest funding per 8 hours, as a fraction, either way."""
PERPETUAL_EXPIRY = -1
"""Stands for "no expiry" in integer columns; becomes null in the table."""


def _value_usd(specs: Sequence[ContractSpec], mark: FloatArray) -> FloatArray:
    """USD value of one contract of each product."""
    multiplier = np.array([float(spec.multiplier) for spec in specs])
    in_coin = np.array([spec.settlement is Settlement.COIN for spec in specs])
    return np.where(in_coin, multiplier, multiplier * mark)


def quote_futures(
    profile: VenueProfile,
    underlying: str,
    *,
    expiry_ns: IntArray,
    forward: FloatArray,
    index: float,
    premium: float,
    ts_ns: int,
    rng: np.random.Generator,
) -> QuoteColumns:
    """Quote the perpetual, and the dated futures if the venue has them.

    Parameters
    ----------
    profile : VenueProfile
    underlying : str
    expiry_ns : IntArray, shape (n,)
        Of the dated futures.
    forward : FloatArray, shape (n,)
        The venue's forwards, USD.
    index : float
        The venue's index, USD.
    premium : float
        Perpetual over index, as a fraction; the funding per 8 hours is this premium plus the venue's own
        part, limited to `FUNDING_CAP_8H`.
    ts_ns : int
    rng : np.random.Generator

    Returns
    -------
    QuoteColumns
        Perpetual first.
    """
    own = premium + profile.funding_noise * float(rng.standard_normal())
    dated = expiry_ns if profile.dated_futures else expiry_ns[:0]
    mark = np.concatenate([[index * (1.0 + own)], forward[: dated.size]])
    half = profile.futures_half_spread * np.exp(profile.spread_noise * rng.standard_normal(mark.size))
    kinds = [InstrumentKind.PERPETUAL] + [InstrumentKind.FUTURE] * dated.size
    specs = [profile.spec(kind, underlying) for kind in kinds]
    lots = np.array([float(spec.lot) for spec in specs])
    sizes = lots * quoted_sizes(
        profile, rng, mark.size, profile.futures_size_usd / (lots * _value_usd(specs, mark))
    )
    sides = {}
    for name, sign, up in (("bid", -1.0, False), ("ask", 1.0, True)):
        prices = mark * (1.0 + sign * half)
        sides[name] = np.array(
            [round_to_ticks(prices[i : i + 1], spec.ticks, up=up)[0] for i, spec in enumerate(specs)]
        )
    arrival = ts_ns - int(rng.uniform(0.0, 1e-3 * NS_PER_SECOND))
    names = ["PERPETUAL", *(expiry_label(int(expiry)) for expiry in dated)]
    return {
        "instrument_name": np.array([f"{underlying}-{name}" for name in names], dtype=object),
        "kind": np.array([kind.value for kind in kinds], dtype=object),
        "expiry": np.concatenate([[PERPETUAL_EXPIRY], dated]).astype(np.int64),
        "bid": sides["bid"],
        "ask": sides["ask"],
        "bid_size": np.round(sizes[0], 8),
        "ask_size": np.round(sizes[1], 8),
        "mark": mark,
        "index": np.full(mark.size, index),
        "funding_8h": np.concatenate(
            [[np.clip(own, -FUNDING_CAP_8H, FUNDING_CAP_8H)], np.full(dated.size, np.nan)]
        ),
        "ts_event": np.full(mark.size, arrival - int(profile.latency_ms * 1e6), dtype=np.int64),
        "ts_recv": np.full(mark.size, arrival, dtype=np.int64),
    }
