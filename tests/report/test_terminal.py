import io

import pytest
from rich.console import Console

from ivhedge.report import FitDrawing
from ivhedge.report.canvas import Canvas, plain_text


def drawn(view, width=110, encoding="utf-8", **options):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=stream, width=width, **options).print(FitDrawing(view=view))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [24, 35, 80, 110, 300])
def test_every_line_fits_and_every_expiry_is_there(make_view, width):
    view = make_view()
    lines = drawn(view, width).splitlines()
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    for expiry in view.by_expiry["expiry"]:
        assert f"BTC {expiry:%d %b %Y}" in text
    assert text.count("×") >= 6 + 1  # one rejected in each, and the legend
    assert "term structure" in text
    assert sum(line.count("●") for line in lines if "term structure" not in line) in range(1, 7)


def test_too_narrow_says_so(make_view):
    assert "24 columns are needed" in drawn(make_view(), 23).replace("\n", " ")


def test_ascii_consoles_get_ascii(make_view):
    assert drawn(make_view(), 80, encoding="ascii").isascii()


def test_colours_are_for_terminals_that_want_them(make_view, monkeypatch):
    assert "\x1b[31m" in drawn(make_view(), force_terminal=True, color_system="standard")
    assert "\x1b" not in drawn(make_view())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in drawn(make_view(), force_terminal=True)


def test_works_without_rows(make_view):
    view = make_view()
    assert drawn(make_view(smiles=view.smiles.clear(), term=view.term.clear())).strip() == ""
    assert "BTC" not in drawn(make_view(smiles=view.smiles.clear()))


def test_a_line_climbs_from_corner_to_corner():
    canvas = Canvas(4, 2)
    canvas.line([(0.0, 0.0), (1.0, 1.0)], "")
    top, bottom = (row.plain for row in canvas.rows())
    assert top[:2] == bottom[2:] == "  "
    assert " " not in top[2:] + bottom[:2]


def test_a_bar_is_as_long_as_its_quote():
    canvas = Canvas(3, 4)
    canvas.bar(0, 0.0, 1.0, "")
    canvas.bar(1, 0.26, 0.60, "")
    canvas.bar(2, 1.2, 1.5, "")
    columns = list(zip(*(row.plain for row in canvas.rows()), strict=True))
    assert columns[0] == ("│", "│", "│", "│")
    assert columns[1] == (" ", "╷", "│", " ")
    assert columns[2] == (" ", " ", " ", " ")


def test_a_gap_lifts_the_pen():
    canvas = Canvas(6, 1)
    canvas.line([(0.0, 0.5), (0.3, 0.5), (0.5, None), (0.9, 0.5)], "")
    (row,) = canvas.rows()
    assert row.plain.rstrip() == row.plain[:2]


def test_plain_text_keeps_the_length():
    assert plain_text("7 d · −3 ± 1 …") == "7 d - -3 + 1 ."
    assert plain_text("ö") == "?"
