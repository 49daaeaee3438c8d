"""Risk, margin, stress and explained profit are drawn from one view: terminal, page, picture."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.report import (
    Bars,
    BookView,
    HeatMap,
    TableView,
    book_figure,
    book_tables,
    render_book_html,
    write_book_png,
    write_book_report,
)

EVIL = "<script>alert(1)</script> [red]x[/red] $a$"
VALUES = np.array([[1_000.0, -250_000.0], [np.nan, 0.0]])


@pytest.fixture
def view() -> BookView:
    return BookView(
        title=f"ladder {EVIL}",
        ts_ns=1_767_614_400_000_000_000,
        verdict="worst stress: crash, −182,400 USD",
        good=False,
        facts=(("equity", "300,000 USD"), (EVIL, EVIL)),
        tables=(
            TableView(title="Stresses", headings=("stress", "P&L"), rows=(("crash", "−1"), (EVIL, "2"))),
        ),
        heats=(
            HeatMap(
                title="spot × vol",
                across="spot",
                down="vol",
                columns=("−10 %", "+10 %"),
                rows=("+5", "0"),
                values=VALUES,
            ),
        ),
        bars=(Bars(title="by stress", names=("crash", EVIL), values=(-182_400.0, 20.0)),),
        notes=(f"2 legs at a conservative mark: {EVIL}",),
    )


def shown(view: BookView, width: int = 140) -> str:
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    for part in book_tables(view):
        console.print(part)
    return console.export_text()


def options(page: str) -> dict[str, dict]:
    found = re.search(r'id="chart-options">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found.group(1))


def test_the_terminal_shows_every_part_as_it_is(view: BookView) -> None:
    text = shown(view)
    for part in (view.verdict, "300,000 USD", "crash", "+1,000", "−250,000", "–", "−182,400", EVIL):
        assert part in text
    assert "! 2 legs at a conservative mark" in text


def test_nothing_of_the_data_runs_on_the_page(view: BookView) -> None:
    page = render_book_html(view)
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'class="bad"' in page
    assert 'class="good"' in render_book_html(replace(view, good=True))


def test_a_heat_map_keeps_its_cells_and_drops_the_unknown(view: BookView) -> None:
    drawn = [o for o in options(render_book_html(view)).values() if o["series"][0]["type"] == "heatmap"]
    assert len(drawn) == 1
    data = drawn[0]["series"][0]["data"]
    cells = {tuple(cell["value"][:2]): cell["value"][2] for cell in data}
    assert {cell["label"]["formatter"] for cell in data} == {"+1,000", "−250,000", "0"}
    # ECharts counts rows from below.
    assert cells == {(0, 1): 1_000.0, (1, 1): -250_000.0, (1, 0): 0.0}
    assert drawn[0]["yAxis"]["data"] == ["0", "+5"]


def test_shades_are_signed_roots(view: BookView) -> None:
    shade = view.heats[0].shade
    np.testing.assert_allclose(shade[0], [np.sqrt(1 / 250), -1.0])
    assert np.isnan(shade[1, 0])
    assert shade[1, 1] == 0.0


def test_the_same_view_gives_the_same_picture(view: BookView, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first, second = (write_book_png(view, tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert first.startswith(b"\x89PNG")
    words = [text.get_text() for ax in book_figure(view).axes for text in ax.texts]
    assert {"+1,000", "−250,000", "–", "0"} <= set(words)


def test_an_empty_view_is_drawn_too(view: BookView, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    bare = BookView(title="x", ts_ns=view.ts_ns, verdict="nothing to see", good=True)
    assert "nothing to see" in shown(bare)
    assert "nothing to see" in render_book_html(bare)
    write_book_png(bare, tmp_path / "bare.png")


def test_long_tables_say_how_much_is_left_out_of_the_picture(view: BookView) -> None:
    pytest.importorskip("matplotlib")
    table = TableView(title="legs", headings=("leg", "P&L"), rows=tuple((f"leg {i}", "1") for i in range(52)))
    figure = book_figure(replace(view, facts=(), bars=(), heats=(), tables=(table,)))
    assert figure.axes[0].get_title(loc="left") == "legs; 12 more rows"


def test_places_that_cannot_be_written_are_named(view: BookView, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="place to write"):
        write_book_report(view, tmp_path / "file" / "page.html")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: TableView(title="t", headings=("a", "b"), rows=(("1",),)),
        lambda: HeatMap(
            title="h", across="x", down="y", columns=("a",), rows=("b",), values=np.zeros((1, 2))
        ),
        lambda: Bars(title="b", names=("a",), values=(float("nan"),)),
        lambda: Bars(title="b", names=("a",), values=()),
    ],
)
def test_parts_that_do_not_fit_are_refused(wrong) -> None:
    with pytest.raises(DataError, match="expected"):
        wrong()
