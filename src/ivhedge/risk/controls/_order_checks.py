"""Controls on one order by itself: size, price, venue rules, repetition, data, eligibility."""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite

from ivhedge.core.units import NS_PER_SECOND
from ivhedge.risk.controls._findings import Findings
from ivhedge.risk.controls.catalog import Control, Level
from ivhedge.risk.controls.orders import OrderIntent
from ivhedge.risk.controls.settings import ControlSettings
from ivhedge.risk.controls.state import ControlState, InstrumentState, UnderlyingState

_FUTURE_DELTA_SLACK = 0.25  # basis, and an index that moved since; not a factor of ten
_DIGITS = 12  # more digits before the point are an error, and would overflow exact remainders


def is_well_formed(found: Findings, order: OrderIntent) -> bool:
    """Size, price and Greeks are numbers; without that nothing else can be judged."""
    quantity, price = order.quantity, order.price
    if not quantity.is_finite() or quantity == 0 or quantity.adjusted() > _DIGITS:
        text = f"expected a finite quantity other than 0, found {quantity}; drop the order"
        found.add(Control.VENUE_RULES, Level.BLOCK, "quantity", order.scope, text)
        return False
    if price is None or not price.is_finite() or price <= 0 or price.adjusted() > _DIGITS:
        text = f"expected a limit price above 0, found {price}; give every order a limit price"
        found.add(Control.PRICE_COLLAR, Level.BLOCK, "price", order.scope, text)
        return False
    for name, value in zip(("delta", "gamma", "vega", "theta"), order.unit.values, strict=True):
        if not isfinite(value):
            text = f"expected a finite {name} of the contract, found {value}; price it on a surface"
            found.add(Control.EXPOSURE, Level.BLOCK, name, order.scope, text)
            return False
    return True


def check_data(found: Findings, order: OrderIntent, state: ControlState, settings: ControlSettings) -> bool:
    """Control 8."""
    scope, control = order.scope, Control.DATA_FITNESS
    before = len(found.breaches)
    now, skew = state.ts_ns, settings.max_clock_skew_ms
    market = state.instruments.get(order.key)
    venue = state.venues.get(order.instrument.venue)
    coin = state.underlyings.get(order.instrument.underlying)
    if market is None or venue is None or coin is None:
        what = "market" if market is None else "venue state" if venue is None else "underlying state"
        found.missing(control, what, scope, "subscribe to it before trading it")
        return False
    offset = None if venue.clock_skew_ms is None else abs(venue.clock_skew_ms)
    found.cap(control, "clock_skew", scope, offset, skew, "ms", "synchronise the clock")
    quote_todo = "wait for a new quote"
    found.age(control, "quote_age", scope, now, market.ts_ns, settings.max_quote_age_s, skew, quote_todo)
    found.age(
        control, "greeks_age", scope, now, coin.greeks_ns, settings.max_greeks_age_s, skew, "revalue the book"
    )
    found.age(control, "surface_age", scope, now, coin.surface_ns, settings.max_surface_age_s, skew, "refit")
    limit = settings.max_index_age_s
    found.age(control, "index_age", scope, now, coin.index_ns, limit, skew, "wait for the index")
    _check_unit(found, order, coin)
    if coin.unpriced_legs:
        text = f"expected every leg priced, found {coin.unpriced_legs} without a price; mark them first"
        found.add(control, Level.BLOCK, "unpriced_legs", scope, text)
    if not market.in_sequence:
        text = "expected an unbroken feed, found a sequence gap; rebuild the book from a snapshot"
        found.add(control, Level.BLOCK, "sequence", scope, text)
    _check_quote(found, order, market)
    return len(found.breaches) == before


def _check_unit(found: Findings, order: OrderIntent, coin: UnderlyingState) -> None:
    """A future's delta follows from the contract: a number that differs is a mistake of the caller."""
    instrument, index = order.instrument, coin.index_price_usd
    if instrument.is_option:
        return
    if index is None or not 0.0 < index < float("inf"):
        found.missing(Control.DATA_FITNESS, "index price", order.scope, "wait for the index")
        return
    expected = float(instrument.multiplier) / (index if instrument.is_inverse else 1.0)
    if abs(order.unit.delta - expected) > _FUTURE_DELTA_SLACK * expected:
        text = (
            f"expected a delta near {expected:.6g} per contract, found {order.unit.delta:.6g}; "
            "take it from the contract's multiplier and price"
        )
        found.add(Control.EXPOSURE, Level.BLOCK, "unit_delta", order.scope, text)


def _check_quote(found: Findings, order: OrderIntent, market: InstrumentState) -> None:
    bid, ask = market.bid, market.ask
    if bid is None and ask is None:
        found.missing(Control.DATA_FITNESS, "quote", order.scope, "wait for a quote")
        return
    if not all(x is None or 0.0 < x < float("inf") for x in (bid, ask)):
        text = f"expected prices above 0, found bid {bid}, ask {ask}; drop the quote"
        found.add(Control.DATA_FITNESS, Level.BLOCK, "quote", order.scope, text)
    elif bid is not None and ask is not None and bid > ask:
        text = f"expected bid at or below ask, found {bid} above {ask}; wait for a new quote"
        found.add(Control.DATA_FITNESS, Level.BLOCK, "crossed", order.scope, text)


def check_size(found: Findings, order: OrderIntent, state: ControlState, settings: ControlSettings) -> None:
    """Control 1."""
    scope, control, instrument = order.scope, Control.ORDER_SIZE, order.instrument
    market, coin = state.instruments[order.key], state.underlyings[instrument.underlying]
    contracts = abs(float(order.quantity))
    if settings.depth_share < float("inf"):
        depth = None if market.depth is None else settings.depth_share * market.depth
        if depth is None or not 0.0 <= depth < float("inf"):
            found.missing(control, "depth", scope, "measure the 1-minute depth or set depth_share to inf")
        else:
            found.cap(control, "quantity", scope, contracts, depth, "contracts", "split the order")
    cap = settings.max_order_contracts.get(order.key)
    if cap is None:
        cap = settings.max_order_contracts.get(instrument.kind.value)
    if cap is not None:
        found.cap(control, "contracts", scope, contracts, cap, "contracts", "split the order")
    usd = contracts * float(instrument.multiplier)
    index, btc = coin.index_price_usd, state.btc_price_usd
    if instrument.is_option or not instrument.is_inverse:
        usd = usd * index if index is not None and index > 0.0 else float("nan")
    notional = usd / btc if btc is not None and 0.0 < btc < float("inf") else float("nan")
    found.cap(control, "notional", scope, notional, settings.max_order_btc, "BTC", "split the order")


def check_collar(found: Findings, order: OrderIntent, state: ControlState, settings: ControlSettings) -> None:
    """Control 2: within max(ticks, min(vol points, share of premium)) of the mark and of the own price."""
    scope, control, instrument = order.scope, Control.PRICE_COLLAR, order.instrument
    market = state.instruments[order.key]
    if market.mark is None or not 0.0 < market.mark < float("inf"):
        found.missing(control, "mark", scope, "wait for a mark")
        return
    if order.price is None:
        return
    anchors = [("mark", market.mark)]
    if instrument.is_option:
        own, per_point = market.own_price, market.price_per_vol_point
        if (
            own is None
            or per_point is None
            or not (0.0 <= own < float("inf") and 0.0 <= per_point < float("inf"))
        ):
            found.missing(control, "own price and vega", scope, "price the option on the own surface")
            return
        anchors.append(("own_price", own))
        vol_width = settings.collar_vol_points * per_point
    else:
        if market.own_price is not None:
            anchors.append(("own_price", market.own_price))
        vol_width = float("inf")
    share = settings.collar_premium_share if instrument.is_option else settings.collar_future_share
    price = float(order.price)
    ticks = settings.collar_ticks * float(instrument.ticks.tick_at(order.price))
    for name, anchor in anchors:
        width = max(ticks, min(vol_width, share * anchor))
        away = abs(price - anchor)
        # Half a billionth: a price exactly at the edge is inside, whatever floats make of it.
        if away <= width * (1.0 + 5e-10) and away < float("inf"):
            continue
        found.cap(
            control, f"distance_to_{name}", scope, away, width, "price", f"quote nearer to {anchor:.6g}"
        )


def check_venue_rules(found: Findings, order: OrderIntent, state: ControlState) -> None:
    """Control 3, in exact decimals."""
    scope, control, instrument = order.scope, Control.VENUE_RULES, order.instrument
    price, size = order.price, abs(order.quantity)
    rules = state.instruments[order.key].rules
    if rules is None or price is None:
        found.missing(control, "venue rules", scope, "load the venue's instrument table")
        return
    wrong: list[tuple[str, str]] = []
    if not instrument.ticks.is_on_grid(price):
        wrong.append(("tick", f"a price on ticks of {instrument.ticks.tick_at(price)}, found {price}"))
    if size % instrument.lot != 0:
        wrong.append(("lot", f"a size in lots of {instrument.lot}, found {size}"))
    if size < instrument.min_size:
        wrong.append(("min_size", f"at least {instrument.min_size} contracts, found {size}"))
    if not size <= _number(rules.max_contracts):
        wrong.append(("max_size", f"at most {rules.max_contracts} contracts, found {size}"))
    if not _number(rules.lowest_price, low=True) <= price <= _number(rules.highest_price):
        band = f"{rules.lowest_price} to {rules.highest_price}"
        wrong.append(("price_band", f"a price in {band}, found {price}"))
    for measure, text in wrong:
        found.add(control, Level.BLOCK, measure, scope, f"expected {text}; round before sending")


def _number(value: Decimal, *, low: bool = False) -> Decimal:
    # NaN bounds let nothing through.
    return (Decimal("inf") if low else Decimal(-1)) if value.is_nan() else value


def check_repeats(
    found: Findings,
    order: OrderIntent,
    before: Sequence[OrderIntent],
    state: ControlState,
    settings: ControlSettings,
) -> None:
    """Control 6."""
    scope, control, key = order.scope, Control.REPEATED_ORDER, order.key
    since = state.ts_ns - settings.duplicate_window_s * NS_PER_SECOND
    twice = any(s.key == key and s.quantity == order.quantity and s.ts_ns > since for s in state.sent) or any(
        o.key == key and o.quantity == order.quantity for o in before
    )
    if twice and settings.duplicate_window_s > 0.0:
        text = (
            f"expected one intent of {order.quantity} within {settings.duplicate_window_s:g} s, found the "
            "same again; wait or query the first"
        )
        found.add(control, Level.BLOCK, "duplicate", scope, text)
    since = state.ts_ns - settings.same_side_window_s * NS_PER_SECOND
    buys = order.quantity > 0
    done = {
        e.client_id
        for e in state.executed
        if e.key == key and e.ts_ns > since and (e.quantity_coin > 0.0) == buys
    }
    # What is working, and what goes before in the plan, may all fill at once.
    done |= {
        w.intent.client_id
        for w in state.working.by_key.get(key, ())
        if w.remaining != 0 and (w.remaining > 0) == buys
    }
    done |= {o.client_id for o in before if o.key == key and (o.quantity > 0) == buys}
    n = len(done - {order.client_id}) + 1
    found.cap(
        control,
        "same_side_executions",
        scope,
        float(n),
        settings.max_same_side_fills,
        "orders",
        f"wait until {settings.same_side_window_s:g} s have passed",
        warns=False,
    )


def check_eligible(
    found: Findings,
    order: OrderIntent,
    before: Sequence[OrderIntent],
    closes: bool,
    state: ControlState,
    settings: ControlSettings,
) -> None:
    """Control 10, but for the cost of the plan."""
    scope, control, instrument = order.scope, Control.ELIGIBILITY, order.instrument
    for name in (order.key, instrument.underlying, instrument.venue) if settings.restricted else ():
        if name in settings.restricted:
            text = f"expected an instrument that may be traded, found {name} on the restricted list"
            found.add(control, Level.BLOCK, "restricted", scope, text)
    resting = state.working.nearest.get((order.key, order.quantity < 0))
    others = [o for o in before if o.key == order.key]
    for other in others if resting is None else [resting, *others]:
        if _crosses(order, other):
            text = f"expected no own order on the other side, found {other.client_id}; cancel it first"
            found.add(control, Level.BLOCK, "self_match", scope, text)
    if instrument.expiry_ns is not None:
        left = (instrument.expiry_ns - state.ts_ns) / NS_PER_SECOND
        if left <= 0.0 or (left < settings.expiry_window_s and not closes):
            text = (
                f"expected at least {settings.expiry_window_s:g} s to expiry, found {left:.0f}; "
                "only orders that close a position go through, and none after expiry"
            )
            found.add(
                control, Level.BLOCK, "to_expiry", scope, text, limit=settings.expiry_window_s, unit="s"
            )


def _crosses(order: OrderIntent, other: OrderIntent) -> bool:
    if (order.quantity > 0) == (other.quantity > 0):
        return False
    buy, sell = (order, other) if order.quantity > 0 else (other, order)
    if buy.price is None or sell.price is None or not (buy.price.is_finite() and sell.price.is_finite()):
        return True
    return buy.price >= sell.price
