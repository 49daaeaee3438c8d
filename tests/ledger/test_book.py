from collections.abc import Callable
from decimal import Decimal

import pytest

from ivhedge.core import Instrument, Money, currency
from ivhedge.core.errors import LedgerError
from ivhedge.ledger import Book, Position

Make = Callable[..., Instrument]


def test_a_book_holds_each_thing_once(option: Make) -> None:
    position, money = Position(option(), Decimal(1)), Money(1, currency("BTC"))
    assert Book("b", (position,), (money,)).cash == (money,)
    with pytest.raises(LedgerError, match=f"found \\['{position.instrument.key}'\\] again"):
        Book("b", (position, position))
    with pytest.raises(LedgerError, match="each currency once"):
        Book("b", (), (money, money))


def test_a_book_is_exact(option: Make) -> None:
    with pytest.raises(LedgerError, match="exact_decimal"):
        Book("b", (Position(option(), 1.5),))  # type: ignore[arg-type]
