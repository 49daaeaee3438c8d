"""Speed and accuracy of the surface in real time. Prints JSON; times are CPU time.

Simulated: 12 expiries of 40 strikes on a known surface. Recorded: consecutive Deribit snapshots replayed as
quotes, against `fit_surface` on the last of them (IVHEDGE_DATA, default ../shared/data).

``python benchmarks/stream.py [snapshots]``
"""

import json
import os
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.market import read_chains
from ivhedge.pricing import black76_price
from ivhedge.surface import (
    EssviSurface,
    PackedQuotes,
    calibrate_essvi,
    certify,
    essvi_total_variance,
    fit_surface,
)
from ivhedge.surface.stream import REASONS, QuoteColumns, SurfaceStream, Universe
from ivhedge.surface.stream import _kernel as kernel
from ivhedge.surface.stream._projection import project, sufficient
from ivhedge.surface.stream._settling import settle_slice
from ivhedge.surface.stream._state import FIRST, LAST

T0 = 1_767_614_400_000_000_000
DAY = 86_400_000_000_000
DAYS = np.array([1, 2, 3, 7, 14, 21, 30, 60, 90, 180, 270, 365])
PER, FORWARD = 40, 90_000.0
NOISE, HALF = 0.003, 0.005


def truth(level: float = 0.0, ts_ns: int = T0) -> EssviSurface:
    """A crypto-like surface; `level` is added to the vol at the money."""
    taus = (T0 + DAYS * DAY - ts_ns) / (365.0 * DAY)
    theta = (0.6 + level) ** 2 * taus * (1.0 + 0.1 * (1.0 - np.exp(-taus / 0.3)))
    rho = -0.05 - 0.2 * (1.0 - np.exp(-taus / 0.25))
    psi = 1.08 * np.sqrt(theta) / (1.0 + 0.4 * np.sqrt(theta))
    return EssviSurface(
        underlying="BTC", ts_ns=ts_ns, expiries=T0 + DAYS * DAY, taus=taus, theta=theta, rho=rho, psi=psi,
        forwards=np.full(DAYS.size, FORWARD),
    )  # fmt: skip


def market() -> Universe:
    """Calls and puts at every strike."""
    k = np.concatenate([np.linspace(-2.4, 2.4, PER) * 0.6 * np.sqrt(d / 365.0) for d in DAYS])
    strike, expiry = FORWARD * np.exp(k), np.repeat(T0 + DAYS * DAY, PER)
    return Universe(
        venues=("sim",), strike=np.tile(strike, 2), expiry_ns=np.tile(expiry, 2),
        is_call=np.repeat([1, 0], k.size), in_coin=np.ones(2 * k.size, dtype=np.int64),
    )  # fmt: skip


def quotes(
    u: Universe, items: IntArray, ts: IntArray, error: FloatArray, level: FloatArray, forward: float = FORWARD
) -> QuoteColumns:
    """Out-of-the-money quotes of strikes number `items` around the true vols plus errors."""
    t = truth()
    k, e = np.log(u.strike[items] / forward), items // PER
    a = (np.sqrt(t.theta[e] / t.taus[e]) + level) ** 2
    b = t.psi[e] / t.taus[e] * np.sqrt(a / (t.theta[e] / t.taus[e]))
    vol = np.sqrt(essvi_total_variance(k, a, t.rho[e], b)) + error
    call = k >= 0.0
    tau = (u.expiry_ns[items] - ts) / (365.0 * DAY)
    bid, ask = (
        black76_price(forward, u.strike[items], tau, np.maximum(vol + s * HALF, 0.02), call) / forward
        for s in (-1.0, 1.0)
    )
    n = items.size
    return QuoteColumns(
        venue=np.zeros(n, dtype=np.int64), instrument=np.where(call, items, items + DAYS.size * PER), bid=bid,
        ask=ask, bid_size=np.full(n, 5.0), ask_size=np.full(n, 5.0), ts_event=ts, ts_recv=ts,
        forward=np.full(n, forward),
    )  # fmt: skip


def part(q: QuoteColumns, rows: object) -> QuoteColumns:
    """Some of the quotes."""
    return QuoteColumns(**{f.name: getattr(q, f.name)[rows] for f in fields(q)})


def noise(rng: np.random.Generator, n: int, bad: float = 0.05) -> FloatArray:
    """Errors with a share of outliers of 10 vol points."""
    return rng.normal(0.0, NOISE, n) + (rng.random(n) < bad) * rng.choice([-1.0, 1.0], n) * 0.1


def speed(rng: np.random.Generator) -> dict[str, object]:
    """Microseconds a quote, and of a publication."""
    u = market()
    stream = SurfaceStream(u, start=truth())
    n = 40_000
    items = rng.integers(0, DAYS.size * PER, n)
    ts = T0 + np.arange(n, dtype=np.int64) * 1_000_000
    q = quotes(u, items, ts, noise(rng, n), np.zeros(n))
    batches = [part(q, slice(i, i + 300)) for i in range(0, n - 300, 300)]
    stream.on_quotes(batches[0])
    times = []
    for batch in batches[1:]:
        t = time.thread_time_ns()
        stream.on_quotes(batch)
        times.append((time.thread_time_ns() - t) / len(batch) / 1e3)
    one = SurfaceStream(u, start=truth())
    rows = [{f.name: getattr(q, f.name)[i].item() for f in fields(q)} for i in range(6000)]
    single = []
    for row in rows:
        t = time.thread_time_ns()
        one.on_quote(**row)
        single.append((time.thread_time_ns() - t) / 1e3)
    publish, slices, now = [], [], int(ts[-1])
    s, params = stream._state, np.empty((DAYS.size, 3))
    for i in range(1000):
        e = i % DAYS.size
        block = s.members[slice(*s.clocks[e, [FIRST, LAST]])]
        taus, sizes = (stream._expiries - now) / kernel.NS_PER_YEAR, np.empty(block.size)
        t = time.thread_time_ns()
        settle_slice(s.slots, s.times, block, s.slices[e], float(taus[e]), now, s.cfg, 4, False, sizes)
        project(s.slices, taus, params)
        ok = sufficient(params, e - 1, e + 1)
        slices.append((time.thread_time_ns() - t) / 1e3)
        assert ok
    for _ in range(300):
        t = time.thread_time_ns()
        stream.snapshot(now)
        publish.append((time.thread_time_ns() - t) / 1e3)
    t = time.perf_counter()
    valid = stream.snapshot(now).certificate().valid
    dense = (time.perf_counter() - t) * 1e3
    both = lambda x: {"p50": float(np.median(x)), "p99": float(np.percentile(x, 99))}  # noqa: E731
    return {
        "us_per_quote_batches_of_300": both(times),
        "us_per_quote_one_by_one": both(single),
        "us_slice_republish_kernels": both(slices),
        "us_whole_surface_snapshot": both(publish),
        "dense_certificate": {"valid": valid, "ms": dense},
    }


def difference_bp(a: EssviSurface, b: EssviSurface, width: float = 1.5) -> dict[str, float]:
    """Vol differences within `width` standard deviations, basis points of vol."""
    unit = np.sqrt(b.theta)
    k = np.linspace(-width, width, 13)[:, None] * unit
    va, vb = (np.sqrt(essvi_total_variance(k, s.theta, s.rho, s.psi) / s.taus) for s in (a, b))
    d = 1e4 * np.abs(va - vb)
    return {"median": float(np.median(d)), "p95": float(np.percentile(d, 95)), "max": float(d.max())}


def against_batch(seeds: int) -> dict[str, object]:
    """Largest and typical difference to the batch refit of the same latest quotes after 1,000 updates."""
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        u, m = market(), DAYS.size * PER
        stream = SurfaceStream(u, start=truth())
        items = np.concatenate([np.arange(m), rng.integers(0, m, 1000)])
        ts = T0 + np.arange(items.size, dtype=np.int64) * 1_000_000
        error = noise(rng, items.size)
        stream.on_quotes(quotes(u, items, ts, error, np.zeros(items.size)))
        snap = stream.snapshot(int(ts[-1])).surface
        together = stream.snapshot(int(ts[-1]), joint=True).surface
        last = np.empty(m)
        last[items] = error
        t, e = truth(), np.arange(m) // PER
        k = np.log(u.strike[:m] / FORWARD)
        vol = np.sqrt(essvi_total_variance(k, t.theta[e], t.rho[e], t.psi[e]) / t.taus[e]) + last
        packed = PackedQuotes(
            log_moneyness=k, vol=vol, weight=np.full(m, 1.0 / HALF),
            offsets=np.arange(DAYS.size + 1) * PER, taus=t.taus,
        )  # fmt: skip
        theta, rho, psi = calibrate_essvi(packed).params.T
        batch = replace(t, theta=theta, rho=rho, psi=psi)
        found.append((difference_bp(snap, batch), difference_bp(together, batch)))
    names = ("clipped", "joint")
    return {
        name: {key: float(np.max([f[i][key] for f in found])) for key in ("median", "p95", "max")}
        for i, name in enumerate(names)
    } | {"worst_of_seeds": seeds}


def ramp(rng: np.random.Generator) -> dict[str, object]:
    """A rise of 5 vol points over 10,000 quotes, 5 % of them 10 points off."""
    u, m = market(), DAYS.size * PER
    stream = SurfaceStream(u, start=truth())
    stream.on_quotes(quotes(u, np.arange(m), np.full(m, T0), noise(rng, m), np.zeros(m)))
    errors, covered, valid = [], [], True
    for i in range(150):
        at = np.minimum(np.arange(i * 100, (i + 1) * 100) / 10_000.0, 1.0) * 0.05
        ts = T0 + np.arange(i * 100, (i + 1) * 100, dtype=np.int64) * 10_000_000
        stream.on_quotes(quotes(u, rng.integers(0, m, 100), ts, noise(rng, 100), at))
        snap = stream.snapshot(int(ts[-1]))
        t = truth()
        true = np.sqrt(t.theta / t.taus) + at[-1]
        error = np.sqrt(snap.surface.theta / snap.surface.taus) - true
        errors.append(error)
        covered.append(np.abs(error) <= 1.96 * snap.vol_error(np.zeros(DAYS.size), np.arange(DAYS.size)))
        valid &= not snap.held and (i % 25 > 0 or certify(snap.surface).valid)
    e = np.array(errors)
    return {
        "atm_rmse_bp_during": float(1e4 * np.sqrt(np.mean(e[:100] ** 2))),
        "atm_max_bp_during": float(1e4 * np.abs(e[:100]).max()),
        "atm_rmse_bp_after": float(1e4 * np.sqrt(np.mean(e[120:] ** 2))),
        "coverage_95_percent": float(np.mean(covered)), "certified": bool(valid),
    }  # fmt: skip


def jump(rng: np.random.Generator) -> dict[str, object]:
    """Spot falls by 5 % and vol rises by 3 points at once; then 100 quotes a second."""
    u, m = market(), DAYS.size * PER
    stream = SurfaceStream(u, start=truth())
    stream.on_quotes(quotes(u, np.arange(m), np.full(m, T0), noise(rng, m), np.zeros(m)))
    at = np.zeros(DAYS.size), np.arange(DAYS.size)
    calm = stream.snapshot(T0).vol_error(*at)
    rows, t = [], truth()
    for i in range(20):
        ts = T0 + 10**9 + np.arange(i * 100, (i + 1) * 100, dtype=np.int64) * 10_000_000
        stream.on_quotes(
            quotes(u, rng.integers(0, m, 100), ts, noise(rng, 100), np.full(100, 0.03), FORWARD * 0.95)
        )
        snap = stream.snapshot(int(ts[-1]))
        error = np.sqrt(snap.surface.theta / snap.surface.taus) - np.sqrt(t.theta / t.taus) - 0.03
        bars = snap.vol_error(*at)
        rows.append(
            {
                "quotes": 100 * (i + 1),
                "atm_rmse_bp": float(1e4 * np.sqrt(np.mean(error**2))),
                "bars_over_calm": float(np.median(bars / calm)),
                "covered": float(np.mean(np.abs(error) <= 1.96 * bars)),
                "certified": bool(snap.certificate().valid and not snap.held),
            }
        )
    settled = [r["quotes"] for r in rows if float(r["atm_rmse_bp"]) < 30.0]
    return {"quotes_until_rmse_below_30_bp": settled[0] if settled else None, "path": rows[::3]}


def recorded(count: int, joint: bool) -> object:
    """Consecutive recorded snapshots as a stream, against the batch fit of each."""
    folder = Path(os.environ.get("IVHEDGE_DATA", "../shared/data")) / "deribit_chains"
    if not folder.exists():
        return "not measured: no recorded chains"
    chains = read_chains(sorted((folder / "BTC").rglob("*.parquet"))[0])
    times = chains["ts"].unique().sort()
    found, outcomes, held = [], np.zeros(len(REASONS), dtype=np.int64), 0
    for first in range(0, min(count, times.len() - 1)):
        pair = [chains.filter(pl.col("ts") == times[first + i]) for i in (0, 1)]
        start, batch = fit_surface(pair[0]), fit_surface(pair[1])
        names = pair[1].sort("instrument_name")
        u = Universe(
            venues=("deribit",), strike=names["strike"].to_numpy(),
            expiry_ns=names["expiry"].dt.epoch("ns").to_numpy(),
            is_call=names["is_call"].cast(pl.Int64).to_numpy(), in_coin=np.ones(names.height, dtype=np.int64),
        )  # fmt: skip
        ts = np.full(names.height, batch.backbone.ts_ns)
        stream = SurfaceStream(u, start=start)
        out = stream.on_quotes(
            QuoteColumns(
                venue=np.zeros(names.height, dtype=np.int64),
                instrument=np.arange(names.height),
                bid=names["bid"].fill_null(0.0).to_numpy(),
                ask=names["ask"].fill_null(0.0).to_numpy(),
                bid_size=np.full(names.height, np.nan),
                ask_size=np.full(names.height, np.nan),
                ts_event=ts,
                ts_recv=ts,
                forward=names["forward"].to_numpy(),
            )
        )
        outcomes += np.bincount(out, minlength=len(REASONS))
        snap = stream.snapshot(int(ts[0]), joint=joint)
        held += int(snap.held or not snap.certificate().valid)
        both = np.intersect1d(snap.surface.expiries, batch.backbone.expiries)
        a, b = (
            replace(
                s,
                **{
                    f: getattr(s, f)[np.isin(s.expiries, both)]
                    for f in ("expiries", "taus", "theta", "rho", "psi", "forwards")
                },
            )
            for s in (snap.surface, batch.backbone)
        )
        found.append({"expiries": int(both.size)} | difference_bp(a, b))
    counts = {r: int(c) for r, c in zip(REASONS, outcomes, strict=True) if c}
    return {"pairs": found, "outcomes": counts, "uncertified": held}


def tickers(repeats: int = 15) -> object:
    """Ten recorded ticker dumps in the order of their times through one stream: speed and statuses."""
    folder = Path(os.environ.get("IVHEDGE_DATA", "../shared/data"))
    file = folder / "deribit_tickers" / "options.parquet"
    if not file.exists():
        return "not measured: no recorded tickers"
    rows = (
        pl.read_parquet(file).sort("timestamp").with_columns(pl.col("timestamp").dt.epoch("ns").alias("ns"))
    )
    names = rows.unique("instrument_name").sort("instrument_name")
    u = Universe(
        venues=("deribit",), strike=names["strike"].to_numpy(),
        expiry_ns=names["expiry"].dt.epoch("ns").to_numpy(),
        is_call=names["is_call"].cast(pl.Int64).to_numpy(), in_coin=np.ones(names.height, dtype=np.int64),
    )  # fmt: skip
    ids = np.searchsorted(names["instrument_name"].to_numpy(), rows["instrument_name"].to_numpy())
    ts = rows["ns"].to_numpy()
    expiries = np.unique(u.expiry_ns[u.expiry_ns > ts[-1]])
    taus = (expiries - ts[0]) / kernel.NS_PER_YEAR
    forward = float(rows["underlying_price"][0])
    theta = 0.2 * taus
    start = EssviSurface(
        underlying="BTC", ts_ns=int(ts[0]), expiries=expiries, taus=taus, theta=theta,
        rho=np.full(taus.size, -0.1), psi=np.sqrt(theta) / (1.0 + 0.4 * np.sqrt(theta)),
        forwards=np.full(taus.size, forward),
    )  # fmt: skip
    number = {f: rows[f].cast(pl.Float64).fill_null(0.0).to_numpy() for f in
              ("best_bid_price", "best_ask_price", "best_bid_amount", "best_ask_amount",
               "underlying_price")}  # fmt: skip
    q = QuoteColumns(
        venue=np.zeros(ids.size, dtype=np.int64), instrument=ids, bid=number["best_bid_price"],
        ask=number["best_ask_price"], bid_size=number["best_bid_amount"], ask_size=number["best_ask_amount"],
        ts_event=ts, ts_recv=ts, forward=number["underlying_price"],
    )  # fmt: skip
    per, singles, health, certified = [], [], {}, True
    batches = [part(q, slice(i, i + 100)) for i in range(0, len(q), 100)]
    for turn in range(repeats):
        stream = SurfaceStream(u, start=start)
        for batch in batches:
            t = time.thread_time_ns()
            stream.on_quotes(batch)
            per.append((time.thread_time_ns() - t) / len(batch) / 1e3)
            if turn == 0:
                t = time.thread_time_ns()
                snap = stream.snapshot(int(batch.ts_event[-1]))
                singles.append((time.thread_time_ns() - t) / 1e3)
                certified &= snap.certificate().valid and not snap.held
        health = dict(stream.health()["deribit"])
    return {
        "messages": len(q), "us_per_message_p50_p99": np.percentile(per, (50, 99)).tolist(),
        "messages_per_second": float(1e6 / np.mean(per[len(batches) :])), "outcomes": health,
        "expiries": int(expiries.size),
        "us_snapshot_p50_p99": np.percentile(singles, (50, 99)).tolist(), "publications": len(singles),
        "all_certified": bool(certified),
    }  # fmt: skip


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    result: dict[str, object] = {}
    for name, task in (
        ("speed", lambda: speed(np.random.default_rng(0))),
        ("against_batch_bp", lambda: against_batch(10)),
        ("ramp", lambda: ramp(np.random.default_rng(1))),
        ("jump", lambda: jump(np.random.default_rng(2))),
        ("recorded_tickers", lambda: tickers()),
        ("recorded_clipped_bp", lambda: recorded(count, False)),
        ("recorded_joint_bp", lambda: recorded(count, True)),
    ):
        try:
            result[name] = task()
        except Exception as exc:  # one part must not hide the others
            result[name] = f"failed: {type(exc).__name__}: {exc}"
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
