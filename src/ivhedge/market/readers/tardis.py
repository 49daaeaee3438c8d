"""Tardis ``options_chain`` CSV: one row per change of one option, many venues.

Times are microseconds, volatilities percent, an empty field means unknown. The stream has no snapshots,
so it is sampled: at each point of a regular grid every option shows its last row that had *arrived*
(``local_timestamp``) at or before that point and that is not expired. `ts` is the grid point, `ts_event`
the venue's time, `ts_recv` the arrival; the age of a quote is ``ts - ts_event``. Without a grid every
row is kept and `ts` is its arrival.

The stream has no index. Where ``underlying_index`` says ``index_price``, the underlying price is the
index; elsewhere `index` is null.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.core.errors import DataError
from ivhedge.core.units import format_ns
from ivhedge.market.readers.columns import chain_frame
from ivhedge.market.readers.formats import Format, ReadOptions
from ivhedge.market.readers.names import settlement_from_name, underlying_from_name
from ivhedge.market.readers.window import Window

__all__ = ["TARDIS_OPTIONS_CHAIN"]

_TYPES: Final = {
    "exchange": pl.String(),
    "symbol": pl.String(),
    "timestamp": pl.Int64(),
    "local_timestamp": pl.Int64(),
    "type": pl.String(),
    "strike_price": pl.Float64(),
    "expiration": pl.Int64(),
    "open_interest": pl.Float64(),
    "bid_price": pl.Float64(),
    "bid_amount": pl.Float64(),
    "ask_price": pl.Float64(),
    "ask_amount": pl.Float64(),
    "mark_price": pl.Float64(),
    "mark_iv": pl.Float64(),
    "underlying_index": pl.String(),
    "underlying_price": pl.Float64(),
}
_KEYS: Final = ("exchange", "symbol")
_MOST_POINTS: Final = 1_000_000
"""One wrong time stamp would otherwise ask for a grid of half a century."""


def _time(name: str) -> pl.Expr:
    return pl.from_epoch(name, time_unit="us").dt.replace_time_zone("UTC").cast(pl.Datetime("ns", "UTC"))


def _updates(paths: Sequence[Path]) -> pl.LazyFrame:
    files = [pl.scan_csv(path, schema_overrides=_TYPES).select(list(_TYPES)) for path in paths]
    return pl.concat(files).with_columns(
        ts_event=_time("timestamp"), ts_recv=_time("local_timestamp"), expiry=_time("expiration")
    )


def _sample(paths: Sequence[Path], sample_ns: int, window: Window) -> pl.LazyFrame:
    updates = _updates(paths)
    known = updates.filter(Window(end_ns=window.end_ns).holds("ts_recv", "ns"))
    step = pl.duration(nanoseconds=sample_ns)
    point = pl.col("ts_recv").dt.truncate(f"{sample_ns}ns")
    point = pl.when(point == pl.col("ts_recv")).then(point).otherwise(point + step)
    # The whole file tells how long the recording ran, also where a window ends before it does.
    span = updates.select(first=point.min(), last=point.max())
    _refuse_long(span.collect(), sample_ns, paths)
    grid = span.select(pl.datetime_ranges("first", "last", interval=f"{sample_ns}ns").alias("ts")).explode(
        "ts"
    )
    options = known.select(_KEYS).unique()
    points = grid.filter(window.holds("ts", "ns")).join(options, how="cross")
    sampled = points.sort("ts").join_asof(
        known.sort("ts_recv"),
        left_on="ts",
        right_on="ts_recv",
        by=list(_KEYS),
        coalesce=False,
        check_sortedness=False,
    )
    return sampled.filter(pl.col("ts_recv").is_not_null() & (pl.col("expiry") > pl.col("ts")))


def _refuse_long(span: pl.DataFrame, sample_ns: int, paths: Sequence[Path]) -> None:
    first, last = span.select(pl.all().dt.epoch("ns")).row(0)
    if first is not None and (last - first) // sample_ns > _MOST_POINTS:
        raise DataError(
            f"{paths[0]}: expected a stream of at most {_MOST_POINTS} sampling steps, found arrivals from "
            f"{format_ns(first)} to {format_ns(last)}; local_timestamp must be in microseconds, "
            "else split the file or take a larger sample"
        )


def _scan(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    if options.sample_ns is None:
        rows = _updates(paths).with_columns(ts=pl.col("ts_recv")).filter(options.window.holds("ts", "ns"))
    else:
        rows = _sample(paths, options.sample_ns, options.window)
    name = pl.col("symbol")
    price = pl.col("underlying_price")
    return chain_frame(
        rows,
        ts=pl.col("ts"),
        venue=pl.col("exchange"),
        underlying=underlying_from_name(name),
        instrument_name=name,
        expiry=pl.col("expiry"),
        strike=pl.col("strike_price"),
        is_call=pl.col("type") == "call",
        settlement=settlement_from_name(name),
        bid=pl.col("bid_price"),
        ask=pl.col("ask_price"),
        bid_size=pl.col("bid_amount"),
        ask_size=pl.col("ask_amount"),
        mark=pl.col("mark_price"),
        mark_iv=pl.col("mark_iv") / 100,
        forward=price,
        index=pl.when(pl.col("underlying_index") == "index_price").then(price),
        open_interest=pl.col("open_interest"),
        ts_event=pl.col("ts_event"),
        ts_recv=pl.col("ts_recv"),
    )


TARDIS_OPTIONS_CHAIN: Final = Format(
    name="tardis_options_chain",
    table="chains",
    suffixes=(".csv", ".csv.gz"),
    required=frozenset(_TYPES),
    scan=_scan,
)
