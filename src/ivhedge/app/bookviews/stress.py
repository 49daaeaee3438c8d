"""Stresses of a book: what each of them costs and what is left."""

import polars as pl

from ivhedge.core.units import format_ns
from ivhedge.engine.desk import Desk
from ivhedge.report import Bars, BookView, HeatMap, TableView
from ivhedge.report import format as fmt
from ivhedge.report.booknumbers import minus, said_once
from ivhedge.risk.stress import Stress, StressReport, StressResult

__all__ = ["stress_to_dict", "stress_view"]

_LEGS_SHOWN = 15


def stress_view(desk: Desk, report: StressReport) -> BookView:
    """Collect what there is to see of a book under stress.

    The verdict and the legs are those of the worst move of the market: at one venue, its loss takes all that
    is there and says nothing of the book.
    """
    worst = _worst_market(report)
    after, before = worst.equity_after_usd, worst.equity_before_usd
    left = "equity not known" if after is None else f"equity left {fmt.number(after)} USD"
    share = "" if not before else f" ({fmt.percent(worst.pnl_usd / before, 0, signed=True)} of equity)"
    return BookView(
        title=f"{desk.book.name} · stress, {desk.underlying}",
        ts_ns=desk.ts_ns,
        verdict=(
            f"worst: {minus(worst.stress.title)}: {fmt.number(worst.pnl_usd, signed=True)} USD{share}; {left}"
            f"{desk.shortfall}"
        ),
        good=after is not None and after > 0.0 and not worst.unpriced and not desk.warnings,
        facts=(
            ("equity before", "not known" if before is None else f"{fmt.number(before)} USD"),
            ("stresses", fmt.count(len(report.results))),
            ("loss of a venue", _lost_venue(report)),
            ("figures as of", f"{report.as_of:%Y-%m-%d}"),
        ),
        bars=(
            Bars(
                title="P&L by stress",
                note="USD, legs, collateral, exit cost and losses at venues",
                names=tuple(minus(result.stress.title) for result in report.results),
                values=tuple(result.pnl_usd for result in report.results),
            ),
        ),
        heats=_heats(worst),
        tables=(_table(report, desk.underlying), _legs(worst)),
        notes=said_once((*_notes(report), *desk.warnings)),
    )


def _worst_market(report: StressReport) -> StressResult:
    results = [result for result in report.results if result.stress.venue is None]
    return min(results, key=lambda result: result.pnl_usd) if results else report.worst


def _lost_venue(report: StressReport) -> str:
    results = [result for result in report.results if result.stress.venue is not None]
    if not results:
        return "not asked for"
    worst = min(results, key=lambda result: result.pnl_usd)
    return f"{fmt.number(worst.pnl_usd, signed=True)} USD: {minus(worst.stress.title)}"


def _table(report: StressReport, underlying: str) -> TableView:
    rows = [
        (
            result.stress.name,
            _moves(result.stress, underlying),
            fmt.number(result.pnl_usd, signed=True),
            fmt.number(result.legs_usd, signed=True),
            fmt.number(result.collateral_usd, signed=True),
            fmt.number(-result.exit_cost_usd, signed=True),
            fmt.number(-result.lost_usd, signed=True),
            fmt.number(result.equity_after_usd),
        )
        for result in report.results
    ]
    return TableView(
        title="stresses",
        note="USD",
        headings=("stress", "moves", "P&L", "legs", "collateral", "exit cost", "lost", "equity after"),
        rows=tuple(rows),
        text=(0, 1),
    )


def _moves(stress: Stress, underlying: str) -> str:
    parts = [f"{underlying} {fmt.percent(stress.spot_of(underlying), 0, signed=True)}"] if stress.spot else []
    if stress.vol is not None:
        shift = stress.vol
        size = (
            f"{fmt.number(shift.points_30d, 0, signed=True)} pts"
            if shift.points_30d is not None
            else fmt.percent(shift.relative_30d, 0, signed=True)
        )
        parts.append(f"vol {size}")
    if stress.skew is not None:
        parts.append(f"skew {fmt.number(stress.skew.points, 0, signed=True)} pts")
    parts += [f"{code} {rate:.2f}" for code, rate in stress.currency.items()]
    if stress.venue is not None:
        parts.append(f"venue: {stress.venue.venue}")
    if stress.liquidity is not None:
        parts.append(f"spreads × {stress.liquidity.spread_multiple:g}")
    if stress.days:
        parts.append(f"{stress.days:g} d")
    return ", ".join(parts)


def _heats(worst: StressResult) -> tuple[HeatMap, ...]:
    by = worst.by("underlying", "venue")
    if by.height < 2:
        return ()
    table = by.pivot(on="venue", index="underlying", values="pnl_usd").sort("underlying")
    venues = [name for name in table.columns if name != "underlying"]
    return (
        HeatMap(
            title="where the worst stress hurts",
            note="P&L of legs, USD",
            across="venue",
            down="coin",
            columns=tuple(venues),
            rows=tuple(table["underlying"].to_list()),
            values=table.select(venues).cast(pl.Float64).to_numpy(),
        ),
    )


def _legs(worst: StressResult) -> TableView:
    legs = worst.legs.sort("pnl_usd", nulls_last=False).head(_LEGS_SHOWN)
    rows = [
        (
            row["instrument"],
            row["status"],
            fmt.vol_percent(row["vol_before"]),
            fmt.vol_percent(row["vol_after"]),
            fmt.number(row["pnl_usd"], signed=True),
            fmt.number(row["delta_after_usd"], 3, signed=True),
        )
        for row in legs.iter_rows(named=True)
    ]
    return TableView(
        title="legs that lose most in it",
        note=f"{minus(worst.stress.title)}; USD; delta in coins",
        headings=("leg", "status", "vol before", "vol after", "P&L", "delta after"),
        rows=tuple(rows),
        text=(0, 1),
    )


def _notes(report: StressReport) -> list[str]:
    worst = _worst_market(report)
    notes = [f"{name} has no price ({status}): equity is not known" for name, status in worst.unpriced]
    if worst.conservative:
        notes.append(
            f"{len(worst.conservative)} legs on a conservative mark: {', '.join(worst.conservative)}"
        )
    if worst.stress.assumed:
        notes.append(f"{worst.stress.name}: assumed, not measured: {', '.join(worst.stress.assumed)}")
    return notes


def stress_to_dict(desk: Desk, report: StressReport) -> dict[str, object]:
    """Describe stresses as JSON: a row per stress, legs, venues, what was assumed."""
    return {
        "book": report.book,
        "underlying": desk.underlying,
        "time": format_ns(report.ts_ns),
        "ts_ns": report.ts_ns,
        "index": desk.index,
        "as_of": f"{report.as_of:%Y-%m-%d}",
        "worst": report.worst.stress.name,
        "stresses": [
            {
                **summary,
                "sources": list(result.stress.sources),
                "assumed": list(result.stress.assumed),
                "legs": result.legs.to_dicts(),
                "collateral": result.collateral.to_dicts(),
            }
            for summary, result in zip(report.table().to_dicts(), report.results, strict=True)
        ],
        "warnings": list(desk.warnings),
    }
