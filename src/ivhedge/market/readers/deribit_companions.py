"""Futures recorded beside the Deribit chains: one-minute trade candles at each snapshot.

A candle gives one trade price, not a two-sided quote: it goes to `mark`, and bid and ask stay null. The
price may lie up to 29 s after the snapshot (`ts_event` tells). A dated future whose candle had no trade
repeats an older price; the forward that the chain itself showed for that future is then the better mark.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.market.readers.columns import futures_frame, utc_ns
from ivhedge.market.readers.formats import Format, ReadOptions
from ivhedge.market.readers.names import expiry_from_name, settlement_from_name, underlying_from_name

__all__ = ["DERIBIT_PERPETUAL_MARKS", "DERIBIT_TERM_FUTURES_MARKS"]

_SHARED: Final = frozenset(
    {"timestamp", "currency", "instrument_name", "price", "price_timestamp", "candle_volume_coin"}
)
_TIMES: Final = frozenset({"timestamp", "price_timestamp"})


def _frame(paths: Sequence[Path], options: ReadOptions, kind: str, mark: pl.Expr) -> pl.LazyFrame:
    name = pl.col("instrument_name")
    frame = pl.concat([pl.scan_parquet(path) for path in paths])
    return futures_frame(
        frame.filter(options.window.holds("timestamp", "us")),
        ts=utc_ns("timestamp"),
        venue=pl.lit("deribit"),
        underlying=underlying_from_name(name),
        instrument_name=name,
        kind=pl.lit(kind),
        expiry=expiry_from_name(name),
        settlement=settlement_from_name(name),
        mark=mark,
        ts_event=utc_ns("price_timestamp"),
    )


def _scan_perpetuals(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    return _frame(paths, options, "perpetual", pl.col("price"))


def _scan_dated(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    traded = pl.when(pl.col("candle_volume_coin") > 0).then(pl.col("price"))
    return _frame(paths, options, "future", pl.coalesce(traded, "chain_underlying_price", "price"))


DERIBIT_PERPETUAL_MARKS: Final = Format(
    name="deribit_perpetual_marks",
    table="futures",
    suffixes=(".parquet",),
    required=_SHARED,
    forbidden=frozenset({"chain_underlying_price"}),
    scan=_scan_perpetuals,
    times=_TIMES,
)

DERIBIT_TERM_FUTURES_MARKS: Final = Format(
    name="deribit_term_futures_marks",
    table="futures",
    suffixes=(".parquet",),
    required=_SHARED | {"chain_underlying_price"},
    scan=_scan_dated,
    times=_TIMES,
)
