"""The adaptive ratio: finds what is there, abstains from what is not, and never looks ahead."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY
from ivhedge.hedge.ratios import (
    RecalibrationReason,
    RecalibrationSettings,
    new_state,
    recalibrate,
    records_frame,
    records_json,
)

from ._paths import SIX_HOURS, START, simulate, some_legs, step_of

FLAT = RecalibrationSettings(delta_tilt=0.0)


def run(steps, chosen=FLAT):
    states = [new_state(chosen)]
    for i, step in enumerate(steps):
        states.append(recalibrate(states[-1], START + (i + 1) * SIX_HOURS, [step]))
    return states


def test_a_known_beta_is_recovered_and_shrunk_towards_black_scholes():
    legs, steps = simulate(np.random.default_rng(7), -0.8, 80)
    state = run(steps)[-1]
    found = state.ratio(int(state.times[-1])).vol_beta(legs)
    truth = -0.8 * np.sqrt(30.0 / legs.days)
    assert abs(state.level + 0.8) < 4.0 * state.standard_error
    assert np.median(found / truth) == pytest.approx(1.0, abs=0.15)
    assert (np.abs(found) <= np.abs(state.level) * np.sqrt(30.0 / legs.days) * (1 + 1e-9)).all()


def test_it_follows_a_change_of_sign_and_says_why():
    rng = np.random.default_rng(11)
    _legs, first = simulate(rng, -0.8, 50)
    _, second = simulate(rng, 0.8, 50)
    states = run(first + second)
    assert (states[50].factors <= 0.0).all()
    assert states[50].factors.any()
    assert (states[100].factors >= 0.0).all()
    assert states[100].factors.any()
    reasons = [record.reason for record in states[100].records]
    assert reasons[0] is RecalibrationReason.OPENED
    assert RecalibrationReason.CLOSED in reasons
    times = [record.ts_ns for record in states[100].records]
    assert times == sorted(set(times))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_it_mostly_abstains_on_noise_and_loses_little(seed):
    legs, steps = simulate(np.random.default_rng(seed), 0.0, 60, noise=0.003)
    states = run(steps)
    base = left = 0.0
    for state, step in zip(states[:-1], steps, strict=True):
        beta = state.ratio(int(state.times[-1]) if state.times.size else START).vol_beta(legs)
        base += float((step.residual**2).sum())
        left += float(((step.residual - beta * step.exposure) ** 2).sum())
    kept = [state.shrinkage for state in states[10:]]
    assert np.mean(np.array(kept) > 0.0) < 0.8
    assert np.mean(kept) < 0.45
    assert left < 1.15 * base


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 39), st.integers(0, 1000))
def test_the_future_does_not_touch_the_past(cut, seed):
    _, steps = simulate(np.random.default_rng(seed), -0.5, 40)
    _, other = simulate(np.random.default_rng(seed + 1), 2.0, 40)
    here, there = run(steps), run(steps[:cut] + other[cut:])
    for a, b in zip(here[: cut + 1], there[: cut + 1], strict=True):
        np.testing.assert_array_equal(a.factors, b.factors)
        assert a.records == b.records
    np.testing.assert_array_equal(here[cut].factors, run(steps[:cut])[-1].factors)


def test_a_state_is_left_as_it_was():
    _, steps = simulate(np.random.default_rng(4), -0.8, 30)
    state = run(steps)[-1]
    before = state.factors.copy(), state.times.copy(), state.records
    recalibrate(state, int(state.times[-1]) + SIX_HOURS, [steps[0]])
    np.testing.assert_array_equal(state.factors, before[0])
    np.testing.assert_array_equal(state.times, before[1])
    assert state.records is before[2]


def test_scale_of_prices_and_number_of_like_underlyings_do_not_matter():
    _, steps = simulate(np.random.default_rng(9), -0.8, 40)
    one, two = new_state(FLAT), new_state(FLAT)
    for i, step in enumerate(steps):
        one = recalibrate(one, START + i * SIX_HOURS, [step])
        two = recalibrate(two, START + i * SIX_HOURS, [step, step])
    np.testing.assert_allclose(one.factors, two.factors, rtol=1e-9)


def test_a_bucket_against_the_pool_stays_with_black_scholes():
    rng = np.random.default_rng(21)
    states = [new_state(FLAT)]
    for i in range(60):
        legs = some_legs()
        move = 0.004 * rng.standard_normal()
        odd = legs.days == 5.0
        beta = np.where(odd, 0.8, -0.8) * np.sqrt(30.0 / legs.days)
        noise = 5e-4 * rng.standard_normal()
        states.append(
            recalibrate(states[-1], START + (i + 1) * SIX_HOURS, [step_of(legs, move, beta * move + noise)])
        )
    factors = states[-1].factors.reshape(FLAT.buckets.shape)
    assert states[-1].level < 0.0
    assert not factors[0].any()
    assert (factors[2:] <= 0.0).all()
    assert factors[2:].any()


def test_silence_means_black_scholes_and_looking_back_is_refused():
    _legs, steps = simulate(np.random.default_rng(7), -0.8, 40)
    state = run(steps)[-1]
    last = int(state.times[-1])
    assert not state.ratio(last).abstains
    assert state.ratio(last + 3 * NS_PER_DAY).abstains
    with pytest.raises(DataError, match="use the state of that time"):
        state.ratio(last - 1)
    with pytest.raises(DataError, match="sort them"):
        recalibrate(state, last, steps[:1])
    with pytest.raises(ConfigError, match="at least one"):
        recalibrate(state, last + 1, [])


def test_short_or_still_histories_stay_with_black_scholes():
    legs, steps = simulate(np.random.default_rng(7), -0.8, 7)
    assert run(steps)[-1].ratio(START + 7 * SIX_HOURS).abstains
    still = [step_of(legs, 0.0, 0.001 * np.ones(len(legs))) for _ in range(20)]
    state = run(still)[-1]
    assert state.ratio(int(state.times[-1])).abstains
    assert state.records == ()
    assert np.isinf(state.standard_error)


def test_history_as_a_table_and_as_json():
    _, steps = simulate(np.random.default_rng(7), -0.8, 40)
    records = run(steps)[-1].records
    frame = records_frame(records)
    assert frame.height == len(records) > 0
    assert frame["ts"].dt.timestamp("ns").to_list() == [record.ts_ns for record in records]
    rows = json.loads(records_json(records))
    assert rows[0]["reason"] == records[0].reason.value
    assert rows[0]["time"].startswith("2026-01-")
    assert rows[-1]["factors"] == list(records[-1].factors)
    assert records_frame(()).columns == frame.columns


@pytest.mark.parametrize(
    "wrong",
    [{"half_life_days": 0.0}, {"pooled_t": np.nan}, {"least_effective_steps": 1.0}, {"delta_tilt": 2.0}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RecalibrationSettings(**wrong)
