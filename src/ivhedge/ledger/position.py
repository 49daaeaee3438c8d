"""A holding in one instrument."""

from dataclasses import dataclass
from decimal import Decimal

from ivhedge.core.instruments import Instrument

__all__ = ["Position"]


@dataclass(frozen=True, slots=True)
class Position:
    """`quantity` contracts of an instrument, positive = long."""

    instrument: Instrument
    quantity: Decimal
