"""Series that charts and tables share, worked out from a policy's tables.

P&L follows the numeraire of the run: in ``coin`` a step earns the change of the coin amount at the index
of the step's end, so a move of the index on the collateral itself is no P&L; in ``usd`` it is the change
of the dollar value.
"""

from typing import Final

import polars as pl

from ivhedge.engine.result import ATTRIBUTION_TERMS, PolicyResult

__all__ = [
    "USD_LIKE",
    "attribution_usd",
    "currencies",
    "drawdown",
    "exposure_series",
    "pnl_by_currency",
    "pnl_usd",
    "step_pnl",
    "step_seconds",
]

USD_LIKE: Final = frozenset({"USD", "USDC", "USDT"})
"""Currencies that count one for one as dollars in reports."""
_KEYS = ("underlying", "currency")


def _usd_rate() -> pl.Expr:
    return pl.when(pl.col("currency").is_in(sorted(USD_LIKE))).then(pl.lit(1.0)).otherwise(pl.col("index"))


def _change(column: str) -> pl.Expr:
    # A currency that comes in later, by a trade on another venue, came in from nothing; null at the opening.
    opening = pl.when(pl.col("ts") > pl.col("ts").min()).then(pl.lit(0.0))
    return pl.col(column) - pl.col(column).shift().over(_KEYS).fill_null(opening)


def currencies(policies: tuple[PolicyResult, ...]) -> list[str]:
    """Settlement currencies of the policies' books, sorted."""
    found = {code for policy in policies for code in policy.equity["currency"].unique().to_list()}
    return sorted(code for code in found if code is not None)


def step_pnl(policy: PolicyResult, numeraire: str) -> pl.DataFrame:
    """P&L of each step over the whole book.

    Returns
    -------
    pl.DataFrame
        ``ts, pnl_usd``, ascending, without the first time (nothing was earned yet).
    """
    change = _change("equity") * _usd_rate() if numeraire == "coin" else _change("equity_usd")
    steps = policy.equity.sort("ts").select("ts", change.alias("pnl_usd")).drop_nulls("pnl_usd")
    return steps.group_by("ts").agg(pl.col("pnl_usd").sum()).sort("ts")


def pnl_usd(policy: PolicyResult, numeraire: str) -> pl.DataFrame:
    """Cumulative P&L in USD, ``ts, pnl_usd``, starting at 0."""
    steps = step_pnl(policy, numeraire)
    if steps.is_empty():
        return steps
    start = pl.DataFrame(
        {"ts": [policy.equity["ts"].min()], "pnl_usd": [0.0]},
        schema=steps.schema,
    )
    return pl.concat([start, steps]).with_columns(pl.col("pnl_usd").cum_sum())


def pnl_by_currency(policy: PolicyResult) -> pl.DataFrame:
    """Cumulative P&L in each settlement currency, ``ts, currency, pnl``, starting at 0."""
    change = _change("equity").fill_null(0.0)
    steps = policy.equity.sort("ts").select("ts", "currency", change.alias("pnl"))
    summed = steps.group_by("ts", "currency").agg(pl.col("pnl").sum()).sort("currency", "ts")
    return summed.with_columns(pl.col("pnl").cum_sum().over("currency"))


def drawdown(pnl: pl.DataFrame) -> pl.DataFrame:
    """Fall of a cumulative P&L below its highest point so far, ``ts, drawdown`` (zero or negative)."""
    fall = pl.col("pnl_usd") - pl.col("pnl_usd").cum_max()
    return pnl.select("ts", fall.alias("drawdown"))


def exposure_series(policy: PolicyResult, underlying: str, column: str) -> pl.DataFrame:
    """One exposure of one underlying over time, summed over settlement currencies: ``ts, value``."""
    rows = policy.equity.filter(pl.col("underlying") == underlying).drop_nulls(column)
    return rows.group_by("ts").agg(pl.col(column).sum().alias("value")).sort("ts")


def attribution_usd(policy: PolicyResult) -> pl.DataFrame:
    """Attribution terms per step in USD at the index of the step's end, summed over the book.

    Returns
    -------
    pl.DataFrame
        ``ts``, the terms of `ATTRIBUTION_TERMS` and ``total``.
    """
    names = [*ATTRIBUTION_TERMS, "total"]
    index = policy.equity.group_by("ts", "underlying").agg(pl.col("index").last())
    priced = policy.attribution.join(index, on=["ts", "underlying"], how="left")
    steps = priced.select("ts", *(pl.col(name) * _usd_rate() for name in names))
    return steps.group_by("ts").agg(pl.col(names).sum()).sort("ts")


def step_seconds(policy: PolicyResult) -> float | None:
    """Median time between two looks at the book, in seconds; None with fewer than two."""
    times = policy.equity["ts"].unique().sort()
    if times.len() < 2:
        return None
    gaps = times.dt.epoch("ns").diff().drop_nulls().cast(pl.Float64)
    middle = gaps.median()
    return float(middle) / 1e9 if isinstance(middle, int | float) else None
