"""`ChainStore`: recorded chains and futures in one directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.market.readers import read_chains, read_futures
from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA
from ivhedge.market.store.partitions import IngestReport, ingest_table, write_atomically
from ivhedge.market.store.sql import run_select

__all__ = ["ChainStore"]

_TABLES: Final[Mapping[str, Mapping[str, pl.DataType]]] = {"chains": CHAIN_SCHEMA, "futures": FUTURES_SCHEMA}


class ChainStore:
    """A directory of recorded chains and futures.

    Parameters
    ----------
    root : str or Path
        Made on the first ingest. `read_chains` and `read_futures` accept it as a source.

    Examples
    --------
    >>> store = ChainStore("quotes")  # doctest: +SKIP
    >>> store.ingest(read_chains("recordings")).rows_added  # doctest: +SKIP
    >>> store.query("SELECT venue, count(*) FROM chains GROUP BY venue")  # doctest: +SKIP
    """

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        if self._root.exists() and not self._root.is_dir():
            raise ConfigError(f"expected a directory for the store, found a file at {self._root}")

    @property
    def root(self) -> Path:
        """Directory of the store."""
        return self._root

    def ingest(self, table: pl.DataFrame) -> IngestReport:
        """Merge chain rows; rows of the same time, venue and name are replaced, so repeating is harmless.

        Raises
        ------
        SchemaError, EmptyData, DataError
            See `ivhedge.market.store.partitions.ingest_table`.
        """
        return ingest_table(self._root / "chains", table, CHAIN_SCHEMA)

    def ingest_futures(self, table: pl.DataFrame) -> IngestReport:
        """Merge futures rows, as `ingest` does chain rows."""
        return ingest_table(self._root / "futures", table, FUTURES_SCHEMA)

    def chains(
        self, *, underlying: str | None = None, start: str | int | None = None, end: str | int | None = None
    ) -> pl.DataFrame:
        """Read chains back, as `read_chains` does."""
        folder = self._folder("chains")
        return read_chains(folder, underlying=underlying, start=start, end=end, fmt="chains")

    def futures(
        self, *, underlying: str | None = None, start: str | int | None = None, end: str | int | None = None
    ) -> pl.DataFrame:
        """Read futures back, as `read_futures` does."""
        folder = self._folder("futures")
        return read_futures(folder, underlying=underlying, start=start, end=end, fmt="futures")

    def coverage(self) -> pl.DataFrame:
        """What is in the store: one row per table, venue and underlying.

        Returns
        -------
        pl.DataFrame
            ``table, venue, underlying, first, last, days, snapshots, instruments, rows``.
        """
        parts = [self._coverage_of(name) for name in _TABLES if self._has(name)]
        if not parts:
            raise self._empty("chains")
        return pl.concat(parts).sort("table", "venue", "underlying")

    def query(self, sql: str) -> pl.DataFrame:
        """Run one SELECT over the views `chains` and `futures`.

        Raises
        ------
        ConfigError
            If the text is not one SELECT.
        DataError
            If the query fails.
        EmptyData
            If the store is empty.
        """
        views = {name: self._root / name for name in _TABLES if self._has(name)}
        if not views:
            raise self._empty("chains")
        return run_select(sql, views, self._root)

    def export(
        self,
        path: str | Path,
        *,
        underlying: str | None = None,
        start: str | int | None = None,
        end: str | int | None = None,
    ) -> int:
        """Write chains to one Parquet file, whole or not at all; give the number of rows.

        Raises
        ------
        ConfigError
            If the path does not end in ``.parquet``.
        """
        target = Path(path)
        if target.suffix != ".parquet":
            raise ConfigError(f"expected a path ending in .parquet, found {target}")
        table = self.chains(underlying=underlying, start=start, end=end)
        write_atomically(table, target)
        return table.height

    def _has(self, name: str) -> bool:
        return next((self._root / name).glob("**/part.parquet"), None) is not None

    def _folder(self, name: str) -> Path:
        if not self._has(name):
            raise self._empty(name)
        return self._root / name

    def _empty(self, name: str) -> EmptyData:
        return EmptyData(f"{self._root}: expected {name} in the store, found none; ingest a recording first")

    def _coverage_of(self, name: str) -> pl.DataFrame:
        frame = pl.scan_parquet(self._root / name / "**" / "part.parquet", hive_partitioning=False)
        grouped = frame.group_by("venue", "underlying").agg(
            first=pl.col("ts").min(),
            last=pl.col("ts").max(),
            days=pl.col("ts").dt.date().n_unique(),
            snapshots=pl.col("ts").n_unique(),
            instruments=pl.col("instrument_name").n_unique(),
            rows=pl.len(),
        )
        try:
            return grouped.select(pl.lit(name).alias("table"), pl.all()).collect()
        except (pl.exceptions.PolarsError, OSError) as exc:
            raise DataError(
                f"{self._root}: expected readable partitions, found {exc}; move the damaged file away and "
                "ingest its day again"
            ) from exc
