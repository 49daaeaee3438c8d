"""The recorded sets, read whole."""

import time

import polars as pl
import pytest

from ivhedge.market import instruments_of, read_chains, read_futures, snapshots

pytestmark = pytest.mark.recorded


def test_deribit_chains_two_months(recorded):
    start = time.perf_counter()
    table = read_chains(recorded / "deribit_chains" / "BTC", start="2026-01-05", end="2026-02-28")
    assert time.perf_counter() - start < 3.0, "the budget is 1 s on an idle machine"
    assert table.height == 162_766
    assert table["ts"].n_unique() == 218
    assert table["index"].null_count() == 0


def test_futures_join_every_snapshot_until_they_stop(recorded):
    source = recorded / "deribit_chains" / "ETH"
    chains = read_chains(source, start="2026-04-15", end="2026-04-16")
    futures = read_futures(source, underlying="ETH", start="2026-04-15", end="2026-04-16")
    cut = list(snapshots(chains, futures))
    assert [s.futures.height > 0 for s in cut][:2] == [True, True]
    assert cut[-1].futures.is_empty()
    assert all(s.futures["index"].null_count() == 0 for s in cut)


def test_ticker_dumps(recorded):
    chains, futures = read_chains(recorded / "deribit_tickers"), read_futures(recorded / "deribit_tickers")
    assert (chains.height, futures.height, chains["ts"].n_unique()) == (6_628, 82, 10)
    assert (chains["ts_event"] <= chains["ts"]).all()
    assert futures.filter(pl.col("kind") == "perpetual").height == 10
    cut = list(snapshots(chains, futures))
    assert all(s.futures.height >= 8 for s in cut)
    assert len(instruments_of(futures)) == 10


def test_rest_answers_and_single_snapshot(recorded):
    place = recorded / "snapshot_2026-05-26"
    assert read_chains(place / "options.parquet").height == 878
    rest = read_chains(place / "raw_rest")
    assert rest.height == 5
    assert rest["strike"].null_count() == 0
    assert read_futures(place / "raw_rest").filter(pl.col("kind") == "perpetual")["funding_8h"][0] == 5.06e-06


def test_tardis_sample(recorded):
    path = recorded / "messages" / "tardis" / "nautilus_trader" / "options_chain.csv"
    assert read_chains(path, sample=None).height == 7
    assert read_chains(path).height == 10
