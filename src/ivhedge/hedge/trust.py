"""What a plan may use of a market whose surface is not to be trusted everywhere."""

from collections.abc import Mapping

import numpy as np

from ivhedge.core.instruments import Instrument
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.plan.terms import EdgeQuote
from ivhedge.ledger import Book
from ivhedge.surface.stream import SurfaceTrust, TrustState

__all__ = ["trusted_edges", "trusted_market"]


def trusted_market(market: HedgeMarket, trust: SurfaceTrust, *, book: Book | None = None) -> HedgeMarket:
    """Let options about which the surface is blind, by their expiry or at their strike, be reduced only.

    Parameters
    ----------
    market : HedgeMarket
    trust : SurfaceTrust
    book : Book, optional
        Its options stay, with no size on the side that would add to a position, and no more than the position
        on the other. Without a book all of them go.

    Returns
    -------
    HedgeMarket
        Futures and perpetuals are all there: delta is hedged in any state.
    """
    held = {p.instrument.key: float(p.quantity) for p in (book.positions if book is not None else ())}
    owned = np.array([held.get(item.key, 0.0) for item in market.instruments])
    blind = np.array([_state(item, trust) is TrustState.BLIND for item in market.instruments], dtype=np.bool_)
    rows = np.flatnonzero(~blind | (owned != 0.0))
    # An unknown size is NaN, of which fmin takes the other.
    bid_size = np.where(blind, np.fmin(market.bid_size, np.maximum(owned, 0.0)), market.bid_size)
    ask_size = np.where(blind, np.fmin(market.ask_size, np.maximum(-owned, 0.0)), market.ask_size)
    return HedgeMarket(
        ts_ns=market.ts_ns,
        underlying=market.underlying,
        index=market.index,
        instruments=tuple(market.instruments[i] for i in rows.tolist()),
        bid=market.bid[rows],
        ask=market.ask[rows],
        mark=market.mark[rows],
        bid_size=bid_size[rows],
        ask_size=ask_size[rows],
    )


def trusted_edges(
    edges: Mapping[str, EdgeQuote], market: HedgeMarket, trust: SurfaceTrust
) -> dict[str, EdgeQuote]:
    """Keep the edges on options whose vols are good: elsewhere nobody knows what is cheap.

    Parameters
    ----------
    edges : mapping of key to EdgeQuote
        Edges that rest on fair vols. A static arbitrage needs no surface, so its edges need no trust.
    market : HedgeMarket
    trust : SurfaceTrust

    Returns
    -------
    dict of key to EdgeQuote
        An edge on an instrument that the market does not hold stays for the plan to refuse.
    """
    known = {item.key: item for item in market.instruments}
    return {
        key: edge
        for key, edge in edges.items()
        if key not in known or _state(known[key], trust) is TrustState.GOOD
    }


def _state(item: Instrument, trust: SurfaceTrust) -> TrustState:
    if not item.is_option:
        return TrustState.GOOD
    return trust.at(int(item.expiry_ns or 0), float(item.strike or 0.0))
