"""P&L attribution of recorded books: residual as a share of gross, by order and by sub-steps.

Prints JSON and needs the recorded Deribit chains and hourly spot (IVHEDGE_DATA, default ../shared/data),
January and February 2026. Four books per coin are chosen anew at the first snapshot after 08:00 UTC of each
day and held over the snapshots in between, legs that expire on the way to their payoff; an inverse
perpetual brings the delta in coin to zero at every snapshot. Settlement is the 08:00 spot, moved by the
ratio of index to spot. Funding, fees and trades at the snapshots are left out: they are not part of a
residual.

`share` is Σ|residual| / gross over all rows of a kind, `p95` the 95th percentile over rows, `share_90` the
90 % interval of `share` (moving blocks of two days). Rows: `sub_step` takes every sub-step of at most an
hour by itself; `interval` nets the residual over the sub-steps from one snapshot to the next. Gross is net
over the legs and absolute per sub-step and term; `per_leg_share` takes |residual| and gross leg by leg.
`default` is the third order with the exact remainder where a move is too long for the series (`exact_rows`:
share of sub-steps and option legs), the others are classical throughout, and `remainder_hourly` is exact
throughout.

`revaluation_largest_gap` is the largest difference between the sum of all factors and the change of the
marks, over gross; `unexplained_share` the gap between marks and model, `factor_shares` the absolute net P&L
of each factor over sub-steps, of all. `bridge` leaves every second snapshot out, bridges it from its
neighbours and gives the RMSE of the fixed-strike vols, in vol points, for several skew-stickiness ratios;
January chose the default, February judges it.
"""

import itertools
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.errors import IvHedgeError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR, VOL_POINT, format_ns
from ivhedge.market import read_chains
from ivhedge.pricing import coin_greeks
from ivhedge.risk.attribution import (
    FLOWS,
    PERPETUAL,
    ExplainSettings,
    ExplainStatus,
    Explanation,
    HeldLegs,
    LegMarks,
    Role,
    SpotPath,
    bridge,
    explain,
    mark_legs,
)
from ivhedge.surface import EssviSurface, fit_surface

COINS, MONTHS = ("BTC", "ETH"), ("2026-01", "2026-02")
MAX_GAP_NS, BLOCK, RESAMPLES, SEED = 13 * NS_PER_HOUR, 8, 1000, 20260222
# Tenor in days (0 = the nearest expiry), forward delta of the call at the strike, call, size in coin.
BOOKS: dict[str, tuple[tuple[float, float, bool, float], ...]] = {
    "short_ladder": tuple(
        (days, delta, delta < 0.5, -1.0) for days in (2.0, 7.0, 14.0, 30.0) for delta in (0.75, 0.25)
    ),
    "straddles": tuple((days, 0.5, call, -1.0) for days in (7.0, 30.0) for call in (True, False)),
    "zero_day": (
        *((0.0, delta, delta < 0.5, -1.0) for delta in (0.75, 0.5, 0.25)),
        *((days, 0.5, True, size) for days, size in ((0.0, -1.0), (7.0, 1.0))),
        (7.0, 0.5, False, 1.0),
    ),
    "long_dated": (
        *((90.0, 0.5, call, 1.0) for call in (True, False)),
        *((180.0, delta, delta < 0.5, 1.0 if delta < 0.5 else -1.0) for delta in (0.75, 0.25)),
        (300.0, 0.5, True, -1.0),
    ),
}
VARIANTS: dict[str, ExplainSettings] = {
    "default": ExplainSettings(),
    "third_hourly": ExplainSettings(exact_beyond=None),
    "second_hourly": ExplainSettings(order=2, exact_beyond=None),
    "third_single": ExplainSettings(exact_beyond=None, max_step_ns=None),
    "second_single": ExplainSettings(order=2, exact_beyond=None, max_step_ns=None),
    "remainder_hourly": ExplainSettings(nodes=3),
}
REVALUED = ExplainSettings(method="revaluation")


@dataclass(frozen=True, slots=True)
class Moment:
    """One snapshot: rows of the chain by name, its surface, index and perpetual."""

    ts_ns: int
    index: float
    perpetual: float
    surface: EssviSurface
    rows: dict[str, dict[str, float]]
    chain: pl.DataFrame


def moments(root: Path, coin: str) -> list[Moment]:
    marks = pl.read_parquet(root / "deribit_chains" / "perpetual_marks.parquet")
    marks = marks.filter(pl.col("currency") == coin).select(pl.col("timestamp").dt.epoch("ns"), "price")
    perpetual = dict(marks.iter_rows())
    expiry, found = pl.col("expiry").dt.epoch("ns"), []
    for month in MONTHS:
        whole = read_chains(root / "deribit_chains" / coin / f"{month}.parquet")
        for chain in whole.partition_by("ts", maintain_order=True):
            try:
                surface = fit_surface(chain).published()
            except IvHedgeError:
                continue
            index = float(np.median(chain["index"].drop_nulls().to_numpy()))
            named = chain.select("instrument_name", "mark", "forward", "strike", "is_call", expiry)
            rows = {row.pop("instrument_name"): row for row in named.to_dicts()}
            price = perpetual.get(surface.ts_ns // 1000 * 1000, index)
            found.append(Moment(surface.ts_ns, index, price, surface, rows, named))
    return found


def spot_path(root: Path, coin: str) -> SpotPath:
    frame = pl.read_parquet(root / "underlying_hourly" / f"{coin}.parquet")
    frame = frame.filter(pl.col("timestamp").dt.year() >= 2026).sort("timestamp")
    return SpotPath(
        ts_ns=frame["timestamp"].dt.epoch("ns").to_numpy(), price=frame["open"].to_numpy().astype(np.float64)
    )


def choose(moment: Moment, book: str) -> dict[str, float]:
    """Names and sizes of a book's options: the listed ones nearest to each tenor and delta."""
    chain = moment.chain
    tau = (chain["expiry"].to_numpy() - moment.ts_ns) / NS_PER_YEAR
    strike, forward = chain["strike"].to_numpy(), chain["forward"].to_numpy()
    vol = moment.surface.implied_vol(np.log(strike / forward), tau)
    total = vol * np.sqrt(tau)
    d1 = np.log(forward / strike) / total + total / 2
    call = chain["is_call"].to_numpy()
    held: dict[str, float] = {}
    for days, delta, is_call, size in BOOKS[book]:
        nearest = tau[np.argmin(np.abs(tau - days / 365.0))]
        # The normal quantile of the deltas used, so that no distribution function is needed here.
        target = {0.25: -0.6745, 0.5: 0.0, 0.75: 0.6745}[delta]
        away = np.where((tau == nearest) & (call == is_call), np.abs(d1 - target), np.inf)
        name = str(chain["instrument_name"][int(np.argmin(away))])
        held[name] = held.get(name, 0.0) + size
    return held


def legs_of(
    coin: str, held: dict[str, float], moment: Moment, about: dict[str, dict[str, float]]
) -> HeldLegs:
    """Options still alive and the perpetual that makes them neutral in coin."""
    names = [name for name in held if about[name]["expiry"] > moment.ts_ns]
    n = len(names) + 1
    strike = np.array([*(about[name]["strike"] for name in names), np.nan])
    call = np.array([*(bool(about[name]["is_call"]) for name in names), False])
    expiry = np.array([*(int(about[name]["expiry"]) for name in names), PERPETUAL], dtype=np.int64)
    size = np.array([*(held[name] for name in names), 0.0])
    tau = (expiry[:-1] - moment.ts_ns) / NS_PER_YEAR
    forward = moment.surface.forward(tau)
    vol = moment.surface.implied_vol(np.log(strike[:-1] / forward), tau)
    delta = coin_greeks(forward, strike[:-1], tau, vol, call[:-1], names=("delta_coin",))["delta_coin"]
    size[-1] = -float(delta @ size[:-1]) * moment.perpetual
    return HeldLegs(
        underlying=coin,
        names=(*names, f"{coin}-PERPETUAL"),
        currencies=(coin,) * n,
        roles=(Role.BOOK,) * (n - 1) + (Role.HEDGE,),
        size=size,
        is_option=np.array([True] * (n - 1) + [False]),
        is_call=call,
        is_coin=np.ones(n, dtype=np.bool_),
        strike=strike,
        expiry_ns=expiry,
    )


def marks_of(legs: HeldLegs, moment: Moment, settlement: ArrayLike = np.nan) -> LegMarks:
    rows = [moment.rows.get(name, {}) for name in legs.names[:-1]]
    price = [np.nan if row.get("mark") is None else row["mark"] for row in rows]
    forward = [np.nan if row.get("forward") is None else row["forward"] for row in rows]
    return mark_legs(
        legs,
        ts_ns=moment.ts_ns,
        spot=moment.index,
        price=np.array([*price, moment.perpetual]),
        forward=np.array([*forward, np.nan]),
        surface=moment.surface,
        settlement=settlement,
    )


def settlements(legs: HeldLegs, start: Moment, end: Moment, path: SpotPath) -> FloatArray:
    found = np.full(legs.count, np.nan)
    due = np.flatnonzero((legs.expiry_ns != PERPETUAL) & (legs.expiry_ns <= end.ts_ns))
    if due.size:
        ends = path.at(np.array([start.ts_ns, end.ts_ns], dtype=np.int64))
        gap = np.log(np.array([start.index, end.index]) / ends)
        share = (legs.expiry_ns[due] - start.ts_ns) / (end.ts_ns - start.ts_ns)
        found[due] = path.at(legs.expiry_ns[due]) * np.exp((1 - share) * gap[0] + share * gap[1])
    return found


def steps(
    coin: str, book: str, seen: list[Moment], path: SpotPath
) -> Iterator[tuple[HeldLegs, LegMarks, LegMarks]]:
    """Legs and marks of each interval whose ends the path covers."""
    held: dict[str, float] = {}
    about: dict[str, dict[str, float]] = {}
    day = -1
    for start, end in itertools.pairwise(seen):
        today = (start.ts_ns - 8 * NS_PER_HOUR) // NS_PER_DAY
        if today != day:
            held = choose(start, book)
            about = {name: start.rows[name] for name in held}
            day = today
        if end.ts_ns - start.ts_ns > MAX_GAP_NS or end.ts_ns > path.ts_ns[-1]:
            continue
        legs = legs_of(coin, held, start, about)
        if legs.count > 1:
            yield legs, marks_of(legs, start), marks_of(legs, end, settlements(legs, start, end, path))


def shares(found: list[Explanation], rng: np.random.Generator) -> dict[str, object]:
    """Residual over gross, per sub-step, per interval and per leg."""
    sub, whole, leg = [], [], []
    for one in found:
        counted = _counted(one.term_names)
        at = one.term_names.index("residual")
        net = one.terms.sum(axis=1)
        gross = np.abs(net[:, counted]).sum(axis=1)
        sub.append(np.stack([np.abs(net[:, at]), gross], axis=1))
        whole.append([abs(net[:, at].sum()), gross.sum()])
        leg.append([np.abs(one.terms[:, :, at]).sum(), np.abs(one.terms[:, :, counted]).sum()])
    return {
        "sub_step": {**_share(np.concatenate(sub))},
        "interval": {**_share(np.array(whole)), "share_90": _interval(np.array(whole), rng)},
        "per_leg_share": float(np.array(leg)[:, 0].sum() / np.array(leg)[:, 1].sum()),
    }


def _counted(names: tuple[str, ...]) -> list[int]:
    return [i for i, name in enumerate(names) if name not in (*FLOWS, "residual", "unexplained")]


def _share(pairs: FloatArray) -> dict[str, float]:
    pairs = pairs[pairs[:, 1] > 0]
    each = pairs[:, 0] / pairs[:, 1]
    return {
        "rows": len(pairs),
        "share": float(pairs[:, 0].sum() / pairs[:, 1].sum()),
        "p95": float(np.quantile(each, 0.95)),
        "max": float(each.max()),
    }


def _interval(pairs: FloatArray, rng: np.random.Generator) -> list[float]:
    n = len(pairs)
    starts = rng.integers(0, max(n - BLOCK, 1), (RESAMPLES, -(-n // BLOCK)))
    rows = np.minimum((starts[:, :, None] + np.arange(BLOCK)).reshape(RESAMPLES, -1)[:, :n], n - 1)
    drawn = pairs[rows].sum(axis=1)
    return [float(q) for q in np.quantile(drawn[:, 0] / drawn[:, 1], [0.05, 0.95])]


def judge(coin: str, book: str, seen: list[Moment], path: SpotPath) -> dict[str, object]:
    rng = np.random.default_rng(SEED)
    rows = list(steps(coin, book, seen, path))
    result: dict[str, object] = {"intervals": len(rows)}
    explained = {}
    for name, settings in VARIANTS.items():
        begun = time.thread_time()
        explained[name] = [explain(*row, path=path, settings=settings) for row in rows]
        milliseconds = 1e3 * (time.thread_time() - begun) / len(rows)
        result[name] = shares(explained[name], rng) | {"ms_per_interval": milliseconds}
    default = explained["default"]
    result["exact_rows"] = _exact_rows(default, explained["third_hourly"])
    gap, gross, lost = 0.0, 0.0, 0.0
    for (legs, start, end), one in zip(rows, default, strict=True):
        exact = explain(legs, start, end, path=path, settings=REVALUED)
        # The last leg is an inverse perpetual; the mark change by hand, apart from the code judged.
        ledger = float(legs.size[:-1] @ (end.price - start.price)[:-1])
        ledger += float(legs.size[-1] * (1.0 / start.price[-1] - 1.0 / end.price[-1]))
        here = np.abs(one.terms[:, :, _counted(one.term_names)]).sum()
        gap = max(gap, abs(exact.factors.sum() - ledger) / here)
        gross += here
        lost += np.abs(one.terms[:, :, one.term_names.index("unexplained")]).sum()
    statuses = [s.value for one in default for s in one.status]
    names = default[0].factor_names
    net = np.abs(np.concatenate([one.factors.sum(axis=1) for one in default])).sum(axis=0)
    parts = {names[i]: float(net[i] / net[_counted(names)].sum()) for i in _counted(names)}
    return result | {
        "revaluation_largest_gap": gap,
        "unexplained_share": lost / gross,
        "leg_status": {s: statuses.count(s) for s in sorted(set(statuses))},
        "factor_shares": parts,
    }


def _exact_rows(default: list[Explanation], classical: list[Explanation]) -> float:
    gamma = default[0].term_names.index("gamma")
    pairs = [
        (a.terms[:, :-1, gamma], b.terms[:, :-1, gamma]) for a, b in zip(default, classical, strict=True)
    ]
    return float(sum((a != b).sum() for a, b in pairs) / sum((a != 0.0).sum() for a, _ in pairs))


def bridge_errors(coin: str, seen: list[Moment], path: SpotPath) -> dict[str, object]:
    """RMSE of the vols of a left-out snapshot, by skew stickiness and month."""
    ratios = (0.0, 0.5, 1.0, 1.25, 1.5)
    found: dict[str, dict[float, list[FloatArray]]] = {m: {r: [] for r in ratios} for m in MONTHS}
    for a, b, c in zip(seen[:-2], seen[1:-1], seen[2:], strict=True):
        if c.ts_ns - a.ts_ns > 15 * NS_PER_HOUR or c.ts_ns > path.ts_ns[-1]:
            continue
        names = [name for book in ("short_ladder", "long_dated") for name in choose(a, book)]
        alive = [n for n in names if a.rows[n]["expiry"] > c.ts_ns and n in b.rows and n in c.rows]
        legs = legs_of(coin, dict.fromkeys(alive, 1.0), a, a.rows)
        one, mid, two = (marks_of(legs, m) for m in (a, b, c))
        usable = np.array(
            [set(s) == {ExplainStatus.OK} for s in zip(one.status, mid.status, two.status, strict=True)]
        )
        grid = SpotPath(
            ts_ns=np.array([a.ts_ns, b.ts_ns, c.ts_ns], dtype=np.int64),
            price=np.array([a.index, b.index, c.index]),
        )
        month = format_ns(b.ts_ns)[:7]
        for r in ratios:
            laid = bridge(legs, one, two, usable, path=grid, max_step_ns=NS_PER_DAY, skew_stickiness=r)
            at = int(np.searchsorted(laid.ts_ns, b.ts_ns))
            found[month][r].append((laid.vol[at] - mid.vol)[usable & legs.is_option])
    return {
        month: {str(r): float(np.sqrt(np.mean(np.concatenate(e) ** 2)) / VOL_POINT) for r, e in by.items()}
        for month, by in found.items()
    }


def main() -> None:
    root = Path(
        os.environ.get("IVHEDGE_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data")
    )
    if not (root / "deribit_chains").is_dir():
        print(json.dumps({"skipped": "recorded data not found; point IVHEDGE_DATA at a folder that has it"}))
        return
    result: dict[str, object] = {"machine": platform.processor() or platform.machine(), "months": MONTHS}
    for coin in COINS:
        seen, path = moments(root, coin), spot_path(root, coin)
        result[coin] = {book: judge(coin, book, seen, path) for book in BOOKS} | {
            "snapshots": len(seen),
            "bridge": bridge_errors(coin, seen, path),
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
