"""Things of a venue that evolve over the snapshots: outages and the basis of its index."""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.market.simulator.streams import Streams
from ivhedge.market.simulator.venues import OutageMode, VenueProfile

__all__ = ["basis_path", "outage_modes"]


def outage_modes(profile: VenueProfile, times_ns: IntArray, streams: Streams) -> list[OutageMode | None]:
    """Outage of a venue at each snapshot, None where it is live.

    A random outage begins with `outage_probability` per snapshot, freezes or removes the venue with equal
    chance, and lasts a geometric number of snapshots; a planned one overrides it.
    """
    draws = streams.generator("outage", profile.name).random((times_ns.size, 3))
    running: OutageMode | None = None
    modes: list[OutageMode | None] = []
    for ts_ns, (begin, kind, end) in zip(times_ns.tolist(), draws.tolist(), strict=True):
        if running is not None and end < 1.0 / profile.outage_mean_snapshots:
            running = None
        elif running is None and begin < profile.outage_probability:
            running = OutageMode.FROZEN if kind < 0.5 else OutageMode.ABSENT
        modes.append(profile.planned_outage(ts_ns) or running)
    return modes


def basis_path(profile: VenueProfile, times_ns: IntArray, step_ns: int, streams: Streams) -> FloatArray:
    """Index of a venue over the common index, as a fraction, at each snapshot; shape (n,).

    An Ornstein-Uhlenbeck process that starts at its mean.
    """
    normals = streams.generator("basis", profile.name).standard_normal(times_ns.size)
    decay = 0.5 ** (step_ns / NS_PER_HOUR / profile.index_basis_halflife_hours)
    shock = profile.index_basis_std * np.sqrt(1.0 - decay * decay)
    path = np.empty(times_ns.size)
    deviation = 0.0
    for number, normal in enumerate(normals.tolist()):
        path[number] = profile.index_basis + deviation
        deviation = deviation * decay + shock * normal
    return path
