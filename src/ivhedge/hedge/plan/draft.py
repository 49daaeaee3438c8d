"""A plan in the making: lots in a programme, what they are worth, and the legs they become."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.aversion import priced_objective, solve_at_price
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.factors import RiskModel
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.margin_guard import MarginGuard, judge_plans
from ivhedge.hedge.objectives.rows import RiskRows
from ivhedge.hedge.objectives.tail import solve_tail, tail_objective
from ivhedge.hedge.objectives.tail_lots import round_tail
from ivhedge.hedge.optimiser import (
    HedgeProblem,
    Solution,
    SolverStatus,
    band_violation,
    objective,
    solve,
)
from ivhedge.hedge.plan.candidates import Candidates, SideCosts
from ivhedge.hedge.reasons import leg_reason
from ivhedge.hedge.result import PlanLeg
from ivhedge.hedge.rounding import round_to_lots
from ivhedge.ledger.book import Book
from ivhedge.surface.base import VolSurface

__all__ = ["Draft", "inside_margin", "legs_of", "solve_in_lots"]

_SHARES = tuple(i / 16 for i in range(15, 0, -1))
"""Shares of a plan to try where margin limits refuse all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Lots of the candidates in a programme."""

    market: HedgeMarket
    rows: RiskRows
    problem: HedgeProblem
    risk: RiskModel
    candidates: Candidates
    sides: SideCosts
    lots: IntArray

    @property
    def contracts(self) -> FloatArray:
        """Shape (n,)."""
        return np.asarray(self.lots * self.candidates.lot, dtype=np.float64)

    @property
    def is_better(self) -> bool:
        """Whether it is worth more than no trade."""
        # Lots are sought with a weight of the variance; what counts in the end is the price of risk.
        return self.value(self.contracts) < self.value(np.zeros(self.lots.size))

    @property
    def keeps_bands(self) -> bool:
        """Whether no band is violated by more than a lot beyond what it is without a trade."""
        problem = self.problem
        before = band_violation(problem, problem.exposure)
        after = band_violation(problem, problem.exposure + problem.loadings @ self.contracts)
        return bool((after <= before + problem.reach * (1.0 + 1e-9) + 1e-12).all())

    def value(self, contracts: FloatArray) -> float:
        """Cost, penalties and priced risk, USD, or USD a day with a holding period."""
        if self.rows.tail is not None:
            return float(tail_objective(self.problem, self.rows.tail, contracts, self.risk.risk_price))
        if self.risk.aversion is None:
            return priced_objective(self.problem, contracts, self.risk.risk_price)
        return objective(self.problem, contracts)

    def none(self) -> "Draft":
        """The same without a trade."""
        return replace(self, lots=np.zeros_like(self.lots))


def solve_in_lots(
    problem: HedgeProblem, rows: RiskRows, candidates: Candidates, risk: RiskModel
) -> tuple[HedgeProblem, IntArray, Solution]:
    """Solve the programme and round it."""
    grid = candidates.grid
    if rows.tail is not None:
        solution = solve_tail(problem, rows.tail, risk.risk_price)
    elif risk.aversion is None:
        problem, solution = solve_at_price(problem, risk.risk_price)
    else:
        solution = solve(problem)
    if solution.status is not SolverStatus.SOLVED:
        return problem, np.zeros(grid.lot.size, dtype=np.int64), solution
    if rows.tail is not None:
        return problem, round_tail(problem, rows.tail, grid, solution.trades, risk.risk_price), solution
    return problem, round_to_lots(problem, solution.trades, grid), solution


def legs_of(draft: Draft, costs: CostModel) -> tuple[PlanLeg, ...]:
    """The trades with what they are charged."""
    legs = []
    for j in np.flatnonzero(draft.lots):
        instrument = draft.candidates.instruments[j]
        quantity = int(draft.lots[j]) * instrument.lot
        cost = costs.charge(instrument, quantity, draft.market.quote(draft.candidates.rows[j]))
        edge = draft.sides.edge_buy[j] if quantity > 0 else draft.sides.edge_sell[j]
        legs.append(
            PlanLeg(
                instrument=instrument,
                quantity=quantity,
                price_limit=cost.fill_price,
                cost=cost,
                reason=leg_reason(draft.problem, draft.rows.factors, draft.contracts, int(j)),
                edge_usd=float(edge) * abs(float(quantity)),
            )
        )
    return tuple(legs)


def inside_margin(
    draft: Draft,
    legs: tuple[PlanLeg, ...],
    margin: MarginGuard | Sequence[MarginGuard],
    book: Book,
    surface: VolSurface,
    costs: CostModel,
) -> tuple[Draft, tuple[str, ...]]:
    """The largest share of a plan that the margin limits let through, and what refuses all of it."""
    drafts = [replace(draft, lots=_share_of(draft, share)) for share in _SHARES]
    # A share may be worth nothing, or leave a band that the whole plan keeps.
    drafts = [draft, *(one for one in drafts if one.lots.any() and one.is_better and one.keeps_bands)]
    contracts = np.stack([one.contracts for one in drafts])
    spent = [sum(leg.cost.total_usd for leg in legs_of(one, costs)) for one in drafts[1:]]
    cost = np.array([sum(leg.cost.total_usd for leg in legs), *spent])
    market = draft.market
    guards = (margin,) if isinstance(margin, MarginGuard) else tuple(margin)
    verdict = judge_plans(
        guards, book, surface, market.index, market.ts_ns, draft.candidates.instruments, contracts, cost
    )
    if verdict.ok[0]:
        return draft, ()
    refused = verdict.breached[0]
    allowed = np.flatnonzero(verdict.ok)
    if allowed.size:
        return drafts[int(allowed[0])], refused
    return draft.none(), refused


def _share_of(draft: Draft, share: float) -> IntArray:
    """Whole lots of a share of a plan, towards none; a leg below its least size is left out."""
    lots = np.trunc(share * draft.lots).astype(np.int64)
    least = np.array([float(item.min_size / item.lot) for item in draft.candidates.instruments])
    return np.where(np.abs(lots) < least, 0, lots)
