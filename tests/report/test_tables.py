from dataclasses import replace
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
def view(make_result) -> FitView:
    made = make_result(2, underlyings=("BTC",))
    tenors = made.fit_by_tenor.with_columns(median_error_vol=pl.lit(0.003))
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
    return FitView(
        underlying="BTC",
        ts_ns=made.end_ns,
        facts=(("quotes fitted", "272"), ("certificate", "valid")),
        certified=True,
        by_tenor=tenors,
        worst=worst,
        drops=made.drops,
        smiles=made.smiles,
        term=made.term,
    )


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


def test_fit_tables_show_names_as_they_are(view: FitView) -> None:
    text = _printed(fit_tables(view))
    assert "deribit:BTC-27MAR26-[red]100000[/]-C" in text
    assert "+3.21" in text
    assert "–" in text  # the missing ask
    assert max(len(row) for row in text.splitlines()) <= 100


def test_long_frames_tell_how_much_is_hidden() -> None:
    text = _printed([frame_table(pl.DataFrame({"a": list(range(60))}), "rows")])
    assert "rows, 10 more rows" in text
