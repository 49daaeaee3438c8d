"""The limits engine: judges orders, plans and the state. Pure: values in, values out."""

from collections.abc import Sequence

from ivhedge.risk.controls._book_checks import (
    check_exposures,
    check_margin,
    check_mode,
    check_rates,
    closes_position,
)
from ivhedge.risk.controls._findings import Findings
from ivhedge.risk.controls._order_checks import (
    check_collar,
    check_data,
    check_eligible,
    check_repeats,
    check_size,
    check_venue_rules,
    is_well_formed,
)
from ivhedge.risk.controls._state_checks import (
    watch_audit,
    watch_data,
    watch_exposures,
    watch_fills,
    watch_kill_switch,
    watch_money,
    watch_orders,
    watch_venues,
)
from ivhedge.risk.controls.breach import Decision, Scope
from ivhedge.risk.controls.catalog import Control, Stage
from ivhedge.risk.controls.orders import OrderIntent
from ivhedge.risk.controls.settings import ControlSettings
from ivhedge.risk.controls.state import ControlState

__all__ = ["check_cancel", "check_order", "check_plan", "check_state"]


def check_order(order: OrderIntent, state: ControlState, settings: ControlSettings) -> Decision:
    """Judge one order before it is sent; see `check_plan`."""
    return check_plan((order,), state, settings)


def check_plan(orders: Sequence[OrderIntent], state: ControlState, settings: ControlSettings) -> Decision:
    """Judge orders together before any is sent: all of them, or none.

    Parameters
    ----------
    orders : sequence of OrderIntent
        In the order in which they will be sent.
    state : ControlState
    settings : ControlSettings

    Returns
    -------
    Decision
        Never an exception for a value that is missing or not a number: such orders are refused.

    Notes
    -----
    Exposures and margin have to hold for every subset of working and new orders, filled in any part: an
    order is refused if it moves an end of that range out of its limit, or further out. Once accepted and
    listed as working, orders need no second check, whatever fills or is cancelled, as long as exposures
    per contract do not move. An empty plan is allowed.
    """
    found = Findings(Stage.PRE, settings.warn_fraction)
    whole = True
    cost = 0.0
    for i, order in enumerate(orders):
        found.client_id = order.client_id
        if not is_well_formed(found, order):
            whole = False
            continue
        before = [o for o in orders[:i] if o.quantity.is_finite()]
        closes = closes_position(order, before, state)
        check_mode(found, order, before, closes, state, settings)
        check_eligible(found, order, before, closes, state, settings)
        check_repeats(found, order, before, state, settings)
        if check_data(found, order, state, settings):
            check_size(found, order, state, settings)
            check_collar(found, order, state, settings)
            check_venue_rules(found, order, state)
        # A rebate does not pay for another order's cost.
        expected = float("nan") if order.cost_usd is None else order.cost_usd
        cost += 0.0 if expected <= 0.0 else expected
    found.client_id = orders[0].client_id if len(orders) == 1 else None
    if whole and orders:
        check_exposures(found, orders, state, settings)
        check_margin(found, orders, state, settings)
        check_rates(found, orders, state, settings)
        todo = "wait for narrower quotes or trade less"
        found.cap(Control.ELIGIBILITY, "cost", Scope(), cost, settings.max_plan_cost_usd, "USD", todo)
    return found.decision()


def check_cancel(client_id: str, state: ControlState, settings: ControlSettings) -> Decision:
    """Judge a cancel: always allowed, in every mode, whatever is missing.

    The arguments are those of the other checks so that a caller can treat all requests alike.
    """
    return Decision(allowed=True)


def check_state(state: ControlState, settings: ControlSettings) -> Decision:
    """Watch the book, the venues and the money while trading; feed the breaches to `next_state`.

    Parameters
    ----------
    state : ControlState
    settings : ControlSettings

    Returns
    -------
    Decision
        `allowed` is False where anything blocks or halts; what may still be sent is up to the trading
        state.
    """
    found = Findings(Stage.AT, settings.warn_fraction)
    watch_exposures(found, state, settings)
    watch_data(found, state, settings)
    watch_orders(found, state, settings)
    watch_fills(found, state, settings)
    watch_kill_switch(found, state, settings)
    watch_venues(found, state, settings)
    found.stage = Stage.POST
    watch_money(found, state, settings)
    watch_audit(found, state, settings)
    return found.decision()
