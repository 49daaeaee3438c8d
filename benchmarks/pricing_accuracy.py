"""Errors of implied vols against 50-digit inverses of the same float64 prices."""

from typing import TypedDict

import numpy as np

from ivhedge.core.types import FloatArray
from pricing_data import Reference

EPSILON = 2.0**-52
WELL_CONDITIONED = 2e-15
"""Rows where half a unit in the last place of the price moves the vol by less than this."""


class Accuracy(TypedDict):
    """What one solver did on the reference rows."""

    max_error_over_bound: float
    max_error_over_bound_well_conditioned: float
    max_error_well_conditioned: float
    over_1e13: int
    over_1e8: int
    nan: int
    silent_wrong: int
    answers_without_inverse: int


def accuracy(vol: FloatArray, reference: Reference) -> Accuracy:
    """Judge the vols of a solver on the rows of the reference.

    Relative errors are divided by 2⁻⁵² plus the floor of the row. `over_1e13` and `over_1e8` count
    well-conditioned rows. Silently wrong is a number off by more than 1e-8 and a hundred times the floor;
    an answer without inverse is a positive number where the price has none.
    """
    with np.errstate(all="ignore"):
        error = np.abs(vol / reference.exact_vol - 1.0)
    good = reference.invertible & np.isfinite(error)
    well = good & (reference.floor < WELL_CONDITIONED)
    over_bound = error / (EPSILON + reference.floor)
    return Accuracy(
        max_error_over_bound=_largest(over_bound[good]),
        max_error_over_bound_well_conditioned=_largest(over_bound[well]),
        max_error_well_conditioned=_largest(error[well]),
        over_1e13=int((error[well] > 1e-13).sum()),
        over_1e8=int((error[well] > 1e-8).sum()),
        nan=int((reference.invertible & ~np.isfinite(vol)).sum()),
        silent_wrong=int((error[good] > 1e-8 + 100.0 * reference.floor[good]).sum()),
        answers_without_inverse=int((~reference.invertible & np.isfinite(vol) & (vol > 0.0)).sum()),
    )


def _largest(values: FloatArray) -> float:
    return float(f"{values.max(initial=0.0):.3g}")
