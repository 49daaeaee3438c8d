"""Implied vols, prices and Greeks: time per option and accuracy, next to other libraries where installed.

Prints JSON, ratios first. All tasks take turns in one process and medians over the turns are reported, so a
busy machine slows everyone. Times are process CPU time of one thread, kept on one processor where the system
allows it, and include the public function's handling of its inputs. Only two-thread figures are wall-clock.
`pricing_table.py` turns the JSON into the tables of the documentation.
"""

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing import GREEK_NAMES, black76_greeks, black76_price, implied_vol, warmup
from ivhedge.pricing.jit import jit_available
from ivhedge.pricing.threads import set_threads, threads
from pricing_accuracy import accuracy
from pricing_data import Options, chain, reference, sample_chain, wings
from pricing_peers import Peer, installed
from pricing_start import narrow_vectors, start_up

__all__ = ["sample_chain"]

GREEKS_BLOCK = 16_384
OURS = "ivhedge"
SIXTEEN = GREEK_NAMES[:16]
"""Everything but the mixed third derivatives and the dual second ones, as other libraries count."""
Task = Callable[[], object]


def own_tasks(sets: dict[str, Options]) -> dict[str, tuple[Task, int]]:
    """Return our tasks with their numbers of options."""
    book = sets["chain"]
    tasks: dict[str, tuple[Task, int]] = {}
    for name, o in sets.items():
        tasks[f"implied_vol {name} {OURS}"] = (lambda o=o: our_vols(o), len(o))  # type: ignore[misc]
    tasks[f"price chain {OURS}"] = (lambda: our_prices(book), len(book))
    blocks = [book.take(slice(i, i + GREEKS_BLOCK)) for i in range(0, len(book), GREEKS_BLOCK)]
    rows = [np.empty((len(SIXTEEN), len(block))) for block in (blocks[0], blocks[-1])]
    tasks[f"greeks_16 blocks {OURS}"] = (
        lambda: [our_greeks(block, rows[0] if len(block) == GREEKS_BLOCK else rows[1]) for block in blocks],
        len(book),
    )
    tasks[f"greeks_16 chain {OURS}"] = (lambda: our_greeks(book), len(book))
    return tasks


def our_vols(o: Options) -> object:
    """Invert through the public function."""
    return implied_vol(o.price, o.forward, o.strike, o.tau, o.is_call)


def our_prices(o: Options) -> object:
    """Price through the public function."""
    return black76_price(o.forward, o.strike, o.tau, o.vol, o.is_call)


def our_greeks(o: Options, out: FloatArray | None = None) -> object:
    """Compute sixteen through the public function, into `out` where given."""
    return black76_greeks(o.forward, o.strike, o.tau, o.vol, o.is_call, names=SIXTEEN, out=out)


def peer_tasks(sets: dict[str, Options], peers: dict[str, Peer]) -> dict[str, tuple[Task, int]]:
    """Return the peers' tasks on the first points of the same sets."""
    tasks: dict[str, tuple[Task, int]] = {}
    for name, peer in peers.items():
        for kind, o in sets.items():
            few = o.take(slice(peer.points))
            tasks[f"implied_vol {kind} {name}"] = (peer.implied_vol(few), len(few))
        few = sets["chain"].take(slice(peer.points))
        tasks[f"price chain {name}"] = (peer.price(few), len(few))
    return tasks


def measure(
    tasks: dict[str, tuple[Task, int]], repeats: int, clock: Callable[[], int] = time.process_time_ns
) -> dict[str, dict[str, float]]:
    """Median and minimum nanoseconds per option of each task, the tasks taking turns."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task, _ in tasks.values():
        task()
    for _ in range(repeats):
        for name, (task, items) in tasks.items():
            start = clock()
            task()
            times[name].append((clock() - start) / items)
    return {
        name: {
            "median": round(statistics.median(values), 2),
            "minimum": round(min(values), 2),
            "options": tasks[name][1],
        }
        for name, values in times.items()
    }


@contextmanager
def one_processor() -> Iterator[None]:
    """Keep this thread on one processor and our kernels on this thread."""
    set_threads(1)
    before = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    if before is not None:
        os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
        set_threads(None)


def two_threads(o: Options, repeats: int) -> dict[str, Any]:
    """Wall-clock time of one thread against two."""

    def with_threads(count: int, task: Callable[[Options], object]) -> Task:
        def run() -> None:
            set_threads(count)
            task(o)

        return run

    tasks = {"implied_vol": our_vols, "price": our_prices, "greeks_16": our_greeks}
    if threads() < 2:
        return {"note": "this process may use one processor only"}
    timed = {f"{name} {n}": (with_threads(n, task), len(o)) for name, task in tasks.items() for n in (1, 2)}
    found = measure(timed, repeats, time.perf_counter_ns)
    set_threads(None)
    speed_up = {
        name: round(found[f"{name} 1"]["minimum"] / found[f"{name} 2"]["minimum"], 2) for name in tasks
    }
    return {"speed_up_of_minima": speed_up, "wall_ns_per_option": found}


def ratios(ns: dict[str, dict[str, float]], peers: dict[str, Peer]) -> dict[str, dict[str, float]]:
    """How many times longer each peer takes per option than we do."""
    return {
        kind: {
            peer: round(ns[f"{kind} {peer}"]["median"] / ns[f"{kind} {OURS}"]["median"], 1) for peer in peers
        }
        for kind in ("implied_vol chain", "implied_vol wings", "price chain")
    }


def accuracies(peers: dict[str, Peer]) -> dict[str, Any]:
    """Errors of everybody on the reference rows."""
    rows = reference()
    if rows is None:
        return {"note": "skipped: IVHEDGE_DATA holds no oracles/implied_vol/reference_iv.parquet"}
    found = {OURS: accuracy(np.asarray(our_vols(rows.options)), rows)}
    for name, peer in peers.items():
        found[name] = accuracy(peer.implied_vol(rows.options)(), rows)
    return {
        "rows": len(rows.options),
        "invertible": int(rows.invertible.sum()),
        "well_conditioned": int((rows.invertible & (rows.floor < 2e-15)).sum()),
        "solvers": found,
    }


def machine() -> dict[str, Any]:
    """Say what was measured where."""
    names = ("ivhedge", "numba", "numpy", "scipy")
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "compiled": jit_available(),
        "versions": {d.name: d.version for d in metadata.distributions() if d.name in names},
        "load_average": [round(x, 1) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as text:
            rows = dict(row.split(":", 1) for row in text.read().split("\n\n")[0].splitlines() if ":" in row)
    except OSError:
        return platform.processor()
    fields = {name.strip(): value.strip() for name, value in rows.items()}
    flags = fields.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "sse4_2") if name in flags), "")
    model = (fields.get(key, "?") for key in ("model name", "cpu family", "model"))
    return "{}, family {}, model {}, {}".format(*model, widest)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000, help="options per data set")
    parser.add_argument("--repeats", type=int, default=9, help="turns; medians over them are reported")
    parser.add_argument("--own-only", action="store_true", help="our single-thread times and nothing else")
    parser.add_argument("--no-start", action="store_true", help="leave out what needs new processes")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    chosen = arguments()
    warnings.simplefilter("ignore")  # the peers divide by zero at will
    warmup()
    usable, versions, missing = ({}, {}, {}) if chosen.own_only else installed()
    sets = {"chain": chain(chosen.points), "wings": wings(chosen.points)}
    with one_processor(), np.errstate(all="ignore"):
        tasks = own_tasks(sets) | peer_tasks(sets, usable)
        nanoseconds = measure(tasks, chosen.repeats)
        if chosen.own_only:
            print(json.dumps({"ns_per_option": nanoseconds}))
            return
        precision = accuracies(usable)
    result = {
        "benchmark": "pricing",
        "peer_over_ours": ratios(nanoseconds, usable),
        "two_threads": two_threads(sets["chain"], chosen.repeats),
        "ns_per_option": nanoseconds,
        "accuracy": precision,
        "peers": {"versions": versions, "missing": missing, "notes": {n: p.note for n, p in usable.items()}},
        "points": chosen.points,
        "repeats": chosen.repeats,
        "machine": machine(),
    }
    if not chosen.no_start:
        result["start"] = start_up()
        if jit_available() and platform.machine() == "x86_64":
            result["avx2"] = narrow_vectors(chosen.points, chosen.repeats)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
