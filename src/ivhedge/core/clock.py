"""Time as an argument.

Nothing up to the hedging room reads a clock: it is handed `now_ns`. What must wait or stamp is handed a
`Clock`; the one that reads the machine's time lives with the runtime.
"""

from typing import Protocol

from ivhedge.core.errors import ConfigError

__all__ = ["Clock", "ManualClock"]


class Clock(Protocol):
    """Something that tells the time."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        ...


class ManualClock:
    """A clock that is moved by hand, for replay and tests; it never runs backwards."""

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self._now_ns

    def advance_to(self, now_ns: int) -> None:
        """Move the clock forward.

        Raises
        ------
        ConfigError
            If `now_ns` lies in the past.
        """
        if now_ns < self._now_ns:
            raise ConfigError(
                f"expected a time at or after {self._now_ns}, found {now_ns}; clocks only advance"
            )
        self._now_ns = now_ns
