"""Deribit's REST answer ``public/get_book_summary_by_currency`` in JSON, options or futures.

`ts` is the latest ``creation_timestamp`` of the answer. The answer carries no index; away from the last
half hour before an expiry ``estimated_delivery_price`` is the index, so it is taken for it. Volatilities
arrive in percent. There are no sizes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.core.errors import SchemaError
from ivhedge.market.readers.columns import chain_frame, futures_frame
from ivhedge.market.readers.formats import Format, ReadOptions, load_json
from ivhedge.market.readers.names import (
    expiry_from_name,
    is_call_from_name,
    settlement_from_name,
    strike_from_name,
    underlying_from_name,
)

__all__ = ["DERIBIT_REST", "DERIBIT_REST_FUTURES"]

_COLUMNS: Final[Mapping[str, pl.DataType]] = {
    "instrument_name": pl.String(),
    "creation_timestamp": pl.Int64(),
    "bid_price": pl.Float64(),
    "ask_price": pl.Float64(),
    "mark_price": pl.Float64(),
    "mark_iv": pl.Float64(),
    "underlying_price": pl.Float64(),
    "estimated_delivery_price": pl.Float64(),
    "open_interest": pl.Float64(),
    "funding_8h": pl.Float64(),
}
_SHARED: Final = frozenset(
    {"instrument_name", "creation_timestamp", "bid_price", "ask_price", "mark_price", "quote_currency"}
)


def _frame(path: Path) -> pl.LazyFrame:
    records = [{name: record.get(name) for name in _COLUMNS} for record in load_json(path)]
    try:
        table = pl.DataFrame(records, schema=dict(_COLUMNS), strict=True)
    except (TypeError, pl.exceptions.PolarsError) as exc:
        raise SchemaError(
            f"{path}: expected numbers in {sorted(_COLUMNS)}, found something else: {exc}"
        ) from exc
    event = pl.from_epoch("creation_timestamp", time_unit="ms").cast(pl.Datetime("ns"))
    return table.lazy().with_columns(ts_event=event.dt.replace_time_zone("UTC"))


def _answers(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    answers = [_frame(path).with_columns(ts=pl.col("ts_event").max()) for path in paths]
    return pl.concat(answers).filter(options.window.holds("ts", "ns"))


def _scan_options(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    name = pl.col("instrument_name")
    return chain_frame(
        _answers(paths, options),
        ts=pl.col("ts"),
        venue=pl.lit("deribit"),
        underlying=underlying_from_name(name),
        instrument_name=name,
        expiry=expiry_from_name(name),
        strike=strike_from_name(name),
        is_call=is_call_from_name(name),
        settlement=settlement_from_name(name),
        bid=pl.col("bid_price"),
        ask=pl.col("ask_price"),
        mark=pl.col("mark_price"),
        mark_iv=pl.col("mark_iv") / 100,
        forward=pl.col("underlying_price"),
        index=pl.col("estimated_delivery_price"),
        open_interest=pl.col("open_interest"),
        ts_event=pl.col("ts_event"),
    )


def _scan_futures(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    name = pl.col("instrument_name")
    is_perpetual = name.str.ends_with("-PERPETUAL")
    return futures_frame(
        _answers(paths, options),
        ts=pl.col("ts"),
        venue=pl.lit("deribit"),
        underlying=underlying_from_name(name),
        instrument_name=name,
        kind=pl.when(is_perpetual).then(pl.lit("perpetual")).otherwise(pl.lit("future")),
        expiry=expiry_from_name(name),
        settlement=settlement_from_name(name),
        bid=pl.col("bid_price"),
        ask=pl.col("ask_price"),
        mark=pl.col("mark_price"),
        index=pl.col("estimated_delivery_price"),
        funding_8h=pl.col("funding_8h"),
        ts_event=pl.col("ts_event"),
    )


DERIBIT_REST: Final = Format(
    name="deribit_rest",
    table="chains",
    suffixes=(".json",),
    required=_SHARED | {"underlying_price", "mark_iv"},
    scan=_scan_options,
)

DERIBIT_REST_FUTURES: Final = Format(
    name="deribit_rest_futures",
    table="futures",
    suffixes=(".json",),
    required=_SHARED,
    forbidden=frozenset({"underlying_price", "mark_iv"}),
    scan=_scan_futures,
)
