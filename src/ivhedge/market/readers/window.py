"""The time window that a reader is asked for."""

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from ivhedge.core.errors import ConfigError
from ivhedge.core.units import NS_PER_DAY, format_ns, parse_time

__all__ = ["Window", "parse_window", "range_text"]

_BARE_DATE: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Half-open interval ``start_ns <= ts < end_ns``; None leaves a side open."""

    start_ns: int | None = None
    end_ns: int | None = None

    def holds(self, column: str, unit: str) -> pl.Expr:
        """Condition on a time column stored in `unit` ("us" or "ns"), fit for predicate pushdown.

        Both bounds are rounded up to the unit: a stamp of whole microseconds satisfies ``ts >= start``
        exactly when it satisfies it against the rounded bound.
        """
        condition = pl.lit(True)
        per_unit = 1_000 if unit == "us" else 1
        for bound, is_start in ((self.start_ns, True), (self.end_ns, False)):
            if bound is None:
                continue
            value = pl.lit(-(-bound // per_unit)).cast(pl.Datetime("us" if unit == "us" else "ns", "UTC"))
            condition = condition & (pl.col(column) >= value if is_start else pl.col(column) < value)
        return condition

    @property
    def text(self) -> str:
        """The window in words."""
        start = "the beginning" if self.start_ns is None else format_ns(self.start_ns)
        end = "the end" if self.end_ns is None else format_ns(self.end_ns)
        return f"{start} to {end} UTC"


def parse_window(start: str | int | None, end: str | int | None) -> Window:
    """Read the bounds that a user gave.

    Parameters
    ----------
    start, end : str, int or None
        ISO 8601 text or nanoseconds since the epoch. `end` is exclusive, but a bare date such as
        ``"2026-02-28"`` means through the end of that day.

    Raises
    ------
    ConfigError
        If a text is no time, or the window is empty.
    """
    start_ns = parse_time(start) if isinstance(start, str) else start
    end_ns = parse_time(end) if isinstance(end, str) else end
    if isinstance(end, str) and end_ns is not None and _BARE_DATE.fullmatch(end):
        end_ns += NS_PER_DAY
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ConfigError(
            f"expected a start before the end, found start {start!r} and end {end!r}; swap or widen them"
        )
    return Window(start_ns=start_ns, end_ns=end_ns)


def range_text(first_ns: int | None, last_ns: int | None) -> str:
    """Available range in words, for error messages."""
    if first_ns is None or last_ns is None:
        return "no snapshot at all"
    return f"snapshots from {format_ns(first_ns)} to {format_ns(last_ns)} UTC"
