"""The project's own tables in Parquet: what the store holds and what `export` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.market.readers.formats import Format, ReadOptions
from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA

__all__ = ["OWN_CHAINS", "OWN_FUTURES"]


_TIMES: Final = frozenset({"ts", "expiry", "ts_event", "ts_recv"})


def _rows(paths: Sequence[Path], options: ReadOptions, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    files = [pl.scan_parquet(path, hive_partitioning=False) for path in paths]
    typed = [frame.select(pl.col(n).cast(kind) for n, kind in schema.items()) for frame in files]
    return pl.concat(typed).filter(options.window.holds("ts", "ns"))


def _scan_chains(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    return _rows(paths, options, CHAIN_SCHEMA)


def _scan_futures(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    return _rows(paths, options, FUTURES_SCHEMA)


OWN_CHAINS: Final = Format(
    name="chains",
    table="chains",
    suffixes=(".parquet",),
    required=frozenset(CHAIN_SCHEMA),
    scan=_scan_chains,
    times=_TIMES,
)

OWN_FUTURES: Final = Format(
    name="futures",
    table="futures",
    suffixes=(".parquet",),
    required=frozenset(FUTURES_SCHEMA),
    forbidden=frozenset({"strike"}),
    scan=_scan_futures,
    times=_TIMES,
)
