"""Forwards and fair vols against a known truth, and against venue marks and parity on recorded chains.

Prints JSON. Simulated: three venues (two in coin, one in dollars), 12 expiries, 60 strikes, wide lopsided
quotes on a tick grid, bad and stale ones. Recorded (IVHEDGE_DATA, default ../shared/data): both views of one
strike, call and put, should give one vol; the venue's mark is an outside opinion. ``--seeds N``.
"""

import argparse
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray
from ivhedge.core.units import NS_PER_YEAR
from ivhedge.market import (
    CHAIN_SCHEMA,
    clean_chain,
    estimate_forwards,
    quote_vols,
    read_chains,
    snapshots,
    unbiased_mids,
)
from ivhedge.pricing import black76_price

DAYS = (1, 2, 3, 7, 14, 21, 30, 60, 90, 180, 270, 365)
TS = datetime(2026, 1, 5, 8, tzinfo=UTC)
SPOT, RATE, SIGMA = 90_000.0, 0.05, 0.55
FAULTS = {
    "clean": (0.0, 0.0),
    "bad_5": (0.05, 0.0),
    "bad_20": (0.2, 0.0),
    "stale_30": (0.0, 0.3),
    "bad_20_stale_30": (0.2, 0.3),
}
SPREADS = {
    "ask_farther": {"asymmetry": 0.3},
    "bid_farther": {"asymmetry": -0.3},
    "call_wing": {"asymmetry": 0.3, "slope": 0.3},
    "shares": {"asymmetry": 0.3, "kind": "shares"},
    "even": {},
    "missing_40": {"asymmetry": 0.3, "missing": 0.4},
    "bad_10": {"asymmetry": 0.3, "bad": 0.1},
    "only_ask_varies": {"asymmetry": 0.3, "kind": "only_ask_varies"},
}


def true_vol(k: FloatArray, tau: float) -> FloatArray:
    """A smile with skew, wings and a ripple that no parabola follows."""
    s = tau**0.5
    z = k / (SIGMA * s)
    level = 0.5 + 0.06 * np.tanh(0.06 / s) - 0.03 * z / (1.0 + 0.3 * s)
    return np.asarray(level + 0.05 * (np.sqrt(1.0 + 0.5 * z * z) - 1.0) + 0.01 * np.sin(1.3 * z))


def half_spreads(
    rng: np.random.Generator, z: FloatArray, base: float, asymmetry: float, slope: float, kind: str
) -> tuple[FloatArray, FloatArray]:
    """Distances of bid and ask from the fair vol."""
    width = base * (1.0 + 0.4 * np.abs(z))
    a = asymmetry + slope * np.tanh(z / 2)
    if kind == "gamma":
        bid, ask = rng.gamma(4.0 * (1.0 - a), 0.25), rng.gamma(4.0 * (1.0 + a), 0.25)
        return bid * width, ask * width
    if kind == "shares":
        share = np.clip(a + 0.3 * rng.uniform(-1.0, 1.0, z.size), -0.95, 0.95)
        width = width * rng.lognormal(0.0, 0.4, z.size)
        return width * (1.0 - share), width * (1.0 + share)
    return 0.7 * width, width * (0.7 + 2.0 * a * rng.exponential(1.0, z.size))


def make_chain(
    rng: np.random.Generator,
    *,
    venue: str = "deribit",
    coin: bool = True,
    base: float = 0.006,
    asymmetry: float = 0.0,
    slope: float = 0.0,
    kind: str = "gamma",
    missing: float = 0.1,
    bad: float = 0.0,
    stale: float = 0.0,
    dollar: float = 1.0,
    both: bool = True,
) -> tuple[pl.DataFrame, FloatArray, FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """A chain with the true vol of each row, the true forwards, and which quotes are bad.

    `dollar` is the price in USD of what the venue calls a dollar; without `both`, out of the money only.
    """
    parts, vols, faults, forwards = [], [], [], []
    for days in DAYS:
        tau, expiry = days / 365, TS + timedelta(days=days)
        forward = SPOT * float(np.exp(RATE * tau)) / dollar
        grid = forward * np.exp(np.linspace(-2.5, 2.5, 60) * SIGMA * tau**0.5)
        step = 50.0 if days < 8 else 500.0
        strikes = np.unique(np.round(grid / step) * step)
        strike, is_call = np.repeat(strikes, 2), np.tile([False, True], strikes.size)
        if not both:
            keep = is_call == (strike >= forward)
            strike, is_call = strike[keep], is_call[keep]
        k = np.log(strike / forward)
        n, fair, z = k.size, true_vol(k, tau), k / (SIGMA * tau**0.5)
        below, above = half_spreads(rng, z, base, asymmetry, slope, kind)
        wrong = rng.random(n) < bad
        jump = np.where(wrong, rng.uniform(0.05, 0.25, n) * rng.choice([-1.0, 1.0], n), 0.0)
        age = np.where(rng.random(n) < stale, rng.uniform(30.0, 300.0, n), rng.uniform(0.0, 0.5, n))
        then = forward * np.exp(0.5 * np.sqrt(age * 1e9 / NS_PER_YEAR) * rng.standard_normal(n))
        sides = []
        for vol, up in (
            (np.maximum(fair - below + jump, 0.02), False),
            (np.maximum(fair + above + jump, 0.03), True),
        ):
            price = black76_price(then, strike, np.full(n, tau), vol, is_call) / (then if coin else 1.0)
            tick = np.where(price < 0.005, 0.0001, 0.0005) if coin else 5.0
            sides.append((np.ceil(price / tick - 1e-9) if up else np.floor(price / tick + 1e-9)) * tick)
        bid = np.where((rng.random(n) < missing) | (sides[0] <= 0.0), np.nan, sides[0])
        ask = np.where((rng.random(n) < 0.3 * missing) | (sides[1] <= 0.0), np.nan, sides[1])
        names = [f"BTC-{days}-{x:.0f}-{'C' if c else 'P'}" for x, c in zip(strike, is_call, strict=True)]
        table = pl.DataFrame(
            {
                "ts": [TS] * n,
                "venue": [venue] * n,
                "underlying": ["BTC"] * n,
                "instrument_name": names,
                "expiry": [expiry] * n,
                "strike": strike,
                "is_call": is_call,
                "settlement": ["coin" if coin else "usd"] * n,
                "bid": pl.Series(bid, nan_to_null=True),
                "ask": pl.Series(ask, nan_to_null=True),
                "ts_event": [TS - timedelta(seconds=float(x)) for x in age],
            }
        )
        parts.append(table.select(_column(table, name, kind) for name, kind in CHAIN_SCHEMA.items()))
        vols.append(fair)
        faults.append(wrong)
        forwards.append(forward)
    return pl.concat(parts), np.concatenate(vols), np.array(forwards), np.concatenate(faults)


def _column(table: pl.DataFrame, name: str, kind: pl.DataType) -> pl.Expr:
    return (pl.col(name) if name in table.columns else pl.lit(None)).cast(kind).alias(name)


def forward_errors(seeds: int, bad: float, stale: float) -> dict[str, float]:
    """Errors of pooled forwards over expiries and seeds, bp, and cover of the 95 % intervals."""
    gaps, errors = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        fault = {"bad": bad, "stale": stale, "asymmetry": 0.2, "missing": 0.05}
        made = [
            make_chain(rng, venue=v, coin=c, **fault)
            for v, c in (("deribit", True), ("aurora", True), ("dune", False))
        ]
        curve = estimate_forwards(pl.concat(m[0] for m in made))
        gaps.append(1e4 * (curve.forwards / made[0][2] - 1.0))
        errors.append(1e4 * curve.std_errors / made[0][2])
    gap, error = np.concatenate(gaps), np.concatenate(errors)
    return {
        "rmse_bp": round(float(np.mean(gap**2) ** 0.5), 3),
        "max_bp": round(float(np.abs(gap).max()), 3),
        "cover_95": round(float(np.mean(np.abs(gap) < 1.96 * error)), 3),
    }


def mid_bias(seeds: int, **how: object) -> dict[str, float]:
    """Mean error of fair vols of good two-sided quotes, bp of vol, with the seeds' bootstrap interval."""
    rows: dict[str, list[float]] = {"mid": [], "fair": [], "smile": []}
    cover, cost = [], []
    for seed in range(seeds):
        chain, fair, forwards, wrong = make_chain(np.random.default_rng(seed), base=0.012, both=False, **how)  # type: ignore[arg-type]
        dates = [int((TS + timedelta(days=d)).timestamp()) for d in DAYS]
        known = dict(zip(dates, forwards.tolist(), strict=True))
        chain = chain.with_columns(
            forward=pl.col("expiry").dt.epoch("s").replace_strict(known, return_dtype=pl.Float64)
        )
        quotes = quote_vols(chain, estimate_forwards(chain))
        start = time.thread_time()
        found = unbiased_mids(quotes)
        cost.append(1e3 * (time.thread_time() - start))
        ok = quotes.is_two_sided & ~quotes.at_one_tick & ~wrong & np.isfinite(found.smile_iv)
        for name, vol in (("mid", quotes.mid_iv), ("fair", found.fair_iv), ("smile", found.smile_iv)):
            rows[name].append(1e4 * float(np.mean((vol - fair)[ok])))
        cover.append(float(np.mean((np.abs(found.smile_iv - fair) < 1.96 * found.smile_sd)[ok])))
    draws = np.random.default_rng(1).integers(0, seeds, (1000, seeds))
    low, high = np.quantile(np.array(rows["smile"])[draws].mean(axis=1), (0.025, 0.975))
    return {f"{name}_bp": round(float(np.mean(values)), 1) for name, values in rows.items()} | {
        "smile_low_bp": round(float(low), 1),
        "smile_high_bp": round(float(high), 1),
        "one_chain_sd_bp": round(float(np.std(rows["smile"])), 1),
        "cover_95": round(float(np.mean(cover)), 3),
        "cpu_ms": round(float(np.median(cost)), 1),
    }


def recorded(folder: Path, start: str, end: str, *, every: int = 12) -> dict[str, object]:
    """Wide side less narrow side of one strike, and distance to the venue's mark, bp of vol."""
    pairs, marks = [], []
    for number, snapshot in enumerate(snapshots(read_chains(folder, start=start, end=end))):
        if number % every:
            continue
        chain = clean_chain(snapshot.chain).chain
        quotes = quote_vols(chain, estimate_forwards(chain))
        found = unbiased_mids(quotes)
        mark = chain["mark_iv"].to_numpy()
        ok = quotes.is_two_sided & ~quotes.at_one_tick & np.isfinite(found.smile_iv) & (mark > 0.0)
        half = 0.5 * (quotes.ask_iv - quotes.bid_iv)
        rows: dict[tuple[int, float], list[int]] = {}
        for row in np.flatnonzero(ok & (np.abs(quotes.log_moneyness) < np.sqrt(quotes.tau))).tolist():
            rows.setdefault((int(quotes.expiry_ns[row]), float(quotes.strike[row])), []).append(row)
        for two in rows.values():
            if len(two) == 2:
                narrow, wide = sorted(two, key=lambda row: float(half[row]))
                pairs.append([1e4 * (v[wide] - v[narrow]) for v in (quotes.mid_iv, found.fair_iv)])
        vols = (quotes.mid_iv, found.fair_iv, found.smile_iv)
        marks.append(np.column_stack([quotes.is_otm, *(1e4 * (v - mark) for v in vols)])[ok])
    gap, mark_gap = np.array(pairs), np.vstack(marks)
    return {
        "pairs": len(gap),
        "wide_less_narrow_mean_mid_fair": gap.mean(axis=0).round(1).tolist(),
        "wide_less_narrow_median_abs_mid_fair": np.median(np.abs(gap), axis=0).round(1).tolist(),
    } | {
        f"{name}_{kind}": [round(float(figure(mark_gap[mark_gap[:, 0] == flag, c])), 1) for c in (1, 2, 3)]
        for name, flag in (("otm", 1.0), ("itm", 0.0))
        for kind, figure in (
            ("less_mark_mean_mid_fair_smile", np.mean),
            ("median_abs_mid_fair_smile", lambda x: np.median(np.abs(x))),
        )
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    result: dict[str, object] = {
        "forwards": {name: forward_errors(seeds, *fault) for name, fault in FAULTS.items()},
        "mid_bias": {name: mid_bias(seeds, **how) for name, how in SPREADS.items()},
    }
    if root.is_dir():
        result["recorded"] = {
            f"{coin} {start}": recorded(root / coin, start, end)
            for coin in ("BTC", "ETH")
            for start, end in (("2025-12-30", "2026-03-16"), ("2026-03-16", "2026-06-01"))
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
