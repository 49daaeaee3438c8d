"""Mispricings: planted ones of a known truth, and what recorded quotes leave after costs. Prints JSON.

``python benchmarks/mispricing.py [--part planted|arbitrage|recorded|last_trades] [--seeds 20] [--first 0]``

Recorded data by IVHEDGE_DATA, default ../shared/data; parts without it say so.
"""

import argparse
import json

import numpy as np
import polars as pl

from ivhedge.core.units import NS_PER_YEAR
from ivhedge.hedge import CostModel
from ivhedge.hedge.mispricing import (
    Offers,
    Reversion,
    StatisticalSettings,
    executable_offers,
    fair_band,
    fused_error,
    mispricings,
)
from ivhedge.ledger import load_fees
from ivhedge.market import MarketSnapshot, instruments_of, quote_vols
from ivhedge.market.simulator import SimulatedMarket, SimulationConfig, simulate_market
from ivhedge.pricing import black76_greeks, black76_price
from ivhedge.surface.fusion import FusedSurface, FusionSettings, fuse
from ivhedge.surface.fusion.quotes import Z_LIMIT
from mispricing_arbitrage import arbitrage
from mispricing_recorded import last_trades, recorded

VENUES = ("aurora", "borealis", "cirrus", "dune", "ember")
COSTS = CostModel(fees={venue: load_fees(venue) for venue in (*VENUES, "deribit")})
SOON = Reversion.assumed(300.0)  # a planted quote comes back at once; the horizon is an hour
SETTINGS = StatisticalSettings()
PLANTED = 25


def true_values(market: SimulatedMarket, chain: pl.DataFrame, index: float) -> pl.DataFrame:
    """The chain with each row's true value at its venue, vega, delta and USD per price unit of a contract."""
    truth = market.truth.select(
        "ts", "underlying", "expiry", "strike", "true_forward", "true_iv", "true_atm_iv"
    )
    venues = market.venues.select("ts", "venue", "level_bias", "slope_bias", "index_basis")
    table = chain.join(truth, on=["ts", "underlying", "expiry", "strike"], how="left", maintain_order="left")
    table = table.join(venues, on=["ts", "venue"], how="left", maintain_order="left")
    tau = ((table["expiry"].dt.epoch("ns") - table["ts"].dt.epoch("ns")) / NS_PER_YEAR).to_numpy()
    strike, common = table["strike"].to_numpy(), table["true_forward"].to_numpy()
    forward = common * (1.0 + table["index_basis"].to_numpy())
    z = np.log(strike / common) / (table["true_atm_iv"].to_numpy() * np.sqrt(tau))
    z = np.clip(z, -Z_LIMIT, Z_LIMIT)
    vol = table["true_iv"].to_numpy() + table["level_bias"].to_numpy() + table["slope_bias"].to_numpy() * z
    call, coin = table["is_call"].to_numpy(), (table["settlement"] == "coin").to_numpy()
    good = np.isfinite(vol) & (vol > 0.01)
    safe = np.where(good, vol, 0.5)
    greeks = black76_greeks(forward, strike, tau, safe, call, names=("delta", "vega"))
    unit = np.where(coin, 1.0 / forward, 1.0)
    built = instruments_of(chain)
    keys = [f"{v}:{n}" for v, n in zip(table["venue"], table["instrument_name"], strict=True)]
    size = np.array([float(built[key].multiplier) for key in keys])
    return table.with_columns(
        key=pl.Series(keys),
        tau=pl.Series(tau),
        fair=pl.Series(np.where(good, black76_price(forward, strike, tau, safe, call) * unit, np.nan)),
        vega=pl.Series(greeks["vega"] * unit),
        delta=pl.Series(greeks["delta"]),
        usd=pl.Series(size * np.where(coin, index, 1.0)),
        size=pl.Series(size),
    )


def round_trip(table: pl.DataFrame, offers: Offers) -> dict[tuple[str, int], float]:
    """Costs of trading each side there and back at the true values, price units."""
    half = 0.5 * (table["ask"] - table["bid"]) / table["vega"]
    typical = (
        table.with_columns(half=half)
        .filter(pl.col("half").is_finite() & (pl.col("half") > 0.0) & (pl.col("delta").abs() < 0.55))
        .group_by("venue", "expiry")
        .agg(pl.col("half").median().alias("typical"))
    )
    rows = {
        r["key"]: r for r in table.join(typical, on=["venue", "expiry"], how="left").iter_rows(named=True)
    }
    found = {}
    for offer in offers.offers:
        r = rows.get(offer.key)
        if r is None or r["typical"] is None or not np.isfinite(r["fair"]):
            continue
        in_coin = offer.instrument.is_inverse
        fee = 2.0 * offer.fee * (offers.index if in_coin else 1.0) / r["usd"]
        hedge = abs(r["delta"]) * r["size"] * offers.index / r["usd"]
        hedge *= 2e-4 * SETTINGS.hedge_bps + SETTINGS.funding_8h * SETTINGS.horizon_s / 28_800.0
        found[offer.key, offer.side] = r["typical"] * r["vega"] + fee + hedge
    return found


def plant(
    table: pl.DataFrame, fresh: np.ndarray, costs: dict[tuple[str, int], float], rng: np.random.Generator
) -> tuple[pl.DataFrame, dict[tuple[str, int], float]]:
    """Move some quotes to one side of their true value by their costs and more; what they gain, in costs."""
    built = instruments_of(table)
    delta = np.abs(table["delta"].to_numpy())
    two = (table["bid"].is_not_null() & table["ask"].is_not_null()).to_numpy()
    fit = fresh & two & (delta > 0.05) & (delta < 0.5) & (table["tau"].to_numpy() > 2.0 / 365.0)
    rows = rng.permutation(np.flatnonzero(fit))[:PLANTED]
    bid, ask = table["bid"].to_numpy().copy(), table["ask"].to_numpy().copy()
    planted = {}
    for row in rows.tolist():
        key, side = table["key"][row], int(rng.choice([-1, 1]))
        if (key, side) not in costs:
            continue
        cost, fair, wide = costs[key, side], table["fair"][row], ask[row] - bid[row]
        tick = float(built[key].ticks.tick_at(built[key].ticks.steps[-1][0]))
        raw = fair - side * cost * (1.0 + rng.uniform(0.0, 3.0))
        price = tick * (np.ceil(raw / tick) if side > 0 else np.floor(raw / tick))
        low, high = (price - wide, price) if side > 0 else (price, price + wide)
        gain = (side * (fair - price) - cost) / cost
        if low <= tick or gain <= 0.0:
            continue
        bid[row], ask[row] = low, high
        planted[key, side] = gain
    moved = table.with_columns(bid=pl.Series(bid), ask=pl.Series(ask))
    return moved.with_columns(pl.col("bid", "ask").fill_nan(None)), planted


def scan(snap: MarketSnapshot, fused: FusedSurface):
    """Offers and findings of one snapshot."""
    offers = executable_offers(snap, COSTS)
    quotes = quote_vols(snap.chain, fused.fit.forwards)
    band = fair_band(quotes, fused.fit.surface, vol_error=fused_error(fused), venues=fused.model)
    return offers, band, mispricings(offers, band, COSTS, reversion=SOON, settings=SETTINGS)


def planted(seeds: range) -> dict:
    """Precision and recall of planted quotes in the simulated five-venue market."""
    right = wrong = hit = 0
    gains, found_gain, worst = [], [], []
    for seed in seeds:
        market = simulate_market(SimulationConfig(n_snapshots=3), np.random.default_rng(seed))
        rng = np.random.default_rng([seed, 8])
        model = None
        shots = [s for s in market.snapshots() if s.underlying == "BTC"]
        labels = market.labels.with_columns(market.chains["ts"], market.chains["underlying"])
        for number, shot in enumerate(shots):
            if number == len(shots) - 1:
                table = true_values(market, shot.chain, shot.index)
                mine = labels.filter((pl.col("ts") == shot.chain["ts"][0]) & (pl.col("underlying") == "BTC"))
                fresh = ~(mine["is_stale"] | mine["is_outlier"]).to_numpy()
                costs = round_trip(table, executable_offers(shot, COSTS))
                moved, gain = plant(table, fresh, costs, rng)
                shot = MarketSnapshot(
                    ts_ns=shot.ts_ns, underlying="BTC", index=shot.index,
                    chain=moved.select(shot.chain.columns), futures=shot.futures,
                )  # fmt: skip
            fused = fuse(shot.chain, model, settings=FusionSettings(anchor="aurora"))
            model = fused.model
        offers, _, result = scan(shot, fused)
        truth = {r["key"]: r for r in moved.iter_rows(named=True)}
        seen = set()
        for q in result.quotes:
            key, side = q.offer.key, q.offer.side
            seen.add((key, side))
            if (key, side) in costs:
                net = side * (truth[key]["fair"] - q.offer.price) - costs[key, side]
                right, wrong = right + (net > 0.0), wrong + (net <= 0.0)
                if net <= 0.0:
                    worst.append((seed, key, side, round(net / costs[key, side], 2), round(q.z, 1)))
        live = {(o.key, o.side) for o in offers.offers}
        for place, value in gain.items():
            if place in live:
                gains.append(value)
                found_gain.append(place in seen)
                hit += place in seen
    g, f = np.array(gains), np.array(found_gain)
    bins = [(0.0, 0.25), (0.25, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 9.0)]
    by_gain = {}
    for a, b in bins:
        here = (g >= a) & (g < b)
        by_gain[f"{a}-{b}"] = [int(here.sum()), round(float(f[here].mean()), 3)]
    return {
        "planted": len(gains), "found": hit, "recall": hit / len(gains),
        "recall_by_gain_in_costs": by_gain,
        "findings": right + wrong, "precision": right / max(right + wrong, 1), "wrong": worst[:20],
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--part", default="planted", choices=["planted", "arbitrage", "recorded", "last_trades"]
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1)
    args = parser.parse_args()
    argument = args.stride if args.part in ("recorded",) else range(args.first, args.first + args.seeds)
    parts = {"planted": planted, "arbitrage": arbitrage, "recorded": recorded, "last_trades": last_trades}
    print(json.dumps({args.part: parts[args.part](argument)}, indent=1))
