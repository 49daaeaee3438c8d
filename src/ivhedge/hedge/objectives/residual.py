"""What the factors of a model leave of a vol's moves: the own risk of every option.

An option whose loadings copy those of the book looks like a perfect hedge to a factor model. It is not: its
own vol moves by more than the factors say. Each option gets an own variance, ``(vega · sd(τ, x))²`` a day,
independent of every other; only the very same contract offsets it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.pricing import black76_greeks
from ivhedge.risk.factors import FactorFit, VolShape, ewma_weights
from ivhedge.risk.legs import Legs
from ivhedge.surface.base import VolSurface

__all__ = ["ResidualVols", "own_risk", "residual_vols"]

QUOTE_NOISE: Final = 0.0025
"""Vol per root day by which a mark moves against a fitted surface: recorded marks of 14 to 200 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualVols:
    """Standard deviation of a day's move of a vol that no factor explains.

    Parameters
    ----------
    shape : VolShape
        Over tenor and standardised strike, vol per root day, not negative.
    noise : float
        Added in squares everywhere: marks against the surface. >= 0.
    """

    shape: VolShape
    noise: float = QUOTE_NOISE

    def __post_init__(self) -> None:
        if (self.shape.grid < 0.0).any() or not (np.isfinite(self.noise) and self.noise >= 0.0):
            raise ConfigError(
                f"expected standard deviations at or above 0, found a least of {self.shape.grid.min():g} and "
                f"noise {self.noise:g}"
            )

    @classmethod
    def flat(cls, vol: float) -> "ResidualVols":
        """The same at every tenor and strike, vol per root day."""
        one = np.zeros(1)
        shape = VolShape(name="residual", tenor_days=one + 30.0, nodes=one, grid=np.zeros((1, 1)))
        return cls(shape=shape, noise=vol)

    def at(self, tau: FloatArray, x: FloatArray) -> FloatArray:
        """Vol per root day at times to expiry in years and standardised strikes."""
        return np.asarray(np.hypot(self.shape.at(tau, x), self.noise))


def residual_vols(
    fit: FactorFit, underlying: str, *, half_life_days: float | None = None, noise: float = QUOTE_NOISE
) -> ResidualVols:
    """What the vol factors of a fit left of the changes it was estimated on.

    Parameters
    ----------
    fit : FactorFit
    underlying : str
    half_life_days : float, optional
        Of the weights of steps; equal without it.
    noise : float
        See `ResidualVols`.

    Raises
    ------
    DataError
        If the fit has no vol factor of the underlying.
    """
    factors = fit.model.factors
    mine = [i for i, factor in enumerate(factors) if factor.underlying == underlying and factor.shape]
    if not mine:
        raise DataError(f"expected vol factors of {underlying}, found factors {list(fit.model.names)}")
    steps = fit.steps
    grids = np.stack([shape.grid for i in mine if (shape := factors[i].shape) is not None])
    left = steps.vols[underlying] - np.einsum("sk,kmn->smn", fit.scores[:, mine], grids)
    weights = np.full(steps.days.size, 1.0 / steps.days.size)
    if half_life_days is not None:
        weights = ewma_weights(steps.end_ns, half_life_days=half_life_days)
    grid = np.sqrt(np.einsum("s,smn->mn", weights / steps.days, left**2))
    shape = VolShape(name="residual", tenor_days=steps.tenor_days, nodes=steps.nodes, grid=grid)
    return ResidualVols(shape=shape, noise=noise)


def own_risk(legs: Legs, surface: VolSurface, residual: ResidualVols, horizon_days: float) -> FloatArray:
    """Standard deviation of the own risk of one contract of each leg over the horizon, USD, shape (n,).

    Signed like the quantity; 0 for futures and expired legs.
    """
    risk = np.zeros(legs.size.size)
    rows = np.flatnonzero(legs.is_option & legs.priced)
    if rows.size == 0:
        return risk
    tau, forward, strike, vol = (a[rows] for a in (legs.tau, legs.forward, legs.strike, legs.vol))
    atm = np.asarray(surface.implied_vol(np.zeros(rows.size), tau))
    x = np.log(strike / forward) / (atm * np.sqrt(np.maximum(tau, 1.0 / (DAYS_PER_YEAR * 1440.0))))
    vega = black76_greeks(forward, strike, tau, vol, legs.is_call[rows], names=("vega",))["vega"]
    risk[rows] = legs.size[rows] * vega * residual.at(tau, x) * np.sqrt(horizon_days)
    return risk
