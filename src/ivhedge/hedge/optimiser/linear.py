"""The linear form of a hedge by HiGHS: bands and costs without a price of risk, solved again from a basis.

    minimise    c₊ᵀp + c₋ᵀm + πᵀ(s₊ + s₋)
    subject to  l − e ≤ F (p − m) − s₊ + s₋ ≤ u − e,   0 ≤ p ≤ U₊,   0 ≤ m ≤ U₋,
                b₊ᵀp + b₋ᵀm ≤ budget,   wᵀ(p + m) ≤ G,
                0 ≤ s₊ ≤ max(u, e) + r − u,   0 ≤ s₋ ≤ l − min(l, e) + r

A moved exposure changes bounds alone, which leaves the old basis dual feasible: the dual simplex goes on
from it. The slacks' bounds are the box that no trade may leave.

References
----------
Huangfu and Hall (2018), "Parallelizing the dual revised simplex method",
Mathematical Programming Computation 10.
"""

from typing import Any

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.optimiser.problem import (
    Binding,
    HedgeProblem,
    Solution,
    SolverStatus,
    check,
    resource_rows,
)

__all__ = ["LinearHedge"]

_BINDS = 1e-7  # scaled price from which a limit is said to bind


class LinearHedge:
    """A hedge problem in its linear form, kept in the solver.

    Covariance and impact play no part; a tail is refused. `exposure` is that of the last solve.

    Parameters
    ----------
    problem : HedgeProblem

    Raises
    ------
    DataError
        If the problem is not valid, has no band, or has a tail.
    """

    def __init__(self, problem: HedgeProblem) -> None:
        check(problem)
        if problem.tail is not None:
            raise DataError("expected no tail in a linear hedge; use solve")
        self.problem, self.exposure = problem, problem.exposure
        self.factors = np.flatnonzero(np.isfinite(problem.lower) | np.isfinite(problem.upper))
        if not self.factors.size or not problem.buy_cost.size:
            raise DataError("expected a band and an instrument in a linear hedge, found none; use solve")
        self._names, self._uses, self._limits = resource_rows(problem)
        rows = self.factors
        self._bounded = problem.lower[rows], problem.upper[rows], problem.reach[rows]
        loads = problem.loadings[rows]
        # A unit of each factor is what the cheapest way to move it gets for the penalty's price.
        norm = np.sqrt((loads**2).sum(axis=1))
        self._row = 1.0 / np.where(norm > 0.0, norm, 1.0)
        size = np.sqrt(((loads * self._row[:, None]) ** 2).sum(axis=0))
        self._unit = 1.0 / np.where(size > 0.0, size, 1.0)
        cost = np.maximum(np.abs(problem.buy_cost), np.abs(problem.sell_cost)) * self._unit
        self._money = float(np.median(cost)) or 1.0
        self._solver = self._build(loads * self._row[:, None] * self._unit)

    def solve(self, exposure: FloatArray | None = None) -> Solution:
        """Solve, from the basis of the last solve where there is one.

        Parameters
        ----------
        exposure : FloatArray, shape (k,), optional
            In place of the last one.

        Returns
        -------
        Solution
            Trades are zero unless HiGHS reports an optimum and the rows hold.

        Raises
        ------
        DataError
            If an exposure is not finite.
        """
        import highspy

        if exposure is not None:
            if exposure.shape != self.problem.exposure.shape or not np.isfinite(exposure).all():
                raise DataError(f"expected {self.problem.exposure.size} finite exposures, found {exposure}")
            self.exposure = exposure
            self._move()
        solver = self._solver
        solver.run()
        solved = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
        found, n = solver.getSolution(), self._unit.size
        raw = np.array(found.col_value)
        status = SolverStatus.SOLVED if solved else SolverStatus.NOT_CONVERGED
        residual = self._residual(raw) if solved and np.isfinite(raw).all() else np.inf
        if solved and not residual < 1e-6:
            status = SolverStatus.NUMERICAL_TROUBLE
        trades: FloatArray = np.zeros(n)
        named: tuple[Binding, ...] = ()
        if status is SolverStatus.SOLVED:
            trades = (raw[:n] - raw[n : 2 * n]) * self._unit
            trades = np.clip(trades, -self.problem.max_sell, self.problem.max_buy)
            named = self._binding(np.array(found.row_dual), np.array(found.col_dual))
        return Solution(
            status=status,
            trades=trades,
            iterations=int(solver.getInfo().simplex_iteration_count),
            primal_residual=residual,
            duality_gap=0.0 if solved else np.nan,
            binding=named,
        )

    def _build(self, loads: FloatArray) -> Any:
        import highspy

        problem, n, k = self.problem, self._unit.size, self.factors.size
        penalty = problem.penalty[self.factors] / self._row / self._money
        cost = np.concatenate((problem.buy_cost * self._unit, problem.sell_cost * self._unit)) / self._money
        rows = [np.hstack((loads, -loads, -np.eye(k), np.eye(k)))]
        for (buy, sell), limit in zip(self._uses, self._limits, strict=True):
            use = np.concatenate((buy * self._unit, sell * self._unit)) / (limit or 1.0)
            rows.append(np.concatenate((use, np.zeros(2 * k)))[None, :])
        matrix = np.vstack(rows)
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("presolve", "off")
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = matrix.shape[1], matrix.shape[0]
        model.col_cost_ = np.concatenate((cost, penalty, penalty))
        caps = np.concatenate((problem.max_buy / self._unit, problem.max_sell / self._unit))
        low, high, slack = self._bounds()
        more = len(self._limits)
        self._places = np.arange(k, dtype=np.int32), np.arange(2 * n, 2 * n + 2 * k, dtype=np.int32)
        self._zeros = np.zeros(2 * k)
        model.col_lower_ = np.zeros(matrix.shape[1])
        model.col_upper_ = np.concatenate((caps, slack))
        model.row_lower_ = np.concatenate((low, np.full(more, -np.inf)))
        model.row_upper_ = np.concatenate((high, [1.0 if limit else 0.0 for limit in self._limits]))
        columns = [np.flatnonzero(column) for column in matrix.T]
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = np.concatenate(([0], np.cumsum([c.size for c in columns]))).astype(np.int32)
        model.a_matrix_.index_ = np.concatenate(columns).astype(np.int32)
        model.a_matrix_.value_ = matrix.T[matrix.T != 0.0]
        solver.passModel(model)
        return solver

    def _bounds(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        (lower, upper, reach), e = self._bounded, self.exposure[self.factors]
        # A band that is open on one side needs no slack there.
        above = np.where(np.isfinite(upper), np.maximum(e - upper, 0.0) + reach, 0.0)
        below = np.where(np.isfinite(lower), np.maximum(lower - e, 0.0) + reach, 0.0)
        return (
            (lower - e) * self._row,
            (upper - e) * self._row,
            np.concatenate((above * self._row, below * self._row)),
        )

    def _move(self) -> None:
        low, high, slack = self._bounds()
        rows, slacks = self._places
        self._solver.changeRowsBounds(rows.size, rows, low, high)
        self._solver.changeColsBounds(slacks.size, slacks, self._zeros, slack)

    def _residual(self, raw: FloatArray) -> float:
        # From the problem alone: bands with their slacks, budget and margin.
        n, k, rows = self._unit.size, self.factors.size, self.factors
        buy, sell = raw[:n] * self._unit, raw[n : 2 * n] * self._unit
        moved = (self.problem.loadings[rows] @ (buy - sell)) * self._row
        moved += raw[2 * n + k :] - raw[2 * n : 2 * n + k]
        low, high, slack = self._bounds()
        size = 1.0 + np.abs(self.exposure[rows]) * self._row
        worst = float((np.maximum(low - moved, moved - high) / size).max())
        worst = max(worst, float(((raw[2 * n :] - slack) / np.tile(size, 2)).max()), float((-raw).max()))
        for (b, s), limit in zip(self._uses, self._limits, strict=True):
            worst = max(worst, (float(b @ buy + s @ sell) - limit) / (limit or 1.0))
        return worst

    def _binding(self, row_price: FloatArray, column_price: FloatArray) -> tuple[Binding, ...]:
        n, k = self._unit.size, self.factors.size
        unit = self._row * self._money
        cap, slack = -column_price[: 2 * n], -column_price[2 * n :]
        groups = [
            ("upper", -row_price[:k], unit, self.factors),
            ("lower", row_price[:k], unit, self.factors),
            ("box", np.maximum(slack[:k], slack[k:]), unit, self.factors),
            ("max_buy", cap[:n], self._money / self._unit, np.arange(n)),
            ("max_sell", cap[n:], self._money / self._unit, np.arange(n)),
        ]
        for at, (name, limit) in enumerate(zip(self._names, self._limits, strict=True)):
            one = np.array([self._money / (limit or 1.0)])
            groups.append((name, -row_price[k + at : k + at + 1], one, np.array([-1])))
        named: list[Binding] = []
        for kind, prices, units, places in groups:
            rows = np.flatnonzero(prices > _BINDS)
            if not rows.size:
                continue
            named += [
                Binding(kind=kind, index=int(places[j]), multiplier=float(prices[j] * units[j]))
                for j in rows[np.argsort(-prices[rows], kind="stable")]
            ]
        return tuple(named)
