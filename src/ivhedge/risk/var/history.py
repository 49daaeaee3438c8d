"""Shocks taken from recorded surfaces: between times one horizon apart, or composed of shorter ones."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.risk.var.shocks import ScenarioSet, ShockHistory, ShockLayout

__all__ = ["SurfaceSeries", "compose_shocks", "shock_history"]


class SurfaceSeries(Protocol):
    """Surfaces of one underlying through time at constant nodes; `SurfacePanel` is one."""

    @property
    def underlying(self) -> str:
        """Coin."""
        ...

    @property
    def ts_ns(self) -> IntArray:
        """Times, ascending, shape (T,)."""
        ...

    @property
    def spot(self) -> FloatArray:
        """USD, shape (T,)."""
        ...

    @property
    def tenor_days(self) -> FloatArray:
        """Ascending, shape (M,)."""
        ...

    @property
    def nodes(self) -> FloatArray:
        """Standardised log-moneyness, ascending, shape (N,)."""
        ...

    @property
    def vols(self) -> FloatArray:
        """Decimals, shape (T, M, N)."""
        ...

    @property
    def forward_rate(self) -> FloatArray:
        """``ln(F / S) / tau``, shape (T, M)."""
        ...


def shock_history(
    series: Mapping[str, SurfaceSeries],
    *,
    horizon_ns: int = NS_PER_DAY,
    tolerance_ns: int = 4 * NS_PER_HOUR,
) -> ShockHistory:
    """Joint shocks between all pairs of common times about one horizon apart.

    Parameters
    ----------
    series : mapping of underlying to SurfaceSeries
        On equal tenors and nodes.
    horizon_ns : int
    tolerance_ns : int
        Each time is paired with the later one nearest to the horizon, at most this far from it.

    Returns
    -------
    ShockHistory
        Overlapping where times are closer than the horizon: about 4 times as many one-day shocks as days from
        6-hourly snapshots, each as it was, gaps and weekends included. Composing them of shorter ones would
        lose the dependence from one snapshot to the next.

    Raises
    ------
    ConfigError
        If tenors or nodes differ or the horizon is not above the tolerance.
    EmptyData
        If no pair is left.
    """
    if not 0 <= tolerance_ns < horizon_ns:
        raise ConfigError(f"expected 0 <= tolerance_ns < horizon_ns, found {tolerance_ns} and {horizon_ns}")
    if not series:
        raise EmptyData("expected surfaces of at least one underlying, found none")
    first = next(iter(series.values()))
    layout = ShockLayout(underlyings=tuple(series), tenor_days=first.tenor_days, nodes=first.nodes)
    for name, item in series.items():
        other = ShockLayout(underlyings=tuple(series), tenor_days=item.tenor_days, nodes=item.nodes)
        if not layout.same(other):
            raise ConfigError(f"expected the same tenors and nodes for all, found others for {name}")
    common = first.ts_ns
    for item in series.values():
        common = np.intersect1d(common, item.ts_ns)
    if common.size < 2:
        raise EmptyData(f"expected at least two times in common, found {common.size}")
    goal = common + horizon_ns
    later = np.clip(np.searchsorted(common, goal), 1, common.size - 1)
    nearer = np.where(goal - common[later - 1] <= common[later] - goal, later - 1, later)
    usable = (np.abs(common[nearer] - goal) <= tolerance_ns) & (nearer > np.arange(common.size))
    before, after = np.flatnonzero(usable), nearer[usable]
    states = np.concatenate([_states(item, common) for item in series.values()], axis=1)
    values = states[after] - states[before]
    known = np.isfinite(values).all(axis=1)
    if not known.any():
        raise EmptyData("expected two complete surfaces one horizon apart, found none")
    return ShockHistory(
        layout=layout,
        start_ns=common[before][known],
        end_ns=common[after][known],
        values=values[known],
        dropped=int((~known).sum()),
    )


def _states(series: SurfaceSeries, times: IntArray) -> FloatArray:
    rows = np.searchsorted(series.ts_ns, times)
    with np.errstate(invalid="ignore", divide="ignore"):
        spot, vols = np.log(series.spot[rows])[:, None], np.log(series.vols[rows])
    return np.concatenate([spot, vols.reshape(rows.size, -1), series.forward_rate[rows]], axis=1)


def compose_shocks(
    history: ShockHistory,
    *,
    horizon_ns: int,
    draws: int,
    rng: np.random.Generator,
    block: int = 1,
) -> ScenarioSet:
    """Build shocks over a longer horizon from blocks of short ones that followed each other.

    Parameters
    ----------
    history : ShockHistory
        Short shocks that do not overlap, in order.
    horizon_ns : int
        Blocks are strung together until their shocks add up to it; the last shock counts in the proportion
        that fits, its size scaled by the square root.
    draws : int
    rng : numpy.random.Generator
    block : int
        Shocks that stay together, to keep their dependence (moving block bootstrap, Künsch 1989). A block
        may span a gap of the recording.

    Raises
    ------
    ConfigError
        If `draws` or `block` is below 1 or the horizon not positive.
    DataError
        If shocks overlap or there are fewer than a block.
    """
    n = history.values.shape[0]
    if draws < 1 or block < 1 or horizon_ns <= 0:
        raise ConfigError(
            f"expected draws, block >= 1 and a horizon above 0, found {draws}, {block}, {horizon_ns}"
        )
    if n < block or (history.start_ns[1:] < history.end_ns[:-1]).any():
        raise DataError(
            "expected at least one block of shocks that do not overlap; build them with a short horizon"
        )
    lengths = history.end_ns - history.start_ns
    total = np.zeros((draws, history.layout.size))
    left = np.full(draws, float(horizon_ns))
    while left.max() > 0.0:
        first = rng.integers(0, n - block + 1, size=draws)
        for step in range(block):
            rows = first + step
            share = np.clip(left / lengths[rows], 0.0, 1.0)
            total += np.sqrt(share)[:, None] * history.values[rows]
            left = np.maximum(left - lengths[rows], 0.0)
    return ScenarioSet(layout=history.layout, horizon_ns=horizon_ns, values=total)
