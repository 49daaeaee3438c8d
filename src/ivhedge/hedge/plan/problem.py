"""The programme of a plan: rows of risk, costs by side, penalties that make bands worth keeping."""

from dataclasses import replace

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.hedge.factors import RiskModel
from ivhedge.hedge.limits import HedgeLimits
from ivhedge.hedge.objectives.rows import RESIDUAL, RiskRows
from ivhedge.hedge.optimiser import HedgeProblem
from ivhedge.hedge.plan.candidates import Candidates, SideCosts

__all__ = ["build_problem", "restrict"]

_NOT_MUCH_DEARER = 5.0


def build_problem(
    rows: RiskRows, risk: RiskModel, limits: HedgeLimits, candidates: Candidates, sides: SideCosts
) -> HedgeProblem:
    """The programme over all candidates."""
    factors = rows.factors
    away = rows.exposure - factors.target
    sd = float(np.sqrt(away @ factors.covariance @ away))
    aversion = risk.aversion if risk.aversion is not None else (risk.risk_price / sd if sd > 0.0 else 0.0)
    banded = np.isfinite(factors.lower) | np.isfinite(factors.upper)
    price, finest = _ways_back(rows.loadings, sides.plain, candidates.lot, banded)
    return HedgeProblem(
        exposure=rows.exposure,
        target=factors.target,
        lower=factors.lower,
        upper=factors.upper,
        reach=finest,
        loadings=rows.loadings,
        covariance=factors.covariance,
        aversion=aversion,
        penalty=risk.band_penalty * (price + max(aversion * sd, risk.risk_price) * rows.row_sd),
        buy_cost=sides.buy,
        sell_cost=sides.sell,
        max_buy=sides.max_buy,
        max_sell=sides.max_sell,
        free_size=candidates.column("free_size"),
        impact=candidates.column("impact") * sides.per_day,
        budget=_budget(limits, sides),
        buy_charge=np.maximum(sides.buy + sides.edge_buy * sides.per_day, 0.0),
        sell_charge=np.maximum(sides.sell + sides.edge_sell * sides.per_day, 0.0),
    )


def _budget(limits: HedgeLimits, sides: SideCosts) -> float:
    if limits.max_cost_usd is None:
        return float("inf")
    # The margin takes up the rounding of fees; the limit itself is checked on the charged costs. Where a USD
    # of cost counts differently from one candidate to another, the one that counts least bounds them all.
    return 0.998 * limits.max_cost_usd * float(sides.per_day.min(initial=1.0))


def _ways_back(
    loadings: FloatArray, cost: FloatArray, lot: FloatArray, banded: BoolArray
) -> tuple[FloatArray, FloatArray]:
    # Per banded factor: USD per unit of exposure by the cheapest instrument, and the exposure of one lot of
    # the finest among those that are not much dearer. A tiny loading at a high price is no way back.
    price, finest = np.zeros(loadings.shape[0]), np.zeros(loadings.shape[0])
    for i in np.flatnonzero(banded):
        load = np.abs(loadings[i])
        moving = load > 0.0
        if moving.any():
            ratio = cost[moving] / load[moving]
            price[i] = ratio.min()
            finest[i] = (load * lot)[moving][ratio <= _NOT_MUCH_DEARER * ratio.min()].min()
    return price, finest


def restrict(problem: HedgeProblem, rows: RiskRows, keep: IntArray) -> tuple[HedgeProblem, RiskRows]:
    """The programme over some of the candidates; own risk that they do not touch goes into the book's row."""
    names, loads = rows.factors.names, problem.loadings[:, keep]
    own = np.array([name.startswith(RESIDUAL) for name in names], dtype=np.bool_)
    idle = np.flatnonzero(own & ~loads.any(axis=1))
    exposure = problem.exposure.copy()
    stay = np.ones(len(names), dtype=np.bool_)
    if idle.size > 1:
        # Independent with one variance each, hence the root of the squares in one row.
        exposure[idle[0]] = np.sqrt(float((exposure[idle] ** 2).sum()))
        stay[idle[1:]] = False
    at = np.flatnonzero(stay)
    factors = replace(
        rows.factors,
        names=tuple(names[i] for i in at),
        units=tuple(rows.factors.units[i] for i in at),
        target=rows.factors.target[at],
        lower=rows.factors.lower[at],
        upper=rows.factors.upper[at],
        covariance=rows.factors.covariance[np.ix_(at, at)],
    )
    tail = rows.tail
    if tail is not None:
        tail = replace(tail, candidates=tail.candidates[:, keep])
    fewer = replace(
        problem.columns(keep),
        exposure=exposure[at],
        target=factors.target,
        lower=factors.lower,
        upper=factors.upper,
        reach=problem.reach[at],
        loadings=loads[at],
        covariance=factors.covariance,
        penalty=problem.penalty[at],
    )
    return fewer, replace(
        rows, factors=factors, exposure=exposure[at], loadings=loads[at], row_sd=rows.row_sd[at], tail=tail
    )
