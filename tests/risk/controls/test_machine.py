"""ACTIVE, REDUCING, HALTED: entered at once, left late, never fluttering."""

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.risk.controls import (
    Breach,
    Control,
    Exposure,
    Level,
    Mode,
    Scope,
    Stage,
    TradingState,
    acknowledge,
    check_state,
    next_state,
)
from tests.risk.controls._case import NOW, UNDERLYING, S, active, in_mode, settings, state, with_pnl

RULES = settings(min_dwell_s=60.0, max_check_gap_s=5.0)


def breach(level, value=1.1, measure="delta", stage=Stage.AT, scope=UNDERLYING):
    return Breach(
        control=Control.EXPOSURE,
        stage=stage,
        level=level,
        measure=measure,
        value=value,
        limit=1.0,
        unit="coin",
        scope=scope,
        message="expected less",
    )


def at(use):
    """Breaches of a delta at `use` of its limit."""
    return check_state(state(exposures={UNDERLYING: Exposure(delta=10.0 * use)}), RULES).breaches


def run(trading, uses, start=1, step=1):
    """States over checks `step` seconds apart."""
    states = []
    for i, use in enumerate(uses):
        trading = next_state(trading, at(use), NOW + (start + i * step) * S, RULES)
        states.append(trading)
    return states


def test_active_stays_active_below_its_limits():
    assert {s.mode for s in run(active(), [0.5, 0.85, 0.95, 1.0])} == {Mode.ACTIVE}


def test_a_blocking_breach_reduces_at_once_and_names_its_cause():
    (reduced,) = run(active(), [1.01])
    assert reduced.mode is Mode.REDUCING
    assert reduced.causes == {(4, "delta", UNDERLYING)}
    assert reduced.since_ns == NOW + S


def test_reducing_is_left_below_the_leaving_share_after_the_dwell():
    states = run(active(), [1.01] + [0.89] * 61)
    assert [s.mode for s in states[:61]] == [Mode.REDUCING] * 61
    assert states[61].mode is Mode.ACTIVE
    assert states[61].causes == frozenset()


def test_between_the_leaving_share_and_the_limit_it_is_kept():
    assert run(active(), [1.01] + [0.95] * 200)[-1].mode is Mode.REDUCING


def test_a_value_back_above_the_leaving_share_starts_the_dwell_again():
    states = run(active(), [1.01] + [0.85] * 50 + [0.93] + [0.85] * 61)
    assert [s.mode for s in states[:112]] == [Mode.REDUCING] * 112
    assert states[112].mode is Mode.ACTIVE


def test_a_value_that_jitters_around_its_limit_changes_the_mode_once():
    modes = [s.mode for s in run(active(), [0.99, 1.01] * 300)]
    assert modes[0] is Mode.ACTIVE
    assert set(modes[1:]) == {Mode.REDUCING}


def test_another_exposure_close_to_its_limit_does_not_hold_the_mode():
    other = breach(Level.WARN, 0.95, measure="gamma_1pct")
    trading = next_state(active(), [breach(Level.BLOCK)], NOW, RULES)
    for i in range(62):
        trading = next_state(trading, [other], NOW + (1 + i) * S, RULES)
    assert trading.mode is Mode.ACTIVE


def test_a_new_cause_while_reducing_is_kept():
    trading = next_state(active(), [breach(Level.BLOCK)], NOW, RULES)
    trading = next_state(trading, [breach(Level.BLOCK, measure="gamma_1pct")], NOW + S, RULES)
    held = breach(Level.WARN, 0.95, measure="gamma_1pct")
    for i in range(100):
        trading = next_state(trading, [held], NOW + (2 + i) * S, RULES)
    assert trading.mode is Mode.REDUCING


def test_checks_too_far_apart_do_not_count_as_calm():
    assert run(active(), [1.01] + [0.5] * 30, step=6)[-1].mode is Mode.REDUCING
    assert run(active(), [1.01] + [0.5] * 30, step=5)[-1].mode is Mode.ACTIVE


def test_time_that_runs_back_does_not_count_as_calm():
    trading = run(active(), [1.01] + [0.5] * 59)[-1]
    back = next_state(trading, (), trading.updated_ns - S, RULES)
    assert back.calm_since_ns is None
    assert back.updated_ns == trading.updated_ns
    again = next_state(back, (), trading.updated_ns + 2 * S, RULES)
    assert again.mode is Mode.REDUCING


def test_orders_that_were_refused_do_not_move_the_state():
    refused = [breach(Level.BLOCK, stage=Stage.PRE), breach(Level.HALT, stage=Stage.PRE)]
    assert next_state(active(), refused, NOW, RULES).mode is Mode.ACTIVE


@pytest.mark.parametrize("mode", list(Mode))
def test_a_halting_breach_halts_from_everywhere(mode):
    halted = next_state(in_mode(mode), [breach(Level.HALT), breach(Level.BLOCK)], NOW, RULES)
    assert halted.mode is Mode.HALTED


def test_halted_is_left_only_by_an_acknowledgement_and_then_to_reducing():
    halted = next_state(active(), [breach(Level.HALT)], NOW, RULES)
    for i in range(500):
        halted = next_state(halted, (), NOW + i * S, RULES)
    assert halted.mode is Mode.HALTED
    assert halted.causes == {(4, "delta", UNDERLYING)}
    then = next_state(acknowledge(halted, "ann"), (), NOW + 501 * S, RULES)
    assert then.mode is Mode.REDUCING
    assert then.acknowledged_by is None
    for i in range(62):
        then = next_state(then, (), NOW + (502 + i) * S, RULES)
    assert then.mode is Mode.ACTIVE


def test_an_acknowledgement_does_not_outlive_a_breach_that_still_halts():
    halted = next_state(active(), [breach(Level.HALT)], NOW, RULES)
    still = next_state(acknowledge(halted, "ann"), [breach(Level.HALT)], NOW + S, RULES)
    assert still.mode is Mode.HALTED
    assert next_state(still, (), NOW + 2 * S, RULES).mode is Mode.HALTED


def test_an_acknowledgement_needs_a_halt_and_a_name():
    with pytest.raises(ConfigError, match="nothing to do"):
        acknowledge(active(), "ann")
    with pytest.raises(ConfigError, match="who acknowledges"):
        acknowledge(in_mode(Mode.HALTED), " ")


def test_the_start_is_reducing_until_calm():
    trading = TradingState.start(NOW)
    assert trading.mode is Mode.REDUCING
    assert run(trading, [0.1] * 60)[-1].mode is Mode.REDUCING
    assert run(trading, [0.1] * 61)[-1].mode is Mode.ACTIVE


def test_losses_reduce_and_then_halt():
    def after(loss):
        return next_state(active(), check_state(with_pnl(day_loss_usd=loss), RULES).breaches, NOW, RULES)

    assert after(20_000.0).mode is Mode.ACTIVE
    assert after(20_001.0).mode is Mode.REDUCING
    assert after(50_001.0).mode is Mode.HALTED


_STEP = st.tuples(
    st.integers(-2, 20),
    st.lists(
        st.tuples(
            st.sampled_from(list(Level)),
            st.floats(0.8, 1.2),
            st.sampled_from(["delta", "gamma_1pct"]),
            st.sampled_from([Scope("BTC"), Scope("ETH")]),
        ),
        max_size=3,
    ),
    st.sampled_from([False, False, False, True]),
)


@examples(deadline=None)
@given(steps=st.lists(_STEP, min_size=1, max_size=80), mode=st.sampled_from(list(Mode)))
def test_modes_never_change_faster_than_the_dwell(steps, mode):
    rules = settings(min_dwell_s=10.0, max_check_gap_s=15.0)
    trading, ts_ns, entered, acknowledged = in_mode(mode), NOW, None, False
    for seconds, found, acks in steps:
        ts_ns += seconds * S
        if acks and trading.mode is Mode.HALTED:
            trading, acknowledged = acknowledge(trading, "ann"), True
        breaches = [breach(level, use, measure, scope=scope) for level, use, measure, scope in found]
        then = next_state(trading, breaches, ts_ns, rules)
        worst = max((b.level for b in breaches), default=None)
        if trading.mode is Mode.HALTED and then.mode is not Mode.HALTED:
            assert acknowledged
            assert then.mode is Mode.REDUCING
            assert worst is not Level.HALT
        if then.mode is Mode.ACTIVE:
            assert worst in (None, Level.WARN)
            if trading.mode is not Mode.ACTIVE:
                assert trading.mode is Mode.REDUCING
                assert entered is None or then.since_ns - entered >= 10 * S
        elif then.mode is Mode.REDUCING and trading.mode is not Mode.REDUCING:
            entered = then.since_ns
        if worst is Level.HALT:
            assert then.mode is Mode.HALTED
        if worst is Level.BLOCK:
            assert then.mode is not Mode.ACTIVE
        assert then.updated_ns >= trading.updated_ns
        acknowledged = acknowledged and then.mode is Mode.HALTED and then.acknowledged_by is not None
        trading = then
