from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, chi2

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.var import (
    christoffersen_conditional_coverage,
    christoffersen_independence,
    exceedances,
    kupiec,
)


def hits_of(n, *places):
    hits = np.zeros(n, dtype=bool)
    hits[list(places)] = True
    return hits


@pytest.mark.parametrize(("n", "x"), [(250, 0), (250, 2), (250, 9), (75, 3), (150, 150)])
def test_kupiec_ratio_is_that_of_the_binomial_likelihoods(n, x):
    found = kupiec(hits_of(n, *range(x)), 0.99)
    expected = 2.0 * (binom.logpmf(x, n, x / n) - binom.logpmf(x, n, 0.01))
    assert found.statistic == pytest.approx(expected, rel=1e-9)
    assert found.p_asymptotic == pytest.approx(chi2.sf(expected, 1), rel=1e-9)
    assert (found.days, found.exceedances) == (n, x)
    assert found.expected == pytest.approx(0.01 * n)


def test_kupiec_rejects_the_counts_that_his_tables_reject():
    # Kupiec (1995), table for T = 255 at 99 %: not rejected at 5 % for fewer than 7 failures.
    asymptotic = [kupiec(hits_of(255, *range(x)), 0.99).p_asymptotic for x in range(10)]
    assert [p >= 0.05 for p in asymptotic] == [False] + [True] * 6 + [False] * 3
    assert kupiec(hits_of(255), 0.99).p_value > 0.05  # none is the likeliest way to be below: exact says so


@settings(deadline=None)
@given(x=st.integers(0, 30), level=st.sampled_from([0.9, 0.95, 0.99]))
def test_kupiec_exact_p_is_a_binomial_probability_of_outcomes(x, level):
    found = kupiec(hits_of(60, *range(x)), level)
    outcomes = binom.pmf(np.arange(61), 60, 1.0 - level)
    assert outcomes[x] <= found.p_value + 1e-12
    assert 0.0 < found.p_value <= 1.0
    # The two-sided exact test of scipy orders by probability, not by ratio: same verdict far out.
    if binomtest(x, 60, 1.0 - level).pvalue < 1e-3:
        assert found.p_value < 0.01


def test_independence_by_hand_and_by_scipy():
    # 1 1 0 0 0 1 0 0 0 0: n00 = 5, n01 = 1, n10 = 2, n11 = 1.
    hits = hits_of(10, 0, 1, 5)
    found = christoffersen_independence(hits, 0.99, np.random.default_rng(1), draws=99)
    rows = np.array([[5.0, 1.0], [2.0, 1.0]])
    pooled = rows.sum(axis=0) / rows.sum()
    own = rows / rows.sum(axis=1, keepdims=True)
    assert found.statistic == pytest.approx(2.0 * (rows * np.log(own / pooled)).sum(), rel=1e-12)
    assert found.p_asymptotic == pytest.approx(chi2.sf(found.statistic, 1), rel=1e-12)


def test_clusters_are_found_and_isolated_exceedances_pass():
    rng = np.random.default_rng(2)
    cluster, alone = hits_of(150, 50, 51, 52, 53), hits_of(150, 10, 60, 100, 140)
    assert christoffersen_independence(cluster, 0.99, rng).p_value < 0.001
    assert christoffersen_independence(alone, 0.99, rng).p_value > 0.5
    both = christoffersen_conditional_coverage(cluster, 0.99, rng)
    assert both.p_value < 0.01
    assert both.statistic == pytest.approx(
        kupiec(cluster, 0.99).statistic + christoffersen_independence(cluster, 0.99, rng).statistic
    )


def test_simulated_p_values_hold_their_size():
    rng = np.random.default_rng(3)
    rejected = [
        christoffersen_conditional_coverage(rng.random(120) < 0.05, 0.95, rng, draws=199).p_value <= 0.05
        for _ in range(300)
    ]
    assert np.mean(rejected) < 0.05 + 3.0 * np.sqrt(0.05 * 0.95 / 300)


def test_simulated_p_is_the_share_of_orders_at_least_as_unlikely():
    def ratio(places):
        hits = hits_of(10, *places)
        rows = np.zeros((2, 2))
        np.add.at(rows, (hits[:-1].astype(int), hits[1:].astype(int)), 1.0)
        own, pooled = rows / rows.sum(axis=1, keepdims=True), rows.sum(axis=0) / rows.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            return 2.0 * np.nansum(rows * np.log(own / pooled))

    ratios = {places: ratio(places) for places in combinations(range(10), 3)}
    for places in ((3, 4, 5), (0, 4, 5), (1, 4, 7)):
        share = np.mean([r >= ratios[places] - 1e-9 for r in ratios.values()])
        found = christoffersen_independence(hits_of(10, *places), 0.8, np.random.default_rng(4), draws=20_000)
        assert found.p_value == pytest.approx(share, abs=0.012)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.floats(0.01, 5))
def test_exceedances_are_losses_strictly_beyond(pnl, var):
    found = exceedances(pnl, np.full(len(pnl), var))
    assert found.tolist() == [p + var < 0 and p < -var for p in pnl]


def test_a_loss_at_the_bound_is_no_exceedance():
    assert exceedances([-2.0, -2.0000001, 5.0], [2.0, 2.0, -6.0]).tolist() == [False, True, True]


@pytest.mark.parametrize("pnl", [[np.nan, 1.0], [], [[1.0]]])
def test_days_without_a_number_are_refused(pnl):
    with pytest.raises(DataError):
        exceedances(pnl, np.ones(np.shape(pnl)))


def test_bad_arguments_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="level"):
        kupiec(hits_of(5), 1.0)
    with pytest.raises(DataError, match="booleans"):
        kupiec(np.zeros(5), 0.99)
    with pytest.raises(DataError, match="two days"):
        christoffersen_independence(hits_of(1), 0.99, rng)
    with pytest.raises(ConfigError, match="draw"):
        christoffersen_conditional_coverage(hits_of(5), 0.99, rng, draws=0)
