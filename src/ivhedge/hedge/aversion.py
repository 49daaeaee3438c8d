"""The price of risk: a programme in the variance whose answer minimises cost plus price times deviation.

The risk term of the programme is quadratic, ``½ a v`` for a variance v. With ``a = price / s`` it touches
``price · √v`` from above (up to a constant) where √v = s, hence solving with s = the deviation that the last
answer left never raises cost + price · deviation, and at a fixed point the answer minimises it. Then a plan
on an unchanged market asks for no further trade, and the price is what the last USD of deviation cost.

References
----------
Hunter, Lange (2004), A tutorial on MM algorithms, section 2.
"""

from dataclasses import replace
from math import sqrt

from ivhedge.core.types import FloatArray
from ivhedge.hedge.optimiser import HedgeProblem, Solution, SolverStatus, objective, solve, variance

__all__ = ["priced_objective", "solve_at_price"]

_TOLERANCE = 0.01
_MAX_SOLVES = 12
_FLOOR = 1e-3  # share of the first deviation; what little is left below it has no price worth knowing


def solve_at_price(problem: HedgeProblem, risk_price: float) -> tuple[HedgeProblem, Solution]:
    """Find the aversion at which one USD of standard deviation is worth `risk_price`, and solve there.

    Parameters
    ----------
    problem : HedgeProblem
        With ``aversion = risk_price / deviation`` of its own exposure.
    risk_price : float
        USD per USD of standard deviation, >= 0.

    Returns
    -------
    HedgeProblem
        The problem with the aversion found.
    Solution
        Its solution; that of the last problem the solver could finish.
    """
    first = sqrt(variance(problem, problem.exposure))
    solution = solve(problem)
    if solution.status is not SolverStatus.SOLVED or risk_price == 0.0 or first == 0.0:
        return problem, solution
    tried, left, slope = first, _left(problem, solution), 0.0
    for _ in range(_MAX_SOLVES - 1):
        if abs(left - tried) <= _TOLERANCE * tried or max(left, tried) <= _FLOOR * first:
            break
        guess = max(_ahead(tried, left, slope), _FLOOR * first)
        other = replace(problem, aversion=risk_price / guess)
        found = solve(other)
        if found.status is not SolverStatus.SOLVED:
            break
        problem, solution = other, found
        before, tried, left = (tried, left), guess, _left(other, found)
        slope = (left - before[1]) / (tried - before[0]) if tried != before[0] else 0.0
    return problem, solution


def _ahead(tried: float, left: float, slope: float) -> float:
    # The secant's fixed point: the deviation left rises with the one tried, more slowly than it. A factor
    # of four at most, as the slope changes where a band or a cap comes into play.
    slope = min(max(slope, 0.0), 0.9)
    guess = (left - slope * tried) / (1.0 - slope)
    return min(max(guess, 0.25 * left), 4.0 * left)


def priced_objective(problem: HedgeProblem, trades: FloatArray, risk_price: float) -> float:
    """Cost, band penalties and `risk_price` times the standard deviation left by trades, USD.

    Parameters
    ----------
    problem : HedgeProblem
        Its aversion plays no part.
    trades : FloatArray, shape (n,)
    risk_price : float
    """
    after = variance(problem, problem.exposure + problem.loadings @ trades)
    return objective(problem, trades) - 0.5 * problem.aversion * after + risk_price * sqrt(after)


def _left(problem: HedgeProblem, solution: Solution) -> float:
    return sqrt(variance(problem, problem.exposure + problem.loadings @ solution.trades))
