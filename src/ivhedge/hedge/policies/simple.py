"""Policies without a model of cost: timetable, move trigger, fixed bands."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.policies.protocol import OPEN, Gate, positive, rebalance
from ivhedge.hedge.policies.state import HedgeMoment, Zone

__all__ = ["FixedBand", "MoveTrigger", "Timetable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Reset to the target whenever `interval` years have passed since the last trade; 0 = at every check."""

    interval: float = 0.0

    def __post_init__(self) -> None:
        positive("interval", self.interval, zero=True)

    @property
    def gate(self) -> Gate:
        """When to look."""
        return Gate(min_elapsed=self.interval)

    def zone(self, moment: HedgeMoment) -> Zone:
        """The target alone."""
        return Zone.point(moment.target)

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTrigger:
    """Reset to the target when the spot has moved by `move` (log) since the last trade."""

    move: float

    def __post_init__(self) -> None:
        positive("move", self.move)

    @property
    def gate(self) -> Gate:
        """When to look."""
        return Gate(min_move=self.move)

    def zone(self, moment: HedgeMoment) -> Zone:
        """The target alone."""
        return Zone.point(moment.target)

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedBand:
    """Leave the hedge alone within `half_width` of the target.

    Parameters
    ----------
    half_width : float
        Delta of one option, coins, >= 0.
    to_target : bool
        Trade to the target, as fixed fees ask for; else to the nearest edge, as proportional costs do.
    """

    half_width: float
    to_target: bool = False

    def __post_init__(self) -> None:
        positive("half_width", self.half_width, zero=True)

    @property
    def gate(self) -> Gate:
        """When to look."""
        return OPEN

    def zone(self, moment: HedgeMoment) -> Zone:
        """Target and half width."""
        lower, upper = moment.target - self.half_width, moment.target + self.half_width
        if not self.to_target:
            return Zone.to_edge(lower, upper)
        centre = np.broadcast_to(moment.target, lower.shape)
        return Zone(lower, upper, centre, centre)

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)
