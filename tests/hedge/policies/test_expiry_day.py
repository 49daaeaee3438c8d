"""Advice for the last days of an expiry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.hedge.policies import ExpiryLegs, ExpiryRules, advise_expiry
from ivhedge.surface.clock import VarianceClock

EXPIRY = 1_770_000_000_000_000_000
MINUTE = NS_PER_HOUR // 60
ONE_CALL = ExpiryLegs(strike=[80_000.0], quantity=[-1.0], is_call=[True], vol=[0.5])


def advice(legs=ONE_CALL, *, left_ns=6 * NS_PER_HOUR, index=80_000.0, rules=None, **kwargs):
    return advise_expiry(
        legs,
        ts_ns=EXPIRY - int(left_ns),
        expiry_ns=EXPIRY,
        index=index,
        rules=ExpiryRules() if rules is None else rules,
        **kwargs,
    )


def test_hedge_before_the_window_is_the_delta():
    # At the strike of a short call: N(s/2), a little above one half.
    found = advice()
    assert found.hedge == pytest.approx(0.5, abs=0.01)
    assert found.gamma_1pct < 0.0
    assert not found.averaging


def test_gamma_by_hand_far_from_the_window():
    found = advice(left_ns=10 * NS_PER_DAY)
    tau = (10.0 - 2.0 / 3.0 / 48.0) / 365.0  # the average takes two thirds of half an hour off
    s = 0.5 * np.sqrt(tau)
    density = np.exp(-0.125 * s * s) / np.sqrt(2.0 * np.pi)
    assert found.gamma_1pct == pytest.approx(-0.01 * density / s, rel=1e-4)
    expected = (1.5 * 0.0005 * (100.0 * found.gamma_1pct) ** 2 / 100.0) ** (1.0 / 3.0)
    assert found.half_width == pytest.approx(expected, rel=1e-12)


def test_delta_fades_linearly_inside_the_window():
    deep = ExpiryLegs(strike=[70_000.0], quantity=[-2.0], is_call=[True], vol=[0.5])
    at = [advice(deep, left_ns=m * MINUTE, known_average=80_000.0) for m in (24, 12, 3)]
    np.testing.assert_allclose([a.hedge for a in at], [1.6, 0.8, 0.2], rtol=1e-9)
    assert all(a.averaging for a in at)
    np.testing.assert_allclose([a.unwind_per_minute for a in at], -2.0 / 30.0, rtol=1e-9)


@pytest.mark.parametrize("minutes", [600, 20])
def test_gamma_is_the_change_of_the_hedge(minutes):
    kwargs = {"left_ns": minutes * MINUTE, "known_average": 80_000.0}
    up, down = (advice(index=80_000.0 * (1.0 + move), **kwargs).hedge for move in (1e-5, -1e-5))
    assert advice(**kwargs).gamma_1pct == pytest.approx(-(up - down) / 2e-5 * 0.01, rel=1e-4)


def test_looks_come_often_enough_inside_the_window():
    deep = ExpiryLegs(strike=[70_000.0], quantity=[-2.0], is_call=[True], vol=[0.5])
    assert advice(deep, left_ns=4 * MINUTE, known_average=80_000.0).interval_seconds <= 30.0


def test_a_known_average_decides_the_option():
    # 29 of 30 minutes 10 % above the strike: no index of the last minute brings it back.
    found = advice(left_ns=MINUTE, index=80_000.0, known_average=88_000.0)
    assert found.hedge == pytest.approx(1.0 / 30.0)
    assert found.gamma_1pct == 0.0
    assert found.pinned == 0.0


def test_bands_widen_and_looks_quicken_as_gamma_grows():
    hours = (40.0, 20.0, 5.0, 2.0)
    found = [advice(left_ns=h * NS_PER_HOUR) for h in hours]
    widths = [a.half_width for a in found]
    assert widths == sorted(widths)
    intervals = [a.interval_seconds for a in found]
    assert intervals == sorted(intervals, reverse=True)


def test_gap_loss_is_a_revaluation():
    found = advice(left_ns=2 * NS_PER_HOUR, rules=ExpiryRules(gap=0.05))
    # Far beyond its deviation a jump costs the intrinsic less the hedge and the premium.
    s = 0.5 * np.sqrt((2.0 - 1.0 / 3.0) / 8760.0)
    premium = 2.0 * 0.5 * s / np.sqrt(2.0 * np.pi)
    assert found.gap_loss == pytest.approx(0.05 * 0.5 - premium, abs=1e-4)


def test_a_broken_limit_sheds_just_enough():
    free = advice()
    limited = advice(rules=ExpiryRules(max_gamma_1pct=0.25 * -free.gamma_1pct, option_cost=1.0))
    assert limited.shed_gamma
    assert limited.shed_share == pytest.approx(0.75)
    assert not limited.flatten
    assert any("gamma" in reason for reason in limited.reasons)
    gap = advice(rules=ExpiryRules(max_gap_loss=0.5 * free.gap_loss, option_cost=1.0))
    assert gap.shed_share == pytest.approx(0.5)


def test_flattening_compares_costs():
    assert advice(rules=ExpiryRules(option_cost=1e-6)).flatten
    dear = advice(rules=ExpiryRules(option_cost=0.1))
    assert not dear.flatten
    assert dear.hedging_cost < dear.closing_cost
    long = ExpiryLegs(strike=[80_000.0], quantity=[1.0], is_call=[True], vol=[0.5])
    assert not advice(long, rules=ExpiryRules(option_cost=1e-6)).flatten


def test_far_from_expiry_nothing_is_flattened():
    found = advice(left_ns=5 * NS_PER_DAY, rules=ExpiryRules(option_cost=0.0))
    assert not found.flatten
    assert "ordinary policy" in found.reasons[-1]


def test_pins_are_counted_by_deviation():
    legs = ExpiryLegs(
        strike=[80_000.0, 80_300.0, 95_000.0], quantity=[-1.0, 2.0, -4.0], is_call=[True] * 3, vol=[0.5] * 3
    )
    assert advice(legs).pinned == pytest.approx(3.0)


def test_the_clock_moves_variance():
    quiet = np.full((7, 24), 0.5)
    quiet[:3] = 2.0
    clock = VarianceClock.from_weights(quiet.mean(axis=1))
    assert advice(clock=clock).half_width != pytest.approx(advice().half_width, rel=1e-3)


def test_offsetting_options_need_nothing():
    legs = ExpiryLegs(strike=[8e4, 8e4], quantity=[1.0, -1.0], is_call=[True, True], vol=[0.5, 0.5])
    found = advice(legs)
    assert found.hedge == pytest.approx(0.0, abs=1e-15)
    assert found.hedging_cost == pytest.approx(0.0, abs=1e-12)
    assert not found.shed_gamma
    none = ExpiryLegs(strike=[8e4], quantity=[0.0], is_call=[True], vol=[0.5])
    assert advice(none).reasons == ("no options are held",)


@settings(max_examples=50, deadline=None)
@given(
    left=st.floats(1.0, 3600.0 * 72),
    index=st.floats(60_000.0, 100_000.0),
    quantity=st.floats(-100.0, 100.0),
    known=st.floats(60_000.0, 100_000.0),
)
def test_advice_is_finite_and_in_range(left, index, quantity, known):
    legs = ExpiryLegs(strike=[80_000.0], quantity=[quantity], is_call=[False], vol=[0.6])
    found = advice(legs, left_ns=left * 1e9, index=index, known_average=known)
    figures = (found.hedge, found.half_width, found.interval_seconds, found.gap_loss, found.hedging_cost)
    assert np.isfinite(figures).all()
    assert 0.0 <= found.half_width <= abs(quantity) + 1e-12
    assert 0.0 <= found.shed_share <= 1.0
    assert 1.0 <= found.interval_seconds <= 3600.0
    assert found.reasons


def test_bad_inputs_are_refused():
    with pytest.raises(DataError, match="passed"):
        advice(left_ns=-1)
    with pytest.raises(DataError, match="index"):
        advice(index=np.nan)
    with pytest.raises(DataError, match="known_average"):
        advice(left_ns=MINUTE)
    with pytest.raises(DataError, match="vol"):
        ExpiryLegs(strike=[1.0], quantity=[1.0], is_call=[True], vol=[np.nan])
    with pytest.raises(DataError, match="quantities"):
        ExpiryLegs(strike=[1.0], quantity=[np.nan], is_call=[True], vol=[0.5])
    with pytest.raises(DataError, match="shape"):
        ExpiryLegs(strike=[1.0, 2.0], quantity=[1.0], is_call=[True], vol=[0.5])
    for change in ({"cost": -1.0}, {"gap": 1.0}, {"max_gamma_1pct": 0.0}, {"min_interval_seconds": 1e6}):
        with pytest.raises(ConfigError):
            ExpiryRules(**change)
