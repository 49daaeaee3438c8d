"""Variance clock: weights estimated on one period, next-day roll of at-the-money vol judged on a later one.

Prints JSON and needs the recorded data (IVHEDGE_DATA, default ../shared/data). Clocks see hourly prices and
chains before the split only, and the variant is chosen by its weekends before the split; errors are those of
the weeks after it, in vol points, with block-bootstrap intervals (weeks). Goal: the weekend error halved
against calendar time.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, parse_time, year_fraction
from ivhedge.market import read_chains
from ivhedge.surface._clock_atm import atm_vols
from ivhedge.surface._clock_estimate import ClockEstimate, combine_estimates
from ivhedge.surface._clock_implied import estimate_implied_clock
from ivhedge.surface._clock_realised import estimate_realised_clock
from ivhedge.surface.clock import VarianceClock

SPLIT = "2026-03-16"
TENOR_DAYS = (0.5, 1, 2, 3, 5, 7)
MOVES = {4: "fri_sat", 5: "sat_sun", 6: "sun_mon"}
BUCKETS = {"below_1d": (0.25, 1.0), "1d_to_3d": (1.0, 3.0), "3d_to_8d": (3.0, 8.0)}
CHOSEN_BY = "same_expiry_curve_held"
HINDSIGHT = "hindsight_implied_hour"
DRAWS = 1000


def curve(at: FloatArray, time: FloatArray, variance: FloatArray) -> FloatArray:
    """Total variance linear in a clock's time, from zero, going on at the last forward variance."""
    x, w = np.concatenate(([0.0], time)), np.concatenate(([0.0], variance))
    slope = (w[-1] - w[-2]) / (x[-1] - x[-2])
    return np.asarray(np.interp(at, x, w) + slope * np.maximum(at - x[-1], 0.0))


def day_pairs(times: FloatArray) -> list[tuple[int, int]]:
    """Snapshots and those nearest to a day later, within three hours."""
    pairs = []
    for now in times.tolist():
        later = int(times[np.argmin(np.abs(times - now - NS_PER_DAY))])
        if abs(later - now - NS_PER_DAY) < 3 * NS_PER_HOUR:
            pairs.append((now, later))
    return pairs


def predictions(
    clock: VarianceClock, now: int, later: int, today: pl.DataFrame, tomorrow: pl.DataFrame
) -> dict[str, tuple[FloatArray, FloatArray, FloatArray]]:
    """Days, predicted and found vol by way of predicting: see `docs/clock.md`."""
    expiry, known = today["expiry_ns"].to_numpy(), today["total_variance"].to_numpy()
    next_expiry, next_w = tomorrow["expiry_ns"].to_numpy(), tomorrow["total_variance"].to_numpy()
    time, next_time = clock.tau(now, expiry), clock.tau(later, next_expiry)
    _, here, there = np.intersect1d(expiry, next_expiry, return_indices=True)
    tau, found = year_fraction(later, next_expiry[there]), np.sqrt(next_w[there])
    step = clock.variance_time(now, later)
    same = {
        # Vol per variance time of each expiry stays: what a desk calls rolling at constant vol.
        "same_expiry_vol_held": known[here] * next_time[there] / time[here],
        # The curve stays as a function of the time left: what a surface carried forward does.
        "same_expiry_curve_held": curve(next_time[there], time, known),
        # The first day of variance falls off: forward variances come true.
        "same_expiry_forward": known[here] - curve(step, time, known),
    }
    result = {
        name: (tau * 365.0, np.sqrt(np.maximum(w, 0.0) / tau), found / np.sqrt(tau))
        for name, w in same.items()
    }
    tenor_ns = np.round(np.array(TENOR_DAYS) * NS_PER_DAY).astype(np.int64)
    ahead, years = clock.variance_time(later, later + tenor_ns), tenor_ns / (365.0 * NS_PER_DAY)
    # Tomorrow's vol at a tenor is read between its expiries on the same clock.
    result["constant_tenor"] = (
        np.array(TENOR_DAYS, dtype=np.float64),
        np.sqrt(curve(ahead, time, known) / years),
        np.sqrt(curve(ahead, next_time, next_w) / years),
    )
    return result


def roll_table(terms: pl.DataFrame, clocks: Mapping[str, VarianceClock]) -> pl.DataFrame:
    """Errors of every clock, way, pair of days and tenor."""
    looks = {int(key[0]): look for key, look in terms.partition_by("ts_ns", as_dict=True).items()}
    rows = []
    for now, later in day_pairs(np.array(sorted(looks))):
        today, tomorrow = looks[now], looks[later]
        # How far the long end moved: no clock claims to know that.
        long = today.join(tomorrow, on="expiry_ns").filter(pl.col("tau").is_between(30 / 365, 120 / 365))
        ratio = (long["vol_right"] / long["vol"]).median()
        level = float(ratio) if isinstance(ratio, float) else 1.0
        for clock_name, clock in clocks.items():
            for way, (days, guess, found) in predictions(clock, now, later, today, tomorrow).items():
                rows.append(
                    pl.DataFrame({"days": days, "error": guess - found, "adjusted": guess * level - found})
                    .filter(pl.col("days").is_between(0.25, 8.0))
                    .with_columns(now=pl.lit(now), clock=pl.lit(clock_name), way=pl.lit(way))
                )
    week = (pl.col("now") + 3 * NS_PER_DAY) // (7 * NS_PER_DAY)
    weekday = ((pl.col("now") // NS_PER_DAY + 3) % 7).cast(pl.Int64)
    move = weekday.replace_strict(MOVES, default="other", return_dtype=pl.String)
    return pl.concat(rows).with_columns(week=week, move=move)


def compared(table: pl.DataFrame, clock: str, rng: np.random.Generator) -> dict[str, object]:
    """Mean absolute error of one clock against the calendar's, and the interval of their ratio."""
    both = []
    for name in ("calendar", clock):
        part = table.filter(pl.col("clock") == name)
        both.append(
            part.group_by("week")
            .agg(
                pl.len(),
                pl.col("error").abs().sum(),
                square=(pl.col("error") ** 2).sum(),
                signed=pl.col("error").sum(),
                adjusted=pl.col("adjusted").abs().sum(),
            )
            .sort("week")
            .select("len", "error", "square", "signed", "adjusted")
            .to_numpy()
        )
    base, other = both
    picks = rng.integers(0, base.shape[0], (DRAWS, base.shape[0]))

    def ratio(column: int, rows: np.ndarray) -> FloatArray:
        return np.asarray(other[rows, column].sum(axis=-1) / base[rows, column].sum(axis=-1))

    every = np.arange(base.shape[0])
    low, high = np.quantile(ratio(1, picks), (0.05, 0.95))
    count = base[:, 0].sum()
    return {
        "n": int(count),
        "calendar": round(100.0 * base[:, 1].sum() / count, 2),
        "clock": round(100.0 * other[:, 1].sum() / count, 2),
        "ratio": round(float(ratio(1, every)), 3),
        "ratio_90": [round(float(low), 3), round(float(high), 3)],
        "rmse_ratio": round(float(np.sqrt(ratio(2, every))), 3),
        "bias_calendar": round(100.0 * base[:, 3].sum() / count, 2),
        "bias_clock": round(100.0 * other[:, 3].sum() / count, 2),
        "level_adjusted_ratio": round(float(ratio(4, every)), 3),
    }


def by_move(table: pl.DataFrame, clock: str, rng: np.random.Generator) -> dict[str, object]:
    """Each day of the weekend, the weekend, the rest and all."""
    cuts = {name: pl.col("move") == name for name in (*MOVES.values(), "other")}
    cuts |= {"weekend": pl.col("move") != "other", "all": pl.lit(True)}
    return {name: compared(table.filter(cut), clock, rng) for name, cut in cuts.items()}


def weights_of(estimate: ClockEstimate) -> dict[str, object]:
    """Weekday weights, Monday first, with their intervals."""
    return {
        "days": estimate.days.round(3).tolist(),
        "days_90": np.stack((estimate.day_low, estimate.day_high), axis=1).round(3).tolist(),
        "hour_power": round(estimate.hour_power, 2),
        "n_weeks": estimate.n_weeks,
    }


def estimates(
    coin: str, terms: pl.DataFrame, root: Path, rng: np.random.Generator
) -> dict[str, ClockEstimate]:
    """Realised, implied and combined weights from what was known before the split."""
    bars = pl.read_parquet(root / "underlying_hourly" / f"{coin}.parquet").sort("timestamp")
    bars = bars.with_columns(ts_ns=pl.col("timestamp").dt.epoch("ns")).filter(
        pl.col("ts_ns") < parse_time(SPLIT)
    )
    columns = (bars[name].to_numpy() for name in ("ts_ns", "open", "high", "low", "close"))
    realised = estimate_realised_clock(*columns, rng=rng)
    names = ("ts_ns", "expiry_ns", "vol", "half_spread")
    implied = estimate_implied_clock(*(terms[n].to_numpy() for n in names), shape=realised.weights, rng=rng)
    flat = estimate_implied_clock(*(terms[n].to_numpy() for n in names), rng=rng, name="implied, flat days")
    return {
        "realised": realised,
        "implied": implied,
        "implied_flat": flat,
        "combined": combine_estimates(realised, implied),
    }


def measure(coin: str, root: Path) -> dict[str, object]:
    """Everything for one coin."""
    rng = np.random.default_rng(7)
    terms = atm_vols(read_chains(root / "deribit_chains" / coin)).with_columns(
        total_variance=pl.col("vol") ** 2 * pl.col("tau")
    )
    split = parse_time(SPLIT)
    before, after = terms.filter(pl.col("ts_ns") < split), terms.filter(pl.col("ts_ns") >= split)
    found = estimates(coin, before, root, rng)
    names = ("ts_ns", "expiry_ns", "vol", "half_spread")
    shape = found["realised"].weights
    peek = estimate_implied_clock(*(after[n].to_numpy() for n in names), shape=shape, rng=rng, n_draws=2)
    clocks = {
        "calendar": VarianceClock.calendar(),
        "realised_day": found["realised"].clock(hourly=False),
        "realised_hour": found["realised"].clock(),
        "implied_day": found["implied_flat"].clock(hourly=False),
        "implied_hour": found["implied"].clock(),
        "combined_day": found["combined"].clock(hourly=False),
        "combined_hour": found["combined"].clock(),
        HINDSIGHT: peek.clock(),
    }
    table = roll_table(after, clocks)
    ways = {name: table.filter(pl.col("way") == name) for name in table["way"].unique(maintain_order=True)}
    tried = [name for name in clocks if name != "calendar"]
    rehearsal = roll_table(before, {name: clock for name, clock in clocks.items() if name != HINDSIGHT})
    rehearsal = rehearsal.filter((pl.col("way") == CHOSEN_BY) & (pl.col("move") != "other"))
    scores = {name: compared(rehearsal, name, rng)["ratio"] for name in tried if name != HINDSIGHT}
    chosen = min(scores, key=lambda name: scores[name])
    buckets = {
        way: {
            bucket: by_move(part.filter(pl.col("days").is_between(low, high, closed="left")), chosen, rng)
            for bucket, (low, high) in BUCKETS.items()
        }
        for way, part in ways.items()
    }
    return {
        "snapshots": [before["ts_ns"].n_unique(), after["ts_ns"].n_unique()],
        "held_out_weeks": table["week"].n_unique(),
        "weights": {name: weights_of(estimate) for name, estimate in found.items()},
        "chosen": chosen,
        "weekend_ratio_before_the_split": scores,
        "held_out": {way: by_move(part, chosen, rng) for way, part in ways.items()},
        "variants_ratio": {
            way: {
                name: {
                    cut: [compared(part.filter(rows), name, rng)[key] for key in ("ratio", "ratio_90")]
                    for cut, rows in (("weekend", pl.col("move") != "other"), ("all", pl.lit(True)))
                }
                for name in tried
            }
            for way, part in ways.items()
        },
        "held_out_by_tenor": buckets,
    }


def main() -> None:
    """Measure and print."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default))
    if not (root / "deribit_chains").is_dir():
        print(json.dumps({"skipped": "recorded data not found; point IVHEDGE_DATA at a folder that has it"}))
        return
    result = {"split": SPLIT, "unit": "vol points", "goal": "weekend ratio 0.5 or less, clock to calendar"}
    print(json.dumps({**result, **{coin: measure(coin, root) for coin in ("BTC", "ETH")}}, indent=1))


if __name__ == "__main__":
    main()
