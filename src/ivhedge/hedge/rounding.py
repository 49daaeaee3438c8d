"""From real numbers of contracts to lots.

Start from the nearest lots, from the lots towards none and, where these are no good, from no trade; then
move single instruments, and pairs of them, as long as the objective falls. A move of instrument j by d lots
changes the risk by ``a (d F_jᵀS y + ½ d² F_jᵀS F_j)``, which costs O(1) once S F is known. Scenarios of a
tail join as soft bands at their present edge, from above the tail's mean loss everywhere and equal to it at
the lots at hand: what lowers the one lowers the other.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.optimiser import HedgeProblem, leg_charges, objective
from ivhedge.hedge.rounding_kernel import search_lots

__all__ = ["LotGrid", "round_to_lots"]

_SHARES = (1.0, 0.99, 0.97, 0.93, 0.85, 0.7, 0.5, 0.25)
_LEG_WORTH = 1e-3  # share of the objective that one leg less may cost
_PASSES = 12
_WORTH = 1e-6  # share of the objective below which a move is not worth it
_TAIL_EDGES = 4
_MANY = 1e15  # lots; more of them are no longer whole numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class LotGrid:
    """Sizes that can be traded.

    Parameters
    ----------
    lot, min_size : FloatArray, shape (n,)
        Contracts; a trade is 0 or a multiple of `lot` of at least `min_size`.
    """

    lot: FloatArray
    min_size: FloatArray

    @property
    def smallest(self) -> FloatArray:
        """Least lots of a trade, shape (n,)."""
        return np.asarray(np.ceil(self.min_size / self.lot - 1e-9))

    def snap(self, trades: FloatArray) -> IntArray:
        """Nearest lots; below the minimum it is 0 or the minimum, whichever is nearer."""
        lots = np.rint(np.clip(trades / self.lot, -_MANY, _MANY))
        least = self.smallest
        small = (lots != 0.0) & (np.abs(lots) < least)
        lots = np.where(small, np.where(np.abs(lots) * 2.0 >= least, np.sign(lots) * least, 0.0), lots)
        return lots.astype(np.int64)


def round_to_lots(problem: HedgeProblem, trades: FloatArray, grid: LotGrid) -> IntArray:
    """Round trades to lots and improve them by local search.

    Parameters
    ----------
    problem : HedgeProblem
    trades : FloatArray, shape (n,)
        Contracts, not rounded.
    grid : LotGrid

    Returns
    -------
    IntArray, shape (n,)
        Lots within every cap, the budget and the margin, no violation of a band beyond what it is without a
        trade and a lot's reach, and an objective no worse than no trade's; all zero when nothing is better.
    """
    idle = np.zeros(trades.size, dtype=np.int64)
    if idle.size == 0:
        return idle
    search = _Search(problem, grid, wanted=np.flatnonzero(np.abs(trades) > 0.25 * grid.lot))
    idle_value = search.value(idle)
    found, least = idle, idle_value - 1e-9 * (1.0 + abs(idle_value))
    towards_none = np.trunc(trades / grid.lot) * grid.lot
    tried: list[IntArray] = []
    for size in (trades, towards_none, np.zeros(trades.size)):
        start = search.within_limits(size)
        # The search from no trade is for what rounding could not start from.
        if any(np.array_equal(start, other) for other in tried) or (found.any() and not start.any()):
            continue
        tried.append(start)
        lots = search.descend(start)
        if search.is_feasible(lots) and search.value(lots) < least:
            found, least = lots, search.value(lots)
    return found


class _Search:
    def __init__(self, problem: HedgeProblem, grid: LotGrid, wanted: IntArray) -> None:
        self.problem, self.grid, self.wanted = problem, grid, wanted
        lot, (low, high) = grid.lot, problem.box
        most = np.floor(np.minimum(problem.max_buy / lot, _MANY) + 1e-9)
        least = np.floor(np.minimum(problem.max_sell / lot, _MANY) + 1e-9)
        margin = np.zeros(lot.size) if problem.margin is None else problem.margin
        charges = problem.charges
        self.sides = np.stack(
            (
                problem.buy_cost * lot,
                problem.sell_cost * lot,
                charges[0] * lot,
                charges[1] * lot,
                margin * lot if np.isfinite(problem.margin_cap) else 0.0 * lot,
                problem.impact * lot**2,
                problem.free_size / lot,
                most,
                least,
                grid.smallest,
            )
        )
        self.per_lot = problem.loadings * lot
        pull = problem.aversion * (problem.covariance @ self.per_lot)
        self.pull = np.ascontiguousarray(pull.T)
        self.curvature = np.ascontiguousarray(self.per_lot.T @ pull)
        # Leaving the box costs more than anything a move can win.
        away = problem.exposure - problem.target
        sd = np.sqrt(max(float(away @ problem.covariance @ away), 0.0)) + 1e-9
        fence = 1e4 * problem.penalty
        fence = fence + 1e4 * problem.aversion * sd * np.sqrt(
            np.maximum(np.diagonal(problem.covariance), 0.0)
        )
        bands = np.stack((problem.lower, problem.upper, problem.penalty, low, high, fence))
        banded = np.flatnonzero(np.isfinite(problem.lower) | np.isfinite(problem.upper))
        self.rows = banded
        self.bands = np.ascontiguousarray(bands[:, banded])
        self.loads = np.ascontiguousarray(self.per_lot[banded].T)

    def value(self, lots: IntArray) -> float:
        return objective(self.problem, lots * self.grid.lot)

    def within_limits(self, trades: FloatArray) -> IntArray:
        # Rounding up may overspend; shrinking every leg alike keeps their proportions.
        for share in _SHARES:
            lots = np.clip(self.grid.snap(share * trades), -self.sides[8], self.sides[7])
            lots = np.where(np.abs(lots) < self.sides[9], 0.0, lots).astype(np.int64)
            if self._is_affordable(lots):
                return lots
        return np.zeros(trades.size, dtype=np.int64)

    def is_feasible(self, lots: IntArray) -> bool:
        problem, (low, high) = self.problem, self.problem.box
        exposure = problem.exposure + self.per_lot @ lots
        room = 1e-9 * (1.0 + np.abs(problem.exposure))
        inside = (exposure >= low - room).all() and (exposure <= high + room).all()
        return bool(inside) and self._is_affordable(lots)

    def descend(self, start: IntArray) -> IntArray:
        lots = start.astype(np.float64)
        edges = 1 if self.problem.tail is None else _TAIL_EDGES
        for _ in range(edges):
            before = lots.copy()
            self._once(lots)
            if np.array_equal(before, lots):
                break
        return np.rint(lots).astype(np.int64)

    def _once(self, lots: FloatArray) -> None:
        problem = self.problem
        y = problem.exposure + self.per_lot @ lots
        slopes = self.pull @ (y - problem.target)
        bands, loads, at = self.bands, self.loads, y[self.rows]
        if problem.tail is not None:
            bands, loads, at = self._with_tail(lots, bands, loads, at)
        left = np.array(self._left(lots))
        value = abs(objective(problem, lots * self.grid.lot))
        search_lots(
            lots, self.wanted, self.sides, bands, loads, at, slopes, self.curvature, left,
            _WORTH * (1e-3 + value), _LEG_WORTH * value, _PASSES,
        )  # fmt: skip

    def _with_tail(
        self, lots: FloatArray, bands: FloatArray, loads: FloatArray, at: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        tail, lot = self.problem.tail, self.grid.lot
        assert tail is not None
        profit = tail.book + tail.candidates @ (lots * lot)
        order = np.argsort(profit)
        mass = np.cumsum(tail.weights[order])
        edge = profit[order[min(int(np.searchsorted(mass, 1.0 - tail.level)), order.size - 1)]]
        count, free = profit.size, np.full(profit.size, np.inf)
        price = tail.price * tail.weights / (1.0 - tail.level)
        soft = np.stack((np.full(count, edge), free, price, -free, free, np.zeros(count)))
        return (
            np.concatenate((bands, soft), axis=1),
            np.ascontiguousarray(np.concatenate((loads, (tail.candidates * lot).T), axis=1)),
            np.concatenate((at, profit)),
        )

    def _left(self, lots: FloatArray) -> tuple[float, float]:
        problem = self.problem
        charged = float(leg_charges(problem, lots * self.grid.lot).sum())
        return problem.budget - charged, problem.margin_cap - float(self.sides[4] @ np.abs(lots))

    def _is_affordable(self, lots: IntArray) -> bool:
        budget, margin = self._left(lots.astype(np.float64))
        return budget >= 0.0 and margin >= 0.0
