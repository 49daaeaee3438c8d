"""Every control on orders fires when its breach is injected, and not just inside."""

from dataclasses import replace

import pytest

from ivhedge.risk.controls import (
    ExecutedOrder,
    Exposure,
    KillSwitch,
    Mode,
    RateState,
    SentIntent,
    Stage,
    WorkingOrder,
    WorkingOrders,
    check_order,
)
from tests.risk.controls._case import (
    CALL,
    NO_MARGIN,
    NOW,
    PERP,
    UNDERLYING,
    WIDE,
    D,
    S,
    coin,
    found,
    in_mode,
    order,
    perp,
    settings,
    state,
    venue,
    with_margin,
    with_market,
)


def _executed(n, ago=1, side=1.0, same_id=False, key=CALL.key):
    return tuple(
        ExecutedOrder(
            ts_ns=NOW - ago * S,
            client_id="x" if same_id else f"x{i}",
            key=key,
            underlying="BTC",
            quantity_coin=0.1 * side,
            delta=0.0,
            vega_usd_per_vol_point=0.0,
        )
        for i in range(n)
    )


def _working(intent, remaining=None):
    left = intent.quantity if remaining is None else D(remaining)
    return WorkingOrders((WorkingOrder(intent=intent, remaining=left),))


def _expiring(seconds):
    soon = replace(CALL, expiry_ns=NOW + int(seconds * S))
    return {"instrument": soon}


def _rules(**changes):
    return with_market(rules=replace(WIDE, **changes))


def _margin(**changes):
    return {"margin": replace(NO_MARGIN, **changes)}


# control, measure, what breaks it, what is just inside: each (order, state, settings)
CASES = [
    (1, "quantity", (order("5.1"), None, None), (order("5"), None, {"max_order_btc": 10.0})),
    (1, "quantity", (order("5.1"), None, {"max_order_btc": 99.0}), (order("2"), with_market(depth=40.0), {})),
    (1, "notional", (order("2.1"), None, None), (order("2"), None, None)),
    (1, "notional", (perp("20001"), None, None), (perp("20000"), None, None)),
    (
        1,
        "contracts",
        (order("1.1"), None, {"max_order_contracts": {"option": 1.0}}),
        (order("1"), None, {"max_order_contracts": {"option": 1.0}}),
    ),
    (
        1,
        "contracts",
        (order("1.1"), None, {"max_order_contracts": {CALL.key: 1.0, "option": 9.0}}),
        (order("1.1"), None, {"max_order_contracts": {CALL.key: 2.0, "option": 1.0}}),
    ),
    (2, "distance_to_mark", (order(price="0.0420"), None, None), (order(price="0.0415"), None, None)),
    (2, "distance_to_mark", (order(price="0.0380"), None, None), (order(price="0.0385"), None, None)),
    (
        2,  # the share of the premium binds where vega is large
        "distance_to_mark",
        (order(price="0.0465"), with_market(price_per_vol_point=0.1), None),
        (order(price="0.0460"), with_market(price_per_vol_point=0.1), None),
    ),
    (
        2,  # two ticks where vega and premium are small
        "distance_to_mark",
        (order(price="0.0013"), with_market(mark=0.001, own_price=0.001, price_per_vol_point=1e-6), None),
        (order(price="0.0012"), with_market(mark=0.001, own_price=0.001, price_per_vol_point=1e-6), None),
    ),
    (
        2,
        "distance_to_own_price",
        (order(price="0.0410"), with_market(own_price=0.0390), None),
        (order(price="0.0405"), with_market(own_price=0.0390), None),
    ),
    (2, "distance_to_mark", (perp(price="100500.5"), None, None), (perp(price="100500"), None, None)),
    (2, "price", (order(price=None), None, None), (order(), None, None)),
    (3, "tick", (order(price="0.0401"), None, None), (order(price="0.0405"), None, None)),
    (3, "lot", (order("1.05"), None, None), (order("1.1"), None, None)),
    (3, "min_size", (order("0.05"), None, None), (order("0.1"), None, None)),
    (
        3,
        "max_size",
        (order("1.1"), _rules(max_contracts=D(1)), None),
        (order("1"), _rules(max_contracts=D(1)), None),
    ),
    (
        3,
        "price_band",
        (order(), _rules(highest_price=D("0.0395")), None),
        (order(), _rules(highest_price=D("0.04")), None),
    ),
    (
        3,
        "price_band",
        (order(), _rules(lowest_price=D("0.0405")), None),
        (order(), _rules(lowest_price=D("0.04")), None),
    ),
    (
        4,
        "delta",
        (order(), state(exposures={UNDERLYING: Exposure(delta=9.61)}), None),
        (order(), state(exposures={UNDERLYING: Exposure(delta=9.59)}), None),
    ),
    (
        4,
        "delta",
        (order("-1"), state(exposures={UNDERLYING: Exposure(delta=-9.61)}), None),
        (order("-1"), state(exposures={UNDERLYING: Exposure(delta=-9.59)}), None),
    ),
    (
        4,
        "gamma_1pct",
        (order(), state(exposures={UNDERLYING: Exposure(delta=0.0, gamma_1pct=0.981)}), None),
        (order(), state(exposures={UNDERLYING: Exposure(delta=0.0, gamma_1pct=0.979)}), None),
    ),
    (
        4,
        "vega_usd_per_vol_point",
        (order(), state(exposures={UNDERLYING: Exposure(delta=0.0, vega_usd_per_vol_point=1941.0)}), None),
        (order(), state(exposures={UNDERLYING: Exposure(delta=0.0, vega_usd_per_vol_point=1939.0)}), None),
    ),
    (
        4,
        "theta_usd_per_day",
        (order(), state(exposures={UNDERLYING: Exposure(delta=0.0, theta_usd_per_day=-2921.0)}), None),
        (order(), state(exposures={UNDERLYING: Exposure(delta=0.0, theta_usd_per_day=-2919.0)}), None),
    ),
    (
        5,
        "initial_use BTC",
        (order(**_margin(initial=3.01)), None, None),
        (order(**_margin(initial=2.99)), None, None),
    ),
    (
        5,
        "initial_use BTC",
        (order(**_margin(equity=-5.01)), None, None),
        (order(**_margin(equity=-4.99)), None, None),
    ),
    (
        5,
        "stressed_use BTC",
        (order(**_margin(stressed_maintenance=2.01)), None, None),
        (order(**_margin(stressed_maintenance=1.99)), None, None),
    ),
    (
        5,
        "stressed_use BTC",
        (order(**_margin(stressed_equity=-4.01)), None, None),
        (order(**_margin(stressed_equity=-3.99)), None, None),
    ),
    (
        5,
        "margin_age BTC",
        (order(), with_margin(ts_ns=NOW - 11 * S), None),
        (order(), with_margin(ts_ns=NOW - 10 * S), None),
    ),
    (
        6,
        "duplicate",
        (order(), state(sent=(SentIntent(ts_ns=NOW - S // 2, key=CALL.key, quantity=D("1.0")),)), None),
        (order(), state(sent=(SentIntent(ts_ns=NOW - S, key=CALL.key, quantity=D(1)),)), None),
    ),
    (
        6,
        "duplicate",
        (order(), state(sent=(SentIntent(ts_ns=NOW, key=CALL.key, quantity=D(1)),)), None),
        (order(), state(sent=(SentIntent(ts_ns=NOW, key=CALL.key, quantity=D(-1)),)), None),
    ),
    (
        6,
        "same_side_executions",
        (order(), state(executed=_executed(3)), None),
        (order(), state(executed=_executed(2)), None),
    ),
    (
        6,
        "same_side_executions",
        (order(), state(executed=_executed(3)), None),
        (order(), state(executed=_executed(9, same_id=True)), None),
    ),
    (
        6,
        "same_side_executions",
        (order("-1"), state(executed=_executed(3, side=-1.0)), None),
        (order("-1"), state(executed=_executed(3)), None),
    ),
    (
        7,
        "rate_orders",
        (
            order(),
            state(venues={"deribit": venue(rates={"orders": RateState(used=79.5, capacity=100.0)})}),
            None,
        ),
        (
            order(),
            state(venues={"deribit": venue(rates={"orders": RateState(used=79.0, capacity=100.0)})}),
            None,
        ),
    ),
    (7, "rate_orders", (order(rate_cost=-1.0), None, None), (order(rate_cost=0.0), None, None)),
    (
        8,
        "quote_age",
        (order(), with_market(ts_ns=NOW - 2 * S - 1), None),
        (order(), with_market(ts_ns=NOW - 2 * S), None),
    ),
    (
        8,
        "quote_age",
        (order(), with_market(ts_ns=NOW + S), None),
        (order(), with_market(ts_ns=NOW + S // 5), None),
    ),
    (
        8,
        "greeks_age",
        (order(), state(underlyings={"BTC": coin(greeks_ns=NOW - 6 * S)}), None),
        (order(), state(underlyings={"BTC": coin(greeks_ns=NOW - 5 * S)}), None),
    ),
    (
        8,
        "surface_age",
        (order(), state(underlyings={"BTC": coin(surface_ns=NOW - 61 * S)}), None),
        (order(), state(underlyings={"BTC": coin(surface_ns=NOW - 60 * S)}), None),
    ),
    (
        8,
        "clock_skew",
        (order(), state(venues={"deribit": venue(clock_skew_ms=-251.0)}), None),
        (order(), state(venues={"deribit": venue(clock_skew_ms=-250.0)}), None),
    ),
    (8, "crossed", (order(), with_market(bid=0.041), None), (order(), with_market(bid=0.0405), None)),
    (8, "quote", (order(), with_market(bid=None, ask=None), None), (order(), with_market(bid=None), None)),
    (
        8,
        "sequence",
        (order(), with_market(in_sequence=False), None),
        (order(), with_market(in_sequence=True), None),
    ),
    (
        8,
        "unpriced_legs",
        (order(), state(underlyings={"BTC": coin(unpriced_legs=1)}), None),
        (order(), state(underlyings={"BTC": coin(unpriced_legs=0)}), None),
    ),
    (9, "mode", (order(), state(trading=in_mode(Mode.HALTED)), None), (order(), None, None)),
    (
        9,
        "mode",
        (order(), state(trading=in_mode(Mode.REDUCING)), None),
        (order(), state(trading=in_mode(Mode.REDUCING), positions={CALL.key: D(-1)}), None),
    ),
    (
        9,
        "last_check",
        (order(), state(trading=in_mode(Mode.ACTIVE, NOW - 6 * S)), None),
        (order(), state(trading=in_mode(Mode.ACTIVE, NOW - 5 * S)), None),
    ),
    (
        10,
        "self_match",
        (order("-1"), state(working=_working(order("1", client_id="old", price="0.0400"))), None),
        (order("-1", "0.0405"), state(working=_working(order("1", client_id="old", price="0.0400"))), None),
    ),
    (10, "restricted", (order(), None, {"restricted": ["BTC"]}), (order(), None, {"restricted": ["ETH"]})),
    (
        10,
        "restricted",
        (order(), None, {"restricted": [CALL.key]}),
        (order(), None, {"restricted": [PERP.key]}),
    ),
    (
        10,
        "restricted",
        (order(), None, {"restricted": ["deribit"]}),
        (order(), None, {"restricted": ["okx"]}),
    ),
    (10, "to_expiry", (order(**_expiring(1799)), None, None), (order(**_expiring(1800)), None, None)),
    (
        10,
        "to_expiry",
        (order("-1", **_expiring(0)), state(positions={CALL.key: D(1)}), None),
        (order("-1", **_expiring(1)), state(positions={CALL.key: D(1)}), None),
    ),
    (10, "cost", (order(cost_usd=2501.0), None, None), (order(cost_usd=2500.0), None, None)),
    (
        11,
        "dead_man",
        (order(), state(venues={"deribit": venue(dead_man_s=None)}), None),
        (order(), state(venues={"deribit": venue(dead_man_s=None, has_dead_man=False)}), None),
    ),
    (
        15,
        "engaged",
        (order(), state(kill_switch=KillSwitch(watcher_seen_ns=NOW, engaged_ns=NOW)), None),
        (order(), state(kill_switch=KillSwitch(watcher_seen_ns=NOW)), None),
    ),
]


def _judge(case):
    intent, given, changes = case
    return check_order(intent, state() if given is None else given, settings(**(changes or {})))


@pytest.mark.parametrize(("control", "measure", "outside", "inside"), CASES)
def test_a_control_fires_outside_and_not_inside(control, measure, outside, inside):
    refused = _judge(outside)
    assert not refused.allowed
    assert (control, measure) in found(refused)
    breach = next(b for b in refused.blocking if (b.control, b.measure) == (control, measure))
    assert "expected" in breach.message
    assert "found" in breach.message or "REDUCING" in breach.message
    assert breach.stage is Stage.PRE
    passed = _judge(inside)
    assert passed.allowed, [b.message for b in passed.blocking]


def test_every_control_before_the_order_has_a_case():
    assert {case[0] for case in CASES} >= set(range(1, 11))
