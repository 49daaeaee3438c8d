"""Quality, robustness and speed of the flexible surface: recorded snapshots and known truth.

Prints JSON. The recorded part needs the Deribit chains (IVHEDGE_DATA, default ../shared/data). Times are CPU
milliseconds of `fit_flexible` without the certificate, on quotes and a backbone that are ready.

``python benchmarks/flexible.py [snapshots per asset] [certified snapshots per asset]``
"""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from flexible_data import every_fourth, without
from ivhedge.core.types import FloatArray
from ivhedge.market import clean_chain, quote_vols, read_chains
from ivhedge.surface import certify, fit_surface
from ivhedge.surface.flexible import FlexibleQuotes, FlexibleSettings, fit_flexible, flexible_quotes

BUCKETS = (("< 3 d", 3.0), ("3-14 d", 14.0), ("14-90 d", 90.0), ("> 90 d", np.inf))
SETTINGS = FlexibleSettings()


def owner(quotes: FlexibleQuotes) -> FloatArray:
    """Expiry number of each row."""
    return np.repeat(np.arange(quotes.taus.size), np.diff(quotes.offsets))


def recorded(root: Path, coin: str, count: int, n_certified: int) -> dict[str, object]:
    """Inside bid-ask by tenor, left-out strikes, certificates and times of one asset."""
    chains = read_chains(root / coin)
    times = chains["ts"].unique().sort()
    at = np.linspace(0, times.len() - 1, count).astype(int)
    total, inside = Counter[str](), Counter[str]()
    left_out, errors, milliseconds, mixes, violations, steps = [], [], [], [], 0, []
    for number, ts in enumerate(times.gather(at.tolist())):
        chain = chains.filter(pl.col("ts") == ts)
        base = fit_surface(chain)
        quotes = flexible_quotes(quote_vols(clean_chain(chain).chain, base.forwards))
        fit_flexible(quotes, base.surface, SETTINGS)
        start = time.thread_time()
        fit = fit_flexible(quotes, base.surface, SETTINGS)
        milliseconds.append(1e3 * (time.thread_time() - start))
        mixes.append(fit.mix)
        steps.append(sum(fit.iterations))
        if number < n_certified:
            violations += len(certify(fit.surface).violations)
        two_sided = np.isfinite(quotes.bid_vol) & np.isfinite(quotes.ask_vol)
        bucket = np.searchsorted([b for _, b in BUCKETS], 365.0 * quotes.taus[owner(quotes)], side="right")
        for i, (name, _) in enumerate(BUCKETS):
            total[name] += int((two_sided & (bucket == i)).sum())
            inside[name] += int((fit.inside & two_sided & (bucket == i)).sum())
        out = every_fourth(quotes)
        rest = fit_flexible(without(quotes, out), base.surface, SETTINGS)
        vol = rest.surface.implied_vol(quotes.log_moneyness[out], quotes.taus[owner(quotes)][out])
        left_out.append((vol >= quotes.bid_vol[out] - 1e-9) & (vol <= quotes.ask_vol[out] + 1e-9))
        errors.append(np.abs(vol - quotes.mid_vol[out]))
    error = 1e4 * np.concatenate(errors)
    return {
        "snapshots": count,
        "quotes": sum(total.values()),
        "outside": sum(total.values()) - sum(inside.values()),
        "inside": round(sum(inside.values()) / sum(total.values()), 5),
        "inside_by_tenor": {name: round(inside[name] / max(total[name], 1), 4) for name, _ in BUCKETS},
        "left_out": int(error.size),
        "left_out_inside": round(float(np.concatenate(left_out).mean()), 4),
        "left_out_error_bp": [round(float(v), 1) for v in np.quantile(error, (0.5, 0.95))],
        "certified_snapshots": min(count, n_certified),
        "violations": violations,
        "mix_p50_max": [float(np.median(mixes)), float(np.max(mixes))],
        "steps_p50": float(np.median(steps)),
        "cpu_ms_p50_p99": [round(float(v), 1) for v in np.quantile(milliseconds, (0.5, 0.99))],
    }


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 22
    n_certified = int(sys.argv[2]) if len(sys.argv) > 2 else count
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if not root.is_dir():
        print(json.dumps({"skipped": "recorded chains not found; point IVHEDGE_DATA at a folder with them"}))
        return
    print(json.dumps({coin: recorded(root, coin, count, n_certified) for coin in ("BTC", "ETH")}, indent=2))


if __name__ == "__main__":
    main()
