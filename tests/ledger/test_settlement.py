from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core import Instrument
from ivhedge.core.errors import LedgerError, MissingPrice
from ivhedge.ledger import blended_settlement_price, option_payoff, settlement_value, time_weighted_price

from .conftest import make_option

Make = Callable[..., Instrument]
D = Decimal


def test_the_coin_payoff_is_one_twenty_first_exactly(option: Make) -> None:
    assert option_payoff(option(), D(105000)) == Fraction(1, 21)


@pytest.mark.parametrize(
    ("call", "settle", "price", "expected"),
    [
        (True, "BTC", "80000", Fraction(0)),
        (False, "BTC", "80000", Fraction(1, 4)),
        (False, "BTC", "40000", Fraction(3, 2)),  # more than a coin
        (False, "BTC", "105000", Fraction(0)),
        (True, "USDC", "105000.25", Fraction(2000100, 400)),
        (False, "USDC", "99000", Fraction(1000)),
        (True, "USDC", "100000", Fraction(0)),
    ],
)
def test_payoffs(option: Make, call: bool, settle: str, price: str, expected: Fraction) -> None:
    assert option_payoff(option(call=call, settle=settle), D(price)) == expected


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.booleans())
def test_put_call_parity_at_expiry(strike: int, price: int, coin: bool) -> None:
    settle = "BTC" if coin else "USDC"
    call, put = (make_option(str(strike), call=c, settle=settle) for c in (True, False))
    difference = option_payoff(call, D(price)) - option_payoff(put, D(price))
    assert difference == (1 - Fraction(strike, price) if coin else price - strike)


def test_settlement_value_uses_quantity_and_multiplier(option: Make, future: Make) -> None:
    small = option(venue="okx", multiplier="0.01", lot="1")
    assert settlement_value(small, D(-100), D(105000)) == -Fraction(1, 21)
    assert settlement_value(future(expiry="2026-01-30T08:00Z"), D(-5000), D(100000)) == Fraction(1, 2)


@pytest.mark.parametrize("price", [D(0), D(-1), D("nan"), 105000.0])
def test_an_impossible_settlement_price_is_refused(option: Make, future: Make, price: Decimal) -> None:
    with pytest.raises(LedgerError, match="settlement price"):
        option_payoff(option(), price)
    with pytest.raises(LedgerError, match="settlement price"):
        settlement_value(future(expiry="2026-01-30T08:00Z"), D(1), price)


def test_a_future_has_no_option_payoff(future: Make) -> None:
    with pytest.raises(LedgerError, match="expected an option"):
        option_payoff(future(), D(100000))


def test_time_weighted_price_is_the_exact_mean() -> None:
    assert time_weighted_price([D("100000.1"), D(100000), D(100001)]) == Fraction(3000011, 30)
    with pytest.raises(MissingPrice):
        time_weighted_price([])
    with pytest.raises(LedgerError):
        time_weighted_price([D(1), D("nan")])


@pytest.mark.parametrize(
    ("minutes", "expected"), [("0", 100000), ("15", 100500), ("30", 101000), ("7.5", 100250)]
)
def test_the_blend_moves_from_forward_to_average(minutes: str, expected: int) -> None:
    assert blended_settlement_price(D(100000), D(101000), D(minutes)) == expected


@pytest.mark.parametrize("minutes", ["-1", "30.1"])
def test_the_blend_is_for_the_window_only(minutes: str) -> None:
    with pytest.raises(LedgerError, match="inside the window"):
        blended_settlement_price(D(100000), D(101000), D(minutes))
