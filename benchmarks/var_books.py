"""The recording and the ten standard books of `var.py`: built from listed options, marked a day later."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.market import instrument_from_name, read_chains
from ivhedge.pricing import black76_greeks
from ivhedge.risk.legs import price_legs
from ivhedge.risk.panel import build_panel, fit_history
from ivhedge.risk.var import ScenarioSet, ShockHistory, revalue, shock_history, var_report
from ivhedge.surface.base import VolSurface

COINS = ("BTC", "ETH")
TENORS = (3.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0)
NODES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
BURN_IN = 104
"""Shocks known before the first forecast: a scenario beyond 99 % needs a hundred."""


@dataclass
class Recording:
    """Everything read from disk, in order of time."""

    chains: dict[str, dict[int, pl.DataFrame]]
    surfaces: dict[str, dict[int, VolSurface]]
    history: ShockHistory
    times: IntArray
    atm: FloatArray
    price_ts: IntArray
    prices: FloatArray


def load(root: Path, cache: Path | None) -> Recording:
    """Read, fit and align."""
    chains: dict[str, dict[int, pl.DataFrame]] = {}
    fitted: dict[str, list[VolSurface]] = {}
    for coin in COINS:
        table = pl.concat(
            [read_chains(f) for f in sorted((root / "deribit_chains" / coin).glob("*.parquet"))]
        )
        parts = table.sort("ts", maintain_order=True).partition_by("ts", maintain_order=True)
        chains[coin] = {int(p["ts"].dt.epoch("ns")[0]): p for p in parts}
        fitted[coin] = stored(cache, coin) or list(fit_history(parts).surfaces)
    panels = {c: build_panel(fitted[c], tenor_days=TENORS, nodes=NODES) for c in COINS}
    history = shock_history(panels)
    times = np.intersect1d(panels["BTC"].ts_ns, panels["ETH"].ts_ns)
    month = TENORS.index(30.0)
    atm = np.stack([p.atm_vols[np.searchsorted(p.ts_ns, times), month] for p in panels.values()], axis=1)
    ts, prices = [], []
    hours = [pl.read_parquet(root / "underlying_hourly" / f"{c}.parquet") for c in COINS]
    both = hours[0].join(hours[1], on="timestamp", suffix="_eth").sort("timestamp")
    # Every sixth close: later only 6-hourly snapshots exist, and a filter must see what it was judged on.
    ts.append(both["timestamp"].dt.epoch("ns").to_numpy()[5::6] + NS_PER_DAY // 24)
    prices.append(both.select("close", "close_eth").to_numpy()[5::6])
    after = times > ts[0][-1]
    ts.append(times[after])
    prices.append(np.stack([p.spot[np.searchsorted(p.ts_ns, times[after])] for p in panels.values()], axis=1))
    return Recording(
        chains,
        {c: {s.ts_ns: s for s in fitted[c]} for c in COINS},
        history,
        times,
        atm,
        np.concatenate(ts),
        np.concatenate(prices),
    )


def stored(cache: Path | None, coin: str) -> list[VolSurface] | None:
    """Surfaces of an earlier run (own files only)."""
    if cache is None or not (cache / f"{coin}.pkl").is_file():
        return None
    import pickle

    return list(pickle.loads((cache / f"{coin}.pkl").read_bytes()).surfaces)


def pick(chain: pl.DataFrame, ts: int) -> dict[str, Any]:
    """Options by expiry with mark, vol and delta."""
    rows = chain.filter(pl.col("mark").is_not_null() & (pl.col("mark_iv") > 0.0))
    expiry = rows["expiry"].dt.epoch("ns").to_numpy()
    tau = (expiry - ts) / NS_PER_DAY / DAYS_PER_YEAR
    keep = tau > 2.0 / DAYS_PER_YEAR
    rows, expiry, tau = rows.filter(pl.Series(keep)), expiry[keep], tau[keep]
    f, k, vol = (rows[c].to_numpy() for c in ("forward", "strike", "mark_iv"))
    call = rows["is_call"].to_numpy()
    greeks = black76_greeks(f, k, tau, vol, call)
    delta = greeks["delta"]
    # A newly listed expiry lacks the wings that the books need.
    full = [
        e
        for e in np.unique(expiry)
        if all(np.abs(delta[(expiry == e) & (call == side)]).min() < 0.12 for side in (True, False))
    ]
    good = np.isin(expiry, full)
    rows = rows.filter(pl.Series(good))
    expiry, tau, call = expiry[good], tau[good], call[good]
    greeks = {name: values[good] for name, values in greeks.items()}
    return {
        "name": rows["instrument_name"].to_list(),
        "expiry": expiry,
        "days": tau * DAYS_PER_YEAR,
        "call": call,
        "delta": greeks["delta"],
        "vega": greeks["vega"],
        "coin": rows["mark"].to_numpy(),
    }


def option_at(c: dict[str, Any], days: float, delta: float, beyond: int | None = None) -> int:
    """Row of the option nearest to a delta on the expiry nearest to a tenor, further out than another."""
    expiries, first = np.unique(c["expiry"], return_index=True)
    chosen = expiries[np.argmin(np.abs(np.log(c["days"][first] / days)))]
    rows = np.flatnonzero((c["expiry"] == chosen) & (c["call"] == (delta > 0.0)))
    if beyond is not None:
        rows = rows[np.abs(c["delta"][rows]) < abs(c["delta"][beyond])]
    return int(rows[np.argmin(np.abs(c["delta"][rows] - delta))])


Legs = dict[tuple[str, int], float]
"""Size of options by coin and row; row -1 is the perpetual in coins, -2 the coin itself."""


def add(legs: Legs, coin: str, row: int, size: float) -> None:
    legs[coin, row] = legs.get((coin, row), 0.0) + size


def books_at(found: Mapping[str, dict[str, Any]]) -> dict[str, Legs]:
    """Ten books per coin, in options on one coin each."""
    out: dict[str, Legs] = {}
    for coin in COINS:
        c = found[coin]

        def straddle(days: float, size: float, c: dict[str, Any] = c) -> list[tuple[int, float]]:
            put = option_at(c, days, -0.5)
            calls = np.flatnonzero((c["expiry"] == c["expiry"][put]) & c["call"])
            best = calls[np.argmin(np.abs(c["delta"][calls] - 1.0 - c["delta"][put]))]
            return [(put, size), (int(best), size)]

        def strangle(
            days: float, delta: float, size: float, c: dict[str, Any] = c
        ) -> list[tuple[int, float]]:
            return [(option_at(c, days, -delta), size), (option_at(c, days, delta), size)]

        put25, call25 = option_at(c, 30, -0.25), option_at(c, 30, 0.25)
        plain = {
            "short_straddle_30d": straddle(30, -1),
            "long_straddle_30d": straddle(30, 1),
            "short_strangle_25d": strangle(30, 0.25, -1),
            "risk_reversal_25d": [(call25, 1.0), (put25, -1.0)],
            "calendar_30d_90d": straddle(30, -1) + straddle(90, 1),
            "short_ladder_hedged": [x for d in (7, 14, 30, 60, 90) for x in strangle(d, 0.25, -1)],
            "covered_call": [(-2, 1.0), (call25, -1.0)],
            "collar": [(-2, 1.0), (put25, 1.0), (call25, -1.0)],
            "iron_condor": [
                *strangle(30, 0.25, -1),
                (option_at(c, 30, -0.10, put25), 1.0),
                (option_at(c, 30, 0.10, call25), 1.0),
            ],
        }
        for name, rows in plain.items():
            legs: Legs = {}
            for row, size in rows:
                add(legs, coin, row, size)
            if name.endswith("hedged"):
                hedge(legs, found)
            out[f"{coin} {name}"] = legs
        other = COINS[1 - COINS.index(coin)]
        sold, bought = straddle(60, -1.0), straddle(60, 1.0, found[other])
        ratio = sum(c["vega"][r] for r, _ in sold) / sum(found[other]["vega"][r] for r, _ in bought)
        legs = {}
        for row, size in sold:
            add(legs, coin, row, size)
        for row, size in bought:
            add(legs, other, row, size * ratio)
        hedge(legs, found)
        out[f"{coin} cross_asset_vega_spread"] = legs
    return out


def hedge(legs: Legs, found: Mapping[str, dict[str, Any]]) -> None:
    """Bring the delta of each coin to 0 with its perpetual."""
    for coin in COINS:
        delta = sum(
            size * found[coin]["delta"][row] for (c, row), size in legs.items() if c == coin and row >= 0
        )
        if delta:
            add(legs, coin, -1, -delta)


@dataclass
class Day:
    """One forecast date: unit legs, books as columns, realised profits."""

    ts: int
    coin_of: list[str]
    kinds: list[int]
    positions: list[Any]
    sizes: FloatArray
    names: list[str]
    realised: FloatArray
    realised_coin: FloatArray
    surfaces: dict[str, VolSurface]


def build_day(rec: Recording, ts: int, after: int) -> Day | None:
    """Books at `ts` and their profits until `after`; None where a mark is missing later."""
    found = {c: pick(rec.chains[c][ts], ts) for c in COINS}
    later = {
        c: {
            n: m
            for n, m in rec.chains[c][after].select("instrument_name", "mark").iter_rows()
            if m is not None
        }
        for c in COINS
    }
    books = books_at(found)
    legs = sorted({leg for book in books.values() for leg in book})
    s0 = {c: float(rec.surfaces[c][ts].forward(0.0)) for c in COINS}
    s1 = {c: float(rec.surfaces[c][after].forward(0.0)) for c in COINS}
    positions, usd, in_coin = [], [], []
    for coin, row in legs:
        if row < 0:
            positions.append(None)
            usd.append(s1[coin] - s0[coin])
            in_coin.append(0.0 if row == -2 else 1.0 - s0[coin] / s1[coin])
            continue
        name = found[coin]["name"][row]
        if name not in later[coin]:
            return None
        positions.append(instrument_from_name("deribit", name))
        usd.append(later[coin][name] * s1[coin] - found[coin]["coin"][row] * s0[coin])
        in_coin.append(later[coin][name] - found[coin]["coin"][row])
    sizes = np.array([[book.get(leg, 0.0) for book in books.values()] for leg in legs])
    return Day(
        ts,
        [c for c, _ in legs],
        [r for _, r in legs],
        positions,
        sizes,
        list(books),
        np.array(usd) @ sizes,
        np.array(in_coin) @ sizes,
        {c: rec.surfaces[c][ts] for c in COINS},
    )


def unit_profits(day: Day, scenarios: ScenarioSet) -> tuple[FloatArray, FloatArray]:
    """Profit of one of each leg by scenario, USD and coin."""
    rows = [i for i, p in enumerate(day.positions) if p is not None]
    legs = price_legs([(day.positions[i], 1) for i in rows], day.surfaces, day.ts)
    found = revalue(legs, day.surfaces, scenarios, day.ts)
    usd = np.empty((scenarios.values.shape[0], len(day.positions)))
    coin = np.empty_like(usd)
    usd[:, rows], coin[:, rows] = found.usd / legs.size, found.coin / legs.size
    for i, kind in enumerate(day.kinds):
        if kind < 0:
            u = scenarios.values[:, scenarios.layout.start(day.coin_of[i])]
            spot = float(day.surfaces[day.coin_of[i]].forward(0.0))
            usd[:, i] = spot * np.expm1(u)
            coin[:, i] = 0.0 if kind == -2 else -np.expm1(-u)
    return usd, coin


def dates(rec: Recording) -> tuple[list[Day], IntArray, int]:
    """Forecast dates, the place of each in its UTC day, and how many lacked a mark or a later snapshot."""
    days, place, missing = [], [], 0
    midnight = rec.times // NS_PER_DAY
    for i, ts in enumerate(rec.times.tolist()):
        if (rec.history.end_ns <= ts).sum() < BURN_IN or ts > rec.times[-1] - NS_PER_DAY:
            continue
        after = int(rec.times[np.argmin(np.abs(rec.times - ts - NS_PER_DAY))])
        day = build_day(rec, ts, after) if abs(after - ts - NS_PER_DAY) <= NS_PER_DAY // 6 else None
        if day is None:
            missing += 1
            continue
        days.append(day)
        place.append(int((midnight[:i] == midnight[i]).sum()))
    return days, np.array(place), missing


def speed(rec: Recording, scenarios: ScenarioSet, ts: int) -> dict[str, Any]:
    """CPU milliseconds of a report on 200 listed legs of ten and more expiries and 1,000 scenarios."""
    chain = rec.chains["BTC"][ts].filter(pl.col("expiry").dt.epoch("ns") > ts + 2 * NS_PER_DAY)
    names = chain["instrument_name"].gather_every(chain.height // 200)[:200].to_list()
    positions = tuple(
        Position(instrument_from_name("deribit", n), Decimal((-1) ** i)) for i, n in enumerate(names)
    )
    book, surfaces = Book("speed", positions), {"BTC": rec.surfaces["BTC"][ts]}
    small = replace(scenarios, values=scenarios.values[:1000])
    taken = []
    for _ in range(15):
        start = time.thread_time()
        var_report(book, surfaces, small, ts_ns=ts)
        taken.append(1e3 * (time.thread_time() - start))
    return {
        "legs": len(positions),
        "scenarios": small.values.shape[0],
        "ms": round(float(np.median(taken)), 1),
    }
