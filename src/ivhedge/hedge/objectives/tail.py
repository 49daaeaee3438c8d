"""Conditional value at risk as a linear programme; `ivhedge.hedge.objectives.tail_lots` makes lots of it.

    minimise   price·(v + Σ w z / (1 − α)) + c₊ᵀp + c₋ᵀm + πᵀ(s₊ + s₋)
    subject to z ≥ −(b + L(p − m)) − v,  z ≥ 0,  bands up to slack,  0 ≤ p ≤ U₊,
               0 ≤ m ≤ U₋,  charges ≤ budget

for profits b of the book and L per contract in each scenario, about their means. Impact beyond the free size
is left to the lots.

References
----------
Rockafellar, Uryasev (2000), Optimization of conditional value-at-risk, equation 17.
"""

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.objectives.rows import TailSample
from ivhedge.hedge.optimiser import HedgeProblem, Solution, SolverStatus, band_violation, leg_costs

__all__ = ["solve_tail", "tail_mean", "tail_objective", "tail_slope"]


def tail_mean(profits: FloatArray, weights: FloatArray, level: float) -> FloatArray:
    """Mean loss of the worst share ``1 − level`` of scenarios, (T,) or (T, any); the last one in part."""
    columns = profits.reshape(profits.shape[0], -1)
    count = (1.0 - level) * weights.size
    whole = int(count)
    if (weights == weights[0]).all() and 0 < whole < weights.size:
        # Equal weights need no order among the worst, which is several times faster.
        least = np.partition(columns, whole, axis=0)
        mean = -(least[:whole].sum(axis=0) + (count - whole) * least[whole]) / count
        return np.asarray(mean.reshape(profits.shape[1:]))
    order = np.argsort(columns, axis=0)
    mass = weights[order]
    before = np.cumsum(mass, axis=0) - mass
    share = np.clip(1.0 - level - before, 0.0, mass)
    mean = -(share * np.take_along_axis(columns, order, axis=0)).sum(axis=0) / (1.0 - level)
    return np.asarray(mean.reshape(profits.shape[1:]))


def tail_slope(sample: TailSample, trades: FloatArray) -> FloatArray:
    """A slope of the tail's mean loss, USD per contract, at trades of shape (n,): a subgradient."""
    profits = sample.book + sample.candidates @ trades
    order = np.argsort(profits, kind="stable")
    mass = sample.weights[order]
    share = np.clip(1.0 - sample.level - (np.cumsum(mass) - mass), 0.0, mass)
    return np.asarray(-(share @ sample.candidates[order]) / (1.0 - sample.level))


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
    edge = ((problem.buy_cost < 0.0) & (problem.max_buy > 0.0)).any()
    edge = edge or ((problem.sell_cost < 0.0) & (problem.max_sell > 0.0)).any()
    if n == 0 or not (edge or sample.book.any() or band_violation(problem, problem.exposure).any()):
        return _ended(SolverStatus.NOTHING_TO_DO, idle, 0, np.nan)
    above, below = np.flatnonzero(np.isfinite(problem.upper)), np.flatnonzero(np.isfinite(problem.lower))
    scale = float(tail_mean(sample.book, sample.weights, sample.level))
    if not scale > 1e-9:
        scale = max(float(np.abs(sample.candidates).max()), 1e-9)
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
        charge = np.concatenate(problem.charges) * np.tile(unit, 2) / scale
        rows.append(sparse.csr_matrix(np.concatenate((charge, np.zeros(1 + count + slack)))[None, :]))
        bound.append(np.array([problem.budget / scale]))
    sides = np.concatenate((problem.max_buy / unit, problem.max_sell / unit))
    ends = [(0.0, top if np.isfinite(top) else None) for top in sides]
    low, high = problem.box
    widest = np.concatenate((high[above] - problem.upper[above], problem.lower[below] - low[below]))
    found = linprog(
        goal,
        A_ub=sparse.vstack(rows, format="csr"),
        b_ub=np.concatenate(bound),
        bounds=[*ends, (None, None), *([(0.0, None)] * count), *((0.0, float(end)) for end in widest)],
        method="highs",
    )
    if found.status != 0 or not np.isfinite(found.x).all():
        return _ended(SolverStatus.NOT_CONVERGED, idle, int(found.nit), np.nan)
    trades = np.clip((found.x[:n] - found.x[n : 2 * n]) * unit, -problem.max_sell, problem.max_buy)
    return _ended(SolverStatus.SOLVED, trades, int(found.nit), 0.0)


def _ended(status: SolverStatus, trades: FloatArray, iterations: int, residual: float) -> Solution:
    return Solution(
        status=status, trades=trades, iterations=iterations, primal_residual=residual, duality_gap=residual
    )
