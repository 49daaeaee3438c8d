"""Deribit ticker dumps in Parquet: complete tickers with sizes, options and futures.

A dump takes one to two minutes and every row has its own time. The snapshot's `ts` is the latest time in
the dump, so that nothing in it lies ahead of `ts`; the row's own time goes to `ts_event`. The label
``dump`` is a name, not a time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.market.readers.columns import chain_frame, futures_frame, utc_ns
from ivhedge.market.readers.formats import Format, ReadOptions
from ivhedge.market.readers.names import settlement_from_name, underlying_from_name

__all__ = ["DERIBIT_TICKERS", "DERIBIT_TICKER_FUTURES"]

_SHARED: Final = frozenset(
    {
        "dump",
        "timestamp",
        "instrument_name",
        "expiry",
        "contract_size",
        "best_bid_price",
        "best_bid_amount",
        "best_ask_price",
        "best_ask_amount",
        "mark_price",
        "index_price",
    }
)
_TIMES: Final = frozenset({"timestamp", "expiry"})


def _dumps(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    frame = pl.concat([pl.scan_parquet(path) for path in paths])
    stamped = frame.with_columns(snapshot=pl.col("timestamp").max().over("dump"))
    return stamped.filter(options.window.holds("snapshot", "us"))


def _scan_options(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    name = pl.col("instrument_name")
    return chain_frame(
        _dumps(paths, options),
        ts=utc_ns("snapshot"),
        venue=pl.lit("deribit"),
        underlying=underlying_from_name(name),
        instrument_name=name,
        expiry=utc_ns("expiry"),
        strike=pl.col("strike"),
        is_call=pl.col("is_call"),
        settlement=settlement_from_name(name),
        bid=pl.col("best_bid_price"),
        ask=pl.col("best_ask_price"),
        bid_size=pl.col("best_bid_amount") / pl.col("contract_size"),
        ask_size=pl.col("best_ask_amount") / pl.col("contract_size"),
        mark=pl.col("mark_price"),
        mark_iv=pl.col("mark_iv"),
        forward=pl.col("underlying_price"),
        index=pl.col("index_price"),
        open_interest=pl.col("open_interest") / pl.col("contract_size"),
        ts_event=utc_ns("timestamp"),
    )


def _scan_futures(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    name = pl.col("instrument_name")
    is_perpetual = pl.col("expiry").is_null()
    return futures_frame(
        _dumps(paths, options),
        ts=utc_ns("snapshot"),
        venue=pl.lit("deribit"),
        underlying=underlying_from_name(name),
        instrument_name=name,
        kind=pl.when(is_perpetual).then(pl.lit("perpetual")).otherwise(pl.lit("future")),
        expiry=utc_ns("expiry"),
        settlement=settlement_from_name(name),
        bid=pl.col("best_bid_price"),
        ask=pl.col("best_ask_price"),
        bid_size=pl.col("best_bid_amount") / pl.col("contract_size"),
        ask_size=pl.col("best_ask_amount") / pl.col("contract_size"),
        mark=pl.col("mark_price"),
        index=pl.col("index_price"),
        funding_8h=pl.col("funding_8h"),
        ts_event=utc_ns("timestamp"),
    )


DERIBIT_TICKERS: Final = Format(
    name="deribit_tickers",
    table="chains",
    suffixes=(".parquet",),
    required=_SHARED | {"strike", "is_call", "underlying_price", "mark_iv", "open_interest"},
    scan=_scan_options,
    times=_TIMES,
)

DERIBIT_TICKER_FUTURES: Final = Format(
    name="deribit_ticker_futures",
    table="futures",
    suffixes=(".parquet",),
    required=_SHARED | {"funding_8h"},
    forbidden=frozenset({"strike"}),
    scan=_scan_futures,
    times=_TIMES,
)
