"""Times and verdicts of the flexible surface's proof and certificate on recorded snapshots.

Prints JSON; CPU milliseconds, median of repeats. Needs the recorded Deribit chains (IVHEDGE_DATA, default
../shared/data).

``python benchmarks/certificate.py [snapshots per asset]``
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.market import clean_chain, quote_vols, read_chains
from ivhedge.surface import certify, fit_surface
from ivhedge.surface.flexible import FlexibleSurface, fit_flexible, flexible_quotes, prove

TURNS = 7
FIELDS = ("weight", "mean", "width", "mix", "backbone", "expiries", "taus")


def median_ms(task: Callable[[], object]) -> float:
    """CPU time after one turn that is not counted."""
    task()
    times = []
    for _ in range(TURNS):
        start = time.thread_time()
        task()
        times.append(1e3 * (time.thread_time() - start))
    return statistics.median(times)


def surface_of(chain: pl.DataFrame) -> FlexibleSurface:
    """Flexible surface of one snapshot."""
    base = fit_surface(chain)
    quotes = flexible_quotes(quote_vols(clean_chain(chain).chain, base.forwards))
    return fit_flexible(quotes, base.surface).surface


def measure(surface: FlexibleSurface, rng: np.random.Generator) -> dict[str, float]:
    """Milliseconds of each task."""
    parameters = {name: getattr(surface, name) for name in FIELDS}
    sd = np.sqrt(surface.total_variance(0.0, surface.taus))
    taus = np.resize(surface.taus, 12)
    table = np.linspace(-4.0, 4.0, 1000)[:, None] * np.resize(sd, 12)
    tau = rng.uniform(0.5 * surface.taus[0], 1.1 * surface.taus[-1], 2000)
    k = rng.uniform(-3.0, 3.0, 2000) * np.sqrt(surface.total_variance(0.0, tau))
    tasks: dict[str, Callable[[], object]] = {
        "prove": lambda: prove(surface),
        "certify": lambda: certify(surface),
        "construct": lambda: FlexibleSurface(**parameters),
        "vols_1000x12": lambda: surface.implied_vol(table, taus),
        "vols_2000_scattered": lambda: surface.implied_vol(k, tau),
    }
    return {name: median_ms(task) for name, task in tasks.items()}


def recorded(root: Path, coin: str, count: int) -> dict[str, object]:
    """Verdicts and times of one asset."""
    chains = read_chains(root / coin)
    times = chains["ts"].unique().sort()
    rng = np.random.default_rng(0)
    rows, proven, violations, cells, density = [], 0, 0, [], []
    for ts in times.gather(np.linspace(0, times.len() - 1, count).astype(int).tolist()):
        surface = surface_of(chains.filter(pl.col("ts") == ts))
        certificate = certify(surface)
        proven += certificate.proven
        violations += len(certificate.violations)
        density.append(certificate.min_density)
        cells.append(prove(surface).n_cells)
        rows.append(measure(surface, rng))
    return {
        "snapshots": count,
        "proven": proven / count,
        "violations": violations,
        "min_density": min(density),
        "cells_p50": statistics.median(cells),
        "cpu_ms_p50": {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]},
        "cpu_ms_max": {name: round(max(row[name] for row in rows), 3) for name in rows[0]},
    }


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if not root.is_dir():
        print(json.dumps({"skipped": "recorded chains not found; point IVHEDGE_DATA at a folder with them"}))
        return
    print(json.dumps({coin: recorded(root, coin, count) for coin in ("BTC", "ETH")}, indent=2))


if __name__ == "__main__":
    main()
