"""Small layouts, panels and scenarios for the tests."""

from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.risk.var import ScenarioSet, ShockLayout

from .._stub import NOW

TENORS = np.array([7.0, 30.0, 90.0])
NODES = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


def layout(*underlyings):
    return ShockLayout(underlyings=underlyings or ("BTC",), tenor_days=TENORS, nodes=NODES)


def scenarios(spot=0.0, vol=0.0, rate=0.0, *, days=1.0, names=("BTC",)):
    """One scenario per spot shock, all vols moved alike."""
    shape = layout(*names)
    u = np.atleast_1d(np.asarray(spot, float))
    values = np.zeros((u.size, shape.size))
    for name in names:
        at = shape.start(name)
        values[:, at] = u
        values[:, at + 1 : at + 1 + 15] = vol
        values[:, at + 1 + 15 : at + shape.width] = rate
    return ScenarioSet(layout=shape, horizon_ns=int(days * NS_PER_DAY), values=values)


@dataclass(frozen=True)
class Series:
    """What the shocks need of a panel."""

    underlying: str
    ts_ns: np.ndarray
    spot: np.ndarray
    vols: np.ndarray
    forward_rate: np.ndarray
    tenor_days: np.ndarray = field(default_factory=TENORS.copy)
    nodes: np.ndarray = field(default_factory=NODES.copy)


def series(rng, n=200, *, underlying="BTC", every_hours=6, beta=-0.5, scale=0.01):
    """Random walk of the spot; log vols respond by beta times the return, plus noise."""
    ts = NOW + np.arange(n, dtype=np.int64) * every_hours * NS_PER_HOUR
    steps = rng.normal(0.0, scale, n)
    noise = rng.normal(0.0, 0.1 * scale, (n, 1, 1)) + rng.normal(0.0, 0.05 * scale, (n, 3, 5))
    vols = 0.5 * np.exp(np.cumsum(beta * steps[:, None, None] + noise, axis=0))
    rates = 0.03 + np.cumsum(rng.normal(0.0, 1e-3, (n, 3)), axis=0)
    return Series(underlying, ts, 80_000.0 * np.exp(np.cumsum(steps)), vols, rates)
