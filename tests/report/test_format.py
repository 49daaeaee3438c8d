import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.report import format as fmt


@pytest.mark.parametrize(
    ("value", "decimals", "signed", "text"),
    [
        (1234567.4, 0, False, "1,234,567"),
        (-1234.5, 1, False, "−1,234.5"),
        (12.0, 0, True, "+12"),
        (-0.0001, 2, True, "0.00"),
        (0.0, 0, True, "0"),
        (None, 2, False, "–"),
        (math.nan, 2, False, "–"),
        (-math.inf, 2, False, "–"),
    ],
)
def test_number(value: float | None, decimals: int, signed: bool, text: str) -> None:
    assert fmt.number(value, decimals, signed=signed) == text


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (0.812345, "BTC", "0.8123 BTC"),
        (0.000123, "BTC", "0.000123 BTC"),
        (12.3456, "ETH", "12.346 ETH"),
        (70123.4, "USD", "70,123 USD"),
        (1.25, "USDC", "1.25 USDC"),
        (None, "BTC", "–"),
    ],
)
def test_amount_has_the_decimals_of_its_currency(value: float | None, currency: str, text: str) -> None:
    assert fmt.amount(value, currency, code=True) == text


def test_units_for_people() -> None:
    assert fmt.vol_percent(0.4567) == "45.7 %"
    assert fmt.vol_points(-0.0123, signed=True) == "−1.23"
    assert fmt.percent(0.6204, 0) == "62 %"
    assert fmt.percent(None) == "–"
    assert fmt.when(0) == "1970-01-01 00:00"
    assert fmt.when(None) == "–"
    assert [fmt.duration(s) for s in (30, 900, 21_600, 259_200, None)] == [
        "30 s",
        "15 min",
        "6 h",
        "3 d",
        "–",
    ]
    assert [fmt.price(p) for p in (0.0345, 92_000.5, 123_456.7, None)] == [
        "0.0345",
        "92,000.50",
        "123,457",
        "–",
    ]


@settings(deadline=None)
@given(st.floats(-1e9, 1e9))
def test_a_formatted_number_reads_back_within_its_rounding(value: float) -> None:
    text = fmt.number(value, 3)
    assert float(text.replace(",", "").replace("−", "-")) == pytest.approx(value, rel=0, abs=0.000501)
