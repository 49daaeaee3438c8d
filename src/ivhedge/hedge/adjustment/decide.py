"""The decision: watch, deleverage where limits force it, bring bands back, remember."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

import numpy as np

from ivhedge.core.errors import DataError, StaleQuote, UnknownInstrument
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.hedge.adjustment.adjust import full_rehedge, return_to_bands
from ivhedge.hedge.adjustment.advice import advice, in_the_way
from ivhedge.hedge.adjustment.deleverage import as_step, deleverage
from ivhedge.hedge.adjustment.gauges import GaugeKind
from ivhedge.hedge.adjustment.result import Adjustment, AdjustmentStatus, GaugeChange, Step
from ivhedge.hedge.adjustment.ruler import Reading, Ruler, build_ruler, living
from ivhedge.hedge.adjustment.scene import Scene, eligible_market, trades_of
from ivhedge.hedge.adjustment.settings import AdjustmentSettings
from ivhedge.hedge.adjustment.state import AdjustmentState, Cause, remember, watch
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.factors import RiskModel
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.limits import HedgeLimits
from ivhedge.hedge.margin_guard import MarginGuard
from ivhedge.hedge.result import PlanStatus
from ivhedge.ledger.book import Book
from ivhedge.risk.controls import ControlSettings, Mode
from ivhedge.surface.base import VolSurface

__all__ = ["adjust_book"]

_TOLERANCE = 1e-9


def adjust_book(
    book: Book,
    surface: VolSurface | Mapping[str, VolSurface],
    market: HedgeMarket,
    limits: HedgeLimits,
    state: AdjustmentState,
    *,
    costs: CostModel,
    settings: AdjustmentSettings | None = None,
    controls: ControlSettings | None = None,
    mode: Mode = Mode.ACTIVE,
    guard: MarginGuard | None = None,
    risk: RiskModel | None = None,
    compare: bool = True,
) -> Adjustment:
    """Decide whether a book has to be adjusted now, and how: in few, cheap trades that keep the hedge.

    Parameters
    ----------
    book : Book
    surface : VolSurface or mapping of underlying to VolSurface
    market : HedgeMarket
        Its time is the time of the decision. Held instruments that are not in it cannot be closed.
    limits : HedgeLimits
        Its bands are the outer edges.
    state : AdjustmentState
        That of the last decision.
    costs : CostModel
    settings : AdjustmentSettings, optional
    controls : ControlSettings, optional
        Limits by underlying, expiry and venue, use of margin, cost, restricted names.
    mode : Mode
        Trading state; REDUCING trades only what closes or lowers, HALTED nothing.
    guard : MarginGuard, optional
        Margin limits of the account; the stricter of them and of the controls holds. With it nothing is
        traded at other venues.
    risk : RiskModel, optional
    compare : bool
        Also plan the way to the targets and state its cost.

    Returns
    -------
    Adjustment
        No gauge ends further outside its limits than it was. A book inside them gives ``nothing``.

    Raises
    ------
    DataError, UnknownInstrument, StaleQuote
        If a leg has no price, the account cannot be margined, the surface is missing or old, or the state
        is from later than the market.
    ConfigError
        If bands have no room inside, contradict each other, or controls lack the underlying.
    """
    settings = settings or AdjustmentSettings()
    chosen = _surface(surface, market, limits)
    guard = _stricter(guard, controls)
    held = {p.instrument.key: float(p.quantity) for p in book.positions}
    ruler = build_ruler(book, chosen, market, limits, settings, controls=controls, guard=guard)
    before = ruler.read()
    causes = watch(ruler, before, state, settings, market.ts_ns)
    scene = Scene(
        book=living(book, market.ts_ns),
        surface=chosen,
        market=eligible_market(market, held, controls, guard),
        limits=limits,
        costs=costs,
        settings=settings,
        ruler=ruler,
        controls=controls,
        guard=guard,
        mode=mode,
        risk=risk or RiskModel(),
    )
    if not any(cause.acts for cause in causes):
        why = "; ".join(cause.why for cause in causes) or "every gauge is inside its limits"
        return _finish(scene, before, before, causes, (), AdjustmentStatus.NOTHING, why, None, (), state)
    if mode is Mode.HALTED:
        todo = ("acknowledge the halt once its cause is gone; until then only cancels pass",)
        why = "; ".join(cause.why for cause in causes)
        status = AdjustmentStatus.CANNOT
        done = _finish(scene, before, before, causes, (), status, why, None, ("trading state halted",), state)
        return replace(done, human=(*todo, *done.human))
    return _act(scene, before, causes, state, compare=compare)


def _act(
    scene: Scene, before: Reading, causes: tuple[Cause, ...], state: AdjustmentState, *, compare: bool
) -> Adjustment:
    ruler = scene.ruler
    acting = {cause.gauge.name for cause in causes if cause.acts}
    calls = np.array([gauge.name in acting for gauge in ruler.gauges], dtype=np.bool_)
    steps, now = deleverage(scene, calls & _forced(ruler))
    closed = bool(steps)
    now, binding = _bands(now, acting, before, steps)
    left = _outside(now, steps) & calls
    if left.any():
        # What no trade towards the bands could mend may still be closed.
        more, now = deleverage(now, left, _done(now, steps))
        closed, steps = closed or bool(more), [*steps, *more]
    after = ruler.read(_done(now, steps), now.spent_usd)
    inside = not (_outside(now, steps) & calls).any()
    why = "; ".join(cause.why for cause in causes if cause.acts)
    if not inside:
        status = AdjustmentStatus.CANNOT
    else:
        status = AdjustmentStatus.DELEVERAGED if closed else AdjustmentStatus.ADJUSTED
    full = None
    if compare and steps and not closed:
        plan = full_rehedge(scene)
        full = plan.cost_usd if plan.status is PlanStatus.OK else None
    names = () if inside else in_the_way(now, after, calls, binding)
    return _finish(
        scene,
        before,
        after,
        causes,
        tuple(steps),
        status,
        why,
        full,
        names,
        # What nothing was done about is tried again as soon as it can be.
        remember(state, causes, scene.market.ts_ns) if steps else state,
    )


def _bands(
    scene: Scene, acting: set[str], before: Reading, steps: list[Step]
) -> tuple[Scene, tuple[str, ...]]:
    # Appends the step that brings bands back, if there is one.
    done = _done(scene, steps)
    start = scene.ruler.read(done, scene.spent_usd)
    linear = scene.ruler.of_kind(GaugeKind.BAND, GaugeKind.CONTROL)
    if not (start.outside[0, linear] > _TOLERANCE).any():
        return scene, ()
    found = return_to_bands(scene, acting, before, done)
    if not found.legs:
        return scene, found.binding
    scene = scene.after(found.legs)
    done = done + trades_of(found.legs, scene.ruler)
    reading = scene.ruler.read(done, scene.spent_usd)
    moved = [
        f"{gauge.name} {start.values[0, i]:.4g} -> {reading.values[0, i]:.4g}"
        for i, gauge in enumerate(scene.ruler.gauges)
        if start.outside[0, i] > _TOLERANCE
    ]
    steps.append(as_step(scene.ruler, found.legs, done, reading, f"returns {', '.join(moved)}"))
    return scene, found.binding


def _done(scene: Scene, steps: list[Step]) -> FloatArray:
    return trades_of([leg for step in steps for leg in step.legs], scene.ruler)


def _outside(scene: Scene, steps: list[Step]) -> BoolArray:
    reading = scene.ruler.read(_done(scene, steps), scene.spent_usd)
    return np.asarray(reading.outside[0] > _TOLERANCE)


def _forced(ruler: Ruler) -> BoolArray:
    """Gauges that only closing lowers: margin, gross, and controls that the bands do not speak of."""
    spoken = {"delta", "gamma_1pct"}
    if not any(g.name.startswith("vega_") for g in ruler.gauges):
        spoken.add("vega")
    coin = ruler.instruments[0].underlying if ruler.instruments else ""
    covered = {f"control {name} {coin}" for name in spoken}
    return np.array(
        [
            g.kind in (GaugeKind.MARGIN, GaugeKind.GROSS)
            or (g.kind is GaugeKind.CONTROL and g.name not in covered)
            for g in ruler.gauges
        ],
        dtype=np.bool_,
    )


def _finish(
    scene: Scene,
    before: Reading,
    after: Reading,
    causes: tuple[Cause, ...],
    steps: tuple[Step, ...],
    status: AdjustmentStatus,
    reason: str,
    full: float | None,
    binding: tuple[str, ...],
    state: AdjustmentState,
) -> Adjustment:
    ruler = scene.ruler
    changes = tuple(
        GaugeChange(
            gauge=gauge,
            before=float(before.values[0, i]),
            after=float(after.values[0, i]),
            severity_before=float(before.outside[0, i]),
            severity_after=float(after.outside[0, i]) if after.outside[0, i] > _TOLERANCE else 0.0,
        )
        for i, gauge in enumerate(ruler.gauges)
    )
    return Adjustment(
        ts_ns=scene.market.ts_ns,
        underlying=scene.market.underlying,
        status=status,
        reason=reason,
        causes=causes,
        steps=steps,
        changes=changes,
        full_cost_usd=full,
        binding=binding,
        human=advice(ruler, after) if status is AdjustmentStatus.CANNOT else (),
        notes=ruler.notes,
        state=state,
    )


def _stricter(guard: MarginGuard | None, controls: ControlSettings | None) -> MarginGuard | None:
    if guard is None or controls is None:
        return guard
    both = replace(
        guard.limits,
        initial_use=min(guard.limits.initial_use, controls.initial_margin_use),
        stressed_maintenance_use=min(guard.limits.stressed_maintenance_use, controls.stressed_margin_use),
    )
    return replace(guard, limits=both)


def _surface(
    surface: VolSurface | Mapping[str, VolSurface], market: HedgeMarket, limits: HedgeLimits
) -> VolSurface:
    found = surface.get(market.underlying) if isinstance(surface, Mapping) else surface
    if found is None or found.underlying != market.underlying:
        raise UnknownInstrument(f"expected a surface of {market.underlying}, found none; fit one first")
    hours = abs(market.ts_ns - found.ts_ns) / NS_PER_HOUR
    if not isfinite(hours):
        raise DataError(f"{market.underlying}: expected a time of the surface, found none")
    if hours > limits.max_surface_age_hours:
        raise StaleQuote(
            f"{market.underlying}: expected a surface within {limits.max_surface_age_hours:g} h of the "
            f"quotes, found it {hours:.1f} h away; fit a fresh one"
        )
    return found
