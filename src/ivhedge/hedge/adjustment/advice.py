"""Why a book could not be brought back, and what somebody has to do about it."""

import numpy as np

from ivhedge.core.types import BoolArray
from ivhedge.hedge.adjustment.gauges import GaugeKind
from ivhedge.hedge.adjustment.packages import tradable
from ivhedge.hedge.adjustment.ruler import Reading, Ruler
from ivhedge.hedge.adjustment.scene import Scene

__all__ = ["advice", "in_the_way"]

_MOST_NAMED = 6


def in_the_way(scene: Scene, after: Reading, calls: BoolArray, binding: tuple[str, ...]) -> tuple[str, ...]:
    """Limits still exceeded, then what kept trades from mending them."""
    ruler = scene.ruler
    missed = [g.name for i, g in enumerate(ruler.gauges) if calls[i] and after.outside[0, i] > 1e-9]
    names = [f"limit {name}" for name in missed]
    if not scene.market.instruments:
        names.append("no tradable instrument")
    else:
        sides = tradable(ruler, scene.market, scene.costs)
        if not (sides.max_buy + sides.max_sell > 0.0).any():
            names.append("no depth in any instrument")
        for i in np.flatnonzero(ruler.held)[:_MOST_NAMED]:
            most = sides.max_sell[i] if ruler.held[i] > 0.0 else sides.max_buy[i]
            if most <= 0.0:
                names.append(f"no quote to close {ruler.instruments[i].key}")
    if scene.spent_usd > 0.9 * scene.cost_limit and "max_cost_usd" not in binding:
        names.append("max_cost_usd")
    return tuple(dict.fromkeys((*names, *binding)))


def advice(ruler: Ruler, after: Reading) -> tuple[str, ...]:
    """What would bring each limit that is still exceeded back."""
    found = []
    linear = len(ruler.gauges) - after.requirement.shape[1]
    for i, gauge in enumerate(ruler.gauges):
        if after.outside[0, i] <= 1e-9:
            continue
        if gauge.kind is GaugeKind.MARGIN and ruler.margin is not None:
            row = i - linear
            lack = after.requirement[0, row] / gauge.upper - after.equity[0, row]
            found.append(
                f"{gauge.name}: add {lack:.6g} {ruler.margin.model.currency} of collateral, "
                "or close by hand what has no quote here"
            )
            continue
        value = float(after.values[0, i])
        edge = gauge.upper if value > gauge.upper else gauge.lower
        what = "close positions at another venue or by block trade"
        if gauge.kind is GaugeKind.BAND:
            what = "add instruments, depth or cost to the hedge, or widen the band on purpose"
        found.append(f"{gauge.name}: {value:.4g} {gauge.unit} has to come to {edge:.4g}; {what}")
    return tuple(found)
