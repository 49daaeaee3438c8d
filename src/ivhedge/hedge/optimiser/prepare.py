"""`ivhedge.hedge.optimiser.scaling` as one compiled pass, for the interior point."""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.optimiser.definite import is_semidefinite
from ivhedge.hedge.optimiser.problem import HedgeProblem
from ivhedge.hedge.optimiser.scaling import ScaledProblem, Units
from ivhedge.pricing.jit import njit

__all__ = ["prepare"]

_SUMS = {"reassoc", "contract", "nsz", "arcp"}
_NONE = np.zeros(0)


def prepare(problem: HedgeProblem, wider: bool) -> tuple[bool, Units, ScaledProblem]:
    """Check and scale a problem.

    Parameters
    ----------
    problem : HedgeProblem
    wider : bool
        Take the second unit of money of `ivhedge.hedge.optimiser.scaling.moneys`.

    Returns
    -------
    bool
        Whether `ivhedge.hedge.optimiser.problem.check` has nothing to say; if not, the rest means nothing.
    Units
    ScaledProblem
        As `ivhedge.hedge.optimiser.scaling.scale_problem` makes it.
    """
    low, high = problem.box
    buy_charge, sell_charge = problem.charges
    margin = problem.margin
    good, risk, money, factor, trade, loadings, covariance, column, sides, uses, resource, at_k = _prepare(
        problem.exposure, problem.target, problem.lower, problem.upper, problem.reach,
        np.ascontiguousarray(problem.loadings), np.ascontiguousarray(problem.covariance),
        problem.aversion, problem.penalty, problem.buy_cost, problem.sell_cost, problem.max_buy,
        problem.max_sell, problem.free_size, problem.impact, buy_charge, sell_charge, problem.budget,
        _NONE if margin is None else margin, problem.margin_cap, low, high, wider,
    )  # fmt: skip
    return (
        bool(good),
        Units(factor=factor, trade=trade, risk=risk, money=money),
        ScaledProblem(
            loadings=loadings,
            covariance=covariance,
            column=column,
            sign=sides[0],
            cost=sides[1],
            curvature=sides[2],
            caps=sides[3],
            uses=uses,
            resource=resource,
            exposure=at_k[0],
            box=at_k[1:3],
            bands=at_k[3:5],
            penalty=at_k[5],
        ),
    )


@njit(fastmath=_SUMS)
def _prepare(
    exposure: FloatArray,
    target: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    reach: FloatArray,
    loadings: FloatArray,
    covariance: FloatArray,
    aversion: float,
    penalty: FloatArray,
    buy_cost: FloatArray,
    sell_cost: FloatArray,
    max_buy: FloatArray,
    max_sell: FloatArray,
    free_size: FloatArray,
    impact: FloatArray,
    buy_charge: FloatArray,
    sell_charge: FloatArray,
    budget: float,
    margin: FloatArray,
    margin_cap: float,
    box_low: FloatArray,
    box_high: FloatArray,
    wider: bool,
) -> tuple[
    bool,
    float,
    float,
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
    IntArray,
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
]:
    k, n = loadings.shape
    inf = np.inf
    good = 0.0 <= aversion < inf and budget >= 0.0 and margin_cap >= 0.0
    sd, factor, trade = np.empty(k), np.zeros(k), np.zeros(n)
    risk, uneven = 0.0, False
    for i in range(k):
        good &= abs(exposure[i]) < inf and abs(target[i]) < inf and lower[i] <= upper[i]
        good &= 0.0 <= reach[i] < inf and 0.0 <= penalty[i] < inf
        sd[i] = max(covariance[i, i], 0.0) ** 0.5
        outside = max(lower[i] - exposure[i], exposure[i] - upper[i], 0.0)
        risk = max(risk, sd[i] * max(abs(exposure[i] - target[i]), outside))
        uneven |= not sd[i] > 0.0
    for i in range(k):
        total = 0.0
        for h in range(k):
            total += abs(covariance[i, h])
        good &= total < inf
    good = good and is_semidefinite(covariance)
    far = risk > 0.0
    for j in range(n):
        buy, sell = buy_cost[j], sell_cost[j]
        good &= abs(buy) < inf and abs(sell) < inf and 0.0 <= impact[j] < inf and free_size[j] >= 0.0
        good &= max_buy[j] >= 0.0 and max_sell[j] >= 0.0
        good &= buy + sell >= -1e-12 * (abs(buy) + abs(sell))
        good &= 0.0 <= buy_charge[j] < inf and 0.0 <= sell_charge[j] < inf
        good &= not ((buy < 0.0 and max_buy[j] == inf) or (sell < 0.0 and max_sell[j] == inf))
        if margin.size:
            good &= 0.0 <= margin[j] < inf
        if not far and (buy < 0.0 or sell < 0.0):
            size = max(max_buy[j] if buy < 0.0 else 0.0, max_sell[j] if sell < 0.0 else 0.0)
            most = 0.0
            for i in range(k):
                most = max(most, abs(loadings[i, j]) * sd[i])
            risk += most * size
    if not risk > 0.0:
        risk = 1.0
    for i in range(k):
        factor[i] = sd[i] / risk
        if uneven and not sd[i] > 0.0:
            banded = lower[i] > -inf or upper[i] < inf
            size = max(upper[i] - exposure[i], exposure[i] - lower[i])
            size = abs(size) if size < inf else 0.0
            size = max(size, lower[i] - exposure[i], exposure[i] - upper[i], reach[i])
            if not size > 0.0:
                size = max(abs(exposure[i] - target[i]), 1.0)
            factor[i] = 1.0 / size if banded else 0.0
    for i in range(k):
        square = factor[i] ** 2
        for j in range(n):
            trade[j] += square * loadings[i, j] ** 2
    for j in range(n):
        good &= trade[j] < inf
        cap = max(max_buy[j], max_sell[j])
        if trade[j] > 0.0:
            trade[j] = 1.0 / trade[j] ** 0.5
        else:
            trade[j] = cap if 0.0 < cap < inf else 1.0
    dear = np.empty(n)
    for j in range(n):
        dear[j] = max(abs(buy_cost[j]), abs(sell_cost[j])) * trade[j]
    money = max(aversion * risk**2, np.median(dear) if n else 0.0, 1e-12)
    if wider:
        steepest = 0.0
        for i in range(k):
            if (lower[i] > -inf or upper[i] < inf) and factor[i] > 0.0:
                steepest = max(steepest, penalty[i] / factor[i])
        money = (money * max(steepest, money)) ** 0.5
    # Sides: buys, sells, then both beyond the free size.
    rows = int(budget < inf) + int(margin.size > 0 and margin_cap < inf)
    column, sides = np.empty(4 * n, np.int64), np.empty((4, 4 * n))
    uses, limits = np.empty((rows, 4 * n)), np.empty(rows)
    m = 0
    for part in range(4):
        buys, beyond = part % 2 == 0, part > 1
        for j in range(n):
            unit = trade[j]
            cap = (max_buy[j] if buys else max_sell[j]) / unit
            curved = impact[j] > 0.0
            free = min(free_size[j] / unit, cap) if curved else cap
            room = cap - free if beyond else free
            if beyond and not (curved and cap > free):
                continue
            r, dead = 0, False
            if budget < inf:
                uses[r, m] = (buy_charge[j] if buys else sell_charge[j]) * unit
                dead |= budget <= 0.0 and uses[r, m] > 0.0
                uses[r, m] /= budget if budget > 0.0 else 1.0
                limits[r] = budget
                r += 1
            if margin.size and margin_cap < inf:
                uses[r, m] = margin[j] * unit
                dead |= margin_cap <= 0.0 and uses[r, m] > 0.0
                uses[r, m] /= margin_cap if margin_cap > 0.0 else 1.0
                limits[r] = margin_cap
            if dead or not room > 1e-9:
                continue
            column[m] = j
            sides[0, m] = 1.0 if buys else -1.0
            sides[1, m] = (buy_cost[j] if buys else sell_cost[j]) * unit / money
            sides[2, m] = 2.0 * impact[j] * unit**2 / money if beyond else 0.0
            sides[3, m] = room
            m += 1
    alive = 0
    for r in range(rows):
        if limits[r] > 0.0:
            for s in range(m):
                uses[alive, s] = uses[r, s]
            alive += 1
    scaled, around = np.empty((k, n)), np.empty((k, k))
    quadratic = risk**2 * aversion / money
    at = np.empty((6, k))
    for i in range(k):
        share = factor[i]
        for j in range(n):
            scaled[i, j] = share * loadings[i, j] * trade[j]
        for h in range(k):
            both = share * factor[h] * risk**2
            around[i, h] = quadratic * covariance[i, h] / both if both > 0.0 else 0.0
        at[0, i] = share * (exposure[i] - target[i])
        at[1, i] = share * (box_low[i] - target[i]) if box_low[i] > -inf else -inf
        at[2, i] = share * (box_high[i] - target[i]) if box_high[i] < inf else inf
        at[3, i] = share * (upper[i] - target[i]) if upper[i] < inf else inf
        at[4, i] = share * (lower[i] - target[i]) if lower[i] > -inf else -inf
        at[5, i] = penalty[i] / share / money if share > 0.0 else 0.0
    return (
        good,
        risk,
        money,
        factor,
        trade,
        scaled,
        around,
        column[:m].copy(),
        sides[:, :m].copy(),
        uses[:alive, :m].copy(),
        np.ones(alive),
        at,
    )
