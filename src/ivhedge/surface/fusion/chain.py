"""From a chain of several venues to `VenueQuotes`, with every exclusion counted per venue."""

from collections import Counter

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_SECOND
from ivhedge.market import (
    CHAIN_SCHEMA,
    CleaningRules,
    ForwardCurve,
    ForwardStatus,
    clean_chain,
    conform,
    estimate_forwards,
    quote_vols,
)
from ivhedge.market.arrays import nanoseconds
from ivhedge.market.forward_basis import DOLLAR
from ivhedge.market.moment import single_moment
from ivhedge.surface.fit import FitSettings
from ivhedge.surface.fusion.quotes import VenueQuotes, forward_slopes
from ivhedge.surface.selection import SelectionReason, _usable

__all__ = ["NO_VENUE", "venue_quotes"]

NO_VENUE = "(none)"
"""Where rows without a venue are counted."""
_HOUR = 3600 * NS_PER_SECOND
_UNCONVERTED = (ForwardStatus.NO_BASIS.value, ForwardStatus.NOT_POOLED.value)


def venue_quotes(
    chain: pl.DataFrame,
    *,
    futures: pl.DataFrame | None = None,
    forwards: ForwardCurve | None = None,
    rules: CleaningRules | None = None,
    settings: FitSettings | None = None,
    clock_slack_s: float = 1.0,
) -> VenueQuotes:
    """Clean, invert and pack the quotes of all venues at one time.

    Every row is used or counted by venue and reason. Beside the reasons of cleaning and selection there are
    ``no_venue``, ``future_dated`` (stamped later than the snapshot: a clock that runs ahead would make old
    quotes look fresh) and the forward's status ``no_basis`` or ``not_pooled``: vols inverted with a forward
    in another currency would look like a bias.

    Parameters
    ----------
    chain : pl.DataFrame
        In `CHAIN_SCHEMA`, one underlying and time.
    futures, forwards, rules, settings : optional
        As in `ivhedge.surface.fit_surface`.
    clock_slack_s : float
        By how much a quote's `ts_event` may lie after the snapshot.

    Raises
    ------
    SchemaError, DataError
        If a column is missing, several underlyings or times are mixed, or a venue's rows settle both in coin
        and in dollars (two markets with an index each: name them apart).
    ConfigError
        If no venue's forwards can be turned into dollars, or `clock_slack_s` is negative or not finite.
    EmptyData
        If no venue has a usable quote; the message counts why.
    """
    settings = settings or FitSettings()
    chain = conform(chain, CHAIN_SCHEMA, source="chain")
    if chain.is_empty():
        raise EmptyData("expected option quotes of at least one venue, found an empty chain; check the feeds")
    ts_ns, underlying = single_moment(chain)
    if not 0.0 <= clock_slack_s < float("inf"):
        raise ConfigError(f"expected clock_slack_s >= 0 and finite, found {clock_slack_s}")
    excluded: dict[str, dict[str, int]] = {}
    chain = _set_aside(chain, pl.col("venue").is_null(), "no_venue", excluded)
    ahead = (pl.col("ts_event") - pl.col("ts")).dt.total_nanoseconds() > clock_slack_s * NS_PER_SECOND
    chain = _set_aside(chain, ahead, "future_dated", excluded)
    _one_settlement(chain)
    parts = []
    for (venue,), part in chain.group_by("venue", maintain_order=True):
        cleaned = clean_chain(part, rules)
        counts = excluded.setdefault(str(venue), {})
        for reason, count in (
            cleaned.drops.filter(pl.col("scope") == "row").select("reason", "count").iter_rows()
        ):
            counts[reason] = counts.get(reason, 0) + count
        parts.append(cleaned.chain)
    usable = pl.concat(parts) if parts else chain
    if usable.is_empty():
        raise EmptyData(f"{underlying}: expected usable quotes, found none after cleaning ({excluded})")
    curve = estimate_forwards(usable, futures, settings=settings.forwards) if forwards is None else forwards
    if curve.currency != DOLLAR:
        raise ConfigError(
            f"{underlying}: expected forwards in USD, found {curve.currency}; give the price of "
            f"{curve.currency} in ForwardSettings(stable_prices=...)"
        )
    usable = _convertible(usable, curve, excluded)
    if usable.is_empty():
        raise EmptyData(
            f"{underlying}: expected quotes whose forward is known in USD, found none ({excluded}); give "
            "ForwardSettings(currencies=..., stable_prices=...)"
        )
    quotes = quote_vols(usable, curve, settings=settings.quotes)
    keep, _ = _usable(quotes, settings.selection)
    names = np.array(quotes.venue)
    for venue, reason in Counter(
        (name, _why(two, otm, tick))
        for name, two, otm, tick, good in zip(
            quotes.venue, quotes.is_two_sided, quotes.is_otm, quotes.at_one_tick, keep, strict=True
        )
        if not good
    ).items():
        excluded.setdefault(venue[0], {})[venue[1]] = reason
    rows = np.flatnonzero(keep)
    known = curve.table.with_columns(stamp=pl.col("expiry").dt.timestamp("ns"))
    pooled = dict(zip(curve.expiry_ns.tolist(), curve.forwards.tolist(), strict=True))
    error, bias = {}, {}
    for venue, stamp, forward, std_error in known.select(
        "venue", "stamp", "forward", "std_error"
    ).iter_rows():
        if stamp not in pooled:
            continue
        error[venue, stamp] = std_error / forward
        bias[venue, stamp] = float(np.log(forward / (pooled[stamp] * curve.venue_factor(venue))))
    coin = (usable["settlement"] == "coin").to_numpy()
    contract = _contract_number(nanoseconds(usable["expiry"]), quotes.strike, quotes.is_call)
    half: FloatArray = 0.5 * (quotes.ask_iv - quotes.bid_iv)[rows]
    wide = np.maximum(quotes.half_spread_iv[rows], half)
    centre = quotes.centre_iv[rows]
    # Ticks belong to the error of a quote; its vol stays the mean of bid and ask.
    wide = np.minimum(wide, 0.999 * centre)
    return VenueQuotes.from_arrays(
        ts_ns=ts_ns,
        underlying=underlying,
        venue=names[rows].tolist(),
        expiry_ns=quotes.expiry_ns[rows],
        log_moneyness=quotes.log_moneyness[rows],
        bid_vol=centre - wide,
        ask_vol=centre + wide,
        age_s=quotes.age_s[rows],
        depth_factor=quotes.depth_factor[rows],
        instrument=contract[rows],
        forward_slope=forward_slopes(quotes, coin)[rows],
        forward_error=error,
        forward_bias=bias,
        forwards=pooled,
        half_life_s=settings.quotes.half_life_s,
        excluded=excluded,
    )


def _contract_number(expiry_ns: IntArray, strike: FloatArray, is_call: BoolArray) -> IntArray:
    """The same number for the same terms at all venues and times, from expiry hour, strike and side."""
    # 21 bits of hours reach 2209, 41 bits of millionths of a dollar 2.2 million.
    parts = np.round(strike * 1e6).astype(np.int64) & (2**41 - 1)
    return np.asarray(((expiry_ns // _HOUR) << 42) | (parts << 1) | is_call.astype(np.int64))


def _set_aside(
    chain: pl.DataFrame, holds: pl.Expr, reason: str, excluded: dict[str, dict[str, int]]
) -> pl.DataFrame:
    """Count the rows of which something holds, and return the others."""
    out = chain.filter(holds)
    if out.is_empty():
        return chain
    for venue, count in out.group_by("venue").len().iter_rows():
        excluded.setdefault(NO_VENUE if venue is None else venue, {})[reason] = count
    return chain.filter(~holds.fill_null(value=False))


def _one_settlement(chain: pl.DataFrame) -> None:
    both = chain.filter(pl.col("settlement").is_in(["coin", "usd"])).group_by("venue")
    mixed = both.agg(pl.col("settlement").n_unique()).filter(pl.col("settlement") > 1)["venue"].sort()
    if mixed.len():
        raise DataError(
            f"expected one settlement a venue, found coin and usd at {mixed.to_list()}; they follow indices "
            "of their own: give the dollar-settled market a venue name of its own"
        )


def _convertible(
    usable: pl.DataFrame, curve: ForwardCurve, excluded: dict[str, dict[str, int]]
) -> pl.DataFrame:
    """Leave out venues and expiries whose forward is not one of the pooled, and count them."""
    said = usable.join(
        curve.status.filter(pl.col("status").is_in(_UNCONVERTED)).select("venue", "expiry", "status"),
        on=["venue", "expiry"],
        how="left",
        maintain_order="left",
    )
    for status in _UNCONVERTED:
        said = _set_aside(said, pl.col("status") == status, status, excluded)
    return said.drop("status")


def _why(two_sided: bool, otm: bool, one_tick: bool) -> str:
    if not two_sided:
        return SelectionReason.ONE_SIDED.value
    if not otm:
        return SelectionReason.IN_THE_MONEY.value
    return SelectionReason.ONE_TICK.value if one_tick else "too_wide_old_or_near_expiry"
