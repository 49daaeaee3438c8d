"""The numpy twin of the compiled aggregation."""

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray

__all__ = ["aggregate_numpy"]


def aggregate_numpy(
    sizes: FloatArray,
    values: FloatArray,
    unshocked: FloatArray,
    bounds: IntArray,
    positive: FloatArray,
    negative: FloatArray,
    basis_weight: FloatArray,
    dampening: FloatArray,
    is_skew: BoolArray,
    out: FloatArray,
) -> None:
    """Add the options' P&L to `out`; arguments as for `aggregate_kernel`."""
    n_scenarios = dampening.size
    for e in range(bounds.size - 1):
        rows = slice(int(bounds[e]), int(bounds[e + 1]))
        base = sizes[:, rows] @ unshocked[rows]
        shocked = sizes[:, rows] @ values[rows]
        cells = shocked[:, :n_scenarios]
        change = cells * np.where(cells >= 0.0, positive[e], negative[e]) - base[:, None]
        out[:, :n_scenarios] += dampening * np.where(is_skew, -np.abs(change), change)
        worst = np.minimum(shocked[:, n_scenarios:].min(axis=1) - base, 0.0)
        out[:, n_scenarios] += basis_weight[e] * worst
