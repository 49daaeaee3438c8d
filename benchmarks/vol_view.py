"""Vega held by forecast on the recorded chains, against always short, always long and flat.

Prints JSON and needs the recorded data (IVHEDGE_DATA, default ../shared/data). Each coin is replayed from
2026-01-05 to 2026-02-28, the last day with hourly bars, on an empty book with a million USD of collateral:
options at the recorded bid and ask, the venue's fees, funding, delta neutral in USD (in every policy, the
flat one too, the perpetual hedges the collateral). The forecaster sees bars that have ended and is refitted
weekly; nothing was chosen on this window. Targets are up to 1,000 USD per vol point in each range of tenors
(7-21, 21-60, 60-120 days), short ones half of that; the fixed policies hold -500 or +500 in each. Figures are
steps of six hours, USD, less those of flat; intervals are of a moving block bootstrap (blocks of 20, 90 %).
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.engine import BookSpec, PolicyKind, PolicySpec, ReplayConfig, replay
from ivhedge.engine.result import PolicyResult
from ivhedge.engine.series import pnl_usd
from ivhedge.engine.settlement import SettlementPrices
from ivhedge.market import read_chains, read_futures, snapshots

WINDOW = {"start": "2026-01-05", "end": "2026-02-28"}
SEED, BLOCK, DRAWS = 20261123, 20, 2000
FLAT = "flat"
POLICIES = (
    PolicySpec(name=FLAT, kind=PolicyKind.DELTA),
    PolicySpec(name="view", kind=PolicyKind.VIEW, vega_usd=1000.0, interval_hours=24.0, delta_band=0.02),
    PolicySpec(
        name="always short", kind=PolicyKind.FIXED_VEGA, vega_usd=-500.0, interval_hours=24.0, delta_band=0.02
    ),
    PolicySpec(
        name="always long", kind=PolicyKind.FIXED_VEGA, vega_usd=500.0, interval_hours=24.0, delta_band=0.02
    ),
)


def steps_of(policy: PolicyResult) -> FloatArray:
    return np.diff(pnl_usd(policy, "usd")["pnl_usd"].to_numpy())


def figures(steps: FloatArray) -> dict[str, object]:
    rng, n = np.random.default_rng(SEED), steps.size
    starts = rng.integers(0, n - BLOCK + 1, size=(DRAWS, -(-n // BLOCK)))
    rows = (starts[:, :, None] + np.arange(BLOCK)).reshape(DRAWS, -1)[:, :n]
    path = np.concatenate([[0.0], np.cumsum(steps)])
    low, high = np.quantile(steps[rows].sum(axis=1), [0.05, 0.95])
    return {
        "pnl": round(float(steps.sum())),
        "interval": [round(float(low)), round(float(high))],
        "drawdown": round(float((path - np.maximum.accumulate(path)).min())),
        "sd_of_a_step": round(float(steps.std()), 1),
        "worst_step": round(float(steps.min())),
    }


def main() -> None:
    root = Path(os.environ.get("IVHEDGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (root / "deribit_chains").is_dir():
        print(json.dumps({"skipped": "recorded data not found; point IVHEDGE_DATA at a folder that has it"}))
        return
    out: dict[str, object] = {"window": WINDOW}
    for coin in ("BTC", "ETH"):
        bars = root / "underlying_hourly" / f"{coin}.parquet"
        chains = read_chains(root / "deribit_chains", underlying=coin, **WINDOW)
        futures = read_futures(root / "deribit_chains", underlying=coin, **WINDOW, missing_ok=True)
        found = replay(
            snapshots(chains, futures),
            BookSpec(name="empty", venue="deribit", collateral_usd=1e6, empty=True),
            POLICIES,
            ReplayConfig(name="view", numeraire="usd", view_bars={coin: bars}),
            settlements=SettlementPrices.from_bars(bars, coin),
        )
        steps = {policy.name: steps_of(policy) for policy in found.policies}
        table: dict[str, object] = {
            "flat_pnl": round(float(steps[FLAT].sum())),
            "steps": int(steps[FLAT].size),
        }
        for policy in found.policies:
            if policy.name == FLAT:
                continue
            trades = policy.trades.filter(policy.trades["instrument"].str.contains("-[CP]$"))
            table[policy.name] = figures(steps[policy.name] - steps[FLAT]) | {
                "option_trades": trades.height,
            }
        view, short = (steps[name] - steps[FLAT] for name in ("view", "always short"))
        table["view_less_always_short"] = figures(view - short)
        out[coin] = table
    json.dump(out, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
