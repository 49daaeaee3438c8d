"""Every control on the running state fires when its breach is injected, and not just inside."""

from dataclasses import fields, replace

import pytest

from ivhedge.risk.controls import (
    CONTROLS,
    AuditState,
    Control,
    ControlSettings,
    ExecutedOrder,
    ExplainState,
    Exposure,
    KillSwitch,
    LegGroup,
    Level,
    Reconciliation,
    Stage,
    WorkingOrder,
    WorkingOrders,
    check_order,
    check_state,
)
from tests.risk.controls._case import (
    CALL,
    NOW,
    UNDERLYING,
    S,
    coin,
    found,
    order,
    settings,
    state,
    venue,
    with_margin,
    with_market,
    with_pnl,
)

HALT, BLOCK, WARN = Level.HALT, Level.BLOCK, Level.WARN


def _exposed(**greeks):
    return state(exposures={UNDERLYING: Exposure(**({"delta": 0.0} | greeks))})


def _venue(**changes):
    return state(venues={"deribit": venue(**changes)})


def _filled(n=1, ago=0, quantity=1.0, delta=0.0, vega=0.0):
    return state(
        executed=tuple(
            ExecutedOrder(
                ts_ns=NOW - ago * S,
                client_id=f"f{i}",
                key=CALL.key,
                underlying="BTC",
                quantity_coin=quantity * (-1) ** i,
                delta=delta,
                vega_usd_per_vol_point=vega,
            )
            for i in range(n)
        )
    )


def _unanswered(seconds):
    waiting = WorkingOrder(
        intent=order(), remaining=order().quantity, unanswered_since_ns=NOW - int(seconds * S)
    )
    return state(working=WorkingOrders((waiting,)))


def _legs(seconds, complete=False):
    legs = LegGroup(
        name="c1", underlying="BTC", first_fill_ns=NOW - int(seconds * S), open_delta=0.4, complete=complete
    )
    return state(leg_groups=(legs,))


def _killed(**changes):
    return state(kill_switch=KillSwitch(**({"watcher_seen_ns": NOW} | changes)))


def _reconciled(seconds, matched=True):
    return _venue(reconciliation=Reconciliation(ts_ns=NOW - int(seconds * S), matched=matched))


def _explained(residual, gross):
    return state(explain=ExplainState(ts_ns=NOW, residual_usd=residual, gross_usd=gross))


# control, measure, level, outside, inside
CASES = [
    (4, "delta", BLOCK, _exposed(delta=-10.1), _exposed(delta=-10.0)),
    (4, "gamma_1pct", BLOCK, _exposed(gamma_1pct=1.01), _exposed(gamma_1pct=1.0)),
    (
        4,
        "vega_usd_per_vol_point",
        BLOCK,
        _exposed(vega_usd_per_vol_point=-2001.0),
        _exposed(vega_usd_per_vol_point=-2000.0),
    ),
    (4, "theta_usd_per_day", BLOCK, _exposed(theta_usd_per_day=-3001.0), _exposed(theta_usd_per_day=-3000.0)),
    (4, "exposures", BLOCK, state(exposures={}), state()),
    (5, "initial_use BTC", BLOCK, with_margin(initial=6.01), with_margin(initial=6.0)),
    (
        5,
        "stressed_use BTC",
        BLOCK,
        with_margin(stressed_maintenance=4.01),
        with_margin(stressed_maintenance=4.0),
    ),
    (5, "stressed_use BTC", BLOCK, with_margin(stressed_equity=-1.0), with_margin(stressed_equity=4.0)),
    (5, "margin_age BTC", BLOCK, with_margin(ts_ns=NOW - 11 * S), with_margin(ts_ns=NOW - 10 * S)),
    (8, "clock_skew", BLOCK, _venue(clock_skew_ms=251.0), _venue(clock_skew_ms=250.0)),
    (
        8,
        "greeks_age",
        BLOCK,
        state(underlyings={"BTC": coin(greeks_ns=NOW - 5 * S - 1)}),
        state(underlyings={"BTC": coin(greeks_ns=NOW - 5 * S)}),
    ),
    (
        8,
        "surface_age",
        BLOCK,
        state(underlyings={"BTC": coin(surface_ns=NOW - 60 * S - 1)}),
        state(underlyings={"BTC": coin(surface_ns=NOW - 60 * S)}),
    ),
    (8, "unpriced_legs", BLOCK, state(underlyings={"BTC": coin(unpriced_legs=2)}), state()),
    (11, "dead_man", BLOCK, _venue(dead_man_s=None), _venue(dead_man_s=0.0)),
    (11, "dead_man", BLOCK, _venue(dead_man_s=10.1), _venue(dead_man_s=10.0)),
    (12, "filled_quantity", BLOCK, _filled(6), _filled(5)),
    (12, "filled_quantity", BLOCK, _filled(6, ago=4), _filled(6, ago=5)),
    (12, "filled_delta", BLOCK, _filled(2, delta=-1.01), _filled(2, delta=-1.0)),
    (12, "filled_vega", BLOCK, _filled(2, vega=250.1), _filled(2, vega=250.0)),
    (12, "venue_protection", BLOCK, _venue(fill_protection_hit=True), _venue(fill_protection_hit=False)),
    (13, "a1", WARN, _unanswered(2.1), _unanswered(2.0)),
    (13, "a1", HALT, _unanswered(5.1), _unanswered(5.0)),
    (14, "legs c1", BLOCK, _legs(3.1), _legs(3.0)),
    (14, "legs c1", BLOCK, _legs(9.0), _legs(9.0, complete=True)),
    (15, "engaged", HALT, _killed(engaged_ns=NOW), _killed()),
    (
        15,
        "cancels",
        HALT,
        _killed(engaged_ns=NOW - 2 * S),
        _killed(engaged_ns=NOW - 2 * S, cancels_confirmed_ns=NOW - S),
    ),
    (15, "watcher", BLOCK, _killed(watcher_seen_ns=NOW - 11 * S), _killed(watcher_seen_ns=NOW - 10 * S)),
    (15, "kill switch", BLOCK, state(kill_switch=None), state()),
    (16, "mismatch", HALT, _reconciled(0, matched=False), _reconciled(0)),
    (16, "reconciliation_age", BLOCK, _reconciled(20.1), _reconciled(20.0)),
    (16, "reconciliation_age", WARN, _reconciled(10.1), _reconciled(10.0)),
    (16, "reconciliation", BLOCK, _venue(reconciliation=None), state()),
    (17, "residual", BLOCK, _explained(-1001.0, 0.0), _explained(-1000.0, 0.0)),
    (17, "residual", BLOCK, _explained(5001.0, 100_000.0), _explained(5000.0, 100_000.0)),
    (17, "attribution", BLOCK, state(explain=None), state()),
    (19, "venue_share", BLOCK, _venue(equity_share=1.01), _venue(equity_share=1.0)),
    (19, "adl_rank", BLOCK, _venue(adl_rank=0.81), _venue(adl_rank=0.8)),
    (
        19,
        "stablecoin USDC",
        BLOCK,
        state(stablecoin_shares={"USDC": 0.41}),
        state(stablecoin_shares={"USDC": 0.4}),
    ),
    (
        19,
        "funding",
        BLOCK,
        state(underlyings={"BTC": coin(funding_cost_usd_per_day=1001.0)}),
        state(underlyings={"BTC": coin(funding_cost_usd_per_day=1000.0)}),
    ),
    (20, "chain", HALT, state(audit=AuditState(chain_verified=False, proof_ns=NOW)), state()),
    (
        20,
        "proof_age",
        BLOCK,
        state(audit=AuditState(chain_verified=True, proof_ns=NOW - 90_001 * S)),
        state(audit=AuditState(chain_verified=True, proof_ns=NOW - 90_000 * S)),
    ),
    (20, "audit log", BLOCK, state(audit=None), state()),
]
for _name, _field in (
    ("daily_loss", "day_loss_usd"),
    ("drawdown", "drawdown_usd"),
    ("hedge_error", "hedge_error_usd"),
    ("fees", "fees_usd"),
):
    CASES += [
        (18, _name, BLOCK, with_pnl(**{_field: 20_001.0}), with_pnl(**{_field: 20_000.0})),
        (18, _name, HALT, with_pnl(**{_field: 50_001.0}), with_pnl(**{_field: 50_000.0})),
    ]


def _levels(decision, control, measure):
    return {b.level for b in decision.breaches if (b.control, b.measure) == (control, measure)}


@pytest.mark.parametrize(("control", "measure", "level", "outside", "inside"), CASES)
def test_a_control_fires_outside_and_not_inside(control, measure, level, outside, inside):
    decision = check_state(outside, settings())
    assert level in _levels(decision, control, measure)
    assert decision.allowed == (level is WARN)
    breach = next(b for b in decision.breaches if (b.control, b.measure) == (control, measure))
    assert "expected" in breach.message
    assert "found" in breach.message
    assert breach.stage is (Stage.POST if control >= 16 else Stage.AT)
    kept = _levels(check_state(inside, settings()), control, measure)
    # Just inside of the halting level the lower level may fire.
    assert level not in kept
    assert level is HALT or kept <= {WARN}


def test_every_control_on_the_state_has_a_case():
    assert {case[0] for case in CASES} >= set(range(11, 21))


def test_a_sound_state_raises_nothing():
    assert check_state(state(), settings()).breaches == ()


def test_each_control_is_described_and_has_settings():
    assert set(CONTROLS) == set(Control)
    assert [int(c) for c in Control] == list(range(1, 21))
    with_settings = {f.metadata["control"] for f in fields(ControlSettings)} - {None}
    assert set(Control) - with_settings == {Control.VENUE_RULES}  # the venue's own numbers
    for info in CONTROLS.values():
        assert info.watches
        assert info.effect


def test_working_orders_beyond_a_limit_warn():
    big = order("1", unit=Exposure(delta=9.5))
    resting = state(working=WorkingOrders((WorkingOrder(intent=big, remaining=big.quantity),)))
    decision = check_state(resting, settings())
    assert decision.allowed
    assert [b.measure for b in decision.warnings] == ["delta_working"]


def test_limits_are_needed_for_every_exposure():
    decision = check_state(state(), settings(underlying_limits={}))
    assert _levels(decision, 4, "exposure limits") == {BLOCK}


NAN = float("nan")
INF = float("inf")


def _broken_fields():
    """Every number of the state, replaced by None, NaN and infinity, one at a time."""
    base = state()
    parts = {
        "pnl": base.pnl,
        "explain": base.explain,
        "kill_switch": base.kill_switch,
        "audit": base.audit,
    }
    for name, part in parts.items():
        for f in fields(part):
            value = getattr(part, f.name)
            if isinstance(value, bool) or value is None:
                continue
            bad = (None,) if f.name.endswith("_ns") else (NAN, INF, -INF)
            for b in bad:
                yield f"{name}.{f.name}={b}", replace(base, **{name: replace(part, **{f.name: b})})
    for name in parts:
        yield f"{name}=None", replace(base, **{name: None})
    yield "stablecoin_shares=None", replace(base, stablecoin_shares=None)
    yield "stablecoin_shares=nan", replace(base, stablecoin_shares={"USDC": NAN})
    for f in fields(venue().margin[0]):
        if f.name == "currency":
            continue
        for b in (None,) if f.name.endswith("_ns") else (NAN, INF, -INF):
            yield f"margin.{f.name}={b}", with_margin(**{f.name: b})
    for f, bads in {
        "margin": ((),),
        "clock_skew_ms": (None, NAN, INF),
        "dead_man_s": (None, NAN, INF),
        "reconciliation": (None,),
        "equity_share": (None, NAN, INF),
        "adl_rank": (None, NAN, INF),
    }.items():
        for b in bads:
            yield f"venue.{f}={b}", _venue(**{f: b})
    for f in ("greeks_ns", "surface_ns", "index_ns", "funding_cost_usd_per_day"):
        yield f"{f}=None", state(underlyings={"BTC": coin(**{f: None})})
    yield "funding=nan", state(underlyings={"BTC": coin(funding_cost_usd_per_day=NAN)})
    for f in fields(Exposure):
        for b in (NAN, INF, -INF):
            yield f"exposure.{f.name}={b}", _exposed(**{f.name: b})
            unit = Exposure(**({"delta": 0.0} | {f.name: b}))
            waiting = WorkingOrder(intent=order(unit=unit), remaining=order().quantity)
            if b != b:
                yield f"working.{f.name}={b}", state(working=WorkingOrders((waiting,)))


BROKEN = dict(_broken_fields())


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_is_missing_or_no_number_blocks_the_state(name):
    decision = check_state(BROKEN[name], settings())
    assert not decision.allowed, name
    assert all("expected" in b.message for b in decision.blocking)


def _broken_for_orders():
    for name in ("mark", "own_price", "price_per_vol_point", "depth", "ts_ns", "rules"):
        bads = (None,) if name in ("ts_ns", "rules") else (None, NAN, INF, -INF)
        for b in bads:
            yield f"{name}={b}", with_market(**{name: b}), order()
    for name in ("bid", "ask"):
        for b in (NAN, INF, -1.0, 0.0):
            yield f"{name}={b}", with_market(**{name: b}), order()
    for name in BROKEN:
        if name.startswith(
            (
                "exposure",
                "working",
                "margin",
                "greeks",
                "surface",
                "index",
                "venue.margin",
                "venue.clock",
                "venue.dead",
            )
        ):
            yield name, BROKEN[name], order()
    for b in (None, NAN, INF, 0.0, -1.0):
        yield f"index={b}", state(underlyings={"BTC": coin(index_price_usd=b)}), order()
        yield f"btc={b}", state(btc_price_usd=b), order()
    for b in (None, NAN, INF):
        yield f"cost={b}", state(), order(cost_usd=b)
    yield "margin change", state(), order(margin=None)
    for f in fields(order().margin):
        bad = "ETH" if f.name == "currency" else NAN
        yield f"margin change {f.name}", state(), order(margin=replace(order().margin, **{f.name: bad}))
    for f in fields(Exposure):
        for b in (NAN, INF):
            yield f"unit {f.name}={b}", state(), order(unit=Exposure(**({"delta": 0.0} | {f.name: b})))
    for b in ("NaN", "sNaN", "Infinity", "-Infinity", "0", "1E+30"):
        yield f"quantity {b}", state(), order(b)
        yield f"price {b}", state(), order(price=b)
    yield "price below 0", state(), order(price="-0.04")
    yield "no market", state(instruments={}), order()
    yield "no venue", state(venues={}), order()
    yield "no underlying", state(underlyings={}), order()
    yield "no exposures", state(exposures={}), order()
    yield "no rates", _venue(rates={}), order()
    yield "rate cost", state(), order(rate_cost=NAN)


ORDERS = {name: (given, intent) for name, given, intent in _broken_for_orders()}


@pytest.mark.parametrize("name", ORDERS)
def test_whatever_is_missing_or_no_number_blocks_the_order(name):
    given, intent = ORDERS[name]
    decision = check_order(intent, given, settings())
    assert not decision.allowed, name
    assert all("expected" in b.message for b in decision.blocking)


def test_nothing_left_halts_and_old_money_blocks():
    for equity in (0.0, -5.0):
        decision = check_state(with_pnl(equity_usd=equity), settings())
        assert _levels(decision, 18, "equity") == {HALT}
    assert _levels(check_state(with_pnl(ts_ns=NOW - 31 * S), settings()), 18, "pnl_age") == {BLOCK}
    assert not _levels(check_state(with_pnl(ts_ns=NOW - 30 * S), settings()), 18, "pnl_age")
    old = replace(state().explain, ts_ns=NOW - 5401 * S)
    assert _levels(check_state(state(explain=old), settings()), 17, "explain_age") == {BLOCK}
    late = state(underlyings={"BTC": coin(index_ns=NOW - 6 * S)})
    assert _levels(check_state(late, settings()), 8, "index_age") == {BLOCK}
    assert (8, "index_age") in found(check_order(order(), late, settings()))
