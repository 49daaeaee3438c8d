from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ivhedge.ledger.holding import Holding, trade_against
from ivhedge.ledger.valuation import contract_value, value_grains

from .conftest import make_future, make_option

D = Decimal


def test_add_reduce_flip_and_close_at_average_cost() -> None:
    assert trade_against(0, 0, 2, 200) == (2, 200, 0)
    assert trade_against(2, 200, 2, 240) == (4, 440, 0)
    assert trade_against(4, 440, -1, -150) == (3, 330, 40)
    assert trade_against(3, 330, -5, -600) == (-2, -240, 30)
    assert trade_against(-2, -240, 2, 200) == (0, 0, 40)
    assert trade_against(-2, -240, -1, -100) == (-3, -340, 0)


def test_a_cost_is_split_half_even_and_the_rest_stays_open() -> None:
    assert trade_against(2, 3, -1, -2) == (1, 1, 0)
    assert trade_against(2, 5, -1, -2) == (1, 3, 0)
    assert trade_against(3, 5, -1, -2) == (2, 3, 0)


@given(st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(1, 10**15)), max_size=40))
def test_nothing_is_lost_to_rounding(trades: list[tuple[int, int]]) -> None:
    lots = cost = realised = values = 0
    for size, price in trades:
        lots, cost, gain = trade_against(lots, cost, size, size * price)
        realised += gain
        values += size * price
        assert (lots != 0) or cost == 0
    assert lots == sum(size for size, _ in trades)
    assert cost == values + realised


def test_average_price_of_an_inverse_future_is_the_harmonic_mean() -> None:
    perp = make_future()
    cost = value_grains(perp, 10, D(100000)) + value_grains(perp, 10, D(50000))
    average = Holding(perp, lots=20, cost=cost).average_price()
    assert average is not None
    assert abs(average - D(200000) / 3) < D("1e-6")


def test_average_price_of_an_option_is_the_mean() -> None:
    call = make_option()
    cost = value_grains(call, 10, D("0.003")) + value_grains(call, 30, D("0.004"))
    assert Holding(call, lots=40, cost=cost).average_price() == D("0.00375")
    assert Holding(call).average_price() is None


@given(st.integers(1, 10**7), st.integers(-(10**6), 10**6))
def test_grains_of_an_inverse_value_are_within_half_a_grain(price: int, lots: int) -> None:
    perp = make_future()
    exact = contract_value(perp, D(price)) * lots * 10**20
    assert abs(value_grains(perp, lots, D(price)) - exact) <= Fraction(1, 2)
