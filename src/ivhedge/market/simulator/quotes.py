"""From the truth to what one venue shows: biased, spread, rounded, late, partly missing or stale."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.instruments import InstrumentKind, Settlement, TickLadder
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_SECOND
from ivhedge.market.simulator.smiles import Points, Smile
from ivhedge.market.simulator.venues import VenueProfile, round_to_ticks
from ivhedge.pricing import black76_price

__all__ = ["OptionDraws", "QuoteColumns", "draw_options", "quote_options", "quoted_sizes", "venue_vol"]

QuoteColumns = dict[str, np.ndarray]
"""Columns of a chain by name; missing numbers are NaN until they enter a table."""

_LOWEST_VOL = 0.01
_SMALL_TENOR_YEARS = 7.0 / 365.0
_Z_LIMIT = 3.0
_OUTLIER_RANGE = (0.05, 0.25)
_MAX_LATENCY_NS = NS_PER_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionDraws:
    """Everything random about one venue's option quotes in one snapshot; arrays of shape (n,)."""

    is_stale: BoolArray
    age_steps: IntArray  # path steps, a power of two; 0 for fresh quotes
    outlier_shift: FloatArray  # vol; 0 for ordinary quotes
    spread_factor: FloatArray
    skew: FloatArray  # share of the half spread
    missing_bid: BoolArray
    missing_ask: BoolArray
    latency_ns: IntArray
    lag_ns: IntArray  # between arrival and snapshot
    bid_lots: FloatArray
    ask_lots: FloatArray


def draw_options(
    profile: VenueProfile, count: int, rng: np.random.Generator, *, path_step_ns: int, oldest_steps: IntArray
) -> OptionDraws:
    """Draw the randomness of `count` options.

    Parameters
    ----------
    profile : VenueProfile
    count : int
    rng : np.random.Generator
    path_step_ns : int
        Unit of ages.
    oldest_steps : IntArray, shape (count,)
        Largest age that each option can have; an option whose drawn age is larger stays fresh.
    """
    stale = rng.random(count) < profile.stale_probability
    seconds = profile.stale_age_seconds * np.exp(profile.stale_age_sigma * rng.standard_normal(count))
    powers = np.round(np.log2(np.maximum(seconds * NS_PER_SECOND / path_step_ns, 1.0))).astype(np.int64)
    longest = int(np.log2(max(int(oldest_steps.max(initial=1)), 1)))
    ages = np.left_shift(1, np.minimum(powers, longest))
    stale &= ages <= oldest_steps
    outlier = (rng.random(count) < profile.outlier_probability) & ~stale
    shift = rng.uniform(*_OUTLIER_RANGE, count) * rng.choice([-1.0, 1.0], count)
    spread = np.exp(profile.spread_noise * rng.standard_normal(count))
    skew = profile.skew_noise * rng.uniform(-1.0, 1.0, count)
    missing = rng.random((2, count)) < profile.missing_side_probability
    latency = profile.latency_ms * 1e6 * np.exp(profile.latency_sigma * rng.standard_normal(count))
    lag = rng.uniform(0.0, min(path_step_ns, NS_PER_SECOND), count)
    lots = quoted_sizes(profile, rng, count)
    return OptionDraws(
        is_stale=stale,
        age_steps=np.where(stale, ages, 0),
        outlier_shift=np.where(outlier, shift, 0.0),
        spread_factor=spread,
        skew=skew,
        missing_bid=missing[0],
        missing_ask=missing[1],
        latency_ns=np.minimum(latency, _MAX_LATENCY_NS).astype(np.int64),
        lag_ns=lag.astype(np.int64),
        bid_lots=lots[0],
        ask_lots=lots[1],
    )


def quoted_sizes(
    profile: VenueProfile, rng: np.random.Generator, count: int, median_lots: FloatArray | float | None = None
) -> FloatArray:
    """Sizes of `count` bids and asks in whole lots, at least one; shape (2, count).

    `median_lots` is the profile's `size_lots` unless given.
    """
    median = profile.size_lots if median_lots is None else median_lots
    lots = median * np.exp(profile.size_sigma * rng.standard_normal((2, count)))
    return np.asarray(np.maximum(np.round(lots), 1.0), dtype=np.float64)


def _standard_moneyness(points: Points, smile: Smile) -> FloatArray:
    z = np.log(points.strike / points.forward) / (smile.atm_vol * np.sqrt(points.tau))
    return np.asarray(np.clip(z, -_Z_LIMIT, _Z_LIMIT), dtype=np.float64)


def venue_vol(profile: VenueProfile, points: Points, smile: Smile) -> FloatArray:
    """Volatility at which a venue marks: truth plus its level and slope bias.

    Where the truth has no volatility (a price below 1e-11 of the forward) the one at the money stands in;
    either way such an option is worth no tick.
    """
    truth = np.where(np.isnan(smile.vol), smile.atm_vol, smile.vol)
    bias = profile.level_bias + profile.slope_bias * _standard_moneyness(points, smile)
    return np.asarray(np.maximum(truth + bias, _LOWEST_VOL), dtype=np.float64)


def _half_spread(profile: VenueProfile, points: Points, smile: Smile, factor: FloatArray) -> FloatArray:
    z = _standard_moneyness(points, smile)
    wings = 1.0 + profile.wing_widening * z * z
    short = 1.0 + profile.short_widening * np.exp(-points.tau / _SMALL_TENOR_YEARS)
    return np.asarray(profile.half_spread * wings * short * factor, dtype=np.float64)


def _price(
    profile: VenueProfile, points: Points, vol: FloatArray, is_call: BoolArray, *, scale: FloatArray
) -> FloatArray:
    price = black76_price(points.forward, points.strike, points.tau, np.maximum(vol, _LOWEST_VOL), is_call)
    return np.asarray(price / scale if profile.settlement is Settlement.COIN else price, dtype=np.float64)


def _onto_grid(
    bid: FloatArray, ask: FloatArray, ladder: TickLadder, draws: OptionDraws
) -> tuple[FloatArray, FloatArray]:
    smallest = float(ladder.steps[0][1])
    low = round_to_ticks(bid, ladder, up=False)
    # an ask is at least one tick above its bid, and above nothing
    high = round_to_ticks(np.maximum(ask, low + smallest), ladder, up=True)
    low[(low < smallest) | draws.missing_bid] = np.nan
    high[draws.missing_ask] = np.nan
    return low, high


def quote_options(
    profile: VenueProfile,
    underlying: str,
    is_call: BoolArray,
    draws: OptionDraws,
    *,
    now: tuple[Points, Smile],
    seen: tuple[Points, Smile],
    ts_ns: int,
    path_step_ns: int,
) -> QuoteColumns:
    """Quote options.

    Parameters
    ----------
    profile : VenueProfile
    underlying : str
    is_call : BoolArray, shape (n,)
    draws : OptionDraws
    now : (Points, Smile)
        The state at the snapshot, from which the mark comes.
    seen : (Points, Smile)
        The state that each quote was made in: `now` for fresh quotes, an earlier one for stale ones.
    ts_ns, path_step_ns : int

    Returns
    -------
    QuoteColumns
        bid, ask, bid_size, ask_size, mark, mark_iv, ts_event, ts_recv, is_stale, is_outlier.
    """
    spec = profile.spec(InstrumentKind.OPTION, underlying)
    mark_vol = venue_vol(profile, *now)
    mark = _price(profile, now[0], mark_vol, is_call, scale=now[0].forward)
    half = _half_spread(profile, *seen, draws.spread_factor)
    middle = venue_vol(profile, *seen) + draws.outlier_shift + draws.skew * half
    bid, ask = (
        _price(profile, seen[0], middle + side * half, is_call, scale=seen[0].forward) for side in (-1.0, 1.0)
    )
    bid, ask = _onto_grid(bid, ask, spec.ticks, draws)
    lot = float(spec.lot)
    state_ns = ts_ns - draws.age_steps * path_step_ns
    fresh_event = ts_ns - draws.lag_ns - draws.latency_ns
    event = np.where(draws.is_stale, state_ns, fresh_event)
    return {
        "bid": bid,
        "ask": ask,
        "bid_size": np.where(np.isnan(bid), np.nan, np.round(draws.bid_lots * lot, 8)),
        "ask_size": np.where(np.isnan(ask), np.nan, np.round(draws.ask_lots * lot, 8)),
        "mark": np.where(mark > 0.0, mark, np.nan),
        "mark_iv": mark_vol,
        "ts_event": event,
        "ts_recv": np.minimum(event + draws.latency_ns, ts_ns),
        "is_stale": draws.is_stale,
        "is_outlier": draws.outlier_shift != 0.0,
    }
