"""From real numbers of contracts to lots.

Start from the nearest lots and from no trade at all; then move single instruments, and pairs of them, as
long as the objective falls. A move of instrument j by d contracts changes the risk by
``a (d F_jᵀS y + ½ d² F_jᵀS F_j)``, which costs O(k) once S F is known.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.optimiser import HedgeProblem, band_violation, leg_costs, objective

__all__ = ["LotGrid", "round_to_lots"]

_MAX_MOVES = 200
_MAX_PAIR_MOVES = 20
_MAX_PAIR_STARTS = 12
_SHARES = (1.0, 0.99, 0.97, 0.93, 0.85, 0.7, 0.5)
_LEG_WORTH = 1e-3  # share of the plan's cost that one leg less may cost
_SCALES = 4 ** np.arange(10)


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

    def snap(self, trades: FloatArray) -> IntArray:
        """Nearest lots; below the minimum it is 0 or the minimum, whichever is nearer."""
        lots = np.rint(trades / self.lot)
        least = np.ceil(self.min_size / self.lot - 1e-9)
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
        Lots within every cap and the budget, no violation of a band beyond what it is without a trade
        and a lot's reach, and an objective no worse than no trade's; all zero when nothing is better.
    """
    idle = np.zeros(trades.size, dtype=np.int64)
    if idle.size == 0:
        return idle
    search = _Search(problem, grid, coarse=np.flatnonzero(np.abs(trades) > 0.25 * grid.lot))
    idle_value = search.value(idle)
    for start in (search.within_budget(trades), idle):
        lots = search.descend(start)
        if search.is_feasible(lots) and search.value(lots) < idle_value - 1e-9 * (1.0 + abs(idle_value)):
            return lots
    return idle


class _Search:
    def __init__(self, problem: HedgeProblem, grid: LotGrid, coarse: IntArray) -> None:
        self.problem, self.grid = problem, grid
        # Pairs start from what the programme wants to trade: the rest was not worth its cost.
        self.coarse = coarse[:_MAX_PAIR_STARTS]
        self.low, self.high = problem.box
        self.max_buy = np.floor(np.minimum(problem.max_buy / grid.lot, 1e15) + 1e-9)
        self.max_sell = np.floor(np.minimum(problem.max_sell / grid.lot, 1e15) + 1e-9)
        self.least = np.ceil(grid.min_size / grid.lot - 1e-9)
        self.per_lot = problem.loadings * grid.lot
        self.risk_loadings = problem.aversion * (problem.covariance @ self.per_lot)
        self.curvature = (self.per_lot * self.risk_loadings).sum(axis=0)
        # Leaving the box costs more than anything a move can win.
        self.fine = 1e4 * problem.penalty + problem.aversion * np.sqrt(np.diag(problem.covariance)) * 1e4 * (
            np.sqrt(max(float(problem.exposure @ problem.covariance @ problem.exposure), 0.0)) + 1e-9
        )

    def value(self, lots: IntArray) -> float:
        return objective(self.problem, lots * self.grid.lot)

    def clip(self, lots: IntArray) -> IntArray:
        clipped = np.clip(lots, -self.max_sell, self.max_buy)
        return np.where(np.abs(clipped) < self.least, 0.0, clipped).astype(np.int64)

    def within_budget(self, trades: FloatArray) -> IntArray:
        # Rounding up may overspend; shrinking every leg alike keeps their proportions.
        for share in _SHARES:
            lots = self.clip(self.grid.snap(share * trades))
            if self._cost(lots.astype(np.float64)).sum() <= self.problem.budget:
                return lots
        return np.zeros(trades.size, dtype=np.int64)

    def is_feasible(self, lots: IntArray) -> bool:
        problem = self.problem
        exposure = problem.exposure + self.per_lot @ lots
        room = 1e-9 * (1.0 + np.abs(problem.exposure))
        inside = (exposure >= self.low - room).all() and (exposure <= self.high + room).all()
        return bool(inside) and bool(self._cost(lots.astype(np.float64)).sum() <= problem.budget)

    def descend(self, lots: IntArray) -> IntArray:
        pairs = 0
        for _ in range(_MAX_MOVES):
            moved = self._single(lots)
            if moved is None and pairs < _MAX_PAIR_MOVES:
                moved, pairs = self._pair(lots), pairs + 1
            if moved is None:
                break
            lots = moved
        return self._merge(lots)

    def _merge(self, lots: IntArray) -> IntArray:
        # Two instruments of equal cost share a trade in the programme; one leg does as well as two.
        # Later candidates go first: perpetuals stand at the front.
        for j in np.flatnonzero(lots)[::-1]:
            exposure, cost = self._state(lots)
            start = lots.copy()
            start[j] = 0
            moved, spent = self._state(start)
            steps = self._steps(start, moved)
            gains = self._gains(start, steps, moved, spent, self._budget(cost))
            gains[start == 0] = np.inf
            worth = _LEG_WORTH * float(cost.sum()) - self._change(exposure, cost, moved, spent)
            found = self._take(start, gains, steps, worth)
            lots = lots if found is None else found
        return lots

    def _cost(self, lots: FloatArray) -> FloatArray:
        return leg_costs(self.problem, lots * self.grid.lot[(slice(None),) + (None,) * (lots.ndim - 1)])

    def _allowed(self, lots: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        within = (lots <= self.max_buy[:, None]) & (lots >= -self.max_sell[:, None])
        return np.asarray(within & ((lots == 0.0) | (np.abs(lots) >= self.least[:, None])))

    def _penalties(self, exposure: FloatArray) -> FloatArray:
        p = self.problem
        outside = np.maximum(np.maximum(self.low[:, None] - exposure, exposure - self.high[:, None]), 0.0)
        return np.asarray(p.penalty @ band_violation(p, exposure) + self.fine @ outside)

    def _gains(
        self, lots: IntArray, steps: FloatArray, exposure: FloatArray, cost: FloatArray, budget: float
    ) -> FloatArray:
        # Change of the objective for moving instrument j by steps[j, m] lots; (n, m).
        n, count = steps.shape
        gradient = self.risk_loadings.T @ (exposure - self.problem.target)
        risk = gradient[:, None] * steps + 0.5 * self.curvature[:, None] * steps**2
        moved = exposure[:, None] + (self.per_lot[:, :, None] * steps).reshape(exposure.size, n * count)
        penalty = self._penalties(moved).reshape(n, count) - self._penalties(exposure[:, None])[0]
        after = lots[:, None] + steps
        spent = self._cost(after) - cost[:, None]
        gain = np.where(self._allowed(after) & (steps != 0.0), risk + penalty + spent, np.inf)
        return np.where(cost.sum() + spent > budget, np.inf, gain)

    def _budget(self, cost: FloatArray) -> float:
        # Whoever is past the budget may at least not go further.
        return max(self.problem.budget, float(cost.sum()))

    def _state(self, lots: IntArray) -> tuple[FloatArray, FloatArray]:
        return self.problem.exposure + self.per_lot @ lots, self._cost(lots.astype(np.float64))

    def _single(self, lots: IntArray) -> IntArray | None:
        exposure, cost = self._state(lots)
        steps = self._steps(lots, exposure)
        gains = self._gains(lots, steps, exposure, cost, self._budget(cost))
        return self._take(lots, gains, steps, self._threshold(lots))

    def _steps(self, lots: IntArray, exposure: FloatArray) -> FloatArray:
        n = lots.size
        grid = np.concatenate((_SCALES, -_SCALES)).astype(np.float64)
        gradient = self.risk_loadings.T @ (exposure - self.problem.target)
        newton = np.where(
            self.curvature > 0.0, -gradient / np.where(self.curvature > 0.0, self.curvature, 1.0), 0.0
        )
        newton = np.clip(np.rint(newton), -1e15, 1e15)
        least = np.where(lots == 0, self.least, -lots.astype(np.float64))
        special = np.column_stack(
            (newton, least, np.where(lots == 0, -self.least, -lots), *self._to_edges(exposure))
        )
        return np.hstack((np.broadcast_to(grid, (n, grid.size)), special))

    def _to_edges(self, exposure: FloatArray) -> list[FloatArray]:
        # Lots that bring one violated factor back to the near edge of its band, or onto its target.
        moves = []
        violated = np.flatnonzero(band_violation(self.problem, exposure) > 0.0)
        for i in violated:
            edge = np.clip(exposure[i], self.problem.lower[i], self.problem.upper[i])
            load = self.per_lot[i]
            ratio = np.where(load != 0.0, (edge - exposure[i]) / np.where(load != 0.0, load, 1.0), 0.0)
            ratio = np.clip(ratio, -1e15, 1e15)
            moves += [np.floor(ratio), np.ceil(ratio)]
        return moves

    def _pair(self, lots: IntArray) -> IntArray | None:
        # Move one instrument by a lot and let another make good for it.
        exposure, cost = self._state(lots)
        threshold = self._threshold(lots)
        best: tuple[float, IntArray] | None = None
        for j in self.coarse:
            for step in sorted({self.least[j], -self.least[j], 1.0, -1.0}):
                start = lots.copy()
                start[j] += int(step)
                if not self._allowed(start[:, None].astype(np.float64))[j, 0]:
                    continue
                moved, spent = self._state(start)
                base = self._change(exposure, cost, moved, spent)
                steps = self._steps(start, moved)
                gains = self._gains(start, steps, moved, spent, self._budget(cost))
                gains[j] = np.inf
                found = self._take(start, gains, steps, threshold - base)
                if found is not None and (best is None or base + gains.min() < best[0]):
                    best = base + float(gains.min()), found
        return None if best is None else best[1]

    def _change(self, exposure: FloatArray, cost: FloatArray, moved: FloatArray, spent: FloatArray) -> float:
        p = self.problem
        a, b = moved - p.target, exposure - p.target
        risk = 0.5 * p.aversion * float(a @ p.covariance @ a - b @ p.covariance @ b)
        penalties = self._penalties(np.column_stack((exposure, moved)))
        return risk + float(penalties[1] - penalties[0]) + float(spent.sum() - cost.sum())

    def _threshold(self, lots: IntArray) -> float:
        return -1e-9 * (1.0 + abs(self.value(lots)))

    def _take(
        self, lots: IntArray, gains: FloatArray, steps: FloatArray, threshold: float
    ) -> IntArray | None:
        if gains.size == 0 or not gains.min() < threshold:
            return None
        j, m = np.unravel_index(int(gains.argmin()), gains.shape)
        moved = lots.copy()
        moved[j] += int(steps[j, m])
        return moved
