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
from ivhedge.core.units import NS_PER_SECOND, year_fraction
from ivhedge.market.arrays import floats, nanoseconds
from ivhedge.market.schemas import CHAIN_SCHEMA, conform
from ivhedge.pricing import black76_price

__all__ = ["CleanedChain", "CleaningRules", "DropReason", "clean_chain"]

_DOLLARS: Final = frozenset({"USD", "USDC", "USDT"})
_FIELDS: Final = ("forward", "index", "mark", "mark_iv", "bid_size", "ask_size")
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
    found = table.with_columns(_ceiling_price(table, rules.ceiling_vol)).select(_value_reasons(rules))
    bad = [name for name in found.columns if found[name].null_count() < found.height]
    for name in bad:
        tally.add(found[name], name)
    if bad:
        keep = {name: pl.when(found[name].is_null()).then(pl.col(name)) for name in bad}
        table = table.with_columns(**keep)
    return table.with_columns(_sizes_with_a_price())


@cache
def _sizes_with_a_price() -> tuple[pl.Expr, ...]:
    # A size without its price is no size.
    return tuple(
        pl.when(pl.col(side).is_not_null()).then(pl.col(f"{side}_size")).alias(f"{side}_size")
        for side in ("bid", "ask")
    )


@lru_cache(maxsize=64)
def _value_reasons(rules: CleaningRules) -> tuple[pl.Expr, ...]:
    reasons = _field_reasons() | _side_reasons(rules)
    return tuple(_first(why).alias(name) for name, why in reasons.items())


def _number_reasons(name: str) -> dict[DropReason, pl.Expr]:
    value = pl.col(name)
    return {
        DropReason.NON_FINITE: ~value.is_finite(),
        DropReason.NEGATIVE: value < 0,
        DropReason.ZERO: value == 0,
    }


def _field_reasons() -> dict[str, dict[DropReason, pl.Expr]]:
    reasons = {name: _number_reasons(name) for name in _FIELDS}
    # A mark of exactly 0 is what a venue shows for a worthless option: known, not missing. A size of 0 is
    # known as well, and takes its side away.
    for name in _MAY_BE_ZERO:
        del reasons[name][DropReason.ZERO]
    return reasons


def _side_reasons(rules: CleaningRules) -> dict[str, dict[DropReason, pl.Expr]]:
    forward = pl.col("forward")
    known = pl.when(forward.is_finite() & (forward > 0)).then(forward)
    ratio = pl.col("strike") / known
    is_coin, is_call = pl.col("settlement") == "coin", pl.col("is_call")
    # Bounds in the unit of the quote: fractions of the forward for coin, USD otherwise.
    unit = pl.when(is_coin).then(1.0).otherwise(known)
    upper = pl.when(is_call).then(unit).otherwise(pl.when(is_coin).then(ratio).otherwise(pl.col("strike")))
    intrinsic = pl.when(is_call).then(1 - ratio).otherwise(ratio - 1).clip(lower_bound=0.0) * unit
    bid, ask = pl.col("bid"), pl.col("ask")
    too_cheap = ask < intrinsic - rules.intrinsic_slack * unit
    no_size = {
        side: {DropReason.NO_SIZE: pl.col(side).is_not_null() & (pl.col(f"{side}_size") == 0)}
        for side in ("bid", "ask")
    }
    return {
        "bid": _number_reasons("bid") | no_size["bid"] | {DropReason.OUTSIDE_BOUNDS: bid >= upper},
        "ask": _number_reasons("ask")
        | no_size["ask"]
        | {
            DropReason.OUTSIDE_BOUNDS: (ask >= upper).fill_null(False) | too_cheap.fill_null(False),
            DropReason.AT_CEILING: ask >= pl.col("_ceiling"),
        },
    }


def _ceiling_price(table: pl.DataFrame, ceiling_vol: float) -> pl.Series:
    """Price of each row at the ceiling volatility, in the unit of its quote; null without a forward."""
    forward, strike = floats(table["forward"]), floats(table["strike"])
    tau = year_fraction(nanoseconds(table["ts"]), nanoseconds(table["expiry"]))
    known = np.isfinite(forward) & (forward > 0)
    price = np.full(forward.shape, np.nan)
    if known.any():
        is_call = table["is_call"].to_numpy()[known]
        usd = black76_price(forward[known], strike[known], tau[known], ceiling_vol, is_call)
        in_coin = (table["settlement"] == "coin").to_numpy()[known]
        price[known] = np.where(in_coin, usd / forward[known], usd)
    return pl.Series("_ceiling", price, nan_to_null=True)
