"""One fitted surface as a page: smiles with bid and ask, residuals, term structure, certificate."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ivhedge.core import atomic
from ivhedge.report import charts
from ivhedge.report import format as fmt
from ivhedge.report.fitrows import EXPIRY_HEADINGS, TERM_HEADINGS, expiry_rows, term_rows
from ivhedge.report.fitview import FitView
from ivhedge.report.markup import Markup, table, tag
from ivhedge.report.page import Page, panel

__all__ = ["render_fit_html", "write_fit_report"]


def render_fit_html(view: FitView) -> str:
    """Render a fit as one self-contained document."""
    page = Page(f"{view.underlying} surface · ivhedge")
    overview = [
        page.chart(charts.expiry_term(view.term)),
        page.chart(charts.expiry_skew(view.term)),
        panel("Certificate", "", _words(view.certificate)),
        panel("Fit", "", _words(view.facts), tag("h3", "By tenor"), _tenors(view.by_tenor)),
    ]
    page.section("surface", "Surface", tag("div", *(part for part in overview if part), class_="grid"))
    expiries = [
        panel("Fit by expiry", "bounds = one-sided quotes; errors in vol points", _expiries(view.by_expiry)),
        panel("Forwards and smile", "± = standard error; RR, BF = 25-delta, vol points", _forwards(view)),
    ]
    page.section("expiries", "Expiries", tag("div", *expiries, class_="grid"), _notes(view.notes))
    smiles = [page.chart(chart, width="third") for chart in charts.smile_charts(view.smiles)]
    page.section("smiles", "Smiles", *([tag("div", *smiles, class_="grid")] if smiles else []))
    quality = [
        panel("Largest errors", "in half-spreads", _worst(view.worst)),
        panel("Quotes not fitted", "", _drops(view.drops)),
    ]
    page.section("quality", "Quotes", tag("div", *quality, class_="grid"))
    return page.render(_header(view))


def write_fit_report(view: FitView, path: Path | str) -> Path:
    """Render a fit into a file, atomically.

    Raises
    ------
    ConfigError
        If the file cannot be written; what was there before is untouched.
    """
    target = Path(path)
    atomic.write_text(target, render_fit_html(view))
    return target


def _header(view: FitView) -> Markup:
    return tag(
        "header",
        tag("button", "light / dark", type="button", id="theme"),
        tag("h1", f"{view.underlying} volatility surface"),
        tag("p", f"{fmt.when(view.ts_ns, seconds=True)} UTC · {view.model} model", class_="sub"),
        tag("ul", tag("li", view.verdict, class_="good" if view.certified else "bad"), class_="verdicts"),
    )


def _words(rows: Sequence[tuple[str, str]]) -> Markup:
    return table(["Measure", "Value"], rows, text_columns=(0, 1), wrapped_columns=(1,))


def _notes(notes: Sequence[str]) -> Markup:
    return tag("ul", *(tag("li", note) for note in notes), class_="plain warn") if notes else Markup()


def _expiries(by_expiry: pl.DataFrame) -> Markup:
    return table(EXPIRY_HEADINGS, expiry_rows(by_expiry), text_columns=(0, 2))


def _forwards(view: FitView) -> Markup:
    return table(TERM_HEADINGS, term_rows(view), text_columns=(0, 3))


def _tenors(by_tenor: pl.DataFrame) -> Markup:
    rows = [
        [
            row["tenor"],
            fmt.count(row["n_quotes"]),
            fmt.percent(row["inside_bid_ask"]),
            fmt.vol_points(row["rmse_vol"]),
            fmt.vol_points(row["median_error_vol"]),
        ]
        for row in by_tenor.iter_rows(named=True)
    ]
    return table(["Tenor", "Quotes", "Inside bid/ask", "Rmse, vol pts", "Median error, vol pts"], rows)


def _worst(worst: pl.DataFrame) -> Markup:
    rows = [
        [
            row["instrument_name"],
            row["venue"],
            fmt.vol_percent(row["bid_iv"]),
            fmt.vol_percent(row["ask_iv"]),
            fmt.vol_percent(row["fitted_iv"]),
            fmt.vol_points(row["error_vol"], signed=True),
        ]
        for row in worst.iter_rows(named=True)
    ]
    return table(
        ["Instrument", "Venue", "Bid, %", "Ask, %", "Surface, %", "Error, pts"], rows, text_columns=(0, 1)
    )


def _drops(drops: pl.DataFrame) -> Markup:
    rows = [[reason, fmt.count(n)] for reason, n in drops.select("reason", "count").iter_rows()]
    return table(["Reason", "Quotes"], rows)
