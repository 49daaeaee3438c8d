"""Skew-stickiness ratio of the recorded chains, estimated on the first half and judged on the second.

Prints JSON and needs the recorded Deribit chains (IVHEDGE_DATA, default ../shared/data). Every snapshot is
fitted; smiles are read at constant tenors. `estimate` holds R per tenor for both halves with 90 % intervals
(moving block bootstrap, blocks of two days). `judged` compares, over the second half, the vols that each rule
predicts from the surface before and the move of the forward with the vols found six hours later: at the money
(at the new forward), and at the fixed strikes that were the 25-delta put and call before. `rmse` is in vol
points; `mse_ratio` is the mean squared error over that of sticky strike, below 1 is better, with a 90 %
interval of the same bootstrap. `shrunk` halves the distance of R to 1, `trailing` estimates R on the 120
steps before each step, `second_half` knows the answer and shows what a constant R could reach.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ivhedge.core.errors import IvHedgeError
from ivhedge.core.types import FloatArray
from ivhedge.core.units import format_ns
from ivhedge.market import read_chains
from ivhedge.surface import EssviSurface, fit_surface
from ivhedge.surface.dynamics import (
    SkewStickiness,
    SmileRule,
    StickyMoneyness,
    StickyStrike,
    atm_skew,
    moved_vol,
)
from ivhedge.surface.quoting import log_moneyness_of_delta
from ivhedge.surface.skew_stickiness import SkewStickinessEstimate, estimate_skew_stickiness

DAYS = np.array([2.0, 3.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0])
TAUS = DAYS / 365.0
CALL_DELTAS = {"put_25": 0.75, "call_25": 0.25}
MAX_STEP_NS = 9 * 3_600_000_000_000
BLOCK, RESAMPLES, SEED, TRAILING = 8, 2000, 20260601, 120


def fitted(folder: Path) -> tuple[list[EssviSurface], int]:
    """All certified surfaces of one coin in order, and how many snapshots gave none."""
    surfaces, failed = [], 0
    for file in sorted(folder.glob("*.parquet")):
        for chain in read_chains(file).partition_by("ts", maintain_order=True):
            try:
                surfaces.append(fit_surface(chain).published())
            except IvHedgeError:
                failed += 1
    return sorted(surfaces, key=lambda s: s.ts_ns), failed


def estimate(surfaces: list[EssviSurface]) -> SkewStickinessEstimate:
    """R of a run of surfaces."""
    return estimate_skew_stickiness(
        [s.ts_ns for s in surfaces],
        [s.forward(TAUS) for s in surfaces],
        [s.implied_vol(0.0, TAUS) for s in surfaces],
        [atm_skew(s, TAUS) for s in surfaces],
        taus=TAUS,
        rng=np.random.default_rng(SEED),
        block=BLOCK,
        resamples=RESAMPLES,
    )


def errors(
    surfaces: list[EssviSurface], start: int, rule_at: Callable[[int], SmileRule]
) -> dict[str, FloatArray]:
    """Vol found less vol predicted for each step from `start`, shape (steps, tenors), decimals."""
    found: dict[str, list[FloatArray]] = {name: [] for name in ("atm", *CALL_DELTAS)}
    for i in range(start, len(surfaces) - 1):
        before, after = surfaces[i], surfaces[i + 1]
        if after.ts_ns - before.ts_ns > MAX_STEP_NS:
            continue
        rule = rule_at(i)
        move = np.log(after.forward(TAUS) / before.forward(TAUS))
        strikes = {"atm": move}
        strikes |= {name: log_moneyness_of_delta(before, TAUS, d) for name, d in CALL_DELTAS.items()}
        for name, k in strikes.items():
            predicted = moved_vol(before, rule, k, TAUS, move)
            found[name].append(np.asarray(after.implied_vol(k - move, TAUS) - predicted))
    return {name: np.array(rows) for name, rows in found.items()}


def judged(surfaces: list[EssviSurface], half: int, first: SkewStickinessEstimate) -> dict[str, object]:
    """Errors of each rule over the second half."""
    second = estimate(surfaces[half:])
    fixed: dict[str, SmileRule] = {
        "sticky_strike": StickyStrike(),
        "sticky_moneyness": StickyMoneyness(),
        "first_half": first.rule(),
        "first_half_shrunk": first.rule(shrink=0.5),
        "second_half": second.rule(),
    }
    moves = np.array([s.forward(TAUS) for s in surfaces])
    steps = np.diff(np.log(moves), axis=0)
    changes = np.diff(np.array([s.implied_vol(0.0, TAUS) for s in surfaces]), axis=0)
    skews = np.array([atm_skew(s, TAUS) for s in surfaces])[:-1]
    near = (np.diff([s.ts_ns for s in surfaces]) <= MAX_STEP_NS)[:, None]

    def trailing(i: int) -> SmileRule:
        rows = np.s_[max(0, i - TRAILING) : i]
        above, below = changes * steps * near, skews * steps**2 * near
        return SkewStickiness(ssr=above[rows].sum(axis=0) / below[rows].sum(axis=0), taus=TAUS)

    found = {name: errors(surfaces, half, lambda _, r=rule: r) for name, rule in fixed.items()}
    found["trailing"] = errors(surfaces, half, trailing)
    table = {}
    for what in ("atm", *CALL_DELTAS):
        base = found["sticky_strike"][what] ** 2
        n = base.shape[0]
        rng = np.random.default_rng(SEED)
        starts = rng.integers(0, n - BLOCK + 1, size=(RESAMPLES, -(-n // BLOCK)))
        drawn = (starts[:, :, None] + np.arange(BLOCK)).reshape(RESAMPLES, -1)[:, :n]
        table[what] = {"steps": n}
        for name, all_errors in found.items():
            square = all_errors[what] ** 2
            ratios = np.array([square[i].mean(axis=0) / base[i].mean(axis=0) for i in drawn])
            table[what][name] = {
                "rmse_vol_points": (100 * np.sqrt(square.mean(axis=0))).round(3).tolist(),
                "mse_ratio": (square.mean(axis=0) / base.mean(axis=0)).round(3).tolist(),
                "interval_90": np.quantile(ratios, (0.05, 0.95), axis=0).T.round(3).tolist(),
            }
    return table


def summary(found: SkewStickinessEstimate) -> dict[str, object]:
    """One estimate as plain numbers."""
    return {
        "ssr": found.ssr.round(3).tolist(),
        "interval_90": np.column_stack((found.lower, found.upper)).round(3).tolist(),
        "r_squared": found.r_squared.round(3).tolist(),
        "steps": int(found.n_steps.min()),
    }


def measure(folder: Path) -> dict[str, object]:
    """Everything for one coin."""
    surfaces, failed = fitted(folder)
    half = len(surfaces) // 2
    first = estimate(surfaces[: half + 1])
    return {
        "surfaces": len(surfaces),
        "without_certificate": failed,
        "split": format_ns(surfaces[half].ts_ns),
        "mean_skew": np.mean([atm_skew(s, TAUS) for s in surfaces], axis=0).round(3).tolist(),
        "estimate": {
            "first_half": summary(first),
            "second_half": summary(estimate(surfaces[half:])),
            "all": summary(estimate(surfaces)),
        },
        "judged": judged(surfaces, half, first),
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
    result = {"tenor_days": DAYS.tolist(), **{coin: measure(root / coin) for coin in ("BTC", "ETH")}}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
