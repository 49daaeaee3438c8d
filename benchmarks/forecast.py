"""Walk-forward comparison of the variance forecasters on recorded hourly bars, and their speed.

Prints JSON and needs the recorded data (IVHEDGE_DATA, default ../shared/data). Implied volatility is the
DVOL index of BTC, for both coins; `judged_with_implied` covers the days that have it.

Everything is fitted weekly (boosting every four weeks) on what was known. Models and settings were chosen on
forecasts made before 2024-01-31 (row 760); `judged` is what comes after. The outcome is Garman-Klass
variance at the level that realised variance has had so far; `rv` repeats the ratio with realised variance.
Ratios carry 95 % intervals of a circular block bootstrap (blocks of max(10, horizon) days).
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.forecast import (
    DailyMeasures,
    ForecastRun,
    OnlineForecaster,
    band_coverage,
    bars_from_frame,
    best_forecaster,
    block_indices,
    boosting_available,
    daily_measures,
    diebold_mariano,
    log_squared_error,
    mincer_zarnowitz,
    model_confidence_set,
    qlike,
    standard_forecasters,
    walk_forward,
)

COINS, HORIZONS, START, SPLIT, SEED, DRAWS = ("BTC", "ETH"), (1, 7, 30), 250, 760, 20260601, 2000
BEST, PLAIN, IMPLIED, SINGLE = "week-HAR", "HAR", "week-HAR + implied", "week-HAR implied"
WEEK, NO_WEEK = "week-HAR logs", "week-HAR logs, no week"


def load(root: Path, coin: str) -> DailyMeasures:
    bars = bars_from_frame(pl.read_parquet(root / "underlying_hourly" / f"{coin}.parquet"), repair=True)
    dvol = pl.read_parquet(root / "dvol" / "btc_dvol_daily.parquet")
    days = dvol["timestamp"].dt.cast_time_unit("ns").to_physical().to_numpy()
    return daily_measures(bars).with_implied_variance(days, dvol["close"].to_numpy() / 100.0)


def interval(first: FloatArray, second: FloatArray, block: int) -> list[float]:
    """95 % interval of the ratio of two mean losses."""
    rows = block_indices(first.size, block, DRAWS, np.random.default_rng(SEED))
    ratio = first[rows].mean(axis=1) / second[rows].mean(axis=1)
    return [round(float(x), 3) for x in np.quantile(ratio, [0.025, 0.975])]


def judge(run: ForecastRun, days: BoolArray, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """All figures of the days chosen, by horizon and model."""
    kept = [m for m, name in enumerate(run.names) if name not in leave_out]
    out: dict[str, Any] = {}
    for k, horizon in enumerate(run.horizons):
        use = days & np.isfinite(run.target[k])
        y, rv = run.target[k, use], run.realised[k, use]
        losses = np.array([qlike(y, run.mean[m, k, use]) for m in kept])
        by_rv = np.array([qlike(rv, run.mean[m, k, use]) for m in kept])
        chosen = model_confidence_set(
            losses.T, np.random.default_rng(SEED), block=max(10, horizon), draws=1000
        ).p_values
        base = [run.names[m] for m in kept].index(PLAIN)
        table: dict[str, Any] = {"days": int(use.sum())}
        for j, m in enumerate(kept):
            f = run.mean[m, k, use]
            row: dict[str, Any] = {
                "qlike": round(float(losses[j].mean()), 4),
                "against_har": round(float(losses[j].mean() / losses[base].mean()), 3),
                "rv": round(float(by_rv[j].mean() / by_rv[base].mean()), 3),
                "log_mse": round(float(log_squared_error(y, f).mean()), 4),
                "confidence_set_p": round(float(chosen[j]), 3),
                "band_90": round(band_coverage(y, run.quantiles[m, k, use]), 3),
                "slope": round(mincer_zarnowitz(y, f, horizon=horizon).slope, 2),
                "worst_ratio": round(float(np.abs(np.log(y / f)).max()), 2),
                "replaced": int(run.replaced[m, k, use].sum()),
                "bad": int((~(np.isfinite(f) & (f > 0.0))).sum()),
            }
            if j != base:
                test = diebold_mariano(losses[j], losses[base], horizon=horizon)
                row |= {"dm": round(test.statistic, 2), "dm_p": float(f"{test.p_value:.2g}")}
                row["interval"] = interval(losses[j], losses[base], max(10, horizon))
            table[run.names[m]] = row
        out[str(horizon)] = table
    return out


def compare(run: ForecastRun, first: str, second: str, days: BoolArray) -> dict[str, Any]:
    """Ratio of mean losses of two models at each horizon."""
    a, b = run.names.index(first), run.names.index(second)
    out = {}
    for k, horizon in enumerate(run.horizons):
        use = days & np.isfinite(run.target[k])
        x = qlike(run.target[k, use], run.mean[a, k, use])
        y = qlike(run.target[k, use], run.mean[b, k, use])
        out[str(horizon)] = {
            "ratio": round(float(x.mean() / y.mean()), 3),
            "interval": interval(x, y, max(10, horizon)),
        }
    return out


def update_ms(history: DailyMeasures) -> float:
    """Median processor milliseconds of one day's update at three horizons."""
    state = OnlineForecaster(best_forecaster(), history.rows(0, 1300), HORIZONS)
    cost = []
    for row in range(1300, 1500):
        day = history.rows(row, row + 1)
        begin = time.thread_time()
        state.update(day)
        cost.append(time.thread_time() - begin)
    return round(float(np.median(cost)) * 1e3, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coins", nargs="+", default=list(COINS))
    coins = parser.parse_args().coins
    root = Path(os.environ.get("IVHEDGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (root / "underlying_hourly").is_dir():
        print(json.dumps({"skipped": "recorded data not found; point IVHEDGE_DATA at a folder that has it"}))
        return
    out: dict[str, Any] = {"boosting": boosting_available()}
    for coin in coins:
        history = load(root, coin)
        models = standard_forecasters(implied=True)
        # Compile before the clock runs.
        walk_forward(history, models[11:14], HORIZONS, start=len(history) - 5)
        begin = time.thread_time()
        run = walk_forward(history, models, HORIZONS, start=START, timer=time.thread_time)
        seconds = time.thread_time() - begin
        row = START - 1 + np.arange(run.day_ns.size)
        late, known = row >= SPLIT, np.isfinite(history.implied_variance[row])
        begin = time.thread_time()
        walk_forward(history, models[:16], HORIZONS, start=len(history) - 1000)
        sixteen = time.thread_time() - begin
        out[coin] = {
            "days": len(history),
            "chosen_on": judge(run, ~late, (SINGLE, IMPLIED)),
            "judged": judge(run, late, (SINGLE, IMPLIED)),
            "judged_with_implied": judge(run, late & known),
            "whole": {
                str(h): round(
                    band_coverage(
                        run.target[k, np.isfinite(run.target[k])],
                        run.quantiles[run.names.index(BEST), k, np.isfinite(run.target[k])],
                    ),
                    3,
                )
                for k, h in enumerate(HORIZONS)
            },
            "weekdays_against_none": compare(run, WEEK, NO_WEEK, late),
            "implied_against_best_single": compare(run, IMPLIED, BEST, late & known),
            "seconds": {
                "all": round(seconds, 1),
                "models": len(models),
                "days": int(run.day_ns.size),
                "sixteen_models_1000_days": round(sixteen, 1),
            },
            "fits": {
                name: {"refits": int(run.refits[m]), "seconds": round(float(run.fit_seconds[m]), 2)}
                for m, name in enumerate(run.names)
            },
            "update_ms": update_ms(history),
        }
    json.dump(out, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
