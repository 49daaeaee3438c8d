"""Each ratio against what it must be, by independent means."""

import numpy as np
import pytest

from ivhedge.core.errors import CalibrationError, ConfigError, DataError
from ivhedge.hedge.ratios import (
    BlackScholes,
    BucketRatio,
    FactorRatio,
    HullWhite,
    RatioBuckets,
    SmileRatio,
    fit_bucket_ratio,
    fit_hull_white,
    hedge_steps,
    ratio_delta,
    ratio_legs,
)
from ivhedge.pricing import black76_price
from ivhedge.risk.factors import Factor, FactorModel, named_shapes
from ivhedge.surface.dynamics import (
    SkewStickiness,
    StickyMoneyness,
    StickyStrike,
    minimum_variance_delta,
    moved_vol,
)

from .._stub import StubSurface
from ._paths import simulate, some_legs, step_of

SURFACE = StubSurface(level=0.5, skew=-0.15, carry=0.05)
STRIKE = np.array([60_000.0, 75_000.0, 80_000.0, 95_000.0, 70_000.0])
TAU = np.array([5.0, 10.0, 30.0, 60.0, 90.0]) / 365.0
CALL = np.array([False, False, True, True, True])


def model(correlation):
    shapes = named_shapes([7.0, 30.0, 90.0], [-1.0, 0.0, 1.0])
    factors = (
        Factor(underlying="BTC", kind="spot"),
        Factor(underlying="BTC", kind="basis"),
        Factor(underlying="BTC", kind="level", shape=shapes[0]),
        Factor(underlying="BTC", kind="skew", shape=shapes[2]),
    )
    matrix = np.eye(4)
    matrix[0, 2] = matrix[2, 0] = correlation
    matrix[0, 1] = matrix[1, 0] = 0.2
    matrix[0, 3] = matrix[3, 0] = -0.3
    return FactorModel(factors=factors, scales=np.array([0.03, 0.02, 0.02, 0.005]), correlation=matrix)


@pytest.mark.parametrize(
    "rule", [StickyStrike(), StickyMoneyness(), SkewStickiness(ssr=np.array([1.6, 0.7]), taus=TAU[[0, 4]])]
)
def test_smile_ratios_coincide_with_the_rules_of_smile_dynamics(rule):
    found = SmileRatio(rule=rule).delta(ratio_legs(SURFACE, STRIKE, TAU, CALL))
    expected = minimum_variance_delta(SURFACE, rule, STRIKE, TAU, CALL)
    for name in ("delta_usd", "delta_coin", "adjustment"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("rule", [StickyMoneyness(), SkewStickiness(ssr=1.7)])
def test_smile_delta_is_the_finite_difference_of_the_revalued_option(rule):
    legs, h = ratio_legs(SURFACE, STRIKE, TAU, CALL), 1e-5
    up, down = (
        black76_price(
            legs.forward * np.exp(s), STRIKE, TAU, moved_vol(SURFACE, rule, legs.log_moneyness, TAU, s), CALL
        )
        for s in (h, -h)
    )
    slope = (up - down) / (2.0 * np.sinh(h) * legs.forward)
    np.testing.assert_allclose(SmileRatio(rule=rule).delta(legs).delta_usd, slope, rtol=2e-5, atol=1e-8)


def test_the_coin_delta_takes_the_premium_off_every_ratio():
    legs = some_legs()
    premium = legs.greeks("price")["price"] / legs.forward
    ratios = [BlackScholes(), SmileRatio(rule=StickyMoneyness()), HullWhite(a=0.1, b=-0.3, c=0.05)]
    ratios.append(FactorRatio(model=model(-0.5), underlying="BTC"))
    for ratio in ratios:
        found = ratio.delta(legs)
        np.testing.assert_allclose(found.delta_coin, found.delta_usd - premium, rtol=1e-13, atol=1e-15)
    # By difference: F·dc/dF with c = V/F along the path of the vol that the ratio claims.
    ratio, h = HullWhite(a=0.1, b=-0.3, c=0.05), 1e-6
    beta = ratio.vol_beta(legs)
    coin = [
        black76_price(legs.forward * np.exp(s), legs.strike, legs.tau, legs.vol + beta * s, legs.is_call)
        / (legs.forward * np.exp(s))
        for s in (h, -h)
    ]
    np.testing.assert_allclose(ratio.delta(legs).delta_coin, (coin[0] - coin[1]) / (2 * h), atol=1e-8)


def test_usd_and_coin_accounts_see_the_same_hedged_profit():
    legs = some_legs()
    delta = BlackScholes().delta(legs)
    after = legs.forward * 1.03
    value = black76_price(after, legs.strike, legs.tau, legs.vol + 0.02, legs.is_call)
    before = legs.greeks("price")["price"]
    usd = value - before - delta.delta_usd * (after - legs.forward)
    inverse_future = (after - legs.forward) / after
    coin = value / after - before / legs.forward - delta.delta_coin * inverse_future
    np.testing.assert_allclose(coin * after, usd, rtol=1e-9, atol=1e-8)


def test_the_factor_ratio_is_the_regression_on_simulated_factors():
    fitted, rng = model(-0.6), np.random.default_rng(5)
    legs = ratio_legs(SURFACE, STRIKE, TAU, CALL)
    # Small moves keep the revaluation linear; a regression then has to give the beta.
    shocks = rng.multivariate_normal(np.zeros(4), fitted.covariance * 1e-4, size=4000)
    base = np.asarray(SURFACE.implied_vol(legs.log_moneyness, TAU))
    moves, changes = [], []
    for shock in shocks:
        moved = fitted.apply(SURFACE, shock)
        forward = np.asarray(moved.forward(TAU))
        moves.append(np.log(forward / legs.forward))
        changes.append(np.asarray(moved.implied_vol(np.log(STRIKE / forward), TAU)) - base)
    x, y = np.array(moves), np.array(changes)
    slope = (x * y).sum(axis=0) / (x * x).sum(axis=0)
    np.testing.assert_allclose(FactorRatio(model=fitted, underlying="BTC").vol_beta(legs), slope, atol=0.02)
    with pytest.raises(ConfigError, match="spot factor of ETH"):
        FactorRatio(model=fitted, underlying="ETH")


def test_fits_recover_a_known_vol_beta_and_its_hedge_leaves_less():
    legs, steps = simulate(np.random.default_rng(1), -0.6, 300)
    truth = -0.6 * np.sqrt(30.0 / legs.days)
    quadratic, buckets = fit_hull_white(steps), fit_bucket_ratio(steps)
    np.testing.assert_allclose(quadratic.vol_beta(legs), truth, rtol=0.12)
    # Inside a bucket all options share one beta, here one tenor each.
    np.testing.assert_allclose(buckets.vol_beta(legs), truth, rtol=0.2)
    assert (buckets.standard_error < 0.1).sum() >= 15
    judged = simulate(np.random.default_rng(2), -0.6, 100)[1]
    for ratio in (quadratic, buckets):
        beta = ratio.vol_beta(legs)
        left = sum(float(((s.residual - beta * s.exposure) ** 2).sum()) for s in judged)
        assert left < 0.3 * sum(float((s.residual**2).sum()) for s in judged)


def test_one_step_of_small_size_gives_the_beta_up_to_curvature():
    legs = some_legs()
    beta = np.linspace(-1.0, 1.0, len(legs))
    # No time passes to speak of, and two mirrored moves cancel gamma.
    up, down = (step_of(legs, s, beta * s, elapsed=1e-7) for s in (1e-4, -1e-4))
    found = (up.residual - down.residual) / (up.exposure - down.exposure)
    np.testing.assert_allclose(found, beta, atol=1e-3)


def test_buckets_hold_each_option_once_and_leave_the_rest_to_black_scholes():
    grid = RatioBuckets()
    at = grid.locate(np.array([3.0, 6.99, 7.0, 119.0, 120.0, 2.0]), np.array([0.1, 0.3, 0.3, 0.94, 0.5, 0.5]))
    assert at.tolist() == [0, 1, 5, 19, -1, -1]
    assert len(grid.names) == grid.count == 20
    ratio = BucketRatio(buckets=RatioBuckets(days=(1.0, 2.0)), beta=np.ones(4), standard_error=np.ones(4))
    assert not ratio.vol_beta(some_legs()).any()


def test_bad_input_is_refused_by_type():
    legs, steps = simulate(np.random.default_rng(3), 0.0, 3)
    with pytest.raises(CalibrationError, match="at least 30"):
        fit_hull_white([])
    with pytest.raises(CalibrationError, match="20 steps"):
        fit_bucket_ratio(steps)
    with pytest.raises(DataError, match="positive strike"):
        ratio_legs(SURFACE, np.array([np.nan]), 0.1, np.array([True]))
    with pytest.raises(DataError, match="finite values at the end"):
        hedge_steps(legs, np.full(len(legs), np.nan), legs.forward, 0.25)
    with pytest.raises(ConfigError, match="outlive"):
        hedge_steps(legs, legs.forward, legs.forward, 6.0)
    with pytest.raises(ConfigError, match="finite coefficients"):
        HullWhite(a=np.nan, b=0.0, c=0.0)
    with pytest.raises(ConfigError, match="ascending"):
        RatioBuckets(days=(3.0, 3.0))

    class Blank(BlackScholes):
        def vol_beta(self, legs):
            return np.full(len(legs), np.nan)

    with pytest.raises(DataError, match="finite vol betas"):
        ratio_delta(Blank(), legs)
