"""The backtest as one self-contained HTML file."""

from pathlib import Path

from ivhedge.core import atomic
from ivhedge.engine import series
from ivhedge.engine.result import BacktestResult
from ivhedge.report import charts, sections
from ivhedge.report import format as fmt
from ivhedge.report.markup import Markup, tag
from ivhedge.report.page import Page
from ivhedge.report.verdict import verdicts

__all__ = ["render_html", "write_report"]

_OVER_TIME = ("delta_coin", "vega_usd_per_vol_point", "gamma_1pct_usd", "theta_usd_per_day")


def render_html(result: BacktestResult) -> str:
    """Render a backtest.

    Parameters
    ----------
    result : BacktestResult
        Tables may be empty: their panels are left out, a section without any panel says so.

    Returns
    -------
    str
        A complete UTF-8 document that makes no request of any kind.
    """
    page = Page(f"{result.name} · ivhedge backtest")
    page.section("policies", "Policies", sections.policy_table(result), sections.exposure_table(result))
    page.section("pnl", "P&L and cost", _grid(_pnl_panels(page, result), pairs=True))
    page.section("explain", "P&L explain", _grid(_explain_panels(page, result)))
    page.section("risk", "Exposures", _grid(_risk_panels(page, result)))
    page.section("scenarios", "Spot × vol, last book", _grid(_scenario_panels(page, result)))
    page.section("surface", "Surface and fit", _grid(_surface_panels(page, result)))
    smiles = [page.chart(chart, width="third") for chart in charts.smile_charts(result.smiles)]
    page.section("smiles", "Smiles, last snapshot", _grid(smiles))
    page.section("trades", "Trades and journal", *sections.trade_details(result))
    page.section("quality", "Data quality, assumptions, warnings", _grid(_quality_panels(page, result)))
    page.section("identity", "Money identity", sections.identity_table(result))
    page.section("reproduce", "Reproducibility", sections.reproducibility(result))
    return page.render(_header(result))


def write_report(result: BacktestResult, path: Path | str) -> Path:
    """Render a backtest into a file, atomically.

    Returns
    -------
    Path
        Where the report is.

    Raises
    ------
    ConfigError
        If the file cannot be written; what was there before is untouched.
    """
    target = Path(path)
    atomic.write_text(target, render_html(result))
    return target


def _header(result: BacktestResult) -> Markup:
    window = f"{fmt.when(result.start_ns)} → {fmt.when(result.end_ns)} UTC"
    unit = "settlement coin" if result.numeraire == "coin" else "USD"
    about = f"{', '.join(result.underlyings)} · {window} · risk and P&L measured in {unit}"
    said = (tag("li", line.text, class_=line.tone.value) for line in verdicts(result))
    return tag(
        "header",
        tag("button", "light / dark", type="button", id="theme"),
        tag("h1", result.name),
        tag("p", about, class_="sub"),
        tag("ul", *said, class_="verdicts"),
        sections.tiles(result),
    )


def _grid(panels: list[Markup], *, pairs: bool = False) -> Markup:
    shown = [panel for panel in panels if panel]
    return tag("div", *shown, class_="grid pairs" if pairs else "grid") if shown else Markup()


def _pnl_panels(page: Page, result: BacktestResult) -> list[Markup]:
    coins = [code for code in series.currencies(result.policies) if code not in series.USD_LIKE]
    return [
        page.chart(charts.pnl_usd_chart(result)),
        *(page.chart(charts.pnl_coin_chart(result, code)) for code in coins),
        page.chart(charts.drawdown_chart(result)),
        page.chart(charts.cost_breakdown(result)),
    ]


def _explain_panels(page: Page, result: BacktestResult) -> list[Markup]:
    over_time = [page.chart(charts.attribution_over_time(result, policy)) for policy in result.policies]
    return [page.chart(charts.attribution_totals(result), width="full"), *over_time]


def _risk_panels(page: Page, result: BacktestResult) -> list[Markup]:
    return [
        page.chart(charts.exposure_chart(result, underlying, column))
        for underlying in result.underlyings
        for column in _OVER_TIME
    ]


def _scenario_panels(page: Page, result: BacktestResult) -> list[Markup]:
    groups = result.spot_vol.group_by("policy", "underlying", maintain_order=True)
    return [
        page.chart(charts.spot_vol_heatmap(rows, " · ".join(str(part) for part in key)))
        for key, rows in groups
    ]


def _surface_panels(page: Page, result: BacktestResult) -> list[Markup]:
    panels = []
    for underlying in result.underlyings:
        panels += [
            page.chart(charts.term_structure(result.term, underlying), width="third"),
            page.chart(charts.skew_chart(result.term, underlying), width="third"),
            page.chart(charts.atm_history(result.term, underlying), width="third"),
            page.chart(charts.fit_quality(result.surfaces, underlying)),
            page.chart(charts.tenor_fit(result.fit_by_tenor, underlying)),
        ]
    return panels


def _quality_panels(page: Page, result: BacktestResult) -> list[Markup]:
    return [
        sections.warnings_panel(result),
        sections.assumptions_panel(result),
        sections.drops_panel(result),
        page.chart(charts.stage_times(result.stages)),
    ]
