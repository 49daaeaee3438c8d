"""Clocks that can wait."""

import time
from typing import Protocol

from ivhedge.core.clock import Clock, ManualClock

__all__ = ["MachineClock", "ManualPacer", "PacingClock"]


class PacingClock(Clock, Protocol):
    """A clock that can wait."""

    def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""
        ...


class MachineClock:
    """The machine's time."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""
        if seconds > 0.0:
            time.sleep(seconds)


class ManualPacer(ManualClock):
    """A clock for tests: waiting moves it, and takes no time."""

    def sleep(self, seconds: float) -> None:
        """Move forward."""
        self.advance_to(self.now_ns() + max(round(seconds * 1e9), 0))
