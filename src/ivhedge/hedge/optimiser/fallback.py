"""The same programme by PIQP, a general interior-point method; also the one that knows tail scenarios.

    + price (v + Σ w ζ / (1 − α)),   ζ ≥ −(b + L x) − v,  ζ ≥ 0

is the conditional value at risk as a linear programme.

References
----------
Schwan, Jiang, Kuhn and Jones (2023), "PIQP: a proximal interior-point quadratic programming solver";
Rockafellar and Uryasev (2000), "Optimization of conditional value-at-risk", equation 17.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.optimiser.problem import SolverStatus, TailRows
from ivhedge.hedge.optimiser.scaling import ScaledProblem, Units
from ivhedge.hedge.optimiser.verify import Multipliers

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix

__all__ = ["PeerAnswer", "solve_by_piqp"]

_TOLERANCE = 1e-6
_ITERATIONS = 100
_NO_BOUND = 1e30  # what the solver takes for no bound


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAnswer:
    """What PIQP found: sides and multipliers are of use only where it is solved."""

    status: SolverStatus
    size: FloatArray
    multipliers: Multipliers
    iterations: int
    primal: float
    gap: float


def solve_by_piqp(
    one: ScaledProblem, tail: TailRows | None, at: Units, *, tolerance: float | None = None
) -> PeerAnswer:
    """Solve the scaled problem.

    Parameters
    ----------
    one : ScaledProblem
    tail : TailRows, optional
        Not scaled.
    at : Units
    tolerance : float, optional
        Absolute and relative, for references; PIQP's own without it.
    """
    import piqp

    solver = piqp.SparseSolver()
    solver.settings.max_iter = _ITERATIONS
    if tolerance is not None:
        solver.settings.eps_abs = solver.settings.eps_rel = tolerance
        solver.settings.eps_duality_gap_abs = solver.settings.eps_duality_gap_rel = tolerance
    build = _Build(one, tail, at)
    solver.setup(*build.arguments())
    solved = solver.solve() == piqp.PIQP_SOLVED
    found, info = solver.result, solver.result.info
    raw = np.array(found.x, dtype=np.float64)
    status = judge(raw, solved, float(info.primal_res_rel), float(info.duality_gap_rel))
    return PeerAnswer(
        status=status,
        size=np.clip(raw[: one.cost.size], 0.0, one.caps),
        multipliers=build.multipliers(
            np.array(found.y),
            np.array(found.z_u),
            np.array(found.z_l),
            np.array(found.z_bu),
            np.array(found.z_bl),
        ),
        iterations=int(info.iter),
        primal=float(info.primal_res_rel),
        gap=float(info.duality_gap_rel),
    )


def judge(raw: FloatArray, solved: bool, residual: float, gap: float) -> SolverStatus:
    """The solver's word, checked before anything is traded on it."""
    if not np.isfinite(raw).all() or (solved and not (residual < _TOLERANCE and gap < _TOLERANCE)):
        return SolverStatus.NUMERICAL_TROUBLE
    return SolverStatus.SOLVED if solved else SolverStatus.NOT_CONVERGED


class _Build:
    # Unknowns: sides, exposures, slacks above and below; with a tail also its edge and its excesses.
    def __init__(self, one: ScaledProblem, tail: TailRows | None, at: Units) -> None:
        self.one, self.tail, self.at = one, tail, at
        self.m, self.k = one.cost.size, one.exposure.size
        soft = one.penalty > 0.0
        self.above = np.flatnonzero(np.isfinite(one.bands[0]) & soft)
        self.below = np.flatnonzero(np.isfinite(one.bands[1]) & soft)
        self.slacks = self.above.size + self.below.size
        self.extra = 0 if tail is None else 1 + tail.book.size
        self.size = self.m + self.k + self.slacks + self.extra

    def arguments(
        self,
    ) -> tuple[
        "csc_matrix",
        FloatArray,
        "csc_matrix",
        FloatArray,
        "csc_matrix | None",
        FloatArray | None,
        FloatArray | None,
        FloatArray,
        FloatArray,
    ]:
        one, m, k = self.one, self.m, self.k
        penalty = np.concatenate((one.penalty[self.above], one.penalty[self.below]))
        linear = np.concatenate((one.cost, np.zeros(k), penalty, self._tail_cost()))
        low = np.concatenate((np.zeros(m), _finite(one.box[0]), np.zeros(self.slacks), np.zeros(self.extra)))
        high = np.concatenate(
            (_finite(one.caps), _finite(one.box[1]), np.full(self.slacks + self.extra, _NO_BOUND))
        )
        if self.extra:
            low[-self.extra] = -_NO_BOUND
        return self._quadratic(), linear, self._link(), one.exposure, *self._rows(), low, high

    def _tail_cost(self) -> FloatArray:
        if self.tail is None:
            return np.zeros(0)
        price = self.tail.price * self.at.risk / self.at.money
        return np.concatenate(([price], price * self.tail.weights / (1.0 - self.tail.level)))

    def _quadratic(self) -> "csc_matrix":
        from scipy import sparse

        place, k = self.m + np.arange(self.k), self.k
        values = np.concatenate((self.one.curvature, self.one.covariance.ravel()))
        rows = np.concatenate((np.arange(self.m), np.repeat(place, k)))
        columns = np.concatenate((np.arange(self.m), np.tile(place, k)))
        return sparse.csc_matrix((values, (rows, columns)), shape=(self.size, self.size))

    def _link(self) -> "csc_matrix":
        from scipy import sparse

        moved = -self.one.loadings[:, self.one.column] * self.one.sign
        rest = np.zeros((self.k, self.slacks + self.extra))
        return sparse.csc_matrix(np.hstack((moved, np.eye(self.k), rest)))

    def _rows(self) -> tuple["csc_matrix | None", FloatArray | None, FloatArray | None]:
        from scipy import sparse

        one, m, k, up, down = self.one, self.m, self.k, self.above.size, self.below.size
        more = np.zeros((up + down, self.extra))
        select = np.vstack((np.eye(k)[self.above], np.eye(k)[self.below]))
        slack = np.diag(np.concatenate((-np.ones(up), np.ones(down))))
        blocks = [np.hstack((np.zeros((up + down, m)), select, slack, more))]
        least = [np.full(up, -_NO_BOUND), one.bands[1][self.below]]
        most = [one.bands[0][self.above], np.full(down, _NO_BOUND)]
        if one.resource.size:
            rest = np.zeros((one.resource.size, self.size - m))
            blocks.append(np.hstack((one.uses, rest)))
            least.append(np.full(one.resource.size, -_NO_BOUND))
            most.append(one.resource)
        if self.tail is not None:
            count, unit = self.tail.book.size, self.at.trade / self.at.risk
            profit = (self.tail.candidates * unit)[:, one.column] * one.sign
            rest = np.zeros((count, k + self.slacks))
            blocks.append(np.hstack((profit, rest, np.ones((count, 1)), np.eye(count))))
            least.append(-self.tail.book / self.at.risk)
            most.append(np.full(count, _NO_BOUND))
        if sum(block.shape[0] for block in blocks) == 0:
            return None, None, None
        return sparse.csc_matrix(np.vstack(blocks)), np.concatenate(least), np.concatenate(most)

    def multipliers(
        self, link: FloatArray, high: FloatArray, low: FloatArray, cap: FloatArray, floor: FloatArray
    ) -> Multipliers:
        m, k, up, down, rows = self.m, self.k, self.above.size, self.below.size, self.one.resource.size
        bands = np.zeros((2, k))
        if up + down + rows:
            bands[0, self.above] = high[:up]
            bands[1, self.below] = low[up : up + down]
        return Multipliers(
            link=link,
            bands=bands,
            box=np.stack((cap[m : m + k], floor[m : m + k])),
            caps=np.where(np.isfinite(self.one.caps), cap[:m], 0.0),
            floors=floor[:m],
            rows=high[up + down : up + down + rows] if rows else np.zeros(0),
        )


def _finite(bounds: FloatArray) -> FloatArray:
    return np.clip(bounds, -_NO_BOUND, _NO_BOUND)
