import numpy as np
import pytest
from scipy.stats import kendalltau, ks_2samp, kstest, kurtosis, t

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.var import factor_scenarios, multivariate_t_draws, t_copula_draws

from ._market import layout

COVARIANCE = np.array([[4.0, 1.5, 0.0], [1.5, 1.0, -0.2], [0.0, -0.2, 0.5]])


@pytest.mark.parametrize("dof", [5.0, np.inf])
def test_draws_have_the_covariance_and_margins_of_a_t(dof):
    draws = multivariate_t_draws(COVARIANCE, dof, 80_000, np.random.default_rng(0))
    assert np.cov(draws.T) == pytest.approx(COVARIANCE, rel=0.06, abs=0.06)
    assert draws.mean(axis=0) == pytest.approx(0.0, abs=1e-12)  # opposite pairs
    scale = np.sqrt((dof - 2.0) / dof) if np.isfinite(dof) else 1.0
    for q in (0.01, 0.99):
        assert np.quantile(draws[:, 0] / 2.0, q) == pytest.approx(scale * t.ppf(q, dof), rel=0.03)


def test_a_singular_covariance_is_drawn_exactly():
    one = multivariate_t_draws(np.ones((2, 2)), 4.0, 101, np.random.default_rng(1))
    assert one.shape == (101, 2)
    assert one[:, 0] == pytest.approx(one[:, 1], abs=1e-7)


def test_copula_keeps_margins_and_dependence():
    rng = np.random.default_rng(2)
    sample = np.stack([rng.exponential(size=500), rng.standard_t(3, 500)], axis=1)
    draws = t_copula_draws(sample, [[1.0, 0.6], [0.6, 1.0]], 4.0, 20_000, rng)
    for j in range(2):
        assert ks_2samp(draws[:, j], sample[:, j]).pvalue > 0.05
        assert draws[:, j].min() >= sample[:, j].min()
        assert draws[:, j].max() <= sample[:, j].max()
    # Kendall's tau of every elliptical copula is 2/pi asin(rho).
    assert kendalltau(draws[:, 0], draws[:, 1]).statistic == pytest.approx(
        2 / np.pi * np.arcsin(0.6), abs=0.02
    )


@pytest.mark.parametrize("dof", [2.5, np.inf])
def test_levels_of_the_copula_are_uniform(dof):
    grid = np.linspace(0.0, 1.0, 5001)[:, None]
    draws = t_copula_draws(grid, [[1.0]], dof, 20_000, np.random.default_rng(6))
    assert kstest(draws[:, 0], "uniform").pvalue > 0.01


def test_joint_tails_are_those_of_the_t_copula():
    rng = np.random.default_rng(3)
    sample = np.sort(rng.standard_normal((4000, 2)), axis=0)
    both = []
    for dof in (3.0, np.inf):
        draws = t_copula_draws(sample, [[1.0, 0.3], [0.3, 1.0]], dof, 100_000, rng)
        low = draws < np.quantile(draws, 0.01, axis=0)
        both.append((low[:, 0] & low[:, 1]).mean() / 0.01)
    assert both[0] > 2.0 * both[1]


def test_factors_become_shocks_by_their_loadings():
    rng = np.random.default_rng(4)
    loadings = rng.normal(size=(2, 19))
    draws = multivariate_t_draws(np.eye(2), 6.0, 4000, rng)
    assert factor_scenarios(layout(), draws, loadings).values == pytest.approx(draws @ loadings)
    noisy = factor_scenarios(layout(), draws, loadings, residuals=rng.normal(size=(30, 19)), rng=rng)
    assert noisy.values.var() > (draws @ loadings).var() + 0.5
    assert kurtosis(draws[:, 0]) > 1.0


def test_bad_input_is_refused():
    rng = np.random.default_rng(5)
    with pytest.raises(ConfigError, match="dof"):
        multivariate_t_draws(np.eye(2), 2.0, 10, rng)
    with pytest.raises(DataError, match="semi-definite"):
        multivariate_t_draws(np.diag([1.0, -1.0]), 5.0, 10, rng)
    with pytest.raises(DataError, match="symmetric"):
        multivariate_t_draws(np.array([[1.0, 0.5], [0.0, 1.0]]), 5.0, 10, rng)
    with pytest.raises(DataError, match="correlation"):
        t_copula_draws(np.ones((5, 2)), 2.0 * np.eye(2), 5.0, 10, rng)
    with pytest.raises(DataError, match="loadings"):
        factor_scenarios(layout(), np.ones((3, 2)), np.ones((3, 19)))
    with pytest.raises(ConfigError, match="rng"):
        factor_scenarios(layout(), np.ones((3, 1)), np.ones((1, 19)), residuals=np.ones((2, 19)))
