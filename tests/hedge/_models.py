"""A small factor model and scenarios around the tiny surface."""

import numpy as np

from ivhedge.core import NS_PER_DAY
from ivhedge.risk.factors import Factor, FactorModel, named_shapes
from ivhedge.risk.var import ScenarioSet, ShockLayout

__all__ = ["MODEL", "SCENARIOS", "model_of"]

TENORS, NODES = np.array([7.0, 30.0, 90.0]), np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


def model_of(underlying="BTC", *, rho=0.0, scales=(0.03, 0.01, 0.02, 0.008, 0.004, 0.002)):
    """Spot, carry, level, slope, skew and curvature, with one correlation."""
    shapes = named_shapes(TENORS, NODES)
    factors = (
        Factor(underlying=underlying, kind="spot"),
        Factor(underlying=underlying, kind="basis"),
        *(Factor(underlying=underlying, kind=shape.name, shape=shape) for shape in shapes),
    )
    matrix = (1.0 - rho) * np.eye(6) + rho
    return FactorModel(factors=factors, scales=np.array(scales), correlation=matrix)


MODEL = model_of()


def scenarios_of(underlying="BTC", count=200):
    """Spots and vols of a day, fat-tailed, vols up when spot falls."""
    layout = ShockLayout(underlyings=(underlying,), tenor_days=TENORS, nodes=NODES)
    rng = np.random.default_rng(3)
    values = np.zeros((count, layout.size))
    values[:, 0] = 0.02 * rng.standard_t(4, count)
    level = -0.5 * values[:, 0] + 0.03 * rng.standard_normal(count)
    values[:, 1 : 1 + TENORS.size * NODES.size] = level[:, None] * np.repeat(
        (30.0 / TENORS) ** 0.5, NODES.size
    )
    return ScenarioSet(layout=layout, horizon_ns=NS_PER_DAY, values=values)


SCENARIOS = scenarios_of()
