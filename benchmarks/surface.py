"""Fit quality and speed of the surface on recorded snapshots: 20 per asset, evenly spread.

Prints JSON and needs the recorded Deribit chains (IVHEDGE_DATA, default ../shared/data). Kernel times are the
calibration alone on packed quotes (CPU time); pipeline times are `fit_surface` from the chain to the
certified surface (wall time). Cold fits know nothing, warm fits start from the surface of the chosen snapshot
before, about a week old.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray
from ivhedge.market import clean_chain, estimate_forwards, quote_vols, read_chains
from ivhedge.pricing.jit import jit_available
from ivhedge.surface import (
    EssviSurface,
    PackedQuotes,
    SelectionRules,
    calibrate_essvi,
    certify,
    fit_surface,
    select_quotes,
)

SNAPSHOTS = 20
TURNS = 5


def timed(task: Callable[[], object], clock: Callable[[], float]) -> list[float]:
    """Milliseconds of some repetitions after one that is not counted."""
    task()
    times = []
    for _ in range(TURNS):
        start = clock()
        task()
        times.append(1e3 * (clock() - start))
    return times


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99 % quantile and largest."""
    return {
        "p50": round(statistics.median(values), 2),
        "p99": round(float(np.quantile(values, 0.99)), 2),
        "max": round(max(values), 2),
    }


def chosen_chains(folder: Path) -> list[pl.DataFrame]:
    """Snapshots evenly spread over the recording."""
    chains = read_chains(folder)
    times = chains["ts"].unique().sort()
    at = np.linspace(0, times.len() - 1, SNAPSHOTS).astype(int).tolist()
    wanted = chains.filter(pl.col("ts").is_in(times.gather(at).implode()))
    return wanted.partition_by("ts", maintain_order=True)


def packed_quotes(chain: pl.DataFrame) -> PackedQuotes:
    """The input of the calibration."""
    cleaned = clean_chain(chain).chain
    return select_quotes(quote_vols(cleaned, estimate_forwards(cleaned)), SelectionRules()).packed


def slices_at(surface: EssviSurface, taus: FloatArray) -> FloatArray:
    """A surface's slices at other times, as a start."""
    return np.column_stack(surface.slice_parameters(taus))


def measure(chains: list[pl.DataFrame]) -> dict[str, object]:
    """Quality and times over all snapshots of one asset."""
    fits = [fit_surface(chain) for chain in chains]
    milliseconds: dict[str, list[float]] = {
        name: [] for name in ("kernel_cold", "kernel_warm", "certify", "pipeline_cold", "pipeline_warm")
    }
    for number, (chain, fit) in enumerate(zip(chains, fits, strict=True)):
        packed = packed_quotes(chain)
        before = fits[max(number - 1, 0)].surface
        tasks: dict[str, Callable[[], object]] = {
            "kernel_cold": lambda q=packed: calibrate_essvi(q),
            "kernel_warm": lambda q=packed, b=before: calibrate_essvi(q, start=slices_at(b, q.taus)),
            "certify": lambda f=fit: certify(f.surface),
            "pipeline_cold": lambda c=chain: fit_surface(c),
            "pipeline_warm": lambda c=chain, b=before: fit_surface(c, start=b),
        }
        for name, task in tasks.items():
            # One thread each but for polars: CPU time is blind to what else the machine does.
            clock = time.perf_counter if name.startswith("pipeline") else time.thread_time
            milliseconds[name] += timed(task, clock)
    tenors = pl.concat(fit.report.by_tenor for fit in fits)
    weight = pl.col("n_quotes")
    table = (
        tenors.filter(weight > 0)
        .group_by("tenor", maintain_order=True)
        .agg(
            weight.sum(),
            pl.col("n_rejected").sum(),
            inside_bid_ask=((pl.col("inside_bid_ask") * weight).sum() / weight.sum()).round(4),
            rmse_vol_median=pl.col("rmse_vol").median().round(5),
            median_error_vol=pl.col("median_error_vol").median().round(5),
        )
    )
    return {
        "snapshots": len(fits),
        "quotes": sum(fit.report.n_quotes for fit in fits),
        "certificate_violations": sum(len(fit.certificate.violations) for fit in fits),
        "proven": sum(fit.certificate.proven for fit in fits),
        "min_density": round(min(fit.certificate.min_density for fit in fits), 4),
        "rmse_vol_median": round(statistics.median(fit.report.rmse_vol for fit in fits), 5),
        "median_error_vol_median": round(statistics.median(fit.report.median_error_vol for fit in fits), 5),
        "inside_bid_ask_median": round(statistics.median(fit.report.inside_bid_ask for fit in fits), 4),
        "settled": sum(fit.report.converged for fit in fits),
        "by_tenor": table.to_dicts(),
        "milliseconds": {name: spread(values) for name, values in milliseconds.items()},
    }


def main() -> None:
    """Measure and print."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if not root.is_dir():
        print(
            json.dumps({"skipped": "recorded chains not found; point IVHEDGE_DATA at a folder that has them"})
        )
        return
    result = {
        "machine": {
            "python": platform.python_version(),
            "cpu_count": os.cpu_count(),
            "compiled": jit_available(),
        },
        **{coin: measure(chosen_chains(root / coin)) for coin in ("BTC", "ETH")},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
