import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, StaleQuote, UnknownInstrument
from ivhedge.hedge import Band, HedgeLimits, HedgeState, plan_hedge
from ivhedge.hedge.adjustment import (
    AdjustmentSettings,
    AdjustmentState,
    AdjustmentStatus,
    GaugeKind,
    LastAction,
)
from ivhedge.risk.controls import ControlSettings, ExposureLimits, Mode

from .._stub import COSTS, NOW, book_of, market_of, option, perpetual, universe
from ._case import (
    CALL,
    HEDGED,
    LIMITS,
    MARKET,
    PUT,
    SURFACE,
    WIDE,
    adjust,
    filled,
    later,
    without_depth,
    without_quotes,
)

LONG_PERP = book_of((CALL, "-2"), (perpetual(), "6400"))


def change(answer, name):
    return next(c for c in answer.changes if c.gauge.name == name)


def test_a_book_inside_is_left_alone():
    answer = adjust(HEDGED, WIDE)
    assert (answer.status, answer.legs, answer.causes) == (AdjustmentStatus.NOTHING, (), ())
    assert answer.state == AdjustmentState()


def test_between_the_inner_and_the_outer_edge_nothing_is_done():
    book = book_of((perpetual(), "2200"))
    answer = adjust(book)
    assert change(answer, "delta").gauge.inner_upper < change(answer, "delta").before < 0.3
    assert answer.status is AdjustmentStatus.NOTHING


def test_a_drift_returns_to_the_inner_edge_with_one_future():
    answer = adjust(LONG_PERP)
    delta = change(answer, "delta")
    assert answer.status is AdjustmentStatus.ADJUSTED
    assert len(answer.legs) == 1
    assert not answer.legs[0].instrument.is_option
    assert delta.after == pytest.approx(0.75 * 0.3, abs=3e-4)
    assert answer.is_inside
    assert answer.full_cost_usd is not None
    assert answer.cost_usd < answer.full_cost_usd
    assert answer.causes[0].gauge.name == "delta"
    assert "returns delta" in answer.steps[0].reason


def test_gauges_agree_with_the_plan():
    answer = adjust(HEDGED)
    plan = plan_hedge(HEDGED, SURFACE, MARKET, LIMITS, HedgeState(), costs=COSTS)
    for name in ("delta", "gamma_1pct", "vega_0_1000d"):
        assert change(answer, name).before == pytest.approx(plan.exposures_before[name], rel=1e-9)


def test_several_bands_come_back_without_overshoot():
    answer = adjust(book_of((CALL, "-20"), (PUT, "-20")))
    assert answer.status is AdjustmentStatus.ADJUSTED
    assert answer.is_inside
    for one in answer.changes:
        if one.severity_before > 0.0:
            assert one.before * one.after >= 0.0 or abs(one.after) < 0.01 * one.gauge.scale


def test_few_legs_are_preferred_where_cost_is_near():
    book = book_of((CALL, "-20"), (PUT, "-20"))
    few = adjust(book, settings=AdjustmentSettings(leg_worth=0.5))
    many = adjust(book, settings=AdjustmentSettings(leg_worth=0.0, leg_worth_usd=0.0))
    assert len(few.legs) <= len(many.legs)
    assert many.cost_usd <= few.cost_usd + 1e-6
    assert few.cost_usd <= 1.5 * many.cost_usd


def test_a_second_decision_does_nothing_with_or_without_memory():
    for book in (LONG_PERP, book_of((CALL, "-20"), (PUT, "-20"))):
        first = adjust(book)
        for state in (first.state, AdjustmentState()):
            second = adjust(filled(book, first), state=state)
            assert (second.status, second.legs) == (AdjustmentStatus.NOTHING, ())


def test_a_cause_waits_for_its_time_unless_it_gets_worse():
    first = adjust(LONG_PERP)
    soon = adjust(LONG_PERP, state=first.state, **later(60))
    assert soon.status is AdjustmentStatus.NOTHING
    assert "waits" in soon.reason
    assert not soon.causes[0].acts
    assert soon.state == first.state
    due = adjust(LONG_PERP, state=first.state, **later(300))
    assert due.status is AdjustmentStatus.ADJUSTED
    worse = adjust(book_of((CALL, "-2"), (perpetual(), "9000")), state=first.state, **later(60))
    assert worse.status is AdjustmentStatus.ADJUSTED
    assert "worse" in worse.reason


def test_other_causes_do_not_wait():
    state = AdjustmentState(last={"vega_0_1000d": LastAction(ts_ns=NOW, severity=9.0)})
    assert adjust(LONG_PERP, state=state).status is AdjustmentStatus.ADJUSTED


def test_a_state_from_the_future_is_refused():
    state = AdjustmentState(last={"delta": LastAction(ts_ns=NOW + 1, severity=0.1)})
    with pytest.raises(DataError, match="pass times in order"):
        adjust(LONG_PERP, state=state)


@pytest.mark.parametrize("market", [without_quotes(), without_depth(), market_of(SURFACE, [])])
def test_nothing_to_trade_is_said(market):
    options = replace(LIMITS, allowed_kinds=frozenset({CALL.kind}))
    answer = adjust(LONG_PERP, options, market=market)
    assert (answer.status, answer.legs) == (AdjustmentStatus.CANNOT, ())
    assert "limit delta" in answer.binding
    assert any("no tradable" in name or "no depth" in name for name in answer.binding)
    assert any(text.startswith("delta:") for text in answer.human)


def test_thin_depth_goes_as_far_as_it_can_and_says_so():
    market = market_of(SURFACE, [perpetual()], size=1000.0)
    answer = adjust(LONG_PERP, market=market)
    assert answer.status is AdjustmentStatus.CANNOT
    assert [leg.quantity for leg in answer.legs] == [Decimal(-1000)]
    assert change(answer, "delta").severity_after < change(answer, "delta").severity_before
    assert any("displayed size" in name for name in answer.binding)


def test_controls_tighten_the_bands_and_their_limits_are_watched():
    free = ExposureLimits(delta=1.0, gamma_1pct=9, vega_usd_per_vol_point=1e9, theta_usd_per_day=1e9)
    controls = ControlSettings(underlying_limits={"BTC": replace(free, delta=0.2)})
    book = book_of((perpetual(), "2200"))
    answer = adjust(book, controls=controls)
    assert [c.gauge.name for c in answer.causes] == ["control delta BTC"]
    assert answer.status is AdjustmentStatus.ADJUSTED
    assert change(answer, "delta").after == pytest.approx(0.18, abs=3e-4)
    with pytest.raises(ConfigError, match="underlying_limits of BTC"):
        adjust(book, controls=ControlSettings())


def test_control_vega_without_bands_is_brought_back():
    controls = ControlSettings(
        underlying_limits={
            "*": ExposureLimits(
                delta=9, gamma_1pct=9, vega_usd_per_vol_point=2000.0, theta_usd_per_day=np.inf
            )
        },
        max_plan_cost_usd=1e6,
    )
    answer = adjust(book_of((CALL, "-60"), (perpetual(), "120000")), HedgeLimits(), controls=controls)
    vega = change(answer, "control vega BTC")
    assert vega.before < -2000.0
    assert answer.status is AdjustmentStatus.ADJUSTED
    assert -2000.0 <= vega.after <= 0.0


def test_the_cost_limit_of_the_controls_holds():
    free = ExposureLimits(delta=1e3, gamma_1pct=1e3, vega_usd_per_vol_point=1e9, theta_usd_per_day=1e9)
    controls = ControlSettings(underlying_limits={"*": free}, max_plan_cost_usd=5.0)
    answer = adjust(LONG_PERP, controls=controls)
    assert answer.cost_usd <= 5.0
    assert answer.status is AdjustmentStatus.CANNOT
    assert "max_cost_usd" in answer.binding


def test_restricted_names_and_late_expiries_are_left_out():
    free = ExposureLimits(delta=1e3, gamma_1pct=1e3, vega_usd_per_vol_point=1e9, theta_usd_per_day=1e9)
    key = perpetual().key
    controls = ControlSettings(underlying_limits={"*": free}, restricted=frozenset({key}))
    answer = adjust(LONG_PERP, controls=controls)
    assert answer.status is AdjustmentStatus.ADJUSTED
    assert all(leg.instrument.key != key for leg in answer.legs)


def test_halted_trades_nothing_and_reducing_only_lowers():
    halted = adjust(LONG_PERP, mode=Mode.HALTED)
    assert (halted.status, halted.legs) == (AdjustmentStatus.CANNOT, ())
    assert "trading state halted" in halted.binding
    assert any("acknowledge" in text for text in halted.human)
    reducing = adjust(LONG_PERP, mode=Mode.REDUCING)
    assert reducing.status is AdjustmentStatus.ADJUSTED
    assert [leg.quantity < 0 for leg in reducing.legs] == [True]
    opened = adjust(book_of((CALL, "-20"), (PUT, "-20")), mode=Mode.REDUCING)
    held = {CALL.key, PUT.key}
    assert all(leg.instrument.key in held or not leg.instrument.is_option for leg in opened.legs)


def test_expired_legs_wait_and_what_they_hedged_is_adjusted():
    book = book_of((option(-1, "70000"), "-6"), (perpetual(), "6000"))
    answer = adjust(book)
    assert answer.status is AdjustmentStatus.ADJUSTED
    assert "waits for its settlement" in answer.notes[0]


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="room on both sides"):
        adjust(LONG_PERP, HedgeLimits(delta=Band.around(0.0)))
    with pytest.raises(DataError, match="vol"):
        adjust(LONG_PERP, surface=replace(SURFACE, level=float("nan")))
    with pytest.raises(UnknownInstrument, match="surface of BTC"):
        adjust(LONG_PERP, surface={"ETH": SURFACE})
    with pytest.raises(StaleQuote, match="fresh"):
        adjust(LONG_PERP, surface=replace(SURFACE, ts_ns=NOW - 10**13))
    for wrong in ({"return_share": 1.0}, {"min_gap_s": float("nan")}, {"max_steps": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            AdjustmentSettings(**wrong)


def test_the_empty_book_needs_nothing():
    assert adjust(book_of()).status is AdjustmentStatus.NOTHING


def test_everything_goes_into_json():
    for answer in (adjust(LONG_PERP), adjust(LONG_PERP, market=without_quotes()), adjust(book_of())):
        said = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
        assert said["status"] == answer.status.value
        assert len(said["gauges"]) == len(answer.changes)


OPTIONS = [item for item in universe() if item.is_option]
books = st.lists(
    st.tuples(st.integers(0, len(OPTIONS) - 1), st.integers(-200, 200).filter(bool)),
    min_size=1,
    max_size=4,
    unique_by=lambda leg: leg[0],
)


@settings(max_examples=12, deadline=None)
@given(books, st.integers(-9000, 9000), st.sampled_from([LIMITS, replace(LIMITS, gamma_1pct=None)]))
def test_no_gauge_ends_further_out_and_the_second_decision_is_quiet(legs, perps, limits):
    rows = [(OPTIONS[i], str(Decimal(q) / 10)) for i, q in legs]
    book = book_of(*rows, *([(perpetual(), str(perps))] if perps else []))
    answer = adjust(book, limits, compare=False)
    for one in answer.changes:
        assert one.severity_after <= one.severity_before + 1e-9
        if one.severity_before > 0.0 and answer.status is AdjustmentStatus.ADJUSTED:
            assert one.severity_after == 0.0
        if one.severity_before == 0.0 and one.gauge.kind is GaugeKind.BAND:
            assert one.severity_after == 0.0
    if answer.status in (AdjustmentStatus.ADJUSTED, AdjustmentStatus.DELEVERAGED):
        again = adjust(filled(book, answer), limits, compare=False)
        assert (again.status, again.legs) == (AdjustmentStatus.NOTHING, ())
    if answer.status is AdjustmentStatus.CANNOT:
        assert answer.binding
        assert answer.human
