"""Changes of one or several panels over common steps, and their scale in time.

Snapshots come at uneven times. Estimates divide a change over `d` days by √d, as for a diffusion, so that it
counts per root day. Noise of quotes and fits does not grow with time and would be blown up over short steps:
times closer than `min_step_hours` are merged into one step. Steps longer than `max_step_hours` are left out,
because a gap hides what happened in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.risk.panel import SurfacePanel

__all__ = ["PanelSteps", "panel_steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSteps:
    """Changes over S steps common to all underlyings; not scaled by time.

    Parameters
    ----------
    tenor_days, nodes : FloatArray, shapes (M,) and (N,)
        Those of every panel.
    start_ns, end_ns : IntArray, shape (S,)
    days : FloatArray, shape (S,)
        Length of each step.
    spot : mapping of underlying to FloatArray, shape (S,)
        Log returns.
    basis : mapping of underlying to FloatArray, shape (S,)
        Change of the annualised carry: least-squares slope of the change of ``ln(F / spot)`` on tau, which
        counts long tenors most, because the index of a snapshot is not taken at the time of the quotes.
    vols : mapping of underlying to FloatArray, shape (S, M, N)
        Changes of vol at fixed tenor and node, decimal.
    atm_vols : mapping of underlying to FloatArray, shape (S, M)
        Vol at the forward before the step.
    left_out : int
        Steps dropped for their length or a missing tenor.
    """

    tenor_days: FloatArray
    nodes: FloatArray
    start_ns: IntArray
    end_ns: IntArray
    days: FloatArray
    spot: Mapping[str, FloatArray]
    basis: Mapping[str, FloatArray]
    vols: Mapping[str, FloatArray]
    atm_vols: Mapping[str, FloatArray]
    left_out: int

    @property
    def underlyings(self) -> tuple[str, ...]:
        """In the order of the panels."""
        return tuple(self.spot)

    def rows(self, keep: "IntArray | slice") -> "PanelSteps":
        """Some of the steps."""
        return PanelSteps(
            tenor_days=self.tenor_days,
            nodes=self.nodes,
            start_ns=self.start_ns[keep],
            end_ns=self.end_ns[keep],
            days=self.days[keep],
            spot={name: values[keep] for name, values in self.spot.items()},
            basis={name: values[keep] for name, values in self.basis.items()},
            vols={name: values[keep] for name, values in self.vols.items()},
            atm_vols={name: values[keep] for name, values in self.atm_vols.items()},
            left_out=self.left_out,
        )


def panel_steps(
    panels: Sequence[SurfacePanel], *, min_step_hours: float = 3.0, max_step_hours: float = 13.0
) -> PanelSteps:
    """Changes between the times that all panels share.

    Parameters
    ----------
    panels : sequence of SurfacePanel
        One per underlying, on the same tenors and nodes.
    min_step_hours, max_step_hours : float
        Shorter steps are merged with the next, longer ones left out.

    Raises
    ------
    ConfigError
        If the bounds are not positive and ascending.
    DataError
        If axes differ, or an underlying comes twice.
    EmptyData
        If no usable step is left.
    """
    if not 0.0 <= min_step_hours < max_step_hours:
        raise ConfigError(
            f"expected 0 <= min_step_hours < max_step_hours, found {min_step_hours}, {max_step_hours}"
        )
    if not panels:
        raise EmptyData("expected at least one panel, found none")
    names = [panel.underlying for panel in panels]
    if len(set(names)) < len(names):
        raise DataError(f"expected one panel per underlying, found {names}")
    first = panels[0]
    for panel in panels[1:]:
        same = np.array_equal(panel.tenor_days, first.tenor_days) and np.array_equal(panel.nodes, first.nodes)
        if not same:
            raise DataError(f"expected the tenors and nodes of {names[0]} for {panel.underlying} too")
    common = reduce(np.intersect1d, [panel.ts_ns for panel in panels])
    kept: list[int] = []
    for moment in common.tolist():
        if not kept or moment - kept[-1] >= min_step_hours * NS_PER_HOUR:
            kept.append(moment)
    times = np.array(kept, dtype=np.int64)
    here = [panel.rows(np.searchsorted(panel.ts_ns, times)) for panel in panels]
    complete = (
        np.all([panel.known.all(axis=1) for panel in here], axis=0) if times.size else np.zeros(0, bool)
    )
    usable = complete[1:] & complete[:-1] & (np.diff(times) <= max_step_hours * NS_PER_HOUR)
    if not usable.any():
        raise EmptyData(
            f"{', '.join(names)}: expected steps of {min_step_hours:g} to {max_step_hours:g} hours with "
            f"every tenor, found none in {common.size} common times; give a longer history, or tenors within "
            "the expiries"
        )
    weight = first.taus**2 / (first.taus**2).sum()
    return PanelSteps(
        tenor_days=first.tenor_days,
        nodes=first.nodes,
        start_ns=times[:-1][usable],
        end_ns=times[1:][usable],
        days=np.diff(times)[usable] / NS_PER_DAY,
        spot={panel.underlying: np.diff(np.log(panel.spot))[usable] for panel in here},
        basis={panel.underlying: np.diff(panel.forward_rate @ weight)[usable] for panel in here},
        vols={panel.underlying: np.diff(panel.vols, axis=0)[usable] for panel in here},
        atm_vols={panel.underlying: panel.atm_vols[:-1][usable] for panel in here},
        left_out=int((~usable).sum()),
    )
