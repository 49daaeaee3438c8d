"""Buckets of tenor and delta."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray, IntArray

__all__ = ["RatioBuckets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioBuckets:
    """A grid of days to expiry and call delta; the options outside it belong to none.

    Parameters
    ----------
    days : tuple of float, length m + 1
        Edges, ascending, positive; the lower one belongs to the bucket.
    call_deltas : tuple of float, length q + 1
        Edges of N(d1), ascending in [0, 1]; a put of delta −0.2 lies at 0.8.
    """

    days: tuple[float, ...] = (3.0, 7.0, 14.0, 30.0, 60.0, 120.0)
    call_deltas: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)

    def __post_init__(self) -> None:
        for name, top in (("days", np.inf), ("call_deltas", 1.0)):
            edges = np.asarray(getattr(self, name), dtype=np.float64)
            good = edges.ndim == 1 and edges.size > 1 and np.isfinite(edges).all() and edges[0] >= 0.0
            if not good or (np.diff(edges) <= 0.0).any() or edges[-1] > top:
                raise ConfigError(f"expected ascending edges of {name} in [0, {top}], found {edges.tolist()}")

    @property
    def shape(self) -> tuple[int, int]:
        """Tenors and deltas."""
        return len(self.days) - 1, len(self.call_deltas) - 1

    @property
    def count(self) -> int:
        """Buckets."""
        return self.shape[0] * self.shape[1]

    @property
    def names(self) -> tuple[str, ...]:
        """``7-14d 0.25-0.5``, tenors outside, deltas inside."""
        d, q = self.days, self.call_deltas
        return tuple(
            f"{d[i]:g}-{d[i + 1]:g}d {q[j]:g}-{q[j + 1]:g}"
            for i in range(self.shape[0])
            for j in range(self.shape[1])
        )

    def locate(self, days: FloatArray, call_delta: FloatArray) -> IntArray:
        """Bucket of each option, −1 outside the grid."""
        rows, columns = self.shape
        i = np.searchsorted(np.asarray(self.days), days, side="right") - 1
        j = np.searchsorted(np.asarray(self.call_deltas), call_delta, side="right") - 1
        inside = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
        return np.asarray(np.where(inside, i * columns + j, -1), dtype=np.int64)
