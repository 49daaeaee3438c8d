"""Tapes made of recorded chains."""

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import DataError, EmptyData, SchemaError
from ivhedge.market import read_chains
from ivhedge.market.simulator import BTC, ETH, SimulationConfig, simulate_market
from ivhedge.market.tape import MESSAGE_SCHEMA, tape_from_chains


@pytest.fixture(scope="module")
def chains():
    config = SimulationConfig(n_snapshots=2, assets=(BTC, ETH))
    return simulate_market(config, np.random.default_rng(4)).chains


def test_each_row_is_a_message_at_its_own_time(chains):
    btc = chains.filter(pl.col("underlying") == "BTC")
    tape = tape_from_chains(btc)
    assert len(tape) == btc.height
    assert tape.messages["ts_recv"].is_sorted()
    own = btc.select(pl.coalesce("ts_recv", "ts_event", "ts")).to_series().sort()
    assert tape.messages["ts_recv"].equals(own.alias("ts_recv"))
    for venue in tape.venues:
        seq = tape.messages.filter(pl.col("venue") == venue)["seq"]
        assert seq.to_list() == list(range(1, seq.len() + 1))
    assert all(c.missing == 0 for c in tape.gaps().values())
    assert tape.messages["bid"].null_count() == btc["bid"].null_count()
    assert set(tape.messages.columns) == set(MESSAGE_SCHEMA)


def test_rows_that_name_no_contract_stay_as_messages(chains):
    btc = chains.filter(pl.col("underlying") == "BTC")
    holes = btc.with_columns(
        strike=pl.when(pl.int_range(pl.len()) == 0).then(None).otherwise("strike"),
        instrument_name=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("odd")).otherwise("instrument_name"),
    )
    tape = tape_from_chains(holes)
    assert len(tape) == btc.height
    assert "odd" in tape.messages["instrument_name"].to_list()
    assert "odd" not in tape.instruments["instrument_name"].to_list()


def test_what_is_refused(chains):
    with pytest.raises(DataError, match="one underlying"):
        tape_from_chains(chains)
    btc = chains.filter(pl.col("underlying") == "BTC")
    with pytest.raises(EmptyData):
        tape_from_chains(btc.head(0))
    with pytest.raises(SchemaError):
        tape_from_chains(btc.drop("bid"))
    with pytest.raises(DataError, match="twice"):
        tape_from_chains(btc.head(50).with_columns(instrument_name=pl.lit("same")))


@pytest.mark.recorded
def test_recorded_tickers(recorded):
    tape = tape_from_chains(read_chains(recorded / "deribit_tickers", sample=None))
    assert len(tape) == 6628
    assert tape.messages["ts_recv"].n_unique() > 100
    assert tape.venues == ("deribit",)
