"""Cleaning an option chain: what cannot be used is taken out, and every removal is counted.

Two things are removed. A *row* goes when the contract itself is unusable (unknown underlying, broken
terms, expired, stale, duplicate), when its quote is crossed (nobody knows which side is wrong), or when no
side is left. A single *side* or field goes when only it is bad, and the rest of the row stays. Each
removal is counted under one reason and one scope, so ``rows in - rows out`` equals the sum of the counts
with scope ``row``.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError
from ivhedge.core.money import CURRENCIES
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import NS_PER_SECOND, year_fraction
from ivhedge.market.arrays import floats, nanoseconds
from ivhedge.market.schemas import CHAIN_SCHEMA, conform
from ivhedge.pricing import black76_price

__all__ = ["CleanedChain", "CleaningRules", "DropReason", "clean_chain"]

_DOLLARS: Final = frozenset({"USD", "USDC", "USDT"})
_FIELDS: Final = ("forward", "index", "mark", "mark_iv", "bid_size", "ask_size")
_SIDES: Final = ("bid", "ask")
_MAY_BE_ZERO: Final = ("mark", "bid_size", "ask_size")
_ROW: Final = "row"
_KEY: Final = ("ts", "venue", "instrument_name")


class DropReason(StrEnum):
    """Why a row, a side or a field was removed."""

    UNKNOWN_UNDERLYING = "unknown_underlying"
    BAD_TERMS = "bad_terms"
    EXPIRED = "expired"
    STALE = "stale"
    DUPLICATE = "duplicate"
    NON_FINITE = "non_finite"
    NEGATIVE = "negative"
    ZERO = "zero"
    NO_SIZE = "no_size"
    OUTSIDE_BOUNDS = "outside_bounds"
    AT_CEILING = "at_ceiling"
    CROSSED = "crossed"
    NO_QUOTE = "no_quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaningRules:
    """What counts as usable.

    Parameters
    ----------
    underlyings : tuple of str
        Coins that are known.
    max_age_s : float or None
        Oldest quote to keep, seconds between `ts_event` and `ts`; rows without `ts_event` are kept.
        None keeps every age.
    ceiling_vol : float
        An ask at or above the Black-76 price at this volatility says nothing (decimal).
    intrinsic_slack : float
        How far an ask may lie below intrinsic value, as a fraction of the forward, before it is taken for
        an error; forwards of one expiry differ by up to 0.44 % between rows of one recorded snapshot.
    """

    underlyings: tuple[str, ...] = tuple(sorted(set(CURRENCIES) - _DOLLARS))
    max_age_s: float | None = 600.0
    ceiling_vol: float = 9.99
    intrinsic_slack: float = 0.005

    def __post_init__(self) -> None:
        if self.max_age_s is not None and not self.max_age_s > 0:
            raise ConfigError(f"expected max_age_s above 0 or None, found {self.max_age_s}")
        if not self.ceiling_vol > 0 or not self.intrinsic_slack >= 0:
            raise ConfigError(
                "expected ceiling_vol above 0 and intrinsic_slack of 0 or more, "
                f"found {self.ceiling_vol} and {self.intrinsic_slack}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedChain:
    """A cleaned chain and what was taken out of it.

    Parameters
    ----------
    chain : pl.DataFrame
        In `CHAIN_SCHEMA`; every price is finite and positive or null, every row has at least one side.
    drops : pl.DataFrame
        ``reason, scope, count``; `scope` is ``row`` or the name of the column that was set to null.
    """

    chain: pl.DataFrame
    drops: pl.DataFrame

    @property
    def dropped_rows(self) -> int:
        """Number of whole rows removed."""
        return int(self.drops.filter(pl.col("scope") == _ROW)["count"].sum())


def clean_chain(chain: pl.DataFrame, rules: CleaningRules | None = None) -> CleanedChain:
    """Remove what cannot be used, counting every removal.

    Parameters
    ----------
    chain : pl.DataFrame
        In `CHAIN_SCHEMA`; one or many snapshots. The order of the rows that stay is kept.
    rules : CleaningRules, optional

    Raises
    ------
    SchemaError
        If a column is missing.
    """
    rules = rules or CleaningRules()
    tally = _Tally()
    table = conform(chain, CHAIN_SCHEMA, source="chain")
    table = _drop_rows(table, _contract_reason(rules), tally)
    table = _drop_duplicates(table, tally)
    table = _null_bad_values(table, rules, tally)
    table = _drop_rows(table, _quote_reason(), tally)
    return CleanedChain(chain=table, drops=tally.table())


class _Tally:
    """Counts by (reason, scope)."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, reasons: pl.Series, scope: str) -> None:
        if reasons.null_count() == reasons.len():
            return
        for reason, count in Counter(reasons.drop_nulls().to_list()).items():
            self.add_count(reason, scope, count)

    def add_count(self, reason: str, scope: str, count: int) -> None:
        if count:
            self._counts[reason, scope] = self._counts.get((reason, scope), 0) + count

    def table(self) -> pl.DataFrame:
        rows = [(reason, scope, count) for (reason, scope), count in sorted(self._counts.items())]
        schema = {"reason": pl.String(), "scope": pl.String(), "count": pl.Int64()}
        return pl.DataFrame(rows, schema=schema, orient="row")


def _first(reasons: Mapping[DropReason, pl.Expr]) -> pl.Expr:
    """The first reason whose condition holds (null counts as no)."""
    named = [pl.when(holds.fill_null(False)).then(pl.lit(reason.value)) for reason, holds in reasons.items()]
    return pl.coalesce(*named)


# Conditions are built once per set of rules: putting an expression together costs more than running it
# over a chain.


@lru_cache(maxsize=64)
def _contract_reason(rules: CleaningRules) -> pl.Expr:
    strike = pl.col("strike")
    has_terms = (
        pl.col("expiry").is_not_null()
        & pl.col("is_call").is_not_null()
        & pl.col("instrument_name").is_not_null()
        & pl.col("venue").is_not_null()
        & pl.col("settlement").is_in(["coin", "usd"])
        & strike.is_finite()
        & (strike > 0)
    )
    reasons = {
        DropReason.UNKNOWN_UNDERLYING: ~pl.col("underlying").is_in(rules.underlyings).fill_null(False),
        DropReason.BAD_TERMS: ~has_terms.fill_null(False),
        DropReason.EXPIRED: pl.col("expiry") <= pl.col("ts"),
    }
    if rules.max_age_s is not None:
        age_ns = (pl.col("ts") - pl.col("ts_event")).dt.total_nanoseconds()
        reasons[DropReason.STALE] = age_ns > rules.max_age_s * NS_PER_SECOND
    return _first(reasons)


@cache
def _quote_reason() -> pl.Expr:
    return _first(
        {
            DropReason.CROSSED: pl.col("bid") > pl.col("ask"),
            DropReason.NO_QUOTE: pl.col("bid").is_null() & pl.col("ask").is_null(),
        }
    )


def _drop_rows(table: pl.DataFrame, reason: pl.Expr, tally: _Tally) -> pl.DataFrame:
    found = table.select(reason.alias("reason"))["reason"]
    tally.add(found, _ROW)
    return table.filter(found.is_null()) if found.null_count() < found.len() else table


def _drop_duplicates(table: pl.DataFrame, tally: _Tally) -> pl.DataFrame:
    """Of rows with the same time, venue and name keep the last quoted; among equals the last listed."""
    if table["instrument_name"].n_unique() == table.height:
        return table  # one venue at one time, the common case, told by its names alone
    extra = table.height - table.select(pl.struct(_KEY).n_unique()).item()
    if extra == 0:
        return table
    numbered = table.with_row_index("_row")
    kept = numbered.sort("ts_event", nulls_last=False, maintain_order=True).unique(
        _KEY, keep="last", maintain_order=True
    )
    tally.add(pl.Series([DropReason.DUPLICATE.value] * extra), _ROW)
    return kept.sort("_row").drop("_row")


def _null_bad_values(table: pl.DataFrame, rules: CleaningRules, tally: _Tally) -> pl.DataFrame:
    # In NumPy: thirty conditions on a thousand rows are ten times as fast there as in expressions.
    values = {name: floats(table[name]) for name in (*_FIELDS, *_SIDES)}
    reasons = {name: _number_reasons(name, values[name]) for name in values}
    for name, extra in _side_reasons(table, values, rules).items():
        reasons[name] |= extra
    kept = {}
    for name, why in reasons.items():
        bad = np.zeros(table.height, dtype=np.bool_)
        given = table[name].is_not_null().to_numpy()
        for reason, holds in why.items():
            new = given & holds & ~bad
            tally.add_count(reason, name, int(np.count_nonzero(new)))
            bad |= new
        kept[name] = np.where(bad, np.nan, values[name])
    for side in _SIDES:
        # A size without its price is no size.
        kept[f"{side}_size"][np.isnan(kept[side])] = np.nan
    fewer = [name for name in kept if np.count_nonzero(np.isnan(kept[name])) > table[name].null_count()]
    return table.with_columns(pl.Series(name, kept[name], nan_to_null=True) for name in fewer)


def _number_reasons(name: str, value: FloatArray) -> dict[DropReason, BoolArray]:
    reasons = {
        DropReason.NON_FINITE: ~np.isfinite(value),
        DropReason.NEGATIVE: value < 0,
    }
    # A mark of exactly 0 is what a venue shows for a worthless option: known, not missing. A size of 0 is
    # known as well, and takes its side away.
    return reasons if name in _MAY_BE_ZERO else reasons | {DropReason.ZERO: value == 0}


def _side_reasons(
    table: pl.DataFrame, values: Mapping[str, FloatArray], rules: CleaningRules
) -> dict[str, dict[DropReason, BoolArray]]:
    forward, strike = values["forward"], floats(table["strike"])
    forward = np.where(np.isfinite(forward) & (forward > 0), forward, np.nan)
    # A forward next to 0 makes the ratio infinite; comparing with that is still right.
    with np.errstate(over="ignore"):
        ratio = strike / forward
    is_coin, is_call = (table["settlement"] == "coin").to_numpy(), table["is_call"].to_numpy()
    # Bounds in the unit of the quote: fractions of the forward for coin, USD otherwise. A row without a
    # forward has NaN bounds, which nothing violates.
    unit = np.where(is_coin, 1.0, forward)
    upper = np.where(is_call, unit, np.where(is_coin, ratio, strike))
    intrinsic = np.maximum(np.where(is_call, 1.0 - ratio, ratio - 1.0), 0.0) * unit
    bid, ask = values["bid"], values["ask"]
    return {
        "bid": {
            DropReason.NO_SIZE: values["bid_size"] == 0,
            DropReason.OUTSIDE_BOUNDS: bid >= upper,
        },
        "ask": {
            DropReason.NO_SIZE: values["ask_size"] == 0,
            DropReason.OUTSIDE_BOUNDS: (ask >= upper) | (ask < intrinsic - rules.intrinsic_slack * unit),
            DropReason.AT_CEILING: ask >= _ceiling_price(table, forward, strike, rules.ceiling_vol),
        },
    }


def _ceiling_price(
    table: pl.DataFrame, forward: FloatArray, strike: FloatArray, ceiling_vol: float
) -> FloatArray:
    """Price of each row at the ceiling volatility, in the unit of its quote; NaN without a forward."""
    tau = year_fraction(nanoseconds(table["ts"]), nanoseconds(table["expiry"]))
    known = np.isfinite(forward)
    price = np.full(forward.shape, np.nan)
    if known.any():
        is_call = table["is_call"].to_numpy()[known]
        usd = black76_price(forward[known], strike[known], tau[known], ceiling_vol, is_call)
        in_coin = (table["settlement"] == "coin").to_numpy()[known]
        with np.errstate(over="ignore"):
            price[known] = np.where(in_coin, usd / forward[known], usd)
    return price
