from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ivhedge.report import FitView, render_fit_html, write_fit_report


@pytest.fixture
def view(make_result) -> FitView:
    made = make_result(2, underlyings=("BTC",))
    return FitView(
        underlying="BTC",
        ts_ns=made.end_ns,
        facts=(("rmse, weighted", "0.41 vol points"),),
        certified=True,
        by_tenor=made.fit_by_tenor.with_columns(median_error_vol=pl.lit(0.003)),
        worst=pl.DataFrame(
            {
                "instrument_name": ["<script>X</script>"],
                "venue": ["deribit"],
                "bid_iv": [0.41],
                "ask_iv": [0.43],
                "fitted_iv": [0.45],
                "error_vol": [0.03],
            }
        ),
        drops=made.drops,
        smiles=made.smiles,
        term=made.term,
    )


def test_page_shows_the_fit_and_escapes_names(view: FitView) -> None:
    page = render_fit_html(view)
    assert "Certified free of butterfly and calendar arbitrage." in page
    assert "0.41 vol points" in page
    assert "<script>X" not in page
    assert "&lt;script&gt;X" in page
    assert page.count('class="chart"') == 8  # term structure, skew, six smiles


def test_a_fit_without_certificate_is_refused_in_words(view: FitView) -> None:
    assert "NOT certified: this surface must not be used." in render_fit_html(replace(view, certified=False))


def test_works_without_rows(view: FitView, tmp_path: Path) -> None:
    bare = replace(
        view,
        by_tenor=view.by_tenor.clear(),
        worst=view.worst.clear(),
        drops=view.drops.clear(),
        smiles=view.smiles.clear(),
        term=view.term.clear(),
    )
    assert "No data." in write_fit_report(bare, tmp_path / "fit.html").read_text(encoding="utf-8")
