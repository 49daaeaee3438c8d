"""Few options instead of many: forward selection with exchanges.

A plan with at most m options is a subset problem; all subsets are too many. A future first takes up what it
can: it keeps delta where a narrow band wants it, or else removes as much risk as it can. Then the option
joins that leaves the least risk and cost together with those chosen before, all candidates judged at once:
coordinate descent with the soft threshold of their costs over every trial set, and the aversion brought to
``price / deviation`` in between. At the end each one chosen may be exchanged for a better one. The sizes
come from the programme, over the chosen alone; the cost of futures is left to it too.

References
----------
Friedman, Hastie, Höfling, Tibshirani (2007), Pathwise coordinate optimization, section 2.
Miller (2002), Subset selection in regression, chapter 3.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.hedge.optimiser import HedgeProblem

__all__ = ["Reduced", "choose_options", "reduce"]

_ROUNDS, _SWEEPS, _EXCHANGES = 4, 3, 2
_WORTH = 1e-3
_DELTA = 0
_NARROW = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """Risk and band violations as quadratics in the trades, spot's share taken up by a future.

    Parameters
    ----------
    risk : tuple of (FloatArray (n, n), FloatArray (n,), float)
        Variance ``x'Hx + 2 g'x + v``.
    bands : the same
        Quadratic that stands in for the penalty of violated bands, USD.
    problem : HedgeProblem
    price : float or None
        Of a USD of standard deviation; None where the aversion is given.
    """

    risk: tuple[FloatArray, FloatArray, float]
    bands: tuple[FloatArray, FloatArray, float]
    problem: HedgeProblem
    price: float | None


def reduce(problem: HedgeProblem, is_option: BoolArray, price: float | None) -> Reduced:
    """Set up the quadratics and take out the future that hedges best."""
    load, start = problem.loadings, problem.exposure
    futures = np.flatnonzero(~is_option & (problem.max_buy + problem.max_sell > 0.0))
    best, narrow = None, False
    if futures.size:
        cost = np.maximum(problem.buy_cost + problem.sell_cost, 1e-12)[futures]
        best = int(futures[np.argmax(np.abs(load[_DELTA, futures]) / cost)])
        narrow = _is_narrow(problem, best)
    if best is not None and narrow:
        # Delta to the near edge of its band, and kept there whatever option is added.
        share = load[_DELTA] / load[_DELTA, best]
        to_edge = np.clip(start[_DELTA], problem.lower[_DELTA], problem.upper[_DELTA]) - start[_DELTA]
        start = start + load[:, best] * (to_edge / load[_DELTA, best])
        load = load - np.outer(load[:, best], share)
    outside = np.maximum(np.maximum(problem.lower - start, start - problem.upper), 0.0)
    weight = np.where(outside > 0.0, problem.penalty / np.where(outside > 0.0, outside, 1.0), 0.0)
    edge = np.clip(start, problem.lower, problem.upper)
    risk = _quadratic(load, problem.covariance, start - problem.target)
    bands = _quadratic(load, np.diag(weight), start - edge)
    if best is not None and not narrow:
        risk, bands = _without(risk, best), _without(bands, best)
    return Reduced(risk=risk, bands=bands, problem=problem, price=price)


def choose_options(reduced: Reduced, usable: IntArray, held: IntArray, limit: int) -> IntArray:
    """Columns of at most `limit` options that hedge best together, those already held counted first.

    Parameters
    ----------
    reduced : Reduced
    usable : IntArray
        Columns of options that can be traded.
    held : IntArray
        Those of them that are held as hedges: they stay, and fill the limit.
    limit : int

    Returns
    -------
    IntArray
        Ascending.
    """
    chosen = [int(j) for j in held]
    free = [int(j) for j in usable if j not in set(chosen)]
    value = float(_score(reduced, np.array([chosen], dtype=np.int64))[0])
    while len(chosen) < limit and free:
        scores = _score(reduced, np.array([[*chosen, j] for j in free], dtype=np.int64))
        best = int(scores.argmin())
        if not scores[best] < value - _WORTH * abs(value):
            break
        value = float(scores[best])
        chosen.append(free.pop(best))
    for _ in range(_EXCHANGES):
        moved = False
        for place in range(len(held), len(chosen)):
            others = [*chosen[:place], *chosen[place + 1 :]]
            if not free:
                break
            scores = _score(reduced, np.array([[*others, j] for j in free], dtype=np.int64))
            best = int(scores.argmin())
            if scores[best] < value - _WORTH * abs(value):
                value, moved = float(scores[best]), True
                chosen[place], free[best] = free[best], chosen[place]
        if not moved:
            break
    return np.array(sorted(chosen), dtype=np.int64)


def _is_narrow(problem: HedgeProblem, future: int) -> bool:
    # A band inside which the future can change little of the risk.
    width = problem.upper[_DELTA] - problem.lower[_DELTA]
    load = problem.loadings[:, future]
    if not (np.isfinite(width) and load[_DELTA] != 0.0):
        return False
    swing = 0.5 * width / abs(load[_DELTA]) * np.sqrt(load @ problem.covariance @ load)
    away = problem.exposure - problem.target
    without = away - load * (away[_DELTA] / load[_DELTA])
    return bool(swing <= _NARROW * np.sqrt(without @ problem.covariance @ without))


def _score(reduced: Reduced, sets: IntArray) -> FloatArray:
    """Objective of the best trades in each set of columns, shape (J,) for sets (J, m)."""
    problem, (big, slope, rest) = reduced.problem, reduced.risk
    band_big, band_slope, band_rest = reduced.bands
    pairs = (sets[:, :, None], sets[:, None, :])
    h, g, hb, gb = big[pairs], slope[sets], band_big[pairs], band_slope[sets]
    up, down = problem.buy_cost[sets], problem.sell_cost[sets]
    most, least = problem.max_buy[sets], -problem.max_sell[sets]
    x = np.zeros(sets.shape)
    sd = np.full(sets.shape[0], np.sqrt(max(rest, 0.0)))
    floor = 1e-6 * np.sqrt(max(rest, 0.0)) + 1e-12
    a = np.full(sets.shape[0], problem.aversion)
    for _ in range(_ROUNDS):
        if reduced.price is not None:
            a = reduced.price / np.maximum(sd, floor)
        whole = a[:, None, None] * h + hb
        linear = a[:, None] * g + gb
        for _ in range(_SWEEPS if sets.shape[1] > 1 else 1):
            for c in range(sets.shape[1]):
                curve = whole[:, c, c]
                pull = linear[:, c] + (whole[:, c] * x).sum(axis=1) - curve * x[:, c]
                step = np.where(-pull > up[:, c], -pull - up[:, c], np.minimum(-pull + down[:, c], 0.0))
                x[:, c] = np.clip(step / np.where(curve > 0.0, curve, np.inf), least[:, c], most[:, c])
        variance = rest + 2.0 * np.einsum("jm,jm->j", g, x) + np.einsum("jm,jmk,jk->j", x, h, x)
        sd = np.sqrt(np.maximum(variance, 0.0))
    penalty = 0.5 * (band_rest + 2.0 * (gb * x).sum(axis=1) + np.einsum("jm,jmk,jk->j", x, hb, x))
    cost = (up * np.maximum(x, 0.0) + down * np.maximum(-x, 0.0)).sum(axis=1)
    risk = 0.5 * problem.aversion * sd**2 if reduced.price is None else reduced.price * sd
    return np.asarray(risk + penalty + cost)


def _quadratic(
    load: FloatArray, matrix: FloatArray, away: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    weighted = matrix @ load
    return np.asarray(load.T @ weighted), np.asarray(weighted.T @ away), float(away @ matrix @ away)


def _without(form: tuple[FloatArray, FloatArray, float], j: int) -> tuple[FloatArray, FloatArray, float]:
    big, slope, rest = form
    if not big[j, j] > 0.0:
        return form
    column = big[:, j] / big[j, j]
    return (
        big - np.outer(column, big[j]),
        slope - column * slope[j],
        max(rest - float(slope[j]) ** 2 / float(big[j, j]), 0.0),
    )
