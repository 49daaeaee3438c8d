"""Recording a live feed."""

import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.market.schemas import conform
from ivhedge.market.tape.files import ROW_GROUP, label, place_file
from ivhedge.market.tape.tape import INSTRUMENT_SCHEMA, MESSAGE_SCHEMA, check_listed

__all__ = ["TapeWriter"]


class TapeWriter:
    """Append messages as they come; the tape appears at its path when it is closed.

    Parameters
    ----------
    path : str or Path
        Where the tape will be. Until then parts lie in a hidden folder beside it.
    underlying : str
    part_rows : int
        Messages kept in memory before a part is written.

    Raises
    ------
    ConfigError
        If the place cannot be written.

    Notes
    -----
    As a context manager it closes at the end and, on an error or interrupt, too: what was received is kept.
    With nothing received there is no file. Each part is a whole Parquet file of messages: a crash loses the
    rows in memory only.
    """

    def __init__(self, path: str | Path, *, underlying: str, part_rows: int = ROW_GROUP) -> None:
        if part_rows < 1:
            raise ConfigError(f"expected part_rows of 1 or more, found {part_rows}")
        self._path, self._underlying, self._part_rows = Path(path), underlying, part_rows
        self._listed = pl.DataFrame(schema=INSTRUMENT_SCHEMA)
        self._waiting: list[pl.DataFrame] = []
        self._held, self._parts, self._rows, self._closed = 0, 0, 0, False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(dir=self._path.parent, prefix=f".{self._path.name}."))
        except OSError as exc:
            raise ConfigError(
                f"{path}: expected a place to write, found: {exc.strerror or exc}; choose another path"
            ) from exc

    @property
    def rows(self) -> int:
        """Messages taken so far."""
        return self._rows

    def list_instruments(self, instruments: pl.DataFrame) -> None:
        """Add to the listing, in `INSTRUMENT_SCHEMA`; may be called again while recording.

        Raises
        ------
        SchemaError, DataError
            If a column is missing, a row incomplete, or a name of a venue stands for two contracts.
        """
        more = conform(instruments, INSTRUMENT_SCHEMA, source="tape instruments")
        listed = pl.concat([self._listed, more]).unique(maintain_order=True)
        check_listed(listed)
        self._listed = listed

    def append(self, messages: pl.DataFrame) -> None:
        """Append messages, in `MESSAGE_SCHEMA`, in the order of their receipt.

        Raises
        ------
        SchemaError
            If a column is missing or cannot be cast.
        DataError
            If the tape is closed, or a message has no time of receipt or no venue; nothing of it is taken.
        """
        if self._closed:
            raise DataError(f"{self._path}: expected an open tape, found it closed; begin another")
        rows = conform(messages, MESSAGE_SCHEMA, source="tape messages")
        if rows["ts_recv"].null_count() or rows["venue"].null_count():
            raise DataError(
                "expected ts_recv and venue in every message, found null; the recorder stamps both"
            )
        self._waiting.append(rows)
        self._held += rows.height
        self._rows += rows.height
        if self._held >= self._part_rows:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            part = self._folder / f"{self._parts:08d}.parquet"
            pl.concat(self._waiting).write_parquet(part, compression="zstd", row_group_size=ROW_GROUP)
            self._parts, self._held, self._waiting = self._parts + 1, 0, []

    def close(self) -> None:
        """Join the parts into the tape; without messages, leave nothing.

        Raises
        ------
        ConfigError
            If the place cannot be written; the parts are kept.
        """
        if self._closed:
            return
        self._flush()
        if self._rows:
            rows = pl.scan_parquet(self._folder / "*.parquet")
            span = rows.select(
                pl.col("ts_recv").dt.epoch("ns").min().alias("first"),
                pl.col("ts_recv").dt.epoch("ns").max().alias("last"),
            ).collect()
            names = pl.concat([rows.select("venue").unique().collect(), self._listed.select("venue")])
            venues = tuple(names["venue"].unique().sort().to_list())
            place_file(
                rows,
                self._path,
                label(
                    self._underlying, self._listed, venues, (span["first"][0], span["last"][0]), self._rows
                ),
            )
        self._closed = True
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "TapeWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
