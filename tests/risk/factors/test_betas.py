import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.factors import BetaSettings, panel_steps, spot_beta, vega_beta
from ivhedge.risk.factors.betas import _bound, _near, huber_slope

from ._synthetic import two_panels

FAST = BetaSettings(resamples=100)


def steps_of(seed=0, **kwargs):
    return panel_steps(two_panels(np.random.default_rng(seed), **kwargs)[0])


def test_recovers_the_beta_and_beats_one():
    found = vega_beta(steps_of(), "ETH", "BTC", rng=np.random.default_rng(1), settings=FAST)
    assert np.abs(found.beta - 0.7).max() < 0.05
    assert (found.beta_lower < 0.7).all()
    assert (found.beta_upper > 0.7).all()
    assert found.trusted.all()
    assert set(found.reason) == {"ok"}
    assert (found.gain_lower > 0.0).all()
    assert (found.r2_out_lower < found.r2_out).all()
    assert (found.r2_out < found.r2_out_upper).all()
    assert found.r2_out[1] == pytest.approx(0.49 / (0.49 + 0.04), abs=0.05)
    assert (found.n_fit, found.n_judged) == (200, 200)
    assert found.at(30.0) == found.beta[1]
    assert found.at(np.sqrt(7.0 * 30.0)) == pytest.approx(found.beta[:2].mean())


def test_judged_on_the_second_half_with_the_beta_of_the_first():
    steps = steps_of(2)
    found = vega_beta(steps, "ETH", "BTC", rng=np.random.default_rng(1), settings=FAST)
    y, x = steps.vols["ETH"][:, 1, 2], steps.vols["BTC"][:, 1, 2]
    first = float(huber_slope(y[:200], x[:200]))
    left = ((y[200:] - first * x[200:]) ** 2).sum()
    assert found.beta_first[1] == pytest.approx(first)
    assert found.r2_out[1] == pytest.approx(1 - left / (y[200:] ** 2).sum())
    assert found.gain_over_one[1] == pytest.approx(1 - left / ((y[200:] - x[200:]) ** 2).sum())
    moves = [steps.vols[name][200:, :, 2] for name in ("ETH", "BTC")]
    errors = [
        ((moves[0] - beta * moves[1]) ** 2).sum(axis=0) @ [7, 30, 90] for beta in (found.beta_first, 1.0)
    ]
    assert found.pooled_gain == pytest.approx(1 - errors[0] / errors[1])
    assert found.pooled_lower < found.pooled_gain < found.pooled_upper
    assert found.residual_sd[1] == pytest.approx(2 * np.sqrt(left / 200))


def test_refuses_what_does_not_follow():
    found = vega_beta(
        steps_of(beta=0.0, noise=1.0), "ETH", "BTC", rng=np.random.default_rng(1), settings=FAST
    )
    assert not found.trusted.any()
    assert "below 0.2" in found.reason[0]
    with pytest.raises(DataError, match="not trusted"):
        found.at(30.0)
    negative = vega_beta(steps_of(beta=-0.9), "ETH", "BTC", rng=np.random.default_rng(1), settings=FAST)
    assert not negative.trusted.any()
    assert "beta may be" in negative.reason[0]


def test_market_beta():
    found = spot_beta(steps_of(3), "ETH", "BTC", rng=np.random.default_rng(1), settings=FAST)
    assert found.beta[0] == pytest.approx(1.2, abs=0.06)
    assert found.trusted.all()


def test_huber_against_a_direct_minimum_and_outliers():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((150, 2))
    y = x * np.array([0.5, 2.0]) + 0.1 * rng.standard_normal((150, 2))
    np.testing.assert_allclose(huber_slope(y, x), [0.5, 2.0], atol=0.03)
    y[:3] += 50.0 * np.sign(x[:3])
    assert np.abs(huber_slope(y, x) - [0.5, 2.0]).max() < 0.1
    assert np.abs((x * y).sum(axis=0) / (x * x).sum(axis=0) - [0.5, 2.0]).max() > 0.5
    np.testing.assert_allclose(huber_slope(0.3 * x, x), 0.3, rtol=1e-12)
    # The estimating equation at the solution: bounded residuals have no slope left.
    slope = huber_slope(y, x)
    residual = y - slope * x
    bound = 1.345 * 1.4826 * np.median(np.abs(residual), axis=0)
    equation = (np.clip(residual, -bound, bound) * x).sum(axis=0)
    assert np.abs(equation / ((x * x).sum(axis=0) * bound)).max() < 1e-6


def test_resamples_solve_the_same_equation():
    rng = np.random.default_rng(5)
    x = rng.standard_t(3, (200, 4))
    y = 0.7 * x + 0.5 * rng.standard_t(3, (200, 4))
    slope = huber_slope(y, x)
    bound = _bound(np.abs(y - slope * x))
    np.testing.assert_allclose(_near(y, x, slope + 0.2, bound), slope, atol=1e-6)


def test_same_generator_same_intervals():
    one, two = (
        vega_beta(steps_of(), "ETH", "BTC", rng=np.random.default_rng(9), settings=FAST) for _ in range(2)
    )
    assert one.r2_out_lower.tolist() == two.r2_out_lower.tolist()


def test_bad_input():
    steps = steps_of()
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="SOL"):
        vega_beta(steps, "SOL", "BTC", rng=rng)
    with pytest.raises(ConfigError, match="on itself"):
        spot_beta(steps, "BTC", "BTC", rng=rng)
    with pytest.raises(DataError, match="two blocks"):
        vega_beta(steps.rows(slice(0, 31)), "ETH", "BTC", rng=rng)
    with pytest.raises(ConfigError, match="resamples"):
        BetaSettings(resamples=1)
    with pytest.raises(DataError, match="never does"):
        huber_slope(np.ones(3), np.zeros(3))
    found = vega_beta(steps, "ETH", "BTC", rng=rng, settings=FAST)
    with pytest.raises(DataError, match="7 to 90 days"):
        found.at(120.0)
