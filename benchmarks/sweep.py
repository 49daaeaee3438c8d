"""A sweep on one and on two processes and on a local Dask cluster: speed, and the same bits everywhere.

Prints JSON. Takes recorded BTC and ETH chains where they are present (IVHEDGE_DATA, default ../shared/data),
else simulated paths. One and two workers are measured in turns, start-up of the processes included, because
the host's speed varies. Two speed-ups are told: of the wall clock, which other work on the host spoils, and
of the CPU time on the critical path: the CPU seconds of the one worker over those of the busier of the two.
"""

import hashlib
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from ivhedge.app.config import load_book, load_policies
from ivhedge.app.showcase import showcase_book
from ivhedge.engine import ReplayConfig
from ivhedge.engine.sweep import (
    BootstrapSpec,
    DaskCluster,
    RecordedPeriod,
    SimulatedPeriod,
    SweepSpec,
    Variant,
    run_sweep,
)
from ivhedge.engine.sweep.backends import _single_threaded
from ivhedge.engine.sweep.plan import Task
from ivhedge.engine.sweep.work import Record, perform

TURNS = 2
WINDOWS = (("2026-01-05", "2026-02-01"), ("2026-02-02", "2026-03-01"))
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def timed(task: Task) -> tuple[list[Record], int, float]:
    """Do a task and tell which process did it and how much CPU that has used since its start."""
    return perform(task), os.getpid(), time.process_time()


@dataclass
class TimedPool:
    """The process pool, with the CPU seconds of each worker."""

    n_workers: int
    cpu: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    def records(self, tasks: Sequence[Task]) -> Iterator[list[Record]]:
        """Records of each task."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.n_workers, mp_context=context) as pool:
            with _single_threaded():
                futures = [pool.submit(timed, task) for task in tasks]
            for future in as_completed(futures):
                records, pid, seconds = future.result()
                self.cpu[pid] = max(self.cpu[pid], seconds)
                yield records


def sweep_spec() -> SweepSpec:
    """Four periods, four policies, one book."""
    root = Path(os.environ.get("IVHEDGE_DATA", "../shared/data")) / "deribit_chains"
    policies = load_policies(EXAMPLES / "policies" / "four_policies.toml")
    if root.is_dir():
        periods: tuple[RecordedPeriod | SimulatedPeriod, ...] = tuple(
            RecordedPeriod(name=start, underlying=coin, source=root / coin, start=start, end=end)
            for coin in ("BTC", "ETH")
            for start, end in WINDOWS
        )
        book = load_book(EXAMPLES / "books" / "strangle_ladder.toml")
    else:
        periods = tuple(
            SimulatedPeriod(name=f"seed {seed}", seed=seed, n_snapshots=24, underlyings=("BTC",))
            for seed in range(4)
        )
        book = showcase_book()
    return SweepSpec(
        name="benchmark",
        variants=tuple(Variant(policy=item.name, spec=item) for item in policies),
        books=(book,),
        periods=periods,
        replay=ReplayConfig(name="benchmark"),
        baseline="none",
        bootstrap=BootstrapSpec(resamples=100),
    )


def digest(folder: Path) -> str:
    """Digest of all records in a folder."""
    found = hashlib.sha256()
    for path in sorted((folder / "runs").iterdir()):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]


def one_turn(spec: SweepSpec, n_workers: int) -> tuple[float, float, float, str]:
    """Wall seconds, CPU seconds of the busiest worker and of all, and the digest of the records."""
    pool = TimedPool(n_workers)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run_sweep(spec, folder, backend=pool)
        wall = time.perf_counter() - start
        return wall, max(pool.cpu.values()), sum(pool.cpu.values()), digest(Path(folder))


def on_dask(spec: SweepSpec) -> str:
    """Digest of the records that a local Dask cluster of two processes makes."""
    try:
        from distributed import LocalCluster
    except ImportError:
        return "the extra [scale] is not installed"
    with (
        _single_threaded(),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        run_sweep(spec, folder, backend=DaskCluster(cluster.scheduler_address))
        return digest(Path(folder))


def main() -> None:
    spec = sweep_spec()
    turns: dict[int, list[tuple[float, float, float, str]]] = {1: [], 2: []}
    for _ in range(TURNS):
        for n_workers, done in turns.items():
            done.append(one_turn(spec, n_workers))
    digests = {turn[3] for done in turns.values() for turn in done}
    dask = on_dask(spec)
    middle = {n: [statistics.median(turn[k] for turn in done) for k in range(3)] for n, done in turns.items()}
    head = {"benchmark": "sweep", "machine": platform.machine(), "python": platform.python_version()}
    found = {
        "data": spec.markets,
        "runs": spec.n_runs,
        "tasks": len(spec.periods),
        "turns": TURNS,
        "load_average": [round(value, 1) for value in os.getloadavg()],
        "wall_seconds": {str(n): round(values[0], 1) for n, values in middle.items()},
        "cpu_seconds_busiest_worker": {str(n): round(values[1], 1) for n, values in middle.items()},
        "cpu_seconds_all_workers": {str(n): round(values[2], 1) for n, values in middle.items()},
        "speed_up_wall": round(middle[1][0] / middle[2][0], 2),
        "speed_up_cpu_critical_path": round(middle[1][1] / middle[2][1], 2),
        "same_bits_1_and_2_workers": len(digests) == 1,
        "same_bits_dask": dask in digests if len(dask) == 16 else dask,
    }
    print(json.dumps({**head, **found}, indent=2))


if __name__ == "__main__":
    main()
