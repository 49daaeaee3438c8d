"""Time and volatility units.

Times are integer nanoseconds since the Unix epoch in UTC; `tau` is in years, ACT/365 (fixed).
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ivhedge.core.errors import ConfigError

if TYPE_CHECKING:
    from ivhedge.core.types import ArrayLike, FloatArray

__all__ = [
    "DAYS_PER_YEAR",
    "NS_PER_DAY",
    "NS_PER_HOUR",
    "NS_PER_SECOND",
    "NS_PER_YEAR",
    "VOL_POINT",
    "format_ns",
    "parse_time",
    "to_ns",
    "year_fraction",
]

NS_PER_SECOND = 1_000_000_000
NS_PER_HOUR = 3_600 * NS_PER_SECOND
NS_PER_DAY = 24 * NS_PER_HOUR
DAYS_PER_YEAR = 365
NS_PER_YEAR = DAYS_PER_YEAR * NS_PER_DAY
VOL_POINT = 0.01
"""One vol point as a decimal volatility."""


def year_fraction(start_ns: "ArrayLike", end_ns: "ArrayLike") -> "FloatArray":
    """Years between two times, ACT/365, exact to the nanosecond before the division.

    Parameters
    ----------
    start_ns, end_ns : integer array_like, broadcastable
        Nanoseconds since the epoch, UTC.

    Returns
    -------
    FloatArray
        Years; negative where `end_ns` lies before `start_ns`.
    """
    # Imported here: the command line reads times and errors without loading numpy.
    import numpy as np

    span = np.asarray(end_ns, dtype=np.int64) - np.asarray(start_ns, dtype=np.int64)
    return np.asarray(span / NS_PER_YEAR, dtype=np.float64)


def to_ns(moment: datetime) -> int:
    """Nanoseconds since the epoch of an aware datetime, exact to the microsecond.

    Raises
    ------
    ConfigError
        If `moment` carries no time zone.
    """
    if moment.tzinfo is None:
        raise ConfigError(
            f"expected a time with a zone, found {moment.isoformat()!r}; append 'Z' or '+00:00' for UTC"
        )
    span = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (span.days * 86_400 + span.seconds) * NS_PER_SECOND + span.microseconds * 1_000


def parse_time(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 date or time; without a zone it is UTC.

    Raises
    ------
    ConfigError
        If the text is not an ISO 8601 date or time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(
            f"expected an ISO date or time such as 2026-01-05 or 2026-01-05T08:00Z, found {text!r}"
        ) from exc
    return to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def format_ns(ns: int) -> str:
    """Format nanoseconds since the epoch as 'YYYY-MM-DD HH:MM:SS' in UTC."""
    return datetime.fromtimestamp(ns // NS_PER_SECOND, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
