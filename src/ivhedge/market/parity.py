"""Forwards from put-call parity, with the band inside which they could be traded.

For a call and a put of one strike K, prices in coin: ``C - P = 1 - K/F``, so ``F = K / (1 - (C - P))``;
prices in USD, undiscounted: ``F = K + C - P``. Buying the one at its ask and selling the other at its bid
gives the two ends of the executable band.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR
from ivhedge.market.arrays import floats, median, nanoseconds

__all__ = ["MAD_TO_SD", "ParityForward", "outside_bands", "parity_forwards", "weighted_median"]

MAD_TO_SD = 1.4826
"""Standard deviation of a normal sample over its median absolute deviation."""
_TUKEY = 4.685
_EVEN = 3.0**-0.5
"""Standard deviation of an even distribution over a band, in half-widths."""
_PRIOR_PAIRS = 3.0
_BAND_PAIRS = 8
_LEAST_SHARE = 0.05
_LOCATION_ROUNDS = 8
_LAGS = 4
_SECONDS = NS_PER_YEAR / 1e9
_MAY_CONTRADICT = 4
"""One pair in so many is left out at either end of the common band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityForward:
    """Forward of one expiry on one venue.

    Parameters
    ----------
    forward, std_error : float
        USD.
    band_low, band_high : float
        Where the executable bands of the pairs overlap, USD. One pair in four may contradict the others on
        either side, because a single stale quote moves its pair's band by more than the band is wide; the
        hull of all bands when the others do not overlap either.
    n_pairs : int
        Strikes used.
    disjoint : bool
        Whether the bands do not overlap even so: the quotes contradict each other, or could be traded
        against each other at a profit.
    """

    forward: float
    std_error: float
    band_low: float
    band_high: float
    n_pairs: int
    disjoint: bool = False


def weighted_median(values: FloatArray, weights: FloatArray) -> float:
    """Value at which the cumulated weight crosses one half (midpoint when it hits it)."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    half = 0.5 * cumulated[-1]
    low = int(np.searchsorted(cumulated, half, side="left"))
    high = int(np.searchsorted(cumulated, half, side="right"))
    ordered = values[order]
    return float(0.5 * (ordered[low] + ordered[min(high, ordered.size - 1)]))


def outside_bands(
    expiry_ns: IntArray,
    forward: FloatArray,
    room: FloatArray,
    judged: BoolArray,
    low: FloatArray,
    high: FloatArray,
) -> dict[int, tuple[float, float]]:
    """Judged forwards that lie outside every executable band of their expiry.

    Parameters
    ----------
    expiry_ns : IntArray, shape (n,)
    forward, room : FloatArray, shape (n,)
        Forwards, and how far each may lie outside, in one currency.
    judged : BoolArray, shape (n,)
    low, high : FloatArray, shape (n,)
        Bands in the same currency, NaN where there is none.

    Returns
    -------
    dict
        The hull of the bands by the position of the forward; an expiry without bands judges nothing.
    """
    found = {}
    for number in np.flatnonzero(judged).tolist():
        at = (expiry_ns == expiry_ns[number]) & np.isfinite(low)
        below, above = forward[number] < low[at] - room[number], forward[number] > high[at] + room[number]
        if at.any() and (below | above).all():
            found[number] = float(low[at].min()), float(high[at].max())
    return found


def parity_forwards(
    chain: pl.DataFrame, *, max_pairs: int = 64, drift_vol: float = 0.5, unstamped_lag_s: float = 6.0
) -> dict[tuple[str, int], ParityForward]:
    """Estimate the forward of every (venue, expiry) that has two-sided pairs.

    Parameters
    ----------
    chain : pl.DataFrame
        Cleaned rows in `CHAIN_SCHEMA` of one time and underlying.
    max_pairs : int
        Number of strikes nearest to the forward that are used.
    drift_vol : float
        A pair whose older quote is t years old is off by this annual volatility times the root of t.
    unstamped_lag_s : float
        Quotes without a stamp are all off together by what the forward moves in this time, seconds; it
        enters the error once, however many pairs there are.

    Returns
    -------
    dict
        By venue and expiry (nanoseconds, UTC). The forward is a robust mean of the pairs' mid forwards
        (Tukey's biweight), weighted by inverse variance from the width of their bands and their age.
    """
    pairs = _pairs(chain)
    if pairs.low.size == 0:
        return {}
    changed = np.diff(pairs.venue, prepend=-1).astype(bool) | np.diff(pairs.expiry_ns, prepend=-1).astype(
        bool
    )
    starts = np.flatnonzero(changed)
    ends = np.append(starts[1:], pairs.low.size)
    return {
        (pairs.names[pairs.venue[a]], int(pairs.expiry_ns[a])): _estimate(
            pairs.low[a:b],
            pairs.mid[a:b],
            pairs.high[a:b],
            pairs.strike[a:b],
            drift_vol * pairs.age[a:b] ** 0.5,
            drift_vol * (unstamped_lag_s / _SECONDS) ** 0.5,
            max_pairs,
        )
        for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """Call-put pairs sorted by venue, expiry, strike; `venue` indexes `names`, `age` is in years."""

    names: tuple[str, ...]
    venue: IntArray
    expiry_ns: IntArray
    strike: FloatArray
    low: FloatArray
    mid: FloatArray
    high: FloatArray
    age: FloatArray


def _pairs(chain: pl.DataFrame) -> _Pairs:
    venues = chain["venue"].to_list()
    names = tuple(sorted(set(venues)))
    numbers = {name: number for number, name in enumerate(names)}
    venue = np.array([numbers[name] for name in venues], dtype=np.int64)
    expiry_ns = nanoseconds(chain["expiry"])
    strike, is_call = chain["strike"].to_numpy(), chain["is_call"].to_numpy()
    in_coin = (chain["settlement"] == "coin").to_numpy()
    bid, ask = floats(chain["bid"]), floats(chain["ask"])
    age = _age_years(chain)
    order = np.lexsort((is_call, strike, in_coin, expiry_ns, venue))
    order = order[np.isfinite(bid[order]) & np.isfinite(ask[order])]
    put, call = order[:-1], order[1:]
    match = ~is_call[put] & is_call[call]
    for key in (strike, in_coin, expiry_ns, venue):
        match &= key[put] == key[call]
    put, call = put[match], call[match]
    cheap, dear = bid[call] - ask[put], ask[call] - bid[put]
    gaps = (cheap, 0.5 * (cheap + dear), dear)
    low, mid, high = (_implied_forward(gap, strike[call], in_coin[call]) for gap in gaps)
    usable = (low > 0) & (high >= low) & np.isfinite(high)
    put, call = put[usable], call[usable]
    return _Pairs(
        names=names,
        venue=venue[call],
        expiry_ns=expiry_ns[call],
        strike=strike[call],
        low=low[usable],
        mid=mid[usable],
        high=high[usable],
        age=np.maximum(age[put], age[call]),
    )


def _age_years(chain: pl.DataFrame) -> FloatArray:
    """Years since the last change of each quote; NaN where unknown."""
    seconds = (chain["ts"] - chain["ts_event"]).dt.total_nanoseconds().cast(pl.Float64)
    return np.asarray(np.maximum(seconds.to_numpy(), 0.0) / NS_PER_YEAR)


def _implied_forward(gap: FloatArray, strike: FloatArray, in_coin: BoolArray) -> FloatArray:
    """Forward from a call price less a put price; infinite where no forward is high enough."""
    room = np.where(in_coin, np.maximum(1.0 - gap, 0.0), 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(in_coin, strike / room, strike + gap))


def _estimate(
    low: FloatArray,
    mid: FloatArray,
    high: FloatArray,
    strike: FloatArray,
    drift: FloatArray,
    common: float,
    max_pairs: int,
) -> ParityForward:
    half = 0.5 * (high - low)
    unstamped = np.isnan(drift)
    drift = np.nan_to_num(drift)
    weight = 1.0 / np.hypot(np.maximum(half, 1e-6 * mid), drift * mid)
    first_guess = weighted_median(mid, weight)
    near = np.argsort(np.abs(np.log(strike / first_guess)), kind="stable")[:max_pairs]
    forward, error = _location(mid[near], half[near], strike[near], drift[near] * first_guess)
    # Few and narrow: wide pairs would only widen what one pair in four may contradict.
    tight = near[np.argsort(half[near], kind="stable")[:_BAND_PAIRS]]
    band_low, band_high, disjoint = _common_band(low[tight], high[tight])
    return ParityForward(
        forward=forward,
        std_error=float(np.hypot(error, common * forward * unstamped[near].mean())),
        band_low=band_low,
        band_high=band_high,
        n_pairs=int(near.size),
        disjoint=disjoint,
    )


def _location(
    mid: FloatArray, half: FloatArray, strike: FloatArray, drift: FloatArray
) -> tuple[float, float]:
    """Robust mean of the pairs (Tukey's biweight about their weighted median) and its standard error.

    The scatter of a pair is a share of its half-width, the same for all pairs of an expiry and estimated
    from them; a stale pair scatters by what the forward may have moved since.
    """
    width = np.maximum(half, 1e-6 * mid)
    forward = weighted_median(mid, 1.0 / np.hypot(width, drift))
    share, sd, keep = _EVEN, width, np.ones(mid.size)
    for _ in range(_LOCATION_ROUNDS):
        spread = MAD_TO_SD * median(np.abs(mid - forward) / np.hypot(width, drift / _EVEN))
        # Few pairs say little about their own scatter; an even distribution in the band stands in.
        share = ((mid.size * spread**2 + _PRIOR_PAIRS * _EVEN**2) / (mid.size + _PRIOR_PAIRS)) ** 0.5
        sd = np.hypot(max(share, _LEAST_SHARE) * width, drift)
        keep = np.maximum(1.0 - ((mid - forward) / (_TUKEY * sd)) ** 2, 0.0) ** 2
        if not keep.any():
            keep = np.ones(mid.size)
            break
        forward = float(np.sum(keep / sd**2 * mid) / np.sum(keep / sd**2))
    share_of_all = keep / sd**2 / np.sum(keep / sd**2)
    effective = 1.0 / float(np.sum(share_of_all**2))
    # What the pairs promise, or what they show if that is more: neighbours in strike err alike, because one
    # quoter serves them, so their products count with the squares (Bartlett weights, Newey and West 1987).
    model = float(np.sum(share_of_all**2 * sd**2))
    pull = (share_of_all * (mid - forward))[np.argsort(strike, kind="stable")]
    shown = float(np.sum(pull**2))
    for lag in range(1, min(_LAGS, mid.size - 1) + 1):
        shown += 2.0 * (1.0 - lag / (_LAGS + 1.0)) * float(np.sum(pull[lag:] * pull[:-lag]))
    shown *= effective / max(effective - 1.0, 0.5) if mid.size > 1 else 1.0
    return forward, max(model, shown) ** 0.5 * (1.0 + 0.5 / effective)


def _common_band(low: FloatArray, high: FloatArray) -> tuple[float, float, bool]:
    skipped = low.size // _MAY_CONTRADICT
    bottom, top = float(np.sort(low)[-1 - skipped]), float(np.sort(high)[skipped])
    disjoint = bottom > top
    return (float(low.min()), float(high.max()), True) if disjoint else (bottom, top, False)
