"""Scores of several forecasters against each other."""

from dataclasses import replace

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY
from ivhedge.forecast import PROBABILITIES, ForecastRun, compare_forecasts, diebold_mariano, qlike

DAYS = 400


@pytest.fixture(scope="module")
def run():
    """A truth, a forecast of it with little noise, one with much, and the latter once more."""
    rng = np.random.default_rng(1)
    truth = 1e-3 * np.exp(0.3 * rng.standard_normal((2, DAYS)))
    good = truth * np.exp(0.1 * rng.standard_normal(truth.shape))
    bad = truth * np.exp(0.6 * rng.standard_normal(truth.shape))
    mean = np.array([good, bad, bad])
    normal = np.sort(rng.standard_normal((2000, len(PROBABILITIES))), axis=0)
    spread = np.exp(0.5 * np.quantile(normal[:, 0], PROBABILITIES))
    truth[:, -5:] = np.nan
    return ForecastRun(
        names=("good", "bad", "twin"),
        horizons=(1, 7),
        day_ns=NS_PER_DAY * np.arange(20_000, 20_000 + DAYS),
        mean=mean,
        quantiles=mean[..., None] * spread,
        target=truth,
        realised=truth,
        replaced=np.zeros(mean.shape, dtype=bool),
        refits=np.ones(3, dtype=np.int64),
        fit_seconds=np.zeros(3),
    )


def test_the_figures_are_those_of_their_definitions(run):
    found = compare_forecasts(run, np.random.default_rng(2), baseline="bad")
    assert found.days == (DAYS - 5, DAYS - 5)
    for at, horizon in enumerate(found.horizons):
        best, *others = found.at(horizon)
        y = run.target[at, : DAYS - 5]
        losses = [qlike(y, run.mean[m, at, : DAYS - 5]) for m in (0, 1)]
        assert best.name == "good"
        assert best.qlike == pytest.approx(losses[0].mean())
        assert best.ratio == pytest.approx(losses[0].mean() / losses[1].mean())
        assert best.ratio_low < best.ratio < best.ratio_high < 0.5
        assert best.p_value == diebold_mariano(*losses, horizon=horizon).p_value
        assert best.set_p == 1.0
        inside = (y >= run.quantiles[0, at, : DAYS - 5, 3]) & (y <= run.quantiles[0, at, : DAYS - 5, 13])
        assert best.coverage == pytest.approx(inside.mean())
        # The baseline and its twin: the same losses, no test, a ratio of one without any doubt.
        for same in others:
            assert (same.ratio, same.ratio_low, same.ratio_high, same.p_value) == (1.0, 1.0, 1.0, None)
            assert same.set_p < 0.05


def test_only_the_days_asked_for_are_judged(run):
    since = int(run.day_ns[200])
    late = compare_forecasts(run, np.random.default_rng(2), baseline="bad", since_ns=since)
    assert late.days == (DAYS - 205,) * 2
    assert late.first_ns == since
    spoilt = replace(run, mean=np.where(np.arange(DAYS) < 200, 10.0 * run.mean, run.mean))
    again = compare_forecasts(spoilt, np.random.default_rng(2), baseline="bad", since_ns=since)
    assert again.scores == late.scores


def test_the_same_seed_gives_the_same_scores(run):
    first, second = (compare_forecasts(run, np.random.default_rng(3), baseline="bad") for _ in range(2))
    assert first == second


def test_what_is_refused(run):
    rng = np.random.default_rng(2)
    with pytest.raises(ConfigError, match=r"good.*'HAR'"):
        compare_forecasts(run, rng)
    with pytest.raises(DataError, match="at least 60 days"):
        compare_forecasts(run, rng, baseline="bad", since_ns=int(run.day_ns[-50]))
    with pytest.raises(ConfigError, match="30"):
        compare_forecasts(run, rng, baseline="bad").at(30)
