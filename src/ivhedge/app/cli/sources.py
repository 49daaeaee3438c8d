"""Options and loading shared by the commands that look at one snapshot."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ivhedge.core.errors import ConfigError, EmptyData
from ivhedge.core.units import NS_PER_SECOND, format_ns, parse_time

if TYPE_CHECKING:
    import polars as pl

    from ivhedge.market import MarketSnapshot

__all__ = [
    "AsJson",
    "At",
    "Chains",
    "Underlying",
    "load_snapshot",
    "load_snapshots",
    "read_text",
    "require_file",
    "require_path",
    "require_span",
]

_MAX_AGE_S = 86_400
"""A snapshot older than a day says nothing of the time that was asked for."""

Chains: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="Recorded chains, file or folder: Deribit chains, tickers, REST JSON; Tardis CSV; own store."
    ),
]
Underlying: TypeAlias = Annotated[
    str | None, typer.Option("--underlying", "-u", help="Coin, for instance BTC; default: the only one.")
]
At: TypeAlias = Annotated[
    str | None, typer.Option("--at", help="Take the last snapshot at or before this time (ISO 8601, UTC).")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON value on standard output.")]


def require_path(path: Path) -> Path:
    """Refuse a path that does not exist.

    Raises
    ------
    ConfigError
        If there is nothing at the path.
    """
    if not path.exists():
        raise ConfigError(f"expected recorded chains, found nothing at {path}; check the path")
    return path


def require_file(path: Path, option: str, kind: str) -> Path:
    """Refuse a path that is not that of a file.

    Raises
    ------
    ConfigError
        If there is nothing at the path, or a folder.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise ConfigError(f"{option}: expected {kind}, found {found} at {path}; name the file itself")
    return path


def require_span(start: str | None, end: str | None) -> None:
    """Refuse a span of time that ends before it begins.

    Raises
    ------
    ConfigError
        If `start` is not before `end`, or one of them is no time.
    """
    if start is None or end is None:
        return
    if parse_time(start) >= parse_time(end):
        raise ConfigError(f"expected --from before --to, found --from {start} and --to {end}; exchange them")


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises
    ------
    ConfigError
        If there is none, or it is not text.
    """
    require_file(path, str(path), "a TOML file")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: expected a TOML file, found: {exc}; check the file") from exc


def load_snapshot(source: Path, underlying: str | None, at: str | None) -> "MarketSnapshot":
    """Read the last snapshot of one underlying, at or before a time.

    A time after the end of the recording is said on standard error.

    Raises
    ------
    EmptyData
        If there is none, or the last one is more than a day older than the time.
    ConfigError
        If the file holds several underlyings and none was chosen.
    """
    chains = _chains_until(source, underlying, at, option="--at")
    return next(_snapshots(source, chains.filter(chains["ts"] == chains["ts"].max())))


def load_snapshots(
    source: Path, underlying: str | None, start: str | None, end: str | None
) -> "list[MarketSnapshot]":
    """Read the last snapshot at or before a start and all after it until an end.

    Without a start it is the last but one, without an end the last.

    Raises
    ------
    EmptyData
        If there are fewer than two, or one is more than a day older than the time it stands for.
    ConfigError
        As `load_snapshot`; also if the start is not before the end.
    """
    from ivhedge.core.units import to_ns

    require_span(start, end)
    chains = _chains_until(source, underlying, end, option="--to")
    times = chains["ts"].unique().sort()
    if start is None:
        first = times[max(len(times) - 2, 0)]
    else:
        moment = parse_time(start)
        early = [time for time in times if to_ns(time) <= moment]
        if not early:
            raise EmptyData(
                f"{source}: expected a snapshot at or before {format_ns(moment)}, "
                f"the first is at {format_ns(to_ns(times[0]))}"
            )
        first = early[-1]
        _require_recent(source, "--from", moment, to_ns(first), (to_ns(times[0]), to_ns(times[-1])))
    chains = chains.filter(chains["ts"] >= first)
    if chains["ts"].n_unique() < 2:
        raise EmptyData(
            f"{source}: expected two snapshots or more, found one at {format_ns(to_ns(first))}; "
            "choose an earlier --from or a later --to"
        )
    return list(_snapshots(source, chains))


def _chains_until(source: Path, underlying: str | None, at: str | None, *, option: str) -> "pl.DataFrame":
    """Rows of one underlying at or before a time."""
    import polars as pl

    from ivhedge.market import read_chains

    require_path(source)
    moment = None if at is None else parse_time(at)
    chains = read_chains(source, underlying=underlying)
    coins = sorted(chains["underlying"].unique().to_list())
    if len(coins) > 1:
        raise ConfigError(f"{source}: expected one underlying, found {coins}; choose with --underlying")
    if moment is None:
        return chains
    times = chains["ts"].dt.epoch("ns")
    held = int(str(times.min())), int(str(times.max()))
    chains = chains.filter(pl.col("ts").dt.epoch("ns") <= moment)
    if chains.is_empty():
        raise EmptyData(
            f"{source}: expected a snapshot at or before {format_ns(moment)}, the first is at "
            f"{format_ns(held[0])}; choose a later {option}"
        )
    _require_recent(source, option, moment, int(str(chains["ts"].dt.epoch("ns").max())), held)
    return chains


def _require_recent(source: Path, option: str, moment: int, taken: int, held: tuple[int, int]) -> None:
    """Refuse a snapshot that is too old for the time it stands for; say which one is taken beyond the end."""
    span = f"the recording holds {format_ns(held[0])} to {format_ns(held[1])} UTC"
    if moment - taken > _MAX_AGE_S * NS_PER_SECOND:
        raise EmptyData(
            f"{source}: expected a snapshot within a day before {option} {format_ns(moment)} UTC, the last "
            f"one is of {format_ns(taken)} UTC; {span}; choose a time soon after a snapshot, or leave out "
            f"{option}"
        )
    if moment > held[1]:
        sys.stderr.write(
            f"note: {option} {format_ns(moment)} UTC is after the end of {source}: {span}; "
            f"taken: {format_ns(taken)} UTC\n"
        )


def _snapshots(source: Path, chains: "pl.DataFrame") -> "Iterator[MarketSnapshot]":
    """Snapshots of the rows, with the futures recorded near them."""
    from ivhedge.market import read_futures, snapshots
    from ivhedge.market.slicing import FUTURES_LAG_S, FUTURES_LEAD_S

    times = chains["ts"].dt.epoch("ns")
    first, last = int(str(times.min())), int(str(times.max()))
    near = (first - FUTURES_LAG_S * NS_PER_SECOND, last + (FUTURES_LEAD_S + 1) * NS_PER_SECOND)
    coin = chains["underlying"][0]
    futures = read_futures(source, underlying=coin, start=near[0], end=near[1], missing_ok=True)
    return snapshots(chains, futures)
