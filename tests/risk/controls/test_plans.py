"""Orders judged together, with working orders, and while REDUCING or HALTED."""

from dataclasses import replace

import pytest

from ivhedge.core.errors import DataError, LimitBreach
from ivhedge.risk.controls import (
    ExecutedOrder,
    Exposure,
    ExposureLimits,
    Level,
    MarginChange,
    Mode,
    RateState,
    Scope,
    VenueRules,
    WorkingOrder,
    WorkingOrders,
    check_cancel,
    check_order,
    check_plan,
)
from tests.risk.controls._case import (
    CALL,
    NO_MARGIN,
    NOW,
    PERP,
    UNDERLYING,
    D,
    S,
    found,
    in_mode,
    order,
    perp,
    settings,
    state,
    venue,
    warned,
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


def _margin(**changes):
    return {"margin": replace(NO_MARGIN, **changes)}


def test_a_sound_order_raises_nothing():
    assert check_order(order("0.5"), state(), settings()).breaches == ()
    assert check_plan((), state(), settings()).allowed


def test_warnings_begin_at_their_share_and_do_not_block():
    at = state(exposures={UNDERLYING: Exposure(delta=7.7)})
    decision = check_order(order(), at, settings())
    assert decision.allowed
    assert (4, "delta") in warned(decision)
    assert decision.warnings[0].utilisation == pytest.approx(0.81)
    below = state(exposures={UNDERLYING: Exposure(delta=7.5)})
    assert (4, "delta") not in warned(check_order(order(), below, settings()))
    assert (4, "delta") not in warned(
        check_order(order(), at, settings(warn_fraction=0.85, leave_fraction=0.9))
    )


def test_a_refusal_can_be_raised():
    check_order(order(), state(), settings()).require()
    with pytest.raises(LimitBreach, match="control 1, BTC"):
        check_order(order("9"), state(), settings()).require()


def test_expiry_and_venue_limits_hold_beside_the_underlying():
    tight = ExposureLimits(
        delta=0.3, gamma_1pct=float("inf"), vega_usd_per_vol_point=1e9, theta_usd_per_day=1e9
    )
    bucket = order().scopes[1]
    by_bucket = settings(expiry_limits={f"BTC {bucket.expiry}": tight})
    decision = check_order(order(), state(), by_bucket)
    assert [(b.scope, b.measure) for b in decision.blocking] == [(bucket, "delta")]
    decision = check_order(order(), state(), settings(venue_limits={"*": tight}))
    assert [b.scope for b in decision.blocking] == [Scope("BTC", venue="deribit")]
    assert check_order(order(), state(), settings(venue_limits={"BTC okx": tight})).allowed


def test_an_underlying_without_limits_cannot_be_traded():
    decision = check_order(order(), state(), settings(underlying_limits={}))
    assert (4, "exposure limits") in found(decision)


def test_what_lowers_a_breached_exposure_stays_allowed():
    beyond = state(exposures={UNDERLYING: Exposure(delta=14.0)})
    assert check_order(perp("-20000", price="100000"), beyond, settings()).allowed
    assert (4, "delta") in found(check_order(perp("1"), beyond, settings()))
    through = check_order(perp("-20000", unit=Exposure(delta=0.0013)), beyond, settings())
    assert (4, "delta") in found(through)  # out at the other side


def test_working_orders_count_and_do_not_net():
    bid = order("1", client_id="old", unit=Exposure(delta=9.0))
    ask = order("-1", client_id="old2", price="0.0410", unit=Exposure(delta=9.0))
    resting = state(
        working=WorkingOrders(
            (
                WorkingOrder(intent=bid, remaining=bid.quantity),
                WorkingOrder(intent=ask, remaining=ask.quantity),
            )
        ),
        exposures={UNDERLYING: Exposure(delta=0.0)},
    )
    assert (4, "delta") in found(check_order(perp("11000"), resting, settings()))
    assert (4, "delta") in found(check_order(perp("-11000"), resting, settings()))
    assert check_order(perp("9000"), resting, settings()).allowed


def test_a_plan_is_judged_together():
    legs = [
        order("2", client_id=f"a{i}", price=f"0.0{395 + 5 * i}", unit=Exposure(delta=2.0)) for i in range(3)
    ]
    legs = [replace(leg, quantity=leg.quantity - D("0.1") * i) for i, leg in enumerate(legs)]
    given = state(exposures={UNDERLYING: Exposure(delta=0.0)})
    assert all(check_order(leg, given, settings()).allowed for leg in legs)
    assert (4, "delta") in found(check_plan(legs, given, settings()))
    assert check_plan(legs[:2], given, settings()).allowed
    assert (10, "cost") in found(check_plan(legs[:2], given, settings(max_plan_cost_usd=39.0)))
    assert (6, "duplicate") in found(
        check_plan([legs[0], replace(legs[0], client_id="b")], given, settings())
    )
    opposite = order("-1", client_id="b", price="0.0395")
    assert (10, "self_match") in found(check_plan([legs[0], opposite], given, settings()))
    tight = state(venues={"deribit": venue(rates={"orders": RateState(used=78.5, capacity=100.0)})})
    assert (7, "rate_orders") in found(check_plan(legs[:2], tight, settings()))


def test_margin_of_working_orders_is_reserved_in_proportion():
    big = order(
        "1",
        client_id="old",
        margin=MarginChange(
            currency="BTC", initial=2.5, equity=0.0, stressed_maintenance=0.0, stressed_equity=0.0
        ),
    )
    new = order("0.5", **_margin(initial=1.0))
    assert (5, "initial_use BTC") in found(check_order(new, state(working=_working(big)), settings()))
    assert check_order(new, state(working=_working(big, "0.5")), settings()).allowed
    # Relief that has not come yet does not pay for a new order.
    relief = order("1", client_id="old", **_margin(initial=-2.5))
    worse = order("0.5", **_margin(initial=3.1))
    assert (5, "initial_use BTC") in found(check_order(worse, state(working=_working(relief)), settings()))


def test_beyond_the_margin_limit_relief_stays_allowed():
    over = with_margin(initial=7.0, stressed_maintenance=5.0)
    assert check_order(order("-1", **_margin(initial=-1.0)), over, settings()).allowed
    assert (5, "initial_use BTC") in found(
        check_order(order("-1", **_margin(initial=0.01)), over, settings())
    )
    ruined = with_margin(equity=-1.0)
    assert (5, "initial_use BTC") in found(
        check_order(order("-1", **_margin(initial=0.01)), ruined, settings())
    )


@pytest.mark.parametrize("mode", [Mode.REDUCING])
def test_reducing_lets_through_what_lowers_risk(mode):
    long_delta = state(
        trading=in_mode(mode), exposures={UNDERLYING: Exposure(delta=3.0, vega_usd_per_vol_point=100.0)}
    )
    assert check_order(perp("-20000", client_id="b"), long_delta, settings()).allowed
    assert (9, "mode") in found(check_order(perp("1000"), long_delta, settings()))
    # Vega falls, but delta, which is watched, grows: refused.
    watched = state(
        trading=in_mode(mode), exposures={UNDERLYING: Exposure(delta=-9.0, vega_usd_per_vol_point=500.0)}
    )
    assert (9, "mode") in found(check_order(order("-1"), watched, settings()))
    # The watched one falls; another may grow while it is small.
    vega = state(
        trading=in_mode(mode), exposures={UNDERLYING: Exposure(delta=0.0, vega_usd_per_vol_point=1900.0)}
    )
    assert check_order(order("-1"), vega, settings()).allowed


def test_reducing_orders_cannot_together_turn_the_book_over():
    base = state(trading=in_mode(Mode.REDUCING), exposures={UNDERLYING: Exposure(delta=3.0)})
    first = perp("-20000", client_id="b", price="100001")
    second = perp("-19999", client_id="c", price="100002")
    third = perp("-20100", client_id="d", price="100003")
    assert check_plan([first], base, settings()).allowed
    assert check_plan([first, replace(second, quantity=D(-9999))], base, settings()).allowed
    assert (9, "mode") in found(check_plan([first, second, third], base, settings(max_order_btc=9.0)))
    resting = replace(base, working=_working(first))
    assert (9, "mode") in found(check_order(third, resting, settings(max_order_btc=9.0)))


def test_closing_counts_what_is_pending():
    held = state(trading=in_mode(Mode.REDUCING), positions={CALL.key: D(2)})
    sell = order("-1.5", client_id="b", unit=Exposure(delta=-0.1))
    assert check_order(sell, held, settings()).allowed
    pending = replace(held, working=_working(replace(sell, client_id="old")))
    assert (9, "mode") in found(check_order(sell, pending, settings()))
    assert (9, "mode") in found(
        check_order(replace(sell, quantity=D("-2.1")), held, settings(max_order_btc=9.0))
    )
    unknown = replace(held, positions={CALL.key: D("NaN")})
    assert (9, "mode") in found(check_order(sell, unknown, settings()))


def test_a_halt_shows_as_halt_and_cancels_pass():
    halted = state(trading=in_mode(Mode.HALTED), positions={CALL.key: D(-1)}, venues={}, underlyings={})
    decision = check_order(order(), halted, settings())
    assert decision.breaches[0].level is Level.HALT
    assert check_cancel("a1", halted, settings()).allowed


def test_infinite_limits_switch_a_control_off():
    off = float("inf")
    loose = settings(
        depth_share=off, max_order_btc=off, collar_ticks=off, duplicate_window_s=0.0, max_same_side_fills=off
    )
    given = replace(with_market(depth=None), executed=_executed(9))
    assert check_order(order("3", price="0.0700"), given, loose).allowed


def test_venue_rules_without_numbers_let_nothing_through():
    nan = VenueRules(lowest_price=D("NaN"), highest_price=D("NaN"), max_contracts=D("NaN"))
    assert {(3, "price_band"), (3, "max_size")} <= found(
        check_order(order(), with_market(rules=nan), settings())
    )


def test_an_expired_or_later_contract_has_its_own_bucket():
    assert order().scopes[1].expiry == "2024-10-17"
    assert perp().scopes[1].expiry == "perpetual"
    assert order(bucket="0-30d").scopes[1].expiry == "0-30d"


def test_losses_under_stress_of_working_orders_are_reserved():
    big = order("1", client_id="old", **_margin(stressed_equity=-3.0))
    new = order("0.5", **_margin(stressed_equity=-2.0))
    assert check_order(new, state(), settings()).allowed
    assert (5, "stressed_use BTC") in found(check_order(new, state(working=_working(big)), settings()))


def test_reducing_does_not_build_up_a_bucket():
    bucket = perp().scopes[1]
    limits = ExposureLimits(delta=10.0, gamma_1pct=1.0, vega_usd_per_vol_point=1.0, theta_usd_per_day=1.0)
    strict = settings(expiry_limits={"*": limits})

    def decide(held):
        exposures = {UNDERLYING: Exposure(delta=3.0), bucket: Exposure(delta=held)}
        return check_order(perp("-2000"), state(trading=in_mode(Mode.REDUCING), exposures=exposures), strict)

    assert decide(-7.7).allowed
    assert (9, "mode") in found(decide(-7.9))


def test_self_match_looks_at_the_nearest_order():
    low = order("1", client_id="low", price="0.0395")
    high = order("1", client_id="high", price="0.0405")
    for pair in ((low, high), (high, low)):
        resting = WorkingOrders(tuple(WorkingOrder(intent=i, remaining=i.quantity) for i in pair))
        for price, free in (("0.0400", False), ("0.0410", True)):
            decision = check_order(order("-1", price), state(working=resting), settings())
            assert ((10, "self_match") not in found(decision)) == free
    unpriced = WorkingOrders(
        (
            WorkingOrder(intent=replace(low, price=None), remaining=low.quantity),
            WorkingOrder(intent=high, remaining=high.quantity),
        )
    )
    decision = check_order(order("-1", "0.0410"), state(working=unpriced), settings())
    assert (10, "self_match") in found(decision)


def test_a_rebate_does_not_pay_for_another_order():
    legs = [order(client_id="a", cost_usd=-1000.0), order("2", client_id="b", cost_usd=2600.0)]
    assert (10, "cost") in found(check_plan(legs, state(), settings()))


def test_a_burst_of_small_orders_counts_before_it_fills():
    small = [order(f"0.{i + 1}", client_id=f"b{i}") for i in range(4)]
    assert check_plan(small[:3], state(), settings()).allowed
    assert (6, "same_side_executions") in found(check_plan(small, state(), settings()))
    resting = WorkingOrders(tuple(WorkingOrder(intent=o, remaining=o.quantity) for o in small[:3]))
    assert (6, "same_side_executions") in found(check_order(small[3], state(working=resting), settings()))
    other_side = order("-0.5", "0.0405", client_id="s")
    assert (6, "same_side_executions") not in found(
        check_order(other_side, state(working=resting), settings())
    )


def test_accounts_of_one_venue_are_judged_by_currency():
    btc = venue().margin[0]
    eth = replace(btc, currency="ETH", equity=100.0, initial=59.0, stressed_equity=100.0)
    two = state(venues={"deribit": venue(margin=(btc, eth))})
    in_btc, in_eth = (order(margin=replace(NO_MARGIN, currency=c, initial=2.0)) for c in ("BTC", "ETH"))
    assert check_order(in_btc, two, settings()).allowed
    assert found(check_order(in_eth, two, settings())) == {(5, "initial_use ETH")}
    # Known, but in a currency that the venue does not hold: no account to judge it by.
    assert found(check_order(in_eth, state(), settings())) == {(5, "margin_currency ETH")}
    working = WorkingOrders((WorkingOrder(intent=in_eth, remaining=in_eth.quantity),))
    assert check_order(in_btc, replace(two, working=working), settings()).allowed
    unknown = order("0.2", client_id="u", margin=None)
    working = WorkingOrders((WorkingOrder(intent=unknown, remaining=unknown.quantity),))
    assert (5, "margin of a working order") in found(
        check_order(in_btc, replace(two, working=working), settings())
    )
    with pytest.raises(DataError, match="one margin account per currency"):
        venue(margin=(btc, btc))


def test_a_future_with_a_made_up_delta_is_refused():
    assert check_order(perp(), state(), settings()).allowed
    for delta in (0.0, 1e-3, -1e-4):
        wrong = perp(unit=Exposure(delta=delta))
        assert (4, "unit_delta") in found(check_order(wrong, state(), settings()))


def test_reducing_refuses_to_close_the_hedge_of_a_position_that_stays():
    limits = settings(max_order_btc=100.0, depth_share=1.0)
    held = {CALL.key: D("-20"), PERP.key: D(90_000)}
    flat = {UNDERLYING: Exposure(delta=0.0)}
    now = state(trading=in_mode(Mode.REDUCING), positions=held, exposures=flat)
    # Eight of ten is the warning share of the limit: less may be closed by itself, more may not.
    assert check_order(perp("-80000"), now, limits).allowed
    assert (9, "mode") in found(check_order(perp("-81000"), now, limits))
