"""Sticky strike, sticky moneyness and the skew-stickiness ratio as hedge ratios."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.ratios.legs import RatioLegs
from ivhedge.hedge.ratios.protocol import ratio_delta
from ivhedge.surface.dynamics import SmileDelta, SmileRule

__all__ = ["SmileRatio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmileRatio:
    """β = (R − 1)·∂σ/∂k by a rule of smile dynamics.

    Parameters
    ----------
    rule : SmileRule
        `StickyStrike`, `StickyMoneyness`, or `SkewStickiness` as `estimate_skew_stickiness` measures it.
    name : str
    """

    rule: SmileRule
    name: str = "smile"

    def vol_beta(self, legs: RatioLegs) -> FloatArray:
        """β of each option."""
        return np.asarray((self.rule.ssr_at(legs.tau) - 1.0) * legs.skew)

    def delta(self, legs: RatioLegs) -> SmileDelta:
        """As `ivhedge.surface.dynamics.minimum_variance_delta`."""
        return ratio_delta(self, legs)
