"""Levenberg–Marquardt in a box, with an optional Huber loss. Plain numpy: problems have 3 to 8 unknowns.

Variables on a bound whose gradient points outwards are held for the step; the rest of the step is clipped to
the box. The first step size is Marquardt's (1963): damping times the diagonal of the normal matrix.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray

__all__ = ["Minimum", "minimise_in_box"]

Residuals = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Residuals, shape (q,), and their Jacobian, shape (q, p), at a point of shape (p,)."""

_TRIES = 14
_ANGLE = 1e-6  # cosine between residual and Jacobian column below which a gradient counts as zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """Where the search ended."""

    x: FloatArray
    cost: float
    iterations: int
    converged: bool


def huber_cost(residual: FloatArray, huber: FloatArray | float | None) -> float:
    """Half the sum of squares, linear beyond `huber`."""
    if huber is None:
        return 0.5 * float(residual @ residual)
    size = np.abs(residual)
    capped = np.minimum(size, huber)
    return float(np.sum(capped * (size - 0.5 * capped)))


def minimise_in_box(
    residuals: Residuals,
    start: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    *,
    huber: FloatArray | float | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-12,
) -> Minimum:
    """Minimise a sum of squared residuals over a box; beyond `huber`, if given, they count linearly.

    `huber` may be one number per residual, infinite where squares count throughout.
    """
    x = np.clip(start, lower, upper)
    residual, jacobian = residuals(x)
    cost = huber_cost(residual, huber)
    damping = 1e-3
    for iteration in range(1, max_iterations + 1):
        normal, gradient, free = _normal_equations(residual, jacobian, x, lower, upper, huber)
        if not free.any() or _is_stationary(normal, gradient, free, cost):
            return Minimum(x=x, cost=cost, iterations=iteration - 1, converged=True)
        for _ in range(_TRIES):
            trial = np.clip(x + _step(normal, gradient, free, damping), lower, upper)
            trial_residual, trial_jacobian = residuals(trial)
            trial_cost = huber_cost(trial_residual, huber)
            if trial_cost < cost:
                break
            damping *= 6.0
        else:
            # Nothing smaller nearby although the gradient is not zero: rounding of the residuals.
            return Minimum(x=x, cost=cost, iterations=iteration, converged=damping > 1e4)
        small = cost - trial_cost <= tolerance * cost
        x, residual, jacobian, cost = trial, trial_residual, trial_jacobian, trial_cost
        damping = max(damping / 5.0, 1e-12)
        if small:
            return Minimum(x=x, cost=cost, iterations=iteration, converged=True)
    return Minimum(x=x, cost=cost, iterations=max_iterations, converged=False)


def _normal_equations(
    residual: FloatArray,
    jacobian: FloatArray,
    x: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    huber: FloatArray | float | None,
) -> tuple[FloatArray, FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    weight = np.ones_like(residual)
    if huber is not None:
        weight = np.minimum(1.0, huber / np.maximum(np.abs(residual), 1e-300))
    weighted = jacobian * weight[:, None]
    gradient = weighted.T @ residual
    held = ((x <= lower) & (gradient > 0.0)) | ((x >= upper) & (gradient < 0.0))
    normal = weighted.T @ jacobian
    return normal, gradient, ~held & (np.diag(normal) > 0.0)


def _is_stationary(
    normal: FloatArray,
    gradient: FloatArray,
    free: np.ndarray[tuple[int], np.dtype[np.bool_]],
    cost: float,
) -> bool:
    if cost <= 1e-24:
        return True
    length = np.sqrt(np.diag(normal)[free] * 2.0 * cost)
    return bool(np.max(np.abs(gradient[free]) / length) < _ANGLE * 1e-3)


def _step(
    normal: FloatArray,
    gradient: FloatArray,
    free: np.ndarray[tuple[int], np.dtype[np.bool_]],
    damping: float,
) -> FloatArray:
    inner = normal[np.ix_(free, free)]
    scale = np.sqrt(np.diag(inner))
    # Unit diagonal: parameters of very different size do not spoil the solution.
    unit = inner / np.outer(scale, scale)
    step = np.zeros_like(gradient)
    step[free] = -np.linalg.solve(unit + damping * np.eye(scale.size), gradient[free] / scale) / scale
    return step
