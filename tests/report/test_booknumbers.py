"""Amounts that stand together have one number of decimals, one minus, and no sign on a zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.report import format as fmt
from ivhedge.report.booknumbers import (
    decimals,
    minus,
    money_column,
    said_once,
    unit_of,
    without_zeros,
)

AMOUNTS = st.lists(st.floats(-1e9, 1e9) | st.floats(-1e-9, 1e-9), min_size=1, max_size=12)


@given(AMOUNTS, st.sampled_from(["BTC", "ETH", "USD", "USDC"]))
def test_a_column_is_written_in_one_hand(values, currency):
    column = money_column(values, currency, signed=True)
    assert len({len(text.partition(".")[2]) for text in column}) == 1
    for text in column:
        assert "-" not in text
        assert "e" not in text
        assert (text[0] in "+−") == any(digit in text for digit in "123456789")


@pytest.mark.parametrize(
    ("values", "unit", "places"),
    [
        ([-916_551.0, 0.3], "usd", 0),
        ([12.5], "usd", 2),
        ([0.01], "usd", 4),
        ([13.5, 1e-17], "coin", 4),
        ([0.0049, -0.000006], "coin", 6),
        ([1e-5], "coin", 8),
        ([12_000.0], "coin", 2),
        ([1e-17], "coin", 4),
        ([None, np.nan, 0.0], "usd", 0),
        ([], "coin", 4),
    ],
)
def test_decimals_are_those_of_the_largest(values, unit, places):
    assert decimals(values, unit) == places


def test_dust_has_no_sign():
    assert fmt.number(-1e-17, decimals([-1e-17, 5.0], "coin"), signed=True) == "0.0000"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("-16% up", "−16 % up"),
        ("+0% up", "0 % up"),
        ("-0% x", "0 % x"),
        ("+0.5% x", "+0.5 % x"),
        ("+100% up tail", "+100 % up tail"),
        ("Spot -30 %, vols up", "Spot −30 %, vols up"),
        ("12-13 March 2020: halved", "12-13 March 2020: halved"),
        ("deribit:BTC-5JUN26-72000-P", "deribit:BTC-5JUN26-72000-P"),
    ],
)
def test_a_hyphen_before_a_number_is_a_minus(name, shown):
    assert minus(name) == shown


def test_rows_of_zero_are_counted():
    kept, said = without_zeros({"a": 1.0, "b": 0.0, "c": -1e-9, "residual": 0.0}, "coin", always=["residual"])
    assert kept == {"a": 1.0, "residual": 0.0}
    assert said == "2 rows of zero left out"
    assert without_zeros({"a": 1.0, "b": 0.0}, "coin")[1] == "1 row of zero left out"
    assert without_zeros({"a": 1.0}, "coin") == ({"a": 1.0}, "")


def test_dollars_and_coins():
    assert [unit_of(code) for code in ("USD", "USDC", "USDT", "BTC")] == ["usd", "usd", "usd", "coin"]


def test_a_note_is_said_once():
    assert said_once(["b: -0.7 left", "a", "b: -0.7 left"]) == ("b: −0.7 left", "a")
