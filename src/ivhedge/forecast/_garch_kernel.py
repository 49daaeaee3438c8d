"""The variance recursions of the GARCH family and their likelihood, compiled where numba is present."""

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import njit

__all__ = ["filter_variance"]

_LOG_MIN, _LOG_MAX = -30.0, 30.0


@njit()
def _filter_kernel(
    residual: FloatArray, omega: float, alpha: float, gamma: float, beta: float, mean_abs: float,
    first: float, egarch: bool, dof: float, out: FloatArray,
) -> float:  # fmt: skip
    variance = first
    total = 0.0
    for t in range(residual.shape[0]):
        out[t] = variance
        e = residual[t]
        total += np.log(variance) + (dof + 1.0) * np.log(1.0 + e * e / (variance * (dof - 2.0)))
        if egarch:
            z = e / np.sqrt(variance)
            level = omega + alpha * (abs(z) - mean_abs) + gamma * z + beta * np.log(variance)
            variance = np.exp(min(max(level, _LOG_MIN), _LOG_MAX))
        else:
            push = alpha + gamma if e < 0.0 else alpha
            variance = omega + push * e * e + beta * variance
    out[residual.shape[0]] = variance
    return total


def filter_variance(
    residual: FloatArray,
    parameters: FloatArray,
    *,
    first: float,
    egarch: bool,
    mean_abs: float,
) -> tuple[FloatArray, float]:
    """Conditional variances of each day and of the one after the last.

    Parameters
    ----------
    residual : FloatArray, shape (days,)
        Returns less their mean.
    parameters : FloatArray, shape (5,)
        omega, alpha, gamma, beta, degrees of freedom.
    first : float
        Variance of the first day.
    egarch : bool
    mean_abs : float
        E|z| of the innovations; only EGARCH uses it.

    Returns
    -------
    variance : FloatArray, shape (days + 1,)
    deviance : float
        Sum of ln h + (dof + 1) ln(1 + e²/(h (dof − 2))): minus twice the log likelihood, up to a constant
        in the dof.
    """
    out = np.empty(residual.size + 1)
    omega, alpha, gamma, beta, dof = (float(p) for p in parameters)
    total = _filter_kernel(
        np.ascontiguousarray(residual), omega, alpha, gamma, beta, mean_abs, first, egarch, dof, out
    )
    return out, float(total)
