"""The surface's move between two times in four named parts, and each leg's share of them.

At fixed moneyness the vols of the listed expiries change by D(x, tau), with x = k / (atm vol·sqrt(tau)) in
standard deviations of the start. Least squares over a grid of x for every expiry listed at both ends, with
weights sqrt(tau), the scale of a vega:

    D(x, tau) = level + term·(sqrt(30 days / tau) − 1) + skew·x + curvature·x² + shape

so `level` is the move of the 30-day at-the-money vol. `shape` is what the four leave over.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import NS_PER_YEAR
from ivhedge.surface.base import VolSurface

__all__ = ["SURFACE_PARTS", "SurfaceMove", "surface_move"]

SURFACE_PARTS: Final = ("level", "term", "skew", "curvature")
GRID: Final = np.linspace(-1.5, 1.5, 7)
BEYOND: Final = 2.0
"""Standard deviations where the parts stop growing: the grid says nothing about farther wings."""
MONTH: Final = 30.0 / 365.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceMove:
    """Coefficients of the four parts, vol (decimal), in the order of `SURFACE_PARTS`."""

    coefficients: FloatArray
    start: VolSurface | None

    def parts(self, log_moneyness: FloatArray, tau: FloatArray) -> FloatArray:
        """Vol move of each part at points of the smile, shape (4, ...).

        Parameters
        ----------
        log_moneyness, tau : FloatArray, broadcastable
            ``ln(K / F)`` and years at the start.
        """
        log_moneyness, tau = np.broadcast_arrays(log_moneyness, tau)
        if self.start is None:
            return np.zeros((len(SURFACE_PARTS), *tau.shape))
        return np.moveaxis(_basis(self.start, log_moneyness, tau) * self.coefficients, -1, 0)


def surface_move(start: VolSurface | None, end: VolSurface | None) -> SurfaceMove:
    """Project the move between two surfaces on level, term, skew and curvature.

    Parameters
    ----------
    start, end : VolSurface or None

    Notes
    -----
    All zero without two surfaces or a common expiry; without two common expiries there is no term part.
    """
    nothing = np.zeros(len(SURFACE_PARTS))
    if start is None or end is None:
        return SurfaceMove(coefficients=nothing, start=None)
    common = np.intersect1d(start.expiries, end.expiries)
    common = common[common > end.ts_ns]
    before, after = (common - start.ts_ns) / NS_PER_YEAR, (common - end.ts_ns) / NS_PER_YEAR
    if common.size == 0:
        return SurfaceMove(coefficients=nothing, start=None)
    k = GRID * (start.implied_vol(0.0, before) * np.sqrt(before))[:, None]
    moved = end.implied_vol(k, after[:, None]) - start.implied_vol(k, before[:, None])
    design = _basis(start, k, np.broadcast_to(before[:, None], k.shape)).reshape(-1, len(SURFACE_PARTS))
    used: BoolArray = np.array([True, common.size > 1, True, True])
    weight = np.broadcast_to(np.sqrt(before)[:, None], k.shape).ravel()
    design, target = design * weight[:, None], moved.ravel() * weight
    good = np.isfinite(target) & np.isfinite(design).all(axis=1)
    coefficients = nothing.copy()
    if good.sum() >= used.sum():
        coefficients[used] = np.linalg.lstsq(design[good][:, used], target[good], rcond=None)[0]
    return SurfaceMove(coefficients=coefficients, start=start)


def _basis(start: VolSurface, k: FloatArray, tau: FloatArray) -> FloatArray:
    x = np.clip(k / (start.implied_vol(0.0, tau) * np.sqrt(tau)), -BEYOND, BEYOND)
    return np.stack([np.ones(x.shape), np.sqrt(MONTH / tau) - 1.0, x, x**2], axis=-1)
