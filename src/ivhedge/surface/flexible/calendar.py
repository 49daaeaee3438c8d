"""Calendar order of neighbouring expiries on a dense grid: cuts to add, and the mix that certifies."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing import black76_price
from ivhedge.surface.essvi import essvi_total_variance
from ivhedge.surface.flexible.basis import Basis
from ivhedge.surface.flexible.program import Cuts

__all__ = [
    "CalendarGrid",
    "calendar_grid",
    "cuts_at",
    "deepest_points",
    "lowest_rise",
    "needed_mix",
    "otm_price",
    "rises",
]

MARGIN = 2e-3
"""Share of the backbone's rise that a cut asks for at first, so that strikes beside it rise too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarGrid:
    """Kernel prices of both expiries of each pair on one grid of log-moneyness.

    Parameters
    ----------
    z : FloatArray, shape (g,)
        In standard deviations of the earlier expiry.
    near, far : FloatArray, shape (n - 1, g, m)
        Rows on x of the earlier and the later expiry, in units of `unit`.
    backbone_rise : FloatArray, shape (n - 1, g)
        How much the backbone's price rises, in the same units: positive.
    """

    z: FloatArray
    near: FloatArray
    far: FloatArray
    backbone_rise: FloatArray


def otm_price(log_moneyness: FloatArray, total_variance: FloatArray) -> FloatArray:
    """Out-of-the-money Black price, forward 1."""
    return black76_price(1.0, np.exp(log_moneyness), 1.0, np.sqrt(total_variance), log_moneyness >= 0.0)


def calendar_grid(basis: Basis, scale: FloatArray, slices: FloatArray, z: FloatArray) -> CalendarGrid:
    """Price all kernels of all pairs on the grid; the unit of a row is the later backbone price."""
    n = scale.shape[0]
    k = basis.deviation[:-1, None] * z
    strike, is_call = np.exp(k)[:, :, None], (k >= 0.0)[:, :, None]
    near = black76_price(basis.mean[:-1, None, :], strike, 1.0, basis.width[:-1, None, :], is_call)
    far = black76_price(basis.mean[1:, None, :], strike, 1.0, basis.width[1:, None, :], is_call)
    before = otm_price(k, essvi_total_variance(k, *(column[:-1, None] for column in slices.T)))
    after = otm_price(k, essvi_total_variance(k, *(column[1:, None] for column in slices.T)))
    # Far out the backbone may have no price left; there any unit does.
    unit = after + 1e-9 * basis.deviation[:-1, None]
    near *= (scale[:-1, None, :] if n > 1 else 1.0) / unit[:, :, None]
    far *= (scale[1:, None, :] if n > 1 else 1.0) / unit[:, :, None]
    return CalendarGrid(z=z, near=near, far=far, backbone_rise=(after - before) / unit)


def rises(grid: CalendarGrid, x: FloatArray) -> FloatArray:
    """Rise of the flexible price from each expiry to the next, shape (n - 1, g)."""
    later = np.matmul(grid.far, x[1:, :, None])[:, :, 0]
    return np.asarray(later - np.matmul(grid.near, x[:-1, :, None])[:, :, 0])


def lowest_rise(rise: FloatArray) -> FloatArray:
    """Rise at each grid point or, at a local minimum, at the vertex of the parabola through it."""
    padded = np.pad(rise, ((0, 0), (1, 1)), mode="edge")
    left, right = padded[:, :-2], padded[:, 2:]
    bend = left + right - 2.0 * rise
    lowest = (rise <= left) & (rise <= right) & (bend > 0.0)
    drop = (right - left) ** 2 / (8.0 * np.where(lowest, bend, 1.0))
    return np.where(lowest, rise - drop, rise)


def deepest_points(rise: FloatArray) -> list[IntArray]:
    """Indices of the local minima below 0, per pair."""
    padded = np.pad(rise, ((0, 0), (1, 1)), constant_values=np.inf)
    lowest = (rise <= padded[:, :-2]) & (rise <= padded[:, 2:]) & (rise < 0.0)
    return [np.flatnonzero(row) for row in lowest]


def cuts_at(grid: CalendarGrid, points: list[IntArray], margin: FloatArray) -> Cuts:
    """Cuts at grid points, given by index per pair; each asks for a share of the backbone's rise."""
    empty = np.empty((0, grid.near.shape[2]))
    counts = [len(p) for p in points]
    return Cuts(
        near=np.concatenate([empty, *(grid.near[e][p] for e, p in enumerate(points))]),
        far=np.concatenate([empty, *(grid.far[e][p] for e, p in enumerate(points))]),
        least=np.concatenate(
            [
                np.empty(0),
                *(margin[e] * np.maximum(grid.backbone_rise[e][p], 0.0) for e, p in enumerate(points)),
            ]
        ),
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
    )


def needed_mix(rise: FloatArray, backbone_rise: FloatArray, least: float) -> float:
    """Smallest share of the backbone, at least `least`, at which no price falls on the grid.

    A little is added for the strikes between.
    """
    fall = np.maximum(-rise, 0.0)
    shares = np.where(fall > 0.0, fall / (fall + np.maximum(backbone_rise, 1e-300)), 0.0)
    worst = float(np.max(shares, initial=0.0))
    return min(1.0, max(least, 1.05 * worst))
