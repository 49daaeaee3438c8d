"""The quadratic program of a whole surface: bands, pulls, roughness and calendar cuts."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.surface.flexible._newton import newton_chain

__all__ = ["Cuts", "Program", "Solution", "State", "no_cuts", "objective", "roughness", "solve", "stack_rows"]

CUT_CAP = 1e6
SOFTER = 2


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

    Minimise ``Σ_e ½ x_e'P_e x_e + q_e'x_e + Σ_i cap_i·dist(rows_i·x_e, [low_i, high_i])``.

    Parameters
    ----------
    quadratic, linear : FloatArray, shapes (n, m, m) and (n, m)
    rows : FloatArray, shape (r, m)
        Per expiry as `stack_rows` orders them: two equalities, m bounds x >= 0, bands.
    offsets : IntArray, shape (n + 1,)
        Rows of each expiry.
    low, high, cap : FloatArray, shape (r,)
        Interval of each row, and price of leaving it: infinite for equalities and bounds, 0 for bands that
        do not count.
    """

    quadratic: FloatArray
    linear: FloatArray
    rows: FloatArray
    offsets: IntArray
    low: FloatArray
    high: FloatArray
    cap: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a solve starts: x, and the multipliers of rows and cuts, zeros where nothing is known."""

    x: FloatArray
    multipliers: FloatArray
    cut_multipliers: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Answer of one solve; `steps` and `solved` are per expiry."""

    x: FloatArray
    multipliers: FloatArray
    cut_multipliers: FloatArray
    steps: IntArray
    solved: BoolArray

    def state(self, cut_multipliers: FloatArray | None = None) -> State:
        """Start of a solve with the same rows, and other cuts if their multipliers are given."""
        return State(
            x=self.x,
            multipliers=self.multipliers,
            cut_multipliers=self.cut_multipliers if cut_multipliers is None else cut_multipliers,
        )


@cache
def roughness(n_kernels: int) -> FloatArray:
    """Squared second differences as a form, shape (m, m); not to be written to."""
    second = np.diff(np.eye(n_kernels), 2, axis=0)
    return np.asarray(second.T @ second)


def no_cuts(n: int, m: int) -> Cuts:
    """Return the cuts of a program without any."""
    none = np.empty((0, m))
    return Cuts(near=none, far=none, least=np.empty(0), offsets=np.zeros(n, dtype=np.int64))


def stack_rows(
    equality: FloatArray, bands: FloatArray, band_offsets: IntArray
) -> tuple[FloatArray, IntArray, IntArray]:
    """Rows of a program from equalities, shape (n, 2, m), and bands.

    Returns
    -------
    (rows, offsets, at) : FloatArray, IntArray, IntArray
        `at` tells where the bands are.
    """
    n, n_equal, m = equality.shape
    head = n_equal + m
    offsets = np.asarray(band_offsets + head * np.arange(n + 1), dtype=np.int64)
    rows = np.zeros((int(offsets[-1]), m))
    at = np.arange(bands.shape[0]) + head * np.repeat(np.arange(1, n + 1), np.diff(band_offsets))
    rows[at] = bands
    rows[(offsets[:-1, None] + np.arange(n_equal)).ravel()] = equality.reshape(-1, m)
    diagonal = offsets[:-1, None] + np.arange(n_equal, head)
    rows[diagonal, np.arange(m)] = 1.0
    return rows, offsets, at


def solve(
    program: Program,
    cuts: Cuts,
    start: State,
    *,
    softer: int = SOFTER,
    tolerance: float = 1e-8,
    cut_tolerance: float = 1e-8,
    max_steps: int = 200,
) -> Solution:
    """Solve the program from any start.

    Parameters
    ----------
    program, cuts, start
    softer : int
        Rounds in which constraints are softer than in the end; 0 for a start near the answer.
    tolerance, cut_tolerance : float
        Largest violation of a row and of a cut, in their units.
    max_steps : int
        Newton steps per chain of expiries that cuts connect.
    """
    n = program.linear.shape[0]
    x = np.array(start.x, dtype=np.float64, order="C")
    y = np.concatenate((start.multipliers, start.cut_multipliers))
    n_cuts = cuts.least.size
    steps = np.zeros(n, dtype=np.int64)
    newton_chain(
        program.quadratic,
        program.linear,
        program.rows,
        program.offsets,
        cuts.near,
        cuts.far,
        cuts.offsets,
        np.concatenate((program.low, np.full(n_cuts, -np.inf))),
        np.concatenate((program.high, -cuts.least)),
        np.concatenate((program.cap, np.full(n_cuts, CUT_CAP))),
        x,
        y,
        softer,
        tolerance,
        cut_tolerance,
        max_steps,
        steps,
    )
    split = y.size - n_cuts
    return Solution(
        x=x,
        multipliers=y[:split],
        cut_multipliers=y[split:],
        steps=np.where(steps < 0, -steps - 1, steps),
        solved=steps >= 0,
    )


def objective(program: Program, x: FloatArray) -> float:
    """Value of the program, equalities and bounds left out."""
    value = float((x * (0.5 * np.matmul(program.quadratic, x[:, :, None])[:, :, 0] + program.linear)).sum())
    counted = np.flatnonzero(np.isfinite(program.cap) & (program.cap > 0.0))
    owner = np.searchsorted(program.offsets, counted, side="right") - 1
    at = np.einsum("rm,rm->r", program.rows[counted], x[owner])
    excess = np.maximum(at - program.high[counted], 0.0) + np.maximum(program.low[counted] - at, 0.0)
    return value + float(program.cap[counted] @ excess)
