"""Tick sizes of whole chains."""

import numpy as np
import polars as pl

from ivhedge.core.errors import UnknownInstrument
from ivhedge.core.instruments import InstrumentKind, TickLadder
from ivhedge.core.types import FloatArray
from ivhedge.market.contracts import known_venues, load_contracts

__all__ = ["tick_sizes"]


def tick_sizes(chain: pl.DataFrame, price: FloatArray) -> FloatArray:
    """Tick that applies to each row of a chain at a price.

    Parameters
    ----------
    chain : pl.DataFrame
        In `CHAIN_SCHEMA`.
    price : FloatArray, shape (..., n)
        In the unit of the quote; NaN counts as 0.

    Returns
    -------
    FloatArray, shape of `price`
        In the unit of the quote; 0 for a venue or product without contract specifications.
    """
    level = np.nan_to_num(price)
    ticks = np.zeros_like(level)
    products = list(zip(chain["venue"].to_list(), chain["underlying"].to_list(), strict=True))
    listed = set(products)
    for venue, underlying in listed:
        ladder = _ladder(venue, underlying)
        if ladder is None:
            continue
        alone = len(listed) == 1
        mine = slice(None) if alone else np.array([product == (venue, underlying) for product in products])
        starts = np.array([float(start) for start, _ in ladder.steps])
        sizes = np.array([float(tick) for _, tick in ladder.steps])
        ticks[..., mine] = sizes[np.searchsorted(starts, level[..., mine], side="right") - 1]
    return ticks


def _ladder(venue: str, underlying: str) -> TickLadder | None:
    if venue not in known_venues():
        return None
    try:
        return load_contracts(venue).spec(InstrumentKind.OPTION, underlying).ticks
    except UnknownInstrument:
        return None
