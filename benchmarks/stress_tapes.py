"""Stress tapes through the stream: certified at every publication, and whether error bars hold. Prints JSON.

Simulated: three venues, ten expiries of 30 strikes, 150 quotes a second, a known surface that walks; one
publication a second for five minutes (half an hour where all quotes stop). Held against the truth at the
money and one standard deviation on either side.

``python benchmarks/stress_tapes.py [seeds] [first]``
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing import black76_price
from ivhedge.surface import EssviSurface, certify, essvi_total_variance
from ivhedge.surface.stream import (
    REASONS,
    QuoteColumns,
    StreamSettings,
    SurfaceStream,
    TrustState,
    Universe,
    surface_trust,
)

T0 = 1_767_614_400_000_000_000
DAY = 86_400_000_000_000
DAYS = np.array([1, 3, 7, 14, 30, 60, 90, 180, 270, 365])
PER, FORWARD, PER_SECOND = 30, 90_000.0, 150
VENUES = ("first", "second", "third")
HALF = np.array([0.004, 0.006, 0.010])  # half-spreads, decimal vol
WALK = 0.5  # decimal vol per square root of a year
FAT = 0.3
SPAN = 300


@dataclass(frozen=True)
class Tape:
    """What happens: spot and level of vol by the second, and what becomes of the quotes."""

    spot: Callable[[FloatArray], FloatArray] = lambda t: 0.0 * t
    level: Callable[[FloatArray], FloatArray] = lambda t: 0.0 * t
    halt: tuple[tuple[int, float, float], ...] = ()  # venue, from, to
    one_sided: float = (
        0.0  # share of quotes without a bid, from 60 s to 180 s; then all without asks to 210 s
    )
    fingers: float = (
        0.0  # share of quotes off by 30 vol points; bursts of twenty at a time at 100 s and 200 s
    )
    span: int = SPAN


def ramp(t: FloatArray, start: float, length: float) -> FloatArray:
    """From 0 to 1."""
    return np.clip((t - start) / length, 0.0, 1.0)


def crash(t: FloatArray) -> FloatArray:
    """Spot by -20 % in a minute."""
    return np.log(0.8) * ramp(t, 60.0, 60.0)


def panic(t: FloatArray) -> FloatArray:
    """Vol by 15 points in a minute."""
    return 0.15 * ramp(t, 60.0, 60.0)


ALL = tuple((v, 60.0, 1e9) for v in range(3))
TAPES = {
    "calm": Tape(),
    "crash": Tape(spot=crash, level=panic),
    "vol spike and decay": Tape(level=lambda t: 0.15 * (ramp(t, 60.0, 100.0) - 0.7 * ramp(t, 180.0, 100.0))),
    "jump": Tape(spot=lambda t: -0.05 * (t > 60.0), level=lambda t: 0.03 * (t > 60.0)),
    "vol jump alone": Tape(level=lambda t: 0.05 * (t > 60.0)),
    "one-sided": Tape(one_sided=0.4),
    "first venue halts": Tape(halt=((0, 60.0, 240.0),)),
    "fat fingers": Tape(fingers=0.05),
    "everything stops": Tape(halt=ALL, span=1800),
    "crash, halt, fat fingers": Tape(spot=crash, level=panic, halt=((0, 70.0, 240.0),), fingers=0.03),
    "crash, then everything stops": Tape(
        spot=crash, level=panic, halt=tuple((v, 90.0, 240.0) for v in range(3))
    ),
}


def universe() -> Universe:
    """Calls and puts at every strike; strikes wide enough for a crash."""
    k = np.concatenate([np.linspace(-3.2, 2.4, PER) * 0.6 * np.sqrt(d / 365.0) for d in DAYS])
    k = np.where(np.abs(k) < 0.3, k, np.sign(k) * (0.3 + (np.abs(k) - 0.3)))
    # Short expiries list strikes down to where a crash may lead.
    for e, d in enumerate(DAYS):
        if d < 30:
            k[e * PER : (e + 1) * PER] = np.linspace(-0.34, 0.2, PER)
    expiry = np.repeat(T0 + DAYS * DAY, PER)
    return Universe(
        venues=VENUES, strike=np.tile(FORWARD * np.exp(k), 2), expiry_ns=np.tile(expiry, 2),
        is_call=np.repeat([1, 0], k.size), in_coin=np.ones(2 * k.size, dtype=np.int64),
    )  # fmt: skip


def surface_at(ts: int, level: FloatArray, forward: float) -> EssviSurface:
    """The truth: a crypto-like surface whose vols at the money are raised expiry by expiry."""
    taus = (T0 + DAYS * DAY - ts) / (365.0 * DAY)
    base = 0.36 * (1.0 + 0.1 * (1.0 - np.exp(-taus / 0.3)))
    theta = np.maximum.accumulate((np.sqrt(base) + level) ** 2 * taus)
    rho = -0.05 - 0.2 * (1.0 - np.exp(-taus / 0.25))
    psi = 1.08 * np.sqrt(theta) / (1.0 + 0.4 * np.sqrt(theta))
    return EssviSurface(
        underlying="BTC", ts_ns=ts, expiries=T0 + DAYS * DAY, taus=taus, theta=theta, rho=rho, psi=psi,
        forwards=np.full(DAYS.size, forward),
    )  # fmt: skip


def play(tape: Tape, seed: int, settings: StreamSettings | None = None) -> dict[str, float]:
    """One tape through one stream."""
    rng = np.random.default_rng(seed)
    u = universe()
    m = u.strike.size // 2
    seconds = np.arange(tape.span + 1.0)
    walk = np.cumsum(rng.normal(0.0, WALK * np.sqrt(1.0 / 31_536_000.0), (seconds.size, DAYS.size)), axis=0)
    shape = np.clip((DAYS / 30.0) ** -0.3, 0.4, 2.0)
    level = walk + tape.level(seconds)[:, None] * shape
    forward = FORWARD * np.exp(tape.spot(seconds))
    stream = SurfaceStream(u, start=surface_at(T0, level[0], FORWARD), settings=settings)
    counts = np.zeros(len(REASONS), dtype=np.int64)
    covered, errors, bars, uncertified, trusted = [], [], [], 0, []
    for second in range(tape.span):
        truth = surface_at(T0 + second * 10**9, level[second], forward[second])
        n = 3 * m if second == 0 else PER_SECOND
        venue = np.repeat(np.arange(3), m) if second == 0 else rng.integers(0, 3, n)
        item = np.tile(np.arange(m), 3) if second == 0 else rng.integers(0, m, n)
        fat = rng.random(n) < tape.fingers
        if tape.fingers and second in (100, 200):
            fat[:20] = True
        columns = quotes(u, truth, venue, item, rng, fat, second, tape)
        if columns is not None:
            counts += np.bincount(stream.on_quotes(columns), minlength=len(REASONS))
        now = T0 + (second + 1) * 10**9
        after = surface_at(now, level[second + 1], forward[second + 1])
        snap = stream.snapshot(now)
        dense = second % 10 == 0 or (second > 55 and second < 130 and second % 3 == 0)
        uncertified += int(snap.held or (dense and not certify(snap.surface).valid))
        trusted.append([state is TrustState.GOOD for state in surface_trust(snap).state])
        z = np.tile([-1.0, 0.0, 1.0], DAYS.size)
        e = np.repeat(np.arange(DAYS.size), 3)
        k = z * np.sqrt(after.theta[e])
        error = np.sqrt(
            essvi_total_variance(k, snap.surface.theta[e], snap.surface.rho[e], snap.surface.psi[e])
            / after.taus[e]
        ) - np.sqrt(essvi_total_variance(k, after.theta[e], after.rho[e], after.psi[e]) / after.taus[e])
        bar = snap.vol_error(k, e)
        covered.append(np.abs(error) <= 1.96 * bar)
        errors.append(error)
        bars.append(bar)
    err, bar, cov = np.array(errors), np.array(bars), np.array(covered)
    good, off = np.array(trusted), np.abs(err[:, 1::3])
    worst = np.convolve(cov.mean(axis=1), np.ones(20) / 20.0, mode="valid").min()
    return {
        "uncertified": uncertified, "coverage": float(cov.mean()), "coverage_worst_20_s": float(worst),
        "rmse_bp": float(1e4 * np.sqrt((err**2).mean())), "max_bp": float(1e4 * np.abs(err).max()),
        "median_bar_bp": float(1e4 * np.median(bar)), "called_good": float(good.mean()),
        "called_good_but_2_points_off": float((good & (off > 0.02)).sum() / max((off > 0.02).sum(), 1)),
        "in_use_share": float(counts[:2].sum() / max(counts.sum(), 1)),
    }  # fmt: skip


def quotes(
    u: Universe,
    truth: EssviSurface,
    venue: np.ndarray,
    item: np.ndarray,
    rng: np.random.Generator,
    fat: np.ndarray,
    second: int,
    tape: Tape,
) -> QuoteColumns | None:
    """Out-of-the-money quotes of one second around the truth, less what the tape takes away."""
    m = u.strike.size // 2
    live = np.ones(venue.size, dtype=bool)
    for v, start, end in tape.halt:
        live &= ~((venue == v) & (second >= start) & (second < end))
    venue, item, fat = venue[live], item[live], fat[live]
    n = venue.size
    if n == 0:
        return None
    ts = truth.ts_ns + np.sort(rng.integers(0, 10**9 - 1, n))
    forward = float(truth.forwards[0])
    k, e = np.log(u.strike[item] / forward), item // PER
    vol = np.sqrt(essvi_total_variance(k, truth.theta[e], truth.rho[e], truth.psi[e]) / truth.taus[e])
    half = HALF[venue]
    vol = vol + 0.6 * half * rng.standard_normal(n) + np.where(fat, FAT * rng.choice([-1.0, 1.0], n), 0.0)
    call = k >= 0.0
    tau = (u.expiry_ns[item] - ts) / (365.0 * DAY)
    bid, ask = (
        black76_price(forward, u.strike[item], tau, np.maximum(vol + s * half, 0.02), call) / forward
        for s in (-1.0, 1.0)
    )
    if tape.one_sided:
        if 60 <= second < 180:
            bid = np.where(rng.random(n) < tape.one_sided, 0.0, bid)
        elif 180 <= second < 210:
            ask = np.zeros(n)
    return QuoteColumns(
        venue=venue, instrument=np.where(call, item, item + m), bid=bid, ask=ask, bid_size=np.full(n, 5.0),
        ask_size=np.full(n, 5.0), ts_event=ts, ts_recv=ts, forward=np.full(n, forward),
    )  # fmt: skip


if __name__ == "__main__":
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    out = {}
    for name, tape in TAPES.items():
        runs = [play(tape, seed) for seed in range(first, first + seeds)]
        out[name] = {
            key: round(
                float((max if key in ("uncertified", "max_bp") else np.mean)([r[key] for r in runs])), 4
            )
            for key in runs[0]
        }
    print(json.dumps(out, indent=1))
