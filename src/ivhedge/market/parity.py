"""Forwards from put-call parity, with the band inside which they could be traded.

For a call and a put of one strike K, prices in coin: ``C - P = 1 - K/F``, so ``F = K / (1 - (C - P))``;
prices in USD, undiscounted: ``F = K + C - P``. Buying the one at its ask and selling the other at its bid
gives the two ends of the executable band.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.market.arrays import floats, median, nanoseconds

__all__ = ["MAD_TO_SD", "ParityForward", "parity_forwards", "weighted_median"]

MAD_TO_SD = 1.4826
"""Standard deviation of a normal sample over its median absolute deviation."""
_MEDIAN_TO_MEAN = 1.2533
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
    """

    forward: float
    std_error: float
    band_low: float
    band_high: float
    n_pairs: int


def weighted_median(values: FloatArray, weights: FloatArray) -> float:
    """Value at which the cumulated weight crosses one half (midpoint when it hits it)."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    half = 0.5 * cumulated[-1]
    low = int(np.searchsorted(cumulated, half, side="left"))
    high = int(np.searchsorted(cumulated, half, side="right"))
    ordered = values[order]
    return float(0.5 * (ordered[low] + ordered[min(high, ordered.size - 1)]))


def parity_forwards(chain: pl.DataFrame, *, max_pairs: int = 8) -> dict[tuple[str, int], ParityForward]:
    """Estimate the forward of every (venue, expiry) that has two-sided pairs.

    Parameters
    ----------
    chain : pl.DataFrame
        Cleaned rows in `CHAIN_SCHEMA` of one time and underlying.
    max_pairs : int
        Number of strikes nearest to the forward that are used.

    Returns
    -------
    dict
        By venue and expiry (nanoseconds, UTC). The forward is the median of the pairs' mid forwards
        weighted by the inverse width of their bands.
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
            pairs.low[a:b], pairs.mid[a:b], pairs.high[a:b], pairs.strike[a:b], max_pairs
        )
        for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """Call-put pairs sorted by venue, expiry, strike; `venue` indexes `names`."""

    names: tuple[str, ...]
    venue: IntArray
    expiry_ns: IntArray
    strike: FloatArray
    low: FloatArray
    mid: FloatArray
    high: FloatArray


def _pairs(chain: pl.DataFrame) -> _Pairs:
    venues = chain["venue"].to_list()
    names = tuple(sorted(set(venues)))
    numbers = {name: number for number, name in enumerate(names)}
    venue = np.array([numbers[name] for name in venues], dtype=np.int64)
    expiry_ns = nanoseconds(chain["expiry"])
    strike, is_call = chain["strike"].to_numpy(), chain["is_call"].to_numpy()
    in_coin = (chain["settlement"] == "coin").to_numpy()
    bid, ask = floats(chain["bid"]), floats(chain["ask"])
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
    call = call[usable]
    return _Pairs(
        names=names,
        venue=venue[call],
        expiry_ns=expiry_ns[call],
        strike=strike[call],
        low=low[usable],
        mid=mid[usable],
        high=high[usable],
    )


def _implied_forward(gap: FloatArray, strike: FloatArray, in_coin: BoolArray) -> FloatArray:
    """Forward from a call price less a put price; infinite where no forward is high enough."""
    room = np.where(in_coin, np.maximum(1.0 - gap, 0.0), 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(in_coin, strike / room, strike + gap))


def _estimate(
    low: FloatArray, mid: FloatArray, high: FloatArray, strike: FloatArray, max_pairs: int
) -> ParityForward:
    half = 0.5 * (high - low)
    weight = 1.0 / np.maximum(half, 1e-6 * mid)
    first_guess = weighted_median(mid, weight)
    near = np.argsort(np.abs(np.log(strike / first_guess)), kind="stable")[:max_pairs]
    forward = weighted_median(mid[near], weight[near])
    scatter = MAD_TO_SD * median(np.abs(mid[near] - forward))
    quantum = median(half[near]) / 3.0**0.5
    band_low, band_high = _common_band(low[near], high[near])
    return ParityForward(
        forward=forward,
        std_error=float(np.sqrt(((_MEDIAN_TO_MEAN * scatter) ** 2 + quantum**2) / near.size)),
        band_low=band_low,
        band_high=band_high,
        n_pairs=int(near.size),
    )


def _common_band(low: FloatArray, high: FloatArray) -> tuple[float, float]:
    skipped = low.size // _MAY_CONTRADICT
    bottom, top = float(np.sort(low)[-1 - skipped]), float(np.sort(high)[skipped])
    return (bottom, top) if bottom <= top else (float(low.min()), float(high.max()))
