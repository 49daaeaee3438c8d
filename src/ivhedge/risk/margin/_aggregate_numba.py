"""Compiled aggregation of unit values to books: per expiry, discounted by sign, damped."""

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, njit

__all__ = ["aggregate_kernel"]

_IN_2D = "Array(float64, 2, 'C', True)"
_IN_INTS = "Array(int64, 1, 'C', True)"


@njit(
    f"void({_IN_2D}, {_IN_2D}, {IN_FLOATS}, {_IN_INTS}, {IN_FLOATS}, {IN_FLOATS}, {IN_FLOATS}, {IN_FLOATS}, "
    f"{IN_BOOLS}, float64[:,::1])",
    fastmath={"contract"},
    nogil=True,
)
def aggregate_kernel(
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
    """Add the options' P&L of each book and scenario to `out`.

    Shapes: sizes (books, n), values (n, scenarios + 2) with the two basis moves last, unshocked (n,),
    bounds (expiries + 1,), positive, negative, basis_weight (expiries,), dampening, is_skew (scenarios,),
    out (books, scenarios + 1) with the basis contingency last.
    """
    n_scenarios = dampening.size
    total = np.empty(n_scenarios + 2)
    for b in range(sizes.shape[0]):
        book, row = sizes[b], out[b]
        for e in range(bounds.size - 1):
            size = book[bounds[e] : bounds[e + 1]]
            price = unshocked[bounds[e] : bounds[e + 1]]
            cells = values[bounds[e] : bounds[e + 1]]
            total[:] = 0.0
            base = 0.0
            for i in range(size.size):
                q = size[i]
                if q != 0.0:
                    base += q * price[i]
                    cell = cells[i]
                    for s in range(total.size):
                        total[s] += q * cell[s]
            for s in range(n_scenarios):
                v = total[s]
                change = v * (positive[e] if v >= 0.0 else negative[e]) - base
                if is_skew[s]:
                    change = -abs(change)
                row[s] += dampening[s] * change
            worst = min(total[n_scenarios], total[n_scenarios + 1]) - base
            row[n_scenarios] += basis_weight[e] * min(worst, 0.0)
