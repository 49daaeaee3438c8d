"""Tables and texts of the backtest page."""

import json

import polars as pl

from ivhedge.engine.figures import final_exposures, policy_figures, std_reduction
from ivhedge.engine.result import BacktestResult, PolicyResult
from ivhedge.engine.series import USD_LIKE
from ivhedge.report import format as fmt
from ivhedge.report.markup import Markup, join, table, tag
from ivhedge.report.page import panel

__all__ = [
    "assumptions_panel",
    "drops_panel",
    "exposure_table",
    "identity_table",
    "policy_table",
    "reproducibility",
    "tiles",
    "trade_details",
    "warnings_panel",
]

_LAST_TRADES = 20
_DEAREST_TRADES = 10
_LAST_ENTRIES = 20


def tiles(result: BacktestResult) -> Markup:
    """Figures to see at one glance."""
    surfaces = result.surfaces
    valid = int(surfaces["certificate_valid"].sum()) if surfaces.height else None
    rmse, dropped = surfaces["rmse_vol"].median(), _total(result.drops["count"])
    inside = surfaces["inside_bid_ask"].mean()
    seconds = _total(result.stages["seconds"]) if result.stages.height else None
    speed = result.n_snapshots / seconds if seconds else None
    shown = [
        (fmt.count(result.n_snapshots), "snapshots replayed"),
        (fmt.percent(inside if isinstance(inside, float) else None), "quotes inside bid/ask, mean"),
        (fmt.vol_points(rmse if isinstance(rmse, float) else None), "rmse in vol points, median"),
        (f"{fmt.count(valid)} / {fmt.count(surfaces.height)}", "certified free of arbitrage"),
        (fmt.count(dropped), "quotes not used, each counted"),
        (fmt.count(sum(policy.trades.height for policy in result.policies)), "trades, all policies"),
        (fmt.number(speed, 1), "snapshots per second"),
    ]
    return tag(
        "div",
        *(
            tag("div", tag("div", value, class_="value"), tag("div", label, class_="label"), class_="tile")
            for value, label in shown
        ),
        class_="tiles",
    )


def policy_table(result: BacktestResult) -> Markup:
    """All policies side by side."""
    if result.baseline is None:
        return Markup()
    base = policy_figures(result.baseline, result.numeraire)
    figures = [policy_figures(policy, result.numeraire) for policy in result.policies]
    codes = sorted({code for item in figures for code in item.pnl if code != "USD"})
    headings = [
        "Policy",
        *(f"P&L {code}" for code in codes),
        "P&L USD",
        "Step std USD",
        f"vs {base.name}",
        "Max drawdown",
        "CVaR 95 step",
        "Trades",
        "Turnover USD",
        "Fees USD",
        "Slippage USD",
        "Funding USD",
        "Residual / gross",
        "Identity",
    ]
    rows = []
    for item in figures:
        cut = None if item.name == base.name else std_reduction(item, base)
        rows.append(
            [
                join([tag("b", item.name), tag("div", item.description, class_="note")]),
                *(_signed(item.pnl.get(code), code) for code in codes),
                _signed(item.pnl_usd, "USD"),
                fmt.number(item.pnl_std_usd),
                _coloured(
                    None if cut is None else -cut, fmt.percent(None if cut is None else -cut, 0, signed=True)
                ),
                fmt.number(item.max_drawdown_usd),
                fmt.number(item.cvar95_usd),
                fmt.count(item.n_trades),
                fmt.number(item.turnover_usd),
                fmt.number(item.fees_usd),
                fmt.number(item.slippage_usd),
                fmt.number(item.funding_usd, signed=True),
                fmt.percent(item.residual_share_of_gross),
                _identity_mark(item.identity_exact),
            ]
        )
    note = "Step = one look at the book. Fees and slippage positive = paid; funding positive = received."
    return join([table(headings, rows), tag("p", note, class_="note")])


def exposure_table(result: BacktestResult) -> Markup:
    """Exposures that each policy ended with."""
    rows = [
        [
            policy.name,
            row["underlying"],
            fmt.number(row["delta_coin"], 3, signed=True),
            fmt.number(row["delta_usd"], 3, signed=True),
            fmt.number(row["gamma_1pct_usd"], 4, signed=True),
            fmt.number(row["vega_usd_per_vol_point"], signed=True),
            fmt.number(row["theta_usd_per_day"], signed=True),
        ]
        for policy in result.policies
        for row in final_exposures(policy).iter_rows(named=True)
    ]
    if not rows:
        return Markup()
    headings = [
        "Exposure at the end",
        "Underlying",
        "Delta coin",
        "Delta USD (in coin)",
        "Gamma per 1 %",
        "Vega USD / vol pt",
        "Theta USD / day",
    ]
    return table(headings, rows, text_columns=(0, 1))


def trade_details(result: BacktestResult) -> list[Markup]:
    """Last and dearest trades of each policy, and the end of its journal."""
    parts = []
    for policy in result.policies:
        trades = policy.trades.with_columns((pl.col("fee") + pl.col("slippage")).alias("cost"))
        if trades.is_empty() and policy.journal.is_empty():
            continue
        last = trades.sort("ts", descending=True).head(_LAST_TRADES)
        dearest = trades.sort("cost", descending=True, nulls_last=True).head(_DEAREST_TRADES)
        counted = f"{fmt.count(trades.height)} trades, {fmt.count(policy.journal.height)} journal entries"
        inside = [tag("h3", f"Last {last.height} trades"), _trade_table(last)] if last.height else []
        if trades.height > _LAST_TRADES:
            inside += [tag("h3", f"Dearest {dearest.height} trades"), _trade_table(dearest)]
        inside += _journal(policy)
        summary = tag("summary", policy.name, tag("span", counted, class_="note"))
        is_open = "" if policy is result.policies[-1] else None
        parts.append(tag("details", summary, tag("div", *inside, class_="inside"), open=is_open))
    return parts


def identity_table(result: BacktestResult) -> Markup:
    """Whether cash + marks equal the sum of all flows, per policy and currency, in exact decimals."""
    rows = []
    for policy in result.policies:
        mark = _identity_mark(policy_figures(policy, result.numeraire).identity_exact)
        stated = policy.identity.rows() or [(fmt.MISSING,) * 4]
        rows += [[policy.name, *row[:4], mark] for row in stated]
    if not rows:
        return Markup()
    headings = ["Policy", "Currency", "Cash + marks", "Sum of flows", "Difference", "Identity"]
    return table(headings, rows, text_columns=(0, 1))


def warnings_panel(result: BacktestResult) -> Markup:
    """What the reader must know."""
    if not result.warnings:
        return panel("Warnings", "", tag("p", "None.", class_="empty"))
    lines = tag("ul", *(tag("li", text) for text in result.warnings), class_="plain warn")
    return panel("Warnings", f"{len(result.warnings)}", lines)


def assumptions_panel(result: BacktestResult) -> Markup:
    """What was taken for granted."""
    if not result.assumptions:
        return panel("Assumptions", "", tag("p", "None stated.", class_="empty"))
    return panel(
        "Assumptions", "", tag("ul", *(tag("li", text) for text in result.assumptions), class_="plain")
    )


def drops_panel(result: BacktestResult) -> Markup:
    """Quotes dropped, by reason."""
    drops = result.drops.sort("count", descending=True)
    total = _total(drops["count"])
    if not total:
        return panel("Quotes not used", "", tag("p", "Every quote was used.", class_="empty"))
    rows = [
        [reason, fmt.count(n), fmt.percent(n / total)] for reason, n in drops.select("reason", "count").rows()
    ]
    return panel("Quotes not used", f"{fmt.count(total)} rows", table(["Reason", "Rows", "Share"], rows))


def reproducibility(result: BacktestResult) -> Markup:
    """Version, seed, window and configuration of the run."""
    facts = [
        ["ivhedge", result.version or fmt.MISSING],
        ["Seed", fmt.MISSING if result.seed is None else str(result.seed)],
        ["First snapshot", f"{fmt.when(result.start_ns, seconds=True)} UTC"],
        ["Last snapshot", f"{fmt.when(result.end_ns, seconds=True)} UTC"],
        ["Snapshots", fmt.count(result.n_snapshots)],
        ["Numeraire", result.numeraire],
    ]
    config = json.dumps(result.config, indent=2, ensure_ascii=False, allow_nan=False)
    return join(
        [
            tag("div", table(["Run", "Value"], facts, text_columns=(0, 1)), class_="facts"),
            tag("pre", config) if result.config else tag("p", "No configuration stored.", class_="empty"),
        ]
    )


def _total(values: pl.Series) -> float:
    return float(values.sum())


def _trade_table(trades: pl.DataFrame) -> Markup:
    rows = [
        [
            f"{row['ts']:%Y-%m-%d %H:%M}",
            row["instrument"],
            row["venue"],
            row["purpose"],
            fmt.number(row["quantity"], 1, signed=True),
            fmt.price(row["price"]),
            fmt.price(row["mark"]),
            fmt.number(row["fee"], _cost_decimals(row["currency"])),
            fmt.number(row["slippage"], _cost_decimals(row["currency"]), signed=True),
            row["currency"],
            row["reason"],
        ]
        for row in trades.iter_rows(named=True)
    ]
    headings = ["Time UTC", "Instrument", "Venue", "Purpose", "Contracts", "Price", "Mark", "Fee", "Slippage"]
    return table([*headings, "Ccy", "Why"], rows, text_columns=(0, 1, 2, 3, 9), wrapped_columns=(10,))


def _cost_decimals(currency: str) -> int:
    return 2 if currency in USD_LIKE else 6


def _journal(policy: PolicyResult) -> list[Markup]:
    if policy.journal.is_empty():
        return []
    rows = [
        [f"{row['ts']:%Y-%m-%d %H:%M}", row["event"], row["detail"]]
        for row in policy.journal.tail(_LAST_ENTRIES).iter_rows(named=True)
    ]
    shown = table(["Time UTC", "Event", "Detail"], rows, text_columns=(0, 1), wrapped_columns=(2,))
    return [tag("h3", f"Last {len(rows)} journal entries"), shown]


def _signed(value: float | None, currency: str) -> Markup:
    return _coloured(-(value or 0.0), fmt.amount(value, currency, signed=True))


def _coloured(badness: float | None, text: str) -> Markup:
    """Colour a figure: positive `badness` is bad, negative good."""
    if not badness:
        return tag("span", text)
    return tag("span", text, class_="bad-text" if badness > 0 else "good-text")


def _identity_mark(is_exact: bool | None) -> Markup:
    if is_exact is None:
        return tag("span", "not checked", class_="bad-text")
    return tag("span", "exact", class_="good-text") if is_exact else tag("span", "BROKEN", class_="bad-text")
