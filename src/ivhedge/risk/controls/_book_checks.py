"""Controls on orders together with the book: exposures, margin, rates, trading state."""

from collections.abc import Sequence
from decimal import Decimal
from math import inf, isfinite

from ivhedge.core.units import NS_PER_SECOND
from ivhedge.risk.controls._findings import Findings
from ivhedge.risk.controls.breach import Scope
from ivhedge.risk.controls.catalog import Control, Level
from ivhedge.risk.controls.limits import GREEK_UNITS, GREEKS
from ivhedge.risk.controls.machine import Mode
from ivhedge.risk.controls.orders import MarginChange, OrderIntent, Reach, margin_reach, widen
from ivhedge.risk.controls.settings import ControlSettings
from ivhedge.risk.controls.state import ControlState, MarginState

_NOTHING: Reach = [0.0] * 8
_FLAT = (0.0, 0.0, 0.0, 0.0)


def base_of(state: ControlState, scope: Scope) -> tuple[float, float, float, float] | None:
    """Exposures of the filled positions; None when the underlying was not measured."""
    exposure = state.exposures.get(scope)
    if exposure is not None:
        return exposure.values
    return None if scope.expiry is None and scope.venue is None else _FLAT


def closes_position(order: OrderIntent, before: Sequence[OrderIntent], state: ControlState) -> bool:
    """Tell whether an order can only close a position, whatever else on its side fills first.

    Parameters
    ----------
    order : OrderIntent
    before : sequence of OrderIntent
        Orders of the same plan that go first.
    state : ControlState
    """
    key = order.key
    held = state.positions.get(key, Decimal(0))
    if not held.is_finite() or held == 0 or (held > 0) == (order.quantity > 0):
        return False
    same = [w.remaining for w in state.working.by_key.get(key, ())]
    same += [o.quantity for o in before if o.key == key]
    pending = sum((abs(q) for q in same if (q > 0) == (order.quantity > 0)), Decimal(0))
    return abs(order.quantity) + pending <= abs(held)


def check_mode(
    found: Findings,
    order: OrderIntent,
    before: Sequence[OrderIntent],
    closes: bool,
    state: ControlState,
    settings: ControlSettings,
) -> None:
    """Control 9, and the kill switch and dead-man timer that must hold at every order."""
    scope, control, trading = order.scope, Control.TRADING_STATE, state.trading
    since = (state.ts_ns - trading.updated_ns) / NS_PER_SECOND
    if not since <= settings.max_check_gap_s or since < -settings.max_clock_skew_ms / 1e3:
        text = (
            f"expected a check of the state within {settings.max_check_gap_s:g} s, found the last one "
            f"{since:.3f} s ago; run check_state and next_state"
        )
        limit = settings.max_check_gap_s
        found.add(control, Level.BLOCK, "last_check", scope, text, value=since, limit=limit, unit="s")
    if trading.mode is Mode.HALTED:
        text = "expected trading not halted, found HALTED; clear its causes and acknowledge"
        found.add(control, Level.HALT, "mode", scope, text)
    elif trading.mode is not Mode.ACTIVE and not (
        (closes and keeps_watched(order, before, state, settings))
        or lowers_risk(order, before, state, settings)
    ):
        text = (
            "REDUCING: expected an order that lowers risk, or closes a position without pushing an exposure "
            "past the warning share of its limit; send only such orders, a hedge together with its option"
        )
        found.add(control, Level.BLOCK, "mode", scope, text)
    if state.kill_switch is not None and state.kill_switch.engaged_ns is not None:
        text = "expected the kill switch released, found it engaged; find out why before releasing it"
        found.add(Control.KILL_SWITCH, Level.HALT, "engaged", scope, text)
    check_dead_man(found, order.instrument.venue, scope, state, settings)


def check_dead_man(
    found: Findings, name: str, scope: Scope, state: ControlState, settings: ControlSettings
) -> None:
    """Control 11."""
    venue = state.venues.get(name)
    if venue is None or not venue.has_dead_man:
        return
    todo = "arm cancel-on-disconnect or the dead-man timer"
    limit = settings.dead_man_s
    if venue.dead_man_s is None and limit == float("inf"):
        return
    found.cap(Control.DEAD_MAN, "dead_man", scope, venue.dead_man_s, limit, "s", todo, warns=False)


def lowers_risk(
    order: OrderIntent, before: Sequence[OrderIntent], state: ControlState, settings: ControlSettings
) -> bool:
    """Whether an order lowers a watched exposure or its underlying's, and raises none that matters.

    Watched: at or above the warning share of its limit. What else is pending on the order's side is taken
    as filled, so that several orders together cannot end further out on the other side.
    """
    pending: dict[Scope, Reach] = {}
    for other in before:
        widen(pending, other, float(other.quantity))
    contracts = float(order.quantity)
    changes = [unit * contracts for unit in order.unit.values]
    lowers_watched = lowers = raises = False
    for scope in order.scopes:
        base, limits = base_of(state, scope), settings.limits_of(scope)
        if base is None:
            return False
        work, more = state.working.reach.get(scope, _NOTHING), pending.get(scope, _NOTHING)
        caps = limits.values if limits is not None else (float("inf"),) * 4
        for i, change in enumerate(changes):
            if change == 0.0:
                continue
            side = i + 4 if change > 0.0 else i
            now = base[i] + work[side] + more[side]
            after = now + change
            watch = settings.warn_fraction * caps[i]
            falls = abs(after) < abs(now)
            if abs(base[i]) >= watch:
                if not falls:
                    return False
                lowers_watched = True
            elif not falls and not abs(after) <= watch:
                return False
            elif scope is order.scopes[0]:
                lowers, raises = lowers or falls, raises or not falls
    return lowers_watched or (lowers and not raises)


def keeps_watched(
    order: OrderIntent, before: Sequence[OrderIntent], state: ControlState, settings: ControlSettings
) -> bool:
    """Whether an order leaves every exposure that it raises below the warning share of its limit."""
    pending: dict[Scope, Reach] = {}
    for other in before:
        widen(pending, other, float(other.quantity))
    contracts = float(order.quantity)
    changes = [unit * contracts for unit in order.unit.values]
    for scope in order.scopes:
        base, limits = base_of(state, scope), settings.limits_of(scope)
        if base is None:
            return False
        if limits is None:
            continue
        work, more = state.working.reach.get(scope, _NOTHING), pending.get(scope, _NOTHING)
        for i, (change, cap) in enumerate(zip(changes, limits.values, strict=True)):
            side = i + 4 if change > 0.0 else i
            now = base[i] + work[side] + more[side]
            after = now + change
            if change != 0.0 and not (abs(after) <= abs(now) or abs(after) <= settings.warn_fraction * cap):
                return False
    return True


def check_exposures(
    found: Findings, orders: Sequence[OrderIntent], state: ControlState, settings: ControlSettings
) -> None:
    """Control 4: whatever subset of working and new orders fills, in whatever part, limits hold.

    An end of the range that lies beyond a limit already may not be moved further out; moving the other
    end, which lowers the exposure, stays allowed.
    """
    reach: dict[Scope, Reach] = {}
    for order in orders:
        widen(reach, order, float(order.quantity))
    for scope, added in reach.items():
        limits = settings.limits_of(scope)
        if limits is None:
            if scope.expiry is None and scope.venue is None:
                todo = f"set underlying_limits for {scope.underlying}"
                found.missing(Control.EXPOSURE, "exposure limits", scope, todo)
            continue
        base = base_of(state, scope)
        if base is None:
            found.missing(Control.EXPOSURE, "exposures", scope, "measure the book's exposures")
            continue
        work = state.working.reach.get(scope, _NOTHING)
        for i, limit in enumerate(limits.values):
            held, low, high = base[i], added[i], added[i + 4]
            if not -inf < held < inf:
                _refuse(found, i, scope, held, limit)
                continue
            # Most orders end here: what `cap` would pass is passed without the call.
            quiet = found.warn * limit
            if high != 0.0 and not held + work[i + 4] + high <= quiet:
                _refuse(found, i, scope, held + work[i + 4] + high, limit)
            if low != 0.0 and not -(held + work[i] + low) <= quiet:
                _refuse(found, i, scope, -(held + work[i] + low), limit)


def _refuse(found: Findings, i: int, scope: Scope, value: float, limit: float) -> None:
    todo = "make the order smaller or cancel working orders; what lowers it stays allowed"
    found.cap(Control.EXPOSURE, GREEKS[i], scope, value, limit, GREEK_UNITS[i], todo)


def check_margin(
    found: Findings, orders: Sequence[OrderIntent], state: ControlState, settings: ControlSettings
) -> None:
    """Control 5: per margin account, with all that can hurt filled and what relieves not."""
    by_account: dict[tuple[str, str], list[tuple[MarginChange, float]]] = {}
    for order in orders:
        venue = order.instrument.venue
        if order.margin is None or venue in state.working.margin_unknown:
            whose = "the order" if order.margin is None else "a working order"
            todo = "run margin what_if for each order"
            found.missing(Control.MARGIN, f"margin of {whose}", Scope(venue=venue), todo)
            return
        by_account.setdefault((venue, order.margin.currency), []).append((order.margin, 1.0))
    for (venue, currency), mine in by_account.items():
        scope = Scope(venue=venue)
        added = margin_reach(mine)
        if any(part != part for part in added):
            todo = "run margin what_if for each order"
            found.missing(Control.MARGIN, "margin of the order", scope, todo)
            continue
        accounts = known_margins(found, venue, state, settings)
        if accounts is None:
            continue
        account = accounts.get(currency)
        if account is None:
            text = (
                f"expected a margin account in one of {sorted(accounts)}, found an order in {currency}; "
                "state the order's margin in the currency of its account"
            )
            found.add(Control.MARGIN, Level.BLOCK, f"margin_currency {currency}", scope, text)
            continue
        work = state.working.margin.get((venue, currency), _FLAT)
        todo = "make the order smaller, free margin or add collateral"
        if added[0] != 0.0 or added[1] != 0.0:
            use = margin_use(account.initial + work[0] + added[0], account.equity + work[1] + added[1])
            limit, measure = settings.initial_margin_use, f"initial_use {currency}"
            found.cap(Control.MARGIN, measure, scope, use, limit, "of equity", todo)
        if added[2] != 0.0 or added[3] != 0.0:
            use = margin_use(
                account.stressed_maintenance + work[2] + added[2],
                account.stressed_equity + work[3] + added[3],
            )
            limit, measure = settings.stressed_margin_use, f"stressed_use {currency}"
            found.cap(Control.MARGIN, measure, scope, use, limit, "of stressed equity", todo)


def margin_use(margin: float, equity: float) -> float:
    # Nothing but 0 can be used of an equity at or below 0: NaN blocks.
    if margin == 0.0 and equity >= 0.0:
        return 0.0
    return margin / equity if equity > 0.0 else float("nan")


def known_margins(
    found: Findings, name: str, state: ControlState, settings: ControlSettings
) -> dict[str, MarginState] | None:
    """Accounts of a venue by currency if all are known, new enough and made of numbers."""
    scope, todo = Scope(venue=name), "ask the venue for the account"
    venue = state.venues.get(name)
    if venue is None or not venue.margin:
        found.missing(Control.MARGIN, "margin", scope, todo)
        return None
    sound = True
    for account in venue.margin:
        numbers = (account.equity, account.initial, account.stressed_equity, account.stressed_maintenance)
        if not (
            all(map(isfinite, numbers)) and account.initial >= 0.0 and account.stressed_maintenance >= 0.0
        ):
            text = f"expected finite equity and margin at or above 0, found {numbers}; {todo}"
            found.add(Control.MARGIN, Level.BLOCK, f"margin {account.currency}", scope, text)
            sound = False
            continue
        limit, skew, measure = (
            settings.max_margin_age_s,
            settings.max_clock_skew_ms,
            f"margin_age {account.currency}",
        )
        fresh = found.age(Control.MARGIN, measure, scope, state.ts_ns, account.ts_ns, limit, skew, todo)
        sound = sound and fresh
    return {account.currency: account for account in venue.margin} if sound else None


def check_rates(
    found: Findings, orders: Sequence[OrderIntent], state: ControlState, settings: ControlSettings
) -> None:
    """Control 7: the last part of each bucket is for cancels."""
    drawn: dict[tuple[str, str], float] = {}
    for order in orders:
        bucket = (order.instrument.venue, order.rate_bucket)
        # A cost below 0 would give budget back.
        cost = order.rate_cost if order.rate_cost >= 0.0 else float("nan")
        drawn[bucket] = drawn.get(bucket, 0.0) + cost
    for (name, bucket_name), cost in drawn.items():
        venue = state.venues.get(name)
        rate = None if venue is None else venue.rates.get(bucket_name)
        scope, measure = Scope(venue=name), f"rate_{bucket_name}"
        if rate is None or not (rate.capacity >= 0.0 and rate.used >= 0.0):
            found.missing(Control.RATE_BUDGET, measure, scope, "load the venue's rate table")
            continue
        room = rate.capacity * (1.0 - settings.cancel_reserve)
        found.cap(
            Control.RATE_BUDGET, measure, scope, rate.used + cost, room, "credits", "wait; cancels still pass"
        )
