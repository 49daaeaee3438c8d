"""The hedge as a quadratic programme, solved by the interior-point method of PIQP.

    minimise    ½ a (y − t)ᵀ S (y − t) + c₊ᵀp + c₋ᵀm + πᵀ(s₊ + s₋)
    subject to  y = e + F (p − m),   l − s₋ ≤ y ≤ u + s₊,   0 ≤ p ≤ U₊,   0 ≤ m ≤ U₋,
                c₊ᵀp + c₋ᵀm ≤ budget,   min(l, e) − r ≤ y ≤ max(u, e) + r

for trades p − m in n instruments with k factors. The soft bands keep it feasible whatever the limits; the
last row forbids to make any violation worse than it is without a trade (r: the reach of one lot).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ivhedge.core.types import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix

__all__ = [
    "HedgeProblem",
    "Solution",
    "SolverStatus",
    "band_violation",
    "leg_costs",
    "objective",
    "solve",
    "variance",
]

_TOLERANCE = 1e-6
_ITERATIONS = 100
_NO_BOUND = 1e30  # what the solver takes for no bound


class SolverStatus(StrEnum):
    """How the solver ended."""

    SOLVED = "solved"
    NOTHING_TO_DO = "nothing_to_do"
    NOT_CONVERGED = "not_converged"
    NUMERICAL_TROUBLE = "numerical_trouble"


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeProblem:
    """One hedge problem; shapes by k factors and n instruments.

    Parameters
    ----------
    exposure, target, lower, upper : FloatArray, shape (k,)
        e, t, l, u.
    reach : FloatArray, shape (k,)
        r: how far a factor may end outside, owing to the size of a lot.
    loadings : FloatArray, shape (k, n)
        F, exposure per contract.
    covariance : FloatArray, shape (k, k)
        S, USD² per unit of exposure².
    aversion : float
        a, per USD.
    penalty : FloatArray, shape (k,)
        π, USD per unit of violation.
    buy_cost, sell_cost : FloatArray, shape (n,)
        c₊, c₋, USD per contract; finite and not negative in sum.
    max_buy, max_sell : FloatArray, shape (n,)
        U₊, U₋, contracts; may be infinite.
    free_size, impact : FloatArray, shape (n,)
        Extra cost ``impact · max(|x| − free_size, 0)²``; known to the lots, not to the programme.
    budget : float
        USD; may be infinite.
    """

    exposure: FloatArray
    target: FloatArray
    lower: FloatArray
    upper: FloatArray
    reach: FloatArray
    loadings: FloatArray
    covariance: FloatArray
    aversion: float
    penalty: FloatArray
    buy_cost: FloatArray
    sell_cost: FloatArray
    max_buy: FloatArray
    max_sell: FloatArray
    free_size: FloatArray
    impact: FloatArray
    budget: float

    @property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """Range that no trade may leave: the band or the present exposure, and one lot's reach."""
        return (
            np.minimum(self.lower, self.exposure) - self.reach,
            np.maximum(self.upper, self.exposure) + self.reach,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What the solver found.

    Parameters
    ----------
    status : SolverStatus
    trades : FloatArray, shape (n,)
        Contracts; all zero unless solved.
    iterations : int
    primal_residual, duality_gap : float
        Relative; NaN when nothing was solved.
    """

    status: SolverStatus
    trades: FloatArray
    iterations: int
    primal_residual: float
    duality_gap: float


def leg_costs(problem: HedgeProblem, trades: FloatArray) -> FloatArray:
    """Cost of each instrument's trade in USD with impact, shape of `trades`: (n,) or (n, any)."""
    wide = (slice(None),) + (None,) * (trades.ndim - 1)
    buys, sells = np.maximum(trades, 0.0), np.maximum(-trades, 0.0)
    excess = np.maximum(np.abs(trades) - problem.free_size[wide], 0.0)
    linear = problem.buy_cost[wide] * buys + problem.sell_cost[wide] * sells
    return np.asarray(linear + problem.impact[wide] * excess**2)


def band_violation(problem: HedgeProblem, exposure: FloatArray) -> FloatArray:
    """Distance of exposures, shape (k,) or (k, any), to their bands."""
    wide = (slice(None),) + (None,) * (exposure.ndim - 1)
    return np.maximum(np.maximum(problem.lower[wide] - exposure, exposure - problem.upper[wide]), 0.0)


def variance(problem: HedgeProblem, exposure: FloatArray) -> float:
    """Variance of one horizon's profit about the target, USD²."""
    away = exposure - problem.target
    return float(away @ problem.covariance @ away)


def objective(problem: HedgeProblem, trades: FloatArray) -> float:
    """Value of the objective for trades of shape (n,), USD."""
    exposure = problem.exposure + problem.loadings @ trades
    penalty = float(problem.penalty @ band_violation(problem, exposure))
    risk = 0.5 * problem.aversion * variance(problem, exposure)
    return risk + penalty + float(leg_costs(problem, trades).sum())


def solve(problem: HedgeProblem) -> Solution:
    """Solve the programme.

    Returns
    -------
    Solution
        An iterate that has not converged is never returned: the trades are zero and the status says so.

    References
    ----------
    Schwan, Jiang, Kuhn and Jones (2023), "PIQP: a proximal interior-point quadratic programming solver".
    """
    n = problem.buy_cost.size
    idle = np.zeros(n)
    sd = np.sqrt(np.diag(problem.covariance))
    reach = np.sqrt(((sd[:, None] * problem.loadings) ** 2).sum(axis=0))
    usable = np.flatnonzero((reach > 0.0) & (problem.max_buy + problem.max_sell > 0.0))
    away = problem.exposure - problem.target
    scale = float(
        np.max(sd * np.maximum(np.abs(away), band_violation(problem, problem.exposure)), initial=0.0)
    )
    if usable.size == 0 or scale == 0.0:
        return Solution(
            status=SolverStatus.NOTHING_TO_DO,
            trades=idle,
            iterations=0,
            primal_residual=np.nan,
            duality_gap=np.nan,
        )
    return _solve_scaled(problem, usable, sd, reach[usable], scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scaling:
    # Unknowns of order one: exposures in `scale` USD of risk, trades in what moves that much risk.
    usable: IntArray
    trade: FloatArray
    factor: FloatArray
    scale: float
    unit: float


def _solve_scaled(
    problem: HedgeProblem, usable: IntArray, sd: FloatArray, reach: FloatArray, scale: float
) -> Solution:
    trade, factor = scale / reach, sd / scale
    cheapest = np.minimum(problem.buy_cost[usable], problem.sell_cost[usable]) * trade
    sides = np.concatenate(_sides(problem))
    steepest = float((problem.penalty[sides] / factor[sides]).max(initial=0.0))
    unit = max(problem.aversion * scale**2, float(np.median(cheapest)), 1e-12)
    # A steep penalty beside small costs is hard in one scale and easy in another; the problem is the same.
    tries = [unit, float(np.sqrt(unit * max(steepest, unit))), max(steepest, unit)]
    for money in dict.fromkeys(tries):
        scaling = _Scaling(usable=usable, trade=trade, factor=factor, scale=scale, unit=money)
        solution = _solve_once(problem, scaling, sd)
        if solution.status is SolverStatus.SOLVED:
            break
    return solution


def _solve_once(problem: HedgeProblem, scaling: _Scaling, sd: FloatArray) -> Solution:
    import piqp

    solver = piqp.SparseSolver()
    solver.settings.max_iter = _ITERATIONS
    solver.setup(*_quadratic(problem, scaling, sd), *_rows(problem, scaling), *_bounds(problem, scaling))
    solved = solver.solve() == piqp.PIQP_SOLVED
    info = solver.result.info
    return _judge(
        problem,
        scaling,
        np.array(solver.result.x, dtype=np.float64),
        solved,
        int(info.iter),
        float(info.primal_res_rel),
        float(info.duality_gap_rel),
    )


def _sides(problem: HedgeProblem) -> tuple[IntArray, IntArray]:
    # Factors with an upper and with a lower bound; each gets a slack of its own.
    return np.flatnonzero(np.isfinite(problem.upper)), np.flatnonzero(np.isfinite(problem.lower))


def _quadratic(problem: HedgeProblem, at: _Scaling, sd: FloatArray) -> tuple["csc_matrix", FloatArray]:
    from scipy import sparse

    n, k, sides = at.usable.size, sd.size, np.concatenate(_sides(problem))
    size = 2 * n + k + sides.size
    block = problem.aversion * at.scale**2 / at.unit * problem.covariance / np.outer(sd, sd)
    place = 2 * n + np.arange(k)
    entries = (block.ravel(), (np.repeat(place, k), np.tile(place, k)))
    buy, sell = problem.buy_cost[at.usable] * at.trade, problem.sell_cost[at.usable] * at.trade
    penalty = problem.penalty[sides] / at.factor[sides]
    linear = np.concatenate((buy, sell, np.zeros(k), penalty)) / at.unit
    return sparse.csc_matrix(entries, shape=(size, size)), linear


def _rows(
    problem: HedgeProblem, at: _Scaling
) -> tuple["csc_matrix", FloatArray, "csc_matrix | None", FloatArray | None, FloatArray | None]:
    from scipy import sparse

    n, k = at.usable.size, problem.exposure.size
    above, below = _sides(problem)
    up, down = above.size, below.size
    loadings = at.factor[:, None] * problem.loadings[:, at.usable] * at.trade
    equality = sparse.csc_matrix(np.hstack((-loadings, loadings, np.eye(k), np.zeros((k, up + down)))))
    offset = at.factor * (problem.exposure - problem.target)
    lower, upper = (at.factor * (bound - problem.target) for bound in (problem.lower, problem.upper))
    blocks = [
        np.hstack((np.zeros((up, 2 * n)), np.eye(k)[above], -np.eye(up), np.zeros((up, down)))),
        np.hstack((np.zeros((down, 2 * n)), np.eye(k)[below], np.zeros((down, up)), np.eye(down))),
    ]
    least = [np.full(up, -_NO_BOUND), lower[below]]
    most = [upper[above], np.full(down, _NO_BOUND)]
    if np.isfinite(problem.budget):
        cost = np.concatenate((problem.buy_cost[at.usable], problem.sell_cost[at.usable]))
        cost = cost * np.concatenate((at.trade, at.trade)) / at.unit
        blocks.append(np.concatenate((cost, np.zeros(k + up + down)))[None, :])
        least.append(np.array([-_NO_BOUND]))
        most.append(np.array([problem.budget / at.unit]))
    if sum(block.shape[0] for block in blocks) == 0:
        return equality, offset, None, None, None
    return equality, offset, sparse.csc_matrix(np.vstack(blocks)), np.concatenate(least), np.concatenate(most)


def _bounds(problem: HedgeProblem, at: _Scaling) -> tuple[FloatArray, FloatArray]:
    low, high = problem.box
    slacks = np.concatenate(_sides(problem)).size
    return (
        np.concatenate(
            (np.zeros(2 * at.usable.size), _finite(at.factor * (low - problem.target)), np.zeros(slacks))
        ),
        np.concatenate(
            (
                _finite(problem.max_buy[at.usable] / at.trade),
                _finite(problem.max_sell[at.usable] / at.trade),
                _finite(at.factor * (high - problem.target)),
                np.full(slacks, _NO_BOUND),
            )
        ),
    )


def _finite(values: FloatArray) -> FloatArray:
    return np.clip(values, -_NO_BOUND, _NO_BOUND)


def _judge(
    problem: HedgeProblem,
    at: _Scaling,
    raw: FloatArray,
    solved: bool,
    iterations: int,
    residual: float,
    gap: float,
) -> Solution:
    # The solver's word is checked before anything is traded on it.
    n = at.usable.size
    trades = np.zeros(problem.buy_cost.size)
    status = SolverStatus.SOLVED
    if not np.isfinite(raw).all() or (solved and not (residual < _TOLERANCE and gap < _TOLERANCE)):
        status = SolverStatus.NUMERICAL_TROUBLE
    elif not solved:
        status = SolverStatus.NOT_CONVERGED
    else:
        trades[at.usable] = (raw[:n] - raw[n : 2 * n]) * at.trade
        trades = np.clip(trades, -problem.max_sell, problem.max_buy)
    return Solution(
        status=status, trades=trades, iterations=iterations, primal_residual=residual, duality_gap=gap
    )
