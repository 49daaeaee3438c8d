"""One-day value at risk and expected shortfall of ten standard books on the recorded chains, backtested.

Prints JSON and needs the recorded data (IVHEDGE_DATA, default ../shared/data). At each snapshot the books
are built anew from listed options, forecast with what was known then, and held to the snapshot nearest to a
day later (20 to 28 h); the profit is that of the venue's marks of the same instruments. The first snapshot of
each UTC day counts (days do not overlap); `other_times` are the second, third and fourth. Deltas are hedged
with the perpetual at the surface's forward at tau = 0, without funding.

Models: `response` (spots from the filtered long history, smiles from their recorded response), `filtered`
(filtered historical simulation of the chains alone), `factor` (six principal factors, t with four degrees).
Settings are chosen on what ended before `SPLIT` by the joint score of VaR and ES at 97.5 % (Fissler and
Ziegel 2016; the homogeneous one of Patton, Ziegel and Chen 2019): the spot filter on 6-hourly prices since
2022, the rest on every second snapshot and all books. `held_out` is what begins after it. A book passes when
neither Kupiec's nor Christoffersen's tests of independence and of conditional coverage reject at 5 %, by
exact or simulated p-values. `half_var` tells what Kupiec's test would have said of half the value at risk:
whether it can reject.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY, parse_time
from ivhedge.risk.var import (
    ResponseSettings,
    ScenarioSet,
    StandardisedReturns,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    ewma_daily_vol,
    exceedances,
    factor_scenarios,
    filtered_scenarios,
    kupiec,
    multivariate_t_draws,
    response_scenarios,
    shortfall_z2,
    standardised_returns,
    tail_risk,
)
from var_books import COINS, Day, Recording, dates, load, speed, unit_profits

LEVEL, SCORE_LEVEL, SEED, DRAWS = 0.99, 0.975, 20260601, 2000
SPLIT = parse_time("2026-03-16T00:00Z")
HALF_LIVES = (
    (4.0,),
    (8.0,),
    (15.0,),
    (30.0,),
    (60.0,),
    *((fast, slow) for fast in (0.5, 1.0, 2.0, 4.0) for slow in (30.0, 60.0, 120.0)),
)
"""Days; the variances of two filters are averaged. A fast one alone follows the weekends."""
GRID: dict[str, tuple[float, ...]] = {
    "scatter_dof": (6.0, np.inf),
    "residual_half_life_days": (7.0, 15.0, 40.0),
    "half_life_days": (25.0, 60.0, 150.0),
    "spread": (0.0, 0.2),
}


@dataclass
class Spots:
    """Long filtered history of one half-life."""

    returns: StandardisedReturns
    vols: FloatArray


def long_history(rec: Recording, half_lives: tuple[float, ...]) -> Spots:
    """Standardised returns since 2022, and the filtered volatility at each price."""
    vols = np.stack(
        [ewma_daily_vol(rec.price_ts, column, half_life_days=half_lives) for column in rec.prices.T], axis=1
    )
    return Spots(standardised_returns(COINS, rec.price_ts, rec.prices, vols), vols)


def spot_score(rec: Recording, half_lives: tuple[float, ...]) -> float:
    """Mean joint score of VaR and ES of both coins, long and short, on what ended before the split."""
    spots = long_history(rec, half_lives)
    returns = spots.returns.until(SPLIT)
    scale = spots.vols[np.searchsorted(rec.price_ts, returns.start_ns)]
    losses = []
    for sign in (1.0, -1.0):
        z = sign * returns.values
        # The level of the tail is free here: scenarios take it from the standardised returns themselves.
        v = np.quantile(z, 1.0 - SCORE_LEVEL, axis=0)
        e = np.array([z[z[:, j] <= v[j], j].mean() for j in range(2)])
        losses.append(fz0(z * scale, v * scale, e * scale))
    return float(np.mean(losses))


def fz0(x: FloatArray, v: FloatArray, e: FloatArray) -> FloatArray:
    """Joint loss of a quantile v and a tail mean e of profits x (Patton, Ziegel, Chen 2019, equation 6)."""
    return np.asarray(-((x <= v) * (v - x)) / ((1.0 - SCORE_LEVEL) * e) + v / e + np.log(-e) - 1.0)


def response_model(
    rec: Recording, spots: Spots, settings: ResponseSettings, draws: int = DRAWS
) -> Callable[[int], ScenarioSet]:
    def at(ts: int) -> ScenarioSet:
        known = rec.history.until(ts)
        rows = np.searchsorted(rec.times, np.append(known.start_ns, ts))
        reference = rec.atm[rows] / np.sqrt(DAYS_PER_YEAR)
        now = int(np.searchsorted(rec.price_ts, ts, side="right")) - 1
        return response_scenarios(
            known,
            reference,
            spots.returns.until(ts),
            spots.vols[now],
            draws=draws,
            rng=np.random.default_rng([SEED, ts // NS_PER_DAY]),
            settings=settings,
        )

    return at


def filtered_model(rec: Recording, half_life: float) -> Callable[[int], ScenarioSet]:
    return lambda ts: filtered_scenarios(rec.history.until(ts), half_life_days=half_life)


def factor_model(rec: Recording, half_life: float, count: int = 6) -> Callable[[int], ScenarioSet]:
    def at(ts: int) -> ScenarioSet:
        rng = np.random.default_rng([SEED, ts // NS_PER_DAY])
        scaled = filtered_scenarios(rec.history.until(ts), half_life_days=half_life)
        spread = scaled.values.std(axis=0)
        _, _, v = np.linalg.svd(scaled.values / spread, full_matrices=False)
        loadings = v[:count] * spread
        scores = (scaled.values / spread) @ v[:count].T
        draws = multivariate_t_draws(np.cov(scores.T), 4.0, DRAWS, rng)
        left = scaled.values - scores @ loadings
        return factor_scenarios(rec.history.layout, draws, loadings, residuals=left, rng=rng)

    return at


@dataclass
class Forecasts:
    """By day and book."""

    var: FloatArray
    es: FloatArray
    score_var: FloatArray
    score_es: FloatArray
    sample: FloatArray
    var_coin: FloatArray
    var_95: FloatArray


def forecast(days: list[Day], model: Callable[[int], ScenarioSet]) -> Forecasts:
    """All books on all dates."""
    shape = (len(days), len(days[0].names))
    empty = [np.full(shape, np.nan) for _ in range(6)]
    out = Forecasts(*empty[:4], np.empty((*shape, 500)), *empty[4:])
    grid = (np.arange(500) + 0.5) / 500
    for i, day in enumerate(days):
        scenarios = model(day.ts)
        unit, unit_coin = unit_profits(day, scenarios)
        usd, coin = unit @ day.sizes, unit_coin @ day.sizes
        for b in range(shape[1]):
            risk = tail_risk(usd[:, b], LEVEL)
            score = tail_risk(usd[:, b], SCORE_LEVEL)
            out.var[i, b], out.es[i, b] = risk.var, risk.es
            out.score_var[i, b], out.score_es[i, b] = score.var, score.es
            out.var_coin[i, b] = tail_risk(coin[:, b], LEVEL).var
            out.var_95[i, b] = tail_risk(usd[:, b], 0.95).var
        # A sample thinned at even ranks keeps the tail near the level.
        out.sample[i] = np.sort(usd, axis=0)[(grid * usd.shape[0]).astype(np.intp)].T
    return out


def joint_score(pnl: FloatArray, f: Forecasts, rows: BoolArray) -> float:
    """Mean FZ0 loss over books, each in units of its mean shortfall."""
    x, v, e = pnl[rows], -f.score_var[rows], -f.score_es[rows]
    scale = np.abs(x).mean(axis=0)
    x, v, e = x / scale, v / scale, np.minimum(e / scale, -1e-3)
    return float(fz0(x, v, e).mean())


def judge(
    pnl: FloatArray, var: FloatArray, es: FloatArray | None, sample: FloatArray | None
) -> dict[str, Any]:
    """Tests of one book over a run of days."""
    rng = np.random.default_rng(SEED)
    hits = exceedances(pnl, var)
    uc, ind = kupiec(hits, LEVEL), christoffersen_independence(hits, LEVEL, rng)
    cc = christoffersen_conditional_coverage(hits, LEVEL, rng)
    out: dict[str, Any] = {
        "days": uc.days,
        "exceedances": uc.exceedances,
        "expected": round(uc.expected, 2),
        "kupiec_p": round(uc.p_value, 3),
        "independence_p": round(ind.p_value, 3),
        "conditional_p": round(cc.p_value, 3),
        "pass": bool(min(uc.p_value, ind.p_value, cc.p_value) >= 0.05),
        "pass_asymptotic": bool(min(uc.p_asymptotic, ind.p_asymptotic, cc.p_asymptotic) >= 0.05),
        "var_over_mean_abs_pnl": round(float(var.mean() / np.abs(pnl).mean()), 2),
    }
    if es is not None and sample is not None:
        z2 = shortfall_z2(pnl, var, es, LEVEL, sample, rng, draws=4_999)
        out |= {"es_z2": round(z2.statistic, 2), "es_p": round(z2.p_value, 3)}
    return out


def table(days: list[Day], f: Forecasts, rows: BoolArray, *, coin: bool = False) -> dict[str, Any]:
    """All books over some of the days."""
    pnl = np.stack([d.realised_coin if coin else d.realised for d in days])
    books: dict[str, Any] = {}
    for b, name in enumerate(days[0].names):
        if coin and name.endswith("spread"):
            continue
        if coin:
            books[name] = judge(pnl[rows, b], f.var_coin[rows, b], None, None)
            continue
        books[name] = judge(pnl[rows, b], f.var[rows, b], f.es[rows, b], f.sample[rows, b])
        at_95 = kupiec(exceedances(pnl[rows, b], f.var_95[rows, b]), 0.95)
        books[name] |= {"exceedances_95": at_95.exceedances, "kupiec_p_95": round(at_95.p_value, 3)}
        half = kupiec(exceedances(pnl[rows, b], 0.5 * f.var[rows, b]), LEVEL)
        books[name] |= {"half_var_exceedances": half.exceedances, "half_var_p": round(half.p_value, 3)}
    return books


def summary(books: dict[str, Any]) -> dict[str, Any]:
    """Counts over books, coin by coin."""
    out: dict[str, Any] = {"missed": [n for n, v in books.items() if not v["pass"]]}
    for c in COINS:
        own = [v for n, v in books.items() if n.startswith(c)]
        out[c] = f"{sum(v['pass'] for v in own)}/{len(own)}"
    out["pass_asymptotic"] = sum(v["pass_asymptotic"] for v in books.values())
    out["exceedances"] = sum(v["exceedances"] for v in books.values())
    out["expected"] = round(sum(v["expected"] for v in books.values()), 1)
    if "es_p" in next(iter(books.values())):
        out["es_rejected"] = [n for n, v in books.items() if v["es_p"] < 0.05]
        days = next(iter(books.values()))["days"]
        out["exceedances_95"] = (
            f"{sum(v['exceedances_95'] for v in books.values())} of {0.05 * days * len(books):.0f}"
        )
        out["rejected_95"] = [n for n, v in books.items() if v["kupiec_p_95"] < 0.05]
        out["half_var_rejected"] = sum(v["half_var_p"] < 0.05 for v in books.values())
    return out


def select(rec: Recording, days: list[Day]) -> tuple[tuple[float, ...], ResponseSettings, dict[str, Any]]:
    """Settings by their scores on the first half, one at a time."""
    spot = {h: spot_score(rec, h) for h in HALF_LIVES}
    half_lives = min(spot, key=spot.__getitem__)
    spots = long_history(rec, half_lives)
    pnl = np.stack([d.realised for d in days])
    every = np.ones(len(days), dtype=np.bool_)
    tried: dict[str, float] = {}

    def score(settings: ResponseSettings) -> float:
        label = f"{settings.half_life_days:g}/{settings.residual_half_life_days:g}/{settings.scatter_dof:g}"
        label += f"/{settings.spread:g}"
        if label not in tried:
            model = response_model(rec, spots, settings, draws=800)
            tried[label] = round(joint_score(pnl, forecast(days, model), every), 4)
            print(label, tried[label], file=sys.stderr, flush=True)
        return tried[label]

    best = ResponseSettings(half_life_days=60.0, residual_half_life_days=15.0, scatter_dof=6.0, spread=0.0)
    for name, values in GRID.items():
        best = min((replace(best, **{name: value}) for value in values), key=score)
    return half_lives, best, {"spot": {str(k): round(v, 4) for k, v in spot.items()}, "response": tried}


def main() -> None:
    """Choose, judge and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cache", type=Path, help="folder with pickled fits of an earlier run")
    cache = options.parse_args().cache
    here = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", here))
    if not (root / "deribit_chains").is_dir():
        print(json.dumps({"skipped": "recorded data not found; point IVHEDGE_DATA at a folder that has it"}))
        return
    rec = load(root, cache)
    days, place, missing = dates(rec)
    held_out = np.array([d.ts >= SPLIT for d in days])
    past = [d for d in days if d.ts + NS_PER_DAY * 7 // 6 < SPLIT]
    half_lives, settings, tried = select(rec, past[::2])
    spots = long_history(rec, half_lives)
    models = {
        "response": response_model(rec, spots, settings),
        "filtered": filtered_model(rec, 15.0),
        "factor": factor_model(rec, 15.0),
    }
    out: dict[str, Any] = {
        "level": LEVEL,
        "dates": {"daily": int((place == 0).sum()), "all": len(days), "missing": missing},
        "first_day": str(np.datetime64(days[0].ts, "ns"))[:16],
        "split": str(np.datetime64(SPLIT, "ns"))[:16],
        "chosen": {"spot_half_lives_days": half_lives, **{f: f"{getattr(settings, f):g}" for f in GRID}},
        "tried": tried,
        "speed": speed(rec, models["response"](days[-1].ts), days[-1].ts),
        "models": {},
    }
    daily = place == 0
    for name, model in models.items():
        # Challengers are judged on the daily dates only.
        some = np.ones(len(days), dtype=np.bool_) if name == "response" else daily
        chosen = [d for d, keep in zip(days, some, strict=True) if keep]
        f, late, when = forecast(chosen, model), held_out[some], place[some]
        books = {"all": table(chosen, f, when == 0), "held_out": table(chosen, f, (when == 0) & late)}
        result: dict[str, Any] = {k: summary(v) for k, v in books.items()}
        if name == "response":
            coin = {"all": when == 0, "held_out": (when == 0) & late}
            result["coin"] = {k: summary(table(chosen, f, r, coin=True)) for k, r in coin.items()}
            result["other_times"] = {
                str(p): {
                    "all": summary(table(chosen, f, when == p)),
                    "held_out": summary(table(chosen, f, (when == p) & late)),
                }
                for p in (1, 2, 3)
            }
            result["books"] = books
        out["models"][name] = result
        print(name, json.dumps({k: result[k] for k in ("all", "held_out")}), file=sys.stderr, flush=True)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
