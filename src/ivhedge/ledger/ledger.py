"""The ledger: the one place where money is counted.

Events enter in the order of time and are checked completely before anything changes; each posts entries
to the journal. Cash is an integer number of smallest units per currency. What a posting rounds away is
kept as a residue, so that cash + residue + marks is exactly the sum of all flows; `Ledger.verify` proves
it from the journal by another path.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

from ivhedge.core.errors import LedgerError, MissingPrice
from ivhedge.core.instruments import Instrument, InstrumentKind
from ivhedge.core.money import Money
from ivhedge.core.units import format_ns
from ivhedge.ledger._checks import describe_due, refuse_overdue, refuse_unsettled
from ivhedge.ledger.accounts import Accounts
from ivhedge.ledger.book import Book
from ivhedge.ledger.equity import Equity, MarkedValue, mark_holdings
from ivhedge.ledger.exact import from_grains, to_grains
from ivhedge.ledger.fees import FeeSchedule, delivery_fee
from ivhedge.ledger.fill import Fill
from ivhedge.ledger.funding import FUNDING_PERIOD_NS, FundingDue, FundingRule, FundingStyle, funding_payment
from ivhedge.ledger.holding import Holding, trade_against
from ivhedge.ledger.journal import Entry, EntryKind, Journal
from ivhedge.ledger.position import Position
from ivhedge.ledger.profiles import load_fees, load_funding_rule
from ivhedge.ledger.proof import MoneyProof, prove
from ivhedge.ledger.settlement import settlement_value
from ivhedge.ledger.valuation import contract_value, value_grains

__all__ = ["Ledger"]


class Ledger:
    """Exact books over any number of venues, instruments and currencies.

    Parameters
    ----------
    schedules : mapping of venue to FeeSchedule, optional
        For delivery fees. A venue that is not in it takes its shipped profile.
    funding_rules : mapping of venue to FundingRule, optional
        Likewise for perpetuals.
    """

    def __init__(
        self,
        *,
        schedules: Mapping[str, FeeSchedule] | None = None,
        funding_rules: Mapping[str, FundingRule] | None = None,
    ) -> None:
        self._schedules = dict(schedules or {})
        self._funding_rules = dict(funding_rules or {})
        self._accounts = Accounts()
        self._holdings: dict[str, Holding] = {}
        self._fill_ids: set[tuple[str, str]] = set()

    def deposit(self, ts_ns: int, amount: Money, *, venue: str = "", note: str = "") -> Entry:
        """Pay money in.

        Raises
        ------
        LedgerError
            If the amount is not positive or the time goes backwards.
        """
        self._accounts.check_time(ts_ns)
        self._accounts.check_currency(amount.currency)
        if amount.units <= 0:
            raise LedgerError(f"expected a deposit above 0, found {amount}; use withdraw to take money out")
        return self._accounts.post(ts_ns, EntryKind.DEPOSIT, amount, venue=venue, note=note)

    def withdraw(self, ts_ns: int, amount: Money, *, venue: str = "", note: str = "") -> Entry:
        """Take money out.

        Raises
        ------
        LedgerError
            If the amount is not positive or above the cash, or the time goes backwards.
        """
        self._accounts.check_time(ts_ns)
        self._accounts.check_currency(amount.currency)
        held = self._accounts.cash.get(amount.currency.code, 0)
        if not 0 < amount.units <= held:
            most = Money(held, amount.currency)
            raise LedgerError(f"expected a withdrawal above 0 and at most the cash {most}, found {amount}")
        return self._accounts.post(ts_ns, EntryKind.WITHDRAWAL, -amount, venue=venue, note=note)

    def fill(self, fill: Fill) -> None:
        """Post an execution: the premium or the realised profit, and the fee.

        Raises
        ------
        LedgerError
            If the fill's id is known, its time goes backwards, another contract of the same key is held, or
            the funding of the perpetual it changes is overdue.
        """
        instrument, unit = fill.instrument, fill.instrument.settle_currency
        self._accounts.check_time(fill.ts_ns)
        self._accounts.check_currency(unit)
        known_id = (instrument.venue, fill.fill_id) if fill.fill_id is not None else None
        if known_id in self._fill_ids:
            raise LedgerError(
                f"{instrument.key}: fill {fill.fill_id!r} was posted before; drop the duplicate"
            )
        holding = self._holding(instrument)
        refuse_overdue(self._due([holding], fill.ts_ns), fill.ts_ns)

        value = value_grains(instrument, fill.lots, fill.price)
        holding.pass_time(fill.ts_ns)
        holding.lots, holding.cost, realised = trade_against(holding.lots, holding.cost, fill.lots, value)
        self._holdings[instrument.key] = holding
        if instrument.is_option:
            exact = -contract_value(instrument, fill.price) * Fraction(fill.quantity)
            kind, amount, grains = EntryKind.PREMIUM, Money.from_exact(exact, unit), -value
        else:
            kind, amount, grains = EntryKind.REALISED_PNL, from_grains(realised, unit), realised
        self._accounts.keep_residue(grains, amount)
        for what, money in ((kind, amount), (EntryKind.TRADE_FEE, -fill.fee)):
            self._accounts.post(
                fill.ts_ns,
                what,
                money,
                instrument=instrument,
                quantity=fill.quantity,
                price=fill.price,
                fill_id=fill.fill_id,
                note=fill.liquidity.value,
            )
        if known_id is not None:
            self._fill_ids.add(known_id)

    def funding(
        self,
        ts_ns: int,
        instrument: Instrument,
        *,
        rate_8h: Decimal,
        index_price: Decimal,
        through_ns: int | None = None,
        note: str = "",
    ) -> Money:
        """Accrue a perpetual's funding and post it.

        Parameters
        ----------
        ts_ns : int
            Time of the posting.
        instrument : Instrument
        rate_8h : Decimal
            Per 8 hours, whatever the venue's interval; positive = longs pay; an explicit 0 is fine.
        index_price : Decimal
            USD.
        through_ns : int, optional
            Time up to which this rate holds; the default is `ts_ns`. Discrete venues: one funding time per
            call.
        note : str

        Returns
        -------
        Money
            Received (positive) or paid (negative).

        Raises
        ------
        LedgerError
            If nothing was held since the last accrual, times are out of order, or a discrete venue's call
            does not cover exactly one funding time.
        """
        self._accounts.check_time(ts_ns)
        through = ts_ns if through_ns is None else through_ns
        holding = self._holding(instrument)
        if not holding.awaits_funding:
            raise LedgerError(
                f"{instrument.key}: expected a perpetual held since its last funding, found none"
            )
        if not holding.changed_ns <= through <= ts_ns:
            raise LedgerError(
                f"{instrument.key}: expected funding through a time from its last change "
                f"{format_ns(holding.changed_ns)} to the posting {format_ns(ts_ns)}, "
                f"found {format_ns(through)}"
            )
        rule, size, held_ns = self._rule(instrument.venue), instrument.lot, holding.lot_ns
        if rule.style is FundingStyle.CONTINUOUS:
            held_ns += holding.lots * (through - holding.changed_ns)
        else:
            times = rule.charges(holding.funded_to_ns, through)
            if times != 1:
                raise LedgerError(
                    f"{instrument.key}: expected exactly one funding time since "
                    f"{format_ns(holding.funded_to_ns)}, found {times}; call once per funding time"
                )
            size, held_ns = holding.quantity, rule.interval_ns
        exact = funding_payment(instrument, size, rate_8h=rate_8h, index_price=index_price)
        exact *= Fraction(held_ns, FUNDING_PERIOD_NS)
        amount = Money.from_exact(exact, instrument.settle_currency)
        holding.lot_ns, holding.changed_ns, holding.funded_to_ns = 0, through, through
        self._accounts.keep_residue(to_grains(exact, instrument.settle_currency), amount)
        self._accounts.post(
            ts_ns,
            EntryKind.FUNDING,
            amount,
            instrument=instrument,
            quantity=holding.quantity,
            price=index_price,
            rate_8h=rate_8h,
            through_ns=through,
            note=note,
        )
        return amount

    def settle(
        self,
        ts_ns: int,
        instrument: Instrument,
        settlement_price: Decimal | None,
        *,
        index_price: Decimal | None = None,
        fee: Money | None = None,
        note: str = "",
    ) -> Money:
        """Settle an expired position in cash.

        Parameters
        ----------
        ts_ns : int
            At or after the expiry.
        instrument : Instrument
        settlement_price : Decimal or None
            USD: the venue's time-weighted average. None (not known) is refused and the position stays.
        index_price : Decimal, optional
            USD; for venues whose delivery fee is on another price than the settlement price.
        fee : Money, optional
            The venue's own delivery fee; by default it follows from the fee schedule.
        note : str
            Where the price came from.

        Returns
        -------
        Money
            Received (positive) or paid (negative), before the delivery fee.

        Raises
        ------
        MissingPrice
            If there is no settlement price.
        LedgerError
            If nothing is held, the contract never expires or has not expired, or a price is not positive.
        ConfigError
            If the delivery fee is not given and the venue's profile does not state it.
        """
        self._accounts.check_time(ts_ns)
        holding, unit = self._holding(instrument), instrument.settle_currency
        if holding.lots == 0:
            raise LedgerError(f"{instrument.key}: expected a position to settle, found none")
        if instrument.expiry_ns is None or ts_ns < instrument.expiry_ns:
            expiry = "never" if instrument.expiry_ns is None else format_ns(instrument.expiry_ns)
            raise LedgerError(
                f"{instrument.key}: expected a settlement at or after the expiry ({expiry}), "
                f"found {format_ns(ts_ns)}; close it with a fill instead"
            )
        if settlement_price is None:
            raise MissingPrice(
                f"{instrument.key}: expected a settlement price, found none; the position stays open and the "
                "books stay blocked until it is settled"
            )
        quantity = holding.quantity
        exact = settlement_value(instrument, quantity, settlement_price)
        if fee is None:
            schedule = self._schedules.get(instrument.venue) or load_fees(instrument.venue)
            fee = delivery_fee(schedule, instrument, quantity, settlement_price, index_price)
        if fee.currency != unit:
            raise LedgerError(f"{instrument.key}: expected a delivery fee in {unit.code}, found {fee}")

        grains = to_grains(exact, unit) - (0 if instrument.is_option else holding.cost)
        amount = Money.from_exact(exact, unit) if instrument.is_option else from_grains(grains, unit)
        holding.lots, holding.cost = 0, 0
        self._accounts.keep_residue(grains, amount)
        for what, money in ((EntryKind.SETTLEMENT, amount), (EntryKind.DELIVERY_FEE, -fee)):
            self._accounts.post(
                ts_ns,
                what,
                money,
                instrument=instrument,
                quantity=quantity,
                price=settlement_price,
                note=note,
            )
        return amount

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All journal entries so far."""
        return self._accounts.journal.entries

    @property
    def next_seq(self) -> int:
        """Number that the next entry will have."""
        return len(self._accounts.journal)

    def entries_since(self, seq: int) -> tuple[Entry, ...]:
        """Journal entries from number `seq` on; unlike `entries` it does not copy the whole journal."""
        return self._accounts.journal.since(seq)

    @property
    def journal(self) -> Journal:
        """A copy of the journal."""
        return Journal(self._accounts.journal)

    @property
    def positions(self) -> dict[str, Position]:
        """Open positions by instrument key."""
        return {key: Position(h.instrument, h.quantity) for key, h in self._holdings.items() if h.lots}

    @property
    def cash(self) -> dict[str, Money]:
        """Cash by currency code."""
        return self._accounts.cash_by_code()

    @property
    def residue(self) -> dict[str, Fraction]:
        """What postings rounded away, exact minus posted, by currency code and in that currency."""
        return self._accounts.residue_by_code()

    @property
    def average_prices(self) -> dict[str, Decimal]:
        """Average entry price of each open position, 12 digits, for reports only."""
        averages = {key: holding.average_price() for key, holding in self._holdings.items()}
        return {key: price for key, price in averages.items() if price is not None}

    def flows(self) -> dict[str, dict[EntryKind, Money]]:
        """Sum of the journal by currency code and kind of entry."""
        return self._accounts.flows()

    def expired(self, ts_ns: int) -> tuple[Position, ...]:
        """Open positions whose contract has expired at `ts_ns` and that await their settlement price."""
        return tuple(
            position
            for position in self.positions.values()
            if position.instrument.expiry_ns is not None and position.instrument.expiry_ns <= ts_ns
        )

    def funding_due(self, ts_ns: int) -> tuple[FundingDue, ...]:
        """Perpetuals whose funding is not accrued up to `ts_ns`, also those closed in the meantime."""
        return tuple(self._due(self._holdings.values(), ts_ns))

    def equity(self, marks: Mapping[str, Decimal], *, ts_ns: int | None = None) -> dict[str, Equity]:
        """Worth of the books at marks, by currency code.

        Parameters
        ----------
        marks : mapping of instrument key to Decimal
            Coin for coin-settled options, USD otherwise. Every open position needs one.
        ts_ns : int, optional
            Time of the marks; the default is the last event's.

        Raises
        ------
        MissingPrice
            If a mark is missing, or a position has expired and is not settled.
        LedgerError
            If a mark cannot be used, or a perpetual's funding is overdue.
        """
        self._refuse_unmarkable(ts_ns)
        values = mark_holdings(self._holdings.values(), marks)
        return {
            code: Equity.of(cash, values.get(code, MarkedValue()), cash.currency)
            for code, cash in sorted(self.cash.items())
        }

    def verify(self, marks: Mapping[str, Decimal], *, ts_ns: int | None = None) -> dict[str, MoneyProof]:
        """Prove the money identity from the journal, independently of the running state.

        Parameters
        ----------
        marks, ts_ns
            As for `equity`.

        Returns
        -------
        dict of currency code to MoneyProof

        Raises
        ------
        MissingPrice
            As for `equity`.
        LedgerError
            If state and journal differ by as little as a grain, or as for `equity`.
        """
        self._refuse_unmarkable(ts_ns)
        perpetuals = (h.instrument for h in self._holdings.values() if _is_perpetual(h.instrument))
        rules = {instrument.venue: self._rule(instrument.venue) for instrument in perpetuals}
        accounts = self._accounts
        return prove(accounts.journal, self._holdings, accounts.cash, accounts.residue, rules, marks)

    def book(self, name: str) -> Book:
        """Positions and cash as a frozen value, for risk and hedging."""
        return Book(name, tuple(self.positions.values()), tuple(self.cash.values()))

    def _rule(self, venue: str) -> FundingRule:
        return self._funding_rules.get(venue) or load_funding_rule(venue)

    def _due(self, holdings: Iterable[Holding], ts_ns: int) -> list[FundingDue]:
        due = (
            describe_due(holding, self._rule(holding.instrument.venue), ts_ns)
            for holding in holdings
            if holding.awaits_funding
        )
        return [item for item in due if item is not None]

    def _holding(self, instrument: Instrument) -> Holding:
        holding = self._holdings.get(instrument.key)
        if holding is None:
            perpetual = _is_perpetual(instrument)
            weighted = perpetual and self._rule(instrument.venue).style is FundingStyle.CONTINUOUS
            return Holding(instrument, pays_funding=perpetual, time_weighted=weighted)
        if holding.instrument != instrument:
            raise LedgerError(
                f"{instrument.key}: expected the contract specification first seen, found another one; "
                "one key is one contract"
            )
        return holding

    def _refuse_unmarkable(self, ts_ns: int | None) -> None:
        last = self._accounts.now_ns
        now = last if ts_ns is None else ts_ns
        if now is None or last is None:
            return
        if now < last:
            raise LedgerError(
                f"expected marks at or after the last event {format_ns(last)}, found older ones"
            )
        refuse_unsettled(self._holdings.values(), now)
        refuse_overdue(self.funding_due(now), now)


def _is_perpetual(instrument: Instrument) -> bool:
    return instrument.kind is InstrumentKind.PERPETUAL
