"""Funding: rule, payment, and that it cannot be forgotten."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from ivhedge.core import NS_PER_HOUR, Instrument, Money, currency
from ivhedge.core.errors import ConfigError, LedgerError
from ivhedge.ledger import Fill, FundingRule, Ledger, Liquidity, funding_payment

Make = Callable[..., Instrument]
D = Decimal


def _trade(ledger: Ledger, contract: Instrument, ts_ns: int, quantity: str, price: str) -> None:
    ledger.fill(
        Fill(
            ts_ns=ts_ns,
            instrument=contract,
            quantity=D(quantity),
            price=D(price),
            liquidity=Liquidity.MAKER,
            fee=Money.zero(contract.settle_currency),
        )
    )


@pytest.mark.parametrize(
    ("settle", "quantity", "rate", "index", "expected"),
    [
        ("BTC", "-5000", "0.0001", "100000", Fraction("0.00005")),  # short USD 50,000 receives
        ("BTC", "5000", "0.0001", "100000", Fraction("-0.00005")),
        ("BTC", "5000", "-0.0001", "100000", Fraction("0.00005")),
        ("BTC", "-5000", "0.0001", "105000", Fraction(1, 21000)),
        ("USDT", "2", "0.0001", "100000", Fraction(-200)),  # multiplier 10 coin in this test contract
    ],
)
def test_payment(future: Make, settle: str, quantity: str, rate: str, index: str, expected: Fraction) -> None:
    paid = funding_payment(future(settle=settle), D(quantity), rate_8h=D(rate), index_price=D(index))
    assert paid == expected


def test_payment_pro_rata(future: Make) -> None:
    hour = funding_payment(
        future(), D(-5000), rate_8h=D("0.0001"), index_price=D(100000), held_ns=NS_PER_HOUR
    )
    assert hour == Fraction("0.00005") / 8


@pytest.mark.parametrize(("rate", "index"), [(0.0001, D(1)), (D("nan"), D(1)), (D(0), D(0)), (D(0), 1.0)])
def test_payment_refuses_inexact_input(future: Make, rate: Decimal, index: Decimal) -> None:
    with pytest.raises(LedgerError):
        funding_payment(future(), D(1), rate_8h=rate, index_price=index)


def test_three_updates_of_a_short_inverse_perpetual(future: Make, start_ns: int) -> None:
    """Short USD 50,000 at 100,000: 8-hour rates of 1.0, 1.4 and 0.5 bp pay 0.000145 BTC in all."""
    ledger, perp = Ledger(), future()
    _trade(ledger, perp, start_ns, "-5000", "100000")
    total = Money.zero(currency("BTC"))
    for step, rate in enumerate(("0.0001", "0.00014", "0.00005"), start=1):
        total += ledger.funding(
            start_ns + 8 * step * NS_PER_HOUR, perp, rate_8h=D(rate), index_price=D(100000)
        )
    assert total.to_decimal() == D("0.000145")
    ledger.verify({perp.key: D(100000)})


def test_a_changed_position_is_charged_for_the_time_it_was_held(future: Make, start_ns: int) -> None:
    ledger, perp = Ledger(funding_rules={"deribit": FundingRule(tolerance_ns=8 * NS_PER_HOUR)}), future()
    _trade(ledger, perp, start_ns, "1000", "100000")
    _trade(ledger, perp, start_ns + 2 * NS_PER_HOUR, "3000", "100000")
    _trade(ledger, perp, start_ns + 4 * NS_PER_HOUR, "-4000", "100000")
    paid = ledger.funding(start_ns + 8 * NS_PER_HOUR, perp, rate_8h=D("0.0008"), index_price=D(100000))
    # (10,000 USD · 2 h + 40,000 USD · 2 h) / 8 h = 12,500 USD
    assert paid.to_decimal() == -D("0.0008") * D("0.125")
    ledger.verify({})


def test_forgotten_funding_blocks_marks_proofs_and_closing(future: Make, start_ns: int) -> None:
    ledger, perp = Ledger(), future()
    _trade(ledger, perp, start_ns, "-5000", "100000")
    late = start_ns + 6 * NS_PER_HOUR
    marks = {perp.key: D(100000)}
    ledger.equity(marks, ts_ns=start_ns + NS_PER_HOUR)  # within the tolerance of an hour
    with pytest.raises(LedgerError, match=r"call Ledger\.funding, with rate 0"):
        ledger.equity(marks, ts_ns=late)
    with pytest.raises(LedgerError, match="behind"):
        ledger.verify(marks, ts_ns=late)
    with pytest.raises(LedgerError, match="behind"):
        _trade(ledger, perp, late, "5000", "100000")
    assert [item.overdue for item in ledger.funding_due(late)] == [True]
    ledger.funding(late, perp, rate_8h=D(0), index_price=D(100000))
    assert ledger.funding_due(late) == ()
    _trade(ledger, perp, late, "5000", "100000")
    ledger.verify({}, ts_ns=late)


def test_closing_early_does_not_escape_funding(future: Make, start_ns: int) -> None:
    ledger, perp = Ledger(), future()
    _trade(ledger, perp, start_ns, "-5000", "100000")
    _trade(ledger, perp, start_ns + NS_PER_HOUR, "5000", "100000")
    assert [item.quantity for item in ledger.funding_due(start_ns + NS_PER_HOUR)] == [0]
    with pytest.raises(LedgerError, match="behind"):
        ledger.equity({}, ts_ns=start_ns + 3 * NS_PER_HOUR)
    got = ledger.funding(start_ns + 3 * NS_PER_HOUR, perp, rate_8h=D("0.0008"), index_price=D(100000))
    assert got.to_decimal() == D("0.5") * D("0.0001")
    assert ledger.equity({}, ts_ns=start_ns + 9 * NS_PER_HOUR)["BTC"].total == ledger.cash["BTC"]


def test_a_discrete_venue_charges_what_is_held_at_the_funding_time(future: Make, start_ns: int) -> None:
    ledger, perp = Ledger(), future(settle="USDT", venue="bybit", multiplier="1", lot="0.001", tick="0.1")
    _trade(ledger, perp, start_ns + NS_PER_HOUR, "2", "100000")
    before, funding_time = start_ns + 7 * NS_PER_HOUR, start_ns + 8 * NS_PER_HOUR
    assert ledger.funding_due(before) == ()
    with pytest.raises(LedgerError, match="exactly one funding time"):
        ledger.funding(before, perp, rate_8h=D("0.0001"), index_price=D(100000))
    _trade(ledger, perp, before, "-1", "100000")
    (due,) = ledger.funding_due(funding_time)
    assert due.due_ns == funding_time
    with pytest.raises(LedgerError, match="behind"):
        _trade(ledger, perp, funding_time, "-1", "100000")
    paid = ledger.funding(funding_time, perp, rate_8h=D("0.0001"), index_price=D(100000))
    assert paid.to_decimal() == D(-10)
    _trade(ledger, perp, funding_time, "-1", "100000")
    assert ledger.funding_due(funding_time + 100 * NS_PER_HOUR) == ()
    ledger.verify({})


def test_a_missed_funding_time_is_made_up_one_by_one(future: Make, start_ns: int) -> None:
    ledger, perp = Ledger(), future(settle="USDT", venue="bybit", multiplier="1", lot="0.001", tick="0.1")
    _trade(ledger, perp, start_ns + NS_PER_HOUR, "1", "100000")
    now = start_ns + 17 * NS_PER_HOUR
    with pytest.raises(LedgerError, match="found 2"):
        ledger.funding(now, perp, rate_8h=D("0.0001"), index_price=D(100000))
    for hours in (8, 16):
        through = start_ns + hours * NS_PER_HOUR
        ledger.funding(now, perp, rate_8h=D("0.0001"), index_price=D(100000), through_ns=through)
    assert ledger.cash["USDT"].to_decimal() == D(-20)
    ledger.verify({perp.key: D(100000)})


def test_funding_refusals(future: Make, option: Make, start_ns: int) -> None:
    ledger, perp = Ledger(), future()
    with pytest.raises(LedgerError, match="expected a perpetual held"):
        ledger.funding(start_ns, perp, rate_8h=D(0), index_price=D(1))
    with pytest.raises(LedgerError, match="expected a perpetual held"):
        ledger.funding(start_ns, option(), rate_8h=D(0), index_price=D(1))
    _trade(ledger, perp, start_ns, "1", "100000")
    for through in (start_ns - 1, start_ns + 2):
        with pytest.raises(LedgerError, match="through a time"):
            ledger.funding(start_ns + 1, perp, rate_8h=D(0), index_price=D(1), through_ns=through)
    with pytest.raises(ConfigError, match="found 'nowhere'"):
        _trade(ledger, future(venue="nowhere"), start_ns, "1", "100000")
    with pytest.raises(ConfigError):
        FundingRule(interval_ns=0)
