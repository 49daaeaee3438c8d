"""Shapes in which a surface moves: vol shifts over tenor and standardised strike, per unit of a factor.

Named shapes, with s = τ / 30 days and the decay s^(−a) that moves of vols at the money roughly follow, all in
vol per unit, so that a factor of 0.01 is one vol point at 30 days:

| name | shift at (τ, x) | reads as |
|---|---|---|
| level | s^(−a) | vol at the money of 30 days |
| slope | ln(s)·s^(−a) / ln(90/7) | about 90 less 7 days, once the decay is taken off; + = steeper |
| skew | x·s^(−a) | half of the vol at x = +1 less that at x = −1; + = calls dearer |
| curvature | (√(1 + x²) − 1)/(√2 − 1)·s^(−a) | wings at x = ±1 over the money |

By tenor, ``level_30d`` and so on: the same strike shapes times a hat function in ln τ over the chosen tenors,
flat beyond the outer ones. Scores are least squares over the grid with `vega_weights`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.risk.buckets import bucket_weights

__all__ = ["VolShape", "named_shapes", "project", "tenor_shapes", "vega_weights"]

REFERENCE_DAYS: Final = 30.0
_STRIKE_SHAPES: Final = ("level", "skew", "curvature")


@dataclass(frozen=True, slots=True, kw_only=True)
class VolShape:
    """A vol shift tabulated on a grid; linear in ln τ and x between nodes, flat beyond the outer ones.

    Parameters
    ----------
    name : str
    tenor_days, nodes : FloatArray, shapes (M,) and (N,)
    grid : FloatArray, shape (M, N)
        Change of vol, decimal, per unit of the factor.
    """

    name: str
    tenor_days: FloatArray
    nodes: FloatArray
    grid: FloatArray

    def __post_init__(self) -> None:
        shape = (self.tenor_days.size, self.nodes.size)
        if self.grid.shape != shape or not np.isfinite(self.grid).all():
            raise ConfigError(
                f"{self.name}: expected a finite grid of shape {shape}, found {self.grid.shape}"
            )

    def at(self, tau: ArrayLike, x: ArrayLike) -> FloatArray:
        """Shift per unit at times to expiry in years and standardised strikes; they broadcast."""
        years, strike = np.broadcast_arrays(np.asarray(tau, np.float64), np.asarray(x, np.float64))
        return shift_at(self.grid, self.tenor_days, self.nodes, years, strike)


def shift_at(
    grid: FloatArray, tenor_days: FloatArray, nodes: FloatArray, tau: FloatArray, x: FloatArray
) -> FloatArray:
    """A grid of shifts, shape (M, N), at points of equal shape; see `VolShape`."""
    row, right = _position(np.log(np.maximum(tau * DAYS_PER_YEAR, 1e-9)), np.log(tenor_days))
    column, up = _position(x, nodes)
    below = np.minimum(row + 1, tenor_days.size - 1)
    beside = np.minimum(column + 1, nodes.size - 1)
    early = grid[row, column] * (1.0 - up) + grid[row, beside] * up
    late = grid[below, column] * (1.0 - up) + grid[below, beside] * up
    return np.asarray(early * (1.0 - right) + late * right)


def _position(values: FloatArray, axis: FloatArray) -> tuple[IntArray, FloatArray]:
    """Node at or below each value, and the share of the way to the next; the outer nodes beyond them."""
    place = np.interp(values, axis, np.arange(axis.size, dtype=np.float64))
    node = place.astype(np.int64)
    return node, np.asarray(place - node)


def named_shapes(tenor_days: ArrayLike, nodes: ArrayLike, *, decay: float = 0.5) -> tuple[VolShape, ...]:
    """Level, slope, skew and curvature; see the head of the module.

    Raises
    ------
    ConfigError
        If `decay` is not in [0, 1].
    """
    if not 0.0 <= decay <= 1.0:
        raise ConfigError(f"expected decay in [0, 1], found {decay}")
    days, x = np.asarray(tenor_days, dtype=np.float64), np.asarray(nodes, dtype=np.float64)
    share = days / REFERENCE_DAYS
    fade = share**-decay
    slope = fade * np.log(share) / np.log(90.0 / 7.0)
    strike = _strike_shapes(x)
    grids = {
        "level": np.outer(fade, strike["level"]),
        "slope": np.outer(slope, strike["level"]),
        "skew": np.outer(fade, strike["skew"]),
        "curvature": np.outer(fade, strike["curvature"]),
    }
    return tuple(VolShape(name=name, tenor_days=days, nodes=x, grid=grid) for name, grid in grids.items())


def tenor_shapes(
    tenor_days: ArrayLike, nodes: ArrayLike, *, at_days: Sequence[float] = (7.0, 30.0, 90.0)
) -> tuple[VolShape, ...]:
    """Level, skew and curvature of each constant tenor in `at_days`, names like ``skew_30d``.

    Raises
    ------
    ConfigError
        If `at_days` is empty or does not ascend.
    """
    days, x = np.asarray(tenor_days, dtype=np.float64), np.asarray(nodes, dtype=np.float64)
    hats = bucket_weights(np.log(days), np.log(np.asarray(at_days, dtype=np.float64)))
    strike = _strike_shapes(x)
    return tuple(
        VolShape(name=f"{name}_{tenor:g}d", tenor_days=days, nodes=x, grid=np.outer(hat, strike[name]))
        for tenor, hat in zip(at_days, hats.T, strict=True)
        for name in _STRIKE_SHAPES
    )


def vega_weights(tenor_days: ArrayLike, nodes: ArrayLike) -> FloatArray:
    """Weight of a vol change at each grid point, shape (M, N): proportional to Black-76 vega, √τ·φ(x).

    The strike part is the root of φ, ``exp(−x²/4)``: squared it gives φ, the share of vega along the strikes.
    """
    days, x = np.asarray(tenor_days, dtype=np.float64), np.asarray(nodes, dtype=np.float64)
    return np.asarray(np.outer(np.sqrt(days / REFERENCE_DAYS), np.exp(-0.25 * x * x)))


def project(shapes: Sequence[VolShape], changes: FloatArray, weights: FloatArray) -> FloatArray:
    """Scores of vol changes on shapes by weighted least squares.

    Parameters
    ----------
    shapes : sequence of K VolShape
    changes : FloatArray, shape (S, M, N)
    weights : FloatArray, shape (M, N)

    Returns
    -------
    FloatArray, shape (S, K)

    Raises
    ------
    ConfigError
        If the shapes are not independent on this grid.
    """
    design = np.stack([(shape.grid * weights).ravel() for shape in shapes], axis=1)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise ConfigError(
            f"expected shapes that differ on the grid, found {[shape.name for shape in shapes]} of rank "
            f"{np.linalg.matrix_rank(design)}; use fewer, or more tenors and nodes"
        )
    target = (changes * weights).reshape(changes.shape[0], -1)
    return np.asarray(target @ np.linalg.pinv(design).T)


def _strike_shapes(x: FloatArray) -> dict[str, FloatArray]:
    bend = (np.sqrt(1.0 + x * x) - 1.0) / (np.sqrt(2.0) - 1.0)
    return {"level": np.ones_like(x), "skew": x, "curvature": bend}
