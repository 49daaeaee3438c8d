"""ETH vega hedged with BTC vega on the recorded chains: joint model with refusal against beta 1 and no hedge.

Prints JSON and needs the recorded data (IVHEDGE_DATA, default ../shared/data). At each common snapshot every
book buys its ETH vega anew as straddles at the forward (1,000 USD per vol point in all, delta at the forward
taken off) and holds them to the next snapshot of the next day (20 to 28 h); the hedge is straddles of BTC.
Profits are those of the certified surfaces, gamma and theta of both sides included, in USD at the index.
Hedges are rebalanced daily and pay half the round trip on what changes, and the whole of it every 20 days
on what stays. The model sees only steps that ended before, moves of vol or profits of straddles per vega;
that choice, half-life, ridge and price of risk are made by CVaR on days before 2026-03-15 and judged on
those after. `regression` is the least-squares beta of all steps before, `root-time` vega over the root of
time. Whether a book is long or short is not known beforehand, and vols drift: every figure is of the book
and of the same book sold, taken together. `vega` repeats it with the profit of vega alone. Ratios of CVaR
95 % carry 90 % intervals of a block bootstrap over days (blocks of 5), paired.
"""

import argparse
import itertools
import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR, parse_time
from ivhedge.hedge.proxies import (
    ProxyCosts,
    ProxyModel,
    ProxySettings,
    VegaBucket,
    fit_moves,
    proxy_hedge,
)
from ivhedge.market import read_chains
from ivhedge.pricing import black76_greeks, black76_price
from ivhedge.risk.factors import PanelSteps, panel_steps
from ivhedge.risk.panel import PANEL_NODES, PANEL_TENORS, build_panel, fit_history
from ivhedge.surface import VolSurface

COINS, SEED, BLOCK, DRAWS = ("BTC", "ETH"), 20261123, 5, 2000
ROUND_TRIP = {VegaBucket("BTC", 30.0): 1.5, VegaBucket("BTC", 90.0): 0.9, VegaBucket("ETH", 30.0): 1.7}
"""Vol points in and out: median spread at the money in the recorded chains, and fees both ways."""
HOLDING_DAYS = 20.0
SPLIT = "2026-03-15"
BOOKS = {
    "30 d": {30.0: 1.0},
    "60 d": {60.0: 1.0},
    "90 d": {90.0: 1.0},
    "180 d": {180.0: 1.0},
    "mixed": {30.0: 0.4, 60.0: 0.3, 90.0: 0.3},
    "30 d against 90 d": {30.0: 1.0, 90.0: -1.0},
}
RULES = ("none", "beta 1", "vol-scaled", "root-time", "regression", "model")
WARM_UP = 80
PROXIES = tuple(VegaBucket("BTC", days) for days in (30.0, 90.0))
TARGETS = tuple(VegaBucket("ETH", days) for days in (30.0, 60.0, 90.0, 180.0))
NEAR = (VegaBucket("ETH", 30.0),)
"""A liquid tenor of the same coin, for the illiquid ones."""


def surfaces_of(root: Path, cache: Path | None) -> dict[str, tuple[VolSurface, ...]]:
    if cache is not None and cache.is_file():
        return pickle.loads(cache.read_bytes())
    found = {}
    for coin in COINS:
        chains = (
            chain
            for file in sorted((root / coin).glob("*.parquet"))
            for chain in read_chains(file).partition_by("ts", maintain_order=True)
        )
        found[coin] = fit_history(chains).surfaces
    if cache is not None:
        cache.write_bytes(pickle.dumps(found))
    return found


def straddle(now: VolSurface, later: VolSurface, days: float) -> tuple[float, float]:
    """Profit of straddles worth one USD of vega per point, with and without gamma and theta."""
    tau = days / 365.0
    end = tau - (later.ts_ns - now.ts_ns) / NS_PER_YEAR
    start, finish = float(now.forward(tau)), float(later.forward(end))
    index = float(now.forward(0.0)) / start, float(later.forward(0.0)) / finish
    vol = float(now.implied_vol(0.0, tau))
    greeks = black76_greeks(start, start, tau, vol, True, names=["delta", "vega"])
    per_vega = 100.0 / (2.0 * float(greeks["vega"]) * index[0])
    new = float(later.implied_vol(np.log(start / finish), end))
    before = 2.0 * float(black76_price(start, start, tau, vol, True)) * index[0]
    call, put = (float(black76_price(finish, start, end, new, side)) for side in (True, False))
    delta = 2.0 * float(greeks["delta"]) - 1.0
    whole = (call + put) * index[1] - before - delta * (finish * index[1] - start * index[0])
    return per_vega * whole, 100.0 * (float(later.implied_vol(0.0, tau)) - vol)


def days_of(surfaces: dict[str, tuple[VolSurface, ...]]) -> list[tuple[int, int]]:
    """Pairs of common times, one start a UTC day, about a day apart."""
    common = sorted(set.intersection(*({s.ts_ns for s in surfaces[c]} for c in COINS)))
    times, pairs, used = np.array(common), [], set()
    for ts in common:
        if ts // NS_PER_DAY in used:
            continue
        after = int(times[np.argmin(np.abs(times - ts - NS_PER_DAY))])
        if abs(after - ts - NS_PER_DAY) <= 4 * NS_PER_HOUR:
            pairs.append((ts, after))
            used.add(ts // NS_PER_DAY)
    return pairs


def cvar(pnl: FloatArray, level: float = 0.95) -> FloatArray:
    """Mean of the worst 5 % as a loss, of the last two axes together: long and short, days."""
    flat = pnl.reshape(*pnl.shape[:-2], -1)
    count = max(round((1.0 - level) * flat.shape[-1]), 1)
    return -np.sort(flat, axis=-1)[..., :count].mean(axis=-1)


def ratio(first: FloatArray, second: FloatArray) -> list[float]:
    """Of CVaR, with a 90 % interval."""
    rng, n = np.random.default_rng(SEED), first.shape[-1]
    starts = rng.integers(0, n - BLOCK + 1, size=(DRAWS, -(-n // BLOCK)))
    rows = (starts[:, :, None] + np.arange(BLOCK)).reshape(DRAWS, -1)[:, :n]
    drawn = cvar(first[:, rows].swapaxes(0, 1)) / cvar(second[:, rows].swapaxes(0, 1))
    return [round(float(x), 3) for x in (cvar(first) / cvar(second), *np.quantile(drawn, [0.05, 0.95]))]


class Recording:
    """Unit profits and steps, read once."""

    def __init__(self, surfaces: dict[str, tuple[VolSurface, ...]]) -> None:
        at = {coin: {s.ts_ns: s for s in surfaces[coin]} for coin in COINS}
        self.pairs = days_of(surfaces)
        panels = [build_panel(surfaces[c], tenor_days=PANEL_TENORS, nodes=PANEL_NODES) for c in COINS]
        self.steps: PanelSteps = panel_steps(panels)
        buckets = {*PROXIES, *TARGETS, *NEAR}

        def units(bucket: VegaBucket, pairs: list[tuple[int, int]]) -> FloatArray:
            own = at[bucket.underlying]
            return np.array([straddle(own[a], own[e], bucket.tenor_days) for a, e in pairs])

        self.unit = {bucket: units(bucket, self.pairs) for bucket in buckets}
        steps = list(zip(self.steps.start_ns.tolist(), self.steps.end_ns.tolist(), strict=True))
        both = {bucket: units(bucket, steps) for bucket in buckets}
        self.moves = {
            "profits": {bucket: values[:, 0] for bucket, values in both.items()},
            "vols": {bucket: values[:, 1] for bucket, values in both.items()},
        }

    def beta(self, rule: str, bucket: VegaBucket, proxy: VegaBucket, row: int) -> float:
        """USD of proxy vega per USD of vega by a rule of thumb, with what is known up to a step."""
        if rule == "root-time":
            return float(np.sqrt(proxy.tenor_days / bucket.tenor_days))
        if rule == "vol-scaled":
            own, other = (
                self.steps.atm_vols[b.underlying][
                    row, int(np.flatnonzero(self.steps.tenor_days == b.tenor_days)[0])
                ]
                for b in (bucket, proxy)
            )
            return float(own / other)
        if rule == "regression":
            x, y = (self.moves["vols"][b][: row + 1] for b in (proxy, bucket))
            return float(x @ y / (x @ x))
        return 1.0


Rule = tuple[str, float]
"""A rule of hedging, and the price of risk of the model's."""


def models_of(
    rec: Recording, proxies: tuple[VegaBucket, ...], settings: ProxySettings, of: str
) -> list[ProxyModel | None]:
    """One per day, of the steps that had ended; None while they are too few."""
    targets = tuple(t for t in TARGETS if t not in proxies)
    found: list[ProxyModel | None] = []
    for ts, _ in rec.pairs:
        past = np.flatnonzero(rec.steps.end_ns <= ts)
        if past.size < WARM_UP + 4 * settings.block:
            found.append(None)
            continue
        found.append(
            fit_moves(
                {bucket: moves[past] for bucket, moves in rec.moves[of].items()},
                targets,
                proxies,
                days=rec.steps.days[past],
                end_ns=rec.steps.end_ns[past],
                rng=np.random.default_rng(SEED),
                settings=settings,
            )
        )
    return found


def hedges(
    rec: Recording, rule: Rule, book: dict[float, float], models: list[ProxyModel | None]
) -> tuple[FloatArray, list[str]]:
    """USD of vega in each proxy per day, shape (days, P), NaN while nothing is known; verdicts."""
    proxies = next(model.proxies for model in models if model is not None)
    vegas = {VegaBucket("ETH", days): 1000.0 * w for days, w in book.items()}
    held, words = np.full((len(rec.pairs), len(proxies)), np.nan), []
    name, price = rule
    for day, ((ts, _), model) in enumerate(zip(rec.pairs, models, strict=True)):
        if model is None:
            continue
        held[day] = 0.0
        if name in ("beta 1", "vol-scaled", "root-time", "regression"):
            row = int(np.searchsorted(rec.steps.end_ns, ts, side="right")) - 1
            for bucket, vega in vegas.items():
                near = int(np.argmin([abs(np.log(p.tenor_days / bucket.tenor_days)) for p in proxies]))
                held[day, near] -= rec.beta(name, bucket, proxies[near], row) * vega
        elif name == "model":
            costs = ProxyCosts(round_trip_points=ROUND_TRIP, holding_days=HOLDING_DAYS, risk_price=price)
            found = proxy_hedge(model, vegas, costs=costs)
            held[day] = [found.vega_usd[p] for p in proxies]
            words += [d.verdict.value for d in found.decisions]
    return held, words


def profits(
    rec: Recording, book: dict[float, float], proxies: tuple[VegaBucket, ...], held: FloatArray, part: int
) -> FloatArray:
    """USD a day, net, of the book and of the same book sold, shape (2, days); NaN where nothing is known."""
    own = sum(1000.0 * w * rec.unit[VegaBucket("ETH", days)][:, part] for days, w in book.items())
    other = sum(held[:, k] * rec.unit[p][:, part] for k, p in enumerate(proxies))
    price = np.array([ROUND_TRIP[proxy] for proxy in proxies])
    change = np.abs(np.diff(held, axis=0, prepend=np.nan)) @ price
    # What changes is traded once; what stays is rolled over every HOLDING_DAYS.
    cost = 0.5 * np.nan_to_num(change) + np.abs(held) @ price / HOLDING_DAYS
    return np.stack([own + other - cost, -(own + other) - cost])


def rows_of(
    rec: Recording,
    proxies: tuple[VegaBucket, ...],
    models: list[ProxyModel | None],
    price: float,
    days: IntArray,
) -> dict[str, object]:
    """Every book under every rule on some days."""
    table: dict[str, object] = {}
    for name, book in BOOKS.items():
        if any(VegaBucket("ETH", tenor) in proxies for tenor in book):
            continue
        rules = {r: hedges(rec, (r, price), book, models) for r in RULES}
        row: dict[str, object] = {}
        for part, word in ((0, "revalued"), (1, "vega")):
            pnl = {r: profits(rec, book, proxies, held, part)[:, days] for r, (held, _) in rules.items()}
            row[word] = {
                "cvar": {r: round(float(cvar(x)), 1) for r, x in pnl.items()},
                "sd": {r: round(float(x.std()), 1) for r, x in pnl.items()},
                "mean_long_short": {r: np.round(x.mean(axis=1), 1).tolist() for r, x in pnl.items()},
                "model_to": {r: ratio(pnl["model"], pnl[r]) for r in RULES[:-1]},
            }
        words = rules["model"][1]
        row["verdicts"] = {word: words.count(word) for word in sorted(set(words))}
        row["hedge"] = [round(float(x), 1) for x in np.nanmean(rules["model"][0][days], axis=0)]
        table[name] = row
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path)
    cache = parser.parse_args().cache
    root = Path(os.environ.get("IVHEDGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (root / "deribit_chains").is_dir():
        print(json.dumps({"skipped": "recorded data not found; point IVHEDGE_DATA at a folder that has it"}))
        return
    rec = Recording(surfaces_of(root / "deribit_chains", cache))
    tried: dict[tuple[str, float, float, float], float] = {}
    models: dict[tuple[str, float, float], list[ProxyModel | None]] = {}
    first = second = np.zeros(0, dtype=np.int64)
    for of in rec.moves:
        for half_life, ridge in itertools.product((15.0, 45.0, 120.0), (0.02, 0.1, 0.3)):
            found = models_of(rec, PROXIES, settings_of(half_life, ridge), of)
            models[of, half_life, ridge] = found
            known = np.flatnonzero([model is not None for model in found])
            early = np.array([rec.pairs[day][1] <= parse_time(SPLIT) for day in known.tolist()])
            first, second = known[early], known[~early]
            for price in (0.1, 0.3, 1.0):
                losses = []
                for book in (BOOKS[name] for name in ("30 d", "60 d", "90 d", "mixed")):
                    held = hedges(rec, ("model", price), book, found)[0]
                    losses.append(float(cvar(profits(rec, book, PROXIES, held, 0)[:, first])))
                tried[of, half_life, ridge, price] = float(np.mean(losses))
    out: dict[str, object] = {
        "days": {"first": int(first.size), "second": int(second.size)},
        "round_trip_points": {str(bucket): points for bucket, points in ROUND_TRIP.items()},
        "tried": {f"{of}/{h:g}/{r:g}/{p:g}": round(loss, 1) for (of, h, r, p), loss in tried.items()},
    }
    for of in rec.moves:
        best = min((key for key in tried if key[0] == of), key=lambda key: tried[key])
        near = models_of(rec, NEAR, settings_of(*best[1:3]), of)
        out[f"model of {of}"] = {
            "chosen": dict(zip(("half_life_days", "ridge", "risk_price"), best[1:], strict=True)),
            "by BTC 30 and 90 d": rows_of(rec, PROXIES, models[best[:3]], best[3], second),
            "by ETH 30 d": rows_of(rec, NEAR, near, best[3], second),
        }
    json.dump(out, sys.stdout, indent=1)
    print()


def settings_of(half_life: float, ridge: float) -> ProxySettings:
    return ProxySettings(half_life_days=half_life, ridge=ridge, warm_up=WARM_UP, resamples=200)


if __name__ == "__main__":
    main()
