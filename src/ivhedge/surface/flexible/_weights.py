"""Compiled work on kernel weights: the backbone's law in kernels, and weights that are a law."""

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing._elementary import exp_negative
from ivhedge.pricing.jit import INNER, njit
from ivhedge.surface.flexible._rows import dot_product

__all__ = ["deconvolve", "make_laws"]

LANES = 16
LAW_ROUNDS = 3
TINY = 1e-300


@njit(**INNER)
def _add(out: FloatArray, value: float, row: FloatArray) -> None:
    for c in range(out.size):
        out[c] += value * row[c]


@njit()
def deconvolve(
    grid: FloatArray, density: FloatArray, centre: FloatArray, scale: FloatArray, rounds: int,
    weights: FloatArray,
) -> None:  # fmt: skip
    """Weights of normal kernels whose sum is near a density on a grid, by Richardson-Lucy steps.

    `density` has shape (n, points) and adds to 1 per expiry; the others have shape (n, m).
    """
    n, m = weights.shape
    # Padded with kernels of nothing, so that loops are whole vectors.
    room = -(-m // LANES) * LANES
    kernels, ratio, sums, own = np.zeros((grid.size, room)), np.empty(room), np.ones(room), np.empty(room)
    for e in range(n):
        own[:], sums[:m] = 0.0, 0.0
        for p in range(grid.size):
            row = kernels[p]
            for c in range(m):
                distance = (grid[p] - centre[e, c]) / scale[e, c]
                row[c] = exp_negative(-0.5 * distance * distance)
                sums[c] += row[c]
        for p in range(grid.size):
            row = kernels[p]
            for c in range(room):
                row[c] /= sums[c]
            _add(own, density[e, p], row)
        # The first weights are the density seen through the kernels.
        total = 0.0
        for c in range(m):
            total += own[c]
        for c in range(m):
            own[c] /= total
        for _ in range(rounds):
            ratio[:] = 0.0
            for p in range(grid.size):
                _add(ratio, density[e, p] / max(dot_product(kernels[p], own), TINY), kernels[p])
            for c in range(m):
                own[c] *= ratio[c]
        for c in range(m):
            weights[e, c] = own[c]


@njit()
def make_laws(weight: FloatArray, mean: FloatArray) -> None:
    """Turn weights that nearly add to 1 with mean 1 into such that do to the last digit, shape (n, m)."""
    for e in range(weight.shape[0]):
        own, at = weight[e], mean[e]
        for c in range(own.size):
            own[c] = max(own[c], 0.0)
        for _ in range(LAW_ROUNDS):
            total, first, spread = 0.0, 0.0, 0.0
            for c in range(own.size):
                total += own[c]
                first += own[c] * at[c]
            first /= total
            for c in range(own.size):
                spread += own[c] * (at[c] - first) * (at[c] - first)
            tilt = (1.0 - first) / max(spread / total, TINY)
            for c in range(own.size):
                own[c] = max(own[c] / total * (1.0 + tilt * (at[c] - first)), 0.0)
