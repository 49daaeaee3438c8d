"""Whether a matrix can be a covariance: symmetric, and no combination of factors with a negative variance.

The programme is convex only then; with a negative eigenvalue the "best" trade is as large as the caps allow.
Singular is fine. Units differ from factor to factor, so eigenvalues are those of the correlation, and they
may lie below 0 by `TOLERANCE` times the number of factors: what rounding leaves of a singular one.
"""

from typing import Final

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import njit

__all__ = ["TOLERANCE", "check_covariance", "is_semidefinite"]

TOLERANCE: Final = 1e-8


def check_covariance(covariance: FloatArray) -> str | None:
    """Say what keeps a square, finite matrix from being a covariance; None where nothing does.

    Parameters
    ----------
    covariance : FloatArray, shape (k, k)
    """
    size = np.diagonal(covariance)
    if size.size == 0:
        return None
    if (size < 0.0).any():
        return f"found a variance of {size.min():.3g} for factor {int(size.argmin())}"
    sd = np.sqrt(size)
    still = sd == 0.0
    if covariance[still].any() or covariance[:, still].any():
        return f"found factors without variance that covary with others: {np.flatnonzero(still).tolist()}"
    unit = np.where(still, 1.0, sd)
    correlation = covariance / unit[:, None] / unit
    uneven = np.abs(correlation - correlation.T)
    if uneven.max() > TOLERANCE:
        i, j = np.unravel_index(int(uneven.argmax()), uneven.shape)
        return f"found it not symmetric at factors {int(i)} and {int(j)}"
    least = float(np.linalg.eigvalsh(correlation)[0])
    if least < -TOLERANCE * size.size:
        return f"found {least:.3g} as the least eigenvalue of its correlation"
    return None


@njit()
def is_semidefinite(covariance: FloatArray) -> bool:
    """The same in a kernel, by LDLᵀ of the correlation with the tolerance on its diagonal."""
    k = covariance.shape[0]
    sd, rest, rows = np.empty(k), np.empty((k, k)), np.empty(k, np.int64)
    for i in range(k):
        if not covariance[i, i] >= 0.0:
            return False
        sd[i] = covariance[i, i] ** 0.5
    for i in range(k):
        for j in range(i):
            one, other = covariance[i, j], covariance[j, i]
            both = sd[i] > 0.0 and sd[j] > 0.0
            if not both and (one != 0.0 or other != 0.0):
                return False
            rest[i, j] = one / sd[i] / sd[j] if both else 0.0
            if both and not abs(rest[i, j] - other / sd[i] / sd[j]) <= TOLERANCE:
                return False
        rest[i, i] = 1.0 + TOLERANCE * k
    for j in range(k):
        pivot = rest[j, j]
        if not pivot > 0.0:
            return False
        # Own risk of options fills most of the matrix with zeros.
        found = 0
        for i in range(j + 1, k):
            if rest[i, j] != 0.0:
                rows[found] = i
                found += 1
        for a in range(found):
            i = rows[a]
            share = rest[i, j] / pivot
            for b in range(a + 1):
                rest[i, rows[b]] -= share * rest[rows[b], j]
    return True
