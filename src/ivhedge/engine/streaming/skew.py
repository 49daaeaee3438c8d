"""The skew of slices, fast enough for every publication."""

import numpy as np
from scipy.special import ndtri

from ivhedge.core.types import FloatArray
from ivhedge.surface.essvi import EssviSurface, essvi_derivatives, essvi_total_variance

__all__ = ["risk_reversals"]

_ROUNDS = 40
_CLOSE = 1e-10


def risk_reversals(surface: EssviSurface, delta: float = 0.25) -> FloatArray:
    """Vol of the call less vol of the put of a forward delta, per expiry; NaN where no strike has the delta.

    Notes
    -----
    As `surface.quoting.smile_quotes`, by Newton's method on the slices' closed form:
    ``k − w/2 + N⁻¹(delta) √w = 0`` with ``w = w(k)``.
    """
    call, put = (_vol(surface, float(ndtri(d))) for d in (delta, 1.0 - delta))
    return np.asarray(call - put)


def _vol(surface: EssviSurface, target: float) -> FloatArray:
    slices = surface.theta, surface.rho, surface.psi
    k = 0.5 * surface.theta - target * np.sqrt(surface.theta)
    error = np.full(k.size, np.inf)
    for _ in range(_ROUNDS):
        w, slope, _curve = essvi_derivatives(k, *slices)
        root = np.sqrt(w)
        error = k - 0.5 * w + target * root
        if (np.abs(error) <= _CLOSE * root).all():
            break
        # A flat or falling side belongs to a smile that never has the delta: small steps end as NaN.
        k = k - error / np.maximum(1.0 - 0.5 * slope + 0.5 * target * slope / root, 0.05)
    w = essvi_total_variance(k, *slices)
    return np.asarray(
        np.where(np.abs(error) <= 100.0 * _CLOSE * np.sqrt(w), np.sqrt(w / surface.taus), np.nan)
    )
