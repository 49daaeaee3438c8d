"""The hedge as a quadratic programme, solved by a structured interior point with PIQP as the fallback.

    minimise    ½ a (y − t)ᵀ S (y − t) + c₊ᵀp + c₋ᵀm + impact + πᵀ(s₊ + s₋) + tail
    subject to  y = e + F (p − m),   l − s₋ ≤ y ≤ u + s₊,   0 ≤ p ≤ U₊,   0 ≤ m ≤ U₋,
                b₊ᵀp + b₋ᵀm ≤ budget,   wᵀ(p + m) ≤ G,   min(l, e) − r ≤ y ≤ max(u, e) + r

for trades p − m in n instruments with k factors. The soft bands keep it feasible whatever the limits; the
last row forbids to make any violation worse than it is without a trade (r: the reach of one lot).
"""

from ivhedge.hedge.optimiser.linear import LinearHedge
from ivhedge.hedge.optimiser.problem import (
    Binding,
    HedgeProblem,
    Solution,
    SolverStatus,
    TailRows,
    band_violation,
    leg_charges,
    leg_costs,
    objective,
    tail_loss,
    variance,
)
from ivhedge.hedge.optimiser.solver import solve, warmup

__all__ = [
    "Binding",
    "HedgeProblem",
    "LinearHedge",
    "Solution",
    "SolverStatus",
    "TailRows",
    "band_violation",
    "leg_charges",
    "leg_costs",
    "objective",
    "solve",
    "tail_loss",
    "variance",
    "warmup",
]
