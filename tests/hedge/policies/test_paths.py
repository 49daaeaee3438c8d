"""Running policies over paths: the books balance, the kernel equals its twin, the measures are right."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.hedge.policies import (
    FixedBand,
    HedgePaths,
    Leland,
    MoveTrigger,
    Timetable,
    TunedBand,
    WhalleyWilmott,
    Zakamouline,
    cvar,
    gbm_paths,
    realised_vol_mark,
    recorded_calls,
    rms,
    run_policy,
    run_policy_stepwise,
)
from ivhedge.hedge.policies._kernels import interpolate_rows

POLICIES = (
    Timetable(),
    Timetable(interval=3 * 0.25 / 60),
    MoveTrigger(move=0.02),
    Leland(interval=2 * 0.25 / 60, cost=0.002),
    FixedBand(half_width=0.05),
    FixedBand(half_width=0.05, to_target=True),
    WhalleyWilmott(cost=0.002, aversion=100.0),
    Zakamouline(cost=0.002, aversion=100.0),
    TunedBand(cost=0.002, aversion=100.0, centre=2.0, below=0.5),
)


def sample(n_paths=300, **change):
    terms = {"n_steps": 60, "tau": 0.25, "vol": 0.3, "rate": 0.03, "drift": 0.1}
    return gbm_paths(np.random.default_rng(5), n_paths=n_paths, **{**terms, **change})


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("position", [-1, 1])
def test_kernel_and_twin_agree(policy, position):
    paths = sample(position=position)
    fast = run_policy(policy, paths, cost=0.002, fee=0.01)
    slow = run_policy_stepwise(policy, paths, cost=0.002, fee=0.01)
    for name in ("pnl", "gains", "cost", "fees", "trades", "turnover"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-9, atol=1e-9)


def test_kernel_and_twin_agree_with_a_vol_per_check_and_for_puts():
    paths = sample()
    vol = paths.vol[:, None] * np.linspace(0.8, 1.2, 60)
    paths = replace(paths, vol=vol, is_call=False)
    policy = POLICIES[-1]
    fast, slow = run_policy(policy, paths, cost=0.002), run_policy_stepwise(policy, paths, cost=0.002)
    np.testing.assert_allclose(fast.pnl, slow.pnl, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), cost=st.floats(0.0, 0.01), fee=st.floats(0.0, 0.5), liquidate=st.booleans())
def test_money_is_conserved(seed, cost, fee, liquidate):
    rng = np.random.default_rng(seed)
    paths = gbm_paths(rng, n_paths=3, n_steps=12, tau=0.1, vol=0.5, rate=0.05)
    result = run_policy(FixedBand(half_width=0.03), paths, cost=cost, fee=fee, liquidate=liquidate)
    grow = np.exp(paths.rate * paths.dt)
    for p in range(3):
        # A cash account, step by step, apart from the evaluator.
        cash, hedge = float(paths.premium[p]), 0.0
        for i in range(12):
            spot = paths.spot[p, i]
            seen = paths.part(slice(p, p + 1)).moments(i)
            new = float(np.clip(hedge, seen.target[0] - 0.03, seen.target[0] + 0.03))
            cash -= (new - hedge) * spot + cost * abs(new - hedge) * spot + fee * (new != hedge)
            cash, hedge = cash * grow, new
        spot = paths.spot[p, -1]
        closing = (cost * abs(hedge) * spot + fee * (hedge != 0.0)) if liquidate else 0.0
        final = cash + hedge * spot - closing - max(spot - 100.0, 0.0)
        assert result.pnl[p] == pytest.approx(final * paths.discount[-1], abs=1e-9)
    identity = result.premium + result.payoff + result.gains - result.cost - result.fees
    np.testing.assert_array_equal(result.pnl, identity)


def test_frequent_hedging_at_no_cost_replicates():
    paths = sample(n_paths=2_000, n_steps=500)
    pnl = run_policy(Timetable(), paths, cost=0.0).pnl
    assert rms(pnl) < 0.05 * rms(paths.payoff * paths.discount[-1] + paths.premium)


def test_a_table_is_close_to_exact_zones():
    paths = sample(n_paths=500)
    for policy in POLICIES[4:]:
        exact = run_policy(policy, paths, cost=0.002)
        table = run_policy(policy, paths, cost=0.002, tabulate=True)
        assert cvar(table.pnl) == pytest.approx(cvar(exact.pnl), rel=5e-3)


def test_a_table_of_several_vols_is_refused():
    paths = replace(sample(n_paths=2), vol=np.array([0.3, 0.4]))
    with pytest.raises(DataError, match="one vol"):
        run_policy(Timetable(), paths, cost=0.0, tabulate=True)


def test_the_interpolation_kernel_equals_numpy():
    rng = np.random.default_rng(2)
    table, place = rng.standard_normal((7, 11)), rng.uniform(0.0, 10.0, (5, 7))
    place[0, 0], place[1, 1] = 0.0, 10.0
    out = np.empty_like(place)
    interpolate_rows(table, place, out)
    twin = np.array([np.interp(place[:, i], np.arange(11), table[i]) for i in range(7)]).T
    np.testing.assert_allclose(out, twin, atol=1e-12)


def test_starting_inside_opens_at_the_middle():
    paths = sample(n_paths=50)
    edge = run_policy(FixedBand(half_width=0.2), paths, cost=0.0, liquidate=False)
    middle = run_policy(FixedBand(half_width=0.2), paths, cost=0.0, liquidate=False, start_inside=True)
    assert (middle.turnover > edge.turnover).any()


def test_measures_by_hand():
    pnl = np.array([-4.0, -2.0, 0.0, 1.0, 5.0])
    assert rms(pnl) == pytest.approx(np.sqrt(46.0 / 5.0))
    assert cvar(pnl, 0.8) == pytest.approx(4.0)
    assert cvar(pnl, 0.7) == pytest.approx((4.0 + 0.5 * 2.0) / 1.5)
    assert cvar(pnl, 0.0) == pytest.approx(0.0)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50), st.floats(0.0, 0.99))
def test_cvar_is_coherent(values, level):
    pnl = np.array(values)
    found = cvar(pnl, level)
    assert -pnl.mean() - 1e-6 <= found <= -pnl.min() + 1e-6
    assert cvar(pnl + 1.0, level) == pytest.approx(found - 1.0, abs=1e-6)


def test_measures_refuse_what_they_cannot_judge():
    with pytest.raises(DataError):
        cvar([1.0, np.nan])
    with pytest.raises(DataError):
        rms([])
    with pytest.raises(ConfigError):
        cvar([1.0], 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"spot": np.array([[100.0, np.nan]])},
        {"spot": np.array([[100.0, -1.0]])},
        {"spot": np.array([100.0, 101.0])},
        {"strike": np.array([100.0, 100.0])},
        {"vol": np.array([0.0])},
        {"position": 0},
    ],
)
def test_bad_paths_are_refused(change):
    good = {
        "spot": np.array([[100.0, 101.0]]),
        "strike": np.array([100.0]),
        "vol": np.array([0.5]),
        "dt": 0.01,
    }
    with pytest.raises(DataError):
        HedgePaths(**{**good, **change})


@pytest.mark.parametrize("change", [{"cost": -0.1}, {"cost": np.nan}, {"cost": 0.0, "fee": -1.0}])
def test_bad_costs_are_refused(change):
    with pytest.raises(ConfigError):
        run_policy(Timetable(), sample(n_paths=1), **change)


def hours(n):
    rng = np.random.default_rng(3)
    times = 1_640_995_200_000_000_000 + NS_PER_HOUR * np.arange(n)
    return times, 100.0 * np.exp(np.cumsum(0.005 * rng.standard_normal(n)))


def test_recorded_calls_are_cut_on_fridays_without_overlap():
    times, prices = hours(24 * 80)
    paths, sold = recorded_calls(times, prices, every_hours=168)
    assert paths.spot.shape == (sold.size, 169)
    np.testing.assert_allclose(paths.spot[:, 0], 100.0)
    assert (np.diff(sold) == 168 * NS_PER_HOUR).all()
    assert (sold // NS_PER_HOUR % 168 == (24 + 8)).all()  # 1970-01-02 08:00 UTC was a Friday
    row = np.searchsorted(times, sold[1])
    np.testing.assert_allclose(paths.spot[1], 100.0 * prices[row : row + 169] / prices[row])


def test_the_vol_mark_knows_no_future():
    _, prices = hours(24 * 40)
    mark = realised_vol_mark(prices)
    changed = prices.copy()
    changed[24 * 35 :] *= 2.0
    np.testing.assert_array_equal(mark[: 24 * 35], realised_vol_mark(changed)[: 24 * 35])
    assert np.isnan(mark[: 24 * 30]).all()
    assert np.isfinite(mark[24 * 30 :]).all()
    assert mark[-1] == pytest.approx(0.005 * np.sqrt(8760.0), rel=0.1)


def test_recorded_calls_refuse_gaps_and_short_records():
    times, prices = hours(24 * 40)
    with pytest.raises(DataError, match="gaps"):
        recorded_calls(np.delete(times, 5), np.delete(prices, 5), every_hours=24)
    with pytest.raises(EmptyData):
        recorded_calls(times[: 24 * 31], prices[: 24 * 31], every_hours=24)
    with pytest.raises(EmptyData):
        recorded_calls(times[:100], prices[:100], every_hours=24)
    with pytest.raises(ConfigError):
        recorded_calls(times, prices, every_hours=0)
    with pytest.raises(DataError):
        realised_vol_mark([1.0, np.nan])
