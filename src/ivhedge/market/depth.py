"""How much the displayed size of a quote says."""

from collections.abc import Sequence

import numpy as np

from ivhedge.core.types import FloatArray, IntArray

__all__ = ["depth_factor"]

_LEAST = 0.1


def depth_factor(
    bid_size: FloatArray, ask_size: FloatArray, venue: Sequence[str], expiry_ns: IntArray
) -> FloatArray:
    """Factor on the weight of a quote: ``2 r / (1 + r)``, not below 0.1 and always below 2.

    r is the smaller of the two displayed sizes over the median of that number in the same venue and expiry.
    An ordinary size has a factor of 1; ten times the size does not make ten times the quote, and a
    misprinted size of any magnitude does not even double it.

    Parameters
    ----------
    bid_size, ask_size : FloatArray, shape (n,)
        Contracts. NaN, infinite or negative counts as unknown: the factor is 1 where no side is known.
    venue : sequence of str, length n
    expiry_ns : IntArray, shape (n,)
    """
    sides = [np.where(np.isfinite(s) & (s >= 0.0), s, np.nan) for s in (bid_size, ask_size)]
    size = np.fmin(*sides)
    factor = np.ones(size.shape)
    known = np.flatnonzero(~np.isnan(size))
    if known.size == 0:
        return factor
    _, names = np.unique(np.array(venue, dtype=np.str_)[known], return_inverse=True)
    _, dates = np.unique(expiry_ns[known], return_inverse=True)
    group = names * (int(dates.max()) + 1) + dates
    for number in np.unique(group):
        mine = known[group == number]
        ordinary = float(np.median(size[mine]))
        if ordinary > 0.0:
            # r / (1 + r) without the overflow of a huge r.
            factor[mine] = np.maximum(2.0 / (1.0 + ordinary / np.maximum(size[mine], 1e-300)), _LEAST)
    return factor
