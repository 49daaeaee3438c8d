import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.pricing import black76_price
from ivhedge.risk import (
    MarkStatus,
    attribute_futures,
    attribute_options,
    attribute_path,
    mark_options,
)
from ivhedge.risk.attribution import TERMS

STRIKE = np.array([60_000.0, 75_000.0, 80_000.0, 85_000.0, 100_000.0])
CALL = np.array([False, False, True, True, True])
SIZE = np.array([-1.0, 2.0, -3.0, 1.5, -2.0])


def marks(forward, vol, tau, coin):
    forward = np.full(5, float(forward))
    vol = np.broadcast_to(vol, 5)
    usd = black76_price(forward, STRIKE, tau, vol, CALL)
    price = np.where(coin, usd / forward, usd)
    return mark_options(price, forward, STRIKE, tau, CALL, coin, np.full(5, np.nan))


def attribute(start, end, coin, nodes=3):
    return attribute_options(start, end, strike=STRIKE, is_call=CALL, is_coin=coin, size=SIZE, nodes=nodes)


@given(
    st.floats(60_000, 110_000),
    st.floats(60_000, 110_000),
    st.floats(0.2, 1.2),
    st.floats(0.2, 1.2),
    st.floats(0.003, 0.5),
    st.floats(0.0, 0.003),
    st.booleans(),
    st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_terms_and_residual_sum_to_the_value_change(f0, f1, v0, v1, tau0, dt, coin, nodes):
    start, end = marks(f0, v0, tau0, coin), marks(f1, v1, tau0 - dt, coin)
    result = attribute(start, end, coin, nodes)
    summed = sum(getattr(result, name) for name in TERMS)
    assert result.total == pytest.approx(SIZE * (end.price - start.price), rel=1e-12, abs=1e-300)
    gross = sum(np.abs(getattr(result, name)) for name in TERMS)
    assert np.all(np.abs(summed - result.total) <= 1e-12 * (gross + 1e-300))


@pytest.mark.parametrize("coin", [True, False])
def test_one_node_is_far_better_than_the_start_and_more_converge(coin):
    start, end = marks(80_000, 0.5, 10 / 365, coin), marks(83_000, 0.55, 9.75 / 365, coin)
    residuals = [np.abs(attribute(start, end, coin, nodes).residual).sum() for nodes in (0, 1, 3, 6)]
    gross = sum(np.abs(getattr(attribute(start, end, coin), n)).sum() for n in TERMS)
    assert residuals[0] > 10 * residuals[1] > 0
    assert residuals[2] < 1e-3 * gross
    assert residuals[3] < 1e-6 * gross


@pytest.mark.parametrize("coin", [True, False])
def test_a_small_step_reproduces_the_classical_terms(coin):
    start, end = marks(80_000, 0.5, 30 / 365, coin), marks(80_080, 0.501, 30 / 365 - 1 / 8760, coin)
    classical, exact = attribute(start, end, coin, 0), attribute(start, end, coin, 3)
    for name in ("delta", "theta", "vega"):
        assert getattr(exact, name) == pytest.approx(getattr(classical, name), rel=1e-12)
    for name in ("gamma", "vanna", "volga"):
        assert getattr(exact, name) == pytest.approx(
            getattr(classical, name), rel=0.05, abs=1e-4 * np.abs(exact.gamma).max()
        )


def test_pure_moves_land_in_their_own_terms():
    base = marks(80_000, 0.5, 0.1, True)
    time = attribute(base, marks(80_000, 0.5, 0.09, True), True)
    assert time.theta == pytest.approx(time.total, rel=1e-8)
    spot = attribute(base, marks(81_000, 0.5, 0.1, True), True)
    assert spot.delta + spot.gamma == pytest.approx(spot.total, rel=1e-6)
    vol = attribute(base, marks(80_000, 0.52, 0.1, True), True)
    assert vol.vega + vol.volga == pytest.approx(vol.total, rel=1e-6)
    assert np.allclose(vol.delta, 0.0)


def test_expiry_step_has_no_vol_move_and_its_convexity_is_gamma():
    start = marks(80_000, 0.5, 0.002, True)
    forward = 84_000.0
    payoff = np.where(CALL, np.maximum(forward - STRIKE, 0), np.maximum(STRIKE - forward, 0)) / forward
    end = mark_options(payoff, np.full(5, forward), STRIKE, 0.0, CALL, True, np.nan)
    assert (end.status == MarkStatus.EXPIRED).all()
    result = attribute(start, end, True)
    assert np.abs(result.residual).max() < 1e-12
    assert result.vega.tolist() == [0.0] * 5
    # Only the 80,000 call (at the money) and none of the others crosses its strike.
    assert np.abs(result.gamma[[0, 1, 4]]).max() < 1e-12


def test_a_mark_without_implied_vol_takes_the_surface_vol_and_says_so():
    start = marks(80_000, 0.5, 0.1, False)
    below = start.price.copy()
    below[2] = -1.0  # below intrinsic
    end = mark_options(below, np.full(5, 80_000.0), STRIKE, 0.09, CALL, False, np.full(5, 0.5))
    assert end.status.tolist() == [0, 0, MarkStatus.SURFACE_VOL, 0, 0]
    result = attribute(start, end, False)
    assert result.status[2] == MarkStatus.SURFACE_VOL
    assert abs(result.residual[2]) > 1.0
    blind = mark_options(below, np.full(5, 80_000.0), STRIKE, 0.09, CALL, False, np.nan)
    assert blind.status[2] == MarkStatus.NO_VOL
    lost = attribute(start, blind, False)
    assert lost.residual[2] == lost.total[2]
    assert len({MarkStatus(s).describe() for s in range(4)}) == 4


def test_mixed_settlement_equals_each_alone():
    coin = np.array([True, False, True, False, True])
    start, end = marks(80_000, 0.5, 0.1, coin), marks(82_000, 0.52, 0.099, coin)
    mixed = attribute(start, end, coin)
    for flag in (True, False):
        alone = attribute(marks(80_000, 0.5, 0.1, flag), marks(82_000, 0.52, 0.099, flag), flag)
        rows = coin == flag
        assert mixed.gamma[rows] == pytest.approx(alone.gamma[rows], rel=1e-12)


def test_path_sums_its_steps_and_needs_two_states():
    states = [
        marks(f, v, t, True) for f, v, t in ((80_000, 0.5, 0.1), (81_500, 0.49, 0.099), (79_000, 0.53, 0.098))
    ]
    path = attribute_path(states, strike=STRIKE, is_call=CALL, is_coin=True, size=SIZE)
    assert path.total == pytest.approx(SIZE * (states[-1].price - states[0].price), rel=1e-9)
    first, second = attribute(states[0], states[1], True), attribute(states[1], states[2], True)
    assert path.gamma == pytest.approx(first.gamma + second.gamma, rel=1e-12)
    assert path.sums()["theta"] == pytest.approx(path.theta.sum())
    assert path.table().height == 5
    with pytest.raises(ConfigError, match="two states"):
        attribute_path(states[:1], strike=STRIKE, is_call=CALL, is_coin=True, size=SIZE)


@given(st.floats(1e3, 2e5), st.floats(1e3, 2e5), st.floats(-1e6, 1e6))
@settings(max_examples=60, deadline=None)
def test_inverse_future_profit_is_exact(p0, p1, size):
    result = attribute_futures([p0, p0], [p1, p1], size=[size, size], is_inverse=[True, False])
    assert result.total[0] == pytest.approx(size * (1 / p0 - 1 / p1), rel=1e-9, abs=1e-9)
    assert result.total[1] == size * (p1 - p0)
    assert result.residual[1] == 0.0
    summed = result.delta + result.gamma + result.residual
    gross = np.abs(result.delta) + np.abs(result.gamma) + np.abs(result.residual)
    assert np.all(np.abs(summed - result.total) <= 1e-12 * gross)


def test_inverse_future_terms():
    result = attribute_futures(80_000.0, 80_800.0, size=8_000.0, is_inverse=True)
    assert result.delta == pytest.approx(0.001)
    assert result.gamma == pytest.approx(-0.00001)
    assert abs(float(result.residual)) < 1.1e-7


def test_bad_input():
    with pytest.raises(DataError, match="marks of futures"):
        attribute_futures(80_000.0, np.nan, size=1.0, is_inverse=True)
    with pytest.raises(DataError, match="mark every leg"):
        mark_options(np.nan, 80_000.0, 80_000.0, 0.1, True, True, 0.5)
    start = marks(80_000, 0.5, 0.1, True)
    with pytest.raises(ConfigError, match="nodes"):
        attribute(start, start, True, -1)
