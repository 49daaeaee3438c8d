"""Funding of perpetuals: what is paid, and when it is overdue.

A rate is always stated per 8 hours, and a positive one is paid by the long side. Over 8 hours the payment
is `−rate · position value`: `q·M / index · rate` in coin for a coin-settled perpetual, `q·m·index · rate` in
USD for the others.

Two kinds of venue: *continuous* ones charge the rate pro rata of the time held (time-weighted when the
position changed in between), *discrete* ones charge a whole interval's share on what is held at the
funding time.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import Instrument
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.ledger.exact import require_decimal, require_positive

__all__ = ["FUNDING_PERIOD_NS", "FundingDue", "FundingRule", "FundingStyle", "funding_payment"]

FUNDING_PERIOD_NS: Final = 8 * NS_PER_HOUR
"""Time that every funding rate in the ledger is stated for."""


class FundingStyle(StrEnum):
    """How a venue charges funding."""

    CONTINUOUS = "continuous"
    DISCRETE = "discrete"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRule:
    """A venue's funding rule.

    Parameters
    ----------
    style : FundingStyle
    interval_ns : int
        Discrete venues charge at its multiples since midnight UTC; continuous ones do not use it.
    tolerance_ns : int
        How far the accrual of a continuous venue may lag before the books refuse to be marked.
    """

    style: FundingStyle = FundingStyle.CONTINUOUS
    interval_ns: int = FUNDING_PERIOD_NS
    tolerance_ns: int = NS_PER_HOUR

    def __post_init__(self) -> None:
        if self.interval_ns <= 0 or self.tolerance_ns < 0:
            raise ConfigError(
                f"expected a positive funding interval and a tolerance of 0 or more, "
                f"found {self.interval_ns} ns and {self.tolerance_ns} ns"
            )

    def charges(self, start_ns: int, end_ns: int) -> int:
        """Count the funding times of a discrete venue after `start_ns`, up to and including `end_ns`."""
        return end_ns // self.interval_ns - start_ns // self.interval_ns

    def is_behind(self, funded_to_ns: int, now_ns: int) -> bool:
        """Tell whether something is still to be accrued at `now_ns`."""
        if self.style is FundingStyle.DISCRETE:
            return self.charges(funded_to_ns, now_ns) > 0
        return now_ns > funded_to_ns

    def is_overdue(self, funded_to_ns: int, now_ns: int) -> bool:
        """Tell whether the accrual lags more than the rule tolerates."""
        if self.style is FundingStyle.DISCRETE:
            return self.charges(funded_to_ns, now_ns) > 0
        return now_ns - funded_to_ns > self.tolerance_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingDue:
    """A perpetual whose funding is to be accrued.

    Parameters
    ----------
    instrument : Instrument
    quantity : Decimal
        Contracts held now; 0 if it was closed since the last accrual.
    funded_to_ns, due_ns : int
        Accrued up to, and to be accrued up to; the next funding time for a discrete venue.
    overdue : bool
        Whether the books refuse to be marked until it is accrued.
    """

    instrument: Instrument
    quantity: Decimal
    funded_to_ns: int
    due_ns: int
    overdue: bool


def funding_payment(
    instrument: Instrument,
    quantity: Decimal,
    *,
    rate_8h: Decimal,
    index_price: Decimal,
    held_ns: int = FUNDING_PERIOD_NS,
) -> Fraction:
    """Funding received (positive) or paid (negative) on a position, exact.

    Parameters
    ----------
    instrument : Instrument
    quantity : Decimal
        Contracts, positive = long.
    rate_8h : Decimal
        Per 8 hours, as a decimal (0.0001 = 1 basis point).
    index_price : Decimal
        USD.
    held_ns : int
        Time that is paid for.

    Returns
    -------
    Fraction
        In the settlement currency.

    Raises
    ------
    LedgerError
        If rate or index is no finite Decimal, or the index is not positive.
    """
    rate = Fraction(require_decimal(rate_8h, f"{instrument.key} funding rate"))
    index = Fraction(require_positive(index_price, f"{instrument.key} index price"))
    size = Fraction(quantity) * Fraction(instrument.multiplier)
    value = size / index if instrument.is_inverse else size * index
    return -rate * Fraction(held_ns, FUNDING_PERIOD_NS) * value
