"""The project's own tables in Parquet: what the store holds and what `export` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.market.readers.formats import Format, ReadOptions
from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA

__all__ = ["OWN_CHAINS", "OWN_FUTURES"]


def _scan_chains(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    frame = pl.scan_parquet(list(paths), hive_partitioning=False)
    return frame.select(list(CHAIN_SCHEMA)).filter(options.window.holds("ts", "ns"))


def _scan_futures(paths: Sequence[Path], options: ReadOptions) -> pl.LazyFrame:
    frame = pl.scan_parquet(list(paths), hive_partitioning=False)
    return frame.select(list(FUTURES_SCHEMA)).filter(options.window.holds("ts", "ns"))


OWN_CHAINS: Final = Format(
    name="chains",
    table="chains",
    suffixes=(".parquet",),
    required=frozenset(CHAIN_SCHEMA),
    scan=_scan_chains,
)

OWN_FUTURES: Final = Format(
    name="futures",
    table="futures",
    suffixes=(".parquet",),
    required=frozenset(FUTURES_SCHEMA),
    forbidden=frozenset({"strike"}),
    scan=_scan_futures,
)
