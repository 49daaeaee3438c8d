"""What each venue sent and how it ended."""

from collections.abc import Mapping

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.engine.streaming.frames import KEPT, VenueState
from ivhedge.market.tape import SequenceWatch
from ivhedge.surface.fusion import VenueHealth
from ivhedge.surface.stream import REASONS, QuoteColumns

__all__ = ["OUTCOMES", "VenueCounts"]

OUTCOMES = (*REASONS, KEPT)
UNKNOWN = "(unknown)"


class VenueCounts:
    """Counts by venue; those of venues not listed under ``(unknown)``, shown once there are any.

    Parameters
    ----------
    venues : tuple of str
    """

    def __init__(self, venues: tuple[str, ...]) -> None:
        self._names = (*venues, UNKNOWN)
        n = len(self._names)
        self._counts = np.zeros((n, len(OUTCOMES)), dtype=np.int64)
        self._watches = [SequenceWatch() for _ in range(n)]
        self._since = np.zeros(n, dtype=np.int64)
        self._newest = np.zeros(n, dtype=np.int64)
        self._lags: list[list[FloatArray]] = [[] for _ in range(n)]

    def take(self, quotes: QuoteColumns, outcome: IntArray, seq: IntArray | None) -> None:
        """Count messages and their outcomes."""
        last = len(self._names) - 1
        venue = np.where((quotes.venue >= 0) & (quotes.venue < last), quotes.venue, last)
        shape = self._counts.shape
        joined = np.bincount(venue * shape[1] + outcome, minlength=shape[0] * shape[1])
        self._counts += joined.reshape(shape)
        for v in np.flatnonzero(np.bincount(venue, minlength=shape[0])).tolist():
            rows = np.flatnonzero(venue == v)
            self._since[v] += rows.size
            self._newest[v] = quotes.ts_recv[rows[-1]]
            self._lags[v].append((quotes.ts_recv[rows] - quotes.ts_event[rows]) / 1e9)
            if seq is not None:
                self._watches[v].take(seq[rows])

    def publish(
        self, span_s: float, health: Mapping[str, VenueHealth] | None = None
    ) -> tuple[VenueState, ...]:
        """State of each venue; what is counted since the publication before begins anew.

        Parameters
        ----------
        span_s : float
            Time since the publication before.
        health : mapping of venue to VenueHealth, optional
        """
        found = []
        for v, name in enumerate(self._names):
            total = int(self._counts[v].sum())
            if name != UNKNOWN or total:
                lags = self._lags[v]
                found.append(
                    VenueState(
                        name=name,
                        messages=total,
                        outcomes={
                            reason: int(count)
                            for reason, count in zip(OUTCOMES, self._counts[v], strict=True)
                            if count
                        },
                        rate=float(self._since[v] / span_s),
                        lag_s=float(np.median(np.concatenate(lags))) if lags else None,
                        newest_ns=int(self._newest[v]),
                        sequence=self._watches[v].counts,
                        health=(health or {}).get(name),
                    )
                )
            self._lags[v] = []
        self._since[:] = 0
        return tuple(found)
