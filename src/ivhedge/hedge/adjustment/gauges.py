"""Everything that is watched, as named numbers with an outer and an inner edge."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.limits import Band, HedgeLimits

__all__ = ["Gauge", "GaugeKind", "band_gauges", "limit_gauge"]


class GaugeKind(StrEnum):
    """Where a limit comes from."""

    BAND = "band"
    CONTROL = "control"
    GROSS = "gross"
    MARGIN = "margin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One watched number.

    Parameters
    ----------
    name, unit : str
        The name identifies the cause from one decision to the next.
    kind : GaugeKind
    lower, upper : float
        Outer edges: beyond them an adjustment is called for.
    inner_lower, inner_upper : float
        Inner edges: an adjustment returns to them.
    target : float
    """

    name: str
    unit: str
    kind: GaugeKind
    lower: float
    upper: float
    inner_lower: float
    inner_upper: float
    target: float = 0.0

    @property
    def scale(self) -> float:
        """Unit of severity: half the width of the band, or the size of the limit."""
        if isfinite(self.lower) and isfinite(self.upper):
            width = 0.5 * (self.upper - self.lower)
        else:
            edge = self.upper if isfinite(self.upper) else self.lower
            width = abs(edge - self.target) if isfinite(edge) else 1.0
        return width if width > 0.0 else 1.0

    def outside(self, values: FloatArray, *, inner: bool = False) -> FloatArray:
        """Distance to the outer (or inner) band in units of `scale`, 0 inside."""
        low, high = (self.inner_lower, self.inner_upper) if inner else (self.lower, self.upper)
        return np.maximum(np.maximum(low - values, values - high), 0.0) / self.scale


def band_gauges(limits: HedgeLimits, vega_names: Mapping[str, int], share: float) -> dict[str, Gauge]:
    """Gauges of the bands by factor name; `vega_names` gives each tenor band's place.

    Raises
    ------
    ConfigError
        If a band has no room between its target and an edge: there is nowhere to return to.
    """
    unit = "coin" if limits.numeraire.value == "coin" else "USD"
    rows = [("delta", "coin", limits.delta), ("gamma_1pct", "coin per 1 %", limits.gamma_1pct)]
    rows += [(name, f"{unit} per vol point", limits.vega[i].band) for name, i in vega_names.items()]
    return {name: _of_band(name, unit, band, share) for name, unit, band in rows if band is not None}


def _of_band(name: str, unit: str, band: Band, share: float) -> Gauge:
    if band.lower == band.target or band.upper == band.target:
        raise ConfigError(
            f"expected a band of {name} with room on both sides of its target, found {band.lower:g} to "
            f"{band.upper:g} around {band.target:g}; widen it beyond a few lots, or use plan_hedge to hold a "
            "target to the lot"
        )

    def inside(edge: float) -> float:
        return band.target + share * (edge - band.target) if isfinite(edge) else edge

    return Gauge(
        name=name,
        unit=unit,
        kind=GaugeKind.BAND,
        lower=band.lower,
        upper=band.upper,
        inner_lower=inside(band.lower),
        inner_upper=inside(band.upper),
        target=band.target,
    )


def limit_gauge(name: str, unit: str, kind: GaugeKind, limit: float, share: float, *, signed: bool) -> Gauge:
    """Gauge of a limit on a size (`signed`: on an absolute value)."""
    return Gauge(
        name=name,
        unit=unit,
        kind=kind,
        lower=-limit if signed else -inf,
        upper=limit,
        inner_lower=-share * limit if signed and isfinite(limit) else (-limit if signed else -inf),
        inner_upper=share * limit if isfinite(limit) else limit,
    )
