"""Hedge ratios on the recorded chains: variance that each leaves, against Black-Scholes, by tenor and delta.

Prints JSON and needs the recorded Deribit chains (IVHEDGE_DATA, default ../shared/data). Out-of-the-money
options, |delta| above 0.05, 3 to 120 days, held from one snapshot to the next (at most nine hours) at the
venue's mark vols and the median forward of their expiry. Profit is ``(V' − V − θΔt − delta·(F' − F))/F`` in
coins at the start, the delta in the forward of the expiry: USD and coin accounts agree (see
`ivhedge.hedge.ratios.steps`). `change` is Σ profit² over that of Black-Scholes less one: below 0 is better.
θ is known at the start and the same for all. `centred` takes each bucket's mean off first.

`adaptive` learns from both coins at every snapshot, from what has ended by then. `hull_white`, `regression`,
`sticky_moneyness`, `skew_stickiness` (R by least squares at the money) and `factor_14d` (spot and level of
vol per tenor, of the last 14 days) are the rivals; static ones are fitted before `SPLIT`. `rolling` is the
pooled slope of 14 days with 30 % shrinkage. `hindsight` knows the judged period: one β per bucket, per bucket
and week, per coin and day. Settings of `adaptive` were chosen before `SPLIT` and judged once after it.
Intervals of 90 % resample days, circular blocks of four, drawn for both coins and all buckets together.
"""

import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR, parse_time
from ivhedge.hedge.ratios import (
    HedgeSteps,
    RatioBuckets,
    RatioLegs,
    RecalibrationState,
    fit_bucket_ratio,
    fit_hull_white,
    hedge_steps,
    new_state,
    recalibrate,
    records_frame,
)
from ivhedge.pricing import black76_greeks, black76_price

COINS = ("BTC", "ETH")
START, SPLIT = parse_time("2026-01-20"), parse_time("2026-03-15")
MAX_STEP_NS, LEAST_STRIKES = 9 * NS_PER_HOUR, 5
BLOCK_DAYS, RESAMPLES, SEED = 4, 2000, 20261123
BUCKETS = RatioBuckets()
VARIANTS = 280  # estimators, shapes, half-lives, weights and doubts looked at before SPLIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Options of one coin from one snapshot to the next."""

    start: int
    end: int
    legs: RatioLegs
    steps: HedgeSteps
    atm_change: FloatArray
    """Change of the vol at the moving forward, per option."""
    atm_skew: FloatArray


def smiles(chain: pl.DataFrame) -> dict[int, tuple[float, FloatArray, FloatArray]]:
    """Forward, strikes and vols of the out-of-the-money options of each expiry of one snapshot."""
    found = {}
    for (expiry,), group in chain.group_by("expiry_ns", maintain_order=True):
        forward = float(np.median(group["underlying_price"].to_numpy()))
        side = group.filter(pl.col("is_call") == (pl.col("strike") >= forward)).sort("strike")
        if side.height >= LEAST_STRIKES:
            found[int(expiry)] = (forward, side["strike"].to_numpy(), side["mark_iv"].to_numpy())
    return found


def looks(folder: Path) -> list[Look]:
    """All looks of one coin in order."""
    columns = ["timestamp", "underlying_price", "is_call", "strike", "expiry", "mark_iv"]
    frame = (
        pl.read_parquet(folder / "*.parquet", columns=columns)
        .with_columns(
            ts=pl.col("timestamp").dt.timestamp("ns"), expiry_ns=pl.col("expiry").dt.timestamp("ns")
        )
        .filter((pl.col("mark_iv") > 0.0) & (pl.col("expiry_ns") > pl.col("ts")))
        .sort("ts")
    )
    parts = [(int(part["ts"][0]), smiles(part)) for part in frame.partition_by("ts", maintain_order=True)]
    found = []
    for (ts, before), (end, after) in itertools.pairwise(parts):
        if end - ts <= MAX_STEP_NS and (look := one_look(ts, end, before, after)) is not None:
            found.append(look)
    return found


def one_look(
    ts: int,
    end: int,
    before: dict[int, tuple[float, FloatArray, FloatArray]],
    after: dict[int, tuple[float, FloatArray, FloatArray]],
) -> Look | None:
    """Options of all expiries that are there at both ends."""
    rows = []
    for expiry, (forward, strike, vol) in before.items():
        tau = (expiry - ts) / NS_PER_YEAR
        if expiry not in after or not 3.0 <= tau * DAYS_PER_YEAR < 120.0:
            continue
        new_forward, new_strike, new_vol = after[expiry]
        k = np.log(strike / forward)
        skew = np.convolve(np.pad(np.gradient(vol, k), 1, mode="edge"), (0.25, 0.5, 0.25), "valid")
        atm, new_atm = np.interp(0.0, k, vol), np.interp(0.0, np.log(new_strike / new_forward), new_vol)
        # Strikes match, not sides: a put that came into the money goes on at the vol of the call.
        at = np.searchsorted(new_strike, strike).clip(max=new_strike.size - 1)
        call = strike >= forward
        delta = np.abs(black76_greeks(forward, strike, tau, vol, call, names=("delta",))["delta"])
        use = (new_strike[at] == strike) & (delta > 0.05)
        n = int(use.sum())
        rows.append(
            (
                np.full(n, forward),
                strike[use],
                np.full(n, tau),
                call[use],
                vol[use],
                skew[use],
                np.full(n, atm),
                np.full(n, new_forward),
                new_vol[at][use],
                np.full(n, (expiry - end) / NS_PER_YEAR),
                np.full(n, new_atm - atm),
                np.full(n, np.interp(0.0, k, skew)),
            )
        )
    if not rows:
        return None
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    names = ("forward", "strike", "tau", "is_call", "vol", "skew", "atm_vol")
    legs = RatioLegs(**dict(zip(names, columns[:7], strict=True)))
    new_forward, new_vol, new_tau, atm_change, atm_skew = columns[7:]
    value = black76_price(new_forward, legs.strike, new_tau, new_vol, legs.is_call)
    steps = hedge_steps(legs, new_forward, value, (end - ts) / NS_PER_DAY)
    return Look(start=ts, end=end, legs=legs, steps=steps, atm_change=atm_change, atm_skew=atm_skew)


def walk_forward(
    coins: dict[str, list[Look]],
) -> tuple[dict[str, list[FloatArray]], RecalibrationState]:
    """β of the adaptive ratio for each look, from what had ended when it began."""
    state = new_state()
    ends: dict[int, list[HedgeSteps]] = {}
    for look in (look for run in coins.values() for look in run):
        ends.setdefault(look.end, []).append(look.steps)
    waiting = sorted(ends)
    betas: dict[str, list[FloatArray]] = {coin: [] for coin in coins}
    order = sorted((look.start, coin, i) for coin, run in coins.items() for i, look in enumerate(run))
    for start, coin, i in order:
        while waiting and waiting[0] <= start:
            end = waiting.pop(0)
            state = recalibrate(state, end, ends[end])
        betas[coin].append(state.ratio(start).vol_beta(coins[coin][i].legs))
    return betas, state


def rolling(run: list[Look], days: float, keep: float, *, level: bool) -> list[FloatArray]:
    """Slope of the trailing days: of hedged profit on exposure, or of vol at the money by tenor."""
    found = []
    for look in run:
        past = [p for p in run if p.end <= look.start and p.end > look.start - days * NS_PER_DAY]
        if len(past) < 8:
            found.append(np.zeros(len(look.legs)))
        elif level:
            found.append(level_beta(past, look))
        else:
            x, y = (np.concatenate([getattr(p.steps, c) for p in past]) for c in ("exposure", "residual"))
            found.append(np.full(len(look.legs), keep * (x @ y) / (x @ x)))
    return found


def level_beta(past: list[Look], look: Look) -> FloatArray:
    """The linear factor model of spot and a level of vol, scaled by the root of tenor, at fixed moneyness."""
    move = np.concatenate([log_move(p) for p in past])
    root = np.concatenate([np.sqrt(p.legs.days / 30.0) for p in past])
    change = np.concatenate([p.atm_change for p in past]) * root
    slope = (move @ change) / (move @ move)
    return np.asarray(slope / np.sqrt(look.legs.days / 30.0) - look.legs.skew)


def log_move(look: Look) -> FloatArray:
    """Relative move of the forward of each option."""
    return np.asarray(look.steps.exposure / look.legs.greeks("vega")["vega"] * look.legs.forward)


def judge(
    runs: dict[str, list[Look]], betas: dict[str, list[FloatArray]], first: int, last: int
) -> dict[str, object]:
    """Change of hedged variance, pooled and by bucket, with intervals."""
    days = np.arange(first // NS_PER_DAY, -(-last // NS_PER_DAY))
    rng = np.random.default_rng(SEED)
    starts = rng.integers(0, days.size, size=(RESAMPLES, -(-days.size // BLOCK_DAYS)))
    drawn = ((starts[:, :, None] + np.arange(BLOCK_DAYS)) % days.size).reshape(RESAMPLES, -1)[:, : days.size]
    counts = np.array([np.bincount(row, minlength=days.size) for row in drawn], dtype=np.float64)
    out: dict[str, object] = {}
    both = []
    for coin, run in runs.items():
        base, left, centred = daily(run, betas[coin], days, first, last)
        ratio = left.sum(axis=0) / base.sum(axis=0) - 1.0
        draws = (counts @ left) / (counts @ base) - 1.0
        pooled = (counts @ left.sum(axis=1)) / (counts @ base.sum(axis=1)) - 1.0
        worst = int(np.argmax(ratio))
        both.append((base.sum(axis=1), left.sum(axis=1)))
        out[coin] = {
            "change": share(left.sum() / base.sum() - 1.0),
            "interval": [share(q) for q in np.quantile(pooled, (0.05, 0.95))],
            "centred": share(centred),
            "worst_bucket": BUCKETS.names[worst],
            "worst_change": share(ratio[worst]),
            "worst_interval": [share(q) for q in np.quantile(draws[:, worst], (0.05, 0.95))],
            "buckets_worse_than_1pct": int((ratio > 0.01).sum()),
            "by_bucket": dict(zip(BUCKETS.names, map(share, ratio), strict=True)),
            "without_top_day": share(without_top(base.sum(axis=1), left.sum(axis=1))),
        }
    # A coin's weight in the pool is one: squared profits over those of its own Black-Scholes.
    relative = sum(left / base.sum() for base, left in both) / 2.0
    weight = sum(base / base.sum() for base, _ in both) / 2.0
    draws = (counts @ relative) / (counts @ weight) - 1.0
    out["pooled"] = {
        "change": share(relative.sum() - 1.0),
        "interval": [share(q) for q in np.quantile(draws, (0.05, 0.95))],
    }
    return out


def daily(
    run: list[Look], betas: list[FloatArray], days: IntArray, first: int, last: int
) -> tuple[FloatArray, FloatArray, float]:
    """Σ profit² per day and bucket of Black-Scholes and of the ratio; the pooled centred change."""
    sums = np.zeros((3, 2, BUCKETS.count))
    base, left = np.zeros((days.size, BUCKETS.count)), np.zeros((days.size, BUCKETS.count))
    for look, beta in zip(run, betas, strict=True):
        if not first <= look.start < last:
            continue
        at = BUCKETS.locate(look.steps.days, look.steps.call_delta)
        use = at >= 0
        day = int(look.start // NS_PER_DAY - days[0])
        plain = look.steps.residual
        for j, profit in enumerate((plain, plain - beta * look.steps.exposure)):
            square = np.bincount(at[use], profit[use] ** 2, BUCKETS.count)
            (base, left)[j][day] += square
            sums[0, j] += square
            sums[1, j] += np.bincount(at[use], profit[use], BUCKETS.count)
            sums[2, j] += np.bincount(at[use], minlength=BUCKETS.count)
    variance = (sums[0] - sums[1] ** 2 / np.maximum(sums[2], 1.0)).sum(axis=1)
    return base, left, float(variance[1] / variance[0] - 1.0)


def without_top(base: FloatArray, left: FloatArray) -> float:
    """Change without the day that weighs most under Black-Scholes."""
    top = int(np.argmax(base))
    return float(np.delete(left, top).sum() / np.delete(base, top).sum() - 1.0)


def share(value: float) -> float:
    """Four decimals."""
    return round(float(value), 4)


def hindsight(run: list[Look], first: int, last: int, period: int, *, buckets: bool) -> list[FloatArray]:
    """Best slopes per period of some days, knowing it."""
    count = BUCKETS.count if buckets else 1
    sums: dict[int, FloatArray] = {}
    places = []
    for look in run:
        at = BUCKETS.locate(look.steps.days, look.steps.call_delta).clip(min=0) * int(buckets)
        x, y = look.steps.exposure, look.steps.residual
        places.append((key := int((look.start - first) // (period * NS_PER_DAY)), at))
        if first <= look.start < last:
            total = sums.setdefault(key, np.zeros((2, count)))
            total += (np.bincount(at, x * x, count), np.bincount(at, x * y, count))
    slopes = {key: total[1] / np.where(total[0] > 0.0, total[0], 1.0) for key, total in sums.items()}
    return [slopes[key][at] if key in slopes else np.zeros(at.size) for key, at in places]


def rivals(runs: dict[str, list[Look]], first: int, last: int) -> dict[str, dict[str, list[FloatArray]]]:
    """β of each other ratio, per coin and look."""
    out: dict[str, dict[str, list[FloatArray]]] = {}
    for coin, run in runs.items():
        past = [look.steps for look in run if look.end <= SPLIT]
        quadratic, buckets = fit_hull_white(past), fit_bucket_ratio(past, buckets=BUCKETS)
        early = [look for look in run if look.end <= SPLIT]
        move, skew, change = (
            np.concatenate([f(look) for look in early])
            for f in (log_move, lambda look: look.atm_skew, lambda look: look.atm_change)
        )
        stickiness = float((change * move * skew).sum() / (skew**2 * move**2).sum())
        ratios = {
            "hull_white": [quadratic.vol_beta(look.legs) for look in run],
            "regression": [buckets.vol_beta(look.legs) for look in run],
            "sticky_moneyness": [-look.legs.skew for look in run],
            "skew_stickiness": [(stickiness - 1.0) * look.legs.skew for look in run],
            "factor_14d": rolling(run, 14.0, 1.0, level=True),
            "rolling_14d": rolling(run, 14.0, 0.7, level=False),
            "hindsight_bucket": hindsight(run, first, last, 10_000, buckets=True),
            "hindsight_bucket_week": hindsight(run, first, last, 7, buckets=True),
            "hindsight_coin_day": hindsight(run, first, last, 1, buckets=False),
        }
        for name, values in ratios.items():
            out.setdefault(name, {})[coin] = values
    return out


def main() -> None:
    root = Path(os.environ.get("IVHEDGE_DATA", "../shared/data")) / "deribit_chains"
    if not root.is_dir():
        print(json.dumps({"benchmark": "hedge_ratios", "note": "recorded chains not found: skipped"}))
        return
    runs = {coin: looks(root / coin) for coin in COINS}
    last = max(look.end for run in runs.values() for look in run) + 1
    adaptive, state = walk_forward(runs)
    periods = {"chosen": (START, SPLIT), "judged": (SPLIT, last)}
    if os.environ.get("HEDGE_RATIOS_CHOOSE"):
        del periods["judged"]
    result: dict[str, object] = {
        "benchmark": "hedge_ratios",
        "block_days": BLOCK_DAYS,
        "resamples": RESAMPLES,
        "variants_before_split": VARIANTS,
    }
    for period, (first, end) in periods.items():
        inside = {c: [look for look in run if first <= look.start < end] for c, run in runs.items()}
        active = [
            (beta != 0.0).mean()
            for c in COINS
            for look, beta in zip(runs[c], adaptive[c], strict=True)
            if first <= look.start < end and beta.size
        ]
        table = {"adaptive": judge(runs, adaptive, first, end)}
        for name, betas in rivals(runs, first, end).items():
            table[name] = judge(runs, betas, first, end)
            for coin in COINS:
                del table[name][coin]["by_bucket"]  # type: ignore[attr-defined]
        result[period] = {
            "options": {c: sum(len(look.legs) for look in run) for c, run in inside.items()},
            "adaptive_share_of_options_hedged_apart_from_black_scholes": share(float(np.mean(active))),
            "change": table,
        }
    frame = records_frame(state.records)
    result["recalibrations"] = dict(frame.group_by("reason").len().sort("reason").iter_rows())
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
