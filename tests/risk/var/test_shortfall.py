import numpy as np
import pytest
from scipy.stats import norm

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.var import shortfall_z2

LEVEL = 0.975
VAR = norm.ppf(LEVEL)
ES = norm.pdf(VAR) / (1.0 - LEVEL)


def test_statistic_is_the_published_sum():
    pnl = np.array([-3.0, 1.0, -2.5, 0.5])
    es = np.array([2.5, 2.0, 2.5, 2.0])
    found = shortfall_z2(pnl, np.full(4, 2.0), es, LEVEL, np.zeros((4, 5)), np.random.default_rng(0), draws=9)
    assert found.statistic == pytest.approx(1.0 - (3.0 / 2.5 + 2.5 / 2.5) / (4 * 0.025))


def test_critical_value_of_the_paper_for_normal_profits():
    # Acerbi and Szekely (2014), table 3: Z2 at 5 % for T = 250 is about -0.7.
    rng = np.random.default_rng(1)
    n = 250
    pnl = np.zeros(n)
    forecasts = np.broadcast_to(norm.ppf((np.arange(4000) + 0.5) / 4000), (n, 4000))
    for excess, low, high in ((-0.70, 0.035, 0.065), (-1.8, 0.0, 0.002)):
        # A history with this statistic: one loss of the size that gives it.
        pnl[0] = -(1.0 - excess) * n * (1.0 - LEVEL) * ES
        found = shortfall_z2(pnl, np.full(n, VAR), np.full(n, ES), LEVEL, forecasts, rng, draws=4000)
        assert found.statistic == pytest.approx(excess)
        assert low <= found.p_value <= high


def test_a_right_forecast_passes_and_half_of_it_fails():
    rng = np.random.default_rng(2)
    n = 250
    forecasts = rng.standard_normal((n, 2000))
    pnl = rng.standard_normal(n)
    right = shortfall_z2(pnl, np.full(n, VAR), np.full(n, ES), LEVEL, forecasts, rng, draws=999)
    wrong = shortfall_z2(pnl, np.full(n, VAR / 2), np.full(n, ES / 2), LEVEL, forecasts / 2, rng, draws=999)
    large = shortfall_z2(pnl, np.full(n, VAR * 3), np.full(n, ES * 3), LEVEL, forecasts * 3, rng, draws=999)
    assert right.p_value > 0.05
    assert wrong.p_value < 0.01
    assert large.statistic == 1.0
    assert large.p_too_large < 0.05


def test_bad_arguments_are_refused():
    rng = np.random.default_rng(0)
    one = np.ones(3)
    with pytest.raises(DataError, match="positive shortfalls"):
        shortfall_z2(one, one, 0.0 * one, LEVEL, np.ones((3, 2)), rng)
    with pytest.raises(DataError, match="shape"):
        shortfall_z2(one, one, one, LEVEL, np.ones((2, 2)), rng)
    with pytest.raises(ConfigError, match="level"):
        shortfall_z2(one, one, one, 1.5, np.ones((3, 2)), rng)
