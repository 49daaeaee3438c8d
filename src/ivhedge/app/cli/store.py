"""`ivhedge store`: keep recorded chains as Parquet, query them with SQL."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ivhedge.app.cli.output import console, emit_json, say
from ivhedge.app.cli.sources import AsJson, Underlying, require_path

if TYPE_CHECKING:
    import polars as pl

__all__ = ["app"]

app = typer.Typer(
    help="Keep recorded chains as Parquet (venue/underlying/day) and query them with SQL.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Root: TypeAlias = Annotated[Path, typer.Option("--root", "-r", help="Folder of the store.")]
_DEFAULT_ROOT = Path("data/store")


@app.command("ingest")
def ingest(
    source: Annotated[Path, typer.Argument(help="Recorded chains or futures: a file or folder.")],
    root: Root = _DEFAULT_ROOT,
    underlying: Underlying = None,
    start: Annotated[str | None, typer.Option("--start", help="First time (ISO 8601, UTC).")] = None,
    end: Annotated[str | None, typer.Option("--end", help="End (ISO 8601, UTC).")] = None,
    as_json: AsJson = False,
) -> None:
    """Read a recording and add it to the store; the same rows twice are stored once."""
    from ivhedge.market import read_chains, read_futures
    from ivhedge.market.store import ChainStore

    require_path(source)
    store = ChainStore(root)
    done = {"chains": store.ingest(read_chains(source, underlying=underlying, start=start, end=end))}
    futures = read_futures(source, underlying=underlying, start=start, end=end, missing_ok=True)
    if not futures.is_empty():
        done["futures"] = store.ingest_futures(futures)
    if as_json:
        emit_json({name: asdict(report) for name, report in done.items()})
        return
    for name, report in done.items():
        say(
            console(),
            f"{name}: {report.rows_added:,} rows added, {report.rows_replaced:,} replaced, "
            f"{report.rows_merged:,} repeated rows merged, {report.partitions} files written",
        )


@app.command("coverage")
def coverage(root: Root = _DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Show what the store holds: venue, underlying, days, snapshots, rows."""
    from ivhedge.market.store import ChainStore

    _show(ChainStore(root).coverage(), "store coverage", as_json)


@app.command("query")
def query(
    sql: Annotated[str, typer.Argument(help="SELECT over the views `chains` and `futures`.")],
    root: Root = _DEFAULT_ROOT,
    as_json: AsJson = False,
) -> None:
    """Run one SELECT over the store with DuckDB."""
    from ivhedge.market.store import ChainStore

    _show(ChainStore(root).query(sql), "query", as_json)


@app.command("export")
def export(
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    root: Root = _DEFAULT_ROOT,
    underlying: Underlying = None,
    start: Annotated[str | None, typer.Option("--start", help="First time (ISO 8601, UTC).")] = None,
    end: Annotated[str | None, typer.Option("--end", help="End (ISO 8601, UTC).")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a part of the store into one Parquet file."""
    from ivhedge.market.store import ChainStore

    rows = ChainStore(root).export(out, underlying=underlying, start=start, end=end)
    if as_json:
        emit_json({"path": str(out), "rows": rows})
        return
    say(console(), f"wrote {rows:,} rows to {out}")


def _show(table: "pl.DataFrame", title: str, as_json: bool) -> None:
    from ivhedge.report import frame_table

    if as_json:
        emit_json({"rows": table.to_dicts()})
        return
    console().print(frame_table(table, title))
