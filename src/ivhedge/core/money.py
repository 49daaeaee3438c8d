"""Currencies and exact money.

An amount of money is an integer number of the currency's smallest unit. It meets other numbers in two
places only: `Money.from_exact` rounds an exact rational once, half to even, and `Money.to_float` leaves
the exact world for analytics.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from ivhedge.core.errors import ConfigError, LedgerError

__all__ = ["CURRENCIES", "Currency", "Money", "currency"]


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency and the number of decimals of its smallest unit."""

    code: str
    decimals: int

    @property
    def scale(self) -> int:
        """Smallest units in one unit of the currency."""
        return int(10**self.decimals)


CURRENCIES: Final = {
    c.code: c
    for c in (
        Currency("BTC", 8),
        Currency("ETH", 18),
        Currency("SOL", 9),
        Currency("USD", 6),
        Currency("USDC", 6),
        Currency("USDT", 6),
    )
}


def currency(code: str) -> Currency:
    """Look up a currency by its code.

    Raises
    ------
    ConfigError
        If the code is unknown.
    """
    try:
        return CURRENCIES[code]
    except KeyError as exc:
        raise ConfigError(f"expected a currency of {sorted(CURRENCIES)}, found {code!r}") from exc


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount: `units` smallest units of `currency`."""

    units: int
    currency: Currency

    @classmethod
    def from_exact(cls, value: Fraction | Decimal | int, currency: Currency) -> "Money":
        """Round an exact value once, half to even, to the currency's smallest unit."""
        return cls(round(Fraction(value) * currency.scale), currency)

    @classmethod
    def zero(cls, currency: Currency) -> "Money":
        """Nothing, in a currency."""
        return cls(0, currency)

    def to_decimal(self) -> Decimal:
        """The exact amount as a Decimal."""
        digits = tuple(int(digit) for digit in str(abs(self.units)))
        return Decimal((int(self.units < 0), digits, -self.currency.decimals))

    def to_fraction(self) -> Fraction:
        """The exact amount as a rational number."""
        return Fraction(self.units, self.currency.scale)

    def to_float(self) -> float:
        """The amount as a float64, for analytics."""
        return self.units / self.currency.scale

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise LedgerError(
                f"expected {self.currency.code}, found {other.currency.code}; "
                "convert with an explicit rate first"
            )

    def __add__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.units + other.units, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.units - other.units, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.units, self.currency)

    def __str__(self) -> str:
        return f"{self.to_decimal():f} {self.currency.code}"
