"""Bands of exponential utility in closed form: Whalley-Wilmott and Zakamouline.

Both are stated in price units, where the same aversion means another band at another price of the coin.
Here the aversion is that of one notional, a = (absolute aversion)·spot, and gamma is the cash gamma S·Γ.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.policies.protocol import OPEN, Gate, positive, rebalance
from ivhedge.hedge.policies.state import HedgeMoment, Zone

__all__ = ["WhalleyWilmott", "Zakamouline", "zakamouline_terms"]

# Below a second to expiry the formulas with 1/tau say nothing.
_SHORTEST = 1.0 / (365.0 * 86_400.0)
# No option's delta is further than this from any hedge worth holding.
_WIDEST = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WhalleyWilmott:
    """Band round the Black-Scholes delta, trading to its edge.

    Parameters
    ----------
    cost : float
        One way, per unit of value traded.
    aversion : float
        Of one notional: absolute risk aversion times spot, > 0.

    Notes
    -----
    ``H = (3/2 · e^{−rτ} · cost · (SΓ)² / aversion)^{1/3}``.

    References
    ----------
    Whalley, Wilmott (1997), An asymptotic analysis of an optimal hedging model.
    """

    cost: float
    aversion: float

    def __post_init__(self) -> None:
        positive("cost", self.cost, zero=True)
        positive("aversion", self.aversion)

    @property
    def gate(self) -> Gate:
        """When to look."""
        return OPEN

    def half_width(self, moment: HedgeMoment) -> FloatArray:
        """Half width of the band, coins per option."""
        inner = 1.5 * moment.discount * self.cost * moment.cash_gamma**2 / self.aversion
        return np.minimum(np.cbrt(inner), _WIDEST)

    def zone(self, moment: HedgeMoment) -> Zone:
        """Black-Scholes delta and half width."""
        half = self.half_width(moment)
        return Zone.to_edge(moment.target - half, moment.target + half)

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)


def zakamouline_terms(
    moment: HedgeMoment, cost: float, aversion: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Zakamouline's H0, H1 and the size of K, the relative change of the variance.

    Parameters
    ----------
    moment : HedgeMoment
    cost : float
        One way, per unit of value traded.
    aversion : float
        Of one notional.

    Returns
    -------
    tuple of FloatArray
        H0 and H1 in coins per option; |K| without unit. All zero at no cost.
    """
    tau = np.maximum(moment.tau, _SHORTEST)
    cash_gamma, vol = moment.cash_gamma, moment.vol
    by_vol = (moment.discount / vol) ** 0.25
    level = cost / (aversion * vol * vol * tau)
    bump = 1.12 * cost**0.31 * tau**0.05 * by_vol * np.sqrt(cash_gamma / aversion)
    shift = 4.76 * cost**0.78 * tau**-0.02 * by_vol * (aversion * cash_gamma) ** 0.15
    return np.asarray(level), np.asarray(bump), np.asarray(shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zakamouline:
    """Band round the delta at a modified vol, trading to its edge.

    Parameters
    ----------
    cost : float
        One way, per unit of value traded.
    aversion : float
        Of one notional: absolute risk aversion times spot, > 0.

    Notes
    -----
    ``H0 = cost/(a σ²τ)``, ``H1 = 1.12 cost^0.31 τ^0.05 (e^{−rτ}/σ)^0.25 (SΓ/a)^0.5``,
    ``K = −4.76 cost^0.78 τ^−0.02 (e^{−rτ}/σ)^0.25 (a·SΓ)^0.15``, ``σ_m² = σ²(1 − K)`` for a short option and
    ``σ²(1 + K)`` for a long one, not below zero. The half width H0 + H1 is cut at one coin.

    References
    ----------
    Zakamouline (2006), Efficient analytic approximation of the optimal hedging strategy for a European call
    option with transaction costs.
    """

    cost: float
    aversion: float

    def __post_init__(self) -> None:
        positive("cost", self.cost, zero=True)
        positive("aversion", self.aversion)

    @property
    def gate(self) -> Gate:
        """When to look."""
        return OPEN

    def zone(self, moment: HedgeMoment) -> Zone:
        """Modified delta and half width."""
        level, bump, shift = zakamouline_terms(moment, self.cost, self.aversion)
        factor = np.maximum(1.0 - np.sign(moment.gamma) * shift, 0.0)
        centre = moment.target_at(moment.total_vol * np.sqrt(factor))
        half = np.minimum(level + bump, _WIDEST)
        return Zone.to_edge(centre - half, centre + half)

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)
