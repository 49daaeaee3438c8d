"""A book in one respect as one picture: bars, heat maps, and the tables that fit.

Needs matplotlib, the extra ``plot``; drawn as `ivhedge.report.figures` does, so the same view gives the same
bytes.
"""

import io
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ivhedge.report import atomic
from ivhedge.report import format as fmt
from ivhedge.report.bookview import Bars, BookView, HeatMap, TableView
from ivhedge.report.figure_smiles import INKS
from ivhedge.report.figures import DPI, own_style, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["book_figure", "write_book_png"]

_WIDTH = 16.0
_HEAD = 1.3
_ROW = 0.24
_ROWS = 28
_WORDS = 60
_ROUNDING = 1e-12


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


def book_figure(view: BookView) -> "Figure":
    """Draw a view: two panels a row beneath its verdict; tables end at `28` rows and say so.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    facts = TableView(title="In short", headings=("measure", "value"), rows=view.facts, text=(0, 1))
    panels: list[tuple[float, Callable[[Axes], None]]] = []
    if view.facts:
        panels.append((_table_height(facts), partial(_table, item=facts)))
    panels += [(0.9 + _ROW * len(item.names), partial(_bars, item=item)) for item in view.bars if item.names]
    panels += [(1.2 + 1.2 * _ROW * len(item.rows), partial(_heat, item=item)) for item in view.heats]
    panels += [(_table_height(item), partial(_table, item=item)) for item in view.tables if item.rows]
    heights = [max(tall for tall, _ in panels[i : i + 2]) for i in range(0, len(panels), 2)]
    total = _HEAD + sum(heights) + 0.2 * len(heights)
    with own_style():
        figure = Figure(figsize=(_WIDTH, total), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        _head(figure, view, total)
        top = total - _HEAD
        for row, height in enumerate(heights):
            pair = panels[2 * row : 2 * row + 2]
            for column, (tall, draw) in enumerate(pair):
                wide = len(pair) == 1 and len(panels) == 1
                left = 0.075 + 0.5 * column
                box = (left, (top - tall + 0.55) / total, 0.9 if wide else 0.41, (tall - 0.85) / total)
                draw(figure.add_axes(box))
            top -= height + 0.2
        return figure


def _head(figure: "Figure", view: BookView, total: float) -> None:
    inch = 1.0 / total
    title = f"{view.title} · {fmt.when(view.ts_ns, seconds=True)} UTC"
    figure.text(0.03, 1.0 - 0.3 * inch, title, fontsize=14, fontweight="bold", va="center", parse_math=False)
    ink = INKS["cheap"] if view.good else INKS["rich"]
    figure.text(0.03, 1.0 - 0.62 * inch, view.verdict, fontsize=9.5, color=ink, va="center", parse_math=False)
    notes = textwrap.shorten(" · ".join(view.notes), 230, placeholder=" …")
    figure.text(0.03, 1.0 - 0.87 * inch, notes, color=INKS["rich"], va="center", parse_math=False)


def _table_height(item: TableView) -> float:
    return 0.95 + _ROW * (1 + min(len(item.rows), _ROWS))


def _heat(ax: "Axes", item: HeatMap) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    ax.set_title(item.title if not item.note else f"{item.title} ({item.note})", parse_math=False)
    ax.grid(visible=False)
    inks = LinearSegmentedColormap.from_list("signed", ["#e58a8a", "#ffffff", "#7cc9a5"])
    ax.imshow(np.nan_to_num(item.shade), cmap=inks, vmin=-1.0, vmax=1.0, aspect="auto")
    # What is left of a sum by rounding is shown as none.
    reach = np.nanmax(np.abs(item.values), initial=0.0)
    values = np.where(np.abs(item.values) < _ROUNDING * reach, 0.0, item.values)
    for i, j in np.ndindex(values.shape):
        ax.text(j, i, _short(float(values[i, j])), ha="center", va="center", fontsize=6.5)
    ax.set_xticks(range(len(item.columns)), item.columns)
    ax.set_yticks(range(len(item.rows)), item.rows)
    ax.set_xlabel(item.across)
    ax.set_ylabel(item.down)
    ax.tick_params(length=0)


def _bars(ax: "Axes", item: Bars) -> None:
    ax.set_title(item.title if not item.note else f"{item.title} ({item.note})", parse_math=False)
    inks = [INKS["cheap"] if value >= 0 else INKS["rich"] for value in item.values]
    places = list(range(len(item.names)))
    ax.barh(places, item.values, color=inks, height=0.65)
    ax.set_yticks(places, [textwrap.shorten(name, 34, placeholder="…") for name in item.names])
    ax.invert_yaxis()
    ax.axvline(0.0, color="#b4bdc7", linewidth=0.8)
    ax.xaxis.set_major_formatter(lambda value, _: _short(value))


def _table(ax: "Axes", item: TableView) -> None:
    more = len(item.rows) - _ROWS
    title = item.title if not item.note else f"{item.title} ({item.note})"
    ax.set_title(title + (f"; {more} more rows" if more > 0 else ""), parse_math=False)
    ax.set_axis_off()
    shown = [item.headings, *item.rows[:_ROWS]]
    widths = np.array(
        [min(max(len(row[c]) for row in shown), _WORDS) + 2.0 for c in range(len(item.headings))]
    )
    edges = np.concatenate(([0.0], np.cumsum(widths))) / widths.sum()
    step = 1.0 / len(shown)
    for i, row in enumerate(shown):
        for c, cell in enumerate(row):
            words = c in item.text
            ax.text(
                edges[c] if words else edges[c + 1] - 0.01,
                1.0 - step * (i + 0.5),
                textwrap.shorten(cell, _WORDS, placeholder="…"),
                ha="left" if words else "right",
                va="center",
                fontsize=7.0,
                color=INKS["muted"] if i == 0 else INKS["text"],
                parse_math=False,
            )


def _short(value: float) -> str:
    """Amount of at most six characters: thousands as k, millions as M."""
    size = abs(value)
    if not np.isfinite(value):
        return fmt.MISSING
    unit, word = next(((u, w) for u, w in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if size >= u), (1.0, ""))
    return f"{value / unit:.3g}{word}".replace("-", "−")
