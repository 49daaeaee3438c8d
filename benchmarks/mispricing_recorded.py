"""Parts of `mispricing.py` on recorded data."""

import os
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.errors import IvHedgeError
from ivhedge.core.units import NS_PER_DAY, NS_PER_YEAR
from ivhedge.hedge import CostModel
from ivhedge.hedge.mispricing import (
    FairBand,
    Offers,
    Reversion,
    StatisticalSettings,
    estimate_reversion,
    executable_offers,
    fair_band,
    mispricings,
    static_arbitrages,
)
from ivhedge.ledger import load_fees
from ivhedge.market import MarketSnapshot, quote_vols, read_chains, read_futures, snapshots
from ivhedge.pricing import black76_greeks, implied_vol
from ivhedge.surface import FitSettings, SurfaceModel, fit_surface

ROOT = Path(os.environ.get("IVHEDGE_DATA", "../shared/data"))
COSTS = CostModel(fees={"deribit": load_fees("deribit")})
HORIZON_S = 6 * 3600.0
HALF_SPREAD = 0.005  # of the way out, decimal vol; half a median recorded Deribit spread
NET = StatisticalSettings(horizon_s=HORIZON_S)
Judged = tuple[MarketSnapshot, FairBand, Offers]
Trade = tuple[str, int, float]  # instrument, side, price in coin


def judged(coin: str, stride: int) -> list[Judged]:
    """Recorded Deribit chains, fitted and judged."""
    source = ROOT / "deribit_chains" / coin
    chains, futures = read_chains(source), read_futures(source, missing_ok=True)
    done = []
    every = list(snapshots(chains, futures))
    for shot in every[: len(every) // stride]:
        try:
            fit = fit_surface(shot.chain, settings=FitSettings(model=SurfaceModel.ESSVI))
        except IvHedgeError:
            continue
        band = fair_band(quote_vols(shot.chain, fit.forwards), fit.surface)
        done.append((shot, band, executable_offers(shot, COSTS, unknown_size=1.0)))
    return done


def history_rows(shot: MarketSnapshot, band: FairBand) -> pl.DataFrame:
    """Deviations of one snapshot, for `estimate_reversion`."""
    q = band.quotes
    table = pl.DataFrame(
        {"ts": [shot.ts_ns] * len(q), "venue": list(q.venue), "instrument_name": list(q.instrument_name),
         "deviation": band.deviation, "half_spread": q.half_spread_iv},
    )  # fmt: skip
    return table.filter(pl.col("deviation").is_finite()).with_columns(pl.from_epoch("ts", "ns"))


def net_trades(band: FairBand, offers: Offers, reversion: Reversion) -> list[Trade]:
    """What `mispricings` finds worth its costs."""
    found = mispricings(offers, band, COSTS, reversion=reversion, settings=NET).quotes
    return [(q.offer.instrument.name, q.offer.side, q.offer.price) for q in found]


def gross_trades(band: FairBand) -> list[Trade]:
    """Every side that lies three errors beyond fair, costs not asked: to see whether it tells anything."""
    q = band.quotes
    sides = [(1, band.vol - q.ask_iv, q.ask_iv), (-1, q.bid_iv - band.vol, q.bid_iv)]
    found = []
    for side, beyond, vol in sides:
        for row in np.flatnonzero(band.judged & np.isfinite(vol) & (beyond > 3.0 * band.error)):
            found.append((q.instrument_name[row], side, float("nan")))
    return found


def quotes_of(shot: MarketSnapshot) -> dict[str, tuple[float, float, float]]:
    """Bid, ask and forward by instrument; NaN = missing."""
    rows = shot.chain.select("instrument_name", "bid", "ask", "forward").with_columns(
        pl.col("bid", "ask", "forward").fill_null(np.nan)
    )
    return {name: (bid, ask, forward) for name, bid, ask, forward in rows.iter_rows()}


def closed(trade: Trade, number: int, done: list[Judged], books: list, *, costs: bool) -> float | None:
    """USD per coin of a trade hedged once at its start and closed at the next quotes within a day."""
    name, side, price = trade
    shot, band, _ = done[number]
    bid, ask, forward = books[number][name]
    row = band.quotes.instrument_name.index(name)
    price = (ask if side > 0 else bid) if np.isnan(price) else price
    delta = float(
        black76_greeks(
            forward, band.quotes.strike[row], band.quotes.tau[row], band.vol[row],
            bool(band.quotes.is_call[row]), names=("delta",),
        )["delta"]
    )  # fmt: skip
    for later in range(number + 1, len(done)):
        gap_s = (done[later][0].ts_ns - shot.ts_ns) / 1e9
        if gap_s > 86_400.0:
            return None
        quote = books[later].get(name)
        if quote is None:
            continue
        low, high, after = quote
        out = (low if side > 0 else high) if costs else 0.5 * (low + high)
        if not (np.isfinite(out) and np.isfinite(after)):
            continue
        gain = side * (out * after - price * forward - delta * (after - forward))
        if costs:
            fees = sum(min(0.0003, 0.125 * p) for p in (price, out)) * forward
            gain -= fees + abs(delta) * forward * (2e-4 * NET.hedge_bps + NET.funding_8h * gap_s / 28_800.0)
        return float(gain)
    return None


def judge(trades: list[list[Trade]], first: int, done: list[Judged], books: list, *, costs: bool) -> dict:
    """Gains with a bootstrap over days."""
    gains, days, unclosed = [], [], 0
    for i, found in enumerate(trades):
        for trade in found:
            gain = closed(trade, first + i, done, books, costs=costs)
            if gain is None:
                unclosed += 1
                continue
            gains.append(gain)
            days.append(done[first + i][0].ts_ns // NS_PER_DAY)
    if not gains:
        return {"traded": 0, "unclosed": unclosed}
    g, d = np.array(gains), np.array(days)
    names = np.unique(d)
    sums = np.array([[g[d == n].sum(), (d == n).sum()] for n in names])
    draws = sums[np.random.default_rng(2).integers(0, names.size, (2000, names.size))].sum(axis=1)
    low, high = np.quantile(draws[:, 0] / draws[:, 1], [0.025, 0.975])
    return {
        "traded": int(g.size), "unclosed": unclosed, "days": int(names.size),
        "mean_usd_per_coin": round(float(g.mean()), 1),
        "interval_95": [round(float(low), 1), round(float(high), 1)],
        "median_usd": round(float(np.median(g)), 1), "share_gaining": round(float((g > 0).mean()), 3),
    }  # fmt: skip


def recorded(stride: int) -> dict:
    """Deribit alone: static arbitrage at the quotes; findings traded at the quotes and out at the next.

    Half-lives are measured on the first half of the recording, findings judged on the second.
    """
    if not (ROOT / "deribit_chains").exists():
        return {"skipped": f"no recorded chains at {ROOT}; set IVHEDGE_DATA"}
    out: dict[str, object] = {}
    for coin in ("BTC", "ETH"):
        done = judged(coin, stride)
        books = [quotes_of(shot) for shot, _, _ in done]
        middle = len(done) // 2
        history = pl.concat([history_rows(shot, band) for shot, band, _ in done[:middle]])
        back = estimate_reversion(history, rng=np.random.default_rng(1), max_gap_s=12 * 3600.0)
        scans = [static_arbitrages(offers, COSTS) for _, _, offers in done[:: max(1, len(done) // 60)]]
        second = done[middle:-1]
        net = [net_trades(band, offers, back) for _, band, offers in second]
        gross = [gross_trades(band) for _, band, _ in second]
        out[coin] = {
            "snapshots": len(done), "sides_judged": sum(2 * int(band.judged.sum()) for _, band, _ in second),
            "half_life_h": [round(x / 3600.0, 2) for x in (back.half_life_s, back.low_s, back.high_s)],
            "pairs": back.n,
            "static": {"scans": len(scans), "findings": sum(len(s.findings) for s in scans)},
            "net of costs, z 3": judge(net, middle, done, books, costs=True),
            "three errors beyond fair, out at mids, no fees": judge(gross, middle, done, books, costs=False),
            "the same, out at the quotes, all costs": judge(gross, middle, done, books, costs=True),
        }  # fmt: skip
    return out


def last_trades(_: object) -> dict:
    """Bybit's and Binance's last option trades against the Deribit chain of the morning: prices, not quotes.

    A trade is new where the price changed from one round to the next. What a new one is off the chain's fair
    vol, less the venue's taker fee and half a recorded Deribit spread for the way out, were it to be had.
    """
    source = ROOT / "stale_multi_venue" / "last_trades_2026-04-08.parquet"
    if not source.exists():
        return {"skipped": f"no {source}; set IVHEDGE_DATA"}
    shots = snapshots(
        pl.concat([
            read_chains(ROOT / "deribit_chains" / coin, start="2026-04-08", end="2026-04-08")
            for coin in ("BTC", "ETH")
        ])
    )  # fmt: skip
    wide = pl.read_parquet(source)
    rows = wide.unpivot(
        on=["call_last", "put_last"], index=["timestamp", "venue", "currency", "expiry", "strike"],
        variable_name="side", value_name="price",
    ).sort("timestamp")  # fmt: skip
    key = ["venue", "currency", "expiry", "strike", "side"]
    rows = rows.with_columns(before=pl.col("price").shift(1).over(key))
    fresh = rows.filter(pl.col("before").is_not_null() & (pl.col("price") != pl.col("before")))
    chains = list(shots)
    out: dict[str, object] = {
        "rows": rows.filter(pl.col("price").is_not_null()).height,
        "new_trades": fresh.height,
    }
    off: dict[str, list[tuple[float, float, int]]] = {}
    for row in fresh.iter_rows(named=True):
        stamp = int(row["timestamp"].timestamp() * 1e9)
        near = [s for s in chains if s.underlying == row["currency"]]
        if not near:
            continue
        shot = min(near, key=lambda s: abs(s.ts_ns - stamp))
        if abs(shot.ts_ns - stamp) > 4 * 3600 * 1e9:
            continue
        fit = _fit(shot)
        expiry = int(row["expiry"].timestamp() * 1e9)
        if expiry not in fit.surface.expiries.tolist():
            continue
        tau = (expiry - stamp) / NS_PER_YEAR
        forward = float(fit.surface.forward((expiry - shot.ts_ns) / NS_PER_YEAR))
        call = row["side"] == "call_last"
        vol = float(implied_vol(row["price"], forward, row["strike"], tau, call))
        k = np.log(row["strike"] / forward)
        fair = float(fit.surface.implied_vol(k, tau))
        if not np.isfinite(vol) or abs(k) > 2.0 * fair * np.sqrt(tau):
            continue
        greeks = black76_greeks(forward, row["strike"], tau, fair, call, names=("vega",))
        fee = 2.0 * min(0.0003 * forward, 0.07 * row["price"]) / float(greeks["vega"])
        off.setdefault(row["venue"], []).append((vol - fair, fee, expiry))
    for venue, pairs in off.items():
        d, fee, block = np.array(pairs).T
        net = np.abs(d) - fee - HALF_SPREAD
        names = np.unique(block)
        counts = np.array([[(net[block == n] > 0).sum(), (block == n).sum()] for n in names])
        draws = counts[np.random.default_rng(3).integers(0, names.size, (2000, names.size))].sum(axis=1)
        out[venue] = {
            "judged": int(d.size), "median_abs_off_vol_points": round(100 * float(np.median(np.abs(d))), 2),
            "median_off": round(100 * float(np.median(d)), 2),
            "median_fees": round(100 * float(np.median(fee)), 2),
            "share_beyond_costs": round(float((net > 0).mean()), 2),
            "interval_95_by_expiry": np.quantile(draws[:, 0] / draws[:, 1], [0.025, 0.975]).round(2).tolist(),
        }  # fmt: skip
    return out


_FITS: dict[tuple[str, int], object] = {}


def _fit(shot: MarketSnapshot):
    key = (shot.underlying, shot.ts_ns)
    if key not in _FITS:
        _FITS[key] = fit_surface(shot.chain, settings=FitSettings(model=SurfaceModel.ESSVI))
    return _FITS[key]
