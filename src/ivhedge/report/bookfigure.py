"""A book in one respect as one picture: bars, heat maps, and the tables that fit.

Needs matplotlib, the extra ``plot``; drawn as `ivhedge.report.figures` does, so the same view gives the same
bytes.
"""

import io
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ivhedge.core import atomic
from ivhedge.report import format as fmt
from ivhedge.report.bookpanels import (
    MAX_ROWS,
    SMALLEST,
    draw_bars,
    draw_heat,
    draw_table,
    label_room,
    table_room,
    text_width,
    title_of,
)
from ivhedge.report.bookview import Bars, BookView, HeatMap, TableView
from ivhedge.report.figure_smiles import INKS
from ivhedge.report.figures import DPI, own_style, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["book_figure", "write_book_png"]

_WIDTH = 16.0
_MARGIN = 0.48
_BETWEEN = 0.6
_ROW = 0.24
_LINE = 0.19
_VERDICT_LINES = 4
_NOTE_LINES = 14
_WIDE_CELLS = 12
# Titles are bold and of 9 points.
_TITLE = 10.0


def write_book_png(view: BookView, path: Path | str) -> Path:
    """Draw a view into a PNG file, atomically.

    Raises
    ------
    ConfigError
        If matplotlib is not installed, or the file cannot be written; what was there before is untouched.
    """
    target = Path(path)
    content = io.BytesIO()
    figure = book_figure(view)
    with own_style():
        figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    atomic.write_bytes(target, content.getvalue())
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """Height and label room in inches; `draw` takes axes and their width."""

    tall: float
    labels: float
    wide: bool
    draw: "Callable[[Axes, float], None]"


def book_figure(view: BookView) -> "Figure":
    """Draw a view: two panels a row beneath its verdict and notes, wide ones alone.

    Tables end at `MAX_ROWS` rows and say so.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with own_style():
        rows = list(_in_rows(_panels(view)))
        verdict, notes = _lines((view.verdict,), 9.5, _VERDICT_LINES), _lines(view.notes, 8.0, _NOTE_LINES)
        head = 0.62 + 0.22 * len(verdict) + _LINE * len(notes) + 0.2
        heights = [max(panel.tall for panel in row) for row in rows]
        total = head + sum(heights) + 0.2 * len(heights)
        figure = Figure(figsize=(_WIDTH, total), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        _head(figure, view, verdict, notes, total)
        top = total - head
        for row, height in zip(rows, heights, strict=True):
            for column, panel in enumerate(row):
                _place(figure, panel, column, top, total)
            top -= height + 0.2
        return figure


def _panels(view: BookView) -> Iterator[_Panel]:
    half = _slot(wide=False)
    facts = TableView(title="in short", headings=("measure", ""), rows=view.facts, text=(0, 1))
    tables = [facts, *view.tables]
    items: list[Bars | HeatMap | TableView] = [*tables[:1], *view.bars, *view.heats, *tables[1:]]
    for item in items:
        if isinstance(item, TableView) and item.rows:
            tall = 0.95 + _ROW * (1 + min(len(item.rows), MAX_ROWS))
            draw, wide = partial(_table, item=item), item is not facts and SMALLEST * table_room(item) > half
        elif isinstance(item, Bars) and item.names:
            tall, draw, wide = 0.95 + _ROW * len(item.names), partial(_bars, item=item), False
        elif isinstance(item, HeatMap) and item.values.size:
            tall, draw = 1.2 + 1.2 * _ROW * len(item.rows), partial(_heat, item=item)
            wide = len(item.columns) > _WIDE_CELLS
        else:
            continue
        wide = wide or text_width(title_of(item), _TITLE) > half
        yield _Panel(tall=tall, labels=label_room(item), wide=wide, draw=draw)


def _table(ax: "Axes", room: float, *, item: TableView) -> None:
    draw_table(ax, item, room)


def _bars(ax: "Axes", room: float, *, item: Bars) -> None:
    draw_bars(ax, item, room)


def _heat(ax: "Axes", room: float, *, item: HeatMap) -> None:
    draw_heat(ax, item, room)


def _in_rows(panels: Iterator[_Panel]) -> Iterator[list[_Panel]]:
    """Narrow panels in pairs, in their order; a wide one alone in its row."""
    waiting: list[_Panel] = []
    for panel in panels:
        if panel.wide:
            if waiting:
                yield waiting
            yield [panel]
            waiting = []
            continue
        waiting.append(panel)
        if len(waiting) == 2:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _slot(*, wide: bool) -> float:
    full = _WIDTH - 2 * _MARGIN
    return full if wide else (full - _BETWEEN) / 2


def _place(figure: "Figure", panel: _Panel, column: int, top: float, total: float) -> None:
    room = _slot(wide=panel.wide) - panel.labels
    left = _MARGIN + column * (_slot(wide=False) + _BETWEEN) + panel.labels
    box = (left / _WIDTH, (top - panel.tall + 0.55) / total, room / _WIDTH, (panel.tall - 0.85) / total)
    panel.draw(figure.add_axes(box), room)


def _lines(texts: tuple[str, ...], size: float, most: int) -> list[str]:
    """Texts in lines as long as the picture is wide; the last says how many are left out."""
    letters = int((_WIDTH - 2 * _MARGIN) / text_width("0123456789", size) * 10)
    lines = [line for text in texts for line in textwrap.wrap(text, letters) or [""]]
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"… {len(lines) - most + 1} more lines: see the page or the terminal"]


def _head(figure: "Figure", view: BookView, verdict: list[str], notes: list[str], total: float) -> None:
    inch = 1.0 / total
    left, at = _MARGIN / _WIDTH, 1.0 - 0.3 * inch
    title = f"{view.title} · {fmt.when(view.ts_ns, seconds=True)} UTC"
    figure.text(left, at, title, fontsize=14, fontweight="bold", va="center", parse_math=False)
    at -= 0.34 * inch
    ink = INKS["cheap"] if view.good else INKS["rich"]
    for line in verdict:
        figure.text(left, at, line, fontsize=9.5, color=ink, va="center", parse_math=False)
        at -= 0.22 * inch
    for line in notes:
        figure.text(left, at, line, fontsize=8.0, color=INKS["rich"], va="center", parse_math=False)
        at -= _LINE * inch
