"""Back inside the bands: the cheapest plan to the inner edges, then with as few legs as cost lets.

The bands are those of `plan_hedge`, narrowed: what called for action ends between its target and its inner
edge, so never on the other side; the rest may move within its inner band, or stay where it is. Risk has no
price here, so that a plan stops at an edge.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.adjustment.gauges import Gauge, GaugeKind
from ivhedge.hedge.adjustment.ruler import Reading
from ivhedge.hedge.adjustment.scene import Scene, closing_market, only, trades_of
from ivhedge.hedge.limits import Band, HedgeLimits, Numeraire, TenorBand
from ivhedge.hedge.plan import plan_hedge
from ivhedge.hedge.result import HedgePlan, PlanLeg, PlanStatus
from ivhedge.hedge.triggers import HedgeState
from ivhedge.risk.controls import Mode

__all__ = ["Found", "full_rehedge", "return_to_bands"]

_RUNGS = ("inner", "outer", "any")
_TOLERANCE = 1e-9
_AT_TARGET = 0.05
_ROUNDING = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The legs found, how far outside they leave the bands in all, and what bound."""

    legs: tuple[PlanLeg, ...]
    outside: float
    cost_usd: float
    binding: tuple[str, ...]


def return_to_bands(scene: Scene, acting: Collection[str], before: Reading, traded: FloatArray) -> Found:
    """Find trades that bring bands back.

    Parameters
    ----------
    scene : Scene
        As it is after `traded`.
    acting : collection of str
        Names of the gauges that call for action.
    before : Reading
        Of the book at the start: no gauge may end further out.
    traded : FloatArray, shape (n,)
        Contracts of the steps before.

    Returns
    -------
    Found
        Without legs where nothing helps.
    """
    start = scene.ruler.read(traded, scene.spent_usd)
    linear = scene.ruler.of_kind(GaugeKind.BAND, GaugeKind.CONTROL)
    best = Found(legs=(), outside=float(start.outside[0, linear].sum()), cost_usd=0.0, binding=())
    market = scene.market
    if scene.mode is Mode.REDUCING:
        held = {p.instrument.key: float(p.quantity) for p in scene.book.positions}
        market = closing_market(market, held, futures=True)
    scene = replace(scene, market=market)
    for rung in _RUNGS:
        limits = _goal(scene, acting, start, rung)
        found = _try(scene, limits, before, traded, may_cross=rung == _RUNGS[-1])
        if found is None:
            continue
        if found.outside < best.outside - _TOLERANCE:
            best = found
        elif found.binding and not best.legs:
            best = replace(best, binding=found.binding)
        if best.legs and best.outside <= _TOLERANCE:
            return _with_fewer_legs(scene, limits, best, before, traded)
    return best


def full_rehedge(scene: Scene) -> HedgePlan:
    """The plan to all targets: what an adjustment is compared with.

    A target counts as reached within a twentieth of the way to its edges: in lots several targets at once
    are met no better.
    """
    limits = replace(
        scene.limits,
        delta=None if scene.limits.delta is None else _at_target(scene.limits.delta),
        gamma_1pct=None if scene.limits.gamma_1pct is None else _at_target(scene.limits.gamma_1pct),
        vega=tuple(replace(t, band=_at_target(t.band)) for t in scene.limits.vega),
        max_cost_usd=None,
    )
    return _plan(scene, limits)


def _at_target(band: Band) -> Band:
    def near(edge: float) -> float:
        return band.target + _AT_TARGET * (edge - band.target) if isfinite(edge) else edge

    return Band(near(band.lower), near(band.upper), band.target)


def _plan(scene: Scene, limits: HedgeLimits) -> HedgePlan:
    return plan_hedge(
        scene.book,
        scene.surface,
        scene.market,
        limits,
        HedgeState(),
        costs=scene.costs,
        risk=replace(scene.risk, risk_price=0.0, aversion=None),
        margin=scene.guard,
    )


def _try(
    scene: Scene, limits: HedgeLimits, before: Reading, traded: FloatArray, *, may_cross: bool = False
) -> Found | None:
    plan = _plan(scene, limits)
    if plan.status is PlanStatus.SOLVER_FAILED:
        return None
    if not plan.legs:
        return Found(legs=(), outside=inf, cost_usd=0.0, binding=plan.binding)
    trades = trades_of(plan.legs, scene.ruler)
    cost = plan.cost_usd
    after = scene.ruler.read(traded + trades, scene.spent_usd + cost)
    if (after.outside > before.outside + _TOLERANCE).any():
        worse = np.flatnonzero((after.outside > before.outside + _TOLERANCE)[0])
        names = tuple(f"limit {scene.ruler.gauges[i].name}" for i in worse)
        return Found(legs=(), outside=inf, cost_usd=0.0, binding=(*plan.binding, *names))
    if not may_cross and _crosses(scene, before, after):
        return Found(legs=(), outside=inf, cost_usd=0.0, binding=(*plan.binding, "no way without overshoot"))
    if scene.mode is Mode.REDUCING and not _reduces(scene, plan, before):
        return Found(legs=(), outside=inf, cost_usd=0.0, binding=("trading state reducing",))
    linear = scene.ruler.of_kind(GaugeKind.BAND, GaugeKind.CONTROL)
    return Found(
        legs=plan.legs,
        outside=float(after.outside[0, linear].sum()),
        cost_usd=cost,
        binding=plan.binding,
    )


def _crosses(scene: Scene, before: Reading, after: Reading) -> bool:
    """Whether a gauge that was outside ends on the other side of its target by more than rounding."""
    for i, gauge in enumerate(scene.ruler.gauges):
        if gauge.kind is not GaugeKind.BAND or before.outside[0, i] <= _TOLERANCE:
            continue
        first, last = before.values[0, i] - gauge.target, after.values[0, i] - gauge.target
        if first * last < 0.0 and abs(last) > _ROUNDING * gauge.scale:
            return True
    return False


def _reduces(scene: Scene, plan: HedgePlan, before: Reading) -> bool:
    # Leg by leg, as the controls judge orders: each lowers what is watched and raises nothing watched.
    for leg in plan.legs:
        alone = scene.ruler.read(trades_of((leg,), scene.ruler)).excess
        if (alone > before.excess + _TOLERANCE).any() or not (alone < before.excess - _TOLERANCE).any():
            return False
    return True


def _with_fewer_legs(
    scene: Scene, limits: HedgeLimits, best: Found, before: Reading, traded: FloatArray
) -> Found:
    worth = scene.settings.leg_worth * best.cost_usd
    most = best.cost_usd + max(worth, scene.settings.leg_worth_usd)
    while len(best.legs) > 1:
        keys = [leg.instrument.key for leg in best.legs]
        tries = []
        for out in keys:
            keep = np.array([item.key in keys and item.key != out for item in scene.market.instruments])
            found = _try(replace(scene, market=only(scene.market, keep)), limits, before, traded)
            if found is not None and found.legs and found.outside <= _TOLERANCE and found.cost_usd <= most:
                tries.append(found)
        if not tries:
            return best
        best = min(tries, key=lambda found: (len(found.legs), found.cost_usd))
    return best


def _goal(scene: Scene, acting: Collection[str], now: Reading, rung: str) -> HedgeLimits:
    ruler, limits = scene.ruler, scene.limits
    coin = scene.market.underlying
    values = {gauge.name: float(now.values[0, i]) for i, gauge in enumerate(ruler.gauges)}
    by_name = {gauge.name: gauge for gauge in ruler.gauges}

    def band(name: str, unit: float = 1.0) -> Band | None:
        names = [n for n in (name, f"control {name} {coin}") if n in by_name]
        if not names:
            return None
        gauges = [by_name[n] for n in names]
        return _narrowed(gauges, values[names[0]], any(n in acting for n in names), rung, unit)

    vega = tuple(replace(t, band=band(f"vega_{t.min_days:g}_{t.max_days:g}d") or t.band) for t in limits.vega)
    if not vega:
        # The control's limit is in USD and over all tenors.
        total = band("vega", scene.market.index if limits.numeraire is Numeraire.COIN else 1.0)
        vega = () if total is None else (TenorBand(0.0, inf, total),)
    left = max(scene.cost_limit - scene.spent_usd, 0.0)
    return replace(
        limits,
        delta=band("delta"),
        gamma_1pct=band("gamma_1pct"),
        vega=vega,
        max_cost_usd=left if isfinite(left) else None,
    )


def _narrowed(gauges: list[Gauge], value: float, acts: bool, rung: str, unit: float) -> Band:
    low_in, high_in = max(g.inner_lower for g in gauges), min(g.inner_upper for g in gauges)
    low_out, high_out = max(g.lower for g in gauges), min(g.upper for g in gauges)
    if low_in > high_in:
        names = " and ".join(g.name for g in gauges)
        raise ConfigError(f"expected the limits {names} to overlap, found no value inside both; widen one")
    target = min(max(gauges[0].target, low_in), high_in)
    low, high = (low_in, high_in) if rung == "inner" else (low_out, high_out)
    if acts and rung != "any":
        low, high = low_in, high_in
    if acts and value > high_out:
        low, high = target, high
    elif acts and value < low_out:
        low, high = low, target
    else:
        low, high = min(low, value), max(high, value)
    return Band(low / unit, high / unit, target / unit)
