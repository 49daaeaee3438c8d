"""The tables that travel between stages, as polars schemas.

An option chain has one row per instrument and snapshot; a futures table has one row per future or
perpetual and snapshot. Prices are in the settlement currency of the instrument: coin for coin-settled
options, USD for everything else (futures are quoted in USD whatever they settle in). Volatilities are
decimals. A missing side is null, never 0 and never -1.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from ivhedge.core.errors import SchemaError

__all__ = ["CHAIN_SCHEMA", "FUTURES_SCHEMA", "conform"]

_TIME = pl.Datetime("ns", "UTC")

CHAIN_SCHEMA: Final[dict[str, pl.DataType]] = {
    "ts": _TIME,  # time of the snapshot
    "venue": pl.String(),
    "underlying": pl.String(),  # BTC, ETH, ...
    "instrument_name": pl.String(),
    "expiry": _TIME,
    "strike": pl.Float64(),  # USD
    "is_call": pl.Boolean(),
    "settlement": pl.String(),  # coin | usd
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "bid_size": pl.Float64(),  # contracts
    "ask_size": pl.Float64(),
    "mark": pl.Float64(),
    "mark_iv": pl.Float64(),  # decimal
    "forward": pl.Float64(),  # USD, the venue's own forward of this row
    "index": pl.Float64(),  # USD
    "open_interest": pl.Float64(),  # contracts
    "ts_event": _TIME,  # last change of the quote; null = unknown
    "ts_recv": _TIME,  # arrival of the quote; null = unknown
}

FUTURES_SCHEMA: Final[dict[str, pl.DataType]] = {
    "ts": _TIME,
    "venue": pl.String(),
    "underlying": pl.String(),
    "instrument_name": pl.String(),
    "kind": pl.String(),  # future | perpetual
    "expiry": _TIME,  # null for a perpetual
    "settlement": pl.String(),
    "bid": pl.Float64(),  # USD
    "ask": pl.Float64(),
    "bid_size": pl.Float64(),  # contracts
    "ask_size": pl.Float64(),
    "mark": pl.Float64(),
    "index": pl.Float64(),
    "funding_8h": pl.Float64(),  # decimal per 8 hours; null for dated futures or unknown
    "ts_event": _TIME,
    "ts_recv": _TIME,
}


def conform(table: pl.DataFrame, schema: Mapping[str, pl.DataType], *, source: str) -> pl.DataFrame:
    """Order and cast a table's columns to a schema; absent nullable columns are an error, not a guess.

    Parameters
    ----------
    table : pl.DataFrame
    schema : mapping of column name to type
    source : str
        Where the table came from, for the error message.

    Raises
    ------
    SchemaError
        If a column is missing or cannot be cast.
    """
    if dict(zip(table.columns, table.dtypes, strict=True)) == schema and list(schema) == table.columns:
        return table
    missing = [name for name in schema if name not in table.columns]
    if missing:
        raise SchemaError(
            f"{source}: expected columns {list(schema)}, missing {missing}; found {table.columns}"
        )
    try:
        return table.select(pl.col(name).cast(dtype, strict=True) for name, dtype in schema.items())
    except pl.exceptions.PolarsError as exc:
        raise SchemaError(f"{source}: a column has a type that cannot be cast: {exc}") from exc
