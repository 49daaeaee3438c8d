"""A factor model: named factors, how they move together in a day, and how a surface looks after they moved.

Factors of an underlying are ``BTC.spot`` (log move), ``BTC.basis`` (annualised carry, the same at every
tenor) and vol factors such as ``BTC.level``, each with a `VolShape`. One covariance joins all underlyings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.risk.factors.regimes import Regime
from ivhedge.risk.factors.shapes import VolShape
from ivhedge.risk.factors.shifted import ShiftedSurface
from ivhedge.surface.base import VolSurface

__all__ = ["BASIS", "SPOT", "Factor", "FactorModel"]

SPOT: Final = "spot"
BASIS: Final = "basis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One factor.

    Parameters
    ----------
    underlying : str
    kind : str
        ``spot``, ``basis``, or the name of the shape.
    shape : VolShape, optional
        For factors of vol.
    """

    underlying: str
    kind: str
    shape: VolShape | None = None

    def __post_init__(self) -> None:
        if (self.shape is None) != (self.kind in (SPOT, BASIS)):
            raise ConfigError(
                f"{self.name}: expected a shape for vol factors, and none for {SPOT} and {BASIS}"
            )

    @property
    def name(self) -> str:
        """Underlying and kind."""
        return f"{self.underlying}.{self.kind}"

    @property
    def unit(self) -> str:
        """What 1 of it is: log return, rate per year, or vol as a decimal."""
        return {SPOT: "log return", BASIS: "per year"}.get(self.kind, "vol")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorModel:
    """Factors with their covariance over a horizon.

    Parameters
    ----------
    factors : tuple of K Factor
    scales : FloatArray, shape (K,)
        Standard deviations over the horizon, in the unit of each factor.
    correlation : FloatArray, shape (K, K)
        Positive definite.
    horizon_days : float
        Scales grow with its root.
    regime : Regime
        Which steps it was estimated on.

    Raises
    ------
    ConfigError
        If names repeat, or vol factors of one underlying have different grids.
    DataError
        If shapes differ, a scale is not positive, or the correlation is not positive definite.
    """

    factors: tuple[Factor, ...]
    scales: FloatArray
    correlation: FloatArray
    horizon_days: float = 1.0
    regime: Regime = Regime.ALL

    def __post_init__(self) -> None:
        count = len(self.factors)
        if len(set(self.names)) < count or not self.horizon_days > 0.0:
            raise ConfigError(f"expected distinct factors and a horizon above 0, found {list(self.names)}")
        if self.scales.shape != (count,) or self.correlation.shape != (count, count):
            raise DataError(
                f"expected scales ({count},) and correlation ({count}, {count}), found "
                f"{self.scales.shape} and {self.correlation.shape}"
            )
        sound = np.isfinite(self.scales).all() and (self.scales > 0.0).all()
        if not sound or not np.isfinite(self.correlation).all():
            raise DataError(f"expected positive scales and finite correlations, found {self.scales.tolist()}")
        if not np.allclose(np.diag(self.correlation), 1.0) or not np.allclose(
            self.correlation, self.correlation.T
        ):
            raise DataError("expected a symmetric correlation with ones on its diagonal")
        if np.linalg.eigvalsh(self.correlation)[0] <= 0.0:
            raise DataError("expected a positive definite correlation; use shrink_covariance")
        for underlying in self.underlyings:
            _axes(
                [factor.shape for factor in self.factors if factor.underlying == underlying and factor.shape]
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the factors, in order."""
        return tuple(factor.name for factor in self.factors)

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each factor."""
        return tuple(factor.unit for factor in self.factors)

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Underlyings with a factor."""
        return tuple(dict.fromkeys(factor.underlying for factor in self.factors))

    @property
    def covariance(self) -> FloatArray:
        """Covariance over the horizon in the factors' units, shape (K, K), positive definite."""
        return np.asarray(self.scales[:, None] * self.correlation * self.scales)

    def over(self, days: float) -> "FactorModel":
        """The same over another horizon, by the root of time.

        Raises
        ------
        ConfigError
            If `days` is not positive.
        """
        if not (np.isfinite(days) and days > 0.0):
            raise ConfigError(f"expected a horizon in days above 0, found {days}")
        return replace(self, scales=self.scales * np.sqrt(days / self.horizon_days), horizon_days=days)

    def apply(self, surface: VolSurface, shocks: "Mapping[str, float] | ArrayLike") -> ShiftedSurface:
        """Surface after the factors of its underlying have moved; those of other underlyings do not count.

        Parameters
        ----------
        surface : VolSurface
        shocks : mapping of name to float, or array_like, shape (K,)
            Moves in the factors' units (``scales`` for one standard deviation each); names left out are 0.

        Raises
        ------
        ConfigError
            If a name is unknown, a move is not finite, the underlying has no factor here, or a vol on the
            grid would not be positive.
        """
        moves = self._moves(shocks)
        mine = [i for i, factor in enumerate(self.factors) if factor.underlying == surface.underlying]
        if not mine:
            raise ConfigError(
                f"expected a surface of {self.underlyings}, found {surface.underlying}: "
                "this model has no factor for it"
            )
        log_move = sum(float(moves[i]) for i in mine if self.factors[i].kind == SPOT)
        carry = sum(float(moves[i]) for i in mine if self.factors[i].kind == BASIS)
        shapes = [(float(moves[i]), shape) for i in mine if (shape := self.factors[i].shape) is not None]
        tenors, nodes = _axes([shape for _, shape in shapes[:1]])
        grid = np.zeros((tenors.size, nodes.size))
        for move, shape in shapes:
            if move != 0.0:
                grid = grid + move * shape.grid
        moved = ShiftedSurface(
            base=surface, log_move=log_move, carry_move=carry, tenor_days=tenors, nodes=nodes, grid=grid
        )
        if not grid.any():
            return moved
        lowest, tenor, node = moved.lowest_vol()
        if not lowest > 0.0:
            raise ConfigError(
                f"{surface.underlying}: expected vols that stay positive, found {lowest:.4g} at "
                f"{tenor:g} days, x = {node:g}; use a smaller shock"
            )
        return moved

    def _moves(self, shocks: "Mapping[str, float] | ArrayLike") -> FloatArray:
        if isinstance(shocks, Mapping):
            unknown = sorted(set(shocks) - set(self.names))
            if unknown:
                raise ConfigError(f"expected factors of {list(self.names)}, found {unknown}")
            moves = np.array([float(shocks.get(name, 0.0)) for name in self.names])
        else:
            moves = np.asarray(shocks, dtype=np.float64)
        if moves.shape != (len(self.factors),) or not np.isfinite(moves).all():
            raise ConfigError(f"expected {len(self.factors)} finite moves, found {moves.tolist()}")
        return moves


def _axes(shapes: list[VolShape]) -> tuple[FloatArray, FloatArray]:
    """Tenors and nodes that the shapes share; a single point without any."""
    if not shapes:
        return np.array([30.0]), np.array([0.0])
    first = shapes[0]
    for shape in shapes[1:]:
        same = np.array_equal(shape.tenor_days, first.tenor_days) and np.array_equal(shape.nodes, first.nodes)
        if not same:
            raise ConfigError(f"expected {shape.name} on the tenors and nodes of {first.name}")
    return first.tenor_days, first.nodes
