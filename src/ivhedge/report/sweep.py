"""A sweep as tables, JSON and one self-contained HTML comparison."""

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ivhedge.core import atomic
from ivhedge.engine.sweep import CHOSEN, Cell, CellResult, Comparison, SweepResult
from ivhedge.report import format as fmt
from ivhedge.report.charts.style import Chart
from ivhedge.report.markup import Markup, join, table, tag
from ivhedge.report.page import Page
from ivhedge.report.sweepcharts import equity_chart, grid_charts, sample_chart
from ivhedge.report.sweeprows import (
    COMPARISON_HEADINGS,
    FOLD_HEADINGS,
    comparison_rows,
    fold_rows,
    verdict_lines,
)
from ivhedge.report.tables import text_table

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["render_sweep_html", "sweep_tables", "write_sweep"]

_SHOWN = 5


def render_sweep_html(result: SweepResult) -> str:
    """Render a sweep.

    Parameters
    ----------
    result : SweepResult

    Returns
    -------
    str
        A complete UTF-8 document that makes no request of any kind.
    """
    page = Page(f"{result.spec.name} · ivhedge sweep")
    out_of_sample = [_out_of_sample(page, result, item) for item in result.cells]
    page.section("judged", "Out of sample: chosen on the past, judged on what came next", *out_of_sample)
    every = [_compared(item.cell, item.comparison, result) for item in result.cells]
    page.section("all", "All variants, all periods (in sample for any choice made from this table)", *every)
    page.section("equity", "Equity", _grid([_equity(page, item) for item in result.cells]))
    heats = [page.chart(chart) for item in result.cells for chart in _heats(result, item)]
    page.section("grid", "The parameter grid, in and out of sample", _grid(heats))
    page.section("runs", "Runs", _runs(result))
    page.section("notes", "Notes", _notes(result))
    return page.render(_header(result))


def write_sweep(result: SweepResult, folder: Path | str) -> Path:
    """Write sweep.json, runs.parquet, comparison.parquet and report.html, each in one step.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    out = Path(folder)
    text = json.dumps(_plain(result.to_dict()), ensure_ascii=False, allow_nan=False, indent=2)
    atomic.write_text(out / "sweep.json", text + "\n")
    atomic.write_bytes(out / "runs.parquet", _parquet(result.run_table()))
    atomic.write_bytes(out / "comparison.parquet", _parquet(result.comparison_table()))
    page = out / "report.html"
    atomic.write_text(page, render_sweep_html(result))
    return page


def sweep_tables(result: SweepResult) -> "list[RenderableType]":
    """Tables for the terminal: out of sample where there is one, else all periods."""
    shown: list[RenderableType] = []
    for item in result.cells:
        found = item.walk_forward
        cell, compared = (item.cell, item.comparison) if found is None else (found.cell, found.comparison)
        if compared is None:
            continue
        sample = "all periods" if found is None else "out of sample"
        confidence = f"{result.spec.bootstrap.confidence:.0%} intervals"
        title = f"{cell.label}, {sample}, {result.spec.criterion}, {confidence}"
        # The interval of each figure is on the page; a terminal has no room for all of them.
        keep = (0, 1, 2, 6, 7, 9)
        rows = [
            tuple(row[place].split(" (")[0] if place == 1 else row[place] for place in keep)
            for row in comparison_rows(cell, compared, result.spec.criterion)
        ]
        shown.append(text_table(title, [COMPARISON_HEADINGS[place] for place in keep], rows))
    return shown


def _parquet(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _header(result: SweepResult) -> Markup:
    spec = result.spec
    about = (
        f"{len(spec.variants)} variants × {len(spec.books)} books × {len(spec.periods)} periods, "
        f"{len(result.runs)} runs · criterion {spec.criterion} · baseline {spec.baseline}"
    )
    said = (tag("li", text, class_="good" if good else "bad") for text, good in verdict_lines(result))
    return tag(
        "header",
        tag("button", "light / dark", type="button", id="theme"),
        tag("h1", spec.name),
        tag("p", about, class_="sub"),
        tag("ul", *said, class_="verdicts"),
    )


def _grid(panels: list[Markup]) -> Markup:
    shown = [panel for panel in panels if panel]
    return tag("div", *shown, class_="grid pairs") if shown else Markup()


def _compared(cell: Cell, found: Comparison | None, result: SweepResult) -> Markup:
    if found is None:
        return Markup()
    rows = [
        [tag("b", row[0]) if row[0] == CHOSEN else row[0], *row[1:]]
        for row in comparison_rows(cell, found, result.spec.criterion)
    ]
    how = result.spec.bootstrap
    note = (
        f"{len(cell.periods)} periods, {sum(cell.lengths)} steps; {how.confidence:.0%} intervals, "
        f"moving blocks of {how.block} steps, {how.resamples} resamples; "
        "p: no better than the baseline, alone and as the best of all variants tried"
    )
    return join([tag("h3", cell.label), table(COMPARISON_HEADINGS, rows), tag("p", note, class_="note")])


def _out_of_sample(page: Page, result: SweepResult, item: CellResult) -> Markup:
    found = item.walk_forward
    if found is None:
        return Markup()
    folds = table(FOLD_HEADINGS, fold_rows(item, result.spec.criterion), text_columns=(0, 1, 2, 6))
    charts = [
        page.chart(
            equity_chart(found.cell, _leaders(found.cell, found.comparison), f"Equity · {item.cell.label}")
        ),
        page.chart(sample_chart(result.spec, item)),
    ]
    return join([_compared(found.cell, found.comparison, result), folds, _grid(charts)])


def _leaders(cell: Cell, found: Comparison | None) -> list[str]:
    """The baseline, the choice, the best and the worst: what lost is shown too."""
    if found is None:
        return list(cell.variants)
    score = found.figures["score"].value
    order = sorted(range(1, len(cell.variants)), key=lambda row: -float(score[row]))
    chosen = [CHOSEN] if CHOSEN in cell.variants else []
    names = [cell.variants[row] for row in order]
    return [cell.variants[0], *chosen, *names[:_SHOWN], *names[-1:]]


def _heats(result: SweepResult, item: CellResult) -> list[Chart]:
    charts = grid_charts(result.spec, item.cell, item.comparison, "all periods")
    if (found := item.walk_forward) is not None:
        charts += grid_charts(result.spec, found.cell, found.comparison, "judged periods")
    return charts


def _equity(page: Page, item: CellResult) -> Markup:
    chart = equity_chart(item.cell, _leaders(item.cell, item.comparison), f"Equity · {item.cell.label}")
    return page.chart(chart)


def _runs(result: SweepResult) -> Markup:
    rows = [
        [
            row["market"],
            row["book"],
            row["period"],
            row["variant"],
            row["status"] if row["error"] is None else row["error"],
            fmt.number(row["pnl_usd"], signed=True),
            fmt.number(row["pnl_std_usd"]),
            fmt.number(row["cvar95_usd"]),
            fmt.number(row["max_drawdown_usd"]),
            fmt.number(None if row["fees_usd"] is None else row["fees_usd"] + row["slippage_usd"]),
            fmt.count(row["n_trades"]),
            {True: "exact", False: "BROKEN", None: fmt.MISSING}[row["identity_exact"]],
        ]
        for row in result.run_table().iter_rows(named=True)
    ]
    headings = ["Market", "Book", "Period", "Variant", "Status", "P&L USD", "Step std", "CVaR 95 step"]
    shown = table(
        [*headings, "Max drawdown", "Fees + slippage", "Trades", "Money identity"],
        rows,
        text_columns=(0, 1, 2, 3, 4),
        wrapped_columns=(4,),
    )
    summary = tag("summary", f"{len(rows)} runs", tag("span", "runs.parquet holds them all", class_="note"))
    return tag("details", summary, tag("div", shown, class_="inside"))


def _notes(result: SweepResult) -> Markup:
    lines = [
        *result.notes,
        f"code {result.code}; a run's id changes with its data, its settings and the code",
    ]
    return tag("ul", *(tag("li", text) for text in lines), class_="plain")
