"""`read_chains` and `read_futures`: any recorded format in, the project's tables out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ivhedge.core.errors import ConfigError, DataError, EmptyData, UnknownInstrument
from ivhedge.core.units import NS_PER_SECOND
from ivhedge.market.readers.deribit_chains import DERIBIT_CHAINS
from ivhedge.market.readers.deribit_companions import DERIBIT_PERPETUAL_MARKS, DERIBIT_TERM_FUTURES_MARKS
from ivhedge.market.readers.deribit_rest import DERIBIT_REST, DERIBIT_REST_FUTURES
from ivhedge.market.readers.deribit_tickers import DERIBIT_TICKER_FUTURES, DERIBIT_TICKERS
from ivhedge.market.readers.formats import Format, ReadOptions, Table, columns_of, match_format, mismatch
from ivhedge.market.readers.own import OWN_CHAINS, OWN_FUTURES
from ivhedge.market.readers.tardis import TARDIS_OPTIONS_CHAIN
from ivhedge.market.readers.window import Window, parse_window, range_text
from ivhedge.market.schemas import FUTURES_SCHEMA

__all__ = ["FORMATS", "read_chains", "read_futures"]

FORMATS: Final[tuple[Format, ...]] = (
    OWN_CHAINS,
    OWN_FUTURES,
    DERIBIT_TICKERS,
    DERIBIT_TICKER_FUTURES,
    DERIBIT_CHAINS,
    DERIBIT_TERM_FUTURES_MARKS,
    DERIBIT_PERPETUAL_MARKS,
    DERIBIT_REST,
    DERIBIT_REST_FUTURES,
    TARDIS_OPTIONS_CHAIN,
)
"""Every recorded format, in the order in which a file is tried against them."""

_SUFFIXES: Final = tuple(sorted({suffix for fmt in FORMATS for suffix in fmt.suffixes}))
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_Group = tuple[Format, list[Path]]


def read_chains(
    source: str | Path,
    *,
    underlying: str | None = None,
    start: str | int | None = None,
    end: str | int | None = None,
    fmt: str = "auto",
    sample: str | None = "1min",
) -> pl.DataFrame:
    """Read option chains from a file or a directory.

    Parameters
    ----------
    source : str or Path
        A file, or a directory that is searched with its subdirectories; files of other kinds in it are
        passed over.
    underlying : str, optional
        Keep one coin, for instance ``"BTC"``.
    start, end : str or int, optional
        ISO text (UTC without a zone) or nanoseconds since the epoch; `end` is exclusive, a bare date
        means through the end of that day.
    fmt : str
        ``"auto"`` tells by content; else a name of `FORMATS` whose table is chains.
    sample : str or None
        Grid for streams of single updates, for instance ``"30s"``, ``"1min"``; None keeps every update.
        Recorded snapshots are never resampled.

    Returns
    -------
    pl.DataFrame
        In `CHAIN_SCHEMA`, sorted by ts, venue order of the files kept stable within ts, expiry, strike,
        is_call.

    Raises
    ------
    ConfigError
        If the path, the window, `fmt` or `sample` is wrong.
    SchemaError, DataError
        If a file has the wrong columns, or is truncated.
    EmptyData
        If nothing lies in the window; the message names what is there.
    UnknownInstrument
        If there is no such underlying.
    """
    window = parse_window(start, end)
    groups = _groups(Path(source), "chains", fmt)
    options = ReadOptions(window=window, sample_ns=_sample_ns(sample))
    table = _collect(groups, options, underlying, source)
    return table.sort("ts", "expiry", "strike", "is_call", maintain_order=True)


def read_futures(
    source: str | Path,
    *,
    underlying: str | None = None,
    start: str | int | None = None,
    end: str | int | None = None,
    fmt: str = "auto",
    missing_ok: bool = False,
) -> pl.DataFrame:
    """Read futures and perpetuals from a file or directory, or from beside a directory of chains.

    Recorded Deribit chains keep ``perpetual_marks.parquet`` and ``term_futures_marks.parquet`` in the
    parent of the chain directory; they are found when `source` is that directory or a file in it.

    Parameters
    ----------
    source, underlying, start, end, fmt
        As in `read_chains`.
    missing_ok : bool
        Give an empty table instead of `EmptyData` where no futures were recorded.

    Returns
    -------
    pl.DataFrame
        In `FUTURES_SCHEMA`, sorted by ts, venue, expiry (perpetual first).

    Raises
    ------
    ConfigError, SchemaError, DataError, EmptyData, UnknownInstrument
        As in `read_chains`.
    """
    window = parse_window(start, end)
    try:
        groups = _groups(_futures_place(Path(source), fmt), "futures", fmt)
        table = _collect(groups, ReadOptions(window=window), underlying, source)
    except EmptyData:
        if not missing_ok:
            raise
        table = pl.DataFrame(schema=FUTURES_SCHEMA)
    return table.sort("ts", "venue", "underlying", "expiry", nulls_last=False)


def _sample_ns(sample: str | None) -> int | None:
    if sample is None:
        return None
    for unit in sorted(_UNITS_S, key=len, reverse=True):
        number = sample.removesuffix(unit)
        if number != sample and number.isdigit() and int(number) > 0:
            return round(int(number) * _UNITS_S[unit] * NS_PER_SECOND)
    raise ConfigError(f"expected a sampling step such as '30s', '1min' or '1h', found {sample!r}")


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ConfigError(f"expected a file or directory of recorded quotes, found nothing at {source}")
    found = (path for path in source.rglob("*") if path.name.endswith(_SUFFIXES) and path.is_file())
    files = sorted(path for path in found if not path.name.startswith("."))
    if not files:
        raise EmptyData(f"{source}: expected files ending in {list(_SUFFIXES)}, found none")
    return files


def _futures_place(source: Path, fmt: str) -> Path:
    """Where the futures are: in the source itself, else beside it."""
    if fmt != "auto" or not source.exists():
        return source
    formats = [f for f in FORMATS if f.table == "futures"]
    if any(match_format(path, columns_of(path), formats) for path in _files(source)):
        return source
    folder = source if source.is_dir() else source.parent
    for place in (folder, folder.parent):
        companions = [p for p in sorted(place.glob("*.parquet")) if p.stat().st_size > 0]
        if any(match_format(path, columns_of(path), formats) for path in companions):
            return place
    raise EmptyData(
        f"{source}: expected futures in it or beside it (perpetual_marks.parquet, "
        "term_futures_marks.parquet, futures.parquet), found none; pass their path or go without futures"
    )


def _groups(source: Path, table: Table, fmt: str) -> list[_Group]:
    formats = [f for f in FORMATS if f.table == table]
    if fmt != "auto":
        formats = [f for f in formats if f.name == fmt]
        if not formats:
            names = [f.name for f in FORMATS if f.table == table]
            raise ConfigError(f"expected fmt 'auto' or one of {names}, found {fmt!r}")
    files = _files(source)
    groups: dict[str, _Group] = {}
    seen: list[tuple[Path, frozenset[str]]] = []
    for path in files:
        columns = columns_of(path)
        seen.append((path, columns))
        matched = match_format(path, columns, formats)
        if matched is not None:
            matched.check_times(path)
            groups.setdefault(matched.name, (matched, []))[1].append(path)
    if not groups and not any(columns for _, columns in seen):
        raise EmptyData(f"{source}: expected records, found an empty list; record the answer again")
    if not groups:
        raise mismatch(*seen[0], formats)
    return list(groups.values())


def _run(groups: Sequence[_Group], options: ReadOptions, keep: pl.Expr, source: str | Path) -> pl.DataFrame:
    try:
        return pl.concat([fmt.scan(paths, options) for fmt, paths in groups]).filter(keep).collect()
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise DataError(
            f"{source}: expected readable rows, found {exc}; a file may be truncated or mistyped: "
            "record or copy it again"
        ) from exc


def _collect(
    groups: Sequence[_Group], options: ReadOptions, underlying: str | None, source: str | Path
) -> pl.DataFrame:
    keep = pl.lit(True) if underlying is None else pl.col("underlying") == underlying
    table = _run(groups, options, keep, source)
    if table.is_empty():
        raise _nothing(groups, options, underlying, source)
    undated = table["ts"].null_count()
    if undated:
        raise DataError(
            f"{source}: expected a time in every row, found {undated} of {table.height} without; "
            "drop those rows from the recording"
        )
    return table


def _nothing(
    groups: Sequence[_Group], options: ReadOptions, underlying: str | None, source: str | Path
) -> DataError:
    everything = ReadOptions(window=Window(), sample_ns=options.sample_ns)
    rows = _run(groups, everything, pl.lit(True), source).select("ts", "underlying")
    coins = rows["underlying"].unique().drop_nulls().sort().to_list()
    if underlying is not None and coins and underlying not in coins:
        return UnknownInstrument(f"{source}: expected an underlying of {coins}, found {underlying!r}")
    if underlying is not None:
        rows = rows.filter(pl.col("underlying") == underlying)
    first, last = (rows["ts"].dt.epoch("ns").min(), rows["ts"].dt.epoch("ns").max())
    available = range_text(first if isinstance(first, int) else None, last if isinstance(last, int) else None)
    return EmptyData(
        f"{source}: expected snapshots in {options.window.text}, found none; available: {available}"
    )
