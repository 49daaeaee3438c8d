"""`ivhedge demo`: the whole job on the embedded simulated market."""

from pathlib import Path
from typing import Annotated

import typer

from ivhedge.app.cli.backtest import deliver, require_folder
from ivhedge.app.cli.output import console, progress_bar
from ivhedge.app.cli.sources import AsJson

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report and tables.")] = Path(
        "out/demo"
    ),
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated market.")] = 7,
    snapshots: Annotated[int, typer.Option("--snapshots", min=2, help="Six-hourly snapshots.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Simulate five venues, fit, measure risk, plan, replay four policies and write the report."""
    from ivhedge.app.showcase import run_showcase

    require_folder(out)
    screen = console(as_json=as_json)
    with progress_bar("replaying the simulated market", 2 * snapshots, screen) as advance:
        result = run_showcase(seed=seed, n_snapshots=snapshots, progress=advance)
    deliver(result, out, as_json=as_json)
