"""Formulas of the policies against numbers worked out apart from the code, and their limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.hedge.policies import (
    FixedBand,
    Gate,
    HedgeMoment,
    Leland,
    MoveTrigger,
    OptimalBand,
    Timetable,
    TunedBand,
    WhalleyWilmott,
    Zakamouline,
    moment_of_option,
    solve_region,
)

AT_THE_MONEY = {"spot": 100.0, "strike": 100.0, "tau": 0.25, "vol": 0.2}
DELTA = 0.519938805  # N(0.05)
BANDS = (
    FixedBand(half_width=0.05),
    WhalleyWilmott(cost=0.001, aversion=100.0),
    Zakamouline(cost=0.001, aversion=100.0),
    TunedBand(cost=0.001, aversion=100.0, centre=2.0, below=0.5, above=1.5, level=0.7),
    OptimalBand(region=solve_region(total_vol=0.3, n_checks=20, cost=0.001, aversion=100.0)),
)


def test_whalley_wilmott_by_hand():
    moment = moment_of_option(**AT_THE_MONEY)
    zone = WhalleyWilmott(cost=0.001, aversion=10.0).zone(moment)
    # (1.5 · 0.001 · 3.984439² / 10)^(1/3)
    assert 0.5 * (zone.upper - zone.lower) == pytest.approx(0.1335391, abs=1e-7)
    assert 0.5 * (zone.upper + zone.lower) == pytest.approx(DELTA, abs=1e-8)


def test_the_band_does_not_depend_on_the_unit_of_the_price():
    policy = WhalleyWilmott(cost=0.001, aversion=10.0)
    small = policy.zone(moment_of_option(spot=1.0, strike=1.0, tau=0.25, vol=0.2))
    large = policy.zone(moment_of_option(spot=1e5, strike=1e5, tau=0.25, vol=0.2))
    assert small.lower == pytest.approx(float(large.lower), rel=1e-12)


@pytest.mark.parametrize("side", [-1, 1])
def test_zakamouline_by_hand(side):
    moment = moment_of_option(**AT_THE_MONEY, position=side)
    zone = Zakamouline(cost=0.001, aversion=100.0).zone(moment)
    half = 0.001 + 0.0366472  # H0 = c/(a σ² τ), H1
    assert 0.5 * (zone.upper - zone.lower) == pytest.approx(half, abs=1e-7)
    modified = 0.1 * np.sqrt(1.0 - side * 0.0821194)
    assert 0.5 * (zone.upper + zone.lower) == pytest.approx(-side * ndtr(0.5 * modified), abs=1e-7)


@pytest.mark.parametrize(("side", "sign"), [(-1, 1.0), (1, -1.0)])
def test_leland_counts_the_round_trip(side, sign):
    moment = moment_of_option(**AT_THE_MONEY, position=side)
    hedge = Leland(interval=1.0 / 252.0, cost=0.001).rebalance(moment)
    number = 0.1266627  # sqrt(2/π) · 2 · 0.001 / (0.2 · sqrt(1/252))
    assert hedge == pytest.approx(-side * ndtr(0.05 * np.sqrt(1.0 + sign * number)), abs=1e-7)


def test_leland_long_option_traded_too_often_is_seen_without_vol():
    moment = moment_of_option(spot=101.0, strike=100.0, tau=0.25, vol=0.2, position=1)
    assert Leland(interval=1e-6, cost=0.01).rebalance(moment) == pytest.approx(-1.0)


def test_zakamouline_is_the_tuned_band_at_one():
    moment = moment_of_option(spot=np.linspace(80, 120, 9), strike=100.0, tau=0.1, vol=0.4)
    plain = Zakamouline(cost=0.002, aversion=50.0).zone(moment)
    tuned = TunedBand(cost=0.002, aversion=50.0).zone(moment)
    np.testing.assert_allclose(tuned.lower, plain.lower, rtol=1e-14)
    np.testing.assert_allclose(tuned.upper, plain.upper, rtol=1e-14)


@pytest.mark.parametrize(
    "policy",
    [
        WhalleyWilmott(cost=0.0, aversion=10.0),
        Zakamouline(cost=0.0, aversion=10.0),
        TunedBand(cost=0.0, aversion=10.0),
        Leland(interval=0.01, cost=0.0),
        FixedBand(half_width=0.0),
        Timetable(),
    ],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_without_cost_every_policy_is_the_black_scholes_hedge(policy, side):
    spot = np.linspace(60.0, 150.0, 10)
    moment = moment_of_option(spot=spot, strike=100.0, tau=0.2, vol=0.5, hedge=0.3, position=side)
    d1 = np.log(spot / 100.0) / (0.5 * np.sqrt(0.2)) + 0.25 * np.sqrt(0.2)
    np.testing.assert_allclose(policy.rebalance(moment), -side * ndtr(d1), atol=1e-12)


@pytest.mark.parametrize("policy", BANDS)
@pytest.mark.parametrize("tau", [0.0, 1e-12, 1e-3])
def test_no_gamma_and_no_time_leave_finite_zones(policy, tau):
    spot = np.array([1e-3, 50.0, 100.0, 200.0, 1e6])
    zone = policy.zone(moment_of_option(spot=spot, strike=100.0, tau=tau, vol=0.5))
    for edge in (zone.lower, zone.upper, zone.to_lower, zone.to_upper):
        assert np.isfinite(edge).all()
    assert (zone.lower <= zone.upper).all()


@pytest.mark.parametrize("policy", BANDS)
@given(
    log_spot=st.floats(-0.6, 0.6),
    tau=st.floats(1e-4, 0.36),
    hedge=st.floats(-0.5, 1.5),
    vol=st.floats(0.1, 0.5),
)
def test_a_band_rests_inside_and_trades_to_its_edge_only(policy, log_spot, tau, hedge, vol):
    moment = moment_of_option(spot=100.0 * np.exp(log_spot), strike=100.0, tau=tau, vol=vol, hedge=hedge)
    zone = policy.zone(moment)
    new = float(policy.rebalance(moment))
    if zone.lower <= hedge <= zone.upper:
        assert new == hedge
    else:
        assert new == float(zone.lower if hedge < zone.lower else zone.upper)


def test_a_band_to_the_target_goes_all_the_way():
    policy = FixedBand(half_width=0.1, to_target=True)
    hedges = np.array([0.0, 0.45, 0.6, 0.7])
    new = policy.rebalance(moment_of_option(**AT_THE_MONEY, hedge=hedges))
    np.testing.assert_allclose(new, [DELTA, 0.45, 0.6, DELTA], atol=1e-8)


def test_timetable_and_move_trigger_wait():
    kwargs = {**AT_THE_MONEY, "hedge": 0.2}
    table, trigger = Timetable(interval=0.01), MoveTrigger(move=0.02)
    assert table.rebalance(moment_of_option(**kwargs, elapsed=0.009)) == 0.2
    assert table.rebalance(moment_of_option(**kwargs, elapsed=0.01)) == pytest.approx(DELTA)
    assert trigger.rebalance(moment_of_option(**kwargs, move=0.019)) == 0.2
    assert trigger.rebalance(moment_of_option(**kwargs, move=0.02)) == pytest.approx(DELTA)


@pytest.mark.parametrize("policy", [b for b in BANDS if not isinstance(b, TunedBand)])
def test_a_put_is_hedged_one_coin_below_its_call(policy):
    call = policy.zone(moment_of_option(spot=95.0, strike=100.0, tau=0.2, vol=0.4))
    put = policy.zone(moment_of_option(spot=95.0, strike=100.0, tau=0.2, vol=0.4, is_call=False))
    assert put.lower == pytest.approx(float(call.lower) - 1.0, abs=1e-12)
    assert put.upper == pytest.approx(float(call.upper) - 1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("vol", 0.0), ("vol", np.nan), ("spot", -1.0), ("strike", 0.0), ("tau", -0.1), ("hedge", np.nan)],
)
def test_bad_inputs_are_refused(name, value):
    with pytest.raises(DataError, match=name):
        moment_of_option(**{**AT_THE_MONEY, name: value})


@pytest.mark.parametrize("name", ["target", "gamma", "log_moneyness", "elapsed"])
def test_a_moment_refuses_nan(name):
    good = dict.fromkeys(
        ("target", "gamma", "log_moneyness", "tau", "vol", "spot", "hedge", "elapsed", "move"), 1.0
    )
    with pytest.raises(DataError, match=name):
        HedgeMoment(**{**good, name: np.nan})


@pytest.mark.parametrize(
    "build",
    [
        lambda: WhalleyWilmott(cost=-0.001, aversion=1.0),
        lambda: Zakamouline(cost=0.001, aversion=0.0),
        lambda: TunedBand(cost=0.001, aversion=1.0, below=np.nan),
        lambda: Leland(interval=0.0, cost=0.001),
        lambda: FixedBand(half_width=-0.1),
        lambda: MoveTrigger(move=0.0),
        lambda: Timetable(interval=np.inf),
        lambda: Gate(min_elapsed=-1.0),
    ],
)
def test_bad_parameters_are_refused(build):
    with pytest.raises(ConfigError):
        build()


def test_side_other_than_one_is_refused():
    with pytest.raises(DataError, match="position"):
        moment_of_option(**AT_THE_MONEY, position=2)
