"""The check of an answer outside the solver's loop, and the limits its multipliers name."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.optimiser.problem import Binding, HedgeProblem, resource_rows
from ivhedge.hedge.optimiser.scaling import ScaledProblem, Units
from ivhedge.pricing.jit import njit

__all__ = ["Multipliers", "Optimality", "binding", "optimality"]

_OF_FACTORS = ("upper", "lower", "box")
_KINDS = (*_OF_FACTORS, "max_buy", "max_sell", "budget", "margin")
_BINDS = 1e-4  # scaled multiplier from which a limit is said to bind


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipliers:
    """Scaled multipliers, all >= 0 but `link`.

    Parameters
    ----------
    link : FloatArray, shape (k,)
        Of y = e + F x.
    bands, box : FloatArray, shape (2, k)
        Upper, lower; high, low.
    caps, floors : FloatArray, shape (m,)
        Of v <= U and of v >= 0.
    rows : FloatArray, shape (rows,)
    """

    link: FloatArray
    bands: FloatArray
    box: FloatArray
    caps: FloatArray
    floors: FloatArray
    rows: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimality:
    """Scaled primal and dual residuals, and the gap between primal and dual value relative to the value."""

    primal: float
    dual: float
    gap: float

    def within(self, tolerance: float) -> bool:
        """Whether all are below a tolerance."""
        return self.primal < tolerance and self.dual < tolerance and abs(self.gap) < tolerance


def optimality(one: ScaledProblem, size: FloatArray, at: Multipliers) -> Optimality:
    """Karush-Kuhn-Tucker residuals of sides `size`, from the problem alone.

    The gap is primal less dual value, that is the sum of multipliers times distances to their limits; the
    exposure is recomputed from the trades, hence whatever the solver thought of it plays no part.
    """
    primal, dual, gap = _optimality(
        one.loadings, one.covariance, one.column, one.sign, one.cost, one.curvature, one.caps, one.uses,
        one.resource, one.exposure, one.box, one.bands, one.penalty, size, at.link, at.bands, at.box,
        at.caps, at.floors, at.rows,
    )  # fmt: skip
    return Optimality(primal=primal, dual=dual, gap=gap)


@njit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def _optimality(
    loadings: FloatArray,
    covariance: FloatArray,
    column: IntArray,
    sign: FloatArray,
    cost: FloatArray,
    curvature: FloatArray,
    caps: FloatArray,
    uses: FloatArray,
    resource: FloatArray,
    exposure: FloatArray,
    box: FloatArray,
    bands: FloatArray,
    penalty: FloatArray,
    size: FloatArray,
    link: FloatArray,
    band_price: FloatArray,
    box_price: FloatArray,
    cap_price: FloatArray,
    floor_price: FloatArray,
    row_price: FloatArray,
) -> tuple[float, float, float]:
    k, n = loadings.shape
    rows, m = uses.shape
    primal, dual, gap, value = 0.0, 0.0, 0.0, 0.0
    trades, pull, y = np.zeros(n), np.zeros(n), np.empty(k)
    for s in range(m):
        trades[column[s]] += sign[s] * size[s]
    for i in range(k):
        moved, price = exposure[i], link[i]
        for j in range(n):
            moved += loadings[i, j] * trades[j]
            pull[j] += loadings[i, j] * price
        y[i] = moved
    for s in range(m):
        slope = cost[s] + curvature[s] * size[s] - sign[s] * pull[column[s]] - floor_price[s] + cap_price[s]
        for r in range(rows):
            slope += row_price[r] * uses[r, s]
        dual = max(dual, abs(slope) / (1.0 + abs(cost[s])))
        primal = max(primal, -size[s], size[s] - caps[s])
        value += (cost[s] + 0.5 * curvature[s] * size[s]) * size[s]
        gap += floor_price[s] * size[s]
        if caps[s] < np.inf:
            gap += cap_price[s] * (caps[s] - size[s])
    for r in range(rows):
        left = resource[r]
        for s in range(m):
            left -= uses[r, s] * size[s]
        primal = max(primal, -left)
        gap += row_price[r] * left
    for i in range(k):
        slope = 0.0
        for h in range(k):
            slope += covariance[i, h] * y[h]
        value += 0.5 * slope * y[i]
        outside = max(y[i] - bands[0, i], bands[1, i] - y[i], 0.0) if penalty[i] > 0.0 else 0.0
        value += penalty[i] * outside
        slope += link[i] + box_price[0, i] - box_price[1, i] + band_price[0, i] - band_price[1, i]
        over = max(band_price[0, i], band_price[1, i]) - penalty[i]
        dual = max(dual, abs(slope) / (1.0 + penalty[i]), over / (1.0 + penalty[i]))
        primal = max(primal, box[0, i] - y[i], y[i] - box[1, i])
        # A soft band: multiplier λ at distance d, penalty π on its slack s: λ (d + s) + (π − λ) s.
        gap += penalty[i] * outside
        if box[0, i] > -np.inf:
            gap += box_price[1, i] * (y[i] - box[0, i])
        if box[1, i] < np.inf:
            gap += box_price[0, i] * (box[1, i] - y[i])
        if bands[0, i] < np.inf:
            gap += band_price[0, i] * (bands[0, i] - y[i])
        if bands[1, i] > -np.inf:
            gap += band_price[1, i] * (y[i] - bands[1, i])
    return primal, dual, gap / max(abs(value), 1e-3)


def binding(problem: HedgeProblem, one: ScaledProblem, at: Units, found: Multipliers) -> tuple[Binding, ...]:
    """Limits with a multiplier, in USD per unit, the dearest of each kind first."""
    m, k = one.cost.size, at.factor.size
    names, uses, limits = resource_rows(problem)
    alive = [(name, limit) for name, limit in zip(names, limits, strict=True) if limit > 0.0]
    prices = np.concatenate((found.bands.ravel(), found.box.max(axis=0), found.caps, found.rows))
    hits = np.flatnonzero(prices > _BINDS)
    named: list[Binding] = []
    for row in hits[np.argsort(-prices[hits], kind="stable")].tolist():
        price = float(prices[row]) * at.money
        if row < 3 * k:
            i = row % k
            named.append(Binding(kind=_OF_FACTORS[row // k], index=i, multiplier=price * float(at.factor[i])))
        elif row < 3 * k + m:
            s = row - 3 * k
            if _is_limit(problem, one, s):
                j = int(one.column[s])
                kind = "max_buy" if one.sign[s] > 0.0 else "max_sell"
                named.append(Binding(kind=kind, index=j, multiplier=price / float(at.trade[j])))
        else:
            name, size = alive[row - 3 * k - m]
            named.append(Binding(kind=name, index=-1, multiplier=price / size))
    named.sort(key=lambda one: _KINDS.index(one.kind))
    # What has run out forbids every trade that uses it; its price is not known.
    for name, use, size in zip(names, uses, limits, strict=True):
        if size <= 0.0 and max(use[0].max(initial=0.0), use[1].max(initial=0.0)) > 0.0:
            named.append(Binding(kind=name, index=-1, multiplier=float("inf")))
    return tuple(named)


def _is_limit(problem: HedgeProblem, one: ScaledProblem, side: int) -> bool:
    # A side up to its free size is bounded by that size where impact goes on beyond, not by a limit.
    j = int(one.column[side])
    most = problem.max_buy[j] if one.sign[side] > 0.0 else problem.max_sell[j]
    return bool(problem.impact[j] == 0.0 or problem.free_size[j] >= most or one.curvature[side] > 0.0)
