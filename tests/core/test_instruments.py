from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core import Instrument, InstrumentKind, Rounding, Settlement, TickLadder, currency
from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY, NS_PER_YEAR, parse_time

LADDER = TickLadder.of(("0", "0.0001"), ("0.005", "0.0005"))


def make_option(**changes):
    fields = {
        "name": "BTC-27MAR26-90000-C",
        "venue": "deribit",
        "underlying": "BTC",
        "kind": InstrumentKind.OPTION,
        "settlement": Settlement.COIN,
        "settle_currency": currency("BTC"),
        "multiplier": Decimal(1),
        "lot": Decimal("0.1"),
        "min_size": Decimal("0.1"),
        "ticks": LADDER,
        "expiry_ns": parse_time("2026-03-27T08:00Z"),
        "strike": Decimal(90000),
        "is_call": True,
    }
    return Instrument(**{**fields, **changes})


@pytest.mark.parametrize(
    ("price", "tick"),
    [("0", "0.0001"), ("0.0049", "0.0001"), ("0.005", "0.0005"), ("0.2", "0.0005")],
)
def test_ladder_steps_where_the_venue_says(price, tick):
    assert LADDER.tick_at(Decimal(price)) == Decimal(tick)


@given(st.decimals(0, 3, places=7), st.sampled_from(list(Rounding)))
def test_rounding_lands_on_the_grid_within_one_tick(price, rounding):
    rounded = LADDER.round(price, rounding)
    assert LADDER.is_on_grid(rounded)
    assert abs(rounded - price) < LADDER.tick_at(price)
    if rounding is Rounding.DOWN:
        assert rounded <= price
    if rounding is Rounding.UP:
        assert rounded >= price


def test_the_price_named_in_the_venue_notes_is_off_grid():
    assert not LADDER.is_on_grid(Decimal("0.0123"))
    assert LADDER.round(Decimal("0.0123"), Rounding.UP) == Decimal("0.0125")


@pytest.mark.parametrize(
    "steps", [(), ((Decimal(1), Decimal(1)),), ((Decimal(0), Decimal(0)),), ((Decimal(0), Decimal(1)),) * 2]
)
def test_a_broken_ladder_is_refused(steps):
    with pytest.raises(ConfigError, match="expected"):
        TickLadder(steps)


@given(st.decimals(-50, 50, places=4))
def test_sizes_become_lots(size):
    rounded = make_option().round_size(size)
    assert rounded % Decimal("0.1") == 0
    assert rounded == 0 or abs(rounded) >= Decimal("0.1")
    assert abs(rounded - size) <= Decimal("0.1")


def test_tau_is_exact_to_the_nanosecond():
    option = make_option()
    assert option.tau(option.expiry_ns - NS_PER_YEAR) == 1.0
    assert option.tau(option.expiry_ns - NS_PER_DAY) == pytest.approx(1 / 365, rel=1e-15)
    assert option.tau(option.expiry_ns + 1) < 0


def test_a_perpetual_has_no_expiry():
    perpetual = make_option(
        name="BTC-PERPETUAL", kind=InstrumentKind.PERPETUAL, expiry_ns=None, strike=None, is_call=None
    )
    with pytest.raises(DataError, match="perpetual"):
        perpetual.tau(0)
    assert perpetual.key == "deribit:BTC-PERPETUAL"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multiplier": Decimal(0)}, "positive multiplier"),
        ({"lot": Decimal(-1)}, "positive multiplier"),
        ({"expiry_ns": None}, "expected an expiry"),
        ({"strike": None}, "strike and is_call"),
        ({"strike": Decimal(-1)}, "positive strike"),
        ({"settle_currency": currency("USDC")}, "does not go with"),
        ({"settlement": Settlement.USD}, "does not go with"),
    ],
)
def test_impossible_instruments_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        make_option(**changes)
