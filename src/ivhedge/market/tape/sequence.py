"""What a venue's message numbers say: how many are missing, came twice, or came late."""

from dataclasses import dataclass, replace

import numpy as np

from ivhedge.core.types import IntArray

__all__ = ["SequenceCounts", "SequenceWatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCounts:
    """Counts of one venue.

    Parameters
    ----------
    numbered : int
        Messages that carry a number.
    missing : int
        Numbers skipped and not seen since.
    repeated : int
        Numbers seen before.
    filled : int
        Numbers that came after a later one.
    restarts : int
        Times that the venue began to count anew.
    """

    numbered: int = 0
    missing: int = 0
    repeated: int = 0
    filled: int = 0
    restarts: int = 0


class SequenceWatch:
    """Follow the message numbers of one venue, batch by batch.

    Parameters
    ----------
    window : int
        A number so far behind the newest is no late message: the venue counts anew.

    Notes
    -----
    The counts do not depend on how messages are cut into batches. Gaps are kept as intervals, so that a jump
    of any size costs the same; those further back than the window can no longer be filled.
    """

    def __init__(self, window: int = 10_000) -> None:
        self._window = window
        self._newest: int | None = None
        self._holes: list[tuple[int, int]] = []
        self.counts = SequenceCounts()

    def take(self, numbers: IntArray) -> None:
        """Count the numbers of a batch, shape (n,); negative ones are messages without a number."""
        numbers = numbers[numbers >= 0]
        if numbers.size == 0:
            return
        self.counts = replace(self.counts, numbered=self.counts.numbered + int(numbers.size))
        # Numbers that run on by one are taken as one interval.
        starts = np.concatenate(([0], np.flatnonzero(np.diff(numbers) != 1) + 1))
        ends = np.concatenate((starts[1:], [numbers.size])) - 1
        for first, last in zip(numbers[starts].tolist(), numbers[ends].tolist(), strict=True):
            self._run(first, last)

    def _run(self, first: int, last: int) -> None:
        c, newest = self.counts, self._newest
        if newest is None or first <= newest - self._window:
            restarts = c.restarts + (newest is not None)
            self.counts = replace(c, restarts=restarts)
            self._newest, self._holes = last, []
            return
        filled = self._fill(first, last)
        repeated = max(min(last, newest) - first + 1, 0) - filled
        skipped = max(first - newest - 1, 0)
        if skipped:
            self._holes.append((newest + 1, first))
        self._newest = max(newest, last)
        self._holes = [hole for hole in self._holes if hole[1] > self._newest - self._window]
        self.counts = replace(
            c,
            missing=c.missing + skipped - filled,
            repeated=c.repeated + repeated,
            filled=c.filled + filled,
        )

    def _fill(self, first: int, last: int) -> int:
        """Take the numbers of an interval out of the holes; how many there were."""
        filled, holes = 0, []
        for low, high in self._holes:
            a, b = max(low, first), min(high, last + 1)
            if a >= b:
                holes.append((low, high))
                continue
            filled += b - a
            holes += [part for part in ((low, a), (b, high)) if part[0] < part[1]]
        self._holes = holes
        return filled
