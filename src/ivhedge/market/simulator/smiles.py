"""True implied volatilities of the option model, for any mix of states, expiries and strikes."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.market.simulator.bates import BatesParams, bates_otm_price
from ivhedge.pricing import implied_vol

__all__ = ["Points", "Smile", "smile_of"]

_SMALLEST_PRICE = 1e-11
"""Out-of-the-money price over the forward below which no volatility is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Options to price, each in its own state; all arrays of shape (n,).

    Parameters
    ----------
    forward, strike : FloatArray
        In the same dollars.
    tau : FloatArray
        Years.
    variance : FloatArray
        Variance state, per year.
    """

    forward: FloatArray
    strike: FloatArray
    tau: FloatArray
    variance: FloatArray

    @classmethod
    def join(cls, parts: list["Points"]) -> "Points":
        """Lay several sets of points end to end."""
        return cls(
            forward=np.concatenate([p.forward for p in parts]),
            strike=np.concatenate([p.strike for p in parts]),
            tau=np.concatenate([p.tau for p in parts]),
            variance=np.concatenate([p.variance for p in parts]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Smile:
    """Truth at a set of points; all arrays of shape (n,).

    Parameters
    ----------
    otm_price : FloatArray
        Undiscounted price of the out-of-the-money option, in the dollars of the points.
    vol : FloatArray
        Implied volatility; NaN where the price is below 1e-11 of the forward and has none to speak of.
    atm_vol : FloatArray
        Implied volatility at the forward, in the state and to the expiry of the point.
    """

    otm_price: FloatArray
    vol: FloatArray
    atm_vol: FloatArray

    def take(self, rows: slice) -> "Smile":
        """Select consecutive points."""
        return Smile(otm_price=self.otm_price[rows], vol=self.vol[rows], atm_vol=self.atm_vol[rows])


def smile_of(points: Points, params: BatesParams) -> Smile:
    """Price points and turn the prices into volatilities.

    Parameters
    ----------
    points : Points
    params : BatesParams

    Returns
    -------
    Smile
    """
    keys, group = np.unique(points.tau + 1j * points.variance, return_inverse=True)
    ones = np.ones(keys.size)
    forward = np.concatenate([points.forward, ones])
    strike = np.concatenate([points.strike, ones])
    tau = np.concatenate([points.tau, keys.real])
    variance = np.concatenate([points.variance, keys.imag])
    price = bates_otm_price(forward, strike, tau, variance, params)
    vol = implied_vol(price, forward, strike, tau, strike >= forward)
    vol[price < _SMALLEST_PRICE * forward] = np.nan
    count = points.tau.size
    return Smile(otm_price=price[:count], vol=vol[:count], atm_vol=vol[count:][group])
