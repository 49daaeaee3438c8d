"""Solve a hedge problem: the structured interior point first, PIQP where that does not converge."""

from dataclasses import replace

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.optimiser.fallback import solve_by_piqp
from ivhedge.hedge.optimiser.interior_point import interior_point
from ivhedge.hedge.optimiser.prepare import prepare
from ivhedge.hedge.optimiser.problem import HedgeProblem, Solution, SolverStatus, band_violation, check
from ivhedge.hedge.optimiser.scaling import ScaledProblem, Units, moneys, scale_problem, units_of
from ivhedge.hedge.optimiser.verify import Multipliers, binding, optimality
from ivhedge.pricing.jit import jit_available

__all__ = ["solve", "warmup"]

_AIM = 1e-6
_ACCEPT = 5e-6
_ITERATIONS = 60
_START = 0.05
_LEAST_ROOM = 1e-6


def solve(problem: HedgeProblem) -> Solution:
    """Solve the programme.

    Returns
    -------
    Solution
        An iterate that has not converged is never returned: the trades are zero and the status says so.

    Raises
    ------
    DataError
        If an input that must be finite is not, is negative where it must not be, the covariance is not
        positive semidefinite, an edge has no cap, or a round trip earns money.

    Notes
    -----
    Which solver answers depends on the problem alone, never on what has been compiled by then: replays are
    the same bit by bit. The first call compiles (`warmup`), later processes load it from numba's cache.
    Without numba PIQP answers.

    References
    ----------
    `ivhedge.hedge.optimiser.interior_point`; `ivhedge.hedge.optimiser.fallback`.
    """
    idle = Solution(
        status=SolverStatus.NOTHING_TO_DO,
        trades=np.zeros(problem.buy_cost.size),
        iterations=0,
        primal_residual=np.nan,
        duality_gap=np.nan,
    )
    if jit_available() and problem.tail is None and idle.trades.size and problem.exposure.size:
        for wider in (False, True):
            good, at, one = prepare(problem, wider)
            if not good:
                break
            if not (one.cost.size and _is_worth_solving(problem)):
                return idle
            found = _by_interior_point(problem, one, at)
            if found is not None:
                return found
    check(problem)
    if not _is_worth_solving(problem):
        return idle
    solution, units = idle, units_of(problem)
    for money in moneys(problem, units):
        at = replace(units, money=money)
        one = scale_problem(problem, at)
        if one.cost.size == 0:
            return idle
        solution = _by_piqp(problem, one, at)
        if solution.status is SolverStatus.SOLVED:
            break
    return solution


def warmup() -> None:
    """Compile the interior point, or load it from the cache, before the first plan needs it."""
    one = np.ones(1)
    solve(
        HedgeProblem(
            exposure=one,
            target=np.zeros(1),
            lower=-0.5 * one,
            upper=0.5 * one,
            reach=0.1 * one,
            loadings=np.ones((1, 1)),
            covariance=np.ones((1, 1)),
            aversion=1.0,
            penalty=one,
            buy_cost=0.1 * one,
            sell_cost=0.1 * one,
            max_buy=one,
            max_sell=one,
            free_size=one,
            impact=np.zeros(1),
            budget=np.inf,
        )
    )


def _is_worth_solving(problem: HedgeProblem) -> bool:
    if not problem.buy_cost.size or not problem.exposure.size:
        return False
    edge = ((problem.buy_cost < 0.0) & (problem.max_buy > 0.0)) | (
        (problem.sell_cost < 0.0) & (problem.max_sell > 0.0)
    )
    if edge.any() or (problem.tail is not None and problem.tail.price > 0.0):
        return True
    away = (problem.exposure - problem.target) * np.sqrt(np.maximum(np.diagonal(problem.covariance), 0.0))
    priced = problem.aversion > 0.0 and away.any()
    return bool(priced or (problem.penalty * band_violation(problem, problem.exposure)).any())


def _by_interior_point(problem: HedgeProblem, one: ScaledProblem, at: Units) -> Solution | None:
    if (one.box[1] - one.box[0] < _LEAST_ROOM).any():
        return None
    m, k = one.cost.size, one.exposure.size
    converged, iterations, _, link, x, z = interior_point(
        one.loadings, one.covariance, one.column, one.sign, one.cost, one.curvature, one.caps, one.uses,
        one.resource, one.exposure, one.box, one.bands, one.penalty, _START, _AIM, _ITERATIONS,
    )  # fmt: skip
    if not converged:
        return None
    prices = z[2 * m : 2 * m + 6 * k].reshape(6, k)
    found = Multipliers(
        link=link,
        bands=prices[[2, 4]],
        box=prices[:2],
        caps=z[m : 2 * m],
        floors=z[:m],
        rows=z[2 * m + 6 * k :],
    )
    quality = optimality(one, x[:m], found)
    if not quality.within(_ACCEPT):
        return None
    return Solution(
        status=SolverStatus.SOLVED,
        trades=_contracts(problem, one, at, x[:m]),
        iterations=iterations,
        primal_residual=quality.primal,
        duality_gap=quality.gap,
        binding=binding(problem, one, at, found),
    )


def _by_piqp(problem: HedgeProblem, one: ScaledProblem, at: Units) -> Solution:
    found = solve_by_piqp(one, problem.tail, at)
    solved = found.status is SolverStatus.SOLVED
    return Solution(
        status=found.status,
        trades=_contracts(problem, one, at, found.size) if solved else np.zeros(problem.buy_cost.size),
        iterations=found.iterations,
        primal_residual=found.primal,
        duality_gap=found.gap,
        binding=binding(problem, one, at, found.multipliers) if solved else (),
        fallback=True,
    )


def _contracts(problem: HedgeProblem, one: ScaledProblem, at: Units, size: FloatArray) -> FloatArray:
    net = np.bincount(one.column, weights=one.sign * size, minlength=problem.buy_cost.size)
    return np.clip(net * at.trade, -problem.max_sell, problem.max_buy)
