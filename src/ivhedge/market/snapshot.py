"""One look at one underlying: its option chain, its futures, its index."""

from dataclasses import dataclass

import polars as pl

__all__ = ["MarketSnapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSnapshot:
    """All quotes of one underlying at one time.

    Parameters
    ----------
    ts_ns : int
        Nanoseconds since the epoch, UTC.
    underlying : str
    index : float
        Index price, USD.
    chain : pl.DataFrame
        Options, in `ivhedge.market.schemas.CHAIN_SCHEMA`.
    futures : pl.DataFrame
        Futures and perpetuals, in `FUTURES_SCHEMA`; may be empty.
    """

    ts_ns: int
    underlying: str
    index: float
    chain: pl.DataFrame
    futures: pl.DataFrame
