"""The flexible curve of each expiry against which biases are measured, and its elimination.

A cubic spline in standardised log-moneyness stands for the smile, so that a wrong smile model does not show
up as a venue's bias. It is marginalised: what is left is information on biases alone.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline

from ivhedge.core.types import FloatArray

__all__ = ["CURVE_LIMIT", "Eliminated", "curve_basis", "eliminate"]

CURVE_LIMIT = 3.5
"""Standardised log-moneyness that the curve covers."""
_DEGREE = 3
_INNER = np.array([-2.2, -1.2, -0.45, 0.45, 1.2, 2.2])
_KNOTS = np.concatenate((np.full(4, -CURVE_LIMIT), _INNER, np.full(4, CURVE_LIMIT)))
_ROUGHNESS = 0.05
"""Prior standard deviation of third differences of the coefficients, decimal vol."""
_SIZE = _KNOTS.size - _DEGREE - 1
_PENALTY = np.diff(np.eye(_SIZE), 3, axis=0).T @ np.diff(np.eye(_SIZE), 3, axis=0) / _ROUGHNESS**2
# The level and slope of the curve are free; this only keeps the equations solvable.
_RIDGE = 1e-2 * np.eye(_SIZE)


def curve_basis(z: FloatArray) -> FloatArray:
    """Values of the splines at z, shape (q, m); z must lie within `CURVE_LIMIT`."""
    if z.size == 0:
        return np.zeros((0, _SIZE))
    return np.asarray(BSpline.design_matrix(z, _KNOTS, _DEGREE).toarray())


@dataclass(frozen=True, slots=True, kw_only=True)
class Eliminated:
    """Equations of one expiry with the curve taken out.

    Parameters
    ----------
    information : FloatArray, shape (p, p)
        Of the biases.
    score : FloatArray, shape (p,)
    curve_covariance : FloatArray, shape (m, m)
        Of the curve, were the biases known.
    curve_mean : FloatArray, shape (m,)
        Of the curve, were the biases 0.
    response : FloatArray, shape (m, p)
        By how much the curve falls per unit of each bias.
    """

    information: FloatArray
    score: FloatArray
    curve_covariance: FloatArray
    curve_mean: FloatArray
    response: FloatArray


def eliminate(basis: FloatArray, design: FloatArray, value: FloatArray, weight: FloatArray) -> Eliminated:
    """Weighted least squares of ``value = basis c + design b`` with c marginalised.

    Parameters
    ----------
    basis : FloatArray, shape (q, m)
    design : FloatArray, shape (q, p)
    value, weight : FloatArray, shape (q,)
        Inverse variances.
    """
    weighted = basis * weight[:, None]
    covariance = np.asarray(np.linalg.inv(basis.T @ weighted + _PENALTY + _RIDGE), dtype=np.float64)
    cross = weighted.T @ design
    response = covariance @ cross
    mean = covariance @ (weighted.T @ value)
    information = design.T @ (design * weight[:, None]) - cross.T @ response
    score = design.T @ (weight * value) - cross.T @ mean
    return Eliminated(
        information=0.5 * (information + information.T),
        score=score,
        curve_covariance=covariance,
        curve_mean=mean,
        response=response,
    )
