"""The hedge problem in units of order one, by sides: what both solvers see.

Exposures are counted in the risk of the factor that is furthest away, trades in what moves that much risk.
Each instrument has up to four sides: bought and sold, up to its free size and beyond it, where impact adds
a quadratic cost. Sides with no room are left out.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.optimiser.problem import HedgeProblem, band_violation, resource_rows

__all__ = ["ScaledProblem", "Units", "moneys", "scale_problem", "units_of"]

_LEAST_CAP = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Size of one scaled unit; `factor` is scaled exposure per exposure, shape (k,).

    Parameters
    ----------
    factor : FloatArray, shape (k,)
    trade : FloatArray, shape (n,)
        Contracts.
    risk : float
        USD of standard deviation.
    money : float
        USD.
    """

    factor: FloatArray
    trade: FloatArray
    risk: float
    money: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledProblem:
    """Arguments of the solvers; see `ivhedge.hedge.optimiser.interior_point`."""

    loadings: FloatArray
    covariance: FloatArray
    column: IntArray
    sign: FloatArray
    cost: FloatArray
    curvature: FloatArray
    caps: FloatArray
    uses: FloatArray
    resource: FloatArray
    exposure: FloatArray
    box: FloatArray
    bands: FloatArray
    penalty: FloatArray


def units_of(problem: HedgeProblem) -> Units:
    """Units in which exposures, trades and risk are of order one; money is left at 1."""
    sd = np.sqrt(np.maximum(np.diagonal(problem.covariance), 0.0))
    away = np.abs(problem.exposure - problem.target)
    outside = band_violation(problem, problem.exposure)
    far = sd * np.maximum(away, outside)
    risk = float(far.max(initial=0.0)) or _risk_of_edges(problem, sd) or 1.0
    factor = sd / risk
    if not sd.all() or not far.any():
        # No risk to count in: the distance to the band and its width give the size.
        room = np.maximum(problem.upper - problem.exposure, problem.exposure - problem.lower)
        size = np.where(np.isfinite(room), np.abs(room), 0.0)
        size = np.maximum(np.maximum(size, outside), problem.reach)
        banded = np.isfinite(problem.lower) | np.isfinite(problem.upper)
        size = np.where(size > 0.0, size, np.maximum(away, 1.0))
        factor = np.where(sd > 0.0, factor, np.where(banded, 1.0 / size, 0.0))
    reach = np.sqrt(factor**2 @ problem.loadings**2)
    cap = np.maximum(problem.max_buy, problem.max_sell)
    bare = np.where(np.isfinite(cap) & (cap > 0.0), cap, 1.0)
    trade = np.where(reach > 0.0, 1.0 / np.where(reach > 0.0, reach, 1.0), bare)
    return Units(factor=factor, trade=trade, risk=risk, money=1.0)


def _risk_of_edges(problem: HedgeProblem, sd: FloatArray) -> float:
    size = np.where(problem.buy_cost < 0.0, problem.max_buy, 0.0)
    size = np.maximum(size, np.where(problem.sell_cost < 0.0, problem.max_sell, 0.0))
    return float((np.abs(problem.loadings) * sd[:, None]).max(axis=0, initial=0.0) @ size)


def moneys(problem: HedgeProblem, units: Units) -> list[float]:
    """Units of money to try: a steep penalty beside small costs is hard in one and easy in another."""
    cost = np.maximum(np.abs(problem.buy_cost), np.abs(problem.sell_cost)) * units.trade
    banded = (np.isfinite(problem.lower) | np.isfinite(problem.upper)) & (units.factor > 0.0)
    steepest = float((problem.penalty[banded] / units.factor[banded]).max(initial=0.0))
    unit = max(problem.aversion * units.risk**2, float(np.median(cost)) if cost.size else 0.0, 1e-12)
    return list(dict.fromkeys((unit, float(np.sqrt(unit * max(steepest, unit))), max(steepest, unit))))


def scale_problem(problem: HedgeProblem, at: Units) -> ScaledProblem:
    """The problem in `at`; sides that an exhausted budget or margin forbids are left out too."""
    n = problem.buy_cost.size
    names, uses, limits = resource_rows(problem)
    caps = np.concatenate((problem.max_buy, problem.max_sell)) / np.tile(at.trade, 2)
    cost = np.concatenate((problem.buy_cost, problem.sell_cost)) * np.tile(at.trade, 2) / at.money
    column = np.concatenate((np.arange(n), np.arange(n)))
    curvature = np.zeros(2 * n)
    used = np.array([np.concatenate(use) for use in uses]).reshape(len(names), 2 * n) * np.tile(at.trade, 2)
    limit = np.array(limits)
    size = np.where(limit > 0.0, limit, 1.0)
    used = used / size[:, None]
    if (limit <= 0.0).any():
        caps = np.where((used[limit <= 0.0] > 0.0).any(axis=0), 0.0, caps)
        used, limit = used[limit > 0.0], limit[limit > 0.0]
    side = np.repeat((1.0, -1.0), n)
    if problem.impact.any():
        free = np.minimum(np.tile(problem.free_size / at.trade, 2), caps)
        bent = np.tile(problem.impact, 2) * np.tile(at.trade, 2) ** 2 * 2.0 / at.money
        beyond = np.flatnonzero((bent > 0.0) & (caps > free))
        room = (caps - free)[beyond]
        caps = np.where(bent > 0.0, free, caps)
        caps, cost = np.concatenate((caps, room)), np.concatenate((cost, cost[beyond]))
        curvature = np.concatenate((curvature, bent[beyond]))
        column, side = np.concatenate((column, column[beyond])), np.concatenate((side, side[beyond]))
        used = np.concatenate((used, used[:, beyond]), axis=1)
    if not (caps > _LEAST_CAP).all():
        keep = np.flatnonzero(caps > _LEAST_CAP)
        caps, cost, curvature = caps[keep], cost[keep], curvature[keep]
        column, side, used = column[keep], side[keep], used[:, keep]
    factor = at.factor[:, None]
    shift, low_high = problem.target, problem.box
    with np.errstate(invalid="ignore", divide="ignore"):
        # No scale, no bound: 0 · ∞.
        bounds = at.factor * (np.stack((*low_high, problem.upper, problem.lower)) - shift)
        penalty = np.where(at.factor > 0.0, problem.penalty / at.factor, 0.0) / at.money
    bounds = np.where(np.isnan(bounds), np.array([-np.inf, np.inf, np.inf, -np.inf])[:, None], bounds)
    covariance = at.risk**2 * problem.aversion / at.money * problem.covariance
    sd = np.where(at.factor > 0.0, at.factor * at.risk, np.inf)
    return ScaledProblem(
        loadings=np.ascontiguousarray(factor * problem.loadings * at.trade),
        covariance=np.ascontiguousarray(covariance / (sd[:, None] * sd)),
        column=column,
        sign=side,
        cost=cost,
        curvature=curvature,
        caps=caps,
        uses=np.ascontiguousarray(used),
        resource=limit / np.where(limit > 0.0, limit, 1.0),
        exposure=at.factor * (problem.exposure - shift),
        box=bounds[:2],
        bands=bounds[2:],
        penalty=penalty,
    )
