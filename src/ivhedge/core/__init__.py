"""Instruments, units, money, time and errors: what every other room speaks in."""

from ivhedge.core.clock import Clock, ManualClock
from ivhedge.core.instruments import Instrument, InstrumentKind, Rounding, Settlement, TickLadder
from ivhedge.core.money import CURRENCIES, Currency, Money, currency
from ivhedge.core.units import (
    DAYS_PER_YEAR,
    NS_PER_DAY,
    NS_PER_HOUR,
    NS_PER_SECOND,
    NS_PER_YEAR,
    VOL_POINT,
    format_ns,
    parse_time,
    to_ns,
    year_fraction,
)

__all__ = [
    "CURRENCIES",
    "DAYS_PER_YEAR",
    "NS_PER_DAY",
    "NS_PER_HOUR",
    "NS_PER_SECOND",
    "NS_PER_YEAR",
    "VOL_POINT",
    "Clock",
    "Currency",
    "Instrument",
    "InstrumentKind",
    "ManualClock",
    "Money",
    "Rounding",
    "Settlement",
    "TickLadder",
    "currency",
    "format_ns",
    "parse_time",
    "to_ns",
    "year_fraction",
]
