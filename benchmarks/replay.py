"""Replay speed: snapshots per second and the share of time per stage.

Prints JSON. Replays the simulated showcase and, where recorded chains are present (IVHEDGE_DATA, default
../shared/data), two weeks of BTC with the example book and policies. Each replay runs once to compile and is
then timed; rates are medians of the repeats.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ivhedge.app.config import load_book, load_policies
from ivhedge.app.showcase import showcase_book, showcase_policies
from ivhedge.engine import BacktestResult, ReplayConfig, SettlementPrices, replay
from ivhedge.market import read_chains, read_futures, snapshots
from ivhedge.market.simulator import SimulationConfig, simulate_market

TURNS = 3
SIMULATED_SNAPSHOTS = 16
WINDOW = ("2026-01-05", "2026-01-18")
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


def main() -> None:
    root = Path(os.environ.get("IVHEDGE_DATA", "../shared/data")) / "deribit_chains" / "BTC"
    found: dict[str, object] = {"simulated": simulated()}
    found["recorded"] = recorded(root) if root.is_dir() else f"no recorded chains at {root}"
    head = {"benchmark": "replay", "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({**head, "turns": TURNS, **found}, indent=2))


if __name__ == "__main__":
    main()
