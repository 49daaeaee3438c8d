import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.var import tail_risk

MONEY = st.floats(-1e4, 1e4)


def test_normal_profits_have_the_normal_tail():
    pnl = norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    found = tail_risk(pnl, 0.99)
    assert found.var == pytest.approx(norm.ppf(0.99), rel=1e-4)
    assert found.es == pytest.approx(norm.pdf(norm.ppf(0.99)) / 0.01, rel=1e-3)


def test_small_sample_by_hand():
    # Worst quarter of ten: the two worst and half of the third.
    found = tail_risk(np.array([5, -4, 1, 2, -8, 3, 7, -6, 0, 9.0]), 0.75)
    assert found.es == pytest.approx((8 + 6 + 0.5 * 4) / 2.5)
    assert found.var == pytest.approx(4.0)


@settings(deadline=None, max_examples=60)
@given(arrays(np.float64, (120, 3), elements=MONEY), st.sampled_from([0.9, 0.95, 0.975, 0.99]))
def test_contributions_add_up_and_shortfall_is_beyond_the_quantile(pnl, level):
    found = tail_risk(pnl, level)
    assert found.contributions.sum() == pytest.approx(found.es, abs=1e-7)
    assert found.es >= found.var
    low, high = found.var_interval
    assert low <= found.var <= high
    alone = sum(tail_risk(pnl[:, j], level).es for j in range(3))
    assert found.es <= alone + 1e-6  # coherence: no book is riskier than its parts
    if found.es > 0:
        assert found.var_contributions.sum() == pytest.approx(found.var, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(arrays(np.float64, 150, elements=MONEY), st.floats(-100, 100), st.floats(0.1, 10))
def test_cash_lowers_risk_by_itself_and_size_scales_it(pnl, cash, size):
    plain, moved = tail_risk(pnl, 0.97), tail_risk(size * pnl + cash, 0.97)
    assert moved.es == pytest.approx(size * plain.es - cash, abs=1e-6)
    assert moved.var == pytest.approx(size * plain.var - cash, abs=1e-6)


def test_weights_count_as_repetitions():
    rng = np.random.default_rng(0)
    pnl, times = rng.normal(size=(200, 2)), rng.integers(1, 4, 200)
    found = tail_risk(pnl, 0.95, weights=times / times.sum())
    assert found.es == pytest.approx(tail_risk(np.repeat(pnl, times, axis=0), 0.95).es, rel=1e-12)


def test_error_bars_cover_and_widen_with_overlap():
    rng = np.random.default_rng(1)
    truth = norm.pdf(norm.ppf(0.95)) / 0.05
    inside_es = inside_var = 0
    for _ in range(200):
        found = tail_risk(rng.standard_normal(1000), 0.95)
        inside_es += found.es_interval[0] <= truth <= found.es_interval[1]
        inside_var += found.var_interval[0] <= norm.ppf(0.95) <= found.var_interval[1]
    assert 170 <= inside_es <= 200
    assert 180 <= inside_var <= 200
    pnl = rng.standard_normal(1000)
    assert tail_risk(pnl, 0.95, overlap=4).es_standard_error == pytest.approx(
        2.0 * tail_risk(pnl, 0.95).es_standard_error
    )


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="scenario beyond"):
        tail_risk(np.ones(50), 0.99)
    with pytest.raises(DataError, match="finite profit"):
        tail_risk(np.array([1.0, np.nan] * 100), 0.9)
    with pytest.raises(DataError, match="sum to 1"):
        tail_risk(np.ones(100), 0.9, weights=np.full(100, 0.1))
    with pytest.raises(ConfigError, match="level"):
        tail_risk(np.ones(100), 0.0)
    with pytest.raises(ConfigError, match="overlap"):
        tail_risk(np.ones(100), 0.9, overlap=0)
