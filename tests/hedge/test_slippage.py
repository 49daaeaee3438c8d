"""Slippage by cause: the identity, known cases, bad input."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core.errors import DataError
from ivhedge.hedge.slippage import PlannedTrade, RealisedTrade, slippage, sum_slippage

PLAN = PlannedTrade(contracts=10.0, mid=100.0, spread=10.0, impact=0.0, fee=2.0)
FILL = RealisedTrade(contracts=6.0, price=104.0, touch=103.0, mid=102.0, later_mid=105.0, fee=1.5)
price = st.floats(0.5, 2.0)


def test_known_causes() -> None:
    found = slippage(PLAN, FILL)
    assert (found.delay, found.spread, found.impact, found.unfilled) == (12.0, 6.0, 6.0, 20.0)
    assert found.realised == 45.5
    assert found.excess == 33.5
    assert sum_slippage((found, found)).realised == 91.0


@given(price, price, price, price, price, st.floats(0.01, 1.0), st.sampled_from((-3.0, 3.0)), st.booleans())
def test_causes_sum_to_the_shortfall(
    start: float,
    mid: float,
    touch: float,
    fill: float,
    later: float,
    share: float,
    size: float,
    inverse: bool,
) -> None:
    plan = replace(PLAN, contracts=size, mid=start, inverse=inverse)
    got = slippage(
        plan,
        RealisedTrade(contracts=size * share, price=fill, touch=touch, mid=mid, later_mid=later, fee=0.1),
    )
    paper, paid, end = ((-1.0 / p if inverse else p) for p in (start, fill, later))
    direct = size * share * paid + size * (1.0 - share) * end - size * paper + 0.1
    assert got.realised == pytest.approx(direct, abs=1e-12)


def test_nothing_filled_is_all_opportunity() -> None:
    nan = float("nan")
    found = slippage(PLAN, replace(FILL, contracts=0.0, price=nan, touch=nan, mid=nan, fee=0.0))
    assert found.realised == found.unfilled == 50.0


@pytest.mark.parametrize("name", ["price", "touch", "mid", "later_mid"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_prices_are_refused(name: str, value: float) -> None:
    with pytest.raises(DataError, match=name):
        slippage(PLAN, replace(FILL, **{name: value}))


@pytest.mark.parametrize("filled", [-1.0, 11.0, float("nan")])
def test_bad_fills_are_refused(filled: float) -> None:
    with pytest.raises(DataError):
        slippage(PLAN, replace(FILL, contracts=filled))
