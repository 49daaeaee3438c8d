"""One week of recorded chains end to end."""

from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.market import instrument_from_name, read_chains
from ivhedge.risk.panel import build_panel, fit_history
from ivhedge.risk.var import filtered_scenarios, shock_history, var_report

pytestmark = [pytest.mark.recorded, pytest.mark.slow]


def test_a_straddle_on_recorded_chains(recorded):
    table = read_chains(recorded / "deribit_chains" / "BTC" / "2026-01.parquet")
    parts = table.sort("ts").partition_by("ts", maintain_order=True)[:28]
    surfaces = fit_history(parts).surfaces
    history = shock_history({"BTC": build_panel(surfaces)})
    assert history.values.shape[0] >= 20
    surface = surfaces[-1]
    last = parts[-1].filter((pl.col("expiry") - pl.col("ts")).dt.total_days().is_between(20, 60))
    spot = float(surface.forward(0.0))
    near = last.sort((pl.col("strike") - spot).abs())["instrument_name"][0]
    stem = near.rsplit("-", 1)[0]
    legs = tuple(
        Position(instrument_from_name("deribit", f"{stem}-{side}"), Decimal(size))
        for side, size in (("C", -1), ("P", -1))
    )
    found = var_report(
        Book("straddle", legs), {"BTC": surface}, filtered_scenarios(history), 0.9, ts_ns=surface.ts_ns
    )
    # A short straddle of a month loses between a tenth and twenty per cent of the spot on a bad day.
    assert 0.001 * spot < found.usd.var <= found.usd.es < 0.2 * spot
    assert found.usd.contributions.sum() == pytest.approx(found.usd.es)
    assert found.coin["BTC"].es == pytest.approx(found.usd.es / spot, rel=0.5)
    assert np.isfinite(found.pnl_usd).all()
