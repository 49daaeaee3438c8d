"""The protocol of delta policies: a zone in which the hedge rests, and a gate that says when to look."""

from dataclasses import dataclass
from math import isnan
from typing import Protocol

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.hedge.policies.state import HedgeMoment, Zone

__all__ = ["OPEN", "DeltaPolicy", "Gate", "positive", "rebalance"]

# Sums of equal time steps fall short of their product by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """When a policy looks at its zone at all.

    Parameters
    ----------
    min_elapsed : float
        Years that must have passed since the last trade.
    min_move : float
        |ln(spot / spot of the last trade)| that must have been reached.
    """

    min_elapsed: float = 0.0
    min_move: float = 0.0

    def __post_init__(self) -> None:
        for name in ("min_elapsed", "min_move"):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"expected {name} at or above 0, found {getattr(self, name)}")

    def is_open(self, moment: HedgeMoment) -> BoolArray:
        """Tell which positions are looked at."""
        late = moment.elapsed >= self.min_elapsed * (1.0 - _ROUNDING)
        return np.asarray(late & (moment.move >= self.min_move))


OPEN = Gate()
"""Looks at every check."""


class DeltaPolicy(Protocol):
    """A rule that rebalances a delta hedge. Pure: the zone depends on the moment, never on its hedge."""

    @property
    def gate(self) -> Gate:
        """When to look."""
        ...

    def zone(self, moment: HedgeMoment) -> Zone:
        """Hedges that rest, per position of one option.

        Parameters
        ----------
        moment : HedgeMoment
            `hedge`, `elapsed` and `move` are not read.
        """
        ...

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        ...


def rebalance(policy: DeltaPolicy, moment: HedgeMoment) -> FloatArray:
    """New hedge under a policy's gate and zone; what `DeltaPolicy.rebalance` returns."""
    new = policy.zone(moment).apply(moment.hedge)
    return np.asarray(np.where(policy.gate.is_open(moment), new, moment.hedge))


def positive(name: str, value: float, *, zero: bool = False) -> None:
    """Refuse a parameter that is not a number above zero.

    Raises
    ------
    ConfigError
    """
    if isnan(value) or value < 0.0 or (value == 0.0 and not zero) or value == np.inf:
        raise ConfigError(f"expected {name} {'at or ' if zero else ''}above 0 and finite, found {value}")
