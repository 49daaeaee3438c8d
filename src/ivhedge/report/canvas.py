"""A drawing of characters: lines as braille dots, bars as box characters, both as ASCII where need be."""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["ASCII", "Canvas", "plain_text"]

ASCII: Final = {"│": "|", "╷": "|", "╵": "|", "×": "x", "↑": "^", "↓": "v", "●": "o"}
_WORDS: Final = str.maketrans({"·": "-", "−": "-", "–": "-", "×": "x", "±": "+", "…": "."} | ASCII)
_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800


def plain_text(text: str) -> str:
    """Say the same in ASCII."""
    return text.translate(_WORDS).encode("ascii", "replace").decode()


class Canvas:
    """Cells of one character each, addressed by places in the unit square; (0, 0) is bottom left.

    Parameters
    ----------
    width, height : int
        In characters.
    ascii_only : bool
        Draw with ASCII characters.
    """

    def __init__(self, width: int, height: int, *, ascii_only: bool = False) -> None:
        self.width, self.height = width, height
        self._ascii = ascii_only
        self._cells: dict[tuple[int, int], tuple[str, str]] = {}
        self._dots: dict[tuple[int, int], tuple[int, str]] = {}

    def column(self, x: float) -> int:
        """Column of a place across."""
        return min(max(int(x * self.width), 0), self.width - 1)

    def line(self, points: Sequence[tuple[float, float | None]], style: str) -> None:
        """Draw through points; None lifts the pen, and what lies outside is not drawn."""
        for (x0, y0), (x1, y1) in pairwise(points):
            if y0 is None or y1 is None:
                continue
            steps = 1 + int(max(abs(x1 - x0) * 2 * self.width, abs(y1 - y0) * 4 * self.height))
            for step in range(steps + 1):
                share = step / steps
                self._dot(x0 + share * (x1 - x0), y0 + share * (y1 - y0), style)

    def bar(self, column: int, low: float, high: float, style: str) -> None:
        """Draw an upright bar in half-cells, cut off at the edges."""
        if high < 0.0 or low > 1.0:
            return
        top = 2 * self.height - 1
        first, last = (min(max(int(y * 2 * self.height), 0), top) for y in (low, high))
        for row in range(first // 2, last // 2 + 1):
            has_low, has_high = first <= 2 * row <= last, first <= 2 * row + 1 <= last
            self._cells[column, row] = ("│" if has_low and has_high else "╷" if has_low else "╵", style)

    def mark(self, column: int, y: float, char: str, style: str, *, clamp: bool = False) -> None:
        """Put one character, at the edge if it lies outside and `clamp` asks for it."""
        if clamp or 0.0 <= y <= 1.0:
            row = min(max(int(y * self.height), 0), self.height - 1)
            self._cells[column, row] = (char, style)
            self._dots.pop((column, row), None)

    def rows(self) -> "list[Text]":
        """Give out the lines, top first."""
        from rich.text import Text

        shown = []
        for row in range(self.height - 1, -1, -1):
            cells = [self._cell(column, row) for column in range(self.width)]
            runs = groupby(cells, key=lambda cell: cell[1])
            shown.append(Text.assemble(*(("".join(char for char, _ in run), style) for style, run in runs)))
        return shown

    def _cell(self, column: int, row: int) -> tuple[str, str]:
        # The line lies over the bars: a bar that it hides holds it.
        if (column, row) in self._dots:
            bits, style = self._dots[column, row]
            return ("*" if self._ascii else chr(_BRAILLE + bits)), style
        char, style = self._cells.get((column, row), (" ", ""))
        return (ASCII.get(char, char) if self._ascii else char), style

    def _dot(self, x: float, y: float, style: str) -> None:
        if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0) or math.isnan(y):
            return
        across = min(int(x * 2 * self.width), 2 * self.width - 1)
        up = min(int(y * 4 * self.height), 4 * self.height - 1)
        cell = (across // 2, up // 4)
        bits = self._dots.get(cell, (0, style))[0]
        self._dots[cell] = (bits | _DOTS[across % 2][3 - up % 4], style)
