"""No number is cut, broken or covered, however narrow the place: terminal and picture."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.report import Bars, BookView, HeatMap, TableView, book_figure, book_tables, render_book_html
from ivhedge.report.bookcolumns import Column, fit_columns

NUMBERS = ("−1,916,551", "+421,551", "−495,000", "0", "−18,430", "+1,036,280")
LONG = "BTC −26 %, vol +35 pts, skew −10 pts, 2.125 d, and a tale that goes on and on and does not end soon"
TABLE = TableView(
    title="stresses",
    note="USD",
    headings=("stress", "moves", "P&L", "legs", "collateral", "exit cost", "lost", "equity after"),
    rows=tuple((f"weekend_gap_down_{i}", LONG, *NUMBERS) for i in range(3)),
    text=(0, 1),
)
HEAT = HeatMap(
    title="spot × vol",
    across="spot",
    down="vol, points",
    columns=tuple(f"{i} %" for i in range(9)),
    rows=("+40", "0"),
    values=np.array([[-1_233_462.0 - i for i in range(9)], [0.0] * 8 + [-1e-9]]),
)
BARS = Bars(
    title="P&L by stress",
    names=("A venue is out of reach for a day, nothing is lost, during a fall of 15 %", "none"),
    values=(-1_916_551.0, 0.0),
)
VIEW = BookView(
    title="book",
    ts_ns=1_767_614_400_000_000_000,
    verdict="worst",
    good=True,
    tables=(TABLE,),
    heats=(HEAT,),
    bars=(BARS,),
    notes=tuple(f"note {i}: {LONG}" for i in range(5)),
)


def lines(view: BookView, width: int) -> list[str]:
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    for part in book_tables(view):
        console.print(part)
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_a_narrow_terminal_breaks_no_number(width):
    shown = lines(VIEW, width)
    assert max(map(len, shown)) <= width
    found = [word for line in shown for word in line.split()]
    for number in NUMBERS:
        assert found.count(number) >= 3
    for value in HEAT.values[0]:
        assert f"{value:,.0f}".replace("-", "−") in found
    assert "weekend_gap_down_2" in found
    words = "".join("".join(shown).split())
    # The names of rows are on every block.
    blocks = sum("─" in line for line in shown)
    assert blocks == 3 or words.count("weekend_gap_down_2") > 1


@given(
    st.lists(
        st.tuples(st.floats(1, 40), st.floats(0, 1)).map(lambda x: Column(full=x[0], least=x[0] * x[1])),
        min_size=1,
        max_size=9,
    ),
    st.floats(60, 200),
)
def test_every_column_has_its_room_once(columns, room):
    blocks = fit_columns(columns, room, gap=3.0)
    placed = [place for block in blocks for place, _ in block]
    assert sorted(placed[:1] + [place for place in placed if place]) == list(range(len(columns)))
    assert all(block[0][0] == 0 for block in blocks)
    for block in blocks:
        assert sum(width for _, width in block) + 3.0 * (len(block) - 1) <= room + 24.0
        for place, width in block:
            assert width <= columns[place].full + 1e-9
            assert place == 0 or width >= columns[place].least - 1e-9


def boxes(figure, ax):
    renderer = figure.canvas.get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer)) for text in ax.texts if text.get_text()]


def test_cells_of_the_picture_do_not_cover_each_other():
    pytest.importorskip("matplotlib")
    for moves in ("short", LONG, 4 * LONG):
        table = replace(TABLE, rows=tuple((name, moves, *rest) for name, _, *rest in TABLE.rows))
        figure = book_figure(replace(VIEW, tables=(table,), heats=(), bars=()))
        (ax,) = figure.axes
        seen = boxes(figure, ax)
        assert {text for text, _ in seen} >= set(NUMBERS)
        page = figure.bbox
        for i, (text, box) in enumerate(seen):
            assert page.x0 <= box.x0, text
            assert box.x1 <= page.x1, text
            for other, its in seen[i + 1 :]:
                apart = box.x1 <= its.x0 or its.x1 <= box.x0 or box.y1 <= its.y0 + 2 or its.y1 <= box.y0 + 2
                assert apart, (text, other)


def test_what_is_too_long_ends_in_an_ellipsis():
    pytest.importorskip("matplotlib")
    table = replace(TABLE, rows=((TABLE.rows[0][0], 9 * LONG, *NUMBERS),))
    (ax,) = book_figure(replace(VIEW, tables=(table,), heats=(), bars=())).axes
    words = [text.get_text() for text in ax.texts]
    assert any(word.startswith("BTC −26 %") and word.endswith("…") for word in words)
    assert set(NUMBERS) <= set(words)


def test_all_notes_are_on_the_picture():
    pytest.importorskip("matplotlib")
    words = " ".join(text.get_text() for text in book_figure(VIEW).texts)
    assert all(f"note {i}:" in words for i in range(5))
    many = replace(VIEW, notes=tuple(f"note {i}" for i in range(40)))
    assert "more lines" in " ".join(text.get_text() for text in book_figure(many).texts)


def test_bars_of_nothing_have_their_place_and_number():
    pytest.importorskip("matplotlib")
    (ax,) = book_figure(replace(VIEW, tables=(), heats=())).axes
    assert [text.get_text() for text in ax.texts] == ["−1,916,551", "0"]
    assert len(ax.get_yticklabels()) == 2
    shown = "\n".join(lines(VIEW, 110))
    assert "none" in shown
    page = render_book_html(VIEW)
    assert '"formatter":"−1,916,551"' in page
    assert "−0" not in page.replace("−0.", "")
