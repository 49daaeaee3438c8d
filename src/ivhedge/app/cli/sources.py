"""Options and loading shared by the commands that look at one snapshot."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ivhedge.core.errors import ConfigError, EmptyData
from ivhedge.core.units import NS_PER_SECOND, format_ns, parse_time

if TYPE_CHECKING:
    from ivhedge.market import MarketSnapshot

__all__ = ["AsJson", "At", "Chains", "Underlying", "load_snapshot", "require_path"]

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


def load_snapshot(source: Path, underlying: str | None, at: str | None) -> "MarketSnapshot":
    """Read the last snapshot of one underlying, at or before a time.

    Raises
    ------
    EmptyData
        If there is none.
    ConfigError
        If the file holds several underlyings and none was chosen.
    """
    import polars as pl

    from ivhedge.market import read_chains, read_futures, snapshots
    from ivhedge.market.slicing import FUTURES_LAG_S, FUTURES_LEAD_S

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
    last = chains.filter(pl.col("ts") == pl.col("ts").max())
    ts_ns = int(last["ts"].dt.epoch("ns")[0])
    near = (ts_ns - FUTURES_LAG_S * NS_PER_SECOND, ts_ns + (FUTURES_LEAD_S + 1) * NS_PER_SECOND)
    futures = read_futures(source, underlying=coins[0], start=near[0], end=near[1], missing_ok=True)
    return next(snapshots(last, futures))
