from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from ivhedge.core.errors import SchemaError, UnknownInstrument
from ivhedge.core.instruments import InstrumentKind, Settlement
from ivhedge.core.units import to_ns
from ivhedge.market import instrument_from_name, instruments_of, known_venues, load_contracts


def test_deribit_option():
    option = instrument_from_name("deribit", "BTC-27MAR26-90000-C")
    assert option.kind is InstrumentKind.OPTION
    assert option.expiry_ns == to_ns(datetime(2026, 3, 27, 8, tzinfo=UTC))
    assert (option.strike, option.is_call) == (Decimal(90_000), True)
    assert (option.multiplier, option.lot, option.settle_currency.code) == (Decimal(1), Decimal("0.1"), "BTC")
    assert option.ticks.tick_at(Decimal("0.004")) == Decimal("0.0001")
    assert option.ticks.tick_at(Decimal("0.005")) == Decimal("0.0005")


@pytest.mark.parametrize(
    ("name", "multiplier", "tick"),
    [
        ("BTC-PERPETUAL", "10", "0.5"),
        ("ETH-PERPETUAL", "1", "0.05"),
        ("BTC-27MAR26", "10", "2.5"),
        ("ETH-27MAR26", "1", "0.25"),
    ],
)
def test_deribit_futures(name, multiplier, tick):
    future = instrument_from_name("deribit", name)
    assert (future.multiplier, future.lot) == (Decimal(multiplier), Decimal(1))
    assert future.ticks.tick_at(Decimal(50_000)) == Decimal(tick)
    assert future.is_inverse


def test_made_up_venues():
    assert {"aurora", "borealis", "cirrus", "deribit", "dune", "ember"} <= set(known_venues())
    inherited = instrument_from_name("aurora", "ETH-27MAR26-3000-P")
    assert (inherited.settlement, inherited.lot, inherited.venue) == (Settlement.COIN, Decimal(1), "aurora")
    dollar = instrument_from_name("dune", "BTC-27MAR26-90000-C")
    assert dollar.settlement is Settlement.USD
    assert (dollar.lot, dollar.ticks.tick_at(Decimal(100))) == (Decimal("0.01"), Decimal(5))
    assert instrument_from_name("ember", "ETH-27MAR26-3000-P").ticks.tick_at(Decimal(1)) == Decimal("0.1")


def test_every_shipped_file_loads_and_is_dated():
    for venue in known_venues():
        contracts = load_contracts(venue)
        assert contracts.venue == venue
        assert len(contracts.as_of) == 10
        kinds = {kind for kind, _ in contracts.specs}
        assert kinds == {InstrumentKind.OPTION, InstrumentKind.FUTURE, InstrumentKind.PERPETUAL}


@pytest.mark.parametrize(
    "name",
    [
        "BTC",
        "BTC-27MAR26-90000",
        "BTC-27XXX26-90000-C",
        "BTC-30FEB26",
        "btc-PERPETUAL",
        "BTC-27MAR26-90000-C ",
    ],
)
def test_names_of_another_form(name):
    with pytest.raises(UnknownInstrument):
        instrument_from_name("deribit", name)


def test_unknown_venue_product_and_coin():
    with pytest.raises(UnknownInstrument, match="expected a venue of"):
        instrument_from_name("nimbus", "BTC-PERPETUAL")
    with pytest.raises(UnknownInstrument, match="found perpetual DOGE"):
        instrument_from_name("deribit", "DOGE-PERPETUAL")
    with pytest.raises(UnknownInstrument, match="expected an instrument on ETH"):
        instrument_from_name("deribit", "BTC-PERPETUAL", underlying="ETH")


def test_instruments_of_a_chain_equal_those_of_the_names(make_chain):
    found = instruments_of(pl.concat([make_chain(), make_chain()]))
    assert len(found) == 14
    for key, instrument in found.items():
        assert key == instrument.key
        assert instrument == instrument_from_name("deribit", instrument.name)


def test_instruments_of_futures(make_future):
    perpetual = make_future(instrument_name="BTC-PERPETUAL", kind="perpetual", expiry=None)
    found = instruments_of(pl.concat([make_future(), perpetual]))
    assert list(found) == ["deribit:BTC-27MAR26", "deribit:BTC-PERPETUAL"]
    assert found["deribit:BTC-PERPETUAL"].expiry_ns is None


def test_settlement_that_contradicts_the_contract(make_chain):
    with pytest.raises(SchemaError, match="expected settlement 'coin'"):
        instruments_of(make_chain(settlement="usd"))


def test_fractional_strike_survives_exactly(make_chain):
    chain = make_chain().head(1).with_columns(strike=pl.lit(1.1))
    (only,) = instruments_of(chain).values()
    assert only.strike == Decimal("1.1")


@pytest.mark.parametrize("strike", [float("nan"), float("inf")])
def test_strike_that_is_no_number(make_chain, strike):
    with pytest.raises(SchemaError, match="deribit:BTC-27MAR26-70000-P: expected a finite strike"):
        instruments_of(make_chain().with_columns(strike=pl.lit(strike)))
