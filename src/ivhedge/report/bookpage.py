"""A book in one respect (risk, margin, stress, explained profit) as a page."""

from pathlib import Path

from ivhedge.core import atomic
from ivhedge.report import format as fmt
from ivhedge.report.bookcharts import book_bars, book_heat
from ivhedge.report.bookview import BookView, TableView
from ivhedge.report.markup import Markup, table, tag
from ivhedge.report.page import Page, panel

__all__ = ["render_book_html", "write_book_report"]

_WIDE = 7
_LONG = 32


def render_book_html(view: BookView) -> str:
    """Render a view as one self-contained document."""
    page = Page(f"{view.title} · ivhedge")
    facts = table(["Measure", "Value"], view.facts, text_columns=(0, 1), wrapped_columns=(1,))
    bars = [
        page.chart(book_bars(item), width="full" if max(map(len, item.names)) > _LONG else "")
        for item in view.bars
        if item.names
    ]
    overview = [*([panel("In short", "", facts)] if view.facts else []), *bars]
    notes = tag("ul", *(tag("li", note) for note in view.notes), class_="plain warn")
    page.section(
        "overview",
        "Overview",
        *([tag("div", *overview, class_="grid")] if overview else []),
        notes if view.notes else Markup(),
    )
    if view.heats:
        heats = [
            page.chart(book_heat(item), width="full" if len(item.columns) > _WIDE else "")
            for item in view.heats
        ]
        page.section("maps", "Maps", tag("div", *heats, class_="grid"))
    if view.tables:
        page.section("tables", "Tables", tag("div", *(_table(item) for item in view.tables), class_="grid"))
    return page.render(_header(view))


def write_book_report(view: BookView, path: Path | str) -> Path:
    """Render a view into a file, atomically.

    Raises
    ------
    ConfigError
        If the file cannot be written; what was there before is untouched.
    """
    target = Path(path)
    atomic.write_text(target, render_book_html(view))
    return target


def _header(view: BookView) -> Markup:
    return tag(
        "header",
        tag("button", "light / dark", type="button", id="theme"),
        tag("h1", view.title),
        tag("p", f"{fmt.when(view.ts_ns, seconds=True)} UTC", class_="sub"),
        tag("ul", tag("li", view.verdict, class_="good" if view.good else "bad"), class_="verdicts"),
    )


def _table(item: TableView) -> Markup:
    width = "full" if len(item.headings) > _WIDE else ""
    return panel(item.title, item.note, table(item.headings, item.rows, text_columns=item.text), width=width)
