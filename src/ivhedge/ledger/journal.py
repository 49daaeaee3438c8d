"""The journal: append-only, typed entries, from which everything else can be recomputed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ivhedge.core.errors import ConfigError, LedgerError, SchemaError
from ivhedge.core.money import Money, currency

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Entry", "EntryKind", "Journal"]


class EntryKind(StrEnum):
    """What a flow of money was for."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    PREMIUM = "premium"
    REALISED_PNL = "realised_pnl"
    TRADE_FEE = "trade_fee"
    FUNDING = "funding"
    SETTLEMENT = "settlement"
    DELIVERY_FEE = "delivery_fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One flow of money.

    Parameters
    ----------
    seq : int
        Position in the journal, from 0.
    ts_ns : int
        Nanoseconds since the epoch, UTC; never before the previous entry.
    kind : EntryKind
    venue, instrument : str
        Empty for deposits and withdrawals that name none.
    quantity, price : Decimal or None
        Fills and their fees: signed contracts traded and price. Settlement and delivery fee: contracts
        held and settlement price, USD. Funding: contracts held at the accrual and index price, USD.
    rate_8h : Decimal or None
        Funding rate per 8 hours.
    through_ns : int or None
        Time up to which funding was accrued.
    amount : Money
        Received (positive) or paid (negative).
    fill_id : str or None
    note : str
        Free text; for fills whether they were maker or taker.
    """

    seq: int
    ts_ns: int
    kind: EntryKind
    amount: Money
    venue: str = ""
    instrument: str = ""
    quantity: Decimal | None = None
    price: Decimal | None = None
    rate_8h: Decimal | None = None
    through_ns: int | None = None
    fill_id: str | None = None
    note: str = ""

    @property
    def key(self) -> str:
        """Key of the instrument, ``venue:name``; see `Instrument.key`."""
        return f"{self.venue}:{self.instrument}"

    def to_row(self) -> "dict[str, int | str | None]":
        """Flatten to a row whose exact numbers are text."""
        return {
            "seq": self.seq,
            "ts_ns": self.ts_ns,
            "kind": self.kind.value,
            "venue": self.venue,
            "instrument": self.instrument,
            "quantity": _to_text(self.quantity),
            "price": _to_text(self.price),
            "rate_8h": _to_text(self.rate_8h),
            "through_ns": self.through_ns,
            "amount": _amount_text(self.amount),
            "currency": self.amount.currency.code,
            "fill_id": self.fill_id,
            "note": self.note,
        }

    @classmethod
    def from_row(cls, row: "dict[str, object]", *, where: str) -> "Entry":
        """Read a row made by `to_row`.

        Parameters
        ----------
        row : dict
        where : str
            Place of the row, for the error message.

        Raises
        ------
        SchemaError
            If a column is missing, unknown or of a wrong type, or the amount does not fit its currency.
        """
        if set(row) != set(_COLUMNS):
            raise SchemaError(f"{where}: expected columns {list(_COLUMNS)}, found {sorted(row)}")
        try:
            return cls(
                seq=_integer(row["seq"]),
                ts_ns=_integer(row["ts_ns"]),
                kind=EntryKind(_text(row["kind"])),
                amount=_amount(_text(row["amount"]), _text(row["currency"])),
                venue=_text(row["venue"]),
                instrument=_text(row["instrument"]),
                quantity=_decimal(row["quantity"]),
                price=_decimal(row["price"]),
                rate_8h=_decimal(row["rate_8h"]),
                through_ns=None if row["through_ns"] is None else _integer(row["through_ns"]),
                fill_id=None if row["fill_id"] is None else _text(row["fill_id"]),
                note=_text(row["note"]),
            )
        except (TypeError, ValueError, InvalidOperation, ConfigError) as exc:
            raise SchemaError(f"{where}: expected a journal entry, found {row!r}: {exc}") from exc


class Journal:
    """Entries in order; they are only ever appended.

    Parameters
    ----------
    entries : iterable of Entry
        Numbered from 0 without a gap, times never going back.

    Raises
    ------
    LedgerError
        If they are not.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = []
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """Add one entry at the end.

        Raises
        ------
        LedgerError
            If its number is not the next one, or its time lies before the last entry's.
        """
        if entry.seq != len(self._entries):
            raise LedgerError(
                f"expected journal entry {len(self._entries)}, found {entry.seq}; a row is lost"
            )
        if self._entries and entry.ts_ns < self._entries[-1].ts_ns:
            raise LedgerError(
                f"journal entry {entry.seq}: expected a time at or after {self._entries[-1].ts_ns}, "
                f"found {entry.ts_ns}; post events in the order of time"
            )
        self._entries.append(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Journal) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]  # mutable

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries so far."""
        return tuple(self._entries)

    def since(self, seq: int) -> tuple[Entry, ...]:
        """Entries from number `seq` on; copies those alone, however long the journal is."""
        return tuple(self._entries[max(seq, 0) :])

    def to_table(self) -> "pl.DataFrame":
        """Convert to a polars table: one row per entry, exact numbers as text."""
        import polars as pl

        integers = {"seq", "ts_ns", "through_ns"}
        schema = {name: pl.Int64 if name in integers else pl.String for name in _COLUMNS}
        return pl.DataFrame([entry.to_row() for entry in self._entries], schema=schema, orient="row")

    @classmethod
    def from_table(cls, table: "pl.DataFrame") -> "Journal":
        """Read a table made by `to_table`.

        Raises
        ------
        SchemaError
            If a column is missing or a row cannot be read.
        LedgerError
            If rows are lost or out of order.
        """
        rows = table.iter_rows(named=True)
        return cls(Entry.from_row(row, where=f"journal row {i}") for i, row in enumerate(rows))

    def to_json_lines(self) -> str:
        """Convert to JSON lines, one entry per line."""
        return "".join(json.dumps(entry.to_row(), ensure_ascii=False) + "\n" for entry in self._entries)

    @classmethod
    def from_json_lines(cls, text: str) -> "Journal":
        """Read JSON lines made by `to_json_lines`.

        Raises
        ------
        SchemaError
            If a line is cut off, no JSON, or no entry.
        LedgerError
            If entries are lost or out of order.
        """
        if text and not text.endswith("\n"):
            raise SchemaError(
                "journal: expected a line end after the last entry, found none; the file is cut"
            )
        return cls(_parse_line(line, number) for number, line in enumerate(text.split("\n")[:-1], start=1))


_COLUMNS: Final = (
    "seq",
    "ts_ns",
    "kind",
    "venue",
    "instrument",
    "quantity",
    "price",
    "rate_8h",
    "through_ns",
    "amount",
    "currency",
    "fill_id",
    "note",
)


def _parse_line(line: str, number: int) -> Entry:
    try:
        row = json.loads(line)
    except ValueError as exc:
        raise SchemaError(f"journal line {number}: expected JSON, found {line!r}") from exc
    if not isinstance(row, dict):
        raise SchemaError(f"journal line {number}: expected an object, found {line!r}")
    return Entry.from_row(row, where=f"journal line {number}")


def _to_text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected an integer, found {value!r}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


def _decimal(value: object) -> Decimal | None:
    if value is None:
        return None
    number = Decimal(_text(value))
    if not number.is_finite():
        raise ValueError(f"expected a finite number, found {value!r}")
    return number


def _amount_text(money: Money) -> str:
    # Not through Decimal arithmetic, which rounds to 28 digits.
    whole, part = divmod(abs(money.units), money.currency.scale)
    sign = "-" if money.units < 0 else ""
    return f"{sign}{whole}.{part:0{money.currency.decimals}d}"


def _amount(text: str, code: str) -> Money:
    found = Decimal(text)
    money = Money.from_exact(found, currency(code)) if found.is_finite() else None
    if money is None or money.to_fraction() != found:
        raise ValueError(f"expected an amount in whole smallest units of {code}, found {text}")
    return money
