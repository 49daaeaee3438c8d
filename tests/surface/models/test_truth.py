import dataclasses

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.pricing import black76_price
from ivhedge.surface.models import TRUE_BATES, TRUE_DAYS, TRUE_HESTON, TruthSettings, truth_quotes

DEFAULT = TruthSettings()


@pytest.fixture(scope="module")
def truth():
    return truth_quotes(np.random.default_rng(11))


def test_shape_and_truth(truth):
    assert truth.true_vol.shape == (12 * 60,)
    assert np.unique(truth.tau).size == len(TRUE_DAYS) == 12
    assert truth.tau.min() == pytest.approx(1 / 365)
    sd = np.sqrt([TRUE_BATES.expected_variance(float(tau)) for tau in truth.tau])
    assert np.max(np.abs(truth.log_moneyness) / sd) == pytest.approx(3.2)
    np.testing.assert_allclose(
        truth.true_vol[60:120], TRUE_BATES.implied_vol(truth.log_moneyness[60:120], 2 / 365), rtol=1e-9
    )


def test_prices_are_on_the_grid_and_contain_the_spread(truth):
    for price in (truth.bid_coin, truth.ask_coin):
        steps = price / 1e-4
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert np.all(truth.ask_coin > truth.bid_coin)
    keep = truth.two_sided
    k, tau = truth.log_moneyness[keep], truth.tau[keep]
    again = black76_price(1.0, np.exp(k), tau, truth.bid_vol[keep], k >= 0.0)
    np.testing.assert_allclose(again, truth.bid_coin[keep], rtol=1e-9)
    width = 0.5 * (truth.ask_vol - truth.bid_vol)[keep]
    assert np.all(width >= 0.006 - 1e-12)
    # Widening in the wings: at a year the tick adds next to nothing.
    year = tau == tau.max()
    assert width[year][0] > 2.0 * width[year][width[year].size // 2]


def test_bids_below_one_tick_are_dropped(truth):
    lost = ~truth.two_sided
    assert 0 < lost.sum() < 0.2 * lost.size
    assert np.isnan(truth.bid_vol[truth.bid_coin < 1e-4]).all()
    assert len(truth.quotes) == truth.two_sided.sum()
    assert truth.tau[lost].max() < 0.2


def test_mids_are_shifted_but_not_biased():
    settings = dataclasses.replace(DEFAULT, tick=0.0)
    truth = truth_quotes(np.random.default_rng(5), TRUE_HESTON, settings)
    centre = 0.5 * (truth.bid_vol + truth.ask_vol)
    shift = (centre - truth.true_vol) / (truth.ask_vol - truth.bid_vol) * 2.0
    assert np.max(np.abs(shift)) <= 0.5 + 1e-6
    assert abs(np.mean(shift)) < 0.05
    assert np.std(shift) == pytest.approx(0.5 / np.sqrt(3.0), rel=0.1)


def test_outliers_have_the_asked_share_and_size():
    settings = dataclasses.replace(DEFAULT, bad_share=0.2, tick=0.0, mid_noise=0.0)
    truth = truth_quotes(np.random.default_rng(5), TRUE_HESTON, settings)
    assert truth.bad.mean() == pytest.approx(0.2, abs=0.05)
    error = np.abs(0.5 * (truth.bid_vol + truth.ask_vol) - truth.true_vol)
    assert error[truth.bad].min() > 0.049
    assert error[truth.bad].max() < 0.251
    assert error[~truth.bad].max() < 1e-6


def test_the_generator_decides_everything():
    small = dataclasses.replace(DEFAULT, days=(7.0,), bad_share=0.1)
    one, same, other = (truth_quotes(np.random.default_rng(s), settings=small) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.bid_coin, same.bid_coin)
    assert (one.bid_coin != other.bid_coin).any()


@pytest.mark.parametrize(
    "change",
    [
        {"days": ()},
        {"days": (2.0, 1.0)},
        {"days": (0.0, 1.0)},
        {"n_strikes": 1},
        {"width_sd": 0.0},
        {"half_spread": 0.0},
        {"tick": -1.0},
        {"bad_share": 1.5},
        {"bad_size": (0.2, 0.1)},
    ],
)
def test_settings_are_checked(change):
    with pytest.raises(ConfigError, match="expected"):
        dataclasses.replace(DEFAULT, **change)


def test_a_tick_above_all_prices_leaves_nothing():
    coarse = TruthSettings(days=(1.0,), tick=0.5)
    truth = truth_quotes(np.random.default_rng(0), settings=coarse)
    with pytest.raises(DataError, match="tick"):
        _ = truth.quotes
