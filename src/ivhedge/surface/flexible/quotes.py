"""Bands that a flexible surface is fitted to, and which of them are believed."""

from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.errors import CalibrationError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR, format_ns
from ivhedge.market import QuoteVols
from ivhedge.surface.selection import SelectionRules

__all__ = ["FlexibleQuotes", "flexible_quotes", "local_reference", "noise_level", "residuals", "trust_in"]

GATE_HALF_SPREADS = 1.0
GATE_SCALES = 4.0
GATE_VOL = 0.04
"""Share of the vol by which a believed quote may always miss the reference."""
NEIGHBOURS = 11
MIN_SCALE = 0.003
MOST_NOISE = 0.35
"""Standard deviation of a mid anywhere in the middle 60 % of its band, in half-spreads."""


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


def residuals(quotes: FlexibleQuotes, rows: slice, vol: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distance of quotes from fitted vols, and the half-spreads that it is measured in: decimals.

    For a row with a mid the distance from it. A bound that holds has no distance, and one that does not is
    already measured from its edge: it has no half-spread.
    """
    bid, ask, mid = quotes.bid_vol[rows], quotes.ask_vol[rows], quotes.mid_vol[rows]
    outside = np.fmax(bid - vol, 0.0)
    outside = np.where(vol > ask, ask - vol, outside)
    bound = np.isnan(mid)
    return np.where(bound, outside, mid - vol), np.where(bound, 0.0, np.maximum(0.5 * (ask - bid), 1e-4))


def local_reference(quotes: FlexibleQuotes, rows: slice, vol: FloatArray) -> FloatArray:
    """Reference smile of one expiry moved to where most neighbouring mids lie.

    A feature of the market is shared by neighbouring strikes, a bad quote stands alone: the distance of the
    mids from `vol` is smoothed by repeated-median regression over the nearest strikes, which holds up to
    half of them bad.

    References
    ----------
    Siegel (1982), Robust regression using repeated medians.
    Davies, Fried, Gather (2004), Robust signal extraction for on-line monitoring data.
    """
    k, mid = quotes.log_moneyness[rows], quotes.mid_vol[rows]
    pulled = np.flatnonzero(np.isfinite(mid))
    window = min(NEIGHBOURS, pulled.size)
    if window < 5:
        return vol
    x, y = k[pulled], (mid - vol)[pulled]
    # Past the midpoint between its first quote and the one after its last, a window moves on.
    near = np.searchsorted(0.5 * (x[:-window] + x[window:]), k)[:, None] + np.arange(window)[None, :]
    dx, dy = x[near] - k[:, None], y[near]
    run = dx[:, None, :] - dx[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.where(np.abs(run) > 1e-12, (dy[:, None, :] - dy[:, :, None]) / run, np.nan)
    other = ~np.eye(window, dtype=np.bool_)
    slopes = slopes[:, other].reshape(k.size, window, window - 1)
    slope = np.median(np.median(np.nan_to_num(slopes, nan=0.0), axis=2), axis=1)
    # Outside the strikes with a mid the shift is held, a line would run away.
    at = np.clip(k, x[0], x[-1]) - k
    return np.asarray(np.maximum(vol + np.median(dy - slope[:, None] * (dx - at[:, None]), axis=1), 0.01))


def trust_in(distance: FloatArray, half: FloatArray, vol: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Trust in the quotes of one expiry, between 0 and 1, and which are believed.

    A quote is believed within a half-spread, and the larger of some robust scales and a share of the vol, of
    the reference smile `vol`. Trust falls with the distance; it is 0 for those that are not believed.
    """
    if distance.size == 0:
        return np.ones(0), np.ones(0, dtype=np.bool_)
    away, valued = np.abs(distance), half > 0.0
    typical = float(np.median(away[valued])) if valued.any() else 0.0
    scale = max(1.4826 * typical, MIN_SCALE)
    good = away <= GATE_HALF_SPREADS * half + np.maximum(GATE_SCALES * scale, GATE_VOL * vol)
    trust = 1.0 / (1.0 + (away / (half + scale)) ** 2) ** 2
    return np.where(good, trust, 0.0), np.asarray(good)


def noise_level(distance: FloatArray, half: FloatArray) -> float:
    """Noise of mids in half-spreads, from third differences along the strikes, at most `MOST_NOISE`.

    It is that too where there are too few.
    """
    u = distance / half
    if u.size < 8:
        return MOST_NOISE
    return float(np.clip(1.4826 * np.median(np.abs(np.diff(u, 3))) / np.sqrt(20.0), 0.02, MOST_NOISE))
