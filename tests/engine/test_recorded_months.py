"""Two recorded months per coin: the proof behind docs/evidence/replay.md."""

from pathlib import Path

import pytest

from ivhedge.app.config import load_book, load_policies, load_replay
from ivhedge.engine import SettlementPrices, replay
from ivhedge.market import read_chains, read_futures, snapshots

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WINDOW = {"start": "2026-01-05", "end": "2026-02-28"}


@pytest.mark.slow
@pytest.mark.recorded
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_two_months_close_to_the_last_grain_and_are_explained(recorded, coin):
    folder = recorded / "deribit_chains" / coin
    bars = recorded / "underlying_hourly" / f"{coin}.parquet"
    result = replay(
        snapshots(read_chains(folder, **WINDOW), read_futures(folder, **WINDOW)),
        load_book(EXAMPLES / "books" / "strangle_ladder.toml"),
        load_policies(EXAMPLES / "policies" / "four_policies.toml"),
        load_replay(EXAMPLES / "backtests" / "recorded.toml"),
        settlements=SettlementPrices.from_bars(bars, coin),
    )
    assert result.n_snapshots == 218
    assert result.surfaces["certificate_valid"].all()
    assert result.surfaces.height == 218
    deviation = {}
    for policy in result.policies:
        assert policy.identity["difference"].to_list() == ["0"]
        assert policy.summary["residual_share_of_gross"] <= 0.05
        deviation[policy.name] = policy.summary["pnl_std_usd"]
    assert deviation["delta band"] < 0.4 * deviation["none"]
    assert deviation["delta + vega"] < 0.2 * deviation["none"]
