"""How much the policies of a saved backtest cut the standard deviation of step P&L, with intervals.

Usage: python benchmarks/policies.py FOLDER [FOLDER ...], each written by `ivhedge backtest --out FOLDER`.
Prints JSON: per policy the ratio of its standard deviation to the baseline's, and a 90 % interval from a
moving block bootstrap over steps (blocks of two days at four snapshots a day, paired between policies).
"""

import json
import sys

import numpy as np

from ivhedge.engine import BacktestResult
from ivhedge.engine.series import step_pnl
from ivhedge.report import load_result

BLOCK = 8
RESAMPLES = 4000
SEED = 20260101


def block_indices(n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of one resample of n steps in blocks."""
    starts = rng.integers(0, n - BLOCK + 1, size=-(-n // BLOCK))
    return (starts[:, None] + np.arange(BLOCK)).ravel()[:n]


def ratios(result: BacktestResult) -> dict[str, object]:
    """Ratio of standard deviations per policy with its interval."""
    steps = {p.name: step_pnl(p, result.numeraire)["pnl_usd"].to_numpy() for p in result.policies}
    base = steps[result.baseline.name]
    rng = np.random.default_rng(SEED)
    draws = [block_indices(base.size, rng) for _ in range(RESAMPLES)]
    found = {}
    for policy in result.policies:
        own = steps[policy.name]
        sampled = [own[i].std(ddof=1) / base[i].std(ddof=1) for i in draws]
        summary = policy.summary
        found[policy.name] = {
            "sd_usd": round(float(own.std(ddof=1)), 1),
            "sd_ratio": round(float(own.std(ddof=1) / base.std(ddof=1)), 3),
            "interval_90": [round(float(q), 3) for q in np.quantile(sampled, (0.05, 0.95))],
            **{
                name: round(float(summary[name]), 2)
                for name in (
                    "pnl_usd",
                    "cvar95_usd",
                    "max_drawdown_usd",
                    "fees_usd",
                    "slippage_usd",
                    "funding_usd",
                )
            },
            "n_trades": summary["n_trades"],
            "residual_share_of_gross": float(f"{summary['residual_share_of_gross']:.2g}"),
            "identity_exact": summary["identity_exact"],
        }
    return found


def main() -> None:
    if len(sys.argv) < 2:
        print(json.dumps({"benchmark": "policies", "note": "give folders written by ivhedge backtest"}))
        return
    results = {folder: load_result(folder) for folder in sys.argv[1:]}
    print(
        json.dumps(
            {
                "benchmark": "policies",
                "block_steps": BLOCK,
                "resamples": RESAMPLES,
                "results": {
                    ", ".join(result.underlyings): {
                        "steps": len(step_pnl(result.policies[0], result.numeraire)),
                        "snapshots": result.n_snapshots,
                        "certified": int(result.surfaces["certificate_valid"].sum()),
                        "policies": ratios(result),
                    }
                    for result in results.values()
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
