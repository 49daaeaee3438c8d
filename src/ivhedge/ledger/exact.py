"""Exact arithmetic: the one door for floats, half-even division, and grains.

A grain is 10⁻¹² of a currency's smallest unit. The books keep what a posting cannot carry (the cost basis
of a future, the rounding residue of a payoff) as an integer number of grains, so that conservation is an
identity between integers. Rationals would be exact too, but the reciprocals of ten thousand different
prices have a common denominator of some hundred thousand bits, and every fill would pay for it.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Final

from ivhedge.core.errors import LedgerError
from ivhedge.core.money import Currency, Money

__all__ = [
    "GRAINS_PER_UNIT",
    "divide_half_even",
    "exact_decimal",
    "from_grains",
    "require_decimal",
    "require_positive",
    "to_grains",
]

GRAINS_PER_UNIT: Final = 10**12
"""Grains in one smallest unit of any currency."""


def exact_decimal(value: Decimal | int | str | float) -> Decimal:
    """Turn a number from the float world into the Decimal that prints the same.

    This is the only place where a float may enter the ledger; everything else refuses it.

    Parameters
    ----------
    value : Decimal, int, str or float
        A float (also numpy's) becomes the shortest decimal text that reads back as the same float.

    Raises
    ------
    LedgerError
        If the value is not a finite number.

    Examples
    --------
    >>> exact_decimal(0.0032)
    Decimal('0.0032')
    """
    try:
        if isinstance(value, bool):
            raise ValueError("a truth value is not a number")
        number = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    except (ArithmeticError, ValueError, TypeError) as exc:
        raise LedgerError(f"expected a number, found {value!r}") from exc
    return require_decimal(number, "number")


def require_decimal(value: object, what: str) -> Decimal:
    """Accept a finite Decimal and nothing else.

    Parameters
    ----------
    value : object
    what : str
        Name of the value, for the error message.

    Raises
    ------
    LedgerError
        If the value is not a Decimal, or not finite.
    """
    if not isinstance(value, Decimal):
        raise LedgerError(
            f"expected {what} as a Decimal, found {type(value).__name__} {value!r}; "
            "convert it once with ivhedge.ledger.exact_decimal"
        )
    if not value.is_finite():
        raise LedgerError(f"expected a finite {what}, found {value}; drop the row or mark it as missing")
    return value


def require_positive(value: object, what: str) -> Decimal:
    """Accept a finite Decimal above zero and nothing else.

    Raises
    ------
    LedgerError
        If the value is not a Decimal, not finite, or not above zero.
    """
    number = require_decimal(value, what)
    if number <= 0:
        raise LedgerError(f"expected a positive {what}, found {number}; a missing price is None, never 0")
    return number


def divide_half_even(numerator: int, denominator: int) -> int:
    """Divide integers and round once, half to even; the denominator is positive."""
    quotient, remainder = divmod(numerator, denominator)
    if 2 * remainder > denominator or (2 * remainder == denominator and quotient & 1):
        return quotient + 1
    return quotient


def to_grains(value: Fraction, currency: Currency) -> int:
    """Round an exact amount of a currency to whole grains, half to even."""
    return divide_half_even(value.numerator * currency.scale * GRAINS_PER_UNIT, value.denominator)


def from_grains(grains: int, currency: Currency) -> Money:
    """Round grains to whole smallest units, half to even."""
    return Money(divide_half_even(grains, GRAINS_PER_UNIT), currency)
