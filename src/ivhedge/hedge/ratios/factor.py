"""Hedge ratio of a factor model: cov(dP, dF)/var(dF) from the covariance of its factors.

A move of the log forward is f = spot + τ·basis. The shift of vol at standardised strike x that goes with it
is h(τ, x) = Σ shape(τ, x)·cov(factor, f)/var(f). The model moves vols at fixed x, and a fixed strike slides
along the smile, to first order by

    β = h(τ, x) − ∂σ/∂k·(1 + k·h(τ, 0)/σ_atm),      x = k/(σ_atm·√τ).
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.ratios.legs import RatioLegs
from ivhedge.hedge.ratios.protocol import ratio_delta
from ivhedge.risk.factors import FactorModel
from ivhedge.risk.factors.model import BASIS, SPOT
from ivhedge.surface.dynamics import SmileDelta

__all__ = ["FactorRatio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRatio:
    """β of a factor model, whose covariance may be that of a regime or of recent steps.

    Parameters
    ----------
    model : FactorModel
    underlying : str
    name : str

    Raises
    ------
    ConfigError
        If the model has no spot factor of the underlying.
    """

    model: FactorModel
    underlying: str
    name: str = "factor"

    def __post_init__(self) -> None:
        if f"{self.underlying}.{SPOT}" not in self.model.names:
            raise ConfigError(
                f"expected a spot factor of {self.underlying}, found {list(self.model.names)}; fit one"
            )

    def vol_beta(self, legs: RatioLegs) -> FloatArray:
        """β of each option."""
        k, tau = legs.log_moneyness, legs.tau
        x = k / (legs.atm_vol * np.sqrt(tau))
        at_strike, at_money = self._shift(tau, x), self._shift(tau, np.zeros_like(x))
        return np.asarray(at_strike - legs.skew * (1.0 + k * at_money / legs.atm_vol))

    def delta(self, legs: RatioLegs) -> SmileDelta:
        """Minimum-variance delta under the model."""
        return ratio_delta(self, legs)

    def _shift(self, tau: FloatArray, x: FloatArray) -> FloatArray:
        names, covariance = self.model.names, self.model.covariance
        forward = np.zeros((len(names), tau.size))
        forward[names.index(f"{self.underlying}.{SPOT}")] = 1.0
        basis = f"{self.underlying}.{BASIS}"
        if basis in names:
            forward[names.index(basis)] = tau
        covered = covariance @ forward
        shift = np.zeros_like(tau)
        for i, factor in enumerate(self.model.factors):
            if factor.underlying == self.underlying and factor.shape is not None:
                shift += factor.shape.at(tau, x) * covered[i]
        return np.asarray(shift / (forward * covered).sum(axis=0))
