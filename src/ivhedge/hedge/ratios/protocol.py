"""The protocol of hedge ratios: each says how the vol of a fixed strike follows the forward.

With β = dσ_K / d ln F, the regression of the vol of the strike on the forward of its expiry, the hedge of
least variance to first order is

    delta = ∂V/∂F + vega·β/F,

Black-Scholes where β = 0. An account kept in coin holds c = V/F and hedges F·dc/dF = delta − V/F: the same
part is taken off for every ratio.

References
----------
Hull, White (2017), Optimal delta hedging for options, Journal of Banking & Finance 82, equation 1.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.ratios.legs import RatioLegs
from ivhedge.surface.dynamics import SmileDelta

__all__ = ["BlackScholes", "HedgeRatio", "ratio_delta"]


class HedgeRatio(Protocol):
    """A rule that says how many coins of the forward hedge one option."""

    @property
    def name(self) -> str:
        """For reports."""
        ...

    def vol_beta(self, legs: RatioLegs) -> FloatArray:
        """β = dσ_K / d ln F of each option, vol (decimal) per unit of log move, shape (n,)."""
        ...

    def delta(self, legs: RatioLegs) -> SmileDelta:
        """Deltas in USD and in coin, and what the ratio adds to Black-Scholes, coins, shape (n,)."""
        ...


def ratio_delta(ratio: HedgeRatio, legs: RatioLegs) -> SmileDelta:
    """Delta of a ratio from its β; what `HedgeRatio.delta` returns.

    Raises
    ------
    DataError
        If the ratio has no number for an option.
    """
    beta = np.asarray(ratio.vol_beta(legs), dtype=np.float64)
    if beta.shape != (len(legs),) or not np.isfinite(beta).all():
        raise DataError(
            f"{ratio.name}: expected {len(legs)} finite vol betas, found shape {beta.shape} with "
            f"{int((~np.isfinite(beta)).sum())} not finite; fit it on these tenors or use BlackScholes"
        )
    greeks = legs.greeks("price", "delta", "vega")
    adjustment = greeks["vega"] / legs.forward * beta
    delta = greeks["delta"] + adjustment
    return SmileDelta(
        delta_usd=np.asarray(delta),
        delta_coin=np.asarray(delta - greeks["price"] / legs.forward),
        adjustment=np.asarray(adjustment),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackScholes:
    """Each strike keeps its vol (sticky strike): β = 0."""

    name: str = "black_scholes"

    def vol_beta(self, legs: RatioLegs) -> FloatArray:
        """Zeros."""
        return np.zeros(len(legs))

    def delta(self, legs: RatioLegs) -> SmileDelta:
        """Black-76 delta at the vol of the strike."""
        return ratio_delta(self, legs)
