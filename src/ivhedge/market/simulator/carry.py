"""Forwards from spot and the short carry."""

import numpy as np

from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.market.simulator.config import CarryConfig

__all__ = ["carry_rate", "forward_price"]


def carry_rate(short_carry: ArrayLike, tau: ArrayLike, carry: CarryConfig) -> FloatArray:
    """Carry per year to a tenor: the short carry, fading into its mean.

    Parameters
    ----------
    short_carry : array_like
        Per year.
    tau : array_like
        Years, positive.
    carry : CarryConfig

    Returns
    -------
    FloatArray
        Per year, broadcast shape.

    References
    ----------
    Nelson and Siegel (1987), level and slope terms.
    """
    ratio = np.asarray(tau, dtype=np.float64) / carry.tenor_decay
    weight = -np.expm1(-ratio) / ratio
    return np.asarray(carry.mean + (np.asarray(short_carry) - carry.mean) * weight, dtype=np.float64)


def forward_price(spot: ArrayLike, short_carry: ArrayLike, tau: ArrayLike, carry: CarryConfig) -> FloatArray:
    """Forward ``spot · exp(carry · tau)``, USD; arguments as in `carry_rate`."""
    years = np.asarray(tau, dtype=np.float64)
    return np.asarray(np.asarray(spot) * np.exp(carry_rate(short_carry, years, carry) * years))
