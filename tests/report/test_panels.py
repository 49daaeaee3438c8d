from datetime import UTC, datetime

import polars as pl
import pytest

from ivhedge.engine.result import SMILES_SCHEMA
from ivhedge.report.panels import smile_panel, smile_panels


def panel_of(rows, **more):
    table = pl.DataFrame(
        [
            ("BTC", datetime(2026, 3, 27, 8, tzinfo=UTC), 0.1, strike, 0.0, bid, ask, mid, model, "deribit")
            for strike, bid, ask, mid, model in rows
        ],
        schema=dict(SMILES_SCHEMA),
        orient="row",
    )
    return smile_panel(table.with_columns(**more))


@pytest.mark.parametrize(
    ("model", "score", "state"),
    [
        (0.41, 0.0, "inside"),
        (0.40, 1.0, "inside"),  # on the bid
        (0.43, -1.0, "inside"),  # on the ask, which is twice as far from the mid
        (0.42, -0.5, "inside"),
        (0.38, 3.0, "rich"),
        (0.45, -2.0, "cheap"),
    ],
)
def test_a_score_of_one_is_on_the_bid_or_on_the_ask(model, score, state):
    found = panel_of([(100.0, 0.40, 0.43, 0.41, model)]).quotes
    assert found["score"][0] == pytest.approx(score, abs=1e-9)
    assert found["state"][0] == state


def test_rejected_comes_before_rich_and_cheap():
    panel = panel_of([(100.0, 0.50, 0.52, 0.51, 0.4)], rejected=pl.lit(True))
    assert panel.quotes["state"].to_list() == ["rejected"]
    assert panel.inside == 0.0


def test_a_locked_quote_has_a_finite_score():
    score = panel_of([(100.0, 0.41, 0.41, 0.41, 0.40)]).quotes["score"][0]
    assert score == pytest.approx(100.0)


def test_neither_lone_nor_wide_nor_rejected_quotes_squash_the_smile():
    rows = [(k, 0.40, 0.42, 0.41, 0.41) for k in (90.0, 100.0, 110.0)]
    rows += [(120.0, None, 3.0, None, 0.45), (115.0, 0.05, 2.0, 0.42, 0.42), (80.0, 1.9, 2.0, 1.95, 0.43)]
    panel = panel_of(rows, rejected=pl.col("strike") == 80.0)
    low, high = panel.vols
    assert 0.3 < low < 0.40
    assert 0.45 < high < 0.6


def test_far_one_sided_quotes_are_counted_not_shown():
    rows = [(k, 0.40, 0.42, 0.41, 0.41) for k in (90.0, 100.0, 110.0)]
    panel = panel_of([*rows, (112.0, None, 0.5, None, 0.41), (500.0, None, 3.0, None, 2.5)])
    assert panel.strikes == (90.0, 115.0)
    assert panel.hidden == 1
    assert panel.vols[1] < 0.5  # nor does the model out there stretch the axis
    assert "3 quotes + 2 one-sided, 1 farther out" in panel.note


def test_a_panel_without_two_sided_quotes():
    panel = panel_of([(100.0, None, 0.5, None, 0.41), (110.0, 0.3, None, None, 0.41)])
    assert panel.inside is None
    assert panel.note == "2 one-sided"
    assert panel.strikes == (100.0, 110.0)
    assert panel_of([(100.0, None, None, None, 0.4)]).note == "no quotes"


def test_one_panel_per_expiry_and_none_without_rows(make_view):
    smiles = make_view().smiles
    panels = list(smile_panels(smiles))
    assert len(panels) == smiles["expiry"].n_unique()
    assert sum(panel.quotes.height for panel in panels) == smiles.height
    assert list(smile_panels(smiles.clear())) == []
