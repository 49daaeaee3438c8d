"""Joint shocks of spots, smiles and carry: their layout, those that happened and those that may.

A shock of one underlying is the log move of its spot, the log move of its vols at constant tenor and
standardised moneyness ``x = k / (atm_vol · sqrt(tau))``, and the move of its annualised carry. In logs the
moves of following periods add up, and no shocked vol can turn negative.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, EmptyData, UnknownInstrument
from ivhedge.core.types import FloatArray, IntArray

__all__ = ["ScenarioSet", "ShockHistory", "ShockLayout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShockLayout:
    """Order of the numbers in a joint shock: per underlying the spot, the vols by tenor, the carry.

    Parameters
    ----------
    underlyings : tuple of str
    tenor_days : FloatArray, shape (M,)
        Ascending, positive.
    nodes : FloatArray, shape (N,)
        Standardised log-moneyness, ascending, 0 among them.

    Raises
    ------
    ConfigError
        If names repeat, or tenors or nodes do not ascend or lack the money.
    """

    underlyings: tuple[str, ...]
    tenor_days: FloatArray
    nodes: FloatArray

    def __post_init__(self) -> None:
        if not self.underlyings or len(set(self.underlyings)) != len(self.underlyings):
            raise ConfigError(f"expected different underlyings, found {self.underlyings}")
        for name in ("tenor_days", "nodes"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if (
                values.ndim != 1
                or not values.size
                or not np.isfinite(values).all()
                or (np.diff(values) <= 0).any()
            ):
                raise ConfigError(f"expected {name} ascending and finite, found {values.tolist()}")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        if self.tenor_days[0] <= 0.0 or not (self.nodes == 0.0).any():
            raise ConfigError("expected positive tenors and a node at the money (0)")

    @property
    def width(self) -> int:
        """Numbers per underlying: ``1 + M·N + M``."""
        return 1 + self.tenor_days.size * (self.nodes.size + 1)

    @property
    def size(self) -> int:
        """Numbers of a joint shock."""
        return self.width * len(self.underlyings)

    def start(self, underlying: str) -> int:
        """Where the numbers of an underlying begin; the first one is its spot.

        Raises
        ------
        UnknownInstrument
            If the layout does not hold it.
        """
        if underlying not in self.underlyings:
            raise UnknownInstrument(
                f"expected an underlying of the scenarios {self.underlyings}, found {underlying}; a position "
                "without scenarios has no measured risk: add its history"
            )
        return self.width * self.underlyings.index(underlying)

    def split(self, values: FloatArray, underlying: str) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Spot (n,), vols (n, M, N) and carry (n, M) of shocks of shape (n, size)."""
        first, m, n = self.start(underlying), self.tenor_days.size, self.nodes.size
        block = values[:, first : first + self.width]
        return block[:, 0], block[:, 1 : 1 + m * n].reshape(-1, m, n), block[:, 1 + m * n :]

    def same(self, other: "ShockLayout") -> bool:
        """Whether shocks of the two mean the same."""
        return (
            self.underlyings == other.underlyings
            and np.array_equal(self.tenor_days, other.tenor_days)
            and np.array_equal(self.nodes, other.nodes)
        )


def _frozen(values: FloatArray, layout: ShockLayout) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != layout.size or array.shape[0] == 0:
        raise DataError(f"expected shocks of shape (n, {layout.size}), found {array.shape}")
    if not np.isfinite(array).all():
        raise DataError("expected finite shocks; a missing one is not a shock of 0: leave its row out")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, kw_only=True)
class ShockHistory:
    """Joint shocks that happened.

    Parameters
    ----------
    layout : ShockLayout
    start_ns, end_ns : IntArray, shape (T,)
        Period of each shock; periods may overlap.
    values : FloatArray, shape (T, layout.size)
    dropped : int
        Periods left out because a vol or forward was missing.

    Raises
    ------
    DataError
        If shapes do not fit or a shock is not finite.
    """

    layout: ShockLayout
    start_ns: IntArray
    end_ns: IntArray
    values: FloatArray
    dropped: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, self.layout))
        if not self.start_ns.shape == self.end_ns.shape == self.values.shape[:1]:
            raise DataError("expected one start and one end per shock")

    def until(self, ts_ns: int) -> "ShockHistory":
        """Shocks that were over by a time: what a forecast made then may know.

        Raises
        ------
        EmptyData
            If there are none.
        """
        known = self.end_ns <= ts_ns
        if not known.any():
            raise EmptyData("expected shocks before the forecast, found none; begin later")
        return ShockHistory(
            layout=self.layout,
            start_ns=self.start_ns[known],
            end_ns=self.end_ns[known],
            values=self.values[known],
            dropped=self.dropped,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioSet:
    """Joint shocks that may happen over the horizon.

    Parameters
    ----------
    layout : ShockLayout
    horizon_ns : int
        Time that passes in each scenario.
    values : FloatArray, shape (n, layout.size)
    weights : FloatArray, shape (n,), optional
        Probabilities; equal by default.
    overlap : int
        Neighbours that share history, for error bars.

    Raises
    ------
    ConfigError
        If the horizon is negative or `overlap` below 1.
    DataError
        If a shock is not finite, or weights do not fit or sum to 1.
    """

    layout: ShockLayout
    horizon_ns: int
    values: FloatArray
    weights: FloatArray | None = None
    overlap: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, self.layout))
        if self.horizon_ns < 0 or self.overlap < 1:
            raise ConfigError(
                f"expected horizon_ns >= 0 and overlap >= 1, found {self.horizon_ns}, {self.overlap}"
            )
        if self.weights is None:
            return
        mass = np.array(self.weights, dtype=np.float64)
        if mass.shape != self.values.shape[:1] or not (np.isfinite(mass).all() and mass.min() >= 0.0):
            raise DataError("expected one finite weight at or above 0 per scenario")
        if abs(mass.sum() - 1.0) > 1e-9:
            raise DataError(f"expected weights that sum to 1, found {mass.sum()}")
        mass.setflags(write=False)
        object.__setattr__(self, "weights", mass)
