"""Panels of a book's picture: bars, heat maps and tables, as wide as their words ask for.

Lengths are inches. Text is measured with the font it is drawn in: columns never overlap, names that are too
long end in an ellipsis, numbers are never cut.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ivhedge.report import format as fmt
from ivhedge.report.bookcolumns import Column, fit_columns
from ivhedge.report.booknumbers import decimals
from ivhedge.report.bookview import Bars, HeatMap, TableView
from ivhedge.report.figure_smiles import INKS
from ivhedge.report.figures import DPI

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "MAX_ROWS",
    "SMALLEST",
    "draw_bars",
    "draw_heat",
    "draw_table",
    "label_room",
    "table_room",
    "text_width",
    "title_of",
]

MAX_ROWS = 40
SMALLEST = 0.88
_SIZE = 7.0
_CELL = 6.5
_GAP = 0.16
_LEAST_WORDS = 0.9
_LEAST_FONT = 4.5
_MOST_LABEL = 3.2


@cache
def text_width(text: str, size: float) -> float:
    """Width of a line of text in the figures' font of a size in points, as drawn at their resolution."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family="DejaVu Sans", size=size)
    width, _, _ = _renderer().get_text_width_height_descent(text, font, ismath=False)
    return float(width) / DPI


@cache
def _renderer() -> Any:
    from matplotlib.backends import backend_agg

    # Its constructor and measures have no types.
    untyped: Any = backend_agg
    return untyped.RendererAgg(1, 1, DPI)


def _shortened(text: str, room: float, size: float) -> str:
    """The text, or as much of its beginning as the room takes, and an ellipsis."""
    if text_width(text, size) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width(text[:middle].rstrip() + "…", size) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + "…"


def title_of(item: Bars | HeatMap | TableView) -> str:
    """Title, its note, and how many rows of a table are left out."""
    more = len(item.rows) - MAX_ROWS if isinstance(item, TableView) else 0
    title = item.title if not item.note else f"{item.title} ({item.note})"
    return title + (f"; {more} more rows" if more > 0 else "")


def _titled(ax: "Axes", item: Bars | HeatMap | TableView, room: float) -> None:
    # Titles begin where the names of the rows do.
    ax.set_title(title_of(item), x=-label_room(item) / room, parse_math=False)


def label_room(item: Bars | HeatMap | TableView) -> float:
    """Room that the names of rows take to the left of a panel's axes."""
    if isinstance(item, TableView):
        return 0.0
    names = item.names if isinstance(item, Bars) else item.rows
    widest = max((text_width(name, _SIZE) for name in names), default=0.0)
    return min(widest, _MOST_LABEL) + (0.2 if isinstance(item, Bars) else 0.35)


def _columns(item: TableView, size: float) -> list[Column]:
    rows = [item.headings, *item.rows[:MAX_ROWS]]
    full = [max(text_width(row[c], size) for row in rows) for c in range(len(item.headings))]
    return [
        Column(full=width, least=min(width, _LEAST_WORDS) if c in item.text else width)
        for c, width in enumerate(full)
    ]


def table_room(item: TableView) -> float:
    """Room that a table takes with every cell in full."""
    columns = _columns(item, _SIZE)
    return sum(column.full for column in columns) + _GAP * (len(columns) - 1)


def draw_table(ax: "Axes", item: TableView, room: float) -> None:
    """Draw the first `MAX_ROWS` rows into a room; the title says how many are left out."""
    _titled(ax, item, room)
    ax.set_axis_off()
    size, gap = _SIZE, _GAP
    columns = _columns(item, size)
    full, least = (
        sum(getattr(column, name) for column in columns) + gap * (len(columns) - 1)
        for name in ("full", "least")
    )
    # A little smaller before a word is cut; as small as it takes before a number is.
    share = 1.0 if full <= room else room / full if room >= SMALLEST * full else min(room / least, 1.0)
    size, gap = size * share, gap * share
    columns = [Column(full=share * column.full, least=share * column.least) for column in columns]
    # One block always: what is too wide has become smaller.
    (shares,) = fit_columns(columns, room * (1 + 1e-9), gap=gap)
    rows = [item.headings, *item.rows[:MAX_ROWS]]
    step, left = 1.0 / len(rows), 0.0
    for c, width in shares:
        is_words = c in item.text
        for i, row in enumerate(rows):
            ax.text(
                (left if is_words else left + width) / room,
                1.0 - step * (i + 0.5),
                _shortened(row[c], width + 1e-6, size) if is_words else row[c],
                ha="left" if is_words else "right",
                va="center",
                fontsize=size,
                color=INKS["muted"] if i == 0 else INKS["text"],
                parse_math=False,
            )
        left += width + gap


def draw_heat(ax: "Axes", item: HeatMap, room: float) -> None:
    """Draw numbers over two axes, coloured by sign and size."""
    from matplotlib.colors import LinearSegmentedColormap

    _titled(ax, item, room)
    ax.grid(visible=False)
    inks = LinearSegmentedColormap.from_list("signed", ["#e58a8a", "#ffffff", "#7cc9a5"])
    ax.imshow(np.nan_to_num(item.shade), cmap=inks, vmin=-1.0, vmax=1.0, aspect="auto")
    places = decimals(item.values.ravel(), item.unit)
    cells = [[fmt.number(float(v), places, signed=True) for v in row] for row in item.values]
    size = _fitting([cell for row in cells for cell in row], 0.92 * room / max(len(item.columns), 1), _CELL)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            ax.text(j, i, cell, ha="center", va="center", fontsize=size)
    across = _fitting(item.columns, 0.96 * room / max(len(item.columns), 1), _SIZE)
    ax.set_xticks(range(len(item.columns)), item.columns, fontsize=across, parse_math=False)
    names = [_shortened(name, _MOST_LABEL, _SIZE) for name in item.rows]
    ax.set_yticks(range(len(item.rows)), names, fontsize=_SIZE, parse_math=False)
    ax.set_xlabel(item.across)
    ax.set_ylabel(item.down)
    ax.tick_params(length=0)


def _fitting(texts: Sequence[str], room: float, size: float) -> float:
    """Size of font with which the widest of some texts fits."""
    widest = max((text_width(text, size) for text in texts), default=0.0)
    return size if widest <= room else max(size * room / widest, _LEAST_FONT)


def draw_bars(ax: "Axes", item: Bars, room: float) -> None:
    """Draw signed amounts side by side, each with its number."""
    _titled(ax, item, room)
    inks = [INKS["cheap"] if value >= 0 else INKS["rich"] for value in item.values]
    places = decimals(item.values, item.unit)
    amounts = [fmt.number(value, places, signed=True) for value in item.values]
    # What is left of a sum by rounding is drawn as none.
    shown = [value if text[0] in "+−" else 0.0 for value, text in zip(item.values, amounts, strict=True)]
    drawn = ax.barh(list(range(len(item.names))), shown, color=inks, height=0.65)
    ax.bar_label(drawn, labels=amounts, padding=2.5, fontsize=6.5, color=INKS["text"])
    names = [_shortened(name, _MOST_LABEL, _SIZE) for name in item.names]
    ax.set_yticks(list(range(len(names))), names, fontsize=_SIZE, parse_math=False)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.axvline(0.0, color="#b4bdc7", linewidth=0.8)
    ax.set_xlim(*_limits(shown, max(text_width(text, 6.5) for text in amounts) + 0.1, room))
    ax.locator_params(axis="x", nbins=6)
    step = float(np.diff(ax.get_xticks()[:2])[0])
    fine = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    ax.xaxis.set_major_formatter(lambda value, _: fmt.number(value, fine))
    ax.tick_params(axis="x", labelsize=6.5)


def _limits(values: Sequence[float], label: float, room: float) -> tuple[float, float]:
    """Limits that leave room for a number at the end of the longest bar of each side."""
    low, high = min(0.0, *values), max(0.0, *values)
    if low == high:
        return -1.0, 1.0
    sides = (low < 0.0) + (high > 0.0)
    inch = (high - low) / max(room - sides * label, 0.3 * room)
    # A bar of nothing has its number to the right of zero.
    right = label * inch if high > 0.0 or 0.0 in values else 0.1 * inch
    return low - label * inch if low < 0.0 else 0.0, high + right
