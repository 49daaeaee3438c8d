"""A book: what risk and hedging look at."""

from dataclasses import dataclass

from ivhedge.core.errors import LedgerError
from ivhedge.core.money import Money
from ivhedge.ledger.exact import require_decimal
from ivhedge.ledger.position import Position

__all__ = ["Book"]


@dataclass(frozen=True, slots=True)
class Book:
    """Positions and cash at one moment.

    Parameters
    ----------
    name : str
    positions : tuple of Position
        One per instrument.
    cash : tuple of Money
        One per currency.

    Raises
    ------
    LedgerError
        If an instrument or a currency comes twice, or a quantity is no finite Decimal.
    """

    name: str
    positions: tuple[Position, ...] = ()
    cash: tuple[Money, ...] = ()

    def __post_init__(self) -> None:
        keys = [position.instrument.key for position in self.positions]
        codes = [money.currency.code for money in self.cash]
        for what, names in (("instrument", keys), ("currency", codes)):
            twice = (
                sorted({name for name in names if names.count(name) > 1})
                if len(set(names)) < len(names)
                else []
            )
            if twice:
                raise LedgerError(
                    f"book {self.name!r}: expected each {what} once, found {twice} again; add the rows up"
                )
        for position in self.positions:
            require_decimal(position.quantity, f"{position.instrument.key} quantity")
