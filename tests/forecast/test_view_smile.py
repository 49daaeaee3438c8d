"""The expected smile of laws whose smile is known; the nowcast of a known elasticity."""

from dataclasses import replace

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY
from ivhedge.forecast import RandomWalkForecaster, walk_forward
from ivhedge.forecast.view import (
    Nowcast,
    StandardisedReturns,
    VarianceOutlook,
    fit_nowcast,
    recent_variance,
    rich_cheap,
    standardised_returns,
)

from .test_spikes import made
from .test_view import FlatSurface

TAU = np.array([7.0, 30.0]) / 365


def outlook(vol=0.5, ts_ns=0):
    n = TAU.size
    return VarianceOutlook(
        ts_ns=ts_ns,
        tau=TAU,
        variance=np.full(n, vol**2),
        log_median=np.full(n, 2 * np.log(vol)),
        log_sd=np.full(n, 0.5),
        replaced=False,
    )


def law(draw, size=4000, seed=5):
    rng = np.random.default_rng(seed)
    values = tuple(draw(rng, size) for _ in (7, 30))
    return StandardisedReturns(horizons=(7, 30), values=values)


def seen(surface, returns, **changes):
    return rich_cheap(surface, outlook(), returns, np.random.default_rng(1), **changes)


def test_normal_returns_expect_a_flat_smile():
    found = seen(FlatSurface(0, 0.5), law(lambda rng, n: rng.standard_normal(n)))
    assert found.horizon_days == (7, 30)
    assert np.all(np.abs(found.score) < 4.0)
    np.testing.assert_allclose(found.expected_vol, 0.5, atol=0.03)
    rich = seen(FlatSurface(0, 0.7), law(lambda rng, n: rng.standard_normal(n)))
    np.testing.assert_allclose(rich.premium, 0.2, atol=0.03)


def test_fat_tails_and_skew_show():
    fat = seen(FlatSurface(0, 0.5), law(lambda rng, n: rng.standard_t(4, n) * np.sqrt(0.5)))
    middle = fat.expected_vol[:, 2]
    assert np.all(fat.expected_vol[:, 0] > middle + 0.01)
    assert np.all(fat.expected_vol[:, -1] > middle + 0.01)
    # Rare large falls: puts dear, calls cheap.
    left = seen(FlatSurface(0, 0.5), law(lambda rng, n: 1.0 - rng.exponential(1.0, n)))
    assert np.all(np.diff(left.expected_vol[:, 1:4], axis=1) < 0.0)


def test_the_error_covers_the_truth_about_as_often_as_it_says():
    inside = []
    for seed in range(30):
        returns = law(lambda rng, n: rng.standard_normal(n), size=400, seed=seed)
        found = seen(FlatSurface(0, 0.5), returns, call_delta=(0.75, 0.5, 0.25), draws=60)
        inside.append(np.abs(found.expected_vol - 0.5) < 2.0 * found.error)
    assert 0.85 < np.mean(inside) <= 1.0


def test_strikes_that_were_never_reached_have_no_figure():
    found = seen(FlatSurface(0, 0.5), law(lambda rng, n: rng.uniform(-1.0, 1.0, n)), call_delta=(0.5, 0.001))
    assert np.isfinite(found.expected_vol[:, 0]).all()
    assert np.isnan(found.expected_vol[:, 1]).all()
    assert np.isnan(found.error[:, 1]).all()


def test_returns_are_divided_by_what_was_forecast(measures):
    run = walk_forward(measures, (RandomWalkForecaster(),), (1, 7), start=200)
    returns = standardised_returns(measures, run, "random walk")
    row = 200 - 1
    week = measures.log_return[row + 1 : row + 8].sum()
    assert returns.values[1][0] == pytest.approx(week / np.sqrt(7 * run.mean[0, 1, 0]))
    assert returns.values[0].size == len(measures) - 200
    assert returns.nearest(3.0)[0] == 7
    with pytest.raises(ConfigError, match="random walk"):
        standardised_returns(measures, run, "nothing")
    with pytest.raises(DataError, match="history that the run"):
        standardised_returns(measures.rows(300, len(measures)), run, "random walk")
    short = walk_forward(measures, (RandomWalkForecaster(),), (7,), start=400)
    with pytest.raises(DataError, match="250"):
        standardised_returns(measures, short, "random walk")


def test_what_is_refused():
    returns = law(lambda rng, n: rng.standard_normal(n))
    with pytest.raises(ConfigError, match="draws"):
        seen(FlatSurface(0, 0.5), returns, draws=10)
    with pytest.raises(ConfigError, match="own time"):
        seen(FlatSurface(1, 0.5), returns)


@pytest.fixture(scope="module")
def known():
    """Hourly closes whose variance from noon on is that of the 24 hours before to the power of a half."""
    from ivhedge.forecast import daily_measures

    rng = np.random.default_rng(4)
    days = 700
    variance = np.empty((days, 2))
    level = 1.0
    for day in range(days):
        surprise = np.exp(0.6 * rng.standard_normal())
        variance[day] = level * surprise, level * np.sqrt(surprise)
    scale = 0.005 * np.sqrt(np.repeat(variance, 12, axis=1))
    close = 100.0 * np.exp(np.cumsum((scale * rng.standard_normal((days, 24))).ravel()))
    bars = made(close)
    noise = close * np.exp(np.abs(0.002 * rng.standard_normal(close.size)))
    bars = replace(bars, high=noise.reshape(-1, 24), low=(2 * close - noise).reshape(-1, 24))
    first = np.concatenate([[100.0], close[:-1]])
    bars = replace(
        bars,
        open=first.reshape(-1, 24),
        high=np.maximum(bars.high, first.reshape(-1, 24)),
        low=np.minimum(bars.low, first.reshape(-1, 24)),
    )
    history = daily_measures(bars)
    return bars, walk_forward(history, (RandomWalkForecaster(),), (1, 7), start=100)


def test_a_surprise_carries_as_far_as_it_did(known):
    bars, run = known
    found = fit_nowcast(bars, run, "random walk")
    # Half of the surprise lies in the hours that are over, diluted by the noise of twelve returns.
    assert 0.05 < found.elasticity[0] < 0.5
    assert found.elasticity[0] > 3.0 * found.error[0]
    assert abs(found.elasticity[1]) < found.elasticity[0]


def test_scales():
    nowcast = Nowcast(horizons=(1, 9), elasticity=np.array([0.5, 0.1]), error=np.zeros(2), hour=12.0)
    assert nowcast.scale(4e-4, 1e-4, 1.0) == pytest.approx(2.0)
    assert nowcast.scale(4e-4, 1e-4, 3.0) == pytest.approx(4.0**0.3)
    assert nowcast.scale(1e-4, 1e-4, 30.0) == 1.0
    assert nowcast.scale(1.0, 1e-9, 1.0) == 10.0
    with pytest.raises(DataError):
        nowcast.scale(0.0, 1e-4, 1.0)


def test_the_variance_of_the_last_day(known):
    bars, _ = known
    close = bars.close.ravel()
    at = int(bars.day_ns[0]) + 10 * NS_PER_DAY + 5 * bars.interval_ns + 1
    moves = np.diff(np.log(close[240 + 5 - 25 : 240 + 5]))
    assert recent_variance(bars, at) == pytest.approx((moves**2).sum())
    with pytest.raises(DataError, match="last 24 hours"):
        recent_variance(bars, int(bars.day_ns[0]))
    with pytest.raises(DataError, match="last 24 hours"):
        recent_variance(bars, int(bars.day_ns[-1]) + 3 * NS_PER_DAY)
