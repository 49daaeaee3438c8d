"""What a number of contracts is worth at a price, in the settlement currency.

The value of one contract is `m · price` for options and for futures settled in USD, and `−m / price` for
coin-settled futures (m in USD). With that sign every future's profit is `value at exit − value at entry`,
so long positions in either kind are treated by the same code.
"""

from decimal import Decimal
from fractions import Fraction

from ivhedge.core.instruments import Instrument
from ivhedge.ledger.exact import to_grains

__all__ = ["contract_value", "lots_of", "quantity_of", "value_grains"]


def contract_value(instrument: Instrument, price: Decimal) -> Fraction:
    """Value of one contract at a price, exact.

    Parameters
    ----------
    instrument : Instrument
    price : Decimal
        Coin or USD for an option, USD for a future; above 0 for a coin-settled future.

    Returns
    -------
    Fraction
        In the settlement currency; negative by convention for a coin-settled future.
    """
    if instrument.is_inverse and not instrument.is_option:
        return -Fraction(instrument.multiplier) / Fraction(price)
    return Fraction(instrument.multiplier) * Fraction(price)


def lots_of(instrument: Instrument, quantity: Decimal) -> int | None:
    """Whole lots in a signed number of contracts, or None off the lot grid."""
    lots = Fraction(quantity) / Fraction(instrument.lot)
    return lots.numerator if lots.denominator == 1 else None


def quantity_of(instrument: Instrument, lots: int) -> Decimal:
    """Signed number of contracts in whole lots."""
    return instrument.lot * lots


def value_grains(instrument: Instrument, lots: int, price: Decimal) -> int:
    """Value of signed lots at a price, rounded once to grains of the settlement currency."""
    exact = contract_value(instrument, price) * (lots * Fraction(instrument.lot))
    return to_grains(exact, instrument.settle_currency)
