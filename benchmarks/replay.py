"""Replay speed: snapshots per second and the share of time per stage; a year of chains; arrays of ticks.

Prints JSON. Replays the simulated showcase and, where recorded chains are present (IVHEDGE_DATA, default
../shared/data), two weeks of BTC with the example book and policies. Each replay runs once to compile and is
then timed; rates are medians of the repeats.

The year of chains replays all recorded BTC chains in one process and all ETH chains in another, each fitting
every surface, planning and attributing for one policy, and scales to 1,460 snapshots. Two times are told: of
the wall clock, and the CPU seconds of the busier process, which other work on the host spoils less.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ivhedge.app.config import load_book, load_policies
from ivhedge.app.showcase import showcase_book, showcase_policies
from ivhedge.core.units import NS_PER_DAY
from ivhedge.engine import BacktestResult, ReplayConfig, SettlementPrices, replay
from ivhedge.engine.arrays import DeltaRule, HeldOptions, QuoteEvents, replay_arrays
from ivhedge.engine.replay import ReplayJob, replay_jobs
from ivhedge.engine.sweep.backends import _single_threaded
from ivhedge.market import read_chains, read_futures, snapshots
from ivhedge.market.simulator import SimulationConfig, simulate_market

TURNS = 3
SIMULATED_SNAPSHOTS = 16
WINDOW = ("2026-01-05", "2026-01-18")
YEAR = ("2026-01-05", "2026-05-31")
SNAPSHOTS_A_YEAR = 4 * 365
YEAR_POLICY = "delta + vega"
EVENTS = 20_000_000
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def measure(run: Callable[[], BacktestResult]) -> dict[str, object]:
    """Snapshots per second of a replay, and the median share of each stage."""
    run()
    rates, shares = [], []
    for _ in range(TURNS):
        start = time.perf_counter()
        result = run()
        rates.append(result.n_snapshots / (time.perf_counter() - start))
        shares.append(dict(result.stages.select("stage", "share").iter_rows()))
    stages = {name: round(statistics.median(turn[name] for turn in shares), 3) for name in shares[0]}
    return {
        "snapshots": result.n_snapshots,
        "policies": len(result.policies),
        "snapshots_per_second": round(statistics.median(rates), 2),
        "policy_snapshots_per_second": round(statistics.median(rates) * len(result.policies), 2),
        "share_of_time": dict(sorted(stages.items(), key=lambda item: -item[1])),
        "identity_exact": all(policy.summary["identity_exact"] for policy in result.policies),
    }


def simulated() -> dict[str, object]:
    """Two coins on five simulated venues."""
    market = simulate_market(SimulationConfig(n_snapshots=SIMULATED_SNAPSHOTS), np.random.default_rng(7))
    looks = list(market.snapshots())
    settlements = SettlementPrices.from_table(market.settlements)
    config = ReplayConfig(name="simulated")
    return measure(
        lambda: replay(looks, showcase_book(), showcase_policies(), config, settlements=settlements)
    )


def recorded(folder: Path) -> dict[str, object]:
    """Two weeks of recorded BTC chains."""
    start, end = WINDOW
    chains = read_chains(folder, start=start, end=end)
    looks = list(snapshots(chains, read_futures(folder, start=start, end=end)))
    book = load_book(EXAMPLES / "books" / "strangle_ladder.toml")
    policies = load_policies(EXAMPLES / "policies" / "four_policies.toml")
    return measure(lambda: replay(looks, book, policies, ReplayConfig(name="recorded")))


def all_chains(folder: Path) -> tuple[int, float, float]:
    """Snapshots, wall and CPU seconds of one policy over all chains of a coin, reading included."""
    start, end = YEAR
    book = load_book(EXAMPLES / "books" / "strangle_ladder.toml")
    policies = load_policies(EXAMPLES / "policies" / "four_policies.toml")
    job = ReplayJob(
        book, tuple(item for item in policies if item.name == YEAR_POLICY), ReplayConfig(name="year")
    )
    wall, cpu = time.perf_counter(), time.process_time()
    chains = read_chains(folder, start=start, end=end)
    looks = snapshots(chains, read_futures(folder, start=start, end=end))
    (found,) = replay_jobs(looks, [job], diagnostics=False)
    if not isinstance(found, BacktestResult):
        raise found
    return found.n_snapshots, time.perf_counter() - wall, time.process_time() - cpu


def year(root: Path) -> dict[str, object]:
    """A year of six-hourly chains for one policy on two processes."""
    with _single_threaded(), ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(all_chains, [root / "BTC", root / "ETH"]))
    count = sum(n for n, _, _ in done)
    scale = SNAPSHOTS_A_YEAR / count
    return {
        "policy": YEAR_POLICY,
        "snapshots": count,
        "processes": 2,
        "load_average": [round(value, 1) for value in os.getloadavg()],
        "wall_seconds_a_year": round(scale * max(wall for _, wall, _ in done), 1),
        "cpu_seconds_a_year_busier_process": round(scale * max(cpu for _, _, cpu in done), 1),
        "cpu_ms_a_snapshot": round(1e3 * sum(cpu for _, _, cpu in done) / count, 1),
    }


def arrays() -> dict[str, object]:
    """Quote events per second of the array replay, one rebalance in about a thousand events."""
    rng = np.random.default_rng(7)
    middle = 2_000_000 * np.exp(np.cumsum(rng.normal(0.0, 2e-5, EVENTS)))
    bid = np.rint(middle).astype(np.int32)
    events = QuoteEvents(
        ts_ns=np.arange(EVENTS, dtype=np.int64) * 100_000_000,
        bid=bid,
        ask=bid + 1,
        tick=Decimal("0.05"),
        lot=Decimal("0.001"),
    )
    held = HeldOptions(
        strike=np.array([1_900_000, 2_000_000, 2_100_000]),
        expiry_ns=np.array([30, 60, 90]) * NS_PER_DAY,
        is_call=np.array([False, True, True]),
        lots=np.array([-10_000, -10_000, -10_000]),
        vol_ts_ns=np.array([0]),
        vols=np.full((1, 3), 0.5),
    )
    rule = DeltaRule(move=6.3e-4)
    found = replay_arrays(events, held, rule)
    seconds = []
    for _ in range(5 * TURNS):
        start = time.thread_time()
        found = replay_arrays(events, held, rule)
        seconds.append(time.thread_time() - start)
    return {
        "events": EVENTS,
        "options": 3,
        "rebalances_per_1000_events": round(1e3 * found.trade_at.size / EVENTS, 3),
        "million_events_per_second": round(EVENTS / statistics.median(seconds) / 1e6, 1),
        "slowest": round(EVENTS / max(seconds) / 1e6, 1),
    }


def main() -> None:
    root = Path(os.environ.get("IVHEDGE_DATA", "../shared/data")) / "deribit_chains" / "BTC"
    found: dict[str, object] = {"arrays": arrays(), "simulated": simulated()}
    found["recorded"] = recorded(root) if root.is_dir() else f"no recorded chains at {root}"
    found["year_of_chains"] = year(root.parent) if root.is_dir() else f"no recorded chains at {root}"
    head = {"benchmark": "replay", "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({**head, "turns": TURNS, **found}, indent=2))


if __name__ == "__main__":
    main()
