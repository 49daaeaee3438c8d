"""The kernel program beside other surfaces on the same quotes: fit, left-out strikes, arbitrage, time.

Contenders: the eSSVI backbone, raw SVI per expiry inside its butterfly domain (no calendar condition),
Andreasen-Huge local-volatility interpolation (QuantLib, cubic and piecewise-linear), and the flexible kernel
program. Every one is given the same two-sided out-of-the-money quotes; bands of all two-sided quotes judge
it. Arbitrage is counted by one rule for all, on prices: 801 strikes over ±8 at-the-money deviations at the
fitted expiries. Prints JSON; needs the recorded Deribit chains (IVHEDGE_DATA, default ../shared/data).

``python benchmarks/challengers.py [snapshots per asset]``
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from flexible_data import every_fourth, without
from ivhedge.core.types import FloatArray
from ivhedge.market import clean_chain, quote_vols, read_chains
from ivhedge.pricing import black76_price
from ivhedge.surface import EssviSurface, FlexibleSettings, fit_flexible, fit_surface, flexible_quotes
from ivhedge.surface.flexible import FlexibleQuotes
from ivhedge.surface.models import VolQuotes, fit_svi

Vols = Callable[[FloatArray, int], FloatArray]
"""Vols of a fitted contender at log-moneyness, for an expiry number."""

LEAST_QUOTES = 6
FALL = 1e-9
"""Fall of a price, forward 1, that counts as arbitrage: above what the inversions lose."""


def by_backbone(quotes: FlexibleQuotes, backbone: EssviSurface) -> Vols:
    """The surface that every other one is compared with."""
    return lambda k, e: backbone.implied_vol(k, quotes.taus[e])


def by_program(quotes: FlexibleQuotes, backbone: EssviSurface) -> Vols:
    """The kernel program."""
    surface = fit_flexible(quotes, backbone, FlexibleSettings()).surface
    return lambda k, e: surface.implied_vol(k, quotes.taus[e])


def by_svi(quotes: FlexibleQuotes, backbone: EssviSurface) -> Vols:
    """Raw SVI expiry by expiry; the backbone where there are too few quotes."""
    slices = []
    for e in range(quotes.taus.size):
        rows = quotes.rows(e)
        good = np.isfinite(quotes.mid_vol[rows])
        found = None
        if good.sum() >= LEAST_QUOTES:
            one = VolQuotes(
                log_moneyness=quotes.log_moneyness[rows][good],
                bid_vol=quotes.bid_vol[rows][good],
                ask_vol=quotes.ask_vol[rows][good],
                mid_vol=quotes.mid_vol[rows][good],
                offsets=np.array([0, int(good.sum())]),
                taus=quotes.taus[e : e + 1],
            )
            found = fit_svi(one).params
        slices.append(found)

    def vols(k: FloatArray, e: int) -> FloatArray:
        own = slices[e]
        return backbone.implied_vol(k, quotes.taus[e]) if own is None else own.implied_vol(k)

    return vols


def by_andreasen_huge(shape: str) -> Callable[[FlexibleQuotes, EssviSurface], Vols]:
    """QuantLib's Andreasen-Huge on a calendar whose day is an hour; quotes are mids."""
    import QuantLib as ql  # noqa: N813

    def contender(quotes: FlexibleQuotes, backbone: EssviSurface) -> Vols:
        today = ql.Date(1, 1, 2020)
        ql.Settings.instance().evaluationDate = today
        counter = ql.Actual365Fixed()
        rates = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, counter))
        hours = np.maximum(1, np.round(quotes.taus * 365.0 * 24.0).astype(int))
        given = ql.CalibrationSet()
        for e in range(quotes.taus.size):
            exercise = ql.EuropeanExercise(today + int(hours[e]))
            rows = quotes.rows(e)
            for k, vol in zip(quotes.log_moneyness[rows], quotes.mid_vol[rows], strict=True):
                if np.isfinite(vol):
                    side = ql.Option.Call if k >= 0.0 else ql.Option.Put
                    option = ql.VanillaOption(ql.PlainVanillaPayoff(side, float(np.exp(k))), exercise)
                    scaled = float(vol * np.sqrt(quotes.taus[e] * 365.0 / hours[e]))
                    given.push_back((option, ql.SimpleQuote(scaled)))
        spot = ql.QuoteHandle(ql.SimpleQuote(1.0))
        kind = getattr(ql.AndreasenHugeVolatilityInterpl, shape)
        found = ql.AndreasenHugeVolatilityInterpl(given, spot, rates, rates, kind)
        adapter = ql.AndreasenHugeVolatilityAdapter(found)
        adapter.enableExtrapolation()

        def vols(k: FloatArray, e: int) -> FloatArray:
            years = float(hours[e]) / 365.0
            out = np.full(k.shape, np.nan)
            for i, one in enumerate(k):
                try:
                    out[i] = adapter.blackVol(years, float(np.exp(one)), True)
                except RuntimeError:
                    # No price left to invert: counted as outside, and not judged for arbitrage.
                    continue
            return out * np.sqrt(years / quotes.taus[e])

        return vols

    return contender


def arbitrage(vols: Vols, backbone: EssviSurface, quotes: FlexibleQuotes) -> tuple[int, int, int, int]:
    """Expiries not convex in strike, neighbours falling in time: over ±8 deviations, and between quotes."""
    z = np.linspace(-8.0, 8.0, 801)
    counts = np.zeros(4, dtype=np.int64)
    n = quotes.taus.size
    for e in range(n):
        width = float(backbone.implied_vol(0.0, quotes.taus[e])) * np.sqrt(quotes.taus[e])
        k = z * width
        own = quotes.log_moneyness[quotes.rows(e)]
        quoted = (k >= own.min()) & (k <= own.max()) if own.size else np.zeros(k.size, dtype=np.bool_)
        price = _calls(vols(k, e), k, float(quotes.taus[e]))
        slope = np.diff(price) / np.diff(np.exp(k))
        bend = np.diff(slope) * np.diff(np.exp(k))[1:] < -FALL
        counts[0] += bend.any()
        counts[2] += (bend & quoted[:-2] & quoted[2:]).any()
        if e + 1 < n:
            later = _calls(vols(k, e + 1), k, float(quotes.taus[e + 1]))
            falls = later - price < -FALL
            counts[1] += falls.any()
            counts[3] += (falls & quoted).any()
    return int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])


def _calls(vol: FloatArray, k: FloatArray, tau: float) -> FloatArray:
    good = np.isfinite(vol)
    price = np.full(k.shape, np.nan)
    price[good] = black76_price(
        1.0, np.exp(k[good]), tau, vol[good], np.ones(int(good.sum()), dtype=np.bool_)
    )
    return price


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if not root.is_dir():
        print(json.dumps({"skipped": "recorded chains not found; point IVHEDGE_DATA at a folder with them"}))
        return
    contenders: dict[str, Callable[[FlexibleQuotes, EssviSurface], Vols]] = {
        "essvi": by_backbone,
        "svi": by_svi,
        "kernel_program": by_program,
    }
    try:
        contenders["andreasen_huge_cubic"] = by_andreasen_huge("CubicSpline")
        contenders["andreasen_huge_linear"] = by_andreasen_huge("Linear")
    except ImportError:
        print("QuantLib is not installed: make setup-bench", file=sys.stderr)
    found = {coin: measure(root / coin, contenders, count) for coin in ("BTC", "ETH")}
    print(json.dumps(found, indent=2))


def measure(
    folder: Path, contenders: dict[str, Callable[[FlexibleQuotes, EssviSurface], Vols]], count: int
) -> dict[str, object]:
    """All contenders on some snapshots of one asset."""
    chains = read_chains(folder)
    times = chains["ts"].unique().sort()
    at = np.linspace(0, times.len() - 1, count).astype(int).tolist()
    seen: dict[str, dict[str, list[FloatArray]]] = {
        name: {"inside": [], "out_inside": [], "out_error": [], "faults": [], "ms": []} for name in contenders
    }
    for ts in times.gather(at):
        chain = chains.filter(pl.col("ts") == ts)
        base = fit_surface(chain)
        quotes = flexible_quotes(quote_vols(clean_chain(chain).chain, base.forwards))
        dropped = every_fourth(quotes)
        rest = without(quotes, dropped)
        for name, contender in contenders.items():
            mine = seen[name]
            start = time.thread_time()
            vols = contender(quotes, base.backbone)
            # With the vols at the quotes: some contenders calibrate at the first question.
            inside = held(vols, quotes)
            mine["ms"].append(np.array([1e3 * (time.thread_time() - start)]))
            mine["faults"].append(np.array(arbitrage(vols, base.backbone, quotes)))
            two_sided = np.isfinite(quotes.bid_vol) & np.isfinite(quotes.ask_vol)
            mine["inside"].append(inside[two_sided])
            fewer = contender(rest, base.backbone)
            mine["out_inside"].append(held(fewer, quotes)[dropped])
            mine["out_error"].append(np.abs(everywhere(fewer, quotes) - quotes.mid_vol)[dropped])
    return {name: _summary(mine) for name, mine in seen.items()} | {"snapshots": count}


def everywhere(vols: Vols, quotes: FlexibleQuotes) -> FloatArray:
    """Vols at all quotes."""
    return np.concatenate([vols(quotes.log_moneyness[quotes.rows(e)], e) for e in range(quotes.taus.size)])


def held(vols: Vols, quotes: FlexibleQuotes) -> FloatArray:
    """Quotes whose band holds the fitted vol; no vol is outside."""
    vol = everywhere(vols, quotes)
    return ~((vol < quotes.bid_vol - 1e-9) | (vol > quotes.ask_vol + 1e-9) | np.isnan(vol))


def _summary(mine: dict[str, list[FloatArray]]) -> dict[str, object]:
    error = 1e4 * np.nan_to_num(np.concatenate(mine["out_error"]), nan=1.0)
    faults = np.array(mine["faults"]).sum(axis=0)
    return {
        "inside": round(float(np.concatenate(mine["inside"]).mean()), 4),
        "left_out_inside": round(float(np.concatenate(mine["out_inside"]).mean()), 4),
        "left_out_error_bp_p50_p95": [round(float(v), 1) for v in np.quantile(error, (0.5, 0.95))],
        "expiries_with_butterfly": int(faults[0]),
        "pairs_with_calendar": int(faults[1]),
        "expiries_with_butterfly_between_quotes": int(faults[2]),
        "pairs_with_calendar_between_quotes": int(faults[3]),
        "cpu_ms_p50": round(float(np.median(np.concatenate(mine["ms"]))), 1),
    }


if __name__ == "__main__":
    main()
