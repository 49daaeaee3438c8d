"""Every way of falsifying the books by the smallest amount is noticed."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from ivhedge.core import NS_PER_HOUR, Money
from ivhedge.core.errors import LedgerError, UnknownInstrument
from ivhedge.ledger import Entry, EntryKind, Fill, Ledger, Liquidity, rebuild

from .conftest import MONTHLY, START, make_future, make_option

D = Decimal
CALL, EXPIRING, PERP = make_option("110000"), make_option(), make_future()
INSTRUMENTS = {i.key: i for i in (CALL, EXPIRING, PERP)}
LATER = replace(CALL, name="LATER", expiry_ns=MONTHLY + 800 * NS_PER_HOUR)
MARKS = {LATER.key: D("0.0123"), PERP.key: D("98765.5")}
INSTRUMENTS[LATER.key] = LATER


def _ledger() -> Ledger:
    ledger = Ledger()
    unit = CALL.settle_currency
    ledger.deposit(START, Money.from_exact(10, unit))
    trades = (
        (LATER, "1.5", "0.0115"),
        (EXPIRING, "-1", "0.0032"),
        (PERP, "-5000", "97003.5"),
        (PERP, "1777", "96001"),
    )
    for contract, quantity, price in trades:
        fill = Fill(
            ts_ns=START,
            instrument=contract,
            quantity=D(quantity),
            price=D(price),
            liquidity=Liquidity.TAKER,
            fee=Money(7, unit),
        )
        ledger.fill(fill)
    ledger.funding(MONTHLY, PERP, rate_8h=D("0.000123"), index_price=D("97777.7"))
    ledger.settle(MONTHLY, EXPIRING, D(105001))
    ledger.withdraw(MONTHLY, Money.from_exact(1, unit))
    return ledger


def test_sound_books_pass() -> None:
    proof = _ledger().verify(MARKS)["BTC"]
    assert proof.difference == 0
    assert proof.residue != 0
    assert set(proof.by_kind) == set(EntryKind)


def _cash(ledger: Ledger) -> None:
    ledger._accounts.cash["BTC"] += 1


def _residue(ledger: Ledger) -> None:
    ledger._accounts.residue["BTC"] -= 1


def _lots(ledger: Ledger) -> None:
    ledger._holdings[LATER.key].lots += 1


def _cost(ledger: Ledger) -> None:
    ledger._holdings[PERP.key].cost += 1


@pytest.mark.parametrize("tamper", [_cash, _residue, _lots, _cost])
def test_a_changed_state_is_noticed(tamper: Callable[[Ledger], None]) -> None:
    ledger = _ledger()
    tamper(ledger)
    with pytest.raises(LedgerError, match="the books are not sound"):
        ledger.verify(MARKS)


def _entry_numbers() -> range:
    return range(len(_ledger().entries))


@pytest.mark.parametrize("seq", _entry_numbers())
def test_one_unit_moved_in_any_entry_is_noticed(seq: int) -> None:
    """The amount is changed in the journal and in the cash, so that the sums of amounts still agree."""
    ledger = _ledger()
    entries = ledger._accounts.journal._entries
    entry = entries[seq]
    entries[seq] = replace(entry, amount=entry.amount + Money(1, entry.amount.currency))
    ledger._accounts.cash["BTC"] += 1
    taken_as_posted = {EntryKind.DEPOSIT, EntryKind.WITHDRAWAL, EntryKind.TRADE_FEE, EntryKind.DELIVERY_FEE}
    if entry.kind in taken_as_posted:  # an input of the books: nothing to recompute it from
        ledger.verify(MARKS)
        return
    with pytest.raises(LedgerError, match="the books are not sound"):
        ledger.verify(MARKS)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (EntryKind.PREMIUM, {"price": D("0.0120")}),
        (EntryKind.REALISED_PNL, {"price": D("97004")}),
        (EntryKind.REALISED_PNL, {"quantity": D(-4999)}),
        (EntryKind.FUNDING, {"rate_8h": D("0.000124")}),
        (EntryKind.FUNDING, {"price": D("98777.7")}),
        (EntryKind.FUNDING, {"through_ns": MONTHLY - NS_PER_HOUR}),
        (EntryKind.SETTLEMENT, {"price": D(105002)}),
        (EntryKind.SETTLEMENT, {"quantity": D("-1.1")}),
    ],
)
def test_a_changed_figure_is_noticed_by_proof_and_rebuild(kind: EntryKind, change: dict[str, object]) -> None:
    ledger = _ledger()
    entries = ledger._accounts.journal._entries
    seq = next(entry.seq for entry in entries if entry.kind is kind)
    entries[seq] = replace(entries[seq], **change)  # type: ignore[arg-type]
    with pytest.raises(LedgerError):
        ledger.verify(MARKS)
    with pytest.raises(LedgerError):
        rebuild(entries, INSTRUMENTS)


def _without(entries: tuple[Entry, ...], kind: EntryKind) -> list[Entry]:
    kept = [entry for entry in entries if entry.kind is not kind]
    return [replace(entry, seq=seq) for seq, entry in enumerate(kept)]


@pytest.mark.parametrize("kind", [EntryKind.TRADE_FEE, EntryKind.DELIVERY_FEE, EntryKind.REALISED_PNL])
def test_a_lost_entry_cannot_be_rebuilt(kind: EntryKind) -> None:
    with pytest.raises(LedgerError):
        rebuild(_without(_ledger().entries, kind), INSTRUMENTS)


def test_rebuild_needs_every_contract() -> None:
    with pytest.raises(UnknownInstrument, match="PERPETUAL"):
        rebuild(_ledger().entries, {k: v for k, v in INSTRUMENTS.items() if k != PERP.key})


def test_a_fill_without_its_liquidity_cannot_be_rebuilt() -> None:
    entries = [replace(entry, note="") for entry in _ledger().entries]
    with pytest.raises(LedgerError, match="expected maker or taker"):
        rebuild(entries, INSTRUMENTS)


def test_rebuild_of_nothing_is_empty() -> None:
    assert rebuild((), {}).cash == {}
