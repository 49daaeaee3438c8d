"""Bands that a flexible surface is fitted to, and which of them are believed."""

from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.errors import CalibrationError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR, format_ns
from ivhedge.market import QuoteVols
from ivhedge.surface.selection import SelectionRules

__all__ = ["FlexibleQuotes", "flexible_quotes", "noise_level", "residuals", "trust_in"]

GATE_HALF_SPREADS = 1.0
GATE_SCALES = 4.0
NEIGHBOURS = 6
MIN_SCALE = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibleQuotes:
    """Bid and ask vols of out-of-the-money options, expiry e in rows ``offsets[e]:offsets[e + 1]``.

    Parameters
    ----------
    log_moneyness : FloatArray, shape (q,)
        ln(K / F) on the row's own forward, ascending inside an expiry.
    bid_vol, ask_vol : FloatArray, shape (q,)
        Decimals, NaN for a side that is not quoted; at least one side is.
    mid_vol : FloatArray, shape (q,)
        Vol to be pulled to, NaN for rows that are bounds only (one-sided, bid of one tick).
    offsets : IntArray, shape (n + 1,)
        An expiry may be empty.
    expiries : IntArray, shape (n,)
        Nanoseconds since the epoch, ascending.
    taus : FloatArray, shape (n,)
    source : IntArray, shape (q,)
        Row of each band in the quotes it came from.

    Raises
    ------
    CalibrationError
        If shapes do not fit, an order is wrong, a band is crossed, or a vol is not positive.
    """

    log_moneyness: FloatArray
    bid_vol: FloatArray
    ask_vol: FloatArray
    mid_vol: FloatArray
    offsets: IntArray
    expiries: IntArray
    taus: FloatArray
    source: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        count, n = self.log_moneyness.size, self.taus.size
        if n == 0 or self.expiries.shape != (n,) or self.offsets.shape != (n + 1,):
            raise CalibrationError("expected n >= 1 expiries, n taus and n + 1 offsets; check the quotes")
        if any(a.shape != (count,) for a in (self.bid_vol, self.ask_vol, self.mid_vol)):
            raise CalibrationError("expected log_moneyness, bid_vol, ask_vol and mid_vol of one shape (q,)")
        if self.offsets[0] != 0 or self.offsets[-1] != count or (np.diff(self.offsets) < 0).any():
            raise CalibrationError(f"expected ascending offsets from 0 to {count}, found {self.offsets}")
        if not (self.taus > 0.0).all() or (np.diff(self.taus) <= 0.0).any():
            raise CalibrationError(f"expected positive ascending taus, found {self.taus.tolist()}")
        if not np.isfinite(self.log_moneyness).all():
            raise CalibrationError("expected finite log-moneyness; drop such quotes first")
        for name, vol in (("bid", self.bid_vol), ("ask", self.ask_vol), ("mid", self.mid_vol)):
            if not ((vol > 0.0) & np.isfinite(vol) | np.isnan(vol)).all():
                raise CalibrationError(f"expected positive finite {name} vols or NaN; drop such quotes first")
        if (self.bid_vol > self.ask_vol).any():
            raise CalibrationError(
                "expected bids not above asks, found a crossed quote; clean the chain first"
            )
        if (np.isnan(self.bid_vol) & np.isnan(self.ask_vol)).any():
            raise CalibrationError("expected a bid or an ask in every row; drop rows without any")

    def rows(self, expiry: int) -> slice:
        """Rows of one expiry."""
        return slice(int(self.offsets[expiry]), int(self.offsets[expiry + 1]))


def flexible_quotes(quotes: QuoteVols, rules: SelectionRules | None = None) -> FlexibleQuotes:
    """Take every out-of-the-money quote with at least one side.

    Raises
    ------
    CalibrationError
        If there is none.
    """
    rules = rules or SelectionRules()
    late = quotes.expiry_ns - quotes.ts_ns >= rules.min_hours * NS_PER_HOUR
    crossed = quotes.bid_iv > quotes.ask_iv
    rows = np.flatnonzero(
        quotes.is_otm & late & ~crossed & (np.isfinite(quotes.bid_iv) | np.isfinite(quotes.ask_iv))
    )
    if rows.size == 0:
        raise CalibrationError(
            f"{quotes.underlying} {format_ns(quotes.ts_ns)}: expected an out-of-the-money quote with a bid "
            f"or an ask, found none among {len(quotes)} quotes; check the feed or the cleaning rules"
        )
    keys = (quotes.mid_iv, quotes.ask_iv, quotes.bid_iv, quotes.log_moneyness, quotes.expiry_ns)
    rows = rows[np.lexsort(tuple(key[rows] for key in keys))]
    expiries, first = np.unique(quotes.expiry_ns[rows], return_index=True)
    pulled = quotes.is_two_sided[rows] & ~quotes.at_one_tick[rows]
    pulled &= quotes.half_spread_iv[rows] <= rules.max_relative_half_spread * quotes.mid_iv[rows]
    return FlexibleQuotes(
        log_moneyness=quotes.log_moneyness[rows],
        bid_vol=quotes.bid_iv[rows],
        ask_vol=quotes.ask_iv[rows],
        mid_vol=np.where(pulled, quotes.mid_iv[rows], np.nan),
        offsets=np.append(first, rows.size).astype(np.int64),
        expiries=expiries,
        taus=quotes.tau[rows[first]],
        source=rows,
    )


def residuals(quotes: FlexibleQuotes, rows: slice, vol: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distance of quotes from fitted vols, and half-spreads: decimals.

    A bound that holds has no distance; a one-sided quote counts as having a tenth of its vol as half-spread.
    """
    bid, ask, mid = quotes.bid_vol[rows], quotes.ask_vol[rows], quotes.mid_vol[rows]
    half = np.where(np.isnan(bid) | np.isnan(ask), 0.1 * np.fmax(bid, ask), 0.5 * (ask - bid))
    outside = np.fmax(bid - vol, 0.0)
    outside = np.where(vol > ask, ask - vol, outside)
    return np.where(np.isnan(mid), outside, mid - vol), np.maximum(half, 1e-4)


def trust_in(distance: FloatArray, half: FloatArray, *, coherent: bool) -> tuple[FloatArray, BoolArray]:
    """Trust in the quotes of one expiry, between 0 and 1, and which are believed.

    Trust falls with the distance from a reference smile, in half-spreads and robust scales, and is 0 for
    those that are not believed. With `coherent` a quote far away is believed in full if nearly all its
    neighbours in strike lie equally far: a smile that the reference cannot follow, rather than a bad quote.
    """
    count = distance.size
    if count == 0:
        return np.ones(0), np.ones(0, dtype=np.bool_)
    away = np.abs(distance)
    scale = max(1.4826 * float(np.median(away)), MIN_SCALE)
    good = away <= GATE_HALF_SPREADS * half + GATE_SCALES * scale
    trust = 1.0 / (1.0 + (away / (half + scale)) ** 2) ** 2
    if coherent and count > NEIGHBOURS:
        far = np.flatnonzero(away > half + scale)
        apart = np.abs(np.arange(count)[None, :] - far[:, None])
        near = np.argsort(apart, axis=1, kind="stable")[:, 1 : NEIGHBOURS + 1]
        allowed = half[far, None] + half[near] + 0.35 * away[far, None]
        agree = (np.abs(distance[near] - distance[far, None]) <= allowed).sum(axis=1) >= NEIGHBOURS - 1
        good[far] |= agree
        trust[far[agree]] = 1.0
    return np.where(good, trust, 0.0), np.asarray(good)


def noise_level(distance: FloatArray, half: FloatArray) -> float:
    """Noise of mids in half-spreads, from third differences along the strikes; 1 where too few."""
    u = distance / half
    if u.size < 8:
        return 1.0
    return float(np.clip(1.4826 * np.median(np.abs(np.diff(u, 3))) / np.sqrt(20.0), 0.02, 1.0))
