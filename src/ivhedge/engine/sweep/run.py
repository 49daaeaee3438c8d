"""Running a sweep: plan, do what is not done yet, judge."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.engine.sweep.backends import Backend, Serial
from ivhedge.engine.sweep.cells import Cell, cells_of
from ivhedge.engine.sweep.comparison import compare
from ivhedge.engine.sweep.identity import code_version
from ivhedge.engine.sweep.plan import plan_runs, tasks_of
from ivhedge.engine.sweep.result import CellResult, SweepResult
from ivhedge.engine.sweep.spec import SweepSpec
from ivhedge.engine.sweep.store import RunStore
from ivhedge.engine.sweep.walkforward import walk_forward

__all__ = ["run_sweep"]

Progress = Callable[[int, int], None]


def run_sweep(
    spec: SweepSpec,
    out: Path | str,
    *,
    backend: Backend | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> SweepResult:
    """Replay every run of a sweep that is not done yet, then compare and choose.

    Parameters
    ----------
    spec : SweepSpec
    out : Path or str
        Folder of the records; each finished run is written at once, so an interrupt loses only what was
        under way.
    backend : Backend, optional
        Default: one task after the other in this process.
    resume : bool
        Go on in a folder that holds records: finished runs are taken, failed ones are tried again.
    progress : callable, optional
        Called with the number of runs finished and their total.

    Returns
    -------
    SweepResult
        The same bits for every back end and number of workers.

    Raises
    ------
    ConfigError
        If the folder holds records and `resume` is not given, or cannot be written.
    EmptyData, DataError
        If a period cannot be read; before anything is run.
    """
    backend = backend or Serial()
    store = RunStore(Path(out))
    if store.held() and not resume:
        raise ConfigError(
            f"{store.runs}: holds {len(store.held())} runs of an earlier sweep; go on with --resume (runs of "
            "other data or code are not taken), or choose another --out"
        )
    runs, tasks = plan_runs(spec)
    records = store.done(run.id for run in runs)
    if progress is not None:
        progress(len(records), len(runs))
    if len(records) < len(runs):
        for finished in backend.records(tasks_of(tasks, records, backend.n_workers)):
            for record in finished:
                store.write(record)
                records[str(record["id"])] = record
            if progress is not None:
                progress(len(records), len(runs))
    # Judged from what is on disk, so that a sweep that was resumed says the very same.
    ordered = {run.id: records[run.id] for run in runs}
    cells = tuple(_judged(cell, spec, number) for number, cell in enumerate(cells_of(spec, runs, ordered)))
    return SweepResult(spec=spec, runs=runs, records=ordered, cells=cells, code=code_version())


def _judged(cell: Cell, spec: SweepSpec, number: int) -> CellResult:
    # A stream per cell: what one cell draws does not depend on the others.
    first, second = np.random.default_rng([spec.bootstrap.seed, number]).spawn(2)
    chosen = None
    if spec.walk_forward is not None:
        chosen = walk_forward(cell, spec.criterion, spec.walk_forward, spec.bootstrap, second)
    return CellResult(cell, compare(cell, spec.criterion, spec.bootstrap, first), chosen)
