"""The worked book of the accounting checklist, number by number, and everything the ledger refuses."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from ivhedge.core import NS_PER_HOUR, Instrument, Money, Settlement, currency, parse_time
from ivhedge.core.errors import ConfigError, LedgerError, MissingPrice
from ivhedge.ledger import EntryKind, Fill, Ledger, Liquidity, load_fees, trade_fee

from .conftest import MONTHLY, START, make_future, make_option

Make = Callable[..., Instrument]
D = Decimal
BTC, USDC = currency("BTC"), currency("USDC")

CALL, SOLD, PERP = make_option("100000"), make_option("120000"), make_future()
LINEAR = make_option("100000", settle="USDC")


def _trade(
    ledger: Ledger, contract: Instrument, quantity: str, price: str, ts_ns: int = START, **more: str
) -> None:
    fee = trade_fee(load_fees(contract.venue), contract, D(price), D(quantity), D(100000), Liquidity.TAKER)
    fill = Fill(
        ts_ns=ts_ns,
        instrument=contract,
        quantity=D(quantity),
        price=D(price),
        liquidity=Liquidity.TAKER,
        fee=fee,
        fill_id=more.get("fill_id"),
    )
    ledger.fill(fill)


def _funded() -> Ledger:
    ledger = Ledger()
    ledger.deposit(START, Money.from_exact(10, BTC), venue="deribit")
    ledger.deposit(START, Money.from_exact(100_000, USDC), venue="deribit")
    return ledger


def _amounts(ledger: Ledger, name: str) -> dict[EntryKind, Decimal]:
    return {e.kind: e.amount.to_decimal() for e in ledger.entries if e.instrument == name}


def test_the_bought_inverse_call_makes_0_0441_btc() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032")
    ledger.settle(MONTHLY, CALL, D(105000), note="30-minute average of the index")
    flows = _amounts(ledger, CALL.name)
    assert flows == {
        EntryKind.PREMIUM: D("-0.0032"),
        EntryKind.TRADE_FEE: D("-0.0003"),
        EntryKind.SETTLEMENT: D("0.04761905"),  # 1/21, rounded once
        EntryKind.DELIVERY_FEE: D("-0.00015"),
    }
    before_delivery = sum(flows.values()) - flows[EntryKind.DELIVERY_FEE]
    assert before_delivery == D("0.04411905")
    assert ledger.cash["BTC"].to_decimal() == 10 + D("0.04396905")
    assert ledger.residue["BTC"] + Fraction("0.04761905") - Fraction(1, 21) < Fraction(1, 10**20)
    assert ledger.entries[-2].note == "30-minute average of the index"
    assert ledger.entries[-2].price == D(105000)


def test_the_premium_is_in_coin_and_the_fee_capped() -> None:
    ledger = _funded()
    _trade(ledger, SOLD, "-2", "0.0003")
    assert _amounts(ledger, SOLD.name) == {
        EntryKind.PREMIUM: D("0.0006"),
        EntryKind.TRADE_FEE: D("-0.000075"),
    }
    ledger.settle(MONTHLY, SOLD, D(105000))
    assert ledger.cash["BTC"].to_decimal() == D(10) + D("0.000525")  # out of the money: no fee, no abort
    assert ledger.positions == {}


def test_the_whole_book_to_the_last_satoshi() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032")
    _trade(ledger, SOLD, "-2", "0.0003")
    _trade(ledger, LINEAR, "1", "400")
    _trade(ledger, PERP, "-5000", "100000")
    for hours, rate in ((8, "0.0001"), (16, "0.00014"), (24, "0.00005")):
        ledger.funding(START + hours * NS_PER_HOUR, PERP, rate_8h=D(rate), index_price=D(100000))
    _trade(ledger, PERP, "5000", "105000", START + 24 * NS_PER_HOUR)
    for contract in (CALL, SOLD, LINEAR):
        ledger.settle(MONTHLY, contract, D(105000))
    proofs = ledger.verify({})
    sums = {
        code: {k: m.to_decimal() for k, m in kinds.items() if m.units}
        for code, kinds in ledger.flows().items()
    }
    assert sums["BTC"] == {
        EntryKind.DEPOSIT: D(10),
        EntryKind.PREMIUM: D("-0.0026"),
        # two options; 0.05 % of 0.5 BTC; 0.05 % of 50,000/105,000 BTC
        EntryKind.TRADE_FEE: -D("0.0003") - D("0.000075") - D("0.00025") - D("0.00023810"),
        EntryKind.FUNDING: D("0.000145"),
        EntryKind.REALISED_PNL: D("-0.02380952"),  # 50,000 · (1/105,000 − 1/100,000)
        EntryKind.SETTLEMENT: D("0.04761905"),
        EntryKind.DELIVERY_FEE: D("-0.00015"),
    }
    assert sums["USDC"] == {
        EntryKind.DEPOSIT: D(100_000),
        EntryKind.PREMIUM: D(-400),
        EntryKind.TRADE_FEE: D(-50),
        EntryKind.SETTLEMENT: D(5000),
        EntryKind.DELIVERY_FEE: D("-15.75"),
    }
    assert ledger.cash["USDC"].to_decimal() == D("104534.25")
    for proof in proofs.values():
        assert proof.difference == 0
        assert proof.cash.to_fraction() + proof.residue == proof.flows
    # exact: −1/42 + 1/21 beside terminating amounts
    assert abs(proofs["BTC"].flows - Fraction(1, 42) - Fraction("9.9965319")) < Fraction(1, 10**19)


def test_equity_counts_a_premium_once() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032")
    at_cost = ledger.equity({CALL.key: D("0.0032")})["BTC"]
    assert at_cost.total.to_decimal() == D(10) - D("0.0003")  # only the fee is gone
    higher = ledger.equity({CALL.key: D("0.0050")})["BTC"]
    assert higher.option_value.to_decimal() == D("0.0050")  # mark, not mark minus cost
    assert higher.cash.to_decimal() == D("9.9965")
    assert higher.total.to_decimal() == D("10.0015")


def test_selling_options_does_not_make_the_books_richer() -> None:
    ledger = _funded()
    before = ledger.equity({})["BTC"].total
    _trade(ledger, SOLD, "-500", "0.0014")
    after = ledger.equity({SOLD.key: D("0.0014")})["BTC"]
    assert after.cash.to_decimal() > before.to_decimal()
    assert after.total.to_decimal() == before.to_decimal() - 500 * D("0.0014") * D("0.125")


def test_inverse_future_marks() -> None:
    ledger = _funded()
    _trade(ledger, PERP, "-5000", "100000")
    value = ledger.equity({PERP.key: D(80000)})["BTC"]
    assert value.futures_value.to_decimal() == D("0.125")  # 50,000 · (1/80,000 − 1/100,000)
    assert ledger.average_prices == {PERP.key: D(100000)}


def test_linear_future_average_cost_and_flip() -> None:
    ledger = Ledger()
    ledger.deposit(START, Money.from_exact(1000, currency("USDT")))
    contract = make_future(settle="USDT", venue="dune", multiplier="0.1", lot="1", expiry="2026-03-27T08:00Z")
    for quantity, price in (("10", "100000"), ("10", "101000"), ("-5", "102000"), ("-20", "100500")):
        _trade(ledger, contract, quantity, price)
    realised = [e.amount.to_decimal() for e in ledger.entries if e.kind is EntryKind.REALISED_PNL]
    assert realised == [0, 0, 750, 0]
    assert ledger.average_prices == {contract.key: D(100500)}
    assert ledger.positions[contract.key].quantity == D(-5)
    equity = ledger.equity({contract.key: D(100400)})["USDT"]
    assert equity.futures_value.to_decimal() == 50
    ledger.verify({contract.key: D(100400)})


def test_future_final_settlement() -> None:
    ledger = _funded()
    contract = make_future(expiry="2026-01-30T08:00Z")
    _trade(ledger, contract, "1000", "100000")
    paid = ledger.settle(MONTHLY, contract, D(125000))
    assert paid.to_decimal() == D("0.02")  # 10,000 · (1/100,000 − 1/125,000)
    assert _amounts(ledger, contract.name)[EntryKind.DELIVERY_FEE] == -D("0.00025") * D("0.08")
    ledger.verify({})


def test_currencies_stay_apart() -> None:
    ledger = _funded()
    eth = make_option("3000", settle="ETH", underlying="ETH")
    usdt = make_option("3000", settle="USDT", underlying="ETH", venue="bybit")
    _trade(ledger, eth, "3", "0.0105")
    _trade(ledger, usdt, "3", "120.5")
    _trade(ledger, LINEAR, "-1", "400")
    marks = {eth.key: D("0.01"), usdt.key: D(121), LINEAR.key: D(410)}
    equity = ledger.equity(marks)
    assert list(equity) == ["BTC", "ETH", "USDC", "USDT"]
    assert equity["ETH"].cash.to_decimal() == -3 * D("0.0105") - 3 * D("0.0003")
    assert equity["USDC"].option_value.to_decimal() == D(-410)
    ledger.verify(marks)
    book = ledger.book("mixed")
    assert {p.instrument.key: p.quantity for p in book.positions} == {eth.key: 3, usdt.key: 3, LINEAR.key: -1}
    assert {m.currency.code for m in book.cash} == {"BTC", "ETH", "USDC", "USDT"}


def test_a_missing_settlement_price_is_loud_and_blocks() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032")
    marks = {CALL.key: D("0.0032")}
    entries = ledger.entries
    with pytest.raises(MissingPrice, match="the position stays open"):
        ledger.settle(MONTHLY, CALL, None)
    assert ledger.entries == entries
    assert [p.quantity for p in ledger.expired(MONTHLY)] == [1]
    for question in (ledger.equity, ledger.verify):
        with pytest.raises(MissingPrice, match="expected every expired position settled"):
            question(marks, ts_ns=MONTHLY)
    ledger.settle(MONTHLY + NS_PER_HOUR, CALL, D(105000))
    assert ledger.expired(MONTHLY + NS_PER_HOUR) == ()
    ledger.verify({})


def test_settlement_refusals() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032")
    _trade(ledger, PERP, "1", "100000")
    with pytest.raises(LedgerError, match="at or after the expiry"):
        ledger.settle(MONTHLY - 1, CALL, D(105000))
    with pytest.raises(LedgerError, match="never"):
        ledger.settle(MONTHLY, PERP, D(105000))
    with pytest.raises(LedgerError, match="expected a position to settle"):
        ledger.settle(MONTHLY, SOLD, D(105000))
    with pytest.raises(LedgerError, match="exact_decimal"):
        ledger.settle(MONTHLY, CALL, 105000.0)  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="delivery fee in BTC"):
        ledger.settle(MONTHLY, CALL, D(105000), fee=Money.zero(USDC))
    with pytest.raises(LedgerError, match="positive"):
        ledger.settle(MONTHLY, CALL, D(0))
    ledger.settle(MONTHLY, CALL, D(105000), fee=Money.zero(BTC))
    with pytest.raises(LedgerError, match="expected a position to settle"):
        ledger.settle(MONTHLY, CALL, D(105000))


def test_a_settlement_without_a_known_delivery_fee_changes_nothing() -> None:
    ledger, contract = Ledger(), make_future(venue="okx", expiry="2026-01-30T08:00Z")
    _trade(ledger, contract, "10", "100000")
    with pytest.raises(ConfigError, match="delivery fee"):
        ledger.settle(MONTHLY, contract, D(100000))
    assert len(ledger.entries) == 2
    assert contract.key in ledger.positions


def test_duplicates_are_refused_per_venue() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032", fill_id="7")
    with pytest.raises(LedgerError, match="fill '7' was posted before"):
        _trade(ledger, SOLD, "1", "0.0003", fill_id="7")
    _trade(ledger, make_option(venue="aurora"), "1", "0.0032", fill_id="7")
    _trade(ledger, CALL, "1", "0.0032")
    _trade(ledger, CALL, "1", "0.0032")
    assert ledger.positions[CALL.key].quantity == 3


def test_time_never_goes_backwards() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032", START + 1)
    with pytest.raises(LedgerError, match="order of time"):
        _trade(ledger, CALL, "1", "0.0032", START)
    for event in (ledger.deposit, ledger.withdraw):
        with pytest.raises(LedgerError, match="order of time"):
            event(START, Money.from_exact(1, BTC))
        with pytest.raises(LedgerError, match="whole nanoseconds"):
            event(float(START + 2), Money.from_exact(1, BTC))  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="order of time"):
        ledger.settle(START, CALL, D(1))
    with pytest.raises(LedgerError, match="order of time"):
        ledger.funding(START, PERP, rate_8h=D(0), index_price=D(1))
    with pytest.raises(LedgerError, match="older"):
        ledger.equity({CALL.key: D(0)}, ts_ns=START)


def test_deposits_and_withdrawals() -> None:
    ledger = _funded()
    ledger.withdraw(START, Money.from_exact(D("2.5"), BTC), note="to the safe")
    assert ledger.cash["BTC"].to_decimal() == D("7.5")
    for amount in (Money.zero(BTC), Money(-1, BTC), Money.from_exact(8, BTC)):
        with pytest.raises(LedgerError, match="withdrawal above 0"):
            ledger.withdraw(START, amount)
    with pytest.raises(LedgerError, match="deposit above 0"):
        ledger.deposit(START, Money(-1, BTC))
    with pytest.raises(LedgerError, match="decimals"):
        ledger.deposit(START, Money(1, type(BTC)("BTC", 3)))


@pytest.mark.parametrize("mark", [None, D(-1), D("nan"), 0.5])
def test_a_mark_that_cannot_be_used_is_refused(mark: Decimal | None) -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032")
    marks = {} if mark is None else {CALL.key: mark}
    with pytest.raises(MissingPrice if mark is None else LedgerError, match="mark"):
        ledger.equity(marks)


def test_zero_is_a_mark_for_an_option_but_not_for_a_future() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032")
    assert ledger.equity({CALL.key: D(0)})["BTC"].option_value.units == 0
    _trade(ledger, PERP, "1", "100000")
    with pytest.raises(LedgerError, match="positive"):
        ledger.equity({CALL.key: D(0), PERP.key: D(0)})


def test_one_key_is_one_contract() -> None:
    ledger = _funded()
    _trade(ledger, CALL, "1", "0.0032")
    other = Instrument(**{**{n: getattr(CALL, n) for n in CALL.__slots__}, "multiplier": D(10)})
    assert other.settlement is Settlement.COIN
    with pytest.raises(LedgerError, match="first seen"):
        _trade(ledger, other, "1", "0.0032")


def test_a_refused_fill_leaves_no_trace() -> None:
    ledger = _funded()
    _trade(ledger, PERP, "-5000", "100000")
    entries, positions = ledger.entries, ledger.positions
    with pytest.raises(LedgerError):
        _trade(ledger, PERP, "5000", "100000", START + 9 * NS_PER_HOUR)
    assert (ledger.entries, ledger.positions) == (entries, positions)


def test_an_empty_ledger() -> None:
    ledger = Ledger()
    assert ledger.equity({}) == {}
    assert ledger.verify({}) == {}
    assert ledger.book("empty").positions == ()
    assert ledger.funding_due(parse_time("2026-01-05")) == ()
