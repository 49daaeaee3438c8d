"""Part `arbitrage` of `mispricing.py`: planted static arbitrages of each kind, and a market without any."""

import time
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl

from ivhedge.hedge import CostModel
from ivhedge.hedge.mispricing import (
    ArbitrageKind,
    Offers,
    OutcomeSettings,
    StaticArbitrage,
    executable_offers,
    outcomes,
    static_arbitrages,
)
from ivhedge.ledger import Liquidity, delivery_fee, load_fees, settlement_value, trade_fee
from ivhedge.market import MarketSnapshot
from ivhedge.market.simulator import SimulationConfig, simulate_market

VENUES = ("aurora", "borealis", "cirrus", "dune", "ember")
COSTS = CostModel(fees={venue: load_fees(venue) for venue in VENUES})
CLASSES = ("same_contract", "parity", "box", "vertical", "butterfly", "calendar")
_SETTLED = (1, 30_000, 60_000, 75_000, 82_000, 88_000, 90_000, 92_000, 97_000, 105_000, 130_000, 400_000)
PRICES = [Decimal(price) for price in _SETTLED]


def clean_market(seed: int) -> MarketSnapshot:
    """Five venues, nothing stale, nobody's finger fat."""
    base = SimulationConfig(n_snapshots=1)
    venues = tuple(
        replace(v, stale_probability=0.0, outlier_probability=0.0, outage_probability=0.0)
        for v in base.venues
    )
    market = simulate_market(replace(base, venues=venues), np.random.default_rng(seed))
    return next(s for s in market.snapshots() if s.underlying == "BTC")


def legs_of(kind: str, shot: MarketSnapshot, rng: np.random.Generator) -> list[tuple[str, str, int]] | None:
    """Venue, instrument and signed contracts of a combination; the first leg is the one to move."""
    two = shot.chain.filter(pl.col("bid").is_not_null() & pl.col("ask").is_not_null())
    table = two.filter(pl.col("venue") == "dune")
    stamps = table["expiry"].unique().sort().to_list()
    e = int(rng.integers(1, len(stamps) - 1))
    if kind == "parity":
        e = len(stamps) - 2  # quarterly: a future is listed
    here = table.filter(pl.col("expiry") == stamps[e])
    calls = here.filter(pl.col("is_call")).sort("strike")
    puts = dict(here.filter(~pl.col("is_call")).select("strike", "instrument_name").iter_rows())
    near = calls.filter((pl.col("strike") / shot.index - 1.0).abs() < 0.15)
    both = [(k, c) for k, c in near.select("strike", "instrument_name").iter_rows() if k in puts]
    if len(both) < 3:
        return None
    i = int(rng.integers(0, len(both) - 2))
    (k1, c1), (k2, c2), (k3, c3) = both[i : i + 3]
    if kind == "same_contract":
        aurora = two.filter((pl.col("venue") == "aurora") & (pl.col("expiry") == stamps[e]))
        borealis = set(two.filter(pl.col("venue") == "borealis")["instrument_name"])
        same = [n for n in aurora["instrument_name"] if n in borealis]
        return [("aurora", same[int(rng.integers(len(same)))], 1), ("borealis", "", -1)] if same else None
    if kind == "parity":
        dated = shot.futures.filter((pl.col("venue") == "dune") & pl.col("expiry").is_not_null())
        dated = dated.filter(pl.col("expiry").is_in(here["expiry"].implode()))
        names = dated["instrument_name"].to_list()
        return [("dune", c1, 1), ("dune", puts[k1], -1), ("dune", names[0], -1)] if names else None
    if kind == "box":
        return [("dune", c1, 1), ("dune", c2, -1), ("dune", puts[k1], -1), ("dune", puts[k2], 1)]
    if kind == "vertical":
        return [("dune", c1, 1), ("dune", c2, -1)]
    if kind == "butterfly":
        if abs((k2 - k1) - (k3 - k2)) > 1e-9:
            return None
        return [("dune", c1, 1), ("dune", c2, -2), ("dune", c3, 1)]
    later = table.filter((pl.col("expiry") == stamps[e + 1]) & pl.col("is_call") & (pl.col("strike") == k1))
    return [("dune", later["instrument_name"][0], 1), ("dune", c1, -1)] if later.height else None


def pays(found: StaticArbitrage, index: float) -> bool:
    """Whether the ledger agrees at twelve settlement prices; a calendar is taken at its word."""
    if found.kind is ArbitrageKind.CALENDAR:
        return True
    for settlement in PRICES:
        usd, coins = Fraction(0), Fraction(0)
        for leg in found.legs:
            offer, item = leg.offer, leg.offer.instrument
            quantity, paid = leg.contracts * offer.side, Decimal(repr(offer.price))
            schedule = COSTS.fees[item.venue]
            fee = trade_fee(schedule, item, paid, quantity, Decimal(repr(index)), Liquidity.TAKER)
            out = delivery_fee(schedule, item, quantity, settlement)
            if item.is_option:
                flow = settlement_value(item, quantity, settlement) - Fraction(
                    quantity * item.multiplier * paid
                )
            elif item.is_inverse:
                flow = Fraction(quantity * item.multiplier) * (1 / Fraction(paid) - 1 / Fraction(settlement))
            else:
                flow = Fraction(quantity * item.multiplier) * (Fraction(settlement) - Fraction(paid))
            flow -= Fraction(fee.to_decimal()) + Fraction(out.to_decimal())
            usd, coins = (usd, coins + flow) if item.is_inverse else (usd + flow, coins)
        if float(usd + coins * Fraction(settlement)) < found.profit_usd - 1e-3:
            return False
    return True


def arbitrage(seeds: range) -> dict:
    """Recall by kind at gains of 2 to 30 bp of the index, precision by the ledger, and clean markets."""
    planted = dict.fromkeys(CLASSES, 0)
    found = dict.fromkeys(CLASSES, 0)
    right = wrong = clean = 0
    times, programmes = [], []
    for seed in seeds:
        shot, rng = clean_market(seed), np.random.default_rng([seed, 3])
        t = time.process_time()
        offers = executable_offers(shot, COSTS)
        result = static_arbitrages(offers, COSTS)
        times.append(time.process_time() - t)
        programmes.append(result.programmes)
        clean += len(result.findings)
        before = {leg.offer.key for f in result.findings for leg in f.legs}
        for kind in CLASSES:
            legs = legs_of(kind, shot, rng)
            moved = None if legs is None else plant(shot, offers, legs, 1e-4 * float(rng.uniform(2.0, 30.0)))
            if moved is None:
                continue
            chain, key = moved
            scan = static_arbitrages(executable_offers(replace(shot, chain=chain), COSTS), COSTS)
            if key in before:
                continue
            planted[kind] += 1
            found[kind] += any(leg.offer.key == key for f in scan.findings for leg in f.legs)
            good = [pays(f, shot.index) for f in scan.findings]
            right, wrong = right + sum(good), wrong + len(good) - sum(good)
    return {
        "clean_markets": len(seeds), "findings_in_clean_markets": clean,
        "planted": planted, "found": found, "recall": sum(found.values()) / max(sum(planted.values()), 1),
        "findings": right + wrong, "precision_by_the_ledger": right / max(right + wrong, 1),
        "cpu_s_clean_scan_5000_sides": round(float(np.median(times)), 2),
        "programmes": float(np.median(programmes)),
    }  # fmt: skip


def plant(
    shot: MarketSnapshot, offers: Offers, legs: list[tuple[str, str, int]], gain: float
) -> tuple[pl.DataFrame, str] | None:
    """Lower the ask of the first leg until the combination gains this share of the index per coin."""
    name = legs[0][1]
    chosen, weights = [], []
    for venue, own, contracts in legs:
        key, side = f"{venue}:{own or name}", 1 if contracts > 0 else -1
        offer = next((o for o in offers.offers if o.key == key and o.side == side), None)
        if offer is None:
            return None
        chosen.append(offer)
        weights.append(abs(contracts) / float(offer.instrument.multiplier))
    expiry = min(int(o.instrument.expiry_ns or 0) for o in chosen)
    tick = float(chosen[0].instrument.ticks.steps[-1][1])
    for steps in range(4000):
        price = chosen[0].price - steps * tick
        if price <= 2 * tick:
            return None
        trial = [replace(chosen[0], price=price), *chosen[1:]]
        values = outcomes(
            trial, expiry, ts_ns=offers.ts_ns, index=offers.index, fees=COSTS.fees,
            settings=OutcomeSettings(), one_index=len({leg[0] for leg in legs}) == 1,
        )  # fmt: skip
        size = np.zeros(len(trial))
        size[: len(weights)] = weights
        # Delivery fees and coin premiums grow without end; the search closes that side at a small cost.
        grid = np.concatenate((np.array([0.2, 0.5, 0.8, 1.0, 1.2, 2.0]) * offers.index, values.knot.ravel()))
        worst = float((size @ values.at(grid)).min())
        if worst >= gain * offers.index:
            here = (pl.col("venue") == legs[0][0]) & (pl.col("instrument_name") == name)
            low = max(price - 4 * tick, tick)
            chain = shot.chain.with_columns(
                ask=pl.when(here).then(price).otherwise("ask"),
                bid=pl.when(here).then(pl.min_horizontal("bid", pl.lit(low))).otherwise("bid"),
            )
            return chain, f"{legs[0][0]}:{name}"
    return None
