"""The plan: what to trade now, why, at what cost, and what it leaves.

`plan_hedge` is pure. Replay, simulation, paper and live trading call it unchanged.
"""

from ivhedge.hedge.plan.programme import plan_hedge
from ivhedge.hedge.plan.terms import EdgeQuote, HoldingPeriod

__all__ = ["EdgeQuote", "HoldingPeriod", "plan_hedge"]
