import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core.errors import DataError
from ivhedge.engine.funding import FundingRates, premium_rate

# current_funding, mark and index of the recorded Deribit BTC perpetual tickers of January 2026
TICKERS = [
    (0.0, 96721.82, 96737.32),
    (0.000151, 95577.69, 95539.4),
    (0.0, 91086.17, 91066.73),
    (0.000081, 88286.09, 88256.85),
    (0.000158, 89968.94, 89932.27),
]


@pytest.mark.parametrize(("funding", "mark", "index"), TICKERS)
def test_the_premium_rule_reproduces_recorded_rates(funding, mark, index):
    assert premium_rate(mark / index - 1.0) == pytest.approx(funding, abs=1.1e-6)


@given(st.floats(-0.1, 0.1))
def test_the_rule_is_odd_damped_and_capped(premium):
    rate = premium_rate(premium)
    assert rate == -premium_rate(-premium)
    assert abs(rate) <= 0.005
    assert abs(rate) <= abs(premium)


def test_a_recorded_rate_wins_then_the_constant_then_the_premium():
    assert FundingRates(constant=1e-4).rate_8h(3e-5, 101.0, 100.0) == 3e-5
    assert FundingRates(constant=1e-4).rate_8h(None, 101.0, 100.0) == 1e-4
    assert FundingRates().rate_8h(float("nan"), 100.1, 100.0) == pytest.approx(0.001 - 0.00025)


def test_one_asynchronous_price_does_not_make_funding():
    rates = FundingRates()
    for _ in range(5):
        rates.rate_8h(None, 100.0, 100.0)
    assert rates.rate_8h(None, 100.4, 100.0) == 0.0


def test_prices_must_be_positive():
    with pytest.raises(DataError, match="positive mark and index"):
        FundingRates().rate_8h(None, 100.0, 0.0)
