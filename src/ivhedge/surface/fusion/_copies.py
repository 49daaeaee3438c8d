"""Venues that copy another's marks: their errors move together, so they are one opinion.

Errors of two venues at the same contract are compared. Where the lower bound of their correlation passes the
threshold, every quote of the pair that has a twin counts for ``1 / (1 + sum of correlations)`` of a quote.
"""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray

__all__ = ["copy_discount", "error_correlations", "significant"]

_LEAST_PAIRS = 8
_SIGMAS = 3.0


def error_correlations(
    error: FloatArray, good: FloatArray, venue: IntArray, instrument: IntArray, n_venues: int
) -> tuple[FloatArray, FloatArray]:
    """Sums that correlations are made of: cross products and pair counts, both of shape (v, v).

    Parameters
    ----------
    error : FloatArray, shape (q,)
        Standardised by the venue's own scale, limited to ±4.
    good : FloatArray, shape (q,)
        Weight of each quote, 0 to 1.
    venue, instrument : IntArray, shape (q,)
    n_venues : int
    """
    contracts, row = np.unique(instrument, return_inverse=True)
    table, weight = np.zeros((n_venues, contracts.size)), np.zeros((n_venues, contracts.size))
    # Of several quotes of one venue at one contract the last stands.
    table[venue, row], weight[venue, row] = np.clip(error, -4.0, 4.0), good
    scaled = table * weight
    return scaled @ scaled.T, weight @ weight.T


def significant(cross: FloatArray, count: FloatArray, threshold: float) -> FloatArray:
    """Correlations whose lower bound passes the threshold, others 0; shape (v, v), 0 on the diagonal."""
    own = np.sqrt(np.maximum(np.diag(cross), 1e-300) / np.maximum(np.diag(count), 1e-300))
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.clip(cross / np.maximum(count, 1e-300) / np.outer(own, own), -0.999, 0.999)
    lower = np.tanh(np.arctanh(rho) - _SIGMAS / np.sqrt(np.maximum(count - 3.0, 1.0)))
    found = np.where((count >= _LEAST_PAIRS) & (lower > threshold), rho, 0.0)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def copy_discount(correlation: FloatArray, venue: IntArray, instrument: IntArray) -> FloatArray:
    """Factor on the information of each quote, shape (q,)."""
    if not correlation.any():
        return np.ones(venue.size)
    contracts, row = np.unique(instrument, return_inverse=True)
    present = np.zeros((correlation.shape[0], contracts.size))
    present[venue, row] = 1.0
    return np.asarray(1.0 / (1.0 + (correlation @ present)[venue, row]))
