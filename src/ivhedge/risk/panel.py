"""A history of surfaces read at constant tenors and standardised strikes: what factors and VaR are made of.

The strike axis is ``x = k / (σ_atm(τ)·√τ)``, log-moneyness in standard deviations of the same surface, so
that a node keeps its delta, about N(−x), when the level of vol moves. Constant tenors are read off the
surface, which interpolates total variance between its expiries without arbitrage (`ivhedge.surface.essvi`);
beyond its expiries nothing is read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, EmptyData, IvHedgeError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray, StatusArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY, format_ns
from ivhedge.surface.base import VolSurface
from ivhedge.surface.fit import FitSettings, SurfaceFit, fit_surface

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "PANEL_NODES",
    "PANEL_TENORS",
    "FittedHistory",
    "PanelPoint",
    "PanelStatus",
    "SurfacePanel",
    "build_panel",
    "fit_history",
    "panel_point",
]

PANEL_TENORS: Final = (7.0, 14.0, 30.0, 60.0, 90.0, 180.0)
"""Days."""
PANEL_NODES: Final = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
"""Standardised log-moneyness: call deltas of about 0.98 to 0.02."""
_NEAR_SHARE = 0.05


class PanelStatus(IntEnum):
    """How a tenor was read; its numbers are NaN exactly where it is `MISSING`."""

    OBSERVED = 0
    INTERPOLATED = 1
    MISSING = 2

    def describe(self) -> str:
        """What it means, and what to do."""
        return (
            "a fitted expiry lies within 5 % of the tenor",
            "between two fitted expiries",
            "outside the fitted expiries, or not a number there: ask for a tenor within them",
        )[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelPoint:
    """One surface at M constant tenors and N nodes; see `SurfacePanel` for the fields."""

    underlying: str
    ts_ns: int
    spot: float
    vols: FloatArray
    forward_rate: FloatArray
    status: StatusArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfacePanel:
    """T surfaces of one underlying at M constant tenors and N standardised strikes.

    Parameters
    ----------
    underlying : str
    ts_ns : IntArray, shape (T,)
        Nanoseconds since the epoch, UTC, strictly ascending.
    spot : FloatArray, shape (T,)
        USD.
    tenor_days : FloatArray, shape (M,)
        Ascending.
    nodes : FloatArray, shape (N,)
        ``x = k / (atm_vol · sqrt(tau))``, ascending, 0 among them.
    vols : FloatArray, shape (T, M, N)
        Implied vols, decimal; NaN where missing.
    forward_rate : FloatArray, shape (T, M)
        ``ln(F / spot) / tau``, per year; NaN where missing.
    status : StatusArray, shape (T, M)
        `PanelStatus`.
    funding : FloatArray, shape (T,), optional
        Funding rate of the perpetual, per year; no NaN.

    Raises
    ------
    DataError
        If shapes differ, times do not ascend, or numbers and statuses disagree.
    """

    underlying: str
    ts_ns: IntArray
    spot: FloatArray
    tenor_days: FloatArray
    nodes: FloatArray
    vols: FloatArray
    forward_rate: FloatArray
    status: StatusArray
    funding: FloatArray | None = None

    def __post_init__(self) -> None:
        times, tenors, nodes = self.ts_ns.size, self.tenor_days.size, self.nodes.size
        expected = {
            "ts_ns": (times,),
            "spot": (times,),
            "tenor_days": (tenors,),
            "nodes": (nodes,),
            "vols": (times, tenors, nodes),
            "forward_rate": (times, tenors),
            "status": (times, tenors),
        }
        for name, shape in expected.items():
            found = getattr(self, name)
            if found.shape != shape:
                raise DataError(f"expected {name} of shape {shape}, found {found.shape}")
        if (np.diff(self.ts_ns) <= 0).any():
            raise DataError(
                f"{self.underlying}: expected times in strictly ascending order; sort the surfaces"
            )
        _checked_axes(self.tenor_days, self.nodes)
        if not (np.isfinite(self.spot).all() and (self.spot > 0.0).all()):
            raise DataError(f"{self.underlying}: expected positive spots, found {self.spot.tolist()[:3]}...")
        known = self.known
        vols_known = np.isfinite(self.vols).all(axis=2) & np.isfinite(self.forward_rate)
        if (vols_known != known).any() or (self.vols[known] <= 0.0).any():
            raise DataError(
                f"{self.underlying}: expected positive vols and finite rates exactly where the status is not "
                "missing; build the panel with build_panel"
            )
        if self.funding is not None and not (
            self.funding.shape == (times,) and np.isfinite(self.funding).all()
        ):
            raise DataError(f"{self.underlying}: expected funding of shape {(times,)} without NaN, or None")

    @property
    def taus(self) -> FloatArray:
        """Tenors in years, shape (M,)."""
        return np.asarray(self.tenor_days / DAYS_PER_YEAR)

    @property
    def known(self) -> BoolArray:
        """Where a tenor could be read, shape (T, M)."""
        return np.asarray(self.status != PanelStatus.MISSING)

    @property
    def atm_vols(self) -> FloatArray:
        """Vols at the forward, shape (T, M)."""
        return np.asarray(self.vols[:, :, int(np.flatnonzero(self.nodes == 0.0)[0])])

    def rows(self, keep: "IntArray | BoolArray | slice") -> "SurfacePanel":
        """The panel at some of its times, in order."""
        return replace(
            self,
            ts_ns=self.ts_ns[keep],
            spot=self.spot[keep],
            vols=self.vols[keep],
            forward_rate=self.forward_rate[keep],
            status=self.status[keep],
            funding=None if self.funding is None else self.funding[keep],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedHistory:
    """Certified surfaces of one underlying, in order of time, and the snapshots that gave none.

    `refused` holds the time of each such chain and the message of the typed error.
    """

    surfaces: tuple[VolSurface, ...]
    refused: tuple[tuple[int, str], ...]


def panel_point(
    surface: VolSurface,
    spot: float | None = None,
    ts_ns: int | None = None,
    tenor_days: ArrayLike = PANEL_TENORS,
    nodes: ArrayLike = PANEL_NODES,
) -> PanelPoint:
    """Read one surface at constant tenors and standardised strikes.

    Parameters
    ----------
    surface : VolSurface
    spot : float, optional
        USD; by default the surface's forward at tau = 0.
    ts_ns : int, optional
        Label; by default the surface's time.
    tenor_days : array_like, shape (M,)
        Positive, ascending.
    nodes : array_like, shape (N,)
        Ascending, 0 among them.

    Returns
    -------
    PanelPoint
        Tenors outside the surface's expiries are `PanelStatus.MISSING`: nothing is extrapolated.

    Raises
    ------
    ConfigError
        If tenors or nodes are not as said.
    DataError
        If the spot is not a positive number.
    """
    tenors, x = np.asarray(tenor_days, dtype=np.float64), np.asarray(nodes, dtype=np.float64)
    _checked_axes(tenors, x)
    price = float(np.asarray(surface.forward(0.0))) if spot is None else float(spot)
    if not (np.isfinite(price) and price > 0.0):
        raise DataError(
            f"{surface.underlying} {format_ns(surface.ts_ns)}: expected a positive spot, found {price}"
        )
    days = (np.asarray(surface.expiries, dtype=np.int64) - surface.ts_ns) / NS_PER_DAY
    days = days[days > 0.0]
    distance = np.abs(tenors[:, None] - days).min(axis=1, initial=np.inf)
    near = distance <= _NEAR_SHARE * tenors
    inside = (tenors >= days.min(initial=np.inf)) & (tenors <= days.max(initial=-np.inf))
    status = np.where(
        near, PanelStatus.OBSERVED, np.where(inside, PanelStatus.INTERPOLATED, PanelStatus.MISSING)
    )
    vols = np.full((tenors.size, x.size), np.nan)
    rate = np.full(tenors.size, np.nan)
    use = np.flatnonzero(status != PanelStatus.MISSING)
    if use.size:
        tau = tenors[use] / DAYS_PER_YEAR
        deviation = np.sqrt(surface.total_variance(np.zeros_like(tau), tau))
        vols[use] = surface.implied_vol(
            x * deviation[:, None], np.broadcast_to(tau[:, None], (tau.size, x.size))
        )
        rate[use] = np.log(np.asarray(surface.forward(tau)) / price) / tau
    with np.errstate(invalid="ignore"):
        bad = ~(np.isfinite(rate) & np.isfinite(vols).all(axis=1) & (vols > 0.0).all(axis=1))
    status[bad], vols[bad], rate[bad] = PanelStatus.MISSING, np.nan, np.nan
    return PanelPoint(
        underlying=surface.underlying,
        ts_ns=surface.ts_ns if ts_ns is None else int(ts_ns),
        spot=price,
        vols=vols,
        forward_rate=rate,
        status=status.astype(np.uint8),
    )


def build_panel(
    surfaces: Iterable[VolSurface],
    *,
    tenor_days: ArrayLike = PANEL_TENORS,
    nodes: ArrayLike = PANEL_NODES,
    spots: Sequence[float] | None = None,
    funding: ArrayLike | None = None,
) -> SurfacePanel:
    """Read a history of surfaces of one underlying, in any order of time.

    Parameters
    ----------
    surfaces : iterable of VolSurface
    tenor_days, nodes : array_like
        As in `panel_point`.
    spots : sequence of float, optional
        One per surface, in its order; each surface's forward at tau = 0 without it.
    funding : array_like, shape (T,), optional
        Funding rate of the perpetual per year, one per surface.

    Raises
    ------
    EmptyData
        If there is no surface.
    DataError
        If they belong to several underlyings, two have the same time, or counts differ.
    ConfigError
        If tenors or nodes are not as `panel_point` needs them.
    """
    found = list(surfaces)
    if not found:
        raise EmptyData("expected at least one surface for a panel, found none; fit a chain first")
    if spots is not None and len(spots) != len(found):
        raise DataError(f"expected one spot per surface, found {len(spots)} for {len(found)}")
    given: list[float | None] = [None] * len(found) if spots is None else [float(s) for s in spots]
    points = [panel_point(s, p, None, tenor_days, nodes) for s, p in zip(found, given, strict=True)]
    names = sorted({point.underlying for point in points})
    if len(names) > 1:
        raise DataError(f"expected surfaces of one underlying, found {names}; build a panel for each")
    order = np.argsort([point.ts_ns for point in points], kind="stable")
    points = [points[i] for i in order]
    rates = None if funding is None else np.asarray(funding, dtype=np.float64)
    if rates is not None and rates.shape != (len(points),):
        raise DataError(f"expected one funding rate per surface, found {rates.shape} for {len(points)}")
    return SurfacePanel(
        underlying=names[0],
        ts_ns=np.array([point.ts_ns for point in points], dtype=np.int64),
        spot=np.array([point.spot for point in points]),
        tenor_days=np.asarray(tenor_days, dtype=np.float64),
        nodes=np.asarray(nodes, dtype=np.float64),
        vols=np.stack([point.vols for point in points]),
        forward_rate=np.stack([point.forward_rate for point in points]),
        status=np.stack([point.status for point in points]),
        funding=None if rates is None else rates[order],
    )


def fit_history(chains: "Iterable[pl.DataFrame]", *, settings: FitSettings | None = None) -> FittedHistory:
    """Fit a run of chains, each started at the surface before it.

    Parameters
    ----------
    chains : iterable of pl.DataFrame
        Each of one underlying at one time, in `CHAIN_SCHEMA`, ascending in time.
    settings : FitSettings, optional

    Returns
    -------
    FittedHistory
        Chains without a certified surface are in `refused` with the reason; the next one starts cold.
    """
    surfaces: list[VolSurface] = []
    refused: list[tuple[int, str]] = []
    start: SurfaceFit | None = None
    for chain in chains:
        try:
            fit = fit_surface(chain, settings=settings, start=start)
            surfaces.append(fit.published())
            start = fit
        except IvHedgeError as error:
            stamp = chain["ts"].dt.epoch("ns").min() if "ts" in chain.columns and chain.height else None
            refused.append((stamp if isinstance(stamp, int) else 0, str(error)))
            start = None
    return FittedHistory(surfaces=tuple(surfaces), refused=tuple(refused))


def _checked_axes(tenors: FloatArray, nodes: FloatArray) -> None:
    for name, axis in (("tenor_days", tenors), ("nodes", nodes)):
        good = axis.ndim == 1 and axis.size and np.isfinite(axis).all() and (np.diff(axis) > 0.0).all()
        if not good:
            raise ConfigError(f"expected {name} as finite numbers in ascending order, found {axis.tolist()}")
    if tenors[0] <= 0.0 or not (nodes == 0.0).any():
        raise ConfigError(
            f"expected positive tenors and the node 0, found tenors {tenors.tolist()}, nodes {nodes.tolist()}"
        )
