"""A book in one respect on the terminal: words, tables, coloured heat maps, bars.

Tables know the width of the terminal: words are folded between words, columns that do not fit follow in a
second block beneath, and no number is ever broken or cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ivhedge.report import format as fmt
from ivhedge.report.bookcolumns import Column, fit_columns
from ivhedge.report.booknumbers import decimals
from ivhedge.report.bookview import Bars, BookView, HeatMap

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

__all__ = ["book_tables"]

_BAR = 24
_LEAST_BAR = 4
_STRONG = 0.7
_GAP = 3
_EDGES = 2
_FOLDED = 24
_WHOLE = 16


def book_tables(view: BookView) -> "list[RenderableType]":
    """Everything of a view, the verdict first."""
    from rich.text import Text

    shown: list[RenderableType] = [Text(view.verdict, style="bold green" if view.good else "bold red")]
    if view.facts:
        shown.append(_of_words("in short", ["measure", ""], view.facts, texts=(0, 1)))
    shown += [_bars(item) for item in view.bars if item.names]
    shown += [_heat(item) for item in view.heats]
    shown += [
        _of_words(_titled(item.title, item.note), item.headings, item.rows, texts=item.text)
        for item in view.tables
    ]
    return shown + [Text(f"! {note}") for note in view.notes]


def _titled(title: str, note: str) -> str:
    return f"{title} ({note})" if note else title


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    """A table that is laid out when the width is known; `bar` is a column that may shrink to nothing."""

    title: str
    headings: "tuple[str, ...]"
    rows: "tuple[tuple[Text, ...], ...]"
    texts: frozenset[int]
    bar: int | None = None

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        room = options.max_width - _EDGES
        columns = [self._column(place) for place in range(len(self.headings))]
        blocks = fit_columns(columns, room, gap=_GAP)
        yield Text(self.title, style="italic")
        for block in blocks:
            if self.bar is not None and len(blocks) > 1 and block[-1][0] == self.bar:
                continue
            yield self._table(block)

    def _column(self, place: int) -> Column:
        cells = [self.headings[place], *(row[place].plain for row in self.rows)]
        full = max(map(len, cells))
        if place == self.bar:
            return Column(full=full, least=min(full, _LEAST_BAR))
        if place not in self.texts:
            return Column(full=full, least=full)
        longest = max((len(word) for cell in cells for word in cell.split()), default=1)
        return Column(full=full, least=full if full <= _WHOLE else min(full, max(longest, _FOLDED)))

    def _table(self, block: Sequence[tuple[int, float]]) -> "RenderableType":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        # Text objects: a name in square brackets is a name, not markup.
        shown = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for place, width in block:
            shown.add_column(
                Text(self.headings[place]),
                justify="left" if place in self.texts else "right",
                overflow="fold",
                width=max(int(width), 1),
            )
        widths = dict(block)
        for row in self.rows:
            shown.add_row(*(self._cell(row[place], place, widths[place]) for place, _ in block))
        return shown

    def _cell(self, cell: "Text", place: int, width: float) -> "Text":
        if place != self.bar or not cell.plain:
            return cell
        full = max(len(row[place].plain) for row in self.rows)
        short = cell.copy()
        short.truncate(max(round(len(cell.plain) * min(int(width) / full, 1.0)), 1))
        return short


def _of_words(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Sequence[int]
) -> _Fitted:
    from rich.text import Text

    return _Fitted(
        title=title,
        headings=tuple(headings),
        rows=tuple(tuple(Text(cell) for cell in row) for row in rows),
        texts=frozenset(texts),
    )


def _heat(item: HeatMap) -> _Fitted:
    from rich.text import Text

    places = decimals(item.values.ravel(), item.unit)

    def cell(value: float, shade: float) -> Text:
        text = fmt.number(value, places, signed=True)
        ink = "green" if text[0] == "+" else "red" if text[0] == "−" else ""
        return Text(text, style=f"bold {ink}" if ink and abs(shade) > _STRONG else ink)

    rows = tuple(
        (Text(label), *(cell(float(v), float(s)) for v, s in zip(values, shades, strict=True)))
        for label, values, shades in zip(item.rows, item.values, item.shade, strict=True)
    )
    return _Fitted(
        title=_titled(item.title, item.note),
        headings=(f"{item.down} \\ {item.across}", *item.columns),
        rows=rows,
        texts=frozenset({0}),
    )


def _bars(item: Bars) -> _Fitted:
    from rich.text import Text

    reach = max(map(abs, item.values), default=0.0) or 1.0
    places = decimals(item.values, item.unit)

    def bar(value: float, text: str) -> Text:
        length = max(round(_BAR * abs(value) / reach), 1) if text[0] in "+−" else 0
        return Text("█" * length, style="green" if value > 0 else "red")

    amounts = [fmt.number(value, places, signed=True) for value in item.values]
    rows = zip(item.names, item.values, amounts, strict=True)
    table = _of_words(
        _titled(item.title, item.note), ["", "USD" if item.unit == "usd" else "coins", ""], [], texts=(0, 2)
    )
    cells = tuple((Text(name), Text(text), bar(value, text)) for name, value, text in rows)
    return replace(table, rows=cells, bar=2)
