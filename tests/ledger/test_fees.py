"""Every published fee example found, both branches of each cap, and the refusals."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core import Instrument, InstrumentKind, Settlement
from ivhedge.core.errors import ConfigError, LedgerError, MissingPrice
from ivhedge.ledger import (
    FeeRule,
    FeeSchedule,
    Liquidity,
    available_venues,
    delivery_fee,
    load_fees,
    parse_profile,
    trade_fee,
)

from .conftest import make_option

Make = Callable[..., Instrument]
D = Decimal
MAKER, TAKER = Liquidity.MAKER, Liquidity.TAKER

# Rates of an older page of the venue whose worked examples are public.
_OLD_DERIVE = """
venue = "derive"
as_of = 2024-01-01
[option.usd]
maker = 0.0003
taker = 0.0004
taker_flat = 0.5
cap = 0.125
status = "documented"
source = "older page"
[perpetual.usd]
maker = 0.0001
taker = 0.0006
taker_flat = 0.1
by_index = true
status = "documented"
source = "older page"
"""


@pytest.mark.parametrize(
    ("price", "quantity", "expected"),
    [
        ("0.0032", "1", "0.0003"),  # 12.5 % of the premium is 0.0004: the rate counts
        ("0.0003", "1", "0.0000375"),  # capped
        ("0.0003", "-2", "0.000075"),  # the sale of two at 0.0003
        ("0.0001", "1", "0.0000125"),  # the venue's own example
        ("0.0024", "1", "0.0003"),  # both branches meet
        ("0.0500", "0.1", "0.00003"),
    ],
)
def test_deribit_coin_option(option: Make, price: str, quantity: str, expected: str) -> None:
    fee = trade_fee(load_fees("deribit"), option(), D(price), D(quantity), None, TAKER)
    assert fee.to_decimal() == D(expected)
    assert fee.currency.code == "BTC"


@pytest.mark.parametrize(
    ("liquidity", "price", "index", "expected"),
    [(TAKER, "2000", "100000", "50"), (MAKER, "2000", "100000", "10"), (TAKER, "80", "100000", "10")],
)
def test_deribit_usd_option(
    option: Make, liquidity: Liquidity, price: str, index: str, expected: str
) -> None:
    call = option(settle="USDC")
    fee = trade_fee(load_fees("deribit"), call, D(price), D(1), D(index), liquidity)
    assert fee.to_decimal() == D(expected)


def test_a_usd_option_without_index_is_refused(option: Make) -> None:
    with pytest.raises(MissingPrice, match="expected an index price"):
        trade_fee(load_fees("deribit"), option(settle="USDC"), D(2000), D(1), None, TAKER)


@pytest.mark.parametrize(
    ("expiry", "coin", "contracts", "price", "liquidity", "expected"),
    [
        ("2026-01-23T08:00Z", "BTC", "1000", "100000", TAKER, "0.00005"),  # 10,000 USD: the venue's examples
        ("2026-01-23T08:00Z", "BTC", "1000", "100000", MAKER, "-0.00001"),
        ("2026-01-23T08:00Z", "ETH", "10000", "5000", TAKER, "0.001"),
        ("2026-01-23T08:00Z", "ETH", "10000", "5000", MAKER, "-0.0002"),
        (None, "BTC", "5000", "100000", TAKER, "0.00025"),
        (None, "BTC", "5000", "100000", MAKER, "0"),
        (None, "ETH", "20000", "4000", TAKER, "0.0025"),
    ],
)
def test_deribit_futures(
    future: Make,
    expiry: str | None,
    coin: str,
    contracts: str,
    price: str,
    liquidity: Liquidity,
    expected: str,
) -> None:
    size = "10" if coin == "BTC" else "1"
    contract = future(settle=coin, underlying=coin, multiplier=size, expiry=expiry)
    fee = trade_fee(load_fees("deribit"), contract, D(price), D(contracts), None, liquidity)
    assert fee.to_decimal() == D(expected)


def test_deribit_usdc_perpetual_at_the_trade_price(future: Make) -> None:
    sol = future(settle="USDC", underlying="SOL", multiplier="1")
    fee = trade_fee(load_fees("deribit"), sol, D(200), D(10), None, TAKER)
    assert fee.to_decimal() == D(1)


def test_bybit_published_example(option: Make) -> None:
    call = option("45000", settle="USDT", venue="bybit", lot="0.01")
    schedule = load_fees("bybit")
    fee = trade_fee(schedule, call, D(3000), D("0.3"), D(42000), MAKER)
    assert fee.to_decimal() == D("2.52")
    delivered = delivery_fee(schedule, call, D("0.3"), D(46050), D(46000))
    assert delivered.to_decimal() == D("2.07")


def test_bybit_cap_of_seven_per_cent(option: Make) -> None:
    call = option("45000", settle="USDT", venue="bybit", lot="0.01")
    fee = trade_fee(load_fees("bybit"), call, D(100), D("0.3"), D(42000), TAKER)
    assert fee.to_decimal() == D("0.07") * 100 * D("0.3")


@pytest.mark.parametrize(
    ("liquidity", "price", "expected"), [(TAKER, "0.05", "0.0003"), (MAKER, "0.05", "0.0002")]
)
def test_okx_published_example(option: Make, liquidity: Liquidity, price: str, expected: str) -> None:
    call = option(venue="okx", multiplier="0.01", lot="1")
    assert trade_fee(load_fees("okx"), call, D(price), D(100), None, liquidity).to_decimal() == D(expected)


def test_okx_cap_and_exercise_fee(option: Make) -> None:
    call = option(venue="okx", multiplier="0.01", lot="1")
    schedule = load_fees("okx")
    assert trade_fee(schedule, call, D("0.001"), D(100), None, TAKER).to_decimal() == D("0.00007")
    assert delivery_fee(schedule, call, D(100), D(110000)).to_decimal() == D("0.0002")
    barely = delivery_fee(schedule, call, D(100), D(100050))  # 7 % of 50/100050
    assert barely.units == round(0.07 * 50 / 100050 * 1e8)
    daily = option(venue="okx", multiplier="0.01", lot="1", expiry="2026-01-29T08:00Z")
    assert delivery_fee(schedule, daily, D(100), D(110000)).units == 0


def test_binance_published_examples(option: Make) -> None:
    call = option("2000", settle="USDT", underlying="ETH", venue="binance", lot="0.01")
    schedule = load_fees("binance")
    assert trade_fee(schedule, call, D(1000), D(3), D(2000), TAKER).to_decimal() == D("1.8")
    assert delivery_fee(schedule, call, D(3), D(2200)).to_decimal() == D("0.99")
    assert trade_fee(schedule, call, D(2), D(3), D(2000), TAKER).to_decimal() == D("0.6")  # 10 % cap


def test_derive_rates_and_flat_fee(option: Make, future: Make) -> None:
    put = option("2000", call=False, settle="USDC", underlying="ETH", venue="derive")
    fees = load_fees("derive")
    assert trade_fee(fees, put, D(100), D(2), D(2200), TAKER).to_decimal() == D("0.5") + D("1.32")
    assert trade_fee(fees, put, D(100), D(2), D(2200), MAKER).to_decimal() == D("0.44")
    assert trade_fee(fees, put, D(1), D(2), D(2200), TAKER).to_decimal() == D("0.5") + D("0.25")  # cap
    perp = future(settle="USDC", venue="derive", multiplier="1", lot="0.001", tick="0.1")
    assert trade_fee(fees, perp, D(43100), D("-0.1"), D(43000), MAKER).to_decimal() == D("0.43")
    with pytest.raises(MissingPrice):
        trade_fee(fees, perp, D(43100), D("-0.1"), None, MAKER)


def test_derive_examples_of_an_older_page(option: Make, future: Make) -> None:
    fees = parse_profile(_OLD_DERIVE, source="older page").fees
    put = option("2000", call=False, settle="USDC", underlying="ETH", venue="derive")
    assert trade_fee(fees, put, D(100), D(2), D(2200), TAKER).to_decimal() == D("2.26")
    perp = future(settle="USDC", venue="derive", multiplier="1", lot="0.001", tick="0.1")
    assert trade_fee(fees, perp, D(43000), D("0.1"), D(43000), TAKER).to_decimal() == D("2.68")
    assert trade_fee(fees, perp, D(43000), D("-0.1"), D(43000), MAKER).to_decimal() == D("0.43")


@pytest.mark.parametrize(
    ("expiry", "settlement", "expected"),
    [
        ("2026-01-30T08:00Z", "105000", "0.00015"),
        ("2026-01-30T08:00Z", "100050", "0.00006247"),  # 12.5 % of 50/100050
        ("2026-01-30T08:00Z", "99999", "0"),  # out of the money: not exercised
        ("2026-01-29T08:00Z", "105000", "0"),  # a Thursday: a daily
    ],
)
def test_deribit_option_delivery(option: Make, expiry: str, settlement: str, expected: str) -> None:
    fee = delivery_fee(load_fees("deribit"), option(expiry=expiry), D(-1), D(settlement))
    assert fee.to_decimal() == D(expected)


def test_deribit_future_delivery(future: Make) -> None:
    monthly, weekly = future(expiry="2026-01-30T08:00Z"), future(expiry="2026-01-23T08:00Z")
    fees = load_fees("deribit")
    assert delivery_fee(fees, monthly, D(1000), D(100000)).to_decimal() == D("0.000025")
    assert delivery_fee(fees, weekly, D(1000), D(100000)).units == 0


def test_a_delivery_fee_that_nobody_stated_is_an_error_not_a_zero(future: Make) -> None:
    contract = future(venue="okx", expiry="2026-03-27T08:00Z")
    with pytest.raises(ConfigError, match="expected a delivery fee in the okx profile"):
        delivery_fee(load_fees("okx"), contract, D(1), D(100000))


def test_a_contract_the_profile_does_not_know_is_an_error(option: Make) -> None:
    with pytest.raises(ConfigError, match=r"option\.coin.*perpetual\.usd"):
        trade_fee(load_fees("bybit"), option(venue="bybit"), D("0.01"), D(1), None, TAKER)


@pytest.mark.parametrize(
    ("price", "quantity"), [(0.01, D(1)), (D("0.01"), 1.0), (D(0), D(1)), (D("nan"), D(1))]
)
def test_inexact_or_impossible_input_is_refused(option: Make, price: Decimal, quantity: Decimal) -> None:
    with pytest.raises(LedgerError):
        trade_fee(load_fees("deribit"), option(), price, quantity, None, TAKER)


def test_a_maker_rebate_on_an_option_is_capped_too(option: Make) -> None:
    rule = FeeRule(maker=D("-0.0002"), taker=D("0.0003"), cap=D("0.05"))
    fees = FeeSchedule(venue="x", as_of="2026-01-01", rules={(InstrumentKind.OPTION, Settlement.COIN): rule})
    assert trade_fee(fees, option(), D("0.01"), D(1), None, MAKER).to_decimal() == D("-0.0002")
    assert trade_fee(fees, option(), D("0.001"), D(1), None, MAKER).to_decimal() == D("-0.00005")


@given(
    ticks=st.integers(1, 50),
    lots=st.integers(-500, 500).filter(bool),
    venue=st.sampled_from(available_venues()),
)
def test_an_option_fee_is_never_above_the_cap_or_the_rate(ticks: int, lots: int, venue: str) -> None:
    fees = load_fees(venue)
    coin = (InstrumentKind.OPTION, Settlement.COIN) in fees.rules
    call = make_option(venue=venue, settle="BTC" if coin else "USDT")
    rule = fees.rule_for(call)
    price = call.ticks.tick_at(D("0.001")) * ticks
    size = call.lot * lots
    fee = trade_fee(fees, call, price, size, D(100000), TAKER).to_decimal() - rule.taker_flat
    assert rule.cap is not None
    unit = D(10) ** -call.settle_currency.decimals
    assert 0 <= fee <= abs(size) * min(rule.cap * price, rule.taker * (1 if coin else 100000)) + unit


def test_an_option_that_pays_nothing_is_not_charged_even_without_a_cap() -> None:
    rule = FeeRule(maker=D(0), taker=D(0), delivery=D("0.001"))
    rules = {(InstrumentKind.OPTION, Settlement.COIN): rule}
    schedule = FeeSchedule(venue="deribit", as_of="2026-01-01", rules=rules)
    call = make_option(strike="100000")
    assert delivery_fee(schedule, call, D(1), D(100000)).units == 0
    assert delivery_fee(schedule, call, D(1), D(100001)).units == 100_000
