"""The programs behind static arbitrage: the best worst case per coin traded, and in whole lots."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import CalibrationError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.hedge.mispricing.outcomes import Outcomes

__all__ = ["Combination", "best_combination", "whole_lots"]

_MERGE = 1e-12
_MIP_SECONDS, _MIP_GAP = 1.0, 0.01
_SHARE = 1e-7  # of the whole, below which a trade is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Trades that lock a profit at every settlement price.

    Parameters
    ----------
    coins : FloatArray, shape (n,)
        Of each trade; sum at most 1.
    profit : float
        Least value at expiry, as a share of the reference price.
    """

    coins: FloatArray
    profit: float


def best_combination(found: Outcomes, available: BoolArray, *, reference: float) -> Combination:
    """Find the trades with the largest least value at expiry per coin traded.

    Parameters
    ----------
    found : Outcomes
    available : BoolArray, shape (n,)
        Trades that may be used.
    reference : float
        Price that makes numbers free of units, USD.

    Returns
    -------
    Combination
        Of profit 0 where there is no arbitrage: by duality some pricing measure then agrees with all offers.

    Raises
    ------
    CalibrationError
        If the solver gives up.

    Notes
    -----
    Maximise m subject to V(S) >= m at S = 0 and at each knot, a slope at or above 0 beyond the last, and one
    coin in total; V is carried from knot to knot by its slope, so that the matrix is sparse. The
    normalisation makes the answer one arbitrage of few legs instead of the sum of all.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    rows = np.flatnonzero(available & found.fits)
    coins = np.zeros(available.size)
    if rows.size == 0:
        return Combination(coins=coins, profit=0.0)
    unit = found.size[rows] * reference
    value0, slope0 = found.value0[rows] / unit, found.slope0[rows] / found.size[rows]
    jump = found.jump[rows] / found.size[rows, None]
    points, at = _points(found.knot[rows] / reference, jump)
    n, j = rows.size, points.size  # points[0] = 0
    m, slopes, values = n, n + 1, n + 1 + j  # columns: trades, m, slope behind each point, V - m at each
    k = np.arange(j)
    ones = np.ones(j)
    trade, side = np.nonzero(jump)
    entries = [
        # Slope behind the first point, then from point to point.
        (np.zeros(n, dtype=np.int64), np.arange(n), -slope0),
        (at[trade, side], trade, -jump[trade, side]),
        (k, slopes + k, ones),
        (k[1:], slopes + k[1:] - 1, -ones[1:]),
        # Value at 0, then from point to point.
        (np.full(n, j), np.arange(n), -value0),
        (np.array([j]), np.array([m]), np.ones(1)),
        (j + k, values + k, ones),
        (j + k[1:], values + k[1:] - 1, -ones[1:]),
        (j + k[1:], slopes + k[1:] - 1, -np.diff(points)),
    ]
    r, c, v = (np.concatenate([entry[part] for entry in entries]) for part in range(3))
    width = n + 1 + 2 * j
    equal = coo_array((v, (r, c)), shape=(2 * j, width)).tocsr()
    total = coo_array((np.ones(n), (np.zeros(n, dtype=np.int64), np.arange(n))), shape=(1, width)).tocsr()
    low = np.concatenate((np.zeros(n + 1), np.full(j, -np.inf), np.zeros(j)))
    low[slopes + j - 1] = 0.0
    high = np.full(width, np.inf)
    goal = np.zeros(width)
    goal[m] = -1.0
    bounds, nothing = np.column_stack((low, high)), np.zeros(2 * j)
    # Now and then the simplex gives up; the interior point then ends at a vertex as well.
    for method in ("highs-ds", "highs-ipm"):
        solved = linprog(goal, A_ub=total, b_ub=[1.0], A_eq=equal, b_eq=nothing, bounds=bounds, method=method)
        if solved.status == 0:
            break
    else:
        raise CalibrationError(f"expected the linear program to be solved, found: {solved.message}")
    used: FloatArray = np.maximum(solved.x[:n], 0.0)
    coins[rows] = np.where(used > _SHARE * max(float(used.max()), _SHARE), used, 0.0)
    return Combination(coins=coins, profit=max(float(-solved.fun), 0.0))


def whole_lots(
    found: Outcomes, legs: IntArray, *, lot: FloatArray, least: FloatArray, room: FloatArray
) -> tuple[FloatArray, float]:
    """Sizes in whole lots with the largest least value, of a few trades.

    Parameters
    ----------
    found : Outcomes
    legs : IntArray, shape (l,)
        Positions of the trades.
    lot, least, room : FloatArray, shape (l,)
        Contracts: step, smallest order, most.

    Returns
    -------
    contracts : FloatArray, shape (l,)
        All 0 where no whole lots gain.
    profit : float
        USD.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    points = np.concatenate(([0.0], np.unique(found.knot[legs][found.jump[legs] != 0.0])))
    value = found.at(points)[legs].T * lot
    slope = (found.slope0 + found.jump.sum(axis=1))[legs] * lot
    scale = float(np.abs(value).max())
    value = np.column_stack((value / scale, -np.ones(points.size)))
    slope = np.append(slope / max(float(np.abs(slope).max()), 1e-300), 0.0)
    most = np.floor(room / lot * (1.0 + 1e-12))
    none = np.zeros(legs.size), 0.0
    solved = milp(
        np.append(np.zeros(legs.size), -1.0),
        constraints=LinearConstraint(np.vstack((value, slope)), 0.0, np.inf),
        integrality=np.append(np.ones(legs.size), 0.0),
        bounds=Bounds(np.zeros(legs.size + 1), np.append(most, np.inf)),
        options={"time_limit": _MIP_SECONDS, "mip_rel_gap": _MIP_GAP},
    )  # fmt: skip
    if solved.x is None:
        return none
    contracts = np.round(solved.x[:-1]) * lot
    if ((contracts > 0.0) & (contracts < least * (1.0 - 1e-12))).any():
        return none
    whole = np.zeros(found.size.size)
    whole[legs] = contracts
    profit, _ = found.worst(whole)
    return (contracts, profit) if profit > 0.0 else none


def _points(knot: FloatArray, jump: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ascending points with 0 in front, and the position of every knot among them."""
    live = np.where(jump != 0.0, knot, 0.0)
    flat = np.concatenate(([0.0], np.sort(live.ravel())))
    fresh = np.concatenate(([True], np.diff(flat) > _MERGE * np.maximum(flat[1:], 1.0)))
    points = flat[fresh]
    at = np.searchsorted(points, live * (1.0 - _MERGE) - _MERGE, side="left")
    return points, np.minimum(at, points.size - 1)
