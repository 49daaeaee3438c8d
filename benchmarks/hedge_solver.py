"""The hedge programme at 200 instruments by 30 factors: interior point, linear form, lots; PIQP beside it.

Every loading is new at each solve. Times are CPU milliseconds (thread time); `peer` is PIQP on every tenth
instance, `gap` against PIQP at 1e-10 on the same. `recorded` takes the programmes that plans set up on
recorded Deribit chains (IVHEDGE_DATA, default ../shared/data; skipped without). `lots` judges rounding of the
linear form by HiGHS as a mixed-integer programme of `--mip-seconds` each. Prints JSON.

``python benchmarks/hedge_solver.py [--instances 10000] [--mips 4] [--mip-seconds 60] [--quick]``
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from ivhedge.core.instruments import InstrumentKind
from ivhedge.hedge import (
    CostModel,
    HedgeLimits,
    HedgeState,
    InstrumentRules,
    aversion,
    hedge_market,
    plan_hedge,
)
from ivhedge.hedge.limits import Band, TenorBand
from ivhedge.hedge.optimiser import (
    HedgeProblem,
    LinearHedge,
    Solution,
    SolverStatus,
    objective,
    solve,
    solver,
    warmup,
)
from ivhedge.hedge.optimiser.fallback import solve_by_piqp
from ivhedge.hedge.optimiser.scaling import moneys, scale_problem, units_of
from ivhedge.hedge.rounding import LotGrid, round_to_lots
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.ledger.profiles import load_fees
from ivhedge.market import read_chains, snapshots
from ivhedge.surface import fit_surface

KINDS = ("dense", "sparse", "collinear", "scaled")
COINS = ("BTC", "ETH")


def instance(rng: np.random.Generator, kind: str, n: int = 200, k: int = 30) -> HedgeProblem:
    """Random feasible problem: rank-6 loadings and noise, soft bands, caps, budget, margin."""
    loadings = rng.normal(size=(k, 6)) @ rng.normal(size=(6, n)) * 0.4 + rng.normal(size=(k, n))
    loadings *= rng.random((k, n)) < (0.1 if kind == "sparse" else 0.6)
    loadings[0] = rng.uniform(-1.0, 1.0, n)
    if kind == "collinear":
        half = n // 2
        loadings[:, half:] = loadings[:, : n - half] * rng.uniform(0.5, 2.0, n - half)
    root = rng.normal(size=(k, k))
    covariance = root @ root.T / k + 0.05 * np.eye(k)
    unit, size = np.ones(k), np.ones(n)
    if kind == "scaled":
        unit, size = 10.0 ** rng.uniform(-4, 4, k), 10.0 ** rng.uniform(-3, 3, n)
    band, cost = rng.uniform(0.5, 4.0, k), rng.uniform(0.01, 0.3, n)
    return HedgeProblem(
        exposure=rng.normal(size=k) * 5.0 / unit,
        target=np.zeros(k),
        lower=-band / unit,
        upper=band / unit,
        reach=np.full(k, 0.1) / unit,
        loadings=loadings / unit[:, None] * size,
        covariance=covariance * np.outer(unit, unit),
        aversion=1.0,
        penalty=20.0 * unit,
        buy_cost=cost * size,
        sell_cost=cost * size * rng.uniform(0.8, 1.2, n),
        max_buy=rng.uniform(0.5, 3.0, n) / size,
        max_sell=rng.uniform(0.5, 3.0, n) / size,
        free_size=np.full(n, np.inf),
        impact=np.zeros(n),
        budget=(np.inf, 3.0)[int(rng.integers(2))],
        margin=rng.uniform(0.5, 1.5, n) * size,
        margin_cap=20.0,
    )


def timed(problem: HedgeProblem) -> tuple[Solution, float]:
    """Solution and CPU milliseconds."""
    start = time.thread_time()
    found = solve(problem)
    return found, (time.thread_time() - start) * 1e3


def by_peer(problem: HedgeProblem) -> tuple[Solution, float]:
    """The same by PIQP, as the fallback does it."""
    chosen = solver.jit_available
    solver.jit_available = lambda: False
    try:
        return timed(problem)
    finally:
        solver.jit_available = chosen


def reference(problem: HedgeProblem) -> float:
    """Objective of PIQP at 1e-10; NaN where it does not get there."""
    units = units_of(problem)
    for money in moneys(problem, units):
        at = replace(units, money=money)
        one = scale_problem(problem, at)
        found = solve_by_piqp(one, None, at, tolerance=1e-10)
        if found.status is SolverStatus.SOLVED:
            net = np.bincount(one.column, weights=one.sign * found.size, minlength=problem.buy_cost.size)
            return objective(problem, net * at.trade)
    return float("nan")


def spread(values: list[float]) -> dict[str, float]:
    """Percentiles, rounded."""
    return {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 90, 99)} if values else {}


def judge(problems: Iterator[HedgeProblem]) -> dict[str, object]:
    """Figures over problems."""
    own, peer, gaps, rounds, sizes = [], [], [], [], []
    solved = fallback = idle = 0
    for count, problem in enumerate(problems):
        solution, spent = timed(problem)
        own.append(spent)
        rounds.append(solution.iterations)
        sizes.append(problem.loadings.shape)
        fallback += solution.fallback
        solved += solution.status is SolverStatus.SOLVED
        idle += solution.status is SolverStatus.NOTHING_TO_DO
        if count % 10 == 0:
            peer.append(by_peer(problem)[1])
            best = reference(problem)
            gaps.append((objective(problem, solution.trades) - best) / max(abs(best), 1e-9))
    known = [gap for gap in gaps if np.isfinite(gap)]
    return {
        "instances": len(own),
        "solved": solved,
        "nothing_to_do": idle,
        "by_fallback": fallback,
        "factors_instruments": [int(v) for v in np.median(np.array(sizes), axis=0)] if sizes else [],
        "ms": spread(own),
        "peer_ms": spread(peer),
        "iterations": {"median": float(np.median(rounds)), "most": max(rounds)} if rounds else {},
        "references": len(known),
        "worst_gap": float(max(map(abs, known))) if known else None,
    }


def recorded(days: int) -> Iterator[HedgeProblem]:
    """Programmes of plans for books of four options on recorded chains, as they are handed to the solver."""
    root = (
        Path(os.environ.get("IVHEDGE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "deribit_chains"
    )
    costs, kept, rng = CostModel(fees={"deribit": load_fees("deribit")}), [], np.random.default_rng(1)
    rules = InstrumentRules(kinds=frozenset(InstrumentKind), options_per_expiry=40)
    limits = HedgeLimits(
        delta=Band.around(0.5),
        gamma_1pct=Band.around(0.5),
        vega=tuple(TenorBand(a, b, Band.around(0.02)) for a, b in ((0, 7), (7, 30), (30, 90), (90, 1e4))),
    )
    genuine = aversion.solve

    def keep(problem: HedgeProblem) -> Solution:
        kept.append(problem)
        return genuine(problem)

    aversion.solve = keep
    try:
        for coin in COINS:
            files = sorted((root / coin).glob("*.parquet"))
            for file in files[:: max(len(files) // max(days, 1), 1)][:days]:
                table = read_chains(file)
                for snapshot in list(snapshots(table))[:1]:
                    surface = fit_surface(snapshot.chain).surface
                    market = hedge_market(snapshot, surface, rules=rules)
                    options = [item for item in market.instruments if item.is_option]
                    for _ in range(3):
                        picks = rng.choice(len(options), 4, replace=False)
                        size = [Decimal(int(q)) for q in rng.choice((-40, -10, 10, 40), 4)]
                        legs = tuple(Position(options[i], q) for i, q in zip(picks, size, strict=True))
                        kept.clear()
                        plan_hedge(Book("one", legs, ()), surface, market, limits, HedgeState(), costs=costs)
                        yield from list(kept)
    finally:
        aversion.solve = genuine


def linear(count: int) -> dict[str, object]:
    """Linear form: built and solved, moved exposures, equality with the interior point."""
    cold, warm, first, gaps, solved = [], [], [], [], 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        problem = replace(instance(rng, KINDS[seed % 4]), aversion=0.0)
        start = time.thread_time()
        kept = LinearHedge(problem)
        found = kept.solve()
        cold.append((time.thread_time() - start) * 1e3)
        value = objective(problem, solve(problem).trades)
        gaps.append(abs(objective(problem, found.trades) - value) / abs(value))
        for _ in range(20):
            moved = problem.exposure * (1.0 + 0.02 * rng.normal(size=30))
            start = time.thread_time()
            found = kept.solve(moved)
            warm.append((time.thread_time() - start) * 1e3)
            solved += found.status is SolverStatus.SOLVED
            start = time.thread_time()
            kept._solver.run()
            first.append((time.thread_time() - start) * 1e3)
    return {
        "instances": count,
        "warm_solved_of": [solved, 20 * count],
        "cold_ms": spread(cold),
        "warm_ms": spread(warm),
        "highs_call_without_a_pivot_ms": spread(first),
        "worst_gap_to_interior_point": float(max(gaps)),
    }


def lots(count: int, seconds: float) -> dict[str, object]:
    """Rounding of the linear form against HiGHS MIP, the same lots, boxes and rows."""
    spent, over, above, left = [], [], [], []
    for seed in range(count):
        problem = replace(instance(np.random.default_rng(seed), "dense"), aversion=0.0, budget=np.inf)
        n, lot = problem.buy_cost.size, 0.1
        grid = LotGrid(lot=np.full(n, lot), min_size=np.full(n, lot))
        trades = LinearHedge(problem).solve().trades
        start = time.thread_time()
        found = round_to_lots(problem, trades, grid)
        spent.append((time.thread_time() - start) * 1e3)
        value = objective(problem, found * lot)
        best, bound = integer(problem, lot, seconds)
        over.append(value / best - 1.0)
        above.append(value / bound - 1.0)
        left.append(best / bound - 1.0)
    return {
        "instances": count,
        "mip_seconds": seconds,
        "ms": spread(spent[1:] or spent),
        "above_mip": [round(v, 4) for v in over],
        "above_mip_mean": round(float(np.mean(over)), 4),
        "above_bound": [round(v, 4) for v in above],
        "mip_above_its_bound": [round(v, 4) for v in left],
    }


def integer(problem: HedgeProblem, lot: float, seconds: float) -> tuple[float, float]:
    """Value and lower bound of HiGHS' mixed-integer programme."""
    n, k = problem.buy_cost.size, problem.exposure.size
    loads, (low, high) = problem.loadings * lot, problem.box
    rows = np.hstack((loads, -loads, -np.eye(k), np.eye(k)))
    margin = np.concatenate((problem.margin, problem.margin, np.zeros(2 * k))) * lot
    most = np.floor(np.concatenate((problem.max_buy, problem.max_sell)) / lot + 1e-9)
    slack = np.concatenate((high - problem.upper, problem.lower - low))
    found = milp(
        np.concatenate((problem.buy_cost * lot, problem.sell_cost * lot, problem.penalty, problem.penalty)),
        integrality=np.concatenate((np.ones(2 * n), np.zeros(2 * k))),
        bounds=Bounds(0.0, np.concatenate((most, slack))),
        constraints=[
            LinearConstraint(rows, problem.lower - problem.exposure, problem.upper - problem.exposure),
            LinearConstraint(margin[None, :], -np.inf, problem.margin_cap),
        ],
        options={"time_limit": seconds, "mip_rel_gap": 1e-4},
    )
    return float(found.fun), float(found.mip_dual_bound)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--mips", type=int, default=4)
    parser.add_argument("--mip-seconds", type=float, default=60.0)
    parser.add_argument("--days", type=int, default=10, help="recorded days of each coin")
    parser.add_argument("--quick", action="store_true", help="400 instances, one MIP of 10 s, 1 day")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.instances, chosen.mips, chosen.mip_seconds, chosen.days = 400, 1, 10.0, 1
    start = time.thread_time()
    warmup()
    result: dict[str, object] = {"first_solve_s": round(time.thread_time() - start, 2)}
    each = chosen.instances // len(KINDS)
    for kind in KINDS:
        result[kind] = judge(instance(np.random.default_rng(seed), kind) for seed in range(each))
    try:
        result["recorded"] = judge(recorded(chosen.days))
    except (FileNotFoundError, ValueError) as missing:
        result["recorded"] = f"skipped: {missing}"
    result["linear"] = linear(max(4, chosen.instances // 250))
    result["lots"] = lots(chosen.mips, chosen.mip_seconds)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
