"""Tapes as Parquet files: messages as rows, the listing and the label as key-value metadata."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.core.errors import ConfigError, DataError, EmptyData, SchemaError
from ivhedge.market.schemas import conform
from ivhedge.market.tape.tape import INSTRUMENT_SCHEMA, MESSAGE_SCHEMA, Tape

__all__ = [
    "FORMAT",
    "ROW_GROUP",
    "VERSION",
    "TapeInfo",
    "label",
    "place_file",
    "read_tape",
    "tape_info",
    "write_tape",
]

FORMAT: Final = "ivhedge.tape"
VERSION: Final = 1
ROW_GROUP: Final = 131_072
_KEYS: Final = ("format", "version", "underlying", "first_ns", "last_ns", "rows", "venues", "instruments")


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeInfo:
    """The label of a tape, read without its messages.

    Parameters
    ----------
    underlying : str
    version : int
    rows : int
    first_ns, last_ns : int
        Earliest and latest time of receipt, nanoseconds since the epoch.
    venues : tuple of str
    instruments : pl.DataFrame
        In `INSTRUMENT_SCHEMA`.
    """

    underlying: str
    version: int
    rows: int
    first_ns: int
    last_ns: int
    venues: tuple[str, ...]
    instruments: pl.DataFrame


def write_tape(tape: Tape, path: str | Path) -> None:
    """Write a tape; a reader sees the old file or the new one, never half of one.

    Raises
    ------
    ConfigError
        If the place cannot be written.
    """
    place_file(
        tape.messages.lazy(),
        Path(path),
        label(tape.underlying, tape.instruments, tape.venues, tape.span_ns, len(tape)),
    )


def label(
    underlying: str, instruments: pl.DataFrame, venues: tuple[str, ...], span_ns: tuple[int, int], rows: int
) -> dict[str, str]:
    """Key-value metadata of a tape, each value as JSON."""
    listing = instruments.with_columns(pl.col("expiry").dt.epoch("ns")).to_dict(as_series=False)
    values = (FORMAT, VERSION, underlying, *span_ns, rows, list(venues), listing)
    return {
        f"{FORMAT}.{key}": json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for key, value in zip(_KEYS, values, strict=True)
    }


def place_file(rows: pl.LazyFrame, path: Path, metadata: Mapping[str, str]) -> None:
    """Write rows to a temporary neighbour, then rename it into place."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        rows.sink_parquet(
            temporary, compression="zstd", row_group_size=ROW_GROUP, metadata=dict(metadata),
            maintain_order=True, sync_on_close="all",
        )  # fmt: skip
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as exc:
        raise ConfigError(
            f"{path}: expected a place to write, found: {exc.strerror or exc}; choose another path"
        ) from exc
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def tape_info(path: str | Path) -> TapeInfo:
    """Read the label of a tape.

    Raises
    ------
    ConfigError
        If there is no file at the path.
    EmptyData
        If the file has no bytes.
    DataError
        If the file is no Parquet file or cut off, no tape, or of another version.
    SchemaError
        If the label is damaged.
    """
    place = Path(path)
    if not place.is_file():
        found = "a folder" if place.is_dir() else "nothing"
        raise ConfigError(f"expected a tape, found {found} at {place}; check the path")
    if place.stat().st_size == 0:
        raise EmptyData(f"{place}: expected a tape, found an empty file; record it again")
    try:
        metadata = pl.read_parquet_metadata(place)
    except (pl.exceptions.PolarsError, OSError) as exc:
        first = str(exc).splitlines()[0]
        raise DataError(
            f"{place}: expected a complete Parquet file, found: {first}; make a tape with `ivhedge tape`"
        ) from exc
    if metadata.get(f"{FORMAT}.format") != json.dumps(FORMAT):
        raise DataError(
            f"{place}: expected a tape, found another Parquet file; make a tape of it with "
            "`ivhedge tape SOURCE --out FILE`"
        )
    return _parsed(place, metadata)


def _parsed(place: Path, metadata: Mapping[str, str]) -> TapeInfo:
    try:
        value = {key: json.loads(metadata[f"{FORMAT}.{key}"]) for key in ("version", *_KEYS[2:])}
        if value["version"] != VERSION:
            raise DataError(
                f"{place}: expected a tape of version {VERSION}, found {value['version']}; "
                "use the release that wrote it, or record it again"
            )
        listed = pl.DataFrame(value["instruments"], schema={**INSTRUMENT_SCHEMA, "expiry": pl.Int64()})
        return TapeInfo(
            underlying=str(value["underlying"]),
            version=VERSION,
            rows=int(value["rows"]),
            first_ns=int(value["first_ns"]),
            last_ns=int(value["last_ns"]),
            venues=tuple(str(name) for name in value["venues"]),
            instruments=listed.with_columns(pl.col("expiry").cast(INSTRUMENT_SCHEMA["expiry"])),
        )
    except (KeyError, ValueError, TypeError, pl.exceptions.PolarsError) as exc:
        raise SchemaError(
            f"{place}: expected the label of a tape, found it damaged ({exc}); record it again"
        ) from exc


def read_tape(path: str | Path) -> Tape:
    """Read a tape. No message is dropped or judged.

    Raises
    ------
    ConfigError, DataError, EmptyData, SchemaError
        As `tape_info`; also if a column is missing, there are no messages, or fewer than the label says.
    """
    info, place = tape_info(path), Path(path)
    try:
        table = pl.read_parquet(place)
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise DataError(f"{place}: expected readable messages, found {exc}; record or copy it again") from exc
    rows = conform(table, MESSAGE_SCHEMA, source=str(place))
    if rows.is_empty():
        raise EmptyData(f"{place}: expected messages, found none; record it again")
    if rows.height != info.rows:
        raise DataError(
            f"{place}: expected {info.rows} messages by its label, found {rows.height}; copy it again"
        )
    return Tape(underlying=info.underlying, instruments=info.instruments, messages=rows)
