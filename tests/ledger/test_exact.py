from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core import currency
from ivhedge.core.errors import LedgerError
from ivhedge.ledger import exact_decimal
from ivhedge.ledger.exact import (
    GRAINS_PER_UNIT,
    divide_half_even,
    from_grains,
    require_decimal,
    require_positive,
    to_grains,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (np.float64(0.0032), "0.0032"), (7, "7"), ("1e-4", "0.0001"), (Decimal("2.50"), "2.50")],
)
def test_the_door_takes_what_a_number_prints_as(value: float, text: str) -> None:
    assert exact_decimal(value) == Decimal(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "abc", True, None, Decimal("NaN")])
def test_the_door_stays_shut_for_what_is_no_number(value: float) -> None:
    with pytest.raises(LedgerError, match="found"):
        exact_decimal(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_door_keeps_every_float(value: float) -> None:
    assert float(exact_decimal(value)) == value


@pytest.mark.parametrize("value", [0.5, 1, "1", None, Decimal("inf"), Decimal("nan")])
def test_inside_only_finite_decimals_pass(value: object) -> None:
    with pytest.raises(LedgerError, match="size"):
        require_decimal(value, "size")


def test_zero_is_no_price() -> None:
    with pytest.raises(LedgerError, match="positive price"):
        require_positive(Decimal(0), "price")


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**20))
def test_division_rounds_half_to_even_and_is_odd(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))
    assert divide_half_even(-numerator, denominator) == -divide_half_even(numerator, denominator)


def test_grains_are_fine_enough_for_every_premium_and_round_trip_units() -> None:
    btc = currency("BTC")
    assert to_grains(Fraction(1, 10**8), btc) == GRAINS_PER_UNIT
    assert to_grains(Fraction("0.00000000000000000001"), btc) == 1
    assert from_grains(5 * GRAINS_PER_UNIT // 2, btc).units == 2
    assert from_grains(7 * GRAINS_PER_UNIT // 2, btc).units == 4
