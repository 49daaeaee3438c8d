"""Daily, weekly or monthly: fees depend on the series an expiry belongs to.

The calendar decides: an expiry on any day but Friday is a daily one, on the last Friday of a month a
monthly one (quarterlies included), on another Friday a weekly one.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ivhedge.core.units import NS_PER_SECOND

__all__ = ["ExpiryPeriod", "expiry_period"]

_FRIDAY = 4


class ExpiryPeriod(StrEnum):
    """The series of an expiry."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


def expiry_period(expiry_ns: int) -> ExpiryPeriod:
    """Tell the series of an expiry from its date in UTC.

    Parameters
    ----------
    expiry_ns : int
        Nanoseconds since the epoch, UTC.

    Examples
    --------
    >>> from ivhedge.core import parse_time
    >>> expiry_period(parse_time("2026-01-30T08:00Z")).value
    'monthly'
    """
    day = datetime.fromtimestamp(expiry_ns // NS_PER_SECOND, tz=UTC)
    if day.weekday() != _FRIDAY:
        return ExpiryPeriod.DAILY
    next_friday = day + timedelta(days=7)
    return ExpiryPeriod.MONTHLY if next_friday.month != day.month else ExpiryPeriod.WEEKLY
