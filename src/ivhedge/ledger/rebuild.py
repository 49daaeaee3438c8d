"""Books rebuilt from their journal: after a restart, and as the strictest check of a journal."""

from collections.abc import Iterable, Mapping

from ivhedge.core.errors import LedgerError, UnknownInstrument
from ivhedge.core.instruments import Instrument
from ivhedge.ledger.fees import FeeSchedule
from ivhedge.ledger.fill import Fill, Liquidity
from ivhedge.ledger.funding import FundingRule
from ivhedge.ledger.journal import Entry, EntryKind
from ivhedge.ledger.ledger import Ledger

__all__ = ["rebuild"]

_FEE_OF = {
    EntryKind.PREMIUM: EntryKind.TRADE_FEE,
    EntryKind.REALISED_PNL: EntryKind.TRADE_FEE,
    EntryKind.SETTLEMENT: EntryKind.DELIVERY_FEE,
}


def rebuild(
    entries: Iterable[Entry],
    instruments: Mapping[str, Instrument],
    *,
    schedules: Mapping[str, FeeSchedule] | None = None,
    funding_rules: Mapping[str, FundingRule] | None = None,
) -> Ledger:
    """Post every event of a journal again and insist on the same entries.

    Parameters
    ----------
    entries : iterable of Entry
    instruments : mapping of instrument key to Instrument
    schedules, funding_rules
        As for `Ledger`.

    Returns
    -------
    Ledger
        In the state it had after the last entry.

    Raises
    ------
    UnknownInstrument
        If an entry names an instrument that is not in `instruments`.
    LedgerError
        If an entry is missing or does not follow from the ones before it.
    """
    journal = tuple(entries)
    ledger = Ledger(schedules=schedules, funding_rules=funding_rules)
    position = 0
    while position < len(journal):
        fee = journal[position + 1] if position + 1 < len(journal) else None
        position += _repost(ledger, journal[position], fee, instruments)
    for expected, found in zip(ledger.entries, journal, strict=True):
        if expected != found:
            raise LedgerError(
                f"journal entry {found.seq}: expected {expected}, found {found}; the journal was altered"
            )
    return ledger


def _repost(  # returns the number of entries it stands for
    ledger: Ledger, entry: Entry, fee: Entry | None, instruments: Mapping[str, Instrument]
) -> int:
    if entry.kind is EntryKind.DEPOSIT:
        ledger.deposit(entry.ts_ns, entry.amount, venue=entry.venue, note=entry.note)
        return 1
    if entry.kind is EntryKind.WITHDRAWAL:
        ledger.withdraw(entry.ts_ns, -entry.amount, venue=entry.venue, note=entry.note)
        return 1
    instrument = instruments.get(entry.key)
    if instrument is None:
        raise UnknownInstrument(f"journal entry {entry.seq}: {entry.key} is not among the instruments given")
    if entry.quantity is None or entry.price is None:
        raise LedgerError(f"journal entry {entry.seq}: expected quantity and price, found {entry}")
    if entry.kind is EntryKind.FUNDING:
        if entry.rate_8h is None:
            raise LedgerError(f"journal entry {entry.seq}: expected a funding rate, found none")
        ledger.funding(
            entry.ts_ns,
            instrument,
            rate_8h=entry.rate_8h,
            index_price=entry.price,
            through_ns=entry.through_ns,
            note=entry.note,
        )
        return 1
    if fee is None or fee.kind is not _FEE_OF.get(entry.kind):
        raise LedgerError(
            f"journal entry {entry.seq}: expected a {entry.kind} followed by its fee, found {fee}"
        )
    if entry.kind is EntryKind.SETTLEMENT:
        ledger.settle(entry.ts_ns, instrument, entry.price, fee=-fee.amount, note=entry.note)
        return 2
    if entry.note not in set(Liquidity):
        raise LedgerError(f"journal entry {entry.seq}: expected maker or taker as note, found {entry.note!r}")
    fill = Fill(
        ts_ns=entry.ts_ns,
        instrument=instrument,
        quantity=entry.quantity,
        price=entry.price,
        liquidity=Liquidity(entry.note),
        fee=-fee.amount,
        fill_id=entry.fill_id,
    )
    ledger.fill(fill)
    return 2
