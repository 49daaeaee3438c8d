"""Leland: a timetable at a vol that carries the cost of trading."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.policies.protocol import Gate, positive, rebalance
from ivhedge.hedge.policies.state import HedgeMoment, Zone

__all__ = ["Leland"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leland:
    """Reset every `interval` to the delta at Leland's vol.

    Parameters
    ----------
    interval : float
        Years between trades, > 0.
    cost : float
        One way, per unit of value traded: 0.0005 is 5 bp. Leland's own k is the round trip, 2·cost.

    Notes
    -----
    ``A = sqrt(2/π)·2·cost/(σ·sqrt(interval))``; ``σ̂² = σ²(1 + A)`` for a short option and ``σ²(1 − A)`` for a
    long one, not below zero: from A = 1 on trading that often costs a long holder more than gamma earns.

    References
    ----------
    Leland (1985), Option pricing and replication with transactions costs.
    """

    interval: float
    cost: float

    def __post_init__(self) -> None:
        positive("interval", self.interval)
        positive("cost", self.cost, zero=True)

    @property
    def gate(self) -> Gate:
        """When to look."""
        return Gate(min_elapsed=self.interval)

    def zone(self, moment: HedgeMoment) -> Zone:
        """The delta at the modified vol, alone."""
        number = np.sqrt(2.0 / np.pi) * 2.0 * self.cost / (moment.vol * np.sqrt(self.interval))
        factor = np.maximum(1.0 - np.sign(moment.gamma) * number, 0.0)
        return Zone.point(moment.target_at(moment.total_vol * np.sqrt(factor)))

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)
