"""Lots for the tail of scenarios: shares of the continuous answer, then moves of one leg and of two.

Cost, band penalties and the tail's mean loss are convex in the trades, and the cost is a sum over legs. So a
slope g of the penalties and the tail bounds every move d from below by ``g·d + Δcost(d)``: what cannot win by
that bound is never revalued, and a pair's bound is the sum of its legs'.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.hedge.objectives.rows import TailSample
from ivhedge.hedge.objectives.tail import tail_mean, tail_objective, tail_slope
from ivhedge.hedge.optimiser import HedgeProblem, band_violation, leg_charges, leg_costs
from ivhedge.hedge.rounding import LotGrid

__all__ = ["round_tail"]

_SHARES = np.arange(16, 0, -1) / 16.0
_STARTS = 4
_MAX_MOVES = 80
_WORTH = 1e-9  # share of the objective below which a move is not worth it
_PAIR_LEGS, _PAIRS = 64, 256
_FENCE = 1e4


def round_tail(
    problem: HedgeProblem, sample: TailSample, grid: LotGrid, trades: FloatArray, price: float
) -> IntArray:
    """Round trades to lots and improve them by local search.

    Parameters
    ----------
    problem : HedgeProblem
        Its charges, impact among them, stay within the budget, its exposures within the box.
    sample : TailSample
    grid : LotGrid
    trades : FloatArray, shape (n,)
        Contracts, not rounded.
    price : float
        USD per USD of mean loss in the tail.

    Returns
    -------
    IntArray, shape (n,)
        All zero where nothing that can be traded is better than no trade.
    """
    idle = np.zeros(trades.size, dtype=np.int64)
    if idle.size == 0:
        return idle
    search = _Search(problem, sample, grid, price)
    starts = search.starts(trades)
    starts = starts[:, np.argsort(search.values(starts), kind="stable")[:_STARTS]]
    found = np.column_stack([search.descend(starts[:, i]) for i in range(starts.shape[1])])
    found = np.column_stack((found, starts))
    found = found[:, search.in_box(found)]
    idle_value = float(search.values(idle.astype(np.float64)[:, None])[0])
    if found.shape[1] == 0:
        return idle
    values = search.values(found)
    best = int(values.argmin())
    better = values[best] < idle_value - _WORTH * (1.0 + abs(idle_value))
    return np.asarray(np.rint(found[:, best]), dtype=np.int64) if better else idle


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moves:
    """Moves of one leg, in lots: by how much they may lower the value at best, and what they are charged."""

    legs: IntArray
    steps: FloatArray
    bound: FloatArray
    cost: FloatArray
    charge: FloatArray


class _Search:
    # All in lots; every candidate is a column. Caps, least sizes and the budget always hold; leaving the box
    # costs more than anything a move can win, so that a start outside it finds its way back.
    def __init__(self, problem: HedgeProblem, sample: TailSample, grid: LotGrid, price: float) -> None:
        self.problem, self.sample, self.grid, self.price = problem, sample, grid, price
        self.most = np.floor(problem.max_buy / grid.lot + 1e-9)
        self.least = np.floor(problem.max_sell / grid.lot + 1e-9)
        scale = price * np.abs(sample.candidates).max(axis=0, initial=0.0)
        load = np.abs(problem.loadings)
        # USD per unit of exposure, at the most that a contract can move the tail.
        steepest = np.where(load > 0.0, scale / np.where(load > 0.0, load, 1.0), 0.0).max(axis=1, initial=0.0)
        self.fence = _FENCE * problem.penalty + 10.0 * steepest

    def starts(self, trades: FloatArray) -> FloatArray:
        sized = trades[:, None] * _SHARES
        nearest = np.column_stack([self.grid.snap(column) for column in sized.T]).astype(np.float64)
        inside = np.trunc(sized / self.grid.lot[:, None])
        columns = np.column_stack((nearest, inside, np.zeros(trades.size)))
        columns = np.clip(columns, -self.least[:, None], self.most[:, None])
        columns = np.where(np.abs(columns) < self.grid.smallest[:, None], 0.0, columns)
        columns = np.unique(columns, axis=1)
        return np.asarray(columns[:, self._affordable(columns)])

    def values(self, columns: FloatArray) -> FloatArray:
        contracts = columns * self.grid.lot[:, None]
        worth = tail_objective(self.problem, self.sample, contracts, self.price)
        return np.asarray(worth + self.fence @ self._outside(self._exposure(columns)))

    def in_box(self, columns: FloatArray) -> BoolArray:
        room = 1e-9 * (1.0 + np.abs(self.problem.exposure))[:, None]
        return np.asarray((self._outside(self._exposure(columns)) <= room).all(axis=0))

    def descend(self, lots: FloatArray) -> FloatArray:
        lots, value = lots.copy(), float(self.values(lots[:, None])[0])
        for _ in range(_MAX_MOVES):
            worth = _WORTH * (1.0 + abs(value))
            moves = self._moves(lots)
            left = self.problem.budget - float(leg_charges(self.problem, lots * self.grid.lot).sum())
            for find in (self._single, self._pairs):
                picked = find(moves, left, worth)
                after = self._after(lots, moves, picked)
                if after.size and after.min() < value - worth:
                    best = int(after.argmin())
                    np.add.at(lots, moves.legs[picked[:, best]], moves.steps[picked[:, best]])
                    value = float(after[best])
                    break
            else:
                break
        return lots

    def _moves(self, lots: FloatArray) -> "_Moves":
        # Every move of one leg within its caps.
        problem, lot = self.problem, self.grid.lot
        reach = max(float(np.abs(lots).max()), 16.0)
        sizes = 4.0 ** np.arange(int(np.log(reach) / np.log(4.0)) + 1)
        smallest = self.grid.smallest
        after = np.column_stack(
            (lots[:, None] + np.concatenate((sizes, -sizes)), np.zeros(lots.size), smallest, -smallest)
        )
        size = np.abs(after)
        allowed = (after <= self.most[:, None]) & (after >= -self.least[:, None]) & (after != lots[:, None])
        allowed &= (size == 0.0) | (size >= smallest[:, None])
        legs, at = np.nonzero(allowed)
        steps = after[legs, at] - lots[legs]
        contracts, now = after * lot[:, None], (lots * lot)[:, None]
        cost = (leg_costs(problem, contracts) - leg_costs(problem, now))[legs, at]
        charge = (leg_charges(problem, contracts) - leg_charges(problem, now))[legs, at]
        bound = self._slope(lots * lot)[legs] * lot[legs] * steps + cost
        return _Moves(legs=legs, steps=steps, bound=bound, cost=cost, charge=charge)

    def _after(self, lots: FloatArray, moves: "_Moves", picked: IntArray) -> FloatArray:
        # Values after moves: places in `moves`, shape (legs of a move, M).
        problem, trades = self.problem, lots * self.grid.lot
        profits = np.repeat((self.sample.book + self.sample.candidates @ trades)[:, None], picked.shape[1], 1)
        y = np.repeat((problem.exposure + problem.loadings @ trades)[:, None], picked.shape[1], 1)
        for one in picked:
            legs, contracts = moves.legs[one], moves.steps[one] * self.grid.lot[moves.legs[one]]
            profits += self.sample.candidates[:, legs] * contracts
            y += problem.loadings[:, legs] * contracts
        tail = tail_mean(profits, self.sample.weights, self.sample.level)
        penalty = problem.penalty @ band_violation(problem, y) + self.fence @ self._outside(y)
        cost = float(leg_costs(problem, trades).sum()) + moves.cost[picked].sum(axis=0)
        return np.asarray(self.price * tail + penalty + cost)

    def _slope(self, trades: FloatArray) -> FloatArray:
        problem, (low, high) = self.problem, self.problem.box
        y = problem.exposure + problem.loadings @ trades
        pull = problem.penalty * ((y > problem.upper).astype(np.float64) - (y < problem.lower))
        pull = pull + self.fence * ((y > high).astype(np.float64) - (y < low))
        return np.asarray(pull @ problem.loadings) + self.price * tail_slope(self.sample, trades)

    def _single(self, moves: "_Moves", left: float, worth: float) -> IntArray:
        return np.flatnonzero((moves.bound < -worth) & (moves.charge <= left))[None, :]

    def _pairs(self, moves: "_Moves", left: float, worth: float) -> IntArray:
        order = np.argsort(moves.bound, kind="stable")
        order = order[moves.bound[order] < -worth][:_PAIR_LEGS]
        total = moves.bound[order][:, None] + moves.bound
        good = (total < -worth) & (moves.legs[order][:, None] != moves.legs)
        good &= moves.charge[order][:, None] + moves.charge <= left
        first, second = np.nonzero(good)
        worst = total[first, second]
        kept = np.argpartition(worst, _PAIRS)[:_PAIRS] if worst.size > _PAIRS else np.arange(worst.size)
        return np.stack((order[first[kept]], second[kept]))

    def _affordable(self, columns: FloatArray) -> BoolArray:
        charges = leg_charges(self.problem, columns * self.grid.lot[:, None]).sum(axis=0)
        return np.asarray(charges <= self.problem.budget)

    def _exposure(self, columns: FloatArray) -> FloatArray:
        return self.problem.exposure[:, None] + self.problem.loadings @ (columns * self.grid.lot[:, None])

    def _outside(self, exposure: FloatArray) -> FloatArray:
        low, high = (bound[:, None] for bound in self.problem.box)
        return np.maximum(np.maximum(low - exposure, exposure - high), 0.0)
