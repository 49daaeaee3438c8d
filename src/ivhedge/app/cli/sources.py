"""Options and loading shared by the commands that look at one snapshot."""

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
    "require_path",
]

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


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises
    ------
    ConfigError
        If there is none, or it is not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: expected a TOML file, found: {exc}") from exc


def load_snapshot(source: Path, underlying: str | None, at: str | None) -> "MarketSnapshot":
    """Read the last snapshot of one underlying, at or before a time.

    Raises
    ------
    EmptyData
        If there is none.
    ConfigError
        If the file holds several underlyings and none was chosen.
    """
    chains = _chains_until(source, underlying, at)
    return next(_snapshots(source, chains.filter(chains["ts"] == chains["ts"].max())))


def load_snapshots(
    source: Path, underlying: str | None, start: str | None, end: str | None
) -> "list[MarketSnapshot]":
    """Read the last snapshot at or before a start and all after it until an end.

    Without a start it is the last but one, without an end the last.

    Raises
    ------
    EmptyData
        If there are fewer than two.
    ConfigError
        As `load_snapshot`.
    """
    from ivhedge.core.units import to_ns

    chains = _chains_until(source, underlying, end)
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
    chains = chains.filter(chains["ts"] >= first)
    if chains["ts"].n_unique() < 2:
        raise EmptyData(
            f"{source}: expected two snapshots or more, found one at {format_ns(to_ns(first))}; "
            "choose an earlier --from or a later --to"
        )
    return list(_snapshots(source, chains))


def _chains_until(source: Path, underlying: str | None, at: str | None) -> "pl.DataFrame":
    """Rows of one underlying at or before a time."""
    import polars as pl

    from ivhedge.market import read_chains

    require_path(source)
    chains = read_chains(source, underlying=underlying)
    moment = None if at is None else parse_time(at)
    if moment is not None:
        first = chains["ts"].dt.epoch("ns").min()
        chains = chains.filter(pl.col("ts").dt.epoch("ns") <= moment)
        if chains.is_empty():
            raise EmptyData(
                f"{source}: expected a snapshot at or before {format_ns(moment)}, "
                f"the first is at {format_ns(int(str(first)))}"
            )
    coins = sorted(chains["underlying"].unique().to_list())
    if len(coins) > 1:
        raise ConfigError(f"{source}: expected one underlying, found {coins}; choose with --underlying")
    return chains


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
