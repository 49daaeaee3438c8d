"""Parquet partitions on disk: where a row lives and how a file is replaced without ever losing it.

Layout: ``<root>/<table>/venue=<v>/underlying=<u>/date=<YYYY-MM-DD>/part.parquet``, one file per partition.
A file is written beside its target under another name, flushed to the disk and then renamed over it, so a
reader sees the old file or the new one, never a part of one.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.core.errors import DataError, EmptyData, SchemaError
from ivhedge.market.schemas import conform

__all__ = ["IngestReport", "ingest_table", "partition_path", "write_atomically"]

_KEY: Final = ["ts", "venue", "instrument_name"]
_UNSAFE: Final = frozenset('/\\=:*?"<>|')
_COLUMNS: Final = ("venue", "underlying", "date")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an ingest did.

    Parameters
    ----------
    rows_added : int
        Rows that were not in the store.
    rows_replaced : int
        Rows whose time, venue and name were already in the store; the new ones stand.
    rows_merged : int
        Rows of the input that repeated a time, venue and name of the input; the last one stands.
    partitions : int
        Files written.
    """

    rows_added: int
    rows_replaced: int
    rows_merged: int
    partitions: int


def partition_path(root: Path, venue: str, underlying: str, date: str) -> Path:
    """File of a partition.

    Raises
    ------
    SchemaError
        If a name cannot be part of a path.
    """
    for name in (venue, underlying):
        if not name or _UNSAFE & set(name) or name.startswith("."):
            raise SchemaError(f"expected a plain venue and underlying for the store, found {name!r}")
    return root / f"venue={venue}" / f"underlying={underlying}" / f"date={date}" / "part.parquet"


def write_atomically(table: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file so that `path` holds either its old or its new content, whatever happens.

    Raises
    ------
    DataError
        If the disk refuses, for instance because it is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(temporary, compression="zstd", statistics=True)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except (OSError, pl.exceptions.PolarsError) as exc:
        raise DataError(
            f"{path}: expected to write {table.height} rows, found {exc}; what was there before still is: "
            "free the disk or fix the permissions and repeat"
        ) from exc
    finally:
        temporary.unlink(missing_ok=True)


def ingest_table(root: Path, table: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> IngestReport:
    """Merge rows into the partitions under `root`; rows of the same time, venue and name are replaced.

    Partitions are finished one after the other: when one fails, those before it are complete, it and those
    after it are unchanged, and ingesting the same rows again completes the work.

    Raises
    ------
    SchemaError
        If a column is missing or a key is null.
    EmptyData
        If there are no rows.
    DataError
        If an existing partition cannot be read.
    """
    rows = _checked(table, schema)
    unique = rows.unique(_KEY, keep="last", maintain_order=True)
    dated = unique.with_columns(date=pl.col("ts").dt.strftime("%Y-%m-%d"))
    added = replaced = 0
    grouped = dated.partition_by(list(_COLUMNS), maintain_order=True, as_dict=True)
    parts = {partition_path(root, *map(str, key)): part.drop("date") for key, part in grouped.items()}
    with _locked(root):
        for path, new in parts.items():
            old = _existing(path, schema)
            kept = old.join(new, on=_KEY, how="anti")
            merged = pl.concat([kept, new]).sort("ts", "instrument_name", maintain_order=True)
            write_atomically(merged, path)
            replaced += old.height - kept.height
            added += new.height - (old.height - kept.height)
    return IngestReport(
        rows_added=added,
        rows_replaced=replaced,
        rows_merged=rows.height - unique.height,
        partitions=len(parts),
    )


def _checked(table: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    rows = conform(table, schema, source="ingest")
    if rows.is_empty():
        raise EmptyData("expected rows to ingest, found none")
    nulls = rows.select(pl.col(*_KEY, "underlying").null_count()).row(0, named=True)
    if any(nulls.values()):
        raise SchemaError(
            f"expected ts, venue, underlying and instrument_name in every row, found nulls {nulls}"
        )
    return rows


def _existing(path: Path, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    if not path.exists():
        return pl.DataFrame(schema=dict(schema))
    try:
        return conform(pl.read_parquet(path, hive_partitioning=False), schema, source=str(path))
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise DataError(
            f"{path}: expected a complete partition, found {exc}; move the file away and ingest its day again"
        ) from exc


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Let one process at a time merge; where the system has no file locks, trust the user."""
    root.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (root / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
