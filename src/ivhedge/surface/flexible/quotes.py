"""Bands that a flexible surface is fitted to."""

from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.errors import CalibrationError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR, format_ns
from ivhedge.market import QuoteVols
from ivhedge.surface.selection import SelectionRules

__all__ = ["FlexibleQuotes", "flexible_quotes"]


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
    reliance : FloatArray, shape (q,)
        Weight by age, in (0, 1], 1 for the freshest quotes of an expiry; all 1 if left out.

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
    reliance: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        count, n = self.log_moneyness.size, self.taus.size
        if n == 0 or self.expiries.shape != (n,) or self.offsets.shape != (n + 1,):
            raise CalibrationError("expected n >= 1 expiries, n taus and n + 1 offsets; check the quotes")
        if self.reliance.size == 0:
            object.__setattr__(self, "reliance", np.ones(count))
        if self.reliance.shape != (count,) or not ((self.reliance > 0.0) & (self.reliance <= 1.0)).all():
            raise CalibrationError("expected a reliance above 0 and at most 1 for every row")
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

    @property
    def owner(self) -> IntArray:
        """Expiry number of each row."""
        return np.repeat(np.arange(self.taus.size), np.diff(self.offsets))


def flexible_quotes(
    quotes: QuoteVols, rules: SelectionRules | None = None, *, half_life_s: float = 60.0
) -> FlexibleQuotes:
    """Take every out-of-the-money quote with at least one side that is not hopelessly old.

    Parameters
    ----------
    quotes : QuoteVols
    rules : SelectionRules, optional
    half_life_s : float
        Age at which a quote counts half as much as a fresh one, seconds.

    Raises
    ------
    CalibrationError
        If there is none.
    """
    rules = rules or SelectionRules()
    late = quotes.expiry_ns - quotes.ts_ns >= rules.min_hours * NS_PER_HOUR
    crossed = quotes.bid_iv > quotes.ask_iv
    fresh = quotes.age_s <= rules.max_staleness_half_lives * half_life_s
    rows = np.flatnonzero(
        quotes.is_otm & late & fresh & ~crossed & (np.isfinite(quotes.bid_iv) | np.isfinite(quotes.ask_iv))
    )
    if rows.size == 0:
        raise CalibrationError(
            f"{quotes.underlying} {format_ns(quotes.ts_ns)}: expected an out-of-the-money quote with a bid "
            f"or an ask, found none among {len(quotes)} quotes; check the feed or the cleaning rules"
        )
    keys = (quotes.mid_iv, quotes.ask_iv, quotes.bid_iv, quotes.log_moneyness, quotes.expiry_ns)
    rows = rows[np.lexsort(tuple(key[rows] for key in keys))]
    expiries, first = np.unique(quotes.expiry_ns[rows], return_index=True)
    youngest = np.repeat(np.minimum.reduceat(quotes.age_s[rows], first), np.diff(np.append(first, rows.size)))
    pulled = quotes.is_two_sided[rows] & ~quotes.at_one_tick[rows]
    pulled &= quotes.half_spread_iv[rows] <= rules.max_relative_half_spread * quotes.mid_iv[rows]
    return FlexibleQuotes(
        log_moneyness=quotes.log_moneyness[rows],
        bid_vol=quotes.bid_iv[rows],
        ask_vol=quotes.ask_iv[rows],
        mid_vol=np.where(pulled, quotes.centre_iv[rows], np.nan),
        offsets=np.append(first, rows.size).astype(np.int64),
        expiries=expiries,
        taus=quotes.tau[rows[first]],
        source=rows,
        reliance=np.exp2((youngest - quotes.age_s[rows]) / half_life_s),
    )
