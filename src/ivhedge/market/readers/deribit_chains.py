"""Deribit option chains in Parquet: one row per option and snapshot.

``timestamp`` is the snapshot. Prices are in coin for coin-settled options. The files carry no sizes and
no time per row. ``venue_delta`` and ``venue_vega`` come from later calls than the prices and are left
out; so is ``underlying_name``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.market.readers.columns import chain_frame, utc_ns
from ivhedge.market.readers.formats import Format, ReadOptions
from ivhedge.market.readers.names import settlement_from_name, underlying_from_name

__all__ = ["DERIBIT_CHAINS"]


def _scan_one(path: Path, options: ReadOptions) -> pl.LazyFrame:
    name = pl.col("instrument_name")
    frame = pl.scan_parquet(path).filter(options.window.holds("timestamp", "us"))
    return chain_frame(
        frame,
        ts=utc_ns("timestamp"),
        venue=pl.lit("deribit"),
        underlying=underlying_from_name(name),
        instrument_name=name,
        expiry=utc_ns("expiry"),
        strike=pl.col("strike"),
        is_call=pl.col("is_call"),
        settlement=settlement_from_name(name),
        bid=pl.col("bid_price"),
        ask=pl.col("ask_price"),
        mark=pl.col("mark_price"),
        mark_iv=pl.col("mark_iv"),
        forward=pl.col("underlying_price"),
        index=pl.col("index_price"),
        open_interest=pl.col("open_interest"),
    )


def _scan(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    return pl.concat([_scan_one(path, options) for path in paths])


DERIBIT_CHAINS: Final = Format(
    name="deribit_chains",
    table="chains",
    suffixes=(".parquet",),
    required=frozenset(
        {
            "timestamp",
            "instrument_name",
            "underlying_price",
            "is_call",
            "strike",
            "expiry",
            "bid_price",
            "ask_price",
            "mark_price",
            "mark_iv",
            "open_interest",
            "index_price",
        }
    ),
    scan=_scan,
    times=frozenset({"timestamp", "expiry"}),
)
