"""What a recorded format is, and how the format of a file is found out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import polars as pl

from ivhedge.core.errors import DataError, EmptyData, SchemaError
from ivhedge.market.readers.window import Window

__all__ = ["Format", "ReadOptions", "Table", "columns_of", "load_json", "match_format", "mismatch"]

Table: TypeAlias = Literal["chains", "futures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the caller asked for, handed to every reader.

    Parameters
    ----------
    window : Window
    sample_ns : int or None
        Sampling grid for streams of single updates, nanoseconds; None keeps every update.
    """

    window: Window
    sample_ns: int | None = None


_LAST_LINE_BYTES = 65_536
_UTC = ("UTC", "Etc/UTC", "+00:00")

Scan: TypeAlias = Callable[[Sequence[Path], ReadOptions], pl.LazyFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One recorded format.

    Parameters
    ----------
    name : str
        What the user types for ``fmt=``.
    table : "chains" or "futures"
        Which table the reader gives.
    suffixes : tuple of str
        File name endings.
    required : frozenset of str
        Columns (or JSON keys of one record) that the reader needs.
    forbidden : frozenset of str
        Columns that tell a similar format apart.
    times : frozenset of str
        Parquet columns that must hold times in UTC: a bare number would be read in a wrong unit.
    scan : callable
        Files and options to a lazy frame in the table's schema.
    """

    name: str
    table: Table
    suffixes: tuple[str, ...]
    required: frozenset[str]
    scan: Scan
    forbidden: frozenset[str] = field(default_factory=frozenset)
    times: frozenset[str] = field(default_factory=frozenset)

    def accepts(self, path: Path, columns: frozenset[str]) -> bool:
        """Whether a file with these columns is of this format."""
        return path.name.endswith(self.suffixes) and self.required <= columns and not self.forbidden & columns

    def check_times(self, path: Path) -> None:
        """Refuse a file whose time columns are not times.

        Raises
        ------
        SchemaError
            If one is a number, a text or a time without a zone.
        """
        if not self.times:
            return
        types = pl.read_parquet_schema(path)
        wrong = {
            name: str(kind)
            for name in sorted(self.times)
            if not (isinstance(kind := types[name], pl.Datetime) and kind.time_zone in _UTC)
        }
        if wrong:
            raise SchemaError(
                f"{path}: expected times with the zone UTC in {sorted(self.times)}, found {wrong}; "
                "cast them when recording, for instance with polars' from_epoch and replace_time_zone('UTC')"
            )


def load_json(path: Path) -> list[dict[str, object]]:
    """Records of a JSON answer: its ``result`` list, or the document itself when that is a list.

    Raises
    ------
    DataError
        If the text is cut off or is not JSON.
    SchemaError
        If the document holds no list of records.
    """
    try:
        document = json.loads(path.read_bytes())
    except ValueError as exc:
        raise DataError(
            f"{path}: expected a complete JSON document, found {exc}; record or download the file again"
        ) from exc
    result = document.get("result", document) if isinstance(document, dict) else document
    records = [result] if isinstance(result, dict) else result
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise SchemaError(f"{path}: expected a list of records under 'result', found {type(result).__name__}")
    return records


def columns_of(path: Path) -> frozenset[str]:
    """Column names of a Parquet or CSV file, or the keys found in the records of a JSON answer.

    Raises
    ------
    EmptyData
        If the file has no bytes.
    DataError
        If the file is truncated or unreadable.
    """
    if path.stat().st_size == 0:
        raise EmptyData(f"{path}: expected a file with quotes, found an empty file; record it again")
    if path.name.endswith(".json"):
        return frozenset(key for record in load_json(path) for key in record)
    try:
        if path.name.endswith(".parquet"):
            return frozenset(pl.read_parquet_schema(path))
        if path.name.endswith(".csv"):
            _refuse_cut_line(path)
        return frozenset(pl.read_csv(path, n_rows=0).columns)
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise DataError(
            f"{path}: expected a complete file, found {exc}; it may be truncated: record or copy it again"
        ) from exc


def _refuse_cut_line(path: Path) -> None:
    """A CSV that was cut off reads as if its last fields were unknown, or its last number shorter."""
    with path.open("rb") as handle:
        header = handle.readline()
        handle.seek(max(path.stat().st_size - _LAST_LINE_BYTES, 0))
        last = handle.read().rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
    if last.count(b",") < header.count(b","):
        found = last[:60].decode("utf-8", "replace")
        raise DataError(
            f"{path}: expected {header.count(b',') + 1} fields in the last line, found "
            f"{last.count(b',') + 1} ({found!r}); the file is truncated: record or copy it again"
        )


def match_format(path: Path, columns: frozenset[str], formats: Sequence[Format]) -> Format | None:
    """First format that accepts the file, or None."""
    return next((fmt for fmt in formats if fmt.accepts(path, columns)), None)


def mismatch(path: Path, columns: frozenset[str], formats: Sequence[Format]) -> SchemaError:
    """Build the error that says which format came nearest and what it lacks."""
    candidates = [fmt for fmt in formats if path.name.endswith(fmt.suffixes)] or list(formats)
    nearest = max(candidates, key=lambda fmt: len(fmt.required & columns) / len(fmt.required))
    missing = sorted(nearest.required - columns)
    lacks = f"missing {missing}" if missing else f"with {sorted(nearest.forbidden & columns)} too many"
    return SchemaError(
        f"{path}: expected one of {[fmt.name for fmt in formats]}; nearest is {nearest.name!r}, {lacks}; "
        f"found columns {sorted(columns)}. Pass the right file, or name its format with fmt="
    )
