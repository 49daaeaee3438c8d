"""Cash, residue and journal: the posting side of the ledger."""

from decimal import Decimal
from fractions import Fraction

from ivhedge.core.errors import LedgerError
from ivhedge.core.instruments import Instrument
from ivhedge.core.money import Currency, Money, currency
from ivhedge.core.units import format_ns
from ivhedge.ledger.exact import GRAINS_PER_UNIT
from ivhedge.ledger.journal import Entry, EntryKind, Journal

__all__ = ["Accounts"]


class Accounts:
    """Running sums of what was posted; private to the ledger.

    `cash` is in smallest units and `residue` in grains, both by currency code; `now_ns` is the time of the
    last entry, None before the first.
    """

    def __init__(self) -> None:
        self.journal = Journal()
        self.cash: dict[str, int] = {}
        self.residue: dict[str, int] = {}
        self.now_ns: int | None = None

    def check_time(self, ts_ns: int) -> None:
        """Refuse an event before the last one.

        Raises
        ------
        LedgerError
            If the time is no integer or lies before the last entry.
        """
        if not isinstance(ts_ns, int) or isinstance(ts_ns, bool):
            raise LedgerError(f"expected a time in whole nanoseconds, found {type(ts_ns).__name__} {ts_ns!r}")
        if self.now_ns is not None and ts_ns < self.now_ns:
            raise LedgerError(
                f"expected an event at or after {format_ns(self.now_ns)} ({self.now_ns} ns), found "
                f"{format_ns(ts_ns)} ({ts_ns} ns); post events in the order of time"
            )

    def check_currency(self, unit: Currency) -> None:
        """Refuse a currency that shares its code with another one.

        Raises
        ------
        LedgerError
            If it is not the currency registered under its code.
        """
        if currency(unit.code) != unit:
            raise LedgerError(f"expected {currency(unit.code)}, found {unit}; use ivhedge.core.currency")

    def post(
        self,
        ts_ns: int,
        kind: EntryKind,
        amount: Money,
        *,
        instrument: Instrument | None = None,
        venue: str = "",
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        rate_8h: Decimal | None = None,
        through_ns: int | None = None,
        fill_id: str | None = None,
        note: str = "",
    ) -> Entry:
        """Append an entry and move the cash; the parameters are those of `Entry`."""
        entry = Entry(
            seq=len(self.journal),
            ts_ns=ts_ns,
            kind=kind,
            amount=amount,
            venue=venue if instrument is None else instrument.venue,
            instrument="" if instrument is None else instrument.name,
            quantity=quantity,
            price=price,
            rate_8h=rate_8h,
            through_ns=through_ns,
            fill_id=fill_id,
            note=note,
        )
        self.journal.append(entry)
        self.now_ns = ts_ns
        code = amount.currency.code
        self.cash[code] = self.cash.get(code, 0) + amount.units
        return entry

    def keep_residue(self, exact_grains: int, posted: Money) -> None:
        """Remember what a posting rounded away."""
        code = posted.currency.code
        self.residue[code] = self.residue.get(code, 0) + exact_grains - posted.units * GRAINS_PER_UNIT

    def cash_by_code(self) -> dict[str, Money]:
        """Cash by currency code."""
        return {code: Money(units, currency(code)) for code, units in self.cash.items()}

    def residue_by_code(self) -> dict[str, Fraction]:
        """Residue by currency code, in that currency."""
        return {
            code: Fraction(grains, currency(code).scale * GRAINS_PER_UNIT)
            for code, grains in self.residue.items()
        }

    def flows(self) -> dict[str, dict[EntryKind, Money]]:
        """Sum of the entries by currency code and kind."""
        sums: dict[str, dict[EntryKind, Money]] = {}
        for entry in self.journal:
            unit = entry.amount.currency
            by_kind = sums.setdefault(unit.code, {kind: Money.zero(unit) for kind in EntryKind})
            by_kind[entry.kind] += entry.amount
        return sums
