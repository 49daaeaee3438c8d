"""Vega and factor hedges of option books on the recorded chains, against hedging delta alone.

Prints JSON and needs the recorded Deribit chains (IVHEDGE_DATA, default ../shared/data). Every trade of every
policy comes from `ivhedge.hedge.plan_hedge`, at the recorded bid or ask and the venue's fees.

Books: strangles, risk reversals, butterflies, calendars and single wings of 30, 60 and 120 days from listed
options, long, ten coins (BTC) or two hundred (ETH) a leg. Each is opened at the first look of a fortnight,
held for it and replaced; the book's own trades cost nothing, a hedge is closed with its book at the other
side of the quote. The book's own contracts are no hedges. Hedges: the perpetual (marked at the surface's
forward at tau = 0, half a basis point of half-spread assumed, fees as they are) and at most three options at
a time, a new plan at every look. Profit is that of the venue's marks, in USD.

`delta`: the perpetual alone. `full`: options too, at a price of risk of 1, which asks for nearly all they can
do. `own`: at 0.1, the policy's own optimum of cost and risk, hedges counted on for the fortnight. `gross`
leaves all costs out, `net` charges them on the day they are paid, those of getting in and out included, to
both sides of the ratio.

`ratio`: variance of a look's profit over that of `delta`, mean over books; intervals of 90 % by moving blocks
of four days drawn for all books together. `daily` is the first look of each day, `six_hourly` every look for
six books. Settings are chosen on what ends before `SPLIT` (`--choose`), the rest is judged on what begins
after it. `programmes`: other objectives on the same six books at the price of risk of `own`. `short`: books
of 3 and 6 days under `own`, opened every other day; `runs_without_options` is the share that declined.
"""

import argparse
import json
import os
import pickle
import tempfile
import time
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ivhedge.core.instruments import Instrument, InstrumentKind
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY, parse_time
from ivhedge.hedge import (
    Band,
    CostModel,
    HedgeLimits,
    HedgeMarket,
    HedgeState,
    InstrumentRules,
    Numeraire,
    RiskModel,
    hedge_market,
    plan_hedge,
)
from ivhedge.hedge.objectives import (
    BucketedVega,
    ConditionalValueAtRisk,
    DeltaGamma,
    DeltaGammaVega,
    FactorNeutral,
    HedgeObjective,
    MinimumVariance,
    residual_vols,
)
from ivhedge.hedge.plan import HoldingPeriod
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.ledger.profiles import load_fees
from ivhedge.market import instrument_from_name, read_chains, snapshots
from ivhedge.pricing import black76_greeks, black76_price
from ivhedge.risk.factors import FactorKind, FactorSettings, fit_factors
from ivhedge.risk.panel import SurfacePanel, build_panel, fit_history
from ivhedge.risk.var import filtered_scenarios, shock_history
from ivhedge.surface.base import VolSurface

COINS, SIZE = ("BTC", "ETH"), {"BTC": 10, "ETH": 200}
START, SPLIT, END = (parse_time(t) for t in ("2026-02-01T00:00Z", "2026-03-15T00:00Z", "2026-06-01T00:00Z"))
HOLD_DAYS, SEED, BLOCK_DAYS, RESAMPLES = 14, 20261123, 4, 2000
COSTS = CostModel(fees={"deribit": load_fees("deribit")})
RULES = InstrumentRules(
    kinds=frozenset({InstrumentKind.OPTION}),
    min_abs_delta=0.08,
    max_abs_delta=0.60,
    min_tenor_days=3.0,
    max_tenor_days=220.0,
    max_spread_vol=0.03,
    options_per_expiry=8,
)

Spec = list[tuple[float, float, float]]
"""Legs as (tenor in days, delta, quantity); the sign of the delta tells calls from puts."""


def books() -> dict[str, Spec]:
    """Books of 30 days and more."""
    out: dict[str, Spec] = {}
    for days in (30.0, 60.0, 120.0):
        out[f"strangle_{days:g}d"] = [(days, 0.25, 1.0), (days, -0.25, 1.0)]
        out[f"risk_reversal_{days:g}d"] = [(days, 0.25, 1.0), (days, -0.25, -1.0)]
        out[f"butterfly_{days:g}d"] = [
            (days, 0.20, 1.0),
            (days, -0.20, 1.0),
            (days, 0.50, -1.0),
            (days, -0.50, -1.0),
        ]
        out[f"put_wing_{days:g}d"] = [(days, -0.15, 1.0)]
        out[f"call_wing_{days:g}d"] = [(days, 0.15, 1.0)]
    for near, far in ((30.0, 60.0), (60.0, 120.0)):
        out[f"calendar_{near:g}_{far:g}d"] = [
            (near, 0.50, -1.0),
            (near, -0.50, -1.0),
            (far, 0.50, 1.0),
            (far, -0.50, 1.0),
        ]
    return out


SHORT: dict[str, Spec] = {
    f"{name}_{days:g}d": legs
    for days in (3.0, 6.0)
    for name, legs in {
        "straddle": [(days, 0.50, 1.0), (days, -0.50, 1.0)],
        "strangle": [(days, 0.25, 1.0), (days, -0.25, 1.0)],
    }.items()
}


@dataclass(frozen=True)
class Policy:
    """One way to hedge."""

    risk_price: float | None
    exit_share: float = 1.0
    components: int = 9
    half_life: float = 15.0
    noise: float = 0.0025
    kurtosis: float = 4.0
    most: int = 3
    delta_band: float = 0.002
    programme: str = "minimum_variance"

    @property
    def options(self) -> bool:
        """Whether it trades options."""
        return self.risk_price is not None


DELTA, FULL, OWN = Policy(None), Policy(1.0), Policy(0.1)
CHOICES = {
    "own": OWN,
    "price_0.05": replace(OWN, risk_price=0.05),
    "price_0.2": replace(OWN, risk_price=0.2),
    "six_components": replace(OWN, components=6),
    "twelve_components": replace(OWN, components=12),
    "half_life_30d": replace(OWN, half_life=30.0),
    "half_life_60d": replace(OWN, half_life=60.0),
    "kurtosis_6": replace(OWN, kurtosis=6.0),
    "noise_0.4": replace(OWN, noise=0.004),
    "delta_band_2pct": replace(OWN, delta_band=0.02),
}
PROGRAMMES = ("delta_gamma", "delta_gamma_vega", "bucketed_vega", "factor_neutral", "cvar")
SIX = (
    "strangle_30d",
    "risk_reversal_60d",
    "butterfly_30d",
    "put_wing_60d",
    "call_wing_120d",
    "calendar_30_60d",
)


@dataclass
class Look:
    """Everything known at one time."""

    ts: int
    spot: float
    surface: VolSurface
    chain: pl.DataFrame
    marks: dict[str, float]
    snapshot: Any
    table: dict[str, Any] | None = None
    market: HedgeMarket | None = None
    seen: frozenset[str] = frozenset()


@dataclass
class Recording:
    """Looks of one coin in order of time, and the panel of all its surfaces."""

    coin: str
    perpetual: Instrument
    looks: list[Look]
    panel: SurfacePanel
    models: dict[Any, HedgeObjective] = field(default_factory=dict)


def load(root: Path, coin: str, cache: Path, *, per_day: int) -> Recording:
    """Read, fit (once) and index."""
    table = pl.concat([read_chains(f) for f in sorted((root / coin).glob("*.parquet"))])
    kept = cache / f"{coin}.pkl"
    if not kept.is_file():
        parts = table.sort("ts", maintain_order=True).partition_by("ts", maintain_order=True)
        kept.write_bytes(pickle.dumps(fit_history(parts).surfaces))
    surfaces = {s.ts_ns: s for s in pickle.loads(kept.read_bytes())}
    looks: list[Look] = []
    days: dict[int, int] = {}
    for snapshot in snapshots(table.filter(pl.col("ts").dt.epoch("ns") >= START)):
        ts = snapshot.ts_ns
        days[ts // NS_PER_DAY] = days.get(ts // NS_PER_DAY, 0) + 1
        if ts not in surfaces or days[ts // NS_PER_DAY] > per_day:
            continue
        marked = snapshot.chain.filter(pl.col("mark").is_not_null())
        usd = (marked["mark"] * marked["forward"]).to_list()
        looks.append(
            Look(
                ts,
                float(np.asarray(surfaces[ts].forward(0.0))),
                surfaces[ts],
                snapshot.chain,
                dict(zip(marked["instrument_name"].to_list(), usd, strict=True)),
                snapshot,
            )
        )
    perpetual = instrument_from_name("deribit", f"{coin}-PERPETUAL")
    return Recording(coin, perpetual, looks, build_panel(surfaces.values()))


def objective_at(rec: Recording, ts: int, policy: Policy) -> HedgeObjective:
    """The programme with what was known then."""
    plain: dict[str, HedgeObjective] = {
        "delta_gamma": DeltaGamma(),
        "delta_gamma_vega": DeltaGammaVega(),
        "bucketed_vega": BucketedVega(),
    }
    if policy.programme in plain:
        return plain[policy.programme]
    key = (ts, policy.programme, policy.components, policy.half_life, policy.noise, policy.kurtosis)
    if key not in rec.models:
        known = rec.panel.rows(rec.panel.ts_ns <= ts)
        if policy.programme == "cvar":
            history = shock_history({rec.coin: known}).until(ts)
            rec.models[key] = ConditionalValueAtRisk(
                scenarios=filtered_scenarios(history, half_life_days=policy.half_life), level=0.95
            )
            return rec.models[key]
        settings = FactorSettings(
            kind=FactorKind.COMPONENTS, components=policy.components, half_life_days=policy.half_life
        )
        fit = fit_factors([known], settings)
        kind = FactorNeutral if policy.programme == "factor_neutral" else MinimumVariance
        rec.models[key] = kind(
            model=fit.model,
            residual=residual_vols(fit, rec.coin, half_life_days=policy.half_life, noise=policy.noise),
            kurtosis=policy.kurtosis,
        )
    return rec.models[key]


def market_at(rec: Recording, look: Look, held: frozenset[str]) -> HedgeMarket:
    """Options by the rules, hedges held by any book, and the perpetual."""
    if look.market is None or not held <= look.seen:
        found = hedge_market(look.snapshot, look.surface, rules=RULES, also=held | look.seen)
        look.seen = look.seen | held
        look.market = replace(
            found,
            index=look.spot,
            instruments=(rec.perpetual, *found.instruments),
            mark=np.concatenate(([look.spot], found.mark)),
            **{
                n: np.concatenate(([np.nan], getattr(found, n)))
                for n in ("bid", "ask", "bid_size", "ask_size")
            },
        )
    return look.market


def legs_of(rec: Recording, look: Look, spec: Spec) -> dict[str, tuple[Instrument, Decimal]]:
    """Listed options of a book."""
    if look.table is None:
        rows = look.chain.filter(pl.col("mark").is_not_null() & (pl.col("mark_iv") > 0.0))
        tau = (rows["expiry"].dt.epoch("ns").to_numpy() - look.ts) / NS_PER_DAY / DAYS_PER_YEAR
        rows, tau = rows.filter(pl.Series(tau > 1.0 / DAYS_PER_YEAR)), tau[tau > 1.0 / DAYS_PER_YEAR]
        f, k, vol = (rows[c].to_numpy() for c in ("forward", "strike", "mark_iv"))
        call = rows["is_call"].to_numpy()
        delta = black76_greeks(f, k, tau, vol, call, names=("delta",))["delta"]
        days = tau * DAYS_PER_YEAR
        # A newly listed expiry lacks the wings that the books need.
        full = [
            d
            for d in np.unique(days)
            if all(np.abs(delta[(days == d) & (call == side)]).min() < 0.12 for side in (True, False))
        ]
        look.table = {
            "name": rows["instrument_name"].to_list(),
            "days": days,
            "delta": np.where(np.isin(days, full), delta, np.inf),
            "full": np.array(full),
        }
    table, out = look.table, {}
    for days, delta, quantity in spec:
        far = table["full"]
        far = far[far >= 0.8 * days] if (far >= 0.8 * days).any() else far
        expiry = far[np.argmin(np.abs(np.log(far / days)))]
        gap = np.where(table["days"] == expiry, np.abs(table["delta"] - delta), np.inf)
        name = table["name"][int(np.argmin(gap))]
        item = instrument_from_name("deribit", name)
        held = out.get(item.key, (item, Decimal(0)))[1]
        out[item.key] = (item, held + Decimal(repr(quantity)) * SIZE[rec.coin])
    return out


@dataclass
class Run:
    """One book under one policy."""

    own: dict[str, tuple[Instrument, Decimal]] = field(default_factory=dict)
    hedges: dict[str, tuple[Instrument, Decimal]] = field(default_factory=dict)
    options_used: set[str] = field(default_factory=set)

    @property
    def option_keys(self) -> frozenset[str]:
        """Options held as hedges."""
        return frozenset(k for k, (item, q) in self.hedges.items() if item.is_option and q)


def marked(rec: Recording, look: Look, before: Look, held: dict[str, tuple[Instrument, Decimal]]) -> float:
    """Profit between two looks, USD."""
    total = 0.0
    for item, quantity in held.values():
        if not item.is_option:
            total += float(quantity * item.multiplier) * (look.spot / before.spot - 1.0)
        else:
            total += float(quantity * item.multiplier) * (value(item, look) - value(item, before))
    return total


def value(item: Instrument, look: Look) -> float:
    """USD by the venue's mark; by the surface where it is missing."""
    mark = look.marks.get(item.name)
    if mark is not None:
        return mark
    tau = max(item.tau(look.ts), 1e-6)
    forward = float(np.asarray(look.surface.forward(tau)))
    vol = float(np.asarray(look.surface.implied_vol(np.log(float(item.strike or 0) / forward), tau)))
    return float(black76_price(forward, float(item.strike or 0), tau, vol, bool(item.is_call)))


def trade(
    rec: Recording, look: Look, run: Run, policy: Policy, counts: dict[str, int], days_left: float
) -> float:
    """Hedge a run by a plan; what it cost, USD."""
    market = look.market
    assert market is not None
    gross = sum(abs(q) for _, q in run.own.values())
    limits = HedgeLimits(
        numeraire=Numeraire.USD,
        delta=Band.around(policy.delta_band * float(gross)),
        allowed_kinds=frozenset(
            {InstrumentKind.PERPETUAL, *([InstrumentKind.OPTION] if policy.options else [])}
        ),
        max_contracts={InstrumentKind.OPTION.value: 3 * gross, **dict.fromkeys(run.own, Decimal(0))},
    )
    held = [*run.own.values(), *run.hedges.values()]
    book = Book("run", tuple(Position(item, q) for item, q in held if q))
    extra: dict[str, Any] = {}
    if policy.options:
        extra = {
            "objective": objective_at(rec, look.ts, policy),
            "risk": RiskModel(risk_price=policy.risk_price),
            "holding": HoldingPeriod(days=max(days_left, 0.25), exit_share=policy.exit_share),
            "max_hedge_options": policy.most,
            "hedge_keys": run.option_keys,
        }
    start = time.thread_time()
    plan = plan_hedge(book, look.surface, market, limits, HedgeState(), costs=COSTS, **extra)
    TIMES.setdefault("options" if policy.options else "delta", []).append(time.thread_time() - start)
    counts[plan.status.value] = counts.get(plan.status.value, 0) + 1
    for leg in plan.legs:
        item = leg.instrument
        run.hedges[item.key] = (item, run.hedges.get(item.key, (item, Decimal(0)))[1] + leg.quantity)
        if item.is_option:
            run.options_used.add(item.key)
    if len(run.option_keys) > policy.most:
        raise SystemExit(f"more than {policy.most} hedge options: {sorted(run.option_keys)}")
    return plan.cost_usd


TIMES: dict[str, list[float]] = {}


def close(rec: Recording, look: Look, run: Run) -> float:
    """Cost of closing every hedge, USD; at the mark where a side has no quote."""
    market, cost = look.market, 0.0
    assert market is not None
    at = {item.key: i for i, item in enumerate(market.instruments)}
    for key, (item, quantity) in run.hedges.items():
        if not quantity:
            continue
        quote = market.quote(at[key]) if key in at else None
        touch = (None, None) if quote is None else COSTS.touch(item, quote)
        if quote is None or touch[0 if quantity > 0 else 1] is None:
            # No side to close at: five per cent of the mark and the capped fee.
            cost += float(abs(quantity)) * min(
                0.05 * value(item, look) + 0.0003 * look.spot, value(item, look)
            )
            continue
        cost += COSTS.charge(item, -quantity, quote).total_usd
    return cost


def simulate(
    rec: Recording, specs: dict[str, Spec], policies: dict[str, Policy], begin: int, end: int, hold: int
) -> dict[str, Any]:
    """Profits and costs by look, book and policy."""
    looks = [look for look in rec.looks if begin <= look.ts < end]
    steps, names = len(looks) - 1, list(specs)
    shape = (steps, len(names))
    gross = {p: np.zeros(shape) for p in policies}
    paid = {p: np.zeros(shape) for p in policies}
    used: dict[str, list[int]] = {p: [] for p in policies}
    counts: dict[str, dict[str, int]] = {p: {} for p in policies}
    runs = {(p, b): Run() for p in policies for b in names}
    opened = -1
    for i, look in enumerate(looks[:-1]):
        fresh = opened < 0 or look.ts // NS_PER_DAY - opened >= hold
        market_at(rec, look, frozenset().union(*(run.option_keys for run in runs.values())))
        if fresh:
            opened = look.ts // NS_PER_DAY
        days_left = float(hold - (look.ts // NS_PER_DAY - opened))
        for (p, b), run in runs.items():
            column = names.index(b)
            # What has expired is settled at the mark of this look.
            run.hedges = {
                k: leg for k, leg in run.hedges.items() if (leg[0].expiry_ns or look.ts + 1) > look.ts
            }
            if fresh:
                if run.own:
                    paid[p][i - 1, column] += close(rec, look, run)
                    used[p].append(len(run.options_used))
                run = runs[p, b] = Run(own=legs_of(rec, look, specs[b]))
            paid[p][i, column] += trade(rec, look, run, policies[p], counts[p], days_left)
            gross[p][i, column] = marked(rec, looks[i + 1], look, run.own) + marked(
                rec, looks[i + 1], look, run.hedges
            )
    last = looks[-1]
    market_at(rec, last, frozenset().union(*(run.option_keys for run in runs.values())))
    for (p, b), run in runs.items():
        paid[p][-1, names.index(b)] += close(rec, last, run)
        used[p].append(len(run.options_used))
    return {
        "days": np.array([look.ts // NS_PER_DAY for look in looks[:-1]]),
        "names": names,
        "gross": gross,
        "paid": paid,
        "used": used,
        "counts": counts,
    }


def ratios(profit: FloatArray, base: FloatArray) -> FloatArray:
    """Variance over that of another, by book."""
    return np.asarray(profit.var(axis=0) / base.var(axis=0))


def judged(found: list[dict[str, Any]], policy: str) -> dict[str, Any]:
    """Ratios of one policy over all coins, with intervals."""
    days = found[0]["days"]
    unique = np.unique(days)
    rows_of = [[np.flatnonzero(f["days"] == d) for d in unique] for f in found]
    rng = np.random.default_rng(SEED)
    blocks = -(-unique.size // BLOCK_DAYS)
    starts = rng.integers(0, unique.size - BLOCK_DAYS + 1, size=(RESAMPLES, blocks))
    picks = (starts[:, :, None] + np.arange(BLOCK_DAYS)).reshape(RESAMPLES, -1)[:, : unique.size]
    out: dict[str, Any] = {}
    for label, net in (("gross", False), ("net", True)):
        series = []
        for f in found:
            pair = [f["gross"][p] - (f["paid"][p] if net else 0.0) for p in (policy, "delta")]
            series.append(pair)
        per_book = {
            f"{coin} {name}": round(float(r), 3)
            for coin, f, pair in zip(COINS, found, series, strict=False)
            for name, r in zip(f["names"], ratios(*pair), strict=True)
        }
        drawn = np.empty((RESAMPLES, len(found)))
        for r, pick in enumerate(picks):
            for c, pair in enumerate(series):
                rows = np.concatenate([rows_of[c][i] for i in pick])
                drawn[r, c] = ratios(pair[0][rows], pair[1][rows]).mean()
        point = [float(ratios(*pair).mean()) for pair in series]
        low, high = np.quantile(drawn.mean(axis=1), (0.05, 0.95))
        out[label] = {
            "ratio": round(float(np.mean(point)), 3),
            "interval_90": [round(float(low), 3), round(float(high), 3)],
            "median_book": round(float(np.median(list(per_book.values()))), 3),
            "by_coin": {
                coin: [round(v, 3) for v in (p, *np.quantile(drawn[:, c], (0.05, 0.95)))]
                for c, (coin, p) in enumerate(zip(COINS, point, strict=False))
            },
            "by_book": per_book,
        }
    out["cost_over_delta_sd"] = round(
        float(
            np.mean(
                [
                    (
                        (f["paid"][policy] - f["paid"]["delta"]).mean(axis=0)
                        / f["gross"]["delta"].std(axis=0)
                    ).mean()
                    for f in found
                ]
            )
        ),
        4,
    )
    out["options_used"] = round(float(np.mean([np.mean(f["used"][policy]) for f in found])), 2)
    out["runs_without_options"] = round(
        float(np.mean([np.mean(np.array(f["used"][policy]) == 0) for f in found])), 3
    )
    out["plans"] = [f["counts"][policy] for f in found]
    return out


def table(found: list[dict[str, Any]]) -> dict[str, Any]:
    """All policies but the one they are measured against."""
    return {policy: judged(found, policy) for policy in found[0]["gross"] if policy != "delta"}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cache", type=Path, default=None, help="folder that keeps the fitted surfaces")
    options.add_argument("--choose", action="store_true", help="compare settings before the split instead")
    options.add_argument("--only", nargs="*", default=["daily", "six_hourly", "programmes", "short"])
    args = options.parse_args()
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if not root.is_dir():
        print(
            json.dumps({"skipped": "recorded chains not found; point IVHEDGE_DATA at a folder that has them"})
        )
        return
    result: dict[str, Any] = {"benchmark": "hedge_vega", "own": repr(OWN)}
    with tempfile.TemporaryDirectory() as scratch:
        cache = args.cache or Path(scratch)
        recs = [load(root, coin, cache, per_day=1) for coin in COINS]
        six = {name: spec for name, spec in books().items() if name in SIX}
        if args.choose:
            found = [simulate(r, books(), {"delta": DELTA, **CHOICES}, START, SPLIT, HOLD_DAYS) for r in recs]
            result["before_split"] = table(found)
        else:
            if "daily" in args.only:
                policies = {"delta": DELTA, "full": FULL, "own": OWN}
                found = [simulate(r, books(), policies, SPLIT, END, HOLD_DAYS) for r in recs]
                result["daily"] = table(found)
            if "short" in args.only:
                short = {"delta": DELTA, "own": OWN}
                result["short"] = table([simulate(r, SHORT, short, SPLIT, END, 2) for r in recs])
            if "programmes" in args.only:
                programmes = {"delta": DELTA, **{k: replace(OWN, programme=k) for k in PROGRAMMES}}
                found = [simulate(r, six, programmes, SPLIT, END, HOLD_DAYS) for r in recs]
                result["programmes"] = table(found)
            if "six_hourly" in args.only:
                recs = [load(root, coin, cache, per_day=99) for coin in COINS]
                policies = {"delta": DELTA, "full": FULL, "own": OWN}
                result["six_hourly"] = table(
                    [simulate(r, six, policies, SPLIT, END, HOLD_DAYS) for r in recs]
                )
    result["plan_cpu_ms_p50_p99"] = {
        kind: [round(1e3 * float(np.quantile(spent, q)), 2) for q in (0.5, 0.99)]
        for kind, spent in TIMES.items()
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
