"""Conditional value at risk as a linear programme, and lots for it.

    minimise   price·(v + Σ w z / (1 − α)) + c₊ᵀp + c₋ᵀm + πᵀ(s₊ + s₋)
    subject to z ≥ −(b + L(p − m)) − v,  z ≥ 0,  bands up to slack,  0 ≤ p ≤ U₊,  0 ≤ m ≤ U₋,  cost ≤ budget

for profits b of the book and L per contract in each scenario, about their means.

References
----------
Rockafellar, Uryasev (2000), Optimization of conditional value-at-risk, equation 17.
"""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.objectives.rows import TailSample
from ivhedge.hedge.optimiser import HedgeProblem, Solution, SolverStatus, band_violation, leg_costs
from ivhedge.hedge.rounding import LotGrid

__all__ = ["round_tail", "solve_tail", "tail_mean", "tail_objective"]

_MAX_MOVES = 60
_STEPS = np.array([1.0, -1.0, 4.0, -4.0, 16.0, -16.0, 64.0, -64.0])


def tail_mean(profits: FloatArray, weights: FloatArray, level: float) -> FloatArray:
    """Mean loss of the worst share ``1 − level`` of scenarios, (T,) or (T, any); the last one in part."""
    columns = profits.reshape(profits.shape[0], -1)
    order = np.argsort(columns, axis=0)
    mass = weights[order]
    before = np.cumsum(mass, axis=0) - mass
    share = np.clip(1.0 - level - before, 0.0, mass)
    mean = -(share * np.take_along_axis(columns, order, axis=0)).sum(axis=0) / (1.0 - level)
    return np.asarray(mean.reshape(profits.shape[1:]))


def tail_objective(problem: HedgeProblem, sample: TailSample, trades: FloatArray, price: float) -> FloatArray:
    """Cost, band penalties and `price` times the tail's mean loss, USD, for trades (n,) or (n, any)."""
    wide = (slice(None),) + (None,) * (trades.ndim - 1)
    exposure = problem.exposure[wide] + problem.loadings @ trades
    profits = sample.book[wide] + sample.candidates @ trades
    penalty = problem.penalty @ band_violation(problem, exposure)
    tail = tail_mean(profits, sample.weights, sample.level)
    return np.asarray(price * tail + penalty + leg_costs(problem, trades).sum(axis=0))


def solve_tail(problem: HedgeProblem, sample: TailSample, price: float) -> Solution:
    """Solve the programme with HiGHS; trades are zero unless it reports an optimum."""
    from scipy import sparse
    from scipy.optimize import linprog

    n, count = problem.buy_cost.size, sample.book.size
    idle = np.zeros(n)
    if n == 0 or not (sample.book.any() or band_violation(problem, problem.exposure).any()):
        return _ended(SolverStatus.NOTHING_TO_DO, idle, 0, np.nan)
    above, below = np.flatnonzero(np.isfinite(problem.upper)), np.flatnonzero(np.isfinite(problem.lower))
    scale = max(float(tail_mean(sample.book, sample.weights, sample.level)), 1e-9)
    unit = scale / np.maximum(np.abs(sample.candidates).max(axis=0), 1e-12 * scale)
    loads, profits = problem.loadings * unit, sample.candidates * unit / scale
    slack = above.size + below.size
    cost = np.concatenate((problem.buy_cost, problem.sell_cost)) * np.tile(unit, 2) / scale
    goal = np.concatenate(
        (
            cost,
            [price],
            price * sample.weights / (1.0 - sample.level),
            np.concatenate((problem.penalty[above], problem.penalty[below])) / scale,
        )
    )
    tail_rows = sparse.hstack(
        [-profits, profits, -np.ones((count, 1)), -sparse.eye(count), sparse.csr_matrix((count, slack))]
    )
    bands = np.vstack((np.hstack((loads[above], -loads[above])), np.hstack((-loads[below], loads[below]))))
    band_rows = sparse.hstack([bands, sparse.csr_matrix((slack, 1 + count)), -sparse.eye(slack)])
    limit = np.concatenate(
        (problem.upper[above] - problem.exposure[above], problem.exposure[below] - problem.lower[below])
    )
    rows, bound = [tail_rows, band_rows], [sample.book / scale, limit]
    if np.isfinite(problem.budget):
        rows.append(sparse.csr_matrix(np.concatenate((cost, np.zeros(1 + count + slack)))[None, :]))
        bound.append(np.array([problem.budget / scale]))
    sides = np.concatenate((problem.max_buy / unit, problem.max_sell / unit))
    ends = [(0.0, top if np.isfinite(top) else None) for top in sides]
    found = linprog(
        goal,
        A_ub=sparse.vstack(rows, format="csr"),
        b_ub=np.concatenate(bound),
        bounds=[*ends, (None, None), *([(0.0, None)] * (count + slack))],
        method="highs",
    )
    if found.status != 0 or not np.isfinite(found.x).all():
        return _ended(SolverStatus.NOT_CONVERGED, idle, int(found.nit), np.nan)
    trades = np.clip((found.x[:n] - found.x[n : 2 * n]) * unit, -problem.max_sell, problem.max_buy)
    return _ended(SolverStatus.SOLVED, trades, int(found.nit), 0.0)


def round_tail(
    problem: HedgeProblem, sample: TailSample, grid: LotGrid, trades: FloatArray, price: float
) -> IntArray:
    """Nearest lots, then single moves as long as the objective falls; none where no trade is better."""
    lots = grid.snap(trades).astype(np.float64)
    most, least = np.floor(problem.max_buy / grid.lot + 1e-9), -np.floor(problem.max_sell / grid.lot + 1e-9)
    smallest = np.ceil(grid.min_size / grid.lot - 1e-9)
    lots = np.clip(lots, least, most)
    lots = np.where(np.abs(lots) < smallest, 0.0, lots)
    n = lots.size
    value = float(tail_objective(problem, sample, lots * grid.lot, price))
    moves = np.repeat(np.eye(n), _STEPS.size, axis=1) * np.tile(_STEPS, n)
    for _ in range(_MAX_MOVES):
        tried = lots[:, None] + moves
        size = np.abs(tried)
        allowed = (tried <= most[:, None]) & (tried >= least[:, None])
        allowed &= (size == 0.0) | (size >= smallest[:, None])
        columns = np.flatnonzero(allowed.all(axis=0))
        contracts = tried[:, columns] * grid.lot[:, None]
        columns = columns[leg_costs(problem, contracts).sum(axis=0) <= problem.budget]
        if columns.size == 0:
            break
        values = tail_objective(problem, sample, tried[:, columns] * grid.lot[:, None], price)
        best = int(values.argmin())
        if not values[best] < value - 1e-9 * (1.0 + abs(value)):
            break
        lots, value = tried[:, columns[best]], float(values[best])
    idle = float(tail_objective(problem, sample, np.zeros(n), price))
    spent = float(leg_costs(problem, lots * grid.lot).sum())
    better = value < idle - 1e-9 * (1.0 + abs(idle)) and spent <= problem.budget
    chosen = lots if better and _keeps_box(problem, lots * grid.lot) else np.zeros(n)
    return np.asarray(chosen, dtype=np.int64)


def _keeps_box(problem: HedgeProblem, trades: FloatArray) -> bool:
    low, high = problem.box
    after = problem.exposure + problem.loadings @ trades
    room = 1e-9 * (1.0 + np.abs(problem.exposure))
    return bool((after >= low - room).all() and (after <= high + room).all())


def _ended(status: SolverStatus, trades: FloatArray, iterations: int, residual: float) -> Solution:
    return Solution(
        status=status, trades=trades, iterations=iterations, primal_residual=residual, duality_gap=residual
    )
