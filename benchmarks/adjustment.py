"""Adjustments after seeded shocks, and trades while a book walks around its band.

Books of options and futures of a simulated venue, margined and charged as deribit, on surfaces fitted to its
quotes, hedged and inside their limits; then spot or vol jumps, fills go against the book, collateral is
withdrawn, legs expire. Each shock is made larger until it breaks a limit. One decision has to bring the book
back; what comes back is measured again from the new book and account. A shock whose bands no trade within the
quotes can meet (a linear programme with slacks, by HiGHS) or whose margin not even closing everything mends
counts as infeasible. Prints JSON.

``python benchmarks/adjustment.py [shocks] [steps of the walk] [most minutes for the shocks]``
"""

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
from scipy.optimize import linprog

from ivhedge.hedge import (
    Band,
    CostModel,
    HedgeLimits,
    HedgeMarket,
    InstrumentRules,
    MarginGuard,
    TenorBand,
    hedge_market,
)
from ivhedge.hedge.adjustment import (
    Adjustment,
    AdjustmentSettings,
    AdjustmentState,
    AdjustmentStatus,
    GaugeKind,
    adjust_book,
)
from ivhedge.hedge.adjustment.packages import tradable
from ivhedge.hedge.adjustment.ruler import Ruler, build_ruler
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.ledger.profiles import load_fees
from ivhedge.market.simulator import SimulationConfig, simulate_market
from ivhedge.pricing import black76_price
from ivhedge.risk.margin import Account, MarginLimits, Stress, load_margin_profile
from ivhedge.surface import fit_surface
from ivhedge.surface.base import VolSurface

QUOTED, VENUE = "aurora", "deribit"
COSTS = CostModel(fees={VENUE: load_fees(VENUE)})
DEPTH = 20.0  # the top of the book is one level; a minute's depth is taken as so many times its size
SHOCKS = ("spot jump", "vol jump", "fills against us", "withdrawn collateral", "expired leg")
STRESSES = (Stress(name="crash", spot=-0.2, vol=0.4), Stress(name="rally", spot=0.2, vol=0.1))
COMPARED = 3  # every third decision is compared with the plan to the targets
GAP_NS = 60 * 10**9


@dataclass(frozen=True)
class Moved:
    """A surface after a jump of spot and vol, smiles sticking to moneyness."""

    base: VolSurface
    ts_ns: int
    spot: float = 0.0
    vol: float = 0.0

    @property
    def underlying(self):
        """Of the surface below."""
        return self.base.underlying

    @property
    def expiries(self):
        """Of the surface below."""
        return self.base.expiries

    def forward(self, tau):
        """Forwards, all moved by one factor."""
        return (1.0 + self.spot) * np.asarray(self.base.forward(tau))

    def implied_vol(self, log_moneyness, tau):
        """Vols at the same moneyness, all moved by one factor."""
        return (1.0 + self.vol) * np.asarray(self.base.implied_vol(log_moneyness, tau))

    def total_variance(self, log_moneyness, tau):
        """Of the moved vols."""
        return (1.0 + self.vol) ** 2 * np.asarray(self.base.total_variance(log_moneyness, tau))


@dataclass(frozen=True)
class Case:
    """What a decision looks at."""

    book: Book
    surface: VolSurface
    market: HedgeMarket
    limits: HedgeLimits
    guard: MarginGuard

    def ruler(self, book=None, guard=None) -> Ruler:
        """The ruler of the book."""
        settings = AdjustmentSettings()
        return build_ruler(
            book or self.book, self.surface, self.market, self.limits, settings, guard=guard or self.guard
        )

    def decide(self, state=None, **changes) -> Adjustment:
        """One decision."""
        return adjust_book(
            self.book,
            self.surface,
            self.market,
            self.limits,
            state or AdjustmentState(),
            costs=COSTS,
            guard=self.guard,
            **changes,
        )


def fair(surface: VolSurface, market: HedgeMarket) -> np.ndarray:
    """Fair prices in each instrument's own unit."""
    prices = []
    for item in market.instruments:
        tau = 0.0 if item.expiry_ns is None else item.tau(market.ts_ns)
        forward = float(surface.forward(tau))
        if not item.is_option:
            prices.append(forward)
            continue
        strike = float(item.strike)
        vol = float(surface.implied_vol(np.log(strike / forward), tau))
        prices.append(float(black76_price(forward, strike, tau, vol, item.is_call)) / forward)
    return np.array(prices)


def shift(case: Case, spot: float, vol: float) -> Case:
    """The market after a jump: quotes keep their distance to fair in per cent."""
    surface = Moved(base=case.surface, ts_ns=case.surface.ts_ns, spot=spot, vol=vol)
    ratio = fair(surface, case.market) / fair(case.surface, case.market)
    quotes = {name: getattr(case.market, name) * ratio for name in ("bid", "ask", "mark")}
    market = replace(case.market, index=case.market.index * (1.0 + spot), **quotes)
    return replace(case, surface=surface, market=market)


def added(book: Book, trades: dict, instruments) -> Book:
    """The book with trades in whole lots added."""
    held = {p.instrument.key: p for p in book.positions}
    items = {item.key: item for item in instruments}
    for key, lots in trades.items():
        item = items[key]
        before = held[key].quantity if key in held else Decimal(0)
        held[key] = Position(item, before + int(lots) * item.lot)
    return Book(book.name, tuple(p for p in held.values() if p.quantity), book.cash)


def scenes() -> list[tuple[VolSurface, HedgeMarket]]:
    """Fitted surfaces and what the venue quotes, at several times."""
    found = []
    simulated = simulate_market(SimulationConfig(n_snapshots=6), np.random.default_rng(7))
    for snapshot in simulated.snapshots():
        if snapshot.underlying != "BTC":
            continue
        surface = fit_surface(snapshot.chain, futures=snapshot.futures).published()
        rules = InstrumentRules(venues=(QUOTED,), options_per_expiry=4)
        market = hedge_market(snapshot, surface, rules=rules)
        sizes = {name: np.floor(DEPTH * getattr(market, name)) for name in ("bid_size", "ask_size")}
        # Made-up venues have no margin rules: the quotes are taken as deribit's.
        items = tuple(replace(item, venue=VENUE) for item in market.instruments)
        found.append((surface, replace(market, instruments=items, **sizes)))
    return found


def make_case(rng: np.random.Generator, surface: VolSurface, market: HedgeMarket) -> Case:
    """A hedged book inside its bands, with collateral for its margin."""
    options = [i for i, item in enumerate(market.instruments) if item.is_option]
    perp = next(i for i, item in enumerate(market.instruments) if item.kind.value == "perpetual")
    count = int(rng.integers(4, 11))
    rows = rng.choice(options, size=min(count, len(options)), replace=False)
    trades = {}
    for row in rows:
        item = market.instruments[row]
        side = -1 if rng.random() < 0.65 else 1
        trades[item.key] = side * int(rng.integers(5, 40)) * round(0.1 / float(item.lot))
    book = added(Book("book"), trades, market.instruments)
    wide = Band.around(1e9)
    limits = HedgeLimits(delta=wide, gamma_1pct=wide, vega=(TenorBand(0, 45, wide), TenorBand(45, 900, wide)))
    guard = MarginGuard(
        venue=VENUE,
        profile=load_margin_profile("deribit_pm_btc"),
        on=datetime.fromtimestamp(market.ts_ns / 1e9, tz=UTC).date(),
        account=Account(cash=1e6),
        account_ns=market.ts_ns,
        stresses=STRESSES,
        limits=MarginLimits(),
    )
    case = Case(book, surface, market, limits, guard)
    ruler = case.ruler()
    item = market.instruments[perp]
    load = float(ruler.delta[ruler.keys[item.key]])
    lots = round(-float(ruler.held @ ruler.delta) / load / float(item.lot))
    book = added(book, {item.key: lots}, market.instruments)
    ruler = case.ruler(book)
    values = ruler.read().values[0]
    size = float(sum(abs(ruler.held[i]) for i, one in enumerate(ruler.instruments) if one.is_option))
    gamma, near, far = (abs(float(v)) for v in values[1:4])
    limits = HedgeLimits(
        delta=Band.around(0.03 * size),
        gamma_1pct=Band.around(max(1.3 * gamma, 0.004 * size)),
        vega=(
            TenorBand(0, 45, Band.around(max(1.3 * near, 2e-4 * size))),
            TenorBand(45, 900, Band.around(max(1.3 * far, 2e-4 * size))),
        ),
    )
    case = Case(book, surface, market, limits, guard)
    reading = case.ruler().read()
    # Cash at which the requirements use three quarters of their limits.
    uses = np.array([g.upper for g in case.ruler().gauges if g.kind is GaugeKind.MARGIN])
    value = reading.equity[0] - 1e6
    cash = float(np.max(reading.requirement[0] / (0.75 * uses) - value))
    return replace(case, guard=replace(guard, account=Account(cash=max(cash, 0.01))))


def shocked(rng: np.random.Generator, case: Case, kind: str) -> Case:
    """The case after a shock that breaks a limit; it grows until it does."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    size = float(rng.uniform(0.03, 0.08))
    options = [p for p in case.book.positions if p.instrument.is_option]
    order = rng.permutation(len(options))
    picks = rng.choice(len(case.market.instruments), size=3, replace=False)
    ways = np.where(rng.random(3) < 0.5, -1, 1)
    for step in range(14):
        grow = size * 1.4**step
        if kind == "spot jump":
            moved = shift(case, max(sign * grow, -0.45), 0.0)
        elif kind == "vol jump":
            moved = shift(case, 0.0, max(sign * 3.0 * grow, -0.6))
        elif kind == "fills against us":
            fills = {}
            for row, way in zip(picks, ways, strict=True):
                item = case.market.instruments[row]
                contracts = 30.0 * grow * (1.0 if item.is_option else case.market.index / 10.0)
                fills[item.key] = int(way * np.ceil(contracts / float(item.lot)))
            moved = replace(case, book=added(case.book, fills, case.market.instruments))
        elif kind == "withdrawn collateral":
            account = case.guard.account
            left = replace(account, cash=account.cash * max(1.0 - 2.0 * grow, 0.05))
            moved = replace(case, guard=replace(case.guard, account=left))
        else:
            gone = {options[i].instrument.key for i in order[: step + 1]}
            positions = tuple(
                Position(replace(p.instrument, expiry_ns=case.market.ts_ns - 1), p.quantity)
                if p.instrument.key in gone
                else p
                for p in case.book.positions
            )
            keep = np.array([item.key not in gone for item in case.market.instruments])
            columns = ("bid", "ask", "mark", "bid_size", "ask_size")
            market = replace(
                case.market,
                instruments=tuple(i for i, k in zip(case.market.instruments, keep, strict=True) if k),
                **{name: getattr(case.market, name)[keep] for name in columns},
            )
            moved = replace(case, book=Book("book", positions), market=market)
            if len(gone) == len(options):
                return moved
        if (moved.ruler().read().outside > 0.0).any():
            return moved
    return moved


def filled(case: Case, answer: Adjustment, ruler: Ruler) -> Case:
    """The case once the legs are filled: new positions, premium and cost out of the account."""
    trades = np.zeros(len(ruler.instruments))
    lots, cost = {}, 0.0
    for leg in answer.legs:
        key = leg.instrument.key
        trades[ruler.keys[key]] += float(leg.quantity)
        lots[key] = lots.get(key, 0) + int(leg.quantity / leg.instrument.lot)
        cost += leg.cost.total
    rows, p = ruler.margin, ruler.margin.model.positions
    mark = np.where(p.is_option, p.mark, 0.0)[ruler.margin.model.column]
    premium = float((trades[list(rows.rows)] * rows.units * mark).sum())
    account = replace(case.guard.account, cash=case.guard.account.cash - premium - cost)
    items = {p.instrument.key: p.instrument for p in case.book.positions}
    items |= {item.key: item for item in case.market.instruments}
    book = added(case.book, lots, items.values())
    return replace(case, book=book, guard=replace(case.guard, account=account))


def is_infeasible(case: Case) -> str | None:
    """Proof that no trade within the quotes meets the limits, or None."""
    ruler = case.ruler()
    sides = tradable(ruler, case.market, COSTS)
    n, linear = len(ruler.instruments), ruler.loads.shape[0]
    start = ruler.base + ruler.loads @ ruler.held
    scale = np.array([g.scale for g in ruler.gauges[:linear]])
    upper = np.array([g.upper for g in ruler.gauges[:linear]])
    lower = np.array([g.lower for g in ruler.gauges[:linear]])
    load = ruler.loads / scale[:, None]
    eye = np.eye(linear)
    rows = np.vstack((np.hstack((load, -load, -eye)), np.hstack((-load, load, -eye))))
    most = np.concatenate(((upper - start) / scale, (start - lower) / scale))
    bounds = [(0.0, None if np.isinf(b) else b) for b in (*sides.max_buy, *sides.max_sell)]
    slack = np.concatenate((np.zeros(2 * n), np.ones(linear)))
    best = linprog(slack, A_ub=rows, b_ub=most, bounds=[*bounds, *[(0.0, None)] * linear], method="highs")
    if best.status == 0 and best.fun > 1e-6:
        return "quotes cannot meet the bands"
    every = np.clip(-ruler.held, -sides.max_sell, sides.max_buy)
    closed = ruler.read(every, sides.cost(every[None, :]))
    margin = ruler.of_kind(GaugeKind.MARGIN)
    if (closed.outside[0, margin] > 0.0).any() and not (ruler.read().outside[0, margin] == 0.0).all():
        return "closing everything leaves the margin short"
    return None


def run_shocks(count: int, most_minutes: float) -> dict[str, object]:
    """All shocks; each is judged from the new book, not from the answer's own words."""
    grounds = scenes()
    tally: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {kind: Counter() for kind in SHOCKS}
    times, legs, ratios, misses, dearer, steps = [], [], [], [], [], []
    stop = time.monotonic() + 60.0 * most_minutes
    for seed in range(2 * count):
        if tally["shocks"] == count or time.monotonic() > stop:
            break
        rng = np.random.default_rng([20260101, seed])
        case = make_case(rng, *grounds[seed % len(grounds)])
        kind = SHOCKS[seed % len(SHOCKS)]
        case = shocked(rng, case, kind)
        ruler = case.ruler()
        if not (ruler.read().outside > 0.0).any():
            tally["shock broke nothing"] += 1
            continue
        tally["shocks"] += 1
        begun = time.thread_time()
        answer = case.decide(compare=False)
        times.append(1e3 * (time.thread_time() - begun))
        after = filled(case, answer, ruler)
        new = after.ruler()
        reading = new.read()
        inside = bool((reading.outside <= 1e-6).all())
        if not inside:
            reason = is_infeasible(case)
            tally["infeasible, proven" if reason else "missed"] += 1
            kinds[kind]["infeasible" if reason else "missed"] += 1
            if reason:
                tally[f"infeasible: {reason}"] += 1
                tally["infeasible and said so"] += answer.status is AdjustmentStatus.CANNOT
            else:
                misses.append({"seed": seed, "kind": kind, "binding": list(answer.binding)})
            continue
        tally["inside"] += 1
        kinds[kind][answer.status.value] += 1
        legs.append(len(answer.legs))
        for change in answer.changes:
            gauge = change.gauge
            last = change.after - gauge.target
            crossed = (change.before - gauge.target) * last < 0.0 and abs(last) > 0.01 * gauge.scale
            if gauge.kind is GaugeKind.BAND and change.severity_before > 0.0 and crossed:
                tally["overshoots"] += 1
        if seed % COMPARED == 0:
            answer = case.decide()
        if answer.full_cost_usd is not None:
            ratios.append(answer.cost_usd / answer.full_cost_usd)
            if answer.cost_usd > answer.full_cost_usd + 0.01:
                dearer.append({"seed": seed, "cost": answer.cost_usd, "full": answer.full_cost_usd})
        if answer.status is AdjustmentStatus.DELEVERAGED:
            steps.append(len(answer.steps))
            margins = [s.initial_margin for s in answer.steps]
            first = float(ruler.read().requirement[0, 0])
            bad = any(b > a * (1 + 1e-9) for a, b in zip([first, *margins], margins, strict=False))
            tally["deleveragings with a step that raises margin"] += bad
        again = after.decide(compare=False)
        tally["second decision trades"] += bool(again.legs)
    return {
        "counts": dict(tally),
        "by_kind": {kind: dict(counter) for kind, counter in kinds.items()},
        "overshoots": tally["overshoots"],
        "legs_mean": round(float(np.mean(legs)), 2),
        "legs_most": max(legs),
        "steps_of_deleveraging_mean": round(float(np.mean(steps)), 2) if steps else None,
        "cost_to_full_rehedge": {
            "compared": len(ratios),
            "median": round(float(np.median(ratios)), 3),
            "p95": round(float(np.quantile(ratios, 0.95)), 3),
            "largest": round(float(np.max(ratios)), 3),
            "dearer": dearer[:10],
            "dearer_count": len(dearer),
        },
        "ms_cpu": {
            "p50": round(float(np.median(times)), 1),
            "p95": round(float(np.quantile(times, 0.95)), 1),
            "max": round(float(np.max(times)), 1),
        },
        "misses": misses[:20],
    }


def run_walk(steps: int) -> dict[str, object]:
    """A delta that walks around the edge of its band: trades with and without an inner edge and a gap."""
    rng = np.random.default_rng(5)
    surface, market = scenes()[0]
    case = make_case(rng, surface, market)
    case = replace(case, guard=replace(case.guard, account=Account(cash=1e4)))
    perp = next(item for item in market.instruments if item.kind.value == "perpetual")
    load = float(case.ruler().delta[case.ruler().keys[perp.key]])
    band = case.limits.delta.upper
    limits = HedgeLimits(delta=case.limits.delta)
    # Exogenous fills: noise pulled to just inside the edge, so that it is crossed over and over.
    noise = 0.05 * band * rng.standard_normal(steps)
    variants = {
        "edge only": AdjustmentSettings(return_share=0.999, min_gap_s=0.0),
        "inner edge": AdjustmentSettings(min_gap_s=0.0),
        "inner edge and gap": AdjustmentSettings(),
    }
    found: dict[str, object] = {"steps": steps, "seconds_a_step": GAP_NS / 1e9}
    for name, settings in variants.items():
        book, state, trades, cost, crossings, was = case.book, AdjustmentState(), 0, 0.0, 0, False
        flips, last, beyond, worst = 0, 0.0, 0, 0.0
        for i in range(steps):
            now = replace(market, ts_ns=market.ts_ns + i * GAP_NS)
            fills = {perp.key: round((noise[i] + 0.02 * band) / load / float(perp.lot))}
            book = added(book, fills, market.instruments)
            at = Moved(base=surface, ts_ns=now.ts_ns)
            guard = replace(case.guard, account_ns=now.ts_ns)
            one = replace(case, book=book, market=now, surface=at, limits=limits, guard=guard)
            answer = one.decide(state, settings=settings, compare=False)
            state = answer.state
            delta = next(c for c in answer.changes if c.gauge.name == "delta")
            out = delta.severity_before > 0.0
            crossings += out and not was
            beyond += out
            worst = max(worst, delta.severity_after)
            was = out and not answer.legs
            if answer.legs:
                trades += 1
                cost += answer.cost_usd
                way = float(np.sign(delta.after - delta.before))
                flips += way == -last
                last = way
                fill = {leg.instrument.key: int(leg.quantity / leg.instrument.lot) for leg in answer.legs}
                book = added(book, fill, market.instruments)
        found[name] = {
            "crossings": crossings,
            "adjustments": trades,
            "adjustments_per_crossing": round(trades / max(crossings, 1), 3),
            "in_the_other_direction": flips,
            "cost_usd": round(cost, 1),
            "steps_outside": beyond,
            "largest_severity_left": round(worst, 3),
        }
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else float("inf")
    print(
        json.dumps(
            {
                "benchmark": "adjustment",
                "venue": f"{QUOTED} as {VENUE}",
                "depth_times_top": DEPTH,
                "shocks": run_shocks(count, minutes),
                "walk": run_walk(steps),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
