"""`ivhedge backtest` and `ivhedge report`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivhedge.app.cli.output import console, emit_json, progress_bar, say
from ivhedge.app.cli.sources import AsJson, Underlying, require_path
from ivhedge.core.errors import ConfigError

if TYPE_CHECKING:
    from ivhedge.engine import BacktestResult

__all__ = ["backtest", "deliver", "report", "require_folder"]


def backtest(
    chains: Annotated[Path, typer.Option("--chains", "-c", help="Recorded chains: a file or folder.")],
    book: Annotated[Path, typer.Option("--book", "-b", help="Book, TOML.")],
    policies: Annotated[Path, typer.Option("--policies", "-p", help="Policies, TOML.")],
    config: Annotated[Path | None, typer.Option("--config", help="Conventions of the run, TOML.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First time (ISO 8601, UTC).")] = None,
    end: Annotated[
        str | None, typer.Option("--end", help="End; a bare date is taken through its last second.")
    ] = None,
    underlying: Underlying = None,
    settlement_bars: Annotated[
        Path | None, typer.Option("--settlement-bars", help="Hourly bars, parquet, for the 08:00 price.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report and tables.")] = Path(
        "out/backtest"
    ),
    as_json: AsJson = False,
) -> None:
    """Replay recorded chains for a book under several hedging policies."""
    from ivhedge.app.config import load_book, load_policies, load_replay
    from ivhedge.engine import ReplayConfig, SettlementPrices, replay
    from ivhedge.market import read_chains, read_futures, snapshots

    book_spec, policy_specs = load_book(book), load_policies(policies)
    run = ReplayConfig(name="backtest") if config is None else load_replay(config)
    if settlement_bars is not None:
        run = replace(run, settlement_bars=settlement_bars)
    require_folder(out)
    screen = console(as_json=as_json)
    table = read_chains(require_path(chains), underlying=underlying, start=start, end=end)
    coins = sorted(table["underlying"].unique().to_list())
    settlements = SettlementPrices()
    if run.settlement_bars is not None:
        settlements = SettlementPrices.from_bars(run.settlement_bars, _only(coins))
    futures = read_futures(chains, underlying=underlying, start=start, end=end, missing_ok=True)
    total = table.select("ts", "underlying").unique().height
    with progress_bar(f"replaying {', '.join(coins)}", total, screen) as advance:
        result = replay(
            snapshots(table, futures),
            book_spec,
            policy_specs,
            run,
            settlements=settlements,
            progress=advance,
        )
    deliver(result, out, as_json=as_json)


def _only(coins: list[str]) -> str:
    if len(coins) != 1:
        raise ConfigError(f"settlement bars are of one underlying, found {coins}; choose with --underlying")
    return coins[0]


def require_folder(out: Path) -> None:
    """Refuse, before the long work, a place that cannot take a result.

    Raises
    ------
    ConfigError
        If the path, or a part of it, is a file.
    """
    nearest = next(place for place in (out, *out.parents) if place.exists())
    if not nearest.is_dir():
        raise ConfigError(
            f"{out}: expected a folder to write to, found the file {nearest}; choose another --out"
        )


def deliver(result: "BacktestResult", out: Path, *, as_json: bool) -> None:
    """Write report and tables, and show the comparison."""
    from ivhedge.report import backtest_tables, result_to_dict, save_result, write_report

    save_result(result, out)
    page = write_report(result, out / "report.html")
    if as_json:
        emit_json(result_to_dict(result))
        return
    screen = console()
    for item in backtest_tables(result):
        screen.print(item)
    say(screen, f"report: {page}")


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that a backtest wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="HTML file; default: report.html in the folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a backtest again and render its report anew."""
    from ivhedge.report import backtest_tables, load_result, result_to_dict, write_report

    result = load_result(folder)
    page = write_report(result, out or folder / "report.html")
    if as_json:
        emit_json(result_to_dict(result))
        return
    screen = console()
    for item in backtest_tables(result):
        screen.print(item)
    say(screen, f"report: {page}")
