"""One execution, checked against the contract it belongs to."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from ivhedge.core.errors import LedgerError
from ivhedge.core.instruments import Instrument
from ivhedge.core.money import Money
from ivhedge.core.units import format_ns
from ivhedge.ledger.exact import require_decimal, require_positive
from ivhedge.ledger.valuation import lots_of

__all__ = ["Fill", "Liquidity"]


class Liquidity(StrEnum):
    """Whether the fill rested in the book (maker) or took from it (taker)."""

    MAKER = "maker"
    TAKER = "taker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution.

    Parameters
    ----------
    ts_ns : int
        Nanoseconds since the epoch, UTC; before the instrument's expiry.
    instrument : Instrument
    quantity : Decimal
        Contracts, positive = bought; a non-zero multiple of the lot.
    price : Decimal
        On the tick ladder; coin for coin-settled options, USD otherwise.
    liquidity : Liquidity
    fee : Money
        In the settlement currency; positive = paid, negative = rebate.
    fill_id : str or None
        The venue's id of the execution; the ledger takes each id of a venue once. None = not known.

    Raises
    ------
    LedgerError
        If any of the above does not hold.
    """

    ts_ns: int
    instrument: Instrument
    quantity: Decimal
    price: Decimal
    liquidity: Liquidity
    fee: Money
    fill_id: str | None = None

    def __post_init__(self) -> None:
        name = self.instrument.key
        require_decimal(self.quantity, f"{name} quantity")
        require_positive(self.price, f"{name} price")
        if self.quantity == 0:
            raise LedgerError(f"{name}: expected a fill of some size, found 0; drop it")
        if lots_of(self.instrument, self.quantity) is None:
            raise LedgerError(
                f"{name}: expected a multiple of the lot {self.instrument.lot}, found {self.quantity}; "
                "round with Instrument.round_size before sending"
            )
        tick = self.instrument.ticks.tick_at(self.price)
        if Fraction(self.price) % Fraction(tick) != 0:
            raise LedgerError(
                f"{name}: expected a price on the tick {tick}, found {self.price}; "
                "round with Instrument.ticks.round before sending"
            )
        if self.fee.currency != self.instrument.settle_currency:
            raise LedgerError(
                f"{name}: expected a fee in {self.instrument.settle_currency.code}, "
                f"found {self.fee.currency.code}; convert it with an explicit rate first"
            )
        expiry_ns = self.instrument.expiry_ns
        if expiry_ns is not None and self.ts_ns >= expiry_ns:
            raise LedgerError(
                f"{name}: expected a fill before the expiry {format_ns(expiry_ns)}, "
                f"found {format_ns(self.ts_ns)}; settle the position instead"
            )

    @property
    def lots(self) -> int:
        """Signed size in whole lots."""
        lots = lots_of(self.instrument, self.quantity)
        if lots is None:
            raise LedgerError(f"{self.instrument.key}: quantity {self.quantity} is off the lot grid")
        return lots
