"""Robustness and speed of the eSSVI backbone: known truth with bad quotes, and recorded snapshots.

Prints JSON. Truth: Heston and Bates, 1 day to 1 year, 12 expiries of 60 strikes; errors in vol points against
the truth at the two-sided quotes. Times are CPU milliseconds of `calibrate_essvi` on packed quotes. Warm fits
start from the truth's fit with every total variance 2 % higher. The recorded part needs the Deribit chains
(IVHEDGE_DATA, default ../shared/data).

``python benchmarks/backbone.py [seeds] [snapshots per asset]``
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray
from ivhedge.market import clean_chain, estimate_forwards, quote_vols, read_chains
from ivhedge.surface import (
    Calibration,
    PackedQuotes,
    SelectionRules,
    calibrate_essvi,
    essvi_total_variance,
    select_quotes,
)
from ivhedge.surface.models.truth import TRUE_BATES, TRUE_HESTON, TruthQuotes, TruthSettings, truth_quotes

CASES = {
    "clean": TruthSettings(mid_noise=0.0, tick=0.0),
    "noisy": TruthSettings(),
    "5 % bad": TruthSettings(bad_share=0.05),
    "20 % bad": TruthSettings(bad_share=0.2),
    "30 % bad": TruthSettings(bad_share=0.3),
}
REJECTED = 0.05
BUCKETS = (("< 3 d", 3.0), ("3-14 d", 14.0), ("14-90 d", 90.0), ("> 90 d", np.inf))
TURNS = 5


def packed_truth(truth: TruthQuotes) -> PackedQuotes:
    """The two-sided quotes in the form of the calibration."""
    quotes = truth.quotes
    return PackedQuotes(
        log_moneyness=quotes.log_moneyness,
        vol=quotes.mid_vol,
        weight=1.0 / quotes.half_spread,
        offsets=quotes.offsets,
        taus=quotes.taus,
    )


def fitted_vols(params: FloatArray, quotes: PackedQuotes) -> FloatArray:
    """Vol of the slices at the quotes."""
    owner = quotes.owner
    variance = essvi_total_variance(quotes.log_moneyness, *params[owner].T)
    return np.asarray(np.sqrt(variance / quotes.taus[owner]))


def moved(params: FloatArray) -> FloatArray:
    """A start near by: every total variance 2 % higher."""
    return params * np.array([1.02, 1.0, 1.0])


def median_time(task: Callable[[], object]) -> float:
    """Milliseconds of CPU, median of some turns after one that is not counted."""
    task()
    times = []
    for _ in range(TURNS):
        start = time.thread_time()
        task()
        times.append(1e3 * (time.thread_time() - start))
    return float(np.median(times))


def times_of(quotes: PackedQuotes, fit: Calibration) -> tuple[float, float]:
    """Milliseconds of a cold and of a warm fit."""
    start = moved(fit.params)
    return median_time(lambda: calibrate_essvi(quotes)), median_time(
        lambda: calibrate_essvi(quotes, start=start)
    )


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99 % quantile and largest."""
    levels = np.quantile(values, (0.5, 0.99, 1.0))
    return dict(zip(("p50", "p99", "max"), np.round(levels, 2).tolist(), strict=True))


def known_truth(seeds: int) -> dict[str, object]:
    """Errors, rejections and times by model and share of bad quotes."""
    result: dict[str, object] = {}
    for name, model in (("heston", TRUE_HESTON), ("bates", TRUE_BATES)):
        for case, settings in CASES.items():
            rmse, late, good, bad, settled, cold, warm = [], [], [], [], [], [], []
            for seed in range(seeds):
                truth = truth_quotes(np.random.default_rng(100 + seed), model, settings)
                quotes = packed_truth(truth)
                fit = calibrate_essvi(quotes)
                vols = fitted_vols(fit.params, quotes)
                rmse.append(truth.rmse_vol_points(vols))
                error = 100.0 * (vols - truth.true_vol[truth.two_sided])
                late.append(float(np.sqrt(np.mean(error[365.0 * quotes.taus[quotes.owner] > 2.5] ** 2))))
                is_bad = truth.bad[truth.two_sided]
                good.append(float(np.mean(fit.robust_weight[~is_bad] < REJECTED)))
                bad += (fit.robust_weight[is_bad] >= REJECTED).tolist()
                settled.append(fit.converged)
                first, second = times_of(quotes, fit)
                cold.append(first)
                warm.append(second)
            result[f"{name}, {case}"] = {
                "rmse_median_max": [round(float(np.median(rmse)), 3), round(max(rmse), 3)],
                "rmse_from_3_days_max": round(max(late), 3),
                "good_rejected": round(float(np.mean(good)), 4),
                "bad_not_rejected": round(float(np.mean(bad)), 4) if bad else 0.0,
                "settled": round(float(np.mean(settled)), 3),
                "cold_ms": spread(cold),
                "warm_ms": spread(warm),
            }
    return result


def recorded(folder: Path, count: int, *, use_bounds: bool) -> dict[str, object]:
    """Quotes inside bid-ask, bounds that hold and times on recorded snapshots."""
    chains = read_chains(folder)
    times = chains["ts"].unique().sort()
    at = np.linspace(0, times.len() - 1, count).astype(int).tolist()
    inside: list[list[bool]] = [[] for _ in BUCKETS]
    held, settled, cold, warm = [], [], [], []
    for ts in times.gather(at):
        cleaned = clean_chain(chains.filter(pl.col("ts") == ts)).chain
        vols = quote_vols(cleaned, estimate_forwards(cleaned))
        quotes = select_quotes(vols, SelectionRules(use_bounds=use_bounds))
        packed, rows = quotes.packed, quotes.rows
        fit = calibrate_essvi(packed)
        fitted = fitted_vols(fit.params, packed)
        ok = (fitted >= vols.bid_iv[rows]) & (fitted <= vols.ask_iv[rows])
        bucket = np.searchsorted([end for _, end in BUCKETS], 365.0 * packed.taus[packed.owner], side="right")
        for number, found in enumerate(inside):
            found += ok[bucket == number].tolist()
        bounds = select_quotes(vols, SelectionRules()).packed.bounds
        if bounds is not None:
            variance = essvi_total_variance(bounds.log_moneyness, *fit.params[bounds.slices].T)
            vol = np.sqrt(variance / packed.taus[bounds.slices])
            held += ((vol >= bounds.lower) & (vol <= bounds.upper)).tolist()
        settled.append(fit.converged)
        first, second = times_of(packed, fit)
        cold.append(first)
        warm.append(second)
    return {
        "inside_bid_ask": {
            name: round(float(np.mean(found)), 4)
            for (name, _), found in zip(BUCKETS, inside, strict=True)
            if found
        },
        "bounds": len(held),
        "bounds_held": round(float(np.mean(held)), 4) if held else None,
        "settled": f"{sum(settled)} of {count}",
        "cold_ms": spread(cold),
        "warm_ms": spread(warm),
    }


def main() -> None:
    """Measure and print."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    result: dict[str, object] = {"known_truth": known_truth(seeds)}
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if root.is_dir():
        for coin in ("BTC", "ETH"):
            result[f"{coin}, with bounds"] = recorded(root / coin, count, use_bounds=True)
            result[f"{coin}, without bounds"] = recorded(root / coin, count, use_bounds=False)
    else:
        result["recorded"] = "skipped: chains not found; point IVHEDGE_DATA at a folder that has them"
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
