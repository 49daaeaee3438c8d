"""Delta policies: tail risk and cost on simulated and on recorded paths, speed of the evaluators.

Usage: python benchmarks/hedge_policies.py [gbm] [recorded] [net] [speed]; all without a name. Prints JSON.

gbm       S=K=100, 3 months, vol 20 %, rate 3 %, drift 8 %, 252 checks, short call, 10/20/50 bp. Parameters
          of every policy are picked on one sample for CVaR95 and scored on fresh paths.
recorded  BTC and ETH hourly, 7-day at-the-money calls sold at Friday 08:00 UTC, hourly checks, 2/5 bp.
          Parameters are picked on the first half of the recording (daily sales, both assets together) and
          judged on weekly lives of the second half that do not overlap; its daily sales are given beside.
net       the setting in which a no-transaction-band net was measured: K=1, 20 days, vol 20 %, ES10.
speed     million path-steps and million quote events per second and core, CPU time.

Intervals: 90 %, paired between policies; over simulated paths, or over blocks of 28 days where recorded.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.units import NS_PER_HOUR
from ivhedge.hedge.policies import (
    DeltaPolicy,
    FixedBand,
    HedgePaths,
    Leland,
    OptimalBand,
    PathResult,
    Timetable,
    TunedBand,
    WhalleyWilmott,
    Zakamouline,
    cvar,
    fit_band,
    gbm_paths,
    recorded_calls,
    replay_events,
    rms,
    run_policy,
    run_policy_stepwise,
    solve_region,
)

SEED = 20260101
RESAMPLES = 400
AVERSIONS = (20, 50, 100, 150, 200, 300, 500, 800, 1200, 2000, 3000, 5000)
WIDTHS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25)
LIFE = 168
Family = Callable[[float], DeltaPolicy]


def families(cost: float, dt: float) -> dict[str, tuple[Family, tuple[float, ...]]]:
    """One-parameter policies and the grids they are picked from."""
    intervals = tuple(m * dt for m in (1, 2, 3, 4, 6, 10, 19))
    return {
        "timetable": (lambda p: Timetable(interval=p), intervals),
        "leland": (lambda p: Leland(interval=p, cost=cost), intervals),
        "band_to_target": (lambda p: FixedBand(half_width=p, to_target=True), WIDTHS),
        "band_to_edge": (lambda p: FixedBand(half_width=p), WIDTHS),
        "whalley_wilmott": (lambda p: WhalleyWilmott(cost=cost, aversion=p), AVERSIONS),
        "zakamouline": (lambda p: Zakamouline(cost=cost, aversion=p), AVERSIONS),
    }


def blocks(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of one moving-block resample."""
    length = min(length, n)
    starts = rng.integers(0, n - length + 1, size=-(-n // length))
    return (starts[:, None] + np.arange(length)).ravel()[:n]


def interval(own: np.ndarray, base: np.ndarray, measure: Callable, length: int) -> list[float]:
    """90 % bootstrap interval of the ratio of a measure."""
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(RESAMPLES):
        rows = blocks(own.size, length, rng)
        found.append(measure(own[rows]) / measure(base[rows]))
    return [round(float(q), 4) for q in np.quantile(found, (0.05, 0.95))]


def row(result: PathResult) -> dict[str, float]:
    """Figures of one policy."""
    return {
        "cvar95": round(cvar(result.pnl), 4),
        "rms": round(rms(result.pnl), 4),
        "mean": round(float(result.pnl.mean()), 4),
        "cost": round(float(result.cost.mean()), 4),
        "trades": round(float(result.trades.mean()), 1),
    }


def coefficients(band: TunedBand) -> dict[str, float]:
    """Coefficients of a fitted band."""
    names = ("aversion", "centre", "below", "above", "level")
    return {name: round(getattr(band, name), 4) for name in names}


def gbm() -> dict[str, object]:
    """Simulated paths."""
    terms = {"n_steps": 252, "tau": 0.25, "vol": 0.2, "rate": 0.03, "drift": 0.08}
    sample = gbm_paths(np.random.default_rng(SEED), n_paths=10_000, **terms)
    fresh = gbm_paths(np.random.default_rng(SEED + 1), n_paths=40_000, **terms)
    tables = {}
    for cost in (0.001, 0.002, 0.005):

        def tail(policy: DeltaPolicy, cost: float = cost) -> float:
            return cvar(run_policy(policy, sample, cost=cost, tabulate=True).pnl)

        chosen: dict[str, DeltaPolicy] = {}
        picked = {}
        for name, (family, grid) in families(cost, sample.dt).items():
            _, parameter = min((tail(family(p)), p) for p in grid)
            chosen[name], picked[name] = family(parameter), parameter
        started = time.thread_time()
        fit = fit_band(tail, TunedBand(cost=cost, aversion=picked["zakamouline"]))
        seconds = time.thread_time() - started
        chosen["tuned"] = fit.band
        for name, drift in (("optimal", 0.0), ("optimal_knowing_the_drift", 0.0125)):
            solved = [
                (OptimalBand(region=_region(252, cost, a, drift)), a) for a in (100, 200, 300, 500, 800, 1200)
            ]
            _, best, picked[name] = min((tail(policy), i, a) for i, (policy, a) in enumerate(solved))
            chosen[name] = solved[best][0]
        results = {name: run_policy(policy, fresh, cost=cost) for name, policy in chosen.items()}
        pnl = {name: result.pnl for name, result in results.items()}
        table = {}
        for name, result in results.items():
            table[name] = row(result) | {"picked": picked.get(name)}
            for other in ("whalley_wilmott", "optimal"):
                table[name][f"cvar95_to_{other}"] = round(cvar(pnl[name]) / cvar(pnl[other]), 4)
        for other in ("whalley_wilmott", "optimal"):
            table["tuned"][f"interval_to_{other}"] = interval(pnl["tuned"], pnl[other], cvar, 1)
        table["tuned"] |= {"picked": coefficients(fit.band), "fit_cpu_seconds": round(seconds, 1)}
        tables[f"{cost * 1e4:.0f} bp"] = table
    return {"sample_paths": 10_000, "fresh_paths": 40_000, "tables": tables}


def _region(n_checks: int, cost: float, aversion: float, drift: float = 0.0):
    return solve_region(total_vol=0.1, n_checks=n_checks, cost=cost, aversion=float(aversion), drift=drift)


def hourly(asset: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Closing times, prices (a missing hour repeats the last price) and the number of such hours."""
    root = Path(os.environ.get("IVHEDGE_DATA", "../shared/data"))
    table = pl.read_parquet(root / "underlying_hourly" / f"{asset}.parquet").sort("timestamp")
    times = table["timestamp"].dt.timestamp("ns").to_numpy() + NS_PER_HOUR
    # Half a step beyond the end: the length is computed in floating point.
    grid = np.arange(times[0], times[-1] + NS_PER_HOUR // 2, NS_PER_HOUR)
    rows = np.searchsorted(times, grid, side="right") - 1
    return grid, table["close"].to_numpy()[rows], int(grid.size - times.size)


def recorded() -> dict[str, object]:
    """Recorded paths."""
    early: dict[str, HedgePaths] = {}
    late: dict[str, dict[str, HedgePaths]] = {}
    about = {}
    for asset in ("BTC", "ETH"):
        times, prices, missing = hourly(asset)
        middle = int(times[0] + (times[-1] - times[0]) // 2)
        daily, sold = recorded_calls(times, prices, every_hours=24)
        weekly, sold_weekly = recorded_calls(times, prices, every_hours=LIFE)
        early[asset] = daily.part(sold + LIFE * NS_PER_HOUR <= middle)
        late[asset] = {"weekly": weekly.part(sold_weekly >= middle), "daily": daily.part(sold >= middle)}
        about[asset] = {
            "first_half_daily": early[asset].strike.size,
            **{name: paths.strike.size for name, paths in late[asset].items()},
            "hours_filled": missing,
        }
    tables = {}
    for cost in (2e-4, 5e-4):
        base = {asset: run_policy(Timetable(), paths, cost=cost) for asset, paths in early.items()}

        def score(policy: DeltaPolicy, cost: float = cost, base: dict[str, PathResult] = base) -> float:
            # The tail, and a penalty where the policy costs more than half of hourly hedging.
            total = 0.0
            for asset, paths in early.items():
                found = run_policy(policy, paths, cost=cost)
                spent = found.cost.mean() / base[asset].cost.mean()
                total += cvar(found.pnl) / cvar(base[asset].pnl) + 10.0 * max(spent - 0.5, 0.0)
            return total / len(early)

        chosen: dict[str, DeltaPolicy] = {"hourly_black_scholes": Timetable()}
        picked: dict[str, object] = {}
        for name, (family, grid) in families(cost, 1.0 / 8760.0).items():
            _, parameter = min((score(family(p)), p) for p in grid)
            chosen[name], picked[name] = family(parameter), parameter
        fit = fit_band(score, TunedBand(cost=cost, aversion=50.0), max_evaluations=200)
        chosen["tuned"], picked["tuned"] = fit.band, coefficients(fit.band)
        chosen["tuned_on_simulation"] = simulated_fit(cost, vol=0.5)
        picked["tuned_on_simulation"] = coefficients(chosen["tuned_on_simulation"])
        for asset, samples in late.items():
            for kind, paths in samples.items():
                length = 4 if kind == "weekly" else 28
                results = {name: run_policy(policy, paths, cost=cost) for name, policy in chosen.items()}
                own = results["hourly_black_scholes"]
                # The same hedge at no cost: what no saving of cost can go below.
                results["hourly_black_scholes_free"] = run_policy(Timetable(), paths, cost=0.0)
                table = {}
                for name, result in results.items():
                    table[name] = row(result) | {
                        "picked": picked.get(name),
                        "cvar95_ratio": round(cvar(result.pnl) / cvar(own.pnl), 3),
                        "cvar95_interval": interval(result.pnl, own.pnl, cvar, length),
                        "rms_ratio": round(rms(result.pnl) / rms(own.pnl), 3),
                        "cost_ratio": round(float(result.cost.mean() / own.cost.mean()), 3),
                        "cost_interval": interval(result.cost, own.cost, np.mean, length),
                    }
                tables[f"{asset} {cost * 1e4:.0f} bp {kind}"] = table
    return {"windows": about, "tables": tables}


def simulated_fit(cost: float, vol: float) -> TunedBand:
    """A band fitted to simulated weeks alone, at no more than half of the cost of hourly hedging."""
    rng = np.random.default_rng(SEED)
    paths = gbm_paths(rng, n_paths=10_000, n_steps=LIFE, tau=LIFE / 8760.0, vol=vol)
    base = run_policy(Timetable(), paths, cost=cost, tabulate=True).cost.mean()

    def score(band: TunedBand) -> float:
        found = run_policy(band, paths, cost=cost, tabulate=True)
        return cvar(found.pnl) * (1.0 + 10.0 * max(found.cost.mean() / base - 0.5, 0.0))

    return fit_band(score, TunedBand(cost=cost, aversion=100.0)).band


def net() -> dict[str, object]:
    """Expected shortfall of the worst tenth in the setting of the no-transaction-band net."""
    terms = {"n_steps": 20, "tau": 20 / 250, "vol": 0.2, "spot": 1.0}
    sample = gbm_paths(np.random.default_rng(SEED), n_paths=50_000, **terms)
    fresh = gbm_paths(np.random.default_rng(SEED + 1), n_paths=200_000, **terms)

    def tail(policy: DeltaPolicy, paths: HedgePaths, cost: float, tabulate: bool = True) -> float:
        found = run_policy(policy, paths, cost=cost, liquidate=False, tabulate=tabulate)
        return cvar(found.pnl - found.premium, 0.9)

    tables: dict[str, object] = {"naked": round(cvar(fresh.payoff, 0.9), 6)}
    for cost, net_found in ((1e-4, 0.030723), (1e-3, 0.032548)):
        started = time.process_time()
        fit = fit_band(lambda p, cost=cost: tail(p, sample, cost), TunedBand(cost=cost, aversion=100.0))
        seconds = time.process_time() - started
        tables[f"{cost * 1e4:.0f} bp"] = {
            "black_scholes_daily": round(tail(Timetable(), fresh, cost, False), 6),
            "tuned": round(tail(fit.band, fresh, cost, False), 6),
            "tuned_coefficients": coefficients(fit.band),
            "fit_cpu_seconds": round(seconds, 1),
            "net_in_the_note": net_found,
        }
    return tables


def speed() -> dict[str, object]:
    """Path-steps and events per second."""
    rng = np.random.default_rng(SEED)
    paths = gbm_paths(rng, n_paths=4_000, n_steps=252, tau=0.25, vol=0.2)
    steps = paths.strike.size * paths.n_steps
    policy = Zakamouline(cost=0.001, aversion=200.0)
    n = 4_000_000
    times = np.linspace(0.0, 7.0 / 365.0, n)
    prices = 100.0 * np.exp(np.cumsum(0.5 * np.sqrt(times[1]) * rng.standard_normal(n)))
    stream = {"strike": 100.0, "vol": 0.5, "expiry": 30.0 / 365.0, "cost": 2e-4}
    band = FixedBand(half_width=0.003, to_target=True)
    jobs: dict[str, tuple[int, Callable[[], object]]] = {
        "paths_exact_zones": (steps, lambda: run_policy(policy, paths, cost=0.001)),
        "paths_tabulated_zones": (steps, lambda: run_policy(policy, paths, cost=0.001, tabulate=True)),
        "paths_numpy_twin": (steps, lambda: run_policy_stepwise(policy, paths, cost=0.001)),
        "events": (n, lambda: replay_events(band, times, prices, **stream)),
    }
    for _, job in jobs.values():
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(7):
        for name, (_, job) in jobs.items():
            started = time.thread_time()
            job()
            seconds[name].append(time.thread_time() - started)
    found = replay_events(band, times, prices, **stream)
    return {
        "million_per_second": {
            name: round(jobs[name][0] / float(np.median(spent)) / 1e6, 1) for name, spent in seconds.items()
        },
        "events": n,
        "events_per_rebalance": round(n / found.trades),
        "deltas_computed": found.looks,
    }


PARTS = {"gbm": gbm, "recorded": recorded, "net": net, "speed": speed}


def main() -> None:
    """Run the parts asked for."""
    wanted = sys.argv[1:] or list(PARTS)
    print(
        json.dumps({"benchmark": "hedge_policies", "seed": SEED} | {name: PARTS[name]() for name in wanted})
    )


if __name__ == "__main__":
    main()
