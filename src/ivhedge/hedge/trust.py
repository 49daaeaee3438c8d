"""What a plan may use of a market whose surface is not to be trusted everywhere."""

from collections.abc import Collection, Mapping

import numpy as np

from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.plan.terms import EdgeQuote
from ivhedge.surface.stream import SurfaceTrust, TrustState

__all__ = ["trusted_edges", "trusted_market"]


def trusted_market(market: HedgeMarket, trust: SurfaceTrust, *, held: Collection[str] = ()) -> HedgeMarket:
    """Leave out the options of expiries about which the surface is blind.

    Parameters
    ----------
    market : HedgeMarket
    trust : SurfaceTrust
    held : collection of str
        Keys of the book's options: they stay, so that they can be reduced.

    Returns
    -------
    HedgeMarket
        Futures and perpetuals are all there: delta is hedged in any state.
    """
    keep = [
        not item.is_option or item.key in held or trust.at(int(item.expiry_ns or 0)) is not TrustState.BLIND
        for item in market.instruments
    ]
    rows = np.flatnonzero(keep)
    return HedgeMarket(
        ts_ns=market.ts_ns,
        underlying=market.underlying,
        index=market.index,
        instruments=tuple(market.instruments[i] for i in rows.tolist()),
        bid=market.bid[rows],
        ask=market.ask[rows],
        mark=market.mark[rows],
        bid_size=market.bid_size[rows],
        ask_size=market.ask_size[rows],
    )


def trusted_edges(
    edges: Mapping[str, EdgeQuote], market: HedgeMarket, trust: SurfaceTrust
) -> dict[str, EdgeQuote]:
    """Keep the edges on options of expiries whose vols are good: elsewhere nobody knows what is cheap.

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
    expiry = {item.key: item.expiry_ns for item in market.instruments if item.is_option}
    return {
        key: edge
        for key, edge in edges.items()
        if key not in expiry or trust.at(int(expiry[key] or 0)) is TrustState.GOOD
    }
