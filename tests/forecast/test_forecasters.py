from dataclasses import replace

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.forecast import (
    BoostingForecaster,
    Calendar,
    Combination,
    EwmaForecaster,
    GarchForecaster,
    GarchKind,
    GatedCombination,
    HarForecaster,
    RandomWalkForecaster,
    RealisedGarchForecaster,
    RoughForecaster,
    best_forecaster,
    blocks,
    boosting_available,
    forward_season,
    har,
    hurst_exponent,
    implied_forecaster,
    rough_kernel,
    season_factors,
    standard_forecasters,
    weekday_shares,
)
from ivhedge.forecast._garch_kernel import _filter_kernel, filter_variance
from ivhedge.forecast.rolling import exponential_mean, forward_mean, kernel_mean, trailing_mean

HORIZONS = (1, 7, 30)
MODELS = {m.name: m for m in standard_forecasters()}


@pytest.mark.parametrize("name", MODELS)
def test_forecasts_are_near_what_comes(measures, name):
    fit = MODELS[name].fit(measures.rows(0, 400), HORIZONS)
    said = fit.predict(measures, 399)
    assert said.shape == (len(measures) - 399, 3)
    came = np.column_stack([forward_mean(measures.rv, h)[399:] for h in HORIZONS])
    known = np.isfinite(came)
    assert np.all(np.isfinite(said))
    assert 0.5 < np.exp(np.mean(np.log(came[known] / said[known]))) < 2.0


@pytest.mark.parametrize("name", MODELS)
def test_a_row_depends_on_its_memory_alone(measures, name):
    model = MODELS[name]
    fit = model.fit(measures.rows(0, 380), HORIZONS)
    whole = fit.predict(measures, 440)
    tail = measures.rows(440 - model.memory, len(measures)) if model.memory < 440 else measures
    np.testing.assert_allclose(fit.predict(tail, min(model.memory, 440)), whole, rtol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_later_days_change_no_earlier_forecast(measures, name):
    fit = MODELS[name].fit(measures.rows(0, 380), HORIZONS)
    np.testing.assert_allclose(
        fit.predict(measures.rows(0, 421), 400), fit.predict(measures, 400)[:21], rtol=1e-10
    )


def test_har_is_weighted_least_squares(measures):
    beta = har().fit(measures, (7,)).coefficients[0]
    rows = range(30, len(measures) - 7)
    x = np.array([[1.0, *(measures.rv[t + 1 - d : t + 1].mean() for d in (1, 7, 30))] for t in rows])
    y = np.array([measures.rv[t + 1 : t + 8].mean() for t in rows])
    root = 1.0 / np.maximum(np.median(y), x[:, 3])
    # The normal equations hold.
    score = x.T @ ((y - x @ beta[:4]) * root**2)
    np.testing.assert_allclose(score / (x.T @ (y * root**2)), 0.0, atol=1e-9)


def test_the_week_is_learnt(measures):
    factors = season_factors(measures.garman_klass, measures.weekday)
    assert factors.mean() == pytest.approx(1.0)
    assert factors[5:].max() < 0.6 < 0.9 < factors[:5].min()
    plain = HarForecaster(name="a", columns=(blocks.log_gk,))
    aware = replace(plain, name="b", calendar=Calendar.WEEKDAYS)
    start, friday = 400, measures.weekday[400:] == 4
    for model, low, high in ((aware, 0.25, 0.6), (plain, 0.7, 1.5)):
        said = model.fit(measures.rows(0, 400), (1,)).predict(measures, start)[:, 0]
        ratio = said[friday].mean() / said[measures.weekday[400:] == 1].mean()
        assert low < ratio < high


def test_shares_of_the_days_ahead():
    shares = weekday_shares(np.array([4, 6]), 3)  # after a Friday: Saturday, Sunday, Monday
    np.testing.assert_allclose(shares[0], [1 / 3, 0, 0, 0, 0, 1 / 3, 1 / 3])
    np.testing.assert_allclose(shares[1], [1 / 3, 1 / 3, 1 / 3, 0, 0, 0, 0])
    np.testing.assert_allclose(weekday_shares(np.arange(7), 14), np.full((7, 7), 1 / 7))
    assert forward_season(np.array([4]), 1, np.arange(7.0))[0] == 5.0
    with pytest.raises(ConfigError):
        weekday_shares(np.array([1]), 0)
    with pytest.raises(ConfigError):
        season_factors(np.ones(3), np.arange(3))


def test_means_over_the_past():
    x = np.arange(1.0, 11.0)
    np.testing.assert_allclose(trailing_mean(x, 3)[2:], x[1:-1])
    assert np.isnan(trailing_mean(x, 3)[:2]).all()
    np.testing.assert_allclose(forward_mean(x, 2)[:-2], x[:-2] + 1.5)
    assert np.isnan(forward_mean(x, 2)[-2:]).all()
    np.testing.assert_allclose(exponential_mean(np.full(9, 3.0), 0.2), 3.0)
    assert kernel_mean(x, np.array([0.75, 0.25]))[5] == pytest.approx(0.75 * 6 + 0.25 * 5)
    assert kernel_mean(x, np.array([0.75, 0.25]))[0] == 1.0


def test_ewma_and_random_walk(measures):
    said = RandomWalkForecaster().fit(measures, (1, 30)).predict(measures, 479)
    assert said[0, 0] == pytest.approx(measures.rv[-7:].mean())
    assert said[0, 1] == pytest.approx(measures.rv[-30:].mean())
    ewma = EwmaForecaster(name="e", weight=1.0 - 1e-12).fit(measures, (1,)).predict(measures, 479)
    assert ewma[0, 0] == pytest.approx(measures.log_return[-1] ** 2)


@pytest.mark.parametrize("egarch", [False, True])
def test_the_recursion_by_hand(egarch):
    e = np.array([1.0, -2.0, 0.5])
    x = np.array([0.1, 0.05, 0.04, 0.9, 5.0])
    h, deviance = filter_variance(e, x, first=1.5, egarch=egarch, mean_abs=0.7)
    expected = [1.5]
    for value in e:
        last = expected[-1]
        if egarch:
            z = value / np.sqrt(last)
            expected.append(np.exp(0.1 + 0.05 * (abs(z) - 0.7) + 0.04 * z + 0.9 * np.log(last)))
        else:
            expected.append(0.1 + (0.05 + 0.04 * (value < 0)) * value**2 + 0.9 * last)
    np.testing.assert_allclose(h, expected)
    by_hand = np.sum(np.log(h[:-1]) + 6.0 * np.log1p(e**2 / (h[:-1] * 3.0)))
    assert deviance == pytest.approx(by_hand)


def test_the_compiled_recursion_equals_its_plain_twin():
    e = np.random.default_rng(0).standard_normal(300)
    x = np.array([0.05, 0.08, 0.03, 0.88, 6.0])
    for egarch in (False, True):
        h, deviance = filter_variance(e, x, first=1.0, egarch=egarch, mean_abs=0.75)
        out = np.empty(301)
        total = _filter_kernel.py_func(e, 0.05, 0.08, 0.03, 0.88, 0.75, 1.0, egarch, 6.0, out)
        np.testing.assert_allclose(h, out, rtol=1e-12)
        assert deviance == pytest.approx(total, rel=1e-12)


def test_garch_finds_the_persistence_of_a_simulated_path(measures):
    rng = np.random.default_rng(8)
    n, h = 3000, 4.0
    r = np.empty(n)
    for t in range(n):
        r[t] = np.sqrt(h) * rng.standard_t(6) * np.sqrt(4 / 6)
        h = 0.2 + 0.08 * r[t] ** 2 + 0.87 * h
    made = replace(
        measures, **{f: np.resize(getattr(measures, f), n) for f in ("day_ns", "rv", "garman_klass")}
    )
    fit = GarchForecaster(window=3000).fit(replace(made, log_return=r / 100.0), HORIZONS)
    _, alpha, gamma, beta, dof = fit.parameters
    assert gamma == 0.0
    assert alpha + beta == pytest.approx(0.95, abs=0.03)
    assert 4.0 < dof < 10.0


def test_long_garch_forecasts_return_to_the_mean(measures):
    for kind in GarchKind:
        said = GarchForecaster(kind=kind).fit(measures, (1, 30, 250)).predict(measures, 300)
        assert np.all(said > 0.0)
        assert np.ptp(np.log(said[:, 2])) < np.ptp(np.log(said[:, 0]))


def test_hurst_exponent_of_known_processes():
    rng = np.random.default_rng(4)
    assert hurst_exponent(np.cumsum(rng.standard_normal(5000))) == pytest.approx(0.48, abs=0.04)
    assert hurst_exponent(rng.standard_normal(5000)) < 0.05
    with pytest.raises(DataError):
        hurst_exponent(np.zeros(50))
    kernel = rough_kernel(0.1, 7)
    assert kernel.sum() == pytest.approx(1.0)
    assert np.all(np.diff(kernel) < 0.0)
    # A rougher path forgets the last day faster than a smoother one.
    assert rough_kernel(0.05, 1)[0] < rough_kernel(0.4, 1)[0]


def test_rough_volatility_of_a_constant_is_the_constant(measures):
    n = len(measures)
    flat = replace(measures, garman_klass=np.full(n, 4e-4), rv=np.full(n, 5e-4))
    # A constant has no roughness; the wiggle gives the estimate something to hold.
    flat = replace(flat, garman_klass=flat.garman_klass * np.exp(1e-6 * np.sin(np.arange(n))))
    said = RoughForecaster(weekly=False).fit(flat, HORIZONS).predict(flat, n - 1)
    np.testing.assert_allclose(said, 5e-4, rtol=1e-4)


def test_implied_volatility_helps_where_it_knows_and_is_left_out_where_it_is_absent(measures):
    known = measures.rows(0, len(measures) - 1)
    rng = np.random.default_rng(1)
    # An oracle: tomorrow's variance, with a little noise.
    vol = np.sqrt(measures.garman_klass[1:] * 365.0 * np.exp(0.1 * rng.standard_normal(len(known))))
    told = known.with_implied_variance(known.day_ns, vol)
    target = measures.garman_klass[301:]

    def loss(model, data):
        said = model.fit(data.rows(0, 300), (1,)).predict(data, 300)[:, 0]
        return np.std(np.log(target / said))

    augmented = implied_forecaster().on_trial
    assert loss(augmented, told) < 0.7 * loss(best_forecaster(), told)
    without = implied_forecaster().fit(known, HORIZONS).predict(known, 400)
    np.testing.assert_allclose(without, best_forecaster().fit(known, HORIZONS).predict(known, 400))
    with pytest.raises(DataError, match="vol points"):
        known.with_implied_variance(known.day_ns, vol * 100.0)


def _with_an_oracle(measures, noise, seed=1):
    """Implied variance that is tomorrow's variance, with log-normal noise."""
    known = measures.rows(0, len(measures) - 1)
    rng = np.random.default_rng(seed)
    vol = np.sqrt(measures.garman_klass[1:] * 365.0 * np.exp(noise * rng.standard_normal(len(known))))
    return known.with_implied_variance(known.day_ns, np.minimum(vol, 4.9))


def _gate(**changes):
    both = implied_forecaster()
    return replace(both, trial_days=150, **changes)


def test_a_member_on_trial_joins_only_where_its_record_is_better(measures):
    useful = _with_an_oracle(measures, 0.1)
    gate = _gate()
    fit = gate.fit(useful, (1,))
    assert fit.joins.tolist() == [True]
    three = (*gate.members, gate.on_trial)
    together = Combination(name="c", members=three).fit(useful, (1,)).predict(useful, 440)
    np.testing.assert_allclose(fit.predict(useful, 440), together)
    # A record that fails: the index was good until the trial began and is noise since.
    vol = np.sqrt(useful.implied_variance * 365.0)
    vol[-150:] = np.exp(np.random.default_rng(3).normal(-0.5, 1.0, 150)).clip(0.05, 4.0)
    spoilt = useful.with_implied_variance(useful.day_ns, vol)
    refused = gate.fit(spoilt, (1,))
    assert refused.joins.tolist() == [False]
    plain = best_forecaster().fit(spoilt, (1,)).predict(spoilt, 440)
    np.testing.assert_allclose(refused.predict(spoilt, 440), plain)


def test_a_trial_needs_a_record_and_sees_no_future(measures):
    useful = _with_an_oracle(measures, 0.1)
    assert not _gate().fit(useful.rows(0, 290), (1,)).joins.any()
    assert not _gate(margin=1e6).fit(useful, (1,)).joins.any()
    known = useful.rows(0, 400)
    later = replace(useful, garman_klass=np.where(np.arange(479) < 400, useful.garman_klass, 1.0))
    first, second = (_gate().fit(h.rows(0, 400), HORIZONS) for h in (known, later))
    np.testing.assert_array_equal(first.joins, second.joins)
    with pytest.raises(ConfigError, match="trial_days"):
        replace(_gate(), trial_days=10)
    with pytest.raises(ConfigError, match="member"):
        GatedCombination(name="g", members=(), on_trial=har())


def test_realised_garch_finds_the_parameters_of_a_simulated_path(measures):
    rng = np.random.default_rng(5)
    n, log_h = 3000, 1.0
    omega, beta, gamma, xi, phi = 0.1, 0.55, 0.4, -0.2, 1.0
    r, log_x = np.empty(n), np.empty(n)
    for t in range(n):
        z = rng.standard_normal()
        r[t] = np.exp(0.5 * log_h) * z
        log_x[t] = xi + phi * log_h - 0.07 * z + 0.05 * (z * z - 1.0) + 0.4 * rng.standard_normal()
        log_h = omega + beta * log_h + gamma * log_x[t]
    names = ("day_ns", "rv", "garman_klass")
    made = replace(measures, **{f: np.resize(getattr(measures, f), n) for f in names})
    x = np.exp(log_x) / 1e4
    made = replace(made, log_return=r / 100.0, garman_klass=x, rv=x)
    fit = RealisedGarchForecaster(window=n).fit(made, HORIZONS)
    assert fit.beta == pytest.approx(beta, abs=0.06)
    assert fit.gamma == pytest.approx(gamma, abs=0.06)
    assert fit.beta + fit.gamma * fit.measured.phi == pytest.approx(beta + gamma * phi, abs=0.02)
    assert fit.measured.unexplained == pytest.approx(0.16, rel=0.1)
    # What it says of tomorrow is unbiased on the path it was made for.
    said = fit.predict(made, 100)[:-1, 0]
    assert np.mean(x[101:] / said) == pytest.approx(1.0, abs=0.03)
    month = fit.predict(made, 100)[:-30, 2]
    assert np.mean(forward_mean(x, 30)[100:-30] / month) == pytest.approx(1.0, abs=0.06)


def test_combinations(measures):
    a, b = (EwmaForecaster(name=n, weight=w) for n, w in (("a", 0.1), ("b", 0.3)))
    both = Combination(name="c", members=(a, b)).fit(measures, (1,)).predict(measures, 470)
    x, y = (m.fit(measures, (1,)).predict(measures, 470) for m in (a, b))
    np.testing.assert_allclose(both, np.sqrt(x * y))
    with pytest.raises(ConfigError):
        Combination(name="c", members=(a,))


@pytest.mark.parametrize("name", MODELS)
def test_too_short_a_history_says_what_is_needed(measures, name):
    with pytest.raises(DataError, match=r"expected at least .* days"):
        MODELS[name].fit(measures.rows(0, 20), HORIZONS)
    with pytest.raises(ConfigError, match="horizons of at least 1"):
        MODELS[name].fit(measures, (0, 1))


def test_boosting_without_its_library_says_so(measures, monkeypatch):
    monkeypatch.setattr("ivhedge.forecast.boosting.boosting_available", lambda: False)
    with pytest.raises(ConfigError, match=r"ivhedge\[forecast\]"):
        BoostingForecaster().fit(measures, HORIZONS)


@pytest.mark.skipif(not boosting_available(), reason="scikit-learn is not installed")
def test_boosting_is_in_the_comparison():
    assert "boosting" in MODELS
