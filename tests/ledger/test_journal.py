import json
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core import CURRENCIES, Money, currency
from ivhedge.core.errors import LedgerError, SchemaError
from ivhedge.ledger import Entry, EntryKind, Journal

D = Decimal
_NUMBERS = st.none() | st.decimals(allow_nan=False, allow_infinity=False)
_TEXT = st.text('ab:,{}"\\\n\r\t é☃\u2028\u0000', max_size=12)


@st.composite
def journals(draw: st.DrawFn) -> Journal:
    times = sorted(draw(st.lists(st.integers(0, 2**62), max_size=8)))
    journal = Journal()
    for seq, ts_ns in enumerate(times):
        unit = draw(st.sampled_from(list(CURRENCIES.values())))
        journal.append(
            Entry(
                seq=seq,
                ts_ns=ts_ns,
                kind=draw(st.sampled_from(EntryKind)),
                amount=Money(draw(st.integers(-(10**40), 10**40)), unit),
                venue=draw(_TEXT),
                instrument=draw(_TEXT),
                quantity=draw(_NUMBERS),
                price=draw(_NUMBERS),
                rate_8h=draw(_NUMBERS),
                through_ns=draw(st.none() | st.integers(0, 2**62)),
                fill_id=draw(st.none() | _TEXT),
                note=draw(_TEXT),
            )
        )
    return journal


@given(journals())
def test_json_lines_round_trip(journal: Journal) -> None:
    assert Journal.from_json_lines(journal.to_json_lines()) == journal


@given(journals())
def test_table_round_trip(journal: Journal) -> None:
    assert Journal.from_table(journal.to_table()) == journal


def _deposit(seq: int, ts_ns: int = 5) -> Entry:
    return Entry(seq=seq, ts_ns=ts_ns, kind=EntryKind.DEPOSIT, amount=Money(150, currency("BTC")))


def test_a_gap_or_a_step_back_is_refused() -> None:
    with pytest.raises(LedgerError, match="expected journal entry 1, found 2"):
        Journal([_deposit(0), _deposit(2)])
    with pytest.raises(LedgerError, match="order of time"):
        Journal([_deposit(0), _deposit(1, 4)])


def test_entries_cannot_be_changed_from_outside() -> None:
    journal = Journal([_deposit(0)])
    assert isinstance(journal.entries, tuple)
    with pytest.raises(AttributeError):
        journal.entries[0].note = "x"  # type: ignore[misc]


def test_the_newest_entries_alone() -> None:
    journal = Journal([_deposit(0), _deposit(1), _deposit(2)])
    assert [entry.seq for entry in journal.since(1)] == [1, 2]
    assert journal.since(3) == ()
    assert journal.since(-1) == journal.entries


def test_the_table_is_readable() -> None:
    table = Journal([_deposit(0)]).to_table()
    assert table["amount"].to_list() == ["0.00000150"]
    assert table.schema["ts_ns"] == pl.Int64
    assert Journal().to_table().columns == table.columns


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount": "0.000000001"}, "whole smallest units of BTC"),
        ({"amount": "nan"}, "whole smallest units"),
        ({"amount": 1.5}, "expected text"),
        ({"currency": "DOGE"}, "DOGE"),
        ({"kind": "gift"}, "gift"),
        ({"seq": "0"}, "expected an integer"),
        ({"price": "inf"}, "finite"),
        ({"price": "ten"}, "journal line 1"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_row_is_named(change: dict[str, object], message: str) -> None:
    row = {**_deposit(0).to_row(), **change}
    with pytest.raises(SchemaError, match=message):
        Journal.from_json_lines(json.dumps(row) + "\n")


@pytest.mark.parametrize("text", ["{\n", "[]\n", '{"seq": 0}\n'])
def test_bad_lines_are_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="journal line 1"):
        Journal.from_json_lines(text)


def test_a_cut_file_is_refused() -> None:
    text = Journal([_deposit(0), _deposit(1)]).to_json_lines()
    with pytest.raises(SchemaError, match="the file is cut"):
        Journal.from_json_lines(text[:-1])
    with pytest.raises(SchemaError, match="the file is cut"):
        Journal.from_json_lines(text[:-40])
    with pytest.raises(SchemaError, match="expected columns"):
        Journal.from_table(Journal([_deposit(0)]).to_table().drop("amount"))
