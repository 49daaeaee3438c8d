"""A smile in the market's own terms: strikes by delta, at-the-money vol, risk reversal, butterfly."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.surface.base import VolSurface

__all__ = ["SmileQuotes", "log_moneyness_of_delta", "smile_quotes"]

_BRACKET_SD = 12.0
_BISECTIONS = 46


@dataclass(frozen=True, slots=True, kw_only=True)
class SmileQuotes:
    """A term structure of smiles at constant tenors, decimals, each of shape (n,).

    `atm_vol` is the vol at the forward; the risk reversal is the vol of the delta call less that of the
    delta put; the butterfly is their mean less `atm_vol`.
    """

    tau: FloatArray
    atm_vol: FloatArray
    risk_reversal: FloatArray
    butterfly: FloatArray


def log_moneyness_of_delta(surface: VolSurface, tau: ArrayLike, call_delta: ArrayLike) -> FloatArray:
    """Log-moneyness whose option has a given forward call delta on the surface's own smile.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, broadcastable
        Years, positive.
    call_delta : array_like, broadcastable
        Forward delta ``N(d1)`` of the call, in (0, 1); the put of delta −0.25 has call delta 0.75.

    Returns
    -------
    FloatArray
        ``ln(K / F)``; solved by bisection, because ``d1`` falls in the strike on a smile free of
        arbitrage.

    Raises
    ------
    ConfigError
        If a tenor is not positive or a delta lies outside (0, 1).
    """
    from scipy.special import ndtri

    tau_, delta_ = np.broadcast_arrays(np.asarray(tau, dtype=float), np.asarray(call_delta, dtype=float))
    if not (np.all(tau_ > 0) and np.all((delta_ > 0) & (delta_ < 1))):
        raise ConfigError("expected tau > 0 and call_delta in (0, 1)")
    target = ndtri(delta_)
    reach = _BRACKET_SD * np.sqrt(surface.total_variance(0.0, tau_))
    low, high = -reach, reach
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        total_vol = np.sqrt(surface.total_variance(middle, tau_))
        too_low = -middle / total_vol + 0.5 * total_vol > target
        low = np.where(too_low, middle, low)
        high = np.where(too_low, high, middle)
    return np.asarray(0.5 * (low + high), dtype=np.float64)


def smile_quotes(surface: VolSurface, tau: ArrayLike, *, delta: float = 0.25) -> SmileQuotes:
    """Quote the surface at constant tenors.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, shape (n,)
        Years, positive.
    delta : float
        Absolute forward delta of the wings.

    Raises
    ------
    ConfigError
        If a tenor is not positive or `delta` lies outside (0, 0.5).
    """
    if not 0.0 < delta < 0.5:
        raise ConfigError(f"expected delta in (0, 0.5), found {delta}")
    tenors = np.atleast_1d(np.asarray(tau, dtype=float))
    call = surface.implied_vol(log_moneyness_of_delta(surface, tenors, delta), tenors)
    put = surface.implied_vol(log_moneyness_of_delta(surface, tenors, 1.0 - delta), tenors)
    atm = surface.implied_vol(np.zeros_like(tenors), tenors)
    return SmileQuotes(tau=tenors, atm_vol=atm, risk_reversal=call - put, butterfly=0.5 * (call + put) - atm)
