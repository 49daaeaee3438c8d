"""`ivhedge sweep`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivhedge.app.cli.backtest import require_folder
from ivhedge.app.cli.output import console, emit_json, progress_bar, say
from ivhedge.app.cli.sources import AsJson
from ivhedge.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ivhedge.engine.sweep import Backend

__all__ = ["sweep"]


def sweep(
    spec: Annotated[Path, typer.Argument(help="Policies, grids, books and periods, TOML.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for runs, tables and report.")] = Path(
        "out/sweep"
    ),
    workers: Annotated[int, typer.Option("--workers", "-w", help="Processes of this machine.")] = 1,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Dask scheduler instead, for instance tcp://host:8786.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in a folder that holds finished runs.")
    ] = False,
    chains: Annotated[
        Path | None, typer.Option("--chains", "-c", help="Recorded chains instead of the file's [data].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay policies x parameters x books x periods, compare them and choose out of sample."""
    from ivhedge.app.sweepconfig import load_sweep
    from ivhedge.engine.sweep import run_sweep
    from ivhedge.report.sweep import sweep_tables, write_sweep

    plan = load_sweep(spec, chains=chains)
    require_folder(out)
    backend = _backend(workers, cluster)
    screen = console(as_json=as_json)
    with progress_bar(f"sweeping {plan.name}", plan.n_runs, screen) as advance:
        result = run_sweep(plan, out, backend=backend, resume=resume, progress=lambda done, _: advance(done))
    page = write_sweep(result, out)
    if len(result.failed) == len(result.runs):
        words = result.failed[0][1]
        raise DataError(f"none of {len(result.runs)} runs finished, the first: {words}; see {page}")
    if as_json:
        emit_json(result.to_dict())
        return
    for item in sweep_tables(result):
        screen.print(item)
    for note in result.notes:
        say(screen, f"note: {note}")
    for run, words in result.failed[:5]:
        say(screen, f"failed: {run.variant} / {run.book} / {run.market} / {run.period}: {words}")
    say(screen, f"report: {page}")


def _backend(workers: int, cluster: str | None) -> "Backend":
    from ivhedge.engine.sweep import DaskCluster, ProcessPool, Serial

    if cluster is not None:
        if workers != 1:
            raise ConfigError("expected either --workers or --cluster, found both")
        return DaskCluster(cluster)
    return Serial() if workers == 1 else ProcessPool(workers)
