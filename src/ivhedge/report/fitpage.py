"""One fitted surface as a page: smiles with bid and ask, residuals, term structure, certificate."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ivhedge.report import atomic, charts
from ivhedge.report import format as fmt
from ivhedge.report.markup import Markup, table, tag
from ivhedge.report.page import Page, panel

__all__ = ["FitView", "render_fit_html", "write_fit_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitView:
    """What there is to see of a fit.

    Parameters
    ----------
    underlying : str
    ts_ns : int
    facts : tuple of (name, value)
        Quality and certificate in words, in the order to show.
    certified : bool
    by_tenor : pl.DataFrame
        ``tenor, n_quotes, inside_bid_ask, rmse_vol, median_error_vol``.
    worst : pl.DataFrame
        Largest errors: ``instrument_name, venue, bid_iv, ask_iv, fitted_iv, error_vol``.
    drops : pl.DataFrame
        ``reason, count``.
    smiles, term : pl.DataFrame
        In `SMILES_SCHEMA` and `TERM_SCHEMA` of `ivhedge.engine.result`.
    """

    underlying: str
    ts_ns: int
    facts: tuple[tuple[str, str], ...]
    certified: bool
    by_tenor: pl.DataFrame
    worst: pl.DataFrame
    drops: pl.DataFrame
    smiles: pl.DataFrame
    term: pl.DataFrame


def render_fit_html(view: FitView) -> str:
    """Render a fit as one self-contained document."""
    page = Page(f"{view.underlying} surface · ivhedge")
    facts = panel("Fit and certificate", "", table(["Measure", "Value"], view.facts, text_columns=(0, 1)))
    overview = [
        facts,
        panel("Fit by tenor", "", _tenors(view.by_tenor)),
        page.chart(charts.term_structure(view.term, view.underlying)),
        page.chart(charts.skew_chart(view.term, view.underlying)),
    ]
    page.section("surface", "Surface", tag("div", *(part for part in overview if part), class_="grid"))
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
    tone, text = (
        ("good", "Certified free of butterfly and calendar arbitrage.")
        if view.certified
        else ("bad", "NOT certified: this surface must not be used.")
    )
    return tag(
        "header",
        tag("button", "light / dark", type="button", id="theme"),
        tag("h1", f"{view.underlying} volatility surface"),
        tag("p", f"{fmt.when(view.ts_ns, seconds=True)} UTC", class_="sub"),
        tag("ul", tag("li", text, class_=tone), class_="verdicts"),
    )


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
