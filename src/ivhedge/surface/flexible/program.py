"""The quadratic program of a whole surface: bands, pulls, roughness and calendar cuts."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.flexible._interior import interior_point

__all__ = ["Cuts", "Program", "Solution", "roughness", "solve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """Constraints ``far·x_{e+1} - near·x_e >= least``; pair e has rows ``offsets[e]:offsets[e + 1]``.

    Parameters
    ----------
    near, far : FloatArray, shape (r, m)
    least : FloatArray, shape (r,)
    offsets : IntArray, shape (n,)
        n expiries have n - 1 pairs.
    """

    near: FloatArray
    far: FloatArray
    least: FloatArray
    offsets: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The program without its cuts; x are kernel weights in units of a scale.

    Parameters
    ----------
    quadratic, linear : FloatArray, shapes (n, m, m) and (n, m)
    equality, equal_to : FloatArray, shapes (n, 2, m) and (n, 2)
    bands : FloatArray, shape (q, m)
        Prices per unit of x, in half-spreads.
    offsets : IntArray, shape (n + 1,)
        Rows of each expiry.
    low, high, penalty : FloatArray, shape (q,)
        Band in half-spreads, infinite where there is none, and price of leaving it.
    """

    quadratic: FloatArray
    linear: FloatArray
    equality: FloatArray
    equal_to: FloatArray
    bands: FloatArray
    offsets: IntArray
    low: FloatArray
    high: FloatArray
    penalty: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Answer of one solve: x, multipliers of the cuts, steps, and how well it is solved."""

    x: FloatArray
    cut_multipliers: FloatArray
    iterations: int
    gap: float
    residual: float


def roughness(n_kernels: int) -> FloatArray:
    """Squared second differences as a form, shape (m, m)."""
    second = np.diff(np.eye(n_kernels), 2, axis=0)
    return np.asarray(second.T @ second)


def solve(
    program: Program,
    cuts: Cuts,
    start: FloatArray,
    *,
    start_gap: float = 1.0,
    tolerance: float = 1e-8,
    max_iterations: int = 60,
    cut_penalty: float = 1e6,
) -> Solution:
    """Solve the program by the interior point."""
    n_cuts = cuts.near.shape[0]
    x, multipliers, iterations, gap, residual = interior_point(
        program.quadratic,
        program.linear,
        program.equality,
        program.equal_to,
        program.bands,
        program.offsets,
        np.concatenate((program.high, -program.low, -cuts.least)),
        np.concatenate((program.penalty, program.penalty, np.full(n_cuts, cut_penalty))),
        cuts.near,
        cuts.far,
        cuts.offsets,
        np.ascontiguousarray(start),
        start_gap,
        tolerance,
        max_iterations,
    )
    return Solution(
        x=x,
        cut_multipliers=multipliers[multipliers.size - n_cuts :],
        iterations=iterations,
        gap=gap,
        residual=residual,
    )
