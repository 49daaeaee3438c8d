"""What a desk wants to know of its venues at a glance."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray
from ivhedge.surface.fusion._copies import copy_discount
from ivhedge.surface.fusion.fuse import FusedSurface
from ivhedge.surface.fusion.leadership import InformationShare
from ivhedge.surface.fusion.model import BiasStatus
from ivhedge.surface.fusion.staleness import VenueState, VenueWatch

__all__ = ["VenueHealth", "venue_health"]

_BAD = 0.5
_NORMAL = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueHealth:
    """Health of one venue. Vols are decimals, intervals hold with 95 %; None where nothing is known.

    Parameters
    ----------
    venue : str
    state : str
        `VenueState`: the watch's finding; ``absent`` where that is ``live`` or missing and no quote was used.
    quarantined : bool
        Left out on request.
    jumped : bool
        Its bias had to be estimated anew in this snapshot: its quotes as a whole had left their place.
    n_quotes, n_bad : int
        Used, and among them those more probably bad than good.
    excluded : dict of str to int
        Kept out, by reason.
    noise_scale : float or None
        Error of good quotes in half-spreads.
    typical_half_spread : float or None
    bias_status : str
        `BiasStatus` of the common part; ``unidentified`` also for a venue none of whose quotes was ever used.
    level_bias, slope_bias : float or None
        Common part.
    level_interval, slope_interval : (float, float) or None
    forward_bias : float or None
        Median over expiries, log ratio to the consensus.
    copies : dict of str to float
        Venues whose errors move with its own, and the correlation.
    lag_s, lag_error_s : float or None
    silent_s, gap_sigmas : float or None
        From the watch.
    information_share : (float, float) or None
        Bounds of its share in price discovery, where `leadership` was given.
    share : float
        Of the information in the quotes of this snapshot, copies counted once.
    """

    venue: str
    state: str
    quarantined: bool
    jumped: bool
    n_quotes: int
    n_bad: int
    excluded: dict[str, int] = field(default_factory=dict)
    noise_scale: float | None
    typical_half_spread: float | None
    bias_status: str
    level_bias: float | None
    level_interval: tuple[float, float] | None
    slope_bias: float | None
    slope_interval: tuple[float, float] | None
    forward_bias: float | None
    copies: dict[str, float] = field(default_factory=dict)
    lag_s: float | None
    lag_error_s: float | None
    silent_s: float | None
    gap_sigmas: float | None
    information_share: tuple[float, float] | None
    share: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def venue_health(
    fused: FusedSurface,
    watch: Mapping[str, VenueWatch] | None = None,
    leadership: InformationShare | None = None,
) -> dict[str, VenueHealth]:
    """Report on every venue known to the model, quarantined, or whose quotes were all kept out, by name.

    Parameters
    ----------
    fused : FusedSurface
    watch : mapping of venue to VenueWatch, optional
        From `StaleDetector.update`.
    leadership : InformationShare, optional
    """
    model, quotes = fused.model, fused.quotes
    table = model.biases().filter(pl.col("expiry").is_null())
    common = {row["venue"]: row for row in table.iter_rows(named=True)}
    weight, copies = _information(fused), model.copies()
    report = {}
    for name in sorted({*model.venues, *quotes.excluded, *fused.quarantined, *(watch or {})}):
        mine = quotes.venue == (quotes.venues.index(name) if name in quotes.venues else -1)
        row, seen = common.get(name, {}), (watch or {}).get(name)
        state = VenueState.LIVE if seen is None else seen.state
        if not mine.any() and state is VenueState.LIVE:
            state = VenueState.ABSENT
        v = model.venues.index(name) if name in model.venues else None
        basis = np.array([]) if v is None else model.forward_bias[v][np.isfinite(model.forward_bias[v])]
        report[name] = VenueHealth(
            venue=name,
            state=state.value,
            quarantined=name in fused.quarantined,
            jumped=name in fused.jumped,
            n_quotes=int(mine.sum()),
            n_bad=int((fused.good[mine] < _BAD).sum()),
            excluded=dict(quotes.excluded.get(name, {})),
            noise_scale=model.noise_scale.get(name),
            typical_half_spread=None if v is None else float(model.state.half_spread[v]),
            bias_status=BiasStatus(row.get("status", BiasStatus.UNIDENTIFIED)).value,
            level_bias=row.get("level_bias"),
            level_interval=_interval(row, "level"),
            slope_bias=row.get("slope_bias"),
            slope_interval=_interval(row, "slope"),
            forward_bias=float(np.median(basis)) if basis.size else None,
            copies={(b if a == name else a): rho for (a, b), rho in copies.items() if name in (a, b)},
            lag_s=row.get("lag_s"),
            lag_error_s=row.get("lag_error_s"),
            silent_s=None if seen is None else seen.silent_s,
            gap_sigmas=None if seen is None else seen.gap_sigmas,
            information_share=_discovery(leadership, name),
            share=float(weight[mine].sum() / weight.sum()),
        )
    return report


def _information(fused: FusedSurface) -> FloatArray:
    """Information of each quote of the snapshot, copies counted once."""
    model, quotes = fused.model, fused.quotes
    scale = np.array([model.noise_scale.get(v, 1.0) for v in quotes.venues])
    once = copy_discount(model.correlation, quotes.venue, quotes.instrument)
    return np.asarray(fused.good * once / (scale[quotes.venue] ** 2 * quotes.variance))


def _discovery(leadership: InformationShare | None, name: str) -> tuple[float, float] | None:
    if leadership is None or name not in leadership.venues:
        return None
    at = leadership.venues.index(name)
    return float(leadership.lower[at]), float(leadership.upper[at])


def _interval(row: Mapping[str, Any], part: str) -> tuple[float, float] | None:
    if not row:
        return None
    value, error = row[f"{part}_bias"], row[f"{part}_error"]
    return value - _NORMAL * error, value + _NORMAL * error
