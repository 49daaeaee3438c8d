"""Why no option was traded: what the best one would save over the holding period, and what it would cost."""

import numpy as np

from ivhedge.hedge.factors import RiskModel
from ivhedge.hedge.optimiser import HedgeProblem, variance
from ivhedge.hedge.plan.candidates import Candidates, SideCosts
from ivhedge.hedge.plan.select import reduce
from ivhedge.hedge.plan.terms import HoldingPeriod

__all__ = ["why_no_option"]


def why_no_option(
    problem: HedgeProblem,
    candidates: Candidates,
    sides: SideCosts,
    risk: RiskModel,
    holding: HoldingPeriod,
    life_days: float,
) -> tuple[str, ...]:
    """A note on the option that by itself would remove most risk; none without an option or a risk."""
    if candidates.is_option.any() and life_days < holding.least_life_days:
        return (
            f"no new option: the book lives for {life_days:.3g} days, less than the "
            f"{holding.least_life_days:g} of least_life_days",
        )
    option = candidates.is_option & (problem.max_buy + problem.max_sell > 0.0)
    start = np.sqrt(variance(problem, problem.exposure))
    if not option.any() or start == 0.0:
        return ()
    curve, slope, rest = reduce(problem, option, None).risk
    rows = np.flatnonzero(option & (np.diag(curve) > 0.0))
    if rows.size == 0 or rest <= 0.0:
        return ()
    size = np.clip(-slope[rows] / np.diag(curve)[rows], -problem.max_sell[rows], problem.max_buy[rows])
    left = rest + 2.0 * slope[rows] * size + np.diag(curve)[rows] * size**2
    best = int(np.argmin(left))
    price = risk.risk_price if risk.aversion is None else 0.5 * risk.aversion * np.sqrt(rest)
    counted = (1.0 + holding.exit_share) / float(sides.per_day[rows[best]])
    saved = float(price * (np.sqrt(rest) - np.sqrt(max(float(left[best]), 0.0))) * counted)
    cost = np.where(size > 0.0, problem.buy_cost[rows], problem.sell_cost[rows]) * np.abs(size)
    paid = float(cost[best]) * counted
    return (
        f"no option is worth its cost: {candidates.instruments[rows[best]].key}, which alone removes most "
        f"risk, would save {saved:.4g} USD over {counted:.3g} days for {paid:.4g} USD in and out",
    )
