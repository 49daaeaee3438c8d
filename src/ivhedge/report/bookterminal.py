"""A book in one respect on the terminal: words, tables, coloured heat maps, bars."""

from typing import TYPE_CHECKING

import numpy as np

from ivhedge.report import format as fmt
from ivhedge.report.bookview import Bars, BookView, HeatMap, TableView, Unit
from ivhedge.report.tables import text_table

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["book_tables"]

_BAR = 24
_STRONG = 0.7


def book_tables(view: BookView) -> "list[RenderableType]":
    """Everything of a view, the verdict first."""
    from rich.text import Text

    shown: list[RenderableType] = [Text(view.verdict, style="bold green" if view.good else "bold red")]
    if view.facts:
        shown.append(text_table("in short", ["measure", ""], [list(fact) for fact in view.facts], text=2))
    shown += [_bars(item) for item in view.bars if item.names]
    shown += [_heat(item) for item in view.heats]
    shown += [_table(item) for item in view.tables]
    return shown + [Text(f"! {note}") for note in view.notes]


def _titled(title: str, note: str) -> str:
    return f"{title} ({note})" if note else title


def _table(item: TableView) -> "RenderableType":
    rows = [list(row) for row in item.rows]
    return text_table(_titled(item.title, item.note), list(item.headings), rows, texts=item.text)


def _amount(value: float, unit: Unit) -> str:
    size = abs(value)
    if size == 0.0:
        return "0"
    if unit == "coin" or size < 10.0:
        return fmt.number(value, 4 if size < 10.0 else 2, signed=True)
    return fmt.number(value, 0, signed=True)


def _heat(item: HeatMap) -> "RenderableType":
    from rich.text import Text

    def cell(value: float, shade: float) -> Text:
        if not np.isfinite(value):
            return Text(fmt.MISSING)
        ink = "green" if shade > 0 else "red"
        style = "" if value == 0.0 else f"bold {ink}" if abs(shade) > _STRONG else ink
        return Text(_amount(value, item.unit), style=style)

    rows = [
        [Text(label), *(cell(float(v), float(s)) for v, s in zip(values, shades, strict=True))]
        for label, values, shades in zip(item.rows, item.values, item.shade, strict=True)
    ]
    headings = [f"{item.down} \\ {item.across}", *item.columns]
    return text_table(_titled(item.title, item.note), headings, rows, texts=(0,))


def _bars(item: Bars) -> "RenderableType":
    from rich.text import Text

    reach = max(map(abs, item.values), default=0.0) or 1.0

    def bar(value: float) -> Text:
        length = max(round(_BAR * abs(value) / reach), 1) if value else 0
        return Text("█" * length, style="green" if value > 0 else "red")

    rows = [
        [Text(name), Text(_amount(value, item.unit)), bar(value)]
        for name, value in zip(item.names, item.values, strict=True)
    ]
    return text_table(_titled(item.title, item.note), ["", item.unit, ""], rows, texts=(0, 2))
