"""A fit drawn in the terminal: smiles with bid and ask, and the term structure.

Colours come from the console, which leaves them out for pipes and ``NO_COLOR``; without them bars, model and
marks still differ in shape. Consoles that know ASCII only get ASCII.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from ivhedge.report import format as fmt
from ivhedge.report.canvas import Canvas, plain_text
from ivhedge.report.fitview import FitView
from ivhedge.report.panels import SmilePanel, smile_panels
from ivhedge.report.steps import TICK_DAYS, forward_steps

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

__all__ = ["FitDrawing"]

_STYLES = {"inside": "bright_black", "rich": "red", "cheap": "green", "rejected": "bold magenta"}
_MODEL, _FORWARD = "yellow", "blue"
_NARROWEST, _PANEL, _WIDEST, _GAP = 24, 34, 110, 2
_SMILE_ROWS, _TERM_ROWS = 8, 9
_LABEL = 6
_URGENT = {"rejected": 0, "rich": 1, "cheap": 1, "inside": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitDrawing:
    """A `rich` renderable of the smiles and the term structure of a fit.

    Parameters
    ----------
    view : FitView
    """

    view: FitView

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw as wide as the console is."""
        from rich.text import Text

        width, ascii_only = min(options.max_width, _WIDEST), options.ascii_only
        if width < _NARROWEST:
            yield Text(f"{_NARROWEST} columns are needed to draw, {width} are there")
            return
        columns = max(1, (width + _GAP) // (_PANEL + _GAP))
        each = (width - _GAP * (columns - 1)) // columns
        panels = [panel for panel in smile_panels(self.view.smiles) if panel.strikes and panel.vols]
        blocks = [_smile(panel, each, ascii_only) for panel in panels]
        shown: list[Text] = []
        for first in range(0, len(blocks), columns):
            shown += [*_beside(blocks[first : first + columns]), Text()]
        if blocks:
            legend = Text(
                "│ bid to ask · line: model · × rejected · ↓ ask only · ↑ bid only · ", "bright_black"
            )
            legend.append("rich", _STYLES["rich"]).append(" · ").append("cheap", _STYLES["cheap"])
            shown += [legend, Text()]
        shown += _term(self.view.term, width, ascii_only)
        for line in shown:
            line.no_wrap, line.overflow = len(line) <= width, "fold"
            if ascii_only:
                line.plain = plain_text(line.plain)
            yield line


def _beside(blocks: "list[list[Text]]") -> "list[Text]":
    from rich.text import Text

    return [Text(" " * _GAP).join(line) for line in zip(*blocks, strict=True)]


def _smile(panel: SmilePanel, width: int, ascii_only: bool) -> "list[Text]":
    canvas = Canvas(width - _LABEL, _SMILE_ROWS, ascii_only=ascii_only)
    (left, right), (low, high) = panel.strikes or (0.0, 1.0), panel.vols or (0.0, 1.0)
    across, up = (right - left) or 1.0, (high - low) or 1.0
    quotes: dict[int, dict[str, object]] = {}
    # One quote a column: the one that asks for attention, else the tightest.
    for quote in panel.quotes.filter(pl.col("strike").is_between(left, right)).iter_rows(named=True):
        column = canvas.column((quote["strike"] - left) / across)
        if column not in quotes or _rank(quote) < _rank(quotes[column]):
            quotes[column] = quote
    line = [((k - left) / across, (v - low) / up) for k, v in panel.line.select("strike", "model_iv").rows()]
    canvas.line(line, _MODEL)
    for column, quote in quotes.items():
        bid, ask = _place(quote["bid_iv"], low, up), _place(quote["ask_iv"], low, up)
        style = _STYLES[str(quote["state"])]
        if bid is not None and ask is not None:
            canvas.bar(column, bid, ask, style)
        if quote["state"] == "rejected":
            at = _place(quote["mid_iv"], low, up)
            at = at if at is not None else bid if bid is not None else ask
            canvas.mark(column, 0.5 if at is None else at, "×", style, clamp=True)
        elif bid is None and ask is not None:
            canvas.mark(column, ask, "↓", style)
        elif ask is None and bid is not None:
            canvas.mark(column, bid, "↑", style)
    inside = "" if panel.inside is None else f" · {fmt.percent(panel.inside, 0)} in"
    strikes = [_strike(strike) for strike in (left, 0.5 * (left + right), right)]
    return [
        _fixed(panel.title + inside, width, "bold"),
        *_labelled(canvas, low, high),
        _fixed(" " * _LABEL + _spread(strikes, width - _LABEL), width, "bright_black"),
    ]


def _term(term: pl.DataFrame, width: int, ascii_only: bool) -> "list[Text]":
    rows = term.drop_nulls("atm_vol").sort("tenor_days")
    if rows.is_empty():
        return []
    days, vols = rows["tenor_days"].to_list(), rows["atm_vol"].to_list()
    corners = forward_steps(rows)
    every = [*vols, *(vol for _, vol in corners if vol is not None)]
    room = 0.05 * (max(every) - min(every)) or 0.01
    low, high = min(every) - room, max(every) + room
    start, end = math.log(0.8 * days[0]), math.log(1.1 * days[-1])
    canvas = Canvas(width - _LABEL, _TERM_ROWS, ascii_only=ascii_only)

    def across(tenor: float) -> float:
        return (math.log(tenor) - start) / (end - start)

    steps = [(across(at), None if vol is None else (vol - low) / (high - low)) for at, vol in corners]
    canvas.line(steps, _FORWARD)
    for at, vol in zip(days, vols, strict=True):
        canvas.mark(canvas.column(across(at)), (vol - low) / (high - low), "●", _MODEL)
    labels = [" "] * (width - _LABEL)
    free = 0
    for tick in TICK_DAYS:
        word, place = f"{tick:g}d", canvas.column(min(max(across(tick), 0.0), 1.0))
        if 0.0 <= across(tick) <= 1.0 and place >= free and place + len(word) <= len(labels):
            labels[place : place + len(word)] = word
            free = place + len(word) + 1
    return [
        _fixed("term structure: ● at the money, line: forward vol from the expiry before", width, "bold"),
        *_labelled(canvas, low, high),
        _fixed(" " * _LABEL + "".join(labels), width, "bright_black"),
    ]


def _labelled(canvas: Canvas, low: float, high: float) -> "list[Text]":
    from rich.text import Text

    rows = canvas.rows()
    decimals = 0 if high - low > 0.05 else 1
    words = {0: high, len(rows) // 2: high - (high - low) * (len(rows) // 2) / len(rows), len(rows) - 1: low}
    shown = []
    for place, row in enumerate(rows):
        label = f"{100 * words[place]:.{decimals}f}%" if place in words else ""
        shown.append(Text.assemble((f"{label:>{_LABEL - 1}} ", "bright_black"), row))
    return shown


def _fixed(text: str, width: int, style: str) -> "Text":
    from rich.text import Text

    line = Text(text, style)
    line.truncate(width, overflow="ellipsis", pad=True)
    return line


def _spread(words: list[str], width: int) -> str:
    left, middle, right = words
    gap = width - len(left) - len(right)
    return left + f"{middle:^{gap}}" + right if gap > len(middle) else f"{left:<{width}}"


def _rank(quote: dict[str, object]) -> tuple[int, float]:
    bid, ask = quote["bid_iv"], quote["ask_iv"]
    spread = ask - bid if isinstance(bid, float) and isinstance(ask, float) else math.inf
    return _URGENT[str(quote["state"])], spread


def _place(vol: object, low: float, up: float) -> float | None:
    return (vol - low) / up if isinstance(vol, float) else None


def _strike(strike: float) -> str:
    return f"{strike / 1000:.3g}k" if strike >= 1e4 else f"{strike:.4g}"
