"""Proof of the money identity: everything recomputed from the journal, by another path.

The running state works with average cost and posted profits. The proof uses neither: for every contract
it adds up *− value at the trade price* of each fill, adds the settlement value of what was settled and the
mark value of what is open, and does not look at the realised profits that were posted. Funding is
recomputed from the fills and rates, fees are taken as posted. The two sums must agree to the grain.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from ivhedge.core.errors import LedgerError
from ivhedge.core.instruments import Instrument
from ivhedge.core.money import Money, currency
from ivhedge.ledger.equity import MarkedValue, mark_holdings, mark_of
from ivhedge.ledger.exact import GRAINS_PER_UNIT, to_grains
from ivhedge.ledger.funding import FUNDING_PERIOD_NS, FundingRule, FundingStyle, funding_payment
from ivhedge.ledger.holding import Holding
from ivhedge.ledger.journal import Entry, EntryKind
from ivhedge.ledger.settlement import settlement_value
from ivhedge.ledger.valuation import contract_value, lots_of, value_grains

__all__ = ["MoneyProof", "prove"]

_TRADES = (EntryKind.PREMIUM, EntryKind.REALISED_PNL)
_AS_POSTED = (EntryKind.DEPOSIT, EntryKind.WITHDRAWAL, EntryKind.TRADE_FEE, EntryKind.DELIVERY_FEE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyProof:
    """The identity in one currency: ``cash + residue + option_value + futures_value == flows``.

    Parameters
    ----------
    cash : Money
        Cash, equal to the sum of all journal amounts.
    residue : Fraction
        What postings rounded away.
    option_value, futures_value : Fraction
        Mark value of options, unrealised profit of futures.
    flows : Fraction
        Deposits, fees, funding, settlements and the revalued fills, recomputed from the journal.
    by_kind : mapping of EntryKind to Money
        Sums of the journal amounts.
    """

    cash: Money
    residue: Fraction
    option_value: Fraction
    futures_value: Fraction
    flows: Fraction
    by_kind: Mapping[EntryKind, Money]

    @property
    def difference(self) -> Fraction:
        """State minus journal; 0 for every proof that is handed out."""
        worth = self.cash.to_fraction() + self.residue + self.option_value + self.futures_value
        return worth - self.flows


@dataclass(slots=True)
class _Track:
    """Lots of one contract as the journal tells them, and their time-weighted size since the last funding."""

    lots: int = 0
    lot_ns: int = 0
    since_ns: int = 0

    def pass_time(self, now_ns: int) -> None:
        self.lot_ns += self.lots * (now_ns - self.since_ns)
        self.since_ns = now_ns


@dataclass(slots=True)
class _Sums:
    """What the journal adds up to in each currency."""

    worth: dict[str, int] = field(default_factory=dict)
    posted: dict[str, dict[EntryKind, int]] = field(default_factory=dict)

    def add(self, code: str, grains: int) -> None:
        self.worth[code] = self.worth.get(code, 0) + grains

    def post(self, entry: Entry) -> None:
        by_kind = self.posted.setdefault(entry.amount.currency.code, dict.fromkeys(EntryKind, 0))
        by_kind[entry.kind] += entry.amount.units


def prove(
    entries: Iterable[Entry],
    holdings: Mapping[str, Holding],
    cash: Mapping[str, int],
    residue: Mapping[str, int],
    rules: Mapping[str, FundingRule],
    marks: Mapping[str, Decimal],
) -> dict[str, MoneyProof]:
    """Recompute the books from the journal and compare them with the state.

    Parameters
    ----------
    entries : iterable of Entry
    holdings : mapping of instrument key to Holding
    cash, residue : mapping of currency code to int
        Smallest units and grains.
    rules : mapping of venue to FundingRule
        For every venue with a perpetual.
    marks : mapping of instrument key to Decimal

    Raises
    ------
    MissingPrice
        If a mark is missing.
    LedgerError
        If an entry does not follow from its own figures, or any sum differs.
    """
    sums, tracks = _Sums(), {key: _Track() for key in holdings}
    for entry in entries:
        sums.post(entry)
        if entry.kind in _AS_POSTED:
            sums.add(entry.amount.currency.code, entry.amount.units * GRAINS_PER_UNIT)
        else:
            holding = holdings.get(entry.key)
            if holding is None:
                raise LedgerError(f"journal entry {entry.seq}: {entry.key} is not in the books")
            sums.add(
                entry.amount.currency.code, _recompute(entry, holding.instrument, tracks[entry.key], rules)
            )
    for key, holding in holdings.items():
        lots = tracks[key].lots
        _same(f"{key} lots", lots, holding.lots)
        if lots:
            instrument = holding.instrument
            value = value_grains(instrument, lots, mark_of(instrument, marks))
            sums.add(instrument.settle_currency.code, value)
    values = mark_holdings(holdings.values(), marks)
    codes = sorted(cash.keys() | residue.keys() | values.keys() | sums.worth.keys())
    return {
        code: _compare(
            code,
            cash.get(code, 0),
            residue.get(code, 0),
            values.get(code, MarkedValue()),
            sums,
        )
        for code in codes
    }


def _compare(code: str, cash: int, residue: int, marked: MarkedValue, sums: _Sums) -> MoneyProof:
    unit = currency(code)
    posted = sums.posted.get(code, dict.fromkeys(EntryKind, 0))
    _same(f"{code} cash in smallest units", sum(posted.values()), cash)
    flows = sums.worth.get(code, 0)
    worth = cash * GRAINS_PER_UNIT + residue + marked.options + marked.futures
    _same(f"{code} cash + marks in units of 1e-12 of the smallest unit", flows, worth)

    def in_currency(grains: int) -> Fraction:
        return Fraction(grains, unit.scale * GRAINS_PER_UNIT)

    return MoneyProof(
        cash=Money(cash, unit),
        residue=in_currency(residue),
        option_value=in_currency(marked.options),
        futures_value=in_currency(marked.futures),
        flows=in_currency(flows),
        by_kind={kind: Money(units, unit) for kind, units in posted.items()},
    )


def _recompute(entry: Entry, instrument: Instrument, track: _Track, rules: Mapping[str, FundingRule]) -> int:
    """What an entry adds to the worth, from its own figures; grains."""
    if entry.quantity is None or entry.price is None:
        raise LedgerError(f"journal entry {entry.seq}: expected quantity and price, found {entry}")
    unit = instrument.settle_currency
    lots = lots_of(instrument, entry.quantity)
    if lots is None:
        raise LedgerError(f"journal entry {entry.seq}: quantity {entry.quantity} is off the lot grid")
    if entry.kind in _TRADES:
        track.pass_time(entry.ts_ns)
        track.lots += lots
        if entry.kind is EntryKind.PREMIUM:
            _same_amount(entry, -contract_value(instrument, entry.price) * Fraction(entry.quantity))
        return -value_grains(instrument, lots, entry.price)
    _same(f"journal entry {entry.seq}: lots held", track.lots, lots)
    if entry.kind is EntryKind.SETTLEMENT:
        track.lots = 0
        exact = settlement_value(instrument, entry.quantity, entry.price)
        if instrument.is_option:
            _same_amount(entry, exact)
        return to_grains(exact, unit)
    exact = _funding(entry, entry.quantity, entry.price, instrument, track, rules[instrument.venue])
    _same_amount(entry, exact)
    return to_grains(exact, unit)


def _funding(
    entry: Entry, quantity: Decimal, index: Decimal, instrument: Instrument, track: _Track, rule: FundingRule
) -> Fraction:
    if entry.rate_8h is None or entry.through_ns is None:
        raise LedgerError(f"journal entry {entry.seq}: expected a rate and a time for funding, found {entry}")
    track.pass_time(entry.through_ns)
    size = instrument.lot if rule.style is FundingStyle.CONTINUOUS else quantity
    per_period = funding_payment(instrument, size, rate_8h=entry.rate_8h, index_price=index)
    held = track.lot_ns if rule.style is FundingStyle.CONTINUOUS else rule.interval_ns
    track.lot_ns = 0
    return per_period * Fraction(held, FUNDING_PERIOD_NS)


def _same_amount(entry: Entry, exact: Fraction) -> None:
    expected = Money.from_exact(exact, entry.amount.currency)
    _same(f"journal entry {entry.seq} ({entry.kind}) in smallest units", expected.units, entry.amount.units)


def _same(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise LedgerError(
            f"{what}: expected {expected} from the journal, found {found}, {found - expected:+d}; "
            "the books are not sound, stop and rebuild them from the journal"
        )
