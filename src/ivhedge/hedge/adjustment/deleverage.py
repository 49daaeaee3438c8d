"""Closing what margin and gross limits no longer carry, in an order that keeps the hedge.

Each step closes an option together with its delta hedge, or a pair of options that share their vega. Of all
packages that leave delta and vega no worse and raise no margin, the one is taken that finishes at least
cost, or else relieves most per USD; then the book is measured again. Where none is left and a limit still is
broken, vega may move inside its bands and a stress inside its limit; delta and initial margin stay.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.hedge.adjustment.gauges import GaugeKind
from ivhedge.hedge.adjustment.packages import Tradable, packages, tradable
from ivhedge.hedge.adjustment.result import Step
from ivhedge.hedge.adjustment.ruler import Reading, Ruler
from ivhedge.hedge.adjustment.scene import Scene
from ivhedge.hedge.result import PlanLeg
from ivhedge.risk.controls import Mode

__all__ = ["as_step", "deleverage"]

_TOLERANCE = 1e-9
_MOST_PACKAGES = 4000
_WORTH = 0.02
_AS_GOOD = 0.6
_BEYOND = 0.01


def deleverage(scene: Scene, forced: BoolArray, traded: FloatArray | None = None) -> tuple[list[Step], Scene]:
    """Close until the forced gauges are back at their inner edges, or nothing more helps.

    Parameters
    ----------
    scene : Scene
    forced : BoolArray, shape (m,)
        Gauges that have to come back.
    traded : FloatArray, shape (n,), optional
        Contracts of the steps before.

    Returns
    -------
    list of Step
    Scene
        After all of them.
    """
    steps: list[Step] = []
    done = np.zeros(len(scene.ruler.instruments)) if traded is None else traded
    now = scene.ruler.read(done, scene.spent_usd)
    first = done
    while len(steps) < scene.settings.max_steps and (now.excess[0, forced] > _TOLERANCE).any():
        sides = tradable(scene.ruler, scene.market, scene.costs)
        chosen = None
        for reduce_only, strict in _tiers(scene.mode, now, forced):
            chosen = _best(scene, sides, first, done, now, forced, reduce_only=reduce_only, strict=strict)
            if chosen is not None:
                break
        if chosen is None:
            break
        legs = _legs(scene, chosen)
        done = done + chosen
        scene = scene.after(legs)
        reading = scene.ruler.read(done, scene.spent_usd)
        eased = ", ".join(
            f"{gauge.name} {now.values[0, i]:.4g} -> {reading.values[0, i]:.4g}"
            for i, gauge in enumerate(scene.ruler.gauges)
            if forced[i] and now.excess[0, i] > _TOLERANCE
        )
        names = " with ".join(leg.instrument.key for leg in legs)
        steps.append(as_step(scene.ruler, legs, done, reading, f"closes {names}: {eased}"))
        now = reading
    return steps, scene


def _tiers(mode: Mode, now: Reading, forced: BoolArray) -> list[tuple[bool, bool]]:
    # (reduce only, strict), in order. A hedge is opened only where closing cannot keep the delta. Vega may
    # move inside its bands, and a stress inside its limit may need more, only to end a breach.
    tiers = [(True, True)]
    if mode is Mode.ACTIVE:
        tiers.append((False, True))
    if (now.outside[0, forced] > _TOLERANCE).any():
        tiers.append((mode is not Mode.ACTIVE, False))
    return tiers


def _best(
    scene: Scene,
    sides: Tradable,
    first: FloatArray,
    done: FloatArray,
    now: Reading,
    forced: BoolArray,
    *,
    reduce_only: bool,
    strict: bool,
) -> FloatArray | None:
    ruler = scene.ruler
    held = ruler.held + done
    trades = packages(ruler, held, sides, reduce_only=reduce_only)[:_MOST_PACKAGES]
    if trades.shape[0] == 0:
        return None
    trades = trades[_keeps_hedge(ruler, ruler.held + first, held, sides, trades, strict=strict)]
    if trades.shape[0] == 0:
        return None
    cost = sides.cost(trades)
    # What fees are rounded up by is small beside a thousandth.
    cheap = scene.spent_usd + 1.001 * cost <= scene.cost_limit
    trades, cost = trades[cheap], cost[cheap]
    if trades.shape[0] == 0:
        return None
    after = ruler.read(done + trades, scene.spent_usd + cost)
    fine = (after.outside <= now.outside + _TOLERANCE).all(axis=1)
    raised = after.requirement > now.requirement * (1.0 + _TOLERANCE)
    if strict:
        fine &= ~raised.any(axis=1)
    else:
        # What moves, moves inside its limits, as checked above; initial margin never rises.
        fine &= ~raised[:, :1].any(axis=1)
    left = after.excess[:, forced].sum(axis=1)
    relief = float(now.excess[0, forced].sum()) - left
    total = float(now.excess[0, forced].sum())
    # Beyond a band's target, or hardly any help at the price of a step: only where nothing else is left.
    whole = fine & ~_overshoots(ruler, now, after)
    for good, least in ((whole, _WORTH * total), (fine, _WORTH * total), (fine, 1e-6)):
        rows = np.flatnonzero(good & (relief > least))
        if rows.size:
            break
    else:
        return None
    finishing = rows[left[rows] <= _TOLERANCE]
    if finishing.size:
        legs = (trades[finishing] != 0.0).sum(axis=1)
        row = int(finishing[np.lexsort((legs, cost[finishing]))[0]])
    else:
        # Of what relieves about as much per USD the largest: fewer steps.
        rate = relief[rows] / (cost[rows] + 1.0)
        close = rows[rate >= _AS_GOOD * rate.max()]
        row = int(close[np.argmax(relief[close])])
    return np.asarray(trades[row])


def _overshoots(ruler: Ruler, now: Reading, after: Reading) -> BoolArray:
    """Where a band that is outside ends beyond its target, by more than a hundredth of its scale."""
    found = np.zeros(after.values.shape[0], dtype=np.bool_)
    for i, gauge in enumerate(ruler.gauges):
        if gauge.kind is GaugeKind.BAND and now.outside[0, i] > _TOLERANCE:
            start, end = now.values[0, i] - gauge.target, after.values[:, i] - gauge.target
            found |= (start * end < 0.0) & (np.abs(end) > _BEYOND * gauge.scale)
    return found


def _keeps_hedge(
    ruler: Ruler, first: FloatArray, held: FloatArray, sides: Tradable, trades: FloatArray, *, strict: bool
) -> BoolArray:
    """Where delta and vega end no further from their targets, nor beyond them, up to one lot.

    No further than before the step, nor than before the first one: lots do not add up. Without `strict` vega
    is free: what bands it is judged with the other gauges.
    """
    delta = next((i for i, gauge in enumerate(ruler.gauges) if gauge.name == "delta"), None)
    cash = 0.0 if delta is None else float(ruler.base[delta])
    target = 0.0 if delta is None else ruler.gauges[delta].target
    used = trades != 0.0
    lot = np.abs(ruler.delta * sides.lot)
    # A future alone is no hedge in lots, so it gets no allowance.
    futures = np.where(used & ~sides.is_option, lot, 0.0).max(axis=1) * (used & sides.is_option).any(axis=1)
    start = cash + float(held @ ruler.delta) - target
    most = abs(cash + float(first @ ruler.delta) - target)
    fine = _no_worse(start, most, start + trades @ ruler.delta, futures)
    if not strict:
        return fine
    # A single closing needs no allowance for vega; two in whole lots do.
    lot = np.where(used.sum(axis=1) > 1, np.where(used, np.abs(ruler.vega * sides.lot), 0.0).max(axis=1), 0.0)
    start = float(held @ ruler.vega)
    return fine & _no_worse(start, abs(float(first @ ruler.vega)), start + trades @ ruler.vega, lot)


def _no_worse(before: float, most: float, after: FloatArray, reach: FloatArray) -> BoolArray:
    slack = reach * (1.0 + 1e-9) + 1e-12
    crossed = (after * before < 0.0) & (np.abs(after) > slack)
    return np.asarray((np.abs(after) <= min(abs(before), most) + slack) & ~crossed)


def _legs(scene: Scene, trades: FloatArray) -> tuple[PlanLeg, ...]:
    rows = {item.key: i for i, item in enumerate(scene.market.instruments)}
    legs = []
    # The option first: its hedge follows what was filled.
    order = sorted(np.flatnonzero(trades), key=lambda i: not scene.ruler.instruments[i].is_option)
    for i in order:
        item = scene.ruler.instruments[i]
        quantity = Decimal(round(float(trades[i]) / float(item.lot))) * item.lot
        cost = scene.costs.charge(item, quantity, scene.market.quote(rows[item.key]))
        closes = float(scene.ruler.held[i]) * float(trades[i]) < 0.0
        if item.is_option:
            reason = "closes the position"
        else:
            reason = "takes off the delta hedge of what is closed" if closes else "keeps the delta hedged"
        legs.append(
            PlanLeg(instrument=item, quantity=quantity, price_limit=cost.fill_price, cost=cost, reason=reason)
        )
    return tuple(legs)


def as_step(ruler: Ruler, legs: Sequence[PlanLeg], done: FloatArray, reading: Reading, reason: str) -> Step:
    """A step with what it leaves."""
    held = ruler.held + done
    names = [gauge.name for gauge in ruler.gauges]
    cash = float(ruler.base[names.index("delta")]) if "delta" in names else 0.0
    has_margin = reading.requirement.shape[1] > 0
    return Step(
        reason=reason,
        legs=tuple(legs),
        delta=cash + float(held @ ruler.delta),
        vega=float(held @ ruler.vega),
        gauges=dict(zip(names, reading.values[0].tolist(), strict=True)),
        initial_margin=float(reading.requirement[0, 0]) if has_margin else None,
        equity=float(reading.equity[0, 0]) if has_margin else None,
    )
