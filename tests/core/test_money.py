from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core import CURRENCIES, Money, currency
from ivhedge.core.errors import ConfigError, LedgerError

BTC = currency("BTC")


@given(st.fractions(-1000, 1000), st.sampled_from(sorted(CURRENCIES)))
def test_rounding_is_off_by_half_a_unit_at_most(value, code):
    unit = currency(code)
    assert abs(Money.from_exact(value, unit).to_fraction() - value) <= Fraction(1, 2 * unit.scale)


@given(st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15))
def test_adding_and_taking_away_is_exact(a, b):
    total = Money(a, BTC) + Money(b, BTC)
    assert total - Money(b, BTC) == Money(a, BTC)
    assert -total == Money.zero(BTC) - total


def test_half_a_unit_goes_to_even():
    assert Money.from_exact(Decimal("0.000000005"), BTC).units == 0
    assert Money.from_exact(Decimal("0.000000015"), BTC).units == 2


def test_text_shows_every_decimal():
    assert str(Money.from_exact(Fraction(1, 21), BTC)) == "0.04761905 BTC"


def test_currencies_do_not_mix():
    with pytest.raises(LedgerError, match="expected BTC, found USDC"):
        Money(1, BTC) + Money(1, currency("USDC"))


def test_an_unknown_currency_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"USDT.*'DOGE'"):
        currency("DOGE")
