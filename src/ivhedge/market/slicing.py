"""Cutting long tables into one `MarketSnapshot` per time and underlying."""

from collections.abc import Iterator
from typing import Final

import polars as pl

from ivhedge.core.errors import EmptyData, SchemaError
from ivhedge.core.units import NS_PER_SECOND, format_ns
from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA, conform
from ivhedge.market.snapshot import MarketSnapshot

__all__ = ["FUTURES_LAG_S", "FUTURES_LEAD_S", "snapshots"]

FUTURES_LAG_S: Final = 120
"""A futures table at most this many seconds older than the chain still belongs to its snapshot."""
FUTURES_LEAD_S: Final = 5
"""And at most this many seconds younger: two calls of one collection round."""


def snapshots(
    chains: pl.DataFrame, futures: pl.DataFrame | None = None, *, underlying: str | None = None
) -> Iterator[MarketSnapshot]:
    """Cut tables into snapshots, in time order and, at one time, in the order of the underlyings' names.

    Parameters
    ----------
    chains : pl.DataFrame
        In `CHAIN_SCHEMA`.
    futures : pl.DataFrame, optional
        In `FUTURES_SCHEMA`. A snapshot gets the futures of exactly its own time; failing that the latest
        ones up to `FUTURES_LAG_S` before; failing that the first ones up to `FUTURES_LEAD_S` after it.
    underlying : str, optional
        Keep one coin.

    Yields
    ------
    MarketSnapshot
        `index` is the median of the chain's index, else of the futures' index, else the median forward
        of the nearest expiry. Futures without an index of their own are given this one.

    Raises
    ------
    SchemaError
        If a table lacks a column, a row its time or underlying, or nothing in a snapshot tells the index.
    EmptyData
        If there are no rows.
    """
    table = conform(chains, CHAIN_SCHEMA, source="chains")
    extra = conform(
        pl.DataFrame(schema=FUTURES_SCHEMA) if futures is None else futures, FUTURES_SCHEMA, source="futures"
    )
    if underlying is not None:
        table = table.filter(pl.col("underlying") == underlying)
    if table.is_empty():
        raise EmptyData("expected option rows to cut into snapshots, found none; widen the window or filter")
    unplaced = table.filter(pl.col("ts").is_null() | pl.col("underlying").is_null())
    if not unplaced.is_empty():
        raise SchemaError(
            f"expected a time and an underlying in every row, found {unplaced.height} rows without, the "
            f"first named {unplaced['instrument_name'][0]!r}; drop them or pass underlying="
        )
    return _cut(table.sort("ts", "underlying", maintain_order=True), _by_time(extra))


_FuturesByTime = dict[str, list[tuple[int, pl.DataFrame]]]


def _by_time(futures: pl.DataFrame) -> _FuturesByTime:
    grouped: _FuturesByTime = {}
    parts = futures.sort("ts", maintain_order=True).partition_by(["ts", "underlying"], maintain_order=True)
    for part in parts:
        stamp = int(part["ts"].dt.epoch("ns")[0])
        grouped.setdefault(str(part["underlying"][0]), []).append((stamp, part))
    return grouped


def _cut(table: pl.DataFrame, futures: _FuturesByTime) -> Iterator[MarketSnapshot]:
    position: dict[str, int] = {}
    for chain in table.partition_by(["ts", "underlying"], maintain_order=True):
        ts_ns, coin = int(chain["ts"].dt.epoch("ns")[0]), str(chain["underlying"][0])
        own = futures.get(coin, [])
        position[coin] = _advance(own, position.get(coin, 0), ts_ns)
        near = _choose(own, position[coin], ts_ns)
        index = _index(chain, near, ts_ns)
        yield MarketSnapshot(
            ts_ns=ts_ns,
            underlying=coin,
            index=index,
            chain=chain,
            futures=near.with_columns(pl.col("index").fill_null(index)),
        )


def _advance(own: list[tuple[int, pl.DataFrame]], start: int, ts_ns: int) -> int:
    """Position of the first futures table later than `ts_ns`."""
    while start < len(own) and own[start][0] <= ts_ns:
        start += 1
    return start


def _choose(own: list[tuple[int, pl.DataFrame]], later: int, ts_ns: int) -> pl.DataFrame:
    if later > 0 and ts_ns - own[later - 1][0] <= FUTURES_LAG_S * NS_PER_SECOND:
        return own[later - 1][1]
    if later < len(own) and own[later][0] - ts_ns <= FUTURES_LEAD_S * NS_PER_SECOND:
        return own[later][1]
    return pl.DataFrame(schema=FUTURES_SCHEMA)


def _index(chain: pl.DataFrame, futures: pl.DataFrame, ts_ns: int) -> float:
    nearest = chain.filter(pl.col("expiry") == pl.col("expiry").min())
    for column in (chain["index"], futures["index"], nearest["forward"]):
        known = column.filter(column.is_finite() & (column > 0))
        value = known.median()
        if isinstance(value, float):
            return value
    raise SchemaError(
        f"{format_ns(ts_ns)}: expected an index or a forward in at least one row, found none; "
        "use a recording that carries the underlying's price"
    )
