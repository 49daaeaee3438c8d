"""Why a leg is in the plan, in words."""

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.factors import Factors
from ivhedge.hedge.optimiser import HedgeProblem, band_violation

__all__ = ["leg_reason"]


def leg_reason(problem: HedgeProblem, factors: Factors, contracts: FloatArray, row: int) -> str:
    """Say which exposure a leg is there for, from where to where, and how it compares in cost.

    Parameters
    ----------
    problem : HedgeProblem
    factors : Factors
    contracts : FloatArray, shape (n,)
        The whole plan.
    row : int
        The leg's instrument.

    Returns
    -------
    str
        For instance ``"delta -0.42 -> -0.01 coin (leg +0.41); cheapest of 9 for delta"``.
    """
    moved = problem.loadings[:, row] * contracts[row]
    after = problem.exposure + problem.loadings @ contracts
    gain = _gain_by_factor(problem, moved, after)
    order = np.argsort(-np.where(moved != 0.0, gain, -np.inf))
    main, second = int(order[0]), int(order[1])
    text = (
        f"{factors.names[main]} {problem.exposure[main]:+.4g} -> {after[main]:+.4g} {factors.units[main]} "
        f"(leg {moved[main]:+.4g}); {_cost_rank(problem, factors, main, row, buys=contracts[row] > 0)}"
    )
    if moved[second] != 0.0 and gain[second] > 0.1 * gain[main]:
        text += f"; also {factors.names[second]} {moved[second]:+.4g}"
    return text


def _gain_by_factor(problem: HedgeProblem, moved: FloatArray, after: FloatArray) -> FloatArray:
    # What the leg wins in each factor, on average over doing it first and doing it last: a leg that only
    # undoes another leg's delta is not there for the delta.
    total = np.zeros(moved.size)
    for start in (problem.exposure, after - moved):
        middle = start + 0.5 * moved - problem.target
        violation = band_violation(problem, start) - band_violation(problem, start + moved)
        total += problem.penalty * violation - problem.aversion * moved * (problem.covariance @ middle)
    return total


def _cost_rank(problem: HedgeProblem, factors: Factors, factor: int, row: int, *, buys: bool) -> str:
    cost = np.minimum(problem.buy_cost, problem.sell_cost)
    cost[row] = problem.buy_cost[row] if buys else problem.sell_cost[row]
    load = np.abs(problem.loadings[factor])
    moving = load > 0.0
    ratio = np.where(moving, cost / np.where(moving, load, 1.0), np.inf)
    place = int((ratio < ratio[row]).sum()) + 1
    rank = "cheapest" if place == 1 else f"number {place} in cost"
    return f"{rank} of {int(moving.sum())} that move {factors.names[factor]}"
