from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.pricing import black76_greeks, black76_price
from ivhedge.surface import DifferentiableSurface, certify
from ivhedge.surface.dynamics import (
    SkewStickiness,
    StickyMoneyness,
    StickyStrike,
    atm_skew,
    fixed_strike_vol_slope,
    minimum_variance_delta,
    move_surface,
    moved_vol,
)
from ivhedge.surface.skew_stickiness import estimate_skew_stickiness

RULES = [StickyStrike(), StickyMoneyness(), SkewStickiness(ssr=1.4), SkewStickiness(ssr=-0.5)]
STRIKES = np.linspace(60_000.0, 130_000.0, 15)
HOUR = 3_600_000_000_000
STEP = 6 * HOUR


@dataclass(frozen=True)
class Plain:
    """A surface that hides its derivatives."""

    base: object

    def __getattr__(self, name):
        if name == "derivatives":
            raise AttributeError(name)
        return getattr(self.base, name)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_no_move_changes_nothing(truth_surface, rule):
    moved = move_surface(truth_surface, rule, 0.0)
    k, tau = np.linspace(-1, 1, 21)[:, None], np.array([0.001, 0.05, 0.3, 1.5])
    for name in ("total_variance", "implied_vol"):
        np.testing.assert_array_equal(getattr(moved, name)(k, tau), getattr(truth_surface, name)(k, tau))
    np.testing.assert_array_equal(moved.forward(tau), truth_surface.forward(tau))
    np.testing.assert_array_equal(moved_vol(truth_surface, rule, k, tau, 0.0), moved.implied_vol(k, tau))
    assert (moved.underlying, moved.ts_ns) == (truth_surface.underlying, truth_surface.ts_ns)
    np.testing.assert_array_equal(moved.expiries, truth_surface.expiries)


@given(st.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_ratio_one_is_sticky_strike_and_zero_is_sticky_moneyness(truth_surface, move):
    tau = np.array([[0.02], [0.3]])
    before = truth_surface.implied_vol(np.log(STRIKES / truth_surface.forward(tau)), tau)
    for rule in (SkewStickiness(ssr=1.0), StickyStrike()):
        moved = move_surface(truth_surface, rule, move)
        after = moved.implied_vol(np.log(STRIKES / moved.forward(tau)), tau)
        np.testing.assert_allclose(after, before, rtol=1e-12)
    k = np.linspace(-1, 1, 9)
    for rule in (SkewStickiness(ssr=0.0), StickyMoneyness()):
        moved = move_surface(truth_surface, rule, move)
        np.testing.assert_array_equal(moved.implied_vol(k, tau), truth_surface.implied_vol(k, tau))


@given(st.floats(-0.5, 0.5), st.floats(-1.0, 2.5))
@settings(max_examples=30, deadline=None)
def test_the_vol_of_a_strike_is_that_of_the_moved_surface(truth_surface, move, ratio):
    rule, tau = SkewStickiness(ssr=ratio), 0.1
    k = np.log(STRIKES / truth_surface.forward(tau))
    moved = move_surface(truth_surface, rule, move)
    after = moved.implied_vol(np.log(STRIKES / moved.forward(tau)), tau)
    np.testing.assert_allclose(moved_vol(truth_surface, rule, k, tau, move), after, rtol=1e-12)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("hidden", [False, True])
def test_slopes_are_those_of_bergomis_definition(truth_surface, rule, hidden):
    surface = Plain(truth_surface) if hidden else truth_surface
    tau, k, h = np.array([[0.02], [0.3]]), np.linspace(-0.5, 0.5, 5), 1e-5
    up, down = (move_surface(surface, rule, u) for u in (h, -h))
    at_money = (up.implied_vol(0.0, tau) - down.implied_vol(0.0, tau)) / (2 * h)
    np.testing.assert_allclose(at_money, rule.ssr_at(tau) * atm_skew(surface, tau), atol=1e-7)
    fixed = (up.implied_vol(k - h, tau) - down.implied_vol(k + h, tau)) / (2 * h)
    np.testing.assert_allclose(fixed, fixed_strike_vol_slope(surface, rule, k, tau), atol=1e-7)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_delta_is_the_slope_of_the_price_on_the_moved_surface(truth_surface, rule, is_call):
    tau, h = 0.1, 1e-5
    usd, coin = [], []
    for u in (h, -h):
        moved = move_surface(truth_surface, rule, u)
        forward = float(moved.forward(tau))
        vol = moved.implied_vol(np.log(STRIKES / forward), tau)
        value = black76_price(forward, STRIKES, tau, vol, is_call)
        usd.append(value)
        coin.append(value / forward)
    forward = float(truth_surface.forward(tau))
    found = minimum_variance_delta(truth_surface, rule, STRIKES, tau, is_call)
    np.testing.assert_allclose(found.delta_usd, (usd[0] - usd[1]) / (2 * h * forward), atol=1e-7)
    np.testing.assert_allclose(found.delta_coin, (coin[0] - coin[1]) / (2 * h), atol=1e-7)
    vol = truth_surface.implied_vol(np.log(STRIKES / forward), tau)
    plain = black76_greeks(forward, STRIKES, tau, vol, is_call)["delta"]
    np.testing.assert_allclose(found.delta_usd - found.adjustment, plain, atol=1e-14)
    if isinstance(rule, StickyStrike):
        assert not found.adjustment.any()


def test_a_ratio_per_tenor_is_linear_between_and_flat_outside():
    rule = SkewStickiness(ssr=[0.5, 1.5], taus=[0.1, 0.3])
    assert rule.ssr_at([0.01, 0.1, 0.2, 0.3, 2.0]) == pytest.approx([0.5, 0.5, 1.0, 1.5, 1.5])
    assert SkewStickiness(ssr=0.7).ssr_at(np.ones((2, 3))) == pytest.approx(np.full((2, 3), 0.7))


def test_a_moved_surface_offers_what_its_base_offers(truth_surface):
    rule = SkewStickiness(ssr=0.5)
    moved = move_surface(truth_surface, rule, 0.1)
    assert isinstance(moved, DifferentiableSurface)
    assert not isinstance(move_surface(Plain(truth_surface), rule, 0.1), DifferentiableSurface)
    w, slope, _ = moved.derivatives(0.2, 0.3)
    assert w == pytest.approx(moved.total_variance(0.2, 0.3), rel=1e-14)
    assert slope == pytest.approx(truth_surface.derivatives(0.25, 0.3)[1], rel=1e-12)


def test_a_moved_surface_can_be_certified(truth_surface):
    assert certify(move_surface(truth_surface, StickyMoneyness(), -0.4), n_strikes=401).valid
    assert certify(move_surface(truth_surface, StickyStrike(), 0.01), n_strikes=401).valid
    # Five deviations of the first expiry: its smile no longer fits where the forward went.
    found = certify(move_surface(truth_surface, SkewStickiness(ssr=2.0), -0.3), n_strikes=401)
    assert not found.valid


def history(rng, ratio, steps=2000, noise=0.002):
    """Forwards, vols at the money and noisy skews that obey a ratio."""
    taus = np.array([7, 30, 90]) / 365
    moves = 0.02 * rng.standard_normal((steps, 1)) + 0.0 * taus
    skew = -0.4 + 0.1 * rng.standard_normal((steps + 1, 3))
    vols = 0.6 + np.vstack((np.zeros(3), np.cumsum(ratio * skew[:-1] * moves, axis=0)))
    vols += noise * rng.standard_normal(vols.shape)
    forwards = 90_000.0 * np.exp(np.vstack((np.zeros(3), np.cumsum(moves, axis=0))))
    times = np.arange(steps + 1) * STEP
    # What is seen of the skew is noisy, which must not bias the ratio.
    return times, forwards, np.maximum(vols, 0.01), skew + 0.2 * rng.standard_normal(skew.shape), taus


@pytest.mark.parametrize("ratio", [0.0, 1.0, 1.6])
def test_a_known_ratio_is_found(ratio):
    rng = np.random.default_rng(7)
    *data, taus = history(rng, ratio)
    found = estimate_skew_stickiness(*data, taus=taus, rng=rng)
    assert found.ssr == pytest.approx(np.full(3, ratio), abs=0.06)
    assert np.all((found.lower < ratio + 0.02) & (found.upper > ratio - 0.02))
    assert np.all(found.upper - found.lower < 0.15)
    assert found.n_steps.tolist() == [2000] * 3
    assert found.rule().ssr_at(taus) == pytest.approx(found.ssr)
    assert found.rule(shrink=1.0).ssr_at(taus) == pytest.approx(np.ones(3))
    if ratio:
        assert np.all(found.r_squared > 0.3)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    inside = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        *data, taus = history(rng, 1.3, steps=300)
        found = estimate_skew_stickiness(*data, taus=taus, rng=rng, resamples=300)
        inside.append((found.lower[0] < 1.3) & (found.upper[0] > 1.3))
    # 90 % asked for, of 40: 30 is four deviations below.
    assert sum(inside) >= 30


def test_the_same_generator_gives_the_same_interval():
    *data, taus = history(np.random.default_rng(1), 1.0, steps=200)
    one, two = (
        estimate_skew_stickiness(*data, taus=taus, rng=np.random.default_rng(3), resamples=200) for _ in "ab"
    )
    np.testing.assert_array_equal(one.lower, two.lower)


def test_gaps_and_holes_are_left_out_and_counted():
    rng = np.random.default_rng(2)
    times, forwards, vols, skews, taus = history(rng, 1.0, steps=200)
    times, vols = times.copy(), vols.copy()
    times[100:] += 24 * HOUR
    vols[50, 1] = np.nan
    found = estimate_skew_stickiness(times, forwards, vols, skews, taus=taus, rng=rng, resamples=200)
    assert found.n_left_out.tolist() == [1, 3, 1]
    assert (found.n_steps + found.n_left_out).tolist() == [200] * 3
    assert np.isfinite(found.ssr).all()


def test_a_ratio_to_no_skew_has_no_interval():
    rng = np.random.default_rng(5)
    times, forwards, vols, skews, taus = history(rng, 1.0, steps=200)
    skews = skews.copy()
    skews[:, 0] = 0.3 * rng.standard_normal(201)
    found = estimate_skew_stickiness(times, forwards, vols, skews, taus=taus, rng=rng)
    assert np.isinf(found.lower).tolist() == [True, False, False]
    assert np.isinf(found.upper).tolist() == [True, False, False]


def test_bad_requests_are_refused(truth_surface):
    rng = np.random.default_rng(0)
    times, forwards, vols, skews, taus = history(rng, 1.0, steps=60)
    for bad in ({"block": 0}, {"resamples": 5}, {"level": 1.0}, {"max_step_hours": 0.0}):
        with pytest.raises(ConfigError, match="block >= 1"):
            estimate_skew_stickiness(times, forwards, vols, skews, taus=taus, rng=rng, **bad)
    with pytest.raises(DataError, match="shape"):
        estimate_skew_stickiness(times, forwards[:, :2], vols, skews, taus=taus, rng=rng)
    with pytest.raises(DataError, match="ascending"):
        estimate_skew_stickiness(times[::-1], forwards, vols, skews, taus=taus, rng=rng)
    with pytest.raises(DataError, match="positive"):
        estimate_skew_stickiness(times, -forwards, vols, skews, taus=taus, rng=rng)
    with pytest.raises(DataError, match="two blocks"):
        estimate_skew_stickiness(times, forwards, vols, skews, taus=taus, rng=rng, block=40)
    for bad in ({"ssr": np.nan}, {"ssr": [1.0, 1.2]}, {"ssr": [1.0, 1.2], "taus": [0.2, 0.1]}):
        with pytest.raises(ConfigError, match="expected"):
            SkewStickiness(**bad)
    with pytest.raises(ConfigError, match="finite"):
        move_surface(truth_surface, StickyStrike(), np.inf)
    with pytest.raises(ConfigError, match="tau > 0"):
        atm_skew(truth_surface, 0.0)
    found = estimate_skew_stickiness(times, forwards, vols, skews, taus=taus, rng=rng)
    with pytest.raises(ConfigError, match="shrink"):
        found.rule(shrink=1.5)
