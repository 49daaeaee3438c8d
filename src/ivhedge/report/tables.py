"""Tables for the terminal."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from ivhedge.engine.figures import final_exposures, policy_figures, std_reduction
from ivhedge.engine.result import BacktestResult, PolicyResult
from ivhedge.hedge import HedgePlan
from ivhedge.report import format as fmt
from ivhedge.report.fitrows import EXPIRY_HEADINGS, TERM_HEADINGS, expiry_rows, term_rows
from ivhedge.report.fitview import FitView
from ivhedge.report.verdict import verdicts

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = [
    "backtest_tables",
    "fit_tables",
    "frame_table",
    "plan_tables",
    "text_table",
]

_MAX_ROWS = 50
_MAX_WIDTH = 100
_WRAPPED = frozenset({"why", "", "instrument"})


def text_table(
    title: str,
    headings: Sequence[str],
    rows: "Sequence[Sequence[str | Text]]",
    *,
    text: int = 1,
    texts: Sequence[int] | None = None,
) -> "RenderableType":
    """Build a table: the first `text` columns, or those of `texts`, hold words, the others numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    # Text objects: a name in square brackets is a name, not markup.
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        is_text = (place < text if texts is None else place in texts) or heading in _WRAPPED
        shown.add_column(
            Text(heading), justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text
        )
    for row in rows:
        shown.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    # A table's own title would be folded to the table's width.
    return Group(Text(title, style="italic"), shown)


def backtest_tables(result: BacktestResult) -> "list[RenderableType]":
    """Verdict in words, the policies side by side, their last exposures, and the warnings."""
    from rich.text import Text

    shown: list[RenderableType] = [Text(f"{result.name}: no policy was run")]
    if result.baseline is not None:
        shown = [_policies(result, result.baseline), _last_exposures(result)]
    shown += [Text(f"• {line.text}") for line in verdicts(result)]
    shown += [Text(f"! {text}") for text in result.warnings]
    return shown


def _policies(result: BacktestResult, baseline: PolicyResult) -> "RenderableType":
    figures = [policy_figures(policy, result.numeraire) for policy in result.policies]
    base = policy_figures(baseline, result.numeraire)
    rows = []
    for item in figures:
        cut = std_reduction(item, base) if item.name != base.name else None
        rows.append(
            [
                item.name,
                fmt.number(item.pnl_usd, signed=True),
                fmt.number(item.pnl_std_usd),
                fmt.MISSING if cut is None else fmt.percent(-cut, 0, signed=True),
                fmt.number(item.max_drawdown_usd),
                fmt.count(item.n_trades),
                fmt.number(item.cost_usd),
                {True: "exact", False: "BROKEN", None: "unchecked"}[item.identity_exact],
            ]
        )
    window = f"{fmt.when(result.start_ns)} to {fmt.when(result.end_ns)} UTC"
    title = f"{result.name}: {', '.join(result.underlyings)}, {window}"
    headings = [
        "policy",
        "P&L USD",
        "sd/step",
        f"vs {base.name}",
        "drawdown",
        "trades",
        "cost",
        "money",
    ]
    return text_table(title, headings, rows)


def _last_exposures(result: BacktestResult) -> "RenderableType":
    rows = [
        [
            policy.name,
            row["underlying"],
            fmt.number(row["delta_coin"], 3, signed=True),
            fmt.number(row["gamma_1pct_usd"], 4, signed=True),
            fmt.number(row["vega_usd_per_vol_point"], signed=True),
            fmt.number(row["theta_usd_per_day"], signed=True),
        ]
        for policy in result.policies
        for row in final_exposures(policy).iter_rows(named=True)
    ]
    headings = ["policy", "coin", "delta coin", "gamma 1 %", "vega USD/pt", "theta USD/day"]
    return text_table("exposure at the end", headings, rows, text=2)


def plan_tables(plan: HedgePlan) -> "list[RenderableType]":
    """Legs with their reasons, exposures before and after, and the verdict."""
    from rich.text import Text

    legs = [
        [
            leg.instrument.key,
            "buy" if leg.quantity > 0 else "sell",
            f"{abs(leg.quantity):f}",
            fmt.price(float(leg.price_limit)),
            fmt.number(leg.cost.total_usd, 2),
            leg.reason,
        ]
        for leg in plan.legs
    ]
    factors = [
        [
            factor.name,
            factor.unit,
            fmt.number(factor.before, 4, signed=True),
            fmt.number(factor.after, 4, signed=True),
            fmt.number(factor.lower, 4, signed=True),
            fmt.number(factor.upper, 4, signed=True),
        ]
        for factor in plan.factors
    ]
    before, after = plan.variance_before**0.5, plan.variance_after**0.5
    shown: list[RenderableType] = [
        Text(f"{plan.status.value}: {plan.reason}"),
        text_table("legs", ["instrument", "side", "contracts", "limit", "cost USD", "why"], legs, text=2),
        text_table("exposures", ["factor", "unit", "before", "after", "lower", "upper"], factors, text=2),
        Text(
            f"cost {fmt.number(plan.cost_usd, 2)} USD; standard deviation of a day's profit "
            f"{fmt.number(before)} → {fmt.number(after)} USD; {plan.n_candidates} candidates"
        ),
    ]
    shown += [Text(f"binding: {name}") for name in plan.binding]
    shown += [Text(f"note: {note}") for note in plan.notes]
    return shown


def fit_tables(view: FitView) -> "list[RenderableType]":
    """Certificate in words, quality, expiries, forwards, tenors, largest errors, quotes not fitted."""
    from rich.text import Text

    tenors = [
        [
            row["tenor"],
            fmt.count(row["n_quotes"]),
            fmt.percent(row["inside_bid_ask"]),
            fmt.vol_points(row["rmse_vol"]),
            fmt.vol_points(row["median_error_vol"]),
        ]
        for row in view.by_tenor.iter_rows(named=True)
    ]
    worst = [
        [
            f"{row['venue']}:{row['instrument_name']}",
            fmt.vol_percent(row["bid_iv"]),
            fmt.vol_percent(row["ask_iv"]),
            fmt.vol_percent(row["fitted_iv"]),
            fmt.vol_points(row["error_vol"], signed=True),
        ]
        for row in view.worst.iter_rows(named=True)
    ]
    drops = [[reason, fmt.count(n)] for reason, n in view.drops.select("reason", "count").iter_rows()]
    facts = [list(fact) for fact in (*view.facts, *view.certificate)]
    return [
        Text(view.verdict, style="bold green" if view.certified else "bold red"),
        text_table("fit and certificate", ["measure", ""], facts, text=2),
        text_table(
            "by expiry; bounds are one-sided quotes, rmse in vol points",
            _lower(EXPIRY_HEADINGS),
            expiry_rows(view.by_expiry),
            texts=(0, 2),
        ),
        *(Text(f"• {note}") for note in view.notes),
        text_table(
            "forwards and smile; 25-delta RR and BF in vol points",
            _lower(TERM_HEADINGS),
            term_rows(view),
            texts=(0, 3),
        ),
        text_table("by tenor", ["tenor", "quotes", "inside bid/ask", "rmse pts", "median error pts"], tenors),
        text_table("largest errors", ["instrument", "bid %", "ask %", "surface %", "error pts"], worst),
        text_table("quotes not fitted", ["reason", "quotes"], drops),
    ]


def _lower(headings: Sequence[str]) -> list[str]:
    # Upper-case words are names: ATM, RR, BF.
    return [heading if heading[:2].isupper() else heading[:1].lower() + heading[1:] for heading in headings]


def frame_table(frame: pl.DataFrame, title: str) -> "RenderableType":
    """Show any table: its first rows and the columns that fit, the others named in the title."""
    shown = frame.head(_MAX_ROWS)
    columns = {name: [_cell(value) for value in shown[name]] for name in frame.columns}
    room, names = _MAX_WIDTH, []
    for name, cells in columns.items():
        room -= 3 + max(len(word) for cell in (name, *cells) for word in cell.split() or [""])
        if room < 0:
            break
        names.append(name)
    rest = frame.columns[len(names) :]
    more = f", {frame.height - shown.height} more rows" if frame.height > shown.height else ""
    hidden = f"; not shown: {', '.join(rest)}" if rest else ""
    rows = list(zip(*(columns[name] for name in names), strict=True))
    return text_table(title + more + hidden, names, rows, text=len(names))


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    return "" if value is None else str(value)
