from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import polars as pl
import pytest
from rich.console import Console, RenderableType

from ivhedge.report import FitView, backtest_tables, fit_tables, frame_table


def _printed(parts: list[RenderableType], width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, no_color=True)
    for part in parts:
        console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def view(make_view) -> FitView:
    worst = pl.DataFrame(
        {
            "instrument_name": ["BTC-27MAR26-[red]100000[/]-C"],
            "venue": ["deribit"],
            "bid_iv": [0.41],
            "ask_iv": [None],
            "fitted_iv": [0.45],
            "error_vol": [0.0321],
        },
        schema_overrides={"ask_iv": pl.Float64},
    )
    return make_view(worst=worst)


def test_backtest_fits_a_hundred_columns(make_result) -> None:
    text = _printed(backtest_tables(make_result(60)))
    assert max(len(row) for row in text.splitlines()) <= 100
    rows = [row for row in text.splitlines() if row.strip().startswith("delta + vega")]
    assert "exact" in rows[0]
    assert "…" not in text
    assert "! 2 snapshots carry no future" in text


def test_the_baseline_is_compared_with_nothing(make_result) -> None:
    result = make_result(60, underlyings=("BTC",))
    turned = replace(result, policies=result.policies[::-1])  # "none" stands last and still is the baseline
    text = _printed(backtest_tables(turned))
    assert "vs none" in text
    assert next(row for row in text.splitlines() if row.strip().startswith("none")).split()[3] == "–"


def test_a_run_without_policies_says_so(make_result) -> None:
    assert "no policy was run" in _printed(backtest_tables(replace(make_result(3), policies=())))


def test_fit_tables_start_with_the_verdict_and_have_a_row_per_expiry(view: FitView) -> None:
    text = _printed(fit_tables(view))
    assert text.startswith(view.verdict)
    assert "• 07 Mar 2026 has no fit of its own" in text
    for expiry in view.by_expiry["expiry"]:
        assert sum(row.strip().startswith(f"{expiry:%d %b %Y}") for row in text.splitlines()) == 2
    assert "92,100.00     1.0" in text  # the forward and its error in basis points


def test_fit_tables_show_names_as_they_are(view: FitView) -> None:
    text = _printed(fit_tables(view))
    assert "deribit:BTC-27MAR26-[red]100000[/]-C" in text
    assert "+3.21" in text
    assert "–" in text  # the missing ask
    assert max(len(row) for row in text.splitlines()) <= 100


def test_long_frames_tell_how_much_is_hidden() -> None:
    text = _printed([frame_table(pl.DataFrame({"a": list(range(60))}), "rows")])
    assert "rows, 10 more rows" in text


def _whole(text: str, words: list[str]) -> None:
    """Check that nothing is cut off."""
    assert "…" not in text
    assert [word for word in words if word not in text] == []


def test_names_in_brackets_and_long_names_are_shown_whole(make_result) -> None:
    result = make_result(8, underlyings=("BTC",))
    named = replace(
        result.policies[1], name="[bold]delta[/] of an uncommonly long and winding name 0123456789"
    )
    text = _printed(
        backtest_tables(replace(result, name="[red]run[/]", policies=(result.policies[0], named)))
    )
    assert "[red]run[/]" in text
    assert "[bold]delta[/]" in text
    for word in ("policy", "P&L", "sd/step", "drawdown", "trades", "cost", "money", "exact"):
        assert word in text
    assert max(len(row) for row in text.splitlines()) <= 100


def test_a_broken_identity_is_shown(make_result) -> None:
    result = make_result(8, underlyings=("BTC",))
    broken = replace(result.policies[0], summary={"identity_exact": False})
    text = _printed(backtest_tables(replace(result, policies=(broken,))))
    assert next(row for row in text.splitlines() if row.strip().startswith("none")).split()[-1] == "BROKEN"


def test_a_wide_frame_shows_what_fits_and_names_the_rest() -> None:
    columns = {f"column_{n}": [f"a value {n} of some length", "x"] for n in range(20)}
    text = _printed([frame_table(pl.DataFrame(columns), "wide")])
    assert max(len(row) for row in text.splitlines()) <= 100
    title, body = text.split("not shown: ")[1].split("\n    ", 1)
    hidden = title.replace(",", " ").split()
    shown = list(columns)[: len(columns) - len(hidden)]
    assert 3 <= len(shown) < 20
    assert [*shown, *hidden] == list(columns)
    _whole(body, shown)
    assert body.count("some") == len(shown)


def test_times_and_nothing_in_a_frame() -> None:
    moment = datetime(2026, 1, 5, 8, tzinfo=UTC)
    frame = pl.DataFrame({"ts": [moment, moment + timedelta(seconds=7)], "x": [None, 1.5]})
    text = _printed([frame_table(frame, "times")])
    assert "2026-01-05 08:00 " in text
    assert "2026-01-05 08:00:07" in text
    assert "None" not in text
    assert "empty" in _printed([frame_table(pl.DataFrame({"a": []}), "empty")])
    assert "bare" in _printed([frame_table(pl.DataFrame(), "bare")])


def test_a_frame_is_as_wide_as_its_console_lets_it_be() -> None:
    frame = pl.DataFrame({"name": ["a-rather-long-name-that-is-one-word-" * 2], "value": [1.0]})
    text = _printed([frame_table(frame, "narrow")], width=40)
    # The long word is folded over three lines, none of its letters is lost.
    folded = "".join(row.split()[0] for row in text.splitlines()[4:7])
    assert folded == frame["name"][0]
    _whole(text, ["value", "1.0"])
