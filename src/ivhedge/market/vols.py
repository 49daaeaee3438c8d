"""Quotes as implied volatilities: what a surface is fitted to."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray, StatusArray
from ivhedge.core.units import NS_PER_SECOND, year_fraction
from ivhedge.market.arrays import floats, nanoseconds
from ivhedge.market.depth import depth_factor
from ivhedge.market.forwards import ForwardCurve, ForwardStatus
from ivhedge.market.moment import single_moment
from ivhedge.market.ticks import tick_sizes
from ivhedge.pricing import IvStatus, implied_vol

__all__ = ["QuoteSettings", "QuoteStatus", "QuoteVols", "quote_vols"]

_MISSING: Final = int(IvStatus.BAD_INPUT)


class QuoteStatus(IntEnum):
    """What a row is good for; the first that applies, in this order."""

    NO_FORWARD = 0
    CROSSED = 1
    NO_VOL = 2
    BID_ONLY = 3
    ASK_ONLY = 4
    ONE_TICK = 5
    TWO_SIDED = 6


EXCLUDED_ERRORS = 5.0
"""Standard errors from the venue's forward beyond which a row's own outside the band is refused."""
EXCLUDED_SHARE = 0.01
"""Distance from the venue's forward beyond which that holds though most rows of the expiry are right."""


def _no_floats() -> FloatArray:
    return np.zeros(0)


def _no_status() -> StatusArray:
    return np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSettings:
    """How quotes are weighted.

    Parameters
    ----------
    half_life_s : float
        Age at which a quote's weight has halved, seconds.
    floor_half_spread : float
        Smallest half-spread used for the weight, decimal volatility.
    """

    half_life_s: float = 60.0
    floor_half_spread: float = 0.001

    def __post_init__(self) -> None:
        if not self.half_life_s > 0 or not self.floor_half_spread > 0:
            raise ConfigError(
                "expected half_life_s and floor_half_spread above 0, "
                f"found {self.half_life_s} and {self.floor_half_spread}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteVols:
    """Implied volatilities of every row of a chain, in the order of its rows; all arrays have shape (n,).

    Parameters
    ----------
    ts_ns : int
    underlying : str
    venue, instrument_name : tuple of str
    expiry_ns : IntArray
    strike, tau, forward, log_moneyness : FloatArray
        `forward` is the row's own where it has one that the curve did not refuse, else the venue's of
        that expiry, else the pooled one in the venue's currency. Where the venue is ``NOT_POOLED`` it is
        the pooled one; where the price of the venue's currency is not known there is no pooled one.
    is_call : BoolArray
    bid_iv, ask_iv, mid_iv : FloatArray
        Decimals, NaN exactly where the status is not ``OK``; `mid_iv` belongs to the mid price of a
        two-sided quote.
    bid_status, ask_status, mid_status : StatusArray
        `IvStatus`; a missing side has ``BAD_INPUT`` and `has_bid` or `has_ask` False.
    half_spread_iv : FloatArray
        Half the bid-ask in volatility plus half a tick; NaN unless two-sided.
    weight : FloatArray
        ``2**(-age/half_life) * depth_factor / max(half_spread_iv, floor)**2``, an inverse variance; 0 unless
        two-sided.
    age_s : FloatArray
        Seconds since the quote's last change, 0 where unknown.
    has_bid, has_ask, is_two_sided, is_otm, at_one_tick : BoolArray
        `is_two_sided`: both sides have a volatility. `is_otm`: out of the money, or at it. `at_one_tick`:
        the bid is the smallest price on the grid, so the quote is a bound rather than a value.
    bid_error_iv, ask_error_iv : FloatArray
        What the price grid leaves open: ``tick / sqrt(12)`` of each side's own price over its vega, a
        standard deviation in volatility; infinite where vega vanishes, NaN without the side's vol. Shape
        (0,) unless made by `quote_vols`, as the following.
    depth_factor : FloatArray
        See `ivhedge.market.depth`: 1 for ordinary or unknown sizes, between 0.1 and 2.
    status : StatusArray
        `QuoteStatus`.
    """

    ts_ns: int
    underlying: str
    venue: tuple[str, ...]
    instrument_name: tuple[str, ...]
    expiry_ns: IntArray
    strike: FloatArray
    tau: FloatArray
    forward: FloatArray
    log_moneyness: FloatArray
    is_call: BoolArray
    bid_iv: FloatArray
    ask_iv: FloatArray
    mid_iv: FloatArray
    bid_status: StatusArray
    ask_status: StatusArray
    mid_status: StatusArray
    half_spread_iv: FloatArray
    weight: FloatArray
    age_s: FloatArray
    has_bid: BoolArray
    has_ask: BoolArray
    is_two_sided: BoolArray
    is_otm: BoolArray
    at_one_tick: BoolArray
    bid_error_iv: FloatArray = field(default_factory=_no_floats)
    ask_error_iv: FloatArray = field(default_factory=_no_floats)
    depth_factor: FloatArray = field(default_factory=_no_floats)
    status: StatusArray = field(default_factory=_no_status)

    @property
    def centre_iv(self) -> FloatArray:
        """Mean of bid and ask vol, NaN unless two-sided: what a surface is fitted to.

        Price is convex in vol out of the money, so the vol of the mid price lies too high where the spread is
        wide: on recorded quotes with a half-spread of two to five vol points it was 36 to 40 bp from the
        venue's mark in the median, the mean of the vols 30 bp.
        """
        return np.where(self.is_two_sided, 0.5 * (self.bid_iv + self.ask_iv), np.nan)

    def __len__(self) -> int:
        return int(self.strike.size)

    def status_counts(self) -> dict[str, int]:
        """Rows per `QuoteStatus`, by lower-case name; statuses without rows are left out."""
        counts = np.bincount(self.status, minlength=len(QuoteStatus))
        return {s.name.lower(): int(counts[s]) for s in QuoteStatus if counts[s]}


def quote_vols(
    chain: pl.DataFrame, forwards: ForwardCurve, *, settings: QuoteSettings | None = None
) -> QuoteVols:
    """Turn the quotes of one time and underlying into implied volatilities.

    Parameters
    ----------
    chain : pl.DataFrame
        Cleaned rows in `CHAIN_SCHEMA`. Coin prices are multiplied by the row's forward.
    forwards : ForwardCurve
    settings : QuoteSettings, optional

    Raises
    ------
    DataError
        If no row has a forward, or the chain holds several times or underlyings.

    Notes
    -----
    A single row without a forward has NaN for it and the status ``NO_FORWARD``; the others stand.
    """
    settings = settings or QuoteSettings()
    ts_ns, underlying = single_moment(chain)
    forward = _row_forwards(chain, forwards)
    expiry_ns = nanoseconds(chain["expiry"])
    strike, is_call = chain["strike"].to_numpy(), chain["is_call"].to_numpy()
    tau = year_fraction(ts_ns, expiry_ns)
    to_usd = np.where((chain["settlement"] == "coin").to_numpy(), forward, 1.0)
    bid, ask = floats(chain["bid"]), floats(chain["ask"])
    mid = 0.5 * (bid + ask)
    bid_iv, bid_status = _vols(bid * to_usd, forward, strike, tau, is_call)
    ask_iv, ask_status = _vols(ask * to_usd, forward, strike, tau, is_call)
    mid_iv, mid_status = _vols(mid * to_usd, forward, strike, tau, is_call)
    log_moneyness = np.log(strike / forward)
    ticks, bid_tick, ask_tick, smallest = tick_sizes(chain, np.stack([mid, bid, ask, np.zeros_like(mid)]))
    # Vega is zero in the far wings; there a tick is worth any volatility.
    with np.errstate(divide="ignore"):
        tick_iv = ticks * to_usd / _vega(forward, log_moneyness, tau, mid_iv)
        bid_error, ask_error = (
            tick * to_usd / (12.0**0.5 * _vega(forward, log_moneyness, tau, vol))
            for tick, vol in ((bid_tick, bid_iv), (ask_tick, ask_iv))
        )
    two_sided = np.isfinite(bid_iv) & np.isfinite(ask_iv) & np.isfinite(mid_iv)
    half_spread = np.where(two_sided, 0.5 * (ask_iv - bid_iv) + 0.5 * tick_iv, np.nan)
    age_s = _age_s(chain, ts_ns)
    depth = depth_factor(
        floats(chain["bid_size"]), floats(chain["ask_size"]), chain["venue"].to_list(), expiry_ns
    )
    one_tick = np.isfinite(bid) & (bid <= smallest * (1 + 1e-9))
    decay = np.exp2(-age_s / settings.half_life_s)
    width = np.where(two_sided, np.maximum(half_spread, settings.floor_half_spread), np.inf)
    return QuoteVols(
        ts_ns=ts_ns,
        underlying=underlying,
        venue=tuple(chain["venue"].to_list()),
        instrument_name=tuple(chain["instrument_name"].to_list()),
        expiry_ns=expiry_ns,
        strike=strike,
        tau=tau,
        forward=forward,
        log_moneyness=log_moneyness,
        is_call=is_call,
        bid_iv=bid_iv,
        ask_iv=ask_iv,
        mid_iv=mid_iv,
        bid_status=bid_status,
        ask_status=ask_status,
        mid_status=mid_status,
        half_spread_iv=half_spread,
        weight=decay * depth / width**2,
        age_s=age_s,
        has_bid=np.isfinite(bid),
        has_ask=np.isfinite(ask),
        is_two_sided=two_sided,
        is_otm=np.where(is_call, strike >= forward, strike <= forward),
        at_one_tick=one_tick,
        bid_error_iv=bid_error,
        ask_error_iv=ask_error,
        depth_factor=depth,
        status=np.select(
            [
                ~np.isfinite(forward),
                bid > ask,
                ~np.isfinite(bid_iv) & ~np.isfinite(ask_iv),
                np.isnan(ask_iv),
                np.isnan(bid_iv),
                one_tick,
            ],
            [s.value for s in QuoteStatus if s is not QuoteStatus.TWO_SIDED],
            QuoteStatus.TWO_SIDED.value,
        ).astype(np.uint8),
    )


def _row_forwards(chain: pl.DataFrame, forwards: ForwardCurve) -> FloatArray:
    """The row's own forward unless the curve refused it, else the venue's of that expiry, else the pooled."""
    key = ["venue", "expiry"]
    known = forwards.table.select(*key, "forward", "std_error", "band_low", "band_high")
    said = forwards.status.select(*key, "status")
    listed = chain.select(key).join(known, on=key, how="left").join(said, on=key, how="left")
    venue, low, high = (floats(listed[name]) for name in ("forward", "band_low", "band_high"))
    refused, lone = (
        (listed["status"] == status.value).fill_null(value=False).to_numpy()
        for status in (ForwardStatus.CONTRADICTS_PARITY, ForwardStatus.NOT_POOLED)
    )
    own = floats(chain["forward"])
    # The status may be about a future; a row beside the band by less than the error bar is stamped apart.
    far = np.abs(own - venue) > EXCLUDED_ERRORS * floats(listed["std_error"])
    far &= ((own < low) | (own > high)) & (refused | (np.abs(own / venue - 1.0) > EXCLUDED_SHARE))
    # Refused with nothing to put in its place: only the pooled forward is left.
    far |= refused & np.isnan(venue)
    own, venue = np.where(far | lone, np.nan, own), np.where(lone, np.nan, venue)
    if np.isfinite(own).all():
        return own
    stamps = nanoseconds(chain["expiry"])
    at = np.minimum(np.searchsorted(forwards.expiry_ns, stamps), forwards.expiry_ns.size - 1)
    pooled = np.where(forwards.expiry_ns[at] == stamps, forwards.forwards[at], np.nan)
    factor = {name: forwards.venue_factor(name) for name in set(chain["venue"])}
    pooled = pooled * np.array([factor[name] for name in chain["venue"]])
    filled = np.where(np.isfinite(own), own, np.where(np.isfinite(venue), venue, pooled))
    if not np.isfinite(filled).any():
        name = chain["instrument_name"][0]
        raise DataError(
            f"{name}: expected a forward for its expiry, found none in any of {filled.size} rows; "
            "estimate forwards from this chain"
        )
    return filled


def _vols(
    price: FloatArray, forward: FloatArray, strike: FloatArray, tau: FloatArray, is_call: BoolArray
) -> tuple[FloatArray, StatusArray]:
    vol = np.full(price.shape, np.nan)
    status = np.full(price.shape, _MISSING, dtype=np.uint8)
    given = np.isfinite(price) & np.isfinite(forward)
    if given.any():
        vol[given], status[given] = implied_vol(
            price[given], forward[given], strike[given], tau[given], is_call[given], return_status=True
        )
    return vol, status


def _vega(forward: FloatArray, log_moneyness: FloatArray, tau: FloatArray, vol: FloatArray) -> FloatArray:
    total = vol * np.sqrt(tau)
    d1 = -log_moneyness / total + 0.5 * total
    return np.asarray(forward * np.sqrt(tau) * np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi))


def _age_s(chain: pl.DataFrame, ts_ns: int) -> FloatArray:
    event = chain["ts_event"]
    if event.null_count() == event.len():
        return np.zeros(event.len())
    known = event.is_not_null().to_numpy()
    age_s = np.zeros(event.len())
    age_s[known] = (ts_ns - nanoseconds(event.drop_nulls())) / NS_PER_SECOND
    return np.maximum(age_s, 0.0)
