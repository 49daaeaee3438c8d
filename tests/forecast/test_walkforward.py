from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, GapError
from ivhedge.forecast import (
    PROBABILITIES,
    EwmaForecaster,
    OnlineForecaster,
    RandomWalkForecaster,
    VarianceForecast,
    band_coverage,
    best_forecaster,
    forecast_term_structure,
    har,
    standard_forecasters,
    walk_forward,
)

HORIZONS = (1, 7)
# Boosting is slow and reads the same columns.
MODELS = tuple(m for m in standard_forecasters() if m.name not in ("boosting", "broad combination"))


def _perturbed(measures, row, factor):
    """Another future: every column of later rows is moved."""
    changed = {}
    for field in fields(measures):
        if field.name in ("repairs", "day_ns"):
            continue
        column = getattr(measures, field.name).copy()
        column[row:] = np.roll(column[row:], 3) * factor
        changed[field.name] = column
    return replace(measures, **changed)


@pytest.fixture(scope="module")
def run(measures):
    return walk_forward(measures, MODELS, HORIZONS, start=420)


@given(cut=st.integers(422, 478), factor=st.sampled_from([0.01, 0.3, 4.0, 50.0]))
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_another_future_changes_no_forecast(measures, run, cut, factor):
    other = walk_forward(_perturbed(measures, cut, factor), MODELS, HORIZONS, start=420)
    past = cut - 419
    np.testing.assert_allclose(other.mean[:, :, :past], run.mean[:, :, :past], rtol=1e-9)
    np.testing.assert_allclose(other.quantiles[:, :, :past], run.quantiles[:, :, :past], rtol=1e-9)
    if past < run.day_ns.size:
        assert np.any(other.mean[:, :, past:] != run.mean[:, :, past:])


@dataclass
class _Spy:
    """Notes what it is shown."""

    seen: list
    name: str = "spy"
    refit_days: int = 7
    memory: int = 30

    def fit(self, history, horizons):
        self.seen.append(len(history))
        return RandomWalkForecaster().fit(history, horizons)


def test_refits_are_weekly_on_what_is_known_and_counted(measures):
    spy = _Spy(seen=[])
    ticks = iter(range(10_000))
    out = walk_forward(measures, [spy], HORIZONS, start=450, timer=lambda: float(next(ticks)))
    assert spy.seen == [450, 457, 464, 471, 478]
    assert out.refits[0] == 5
    assert out.fit_seconds[0] == 5.0


def test_targets_are_what_came_and_unknown_ones_are_nan(measures, run):
    assert run.day_ns[0] == measures.day_ns[419]
    assert run.realised[1, 0] == pytest.approx(measures.rv[420:427].mean())
    scale = measures.rv[:420].mean() / measures.garman_klass[:420].mean()
    assert run.target[1, 0] == pytest.approx(measures.garman_klass[420:427].mean() * scale)
    assert np.isnan(run.target[0, -1:]).all()
    assert np.isnan(run.target[1, -7:]).all()
    assert not np.isnan(run.target[1, :-7]).any()


class _Wild:
    """Says nonsense every other day."""

    name, refit_days, memory = "wild", 7, 30

    def fit(self, history, horizons):
        return self

    def predict(self, history, start):
        out = np.full((len(history) - start, 2), 5e-4)
        out[(np.arange(start, len(history)) % 2).astype(bool)] = self.nonsense
        return out


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -1.0, 0.0, 1e6, 1e-12])
def test_nonsense_is_replaced_and_counted(measures, nonsense):
    wild = _Wild()
    wild.nonsense = nonsense
    out = walk_forward(measures, [wild], HORIZONS, start=440)
    assert out.replaced[0].mean() == pytest.approx(0.5, abs=0.02)
    assert np.all((out.mean > 1e-5) & (out.mean < 1e-2))
    row = 440 + int(np.flatnonzero(out.replaced[0, 0])[0])
    assert out.mean[0, 0, row - 440] == pytest.approx(measures.rv[row - 30 : row].mean())


def test_distributions_are_ordered_and_cover(run):
    assert np.all(np.diff(run.quantiles, axis=-1) > 0.0)
    for m in range(len(MODELS)):
        assert 0.7 <= band_coverage(run.target[0, :-1], run.quantiles[m, 0, :-1]) <= 1.0


def test_wrong_settings(measures):
    with pytest.raises(ConfigError, match="distinct names"):
        walk_forward(measures, [har(), har()], HORIZONS, start=400)
    with pytest.raises(DataError, match="expected a start"):
        walk_forward(measures, [har()], HORIZONS, start=480)


def test_the_live_forecaster_says_what_the_walk_forward_said(measures):
    model = best_forecaster()
    past = walk_forward(measures, [model], HORIZONS, start=440)
    live = OnlineForecaster(model, measures.rows(0, 440), HORIZONS)
    for row in range(440, len(measures)):
        live.update(measures.rows(row, row + 1))
        if live.refit_due:
            live.refit()
        for k, said in enumerate(live.forecast()):
            assert said.mean == pytest.approx(past.mean[0, k, row - 439], rel=1e-9)
            np.testing.assert_allclose(said.quantiles, past.quantiles[0, k, row - 439], rtol=1e-9)
    assert len(live.history) == len(measures)


def test_live_errors_carry_the_level_of_their_day(measures):
    """Long enough for live errors to count, with a level that drifts."""
    drifting = replace(measures, rv=measures.rv * np.exp(np.linspace(0.0, 2.0, len(measures))))
    model = EwmaForecaster(name="e", weight=0.2, use_range=True)
    past = walk_forward(drifting, [model], (1, 3), start=380)
    live = OnlineForecaster(model, drifting.rows(0, 380), (1, 3))
    for row in range(380, len(measures)):
        live.update(drifting.rows(row, row + 1))
        if live.refit_due:
            live.refit()
    for k in (0, 1):
        np.testing.assert_allclose(live.forecast()[k].quantiles, past.quantiles[0, k, -1], rtol=1e-9)


def test_several_days_at_once_are_the_same_as_one_by_one(measures):
    model = EwmaForecaster(name="e")
    one, many = (OnlineForecaster(model, measures.rows(0, 440), HORIZONS) for _ in range(2))
    for row in range(440, 460):
        one.update(measures.rows(row, row + 1))
    many.update(measures.rows(440, 460))
    np.testing.assert_array_equal(one.forecast()[1].quantiles, many.forecast()[1].quantiles)


def test_a_missing_or_repeated_day_is_refused_and_nothing_changes(measures):
    live = OnlineForecaster(har(), measures.rows(0, 440), HORIZONS)
    before = live.forecast()
    for row in (439, 441):
        with pytest.raises(GapError, match="expected the day"):
            live.update(measures.rows(row, row + 1))
    assert live.forecast() is before
    live.update(measures.rows(440, 441))


def test_term_structure(measures):
    live = OnlineForecaster(best_forecaster(), measures, (1, 2, 7, 30))
    said = live.forecast()
    curve = forecast_term_structure(live, [0.25, 1.0, 2.0, 4.5, 7.0, 30.0])
    assert curve.as_of_ns == measures.day_ns[-1] + 86_400_000_000_000
    assert curve.vol[1] == pytest.approx(said[0].vol)
    assert curve.vol[0] == pytest.approx(said[0].vol)
    assert curve.vol[5] == pytest.approx(said[3].vol)
    low, high = said[2].interval(0.9)
    assert curve.low[4] == pytest.approx(np.sqrt(low * 365))
    assert curve.high[4] == pytest.approx(np.sqrt(high * 365))
    assert np.all((curve.low < curve.vol) & (curve.vol < curve.high))
    total = curve.vol**2 * curve.tenor_days
    assert np.all(np.diff(total) >= 0.0)
    for tenors, level in (([0.0], 0.9), ([31.0], 0.9), ([5.0], 1.0), ([np.nan], 0.9)):
        with pytest.raises(ConfigError):
            forecast_term_structure(live, tenors, level=level)
    with pytest.raises(ConfigError, match="increasing"):
        OnlineForecaster(har(), measures, (7, 1))


@given(st.floats(0.001, 0.999))
def test_quantile_and_probability_are_inverse(p):
    said = VarianceForecast(horizon=1, mean=4e-4, quantiles=4e-4 * np.exp(PROBABILITIES * 3.0 - 1.5))
    assert said.cdf(float(said.quantile(p))) == pytest.approx(p, abs=1e-9)
    low, high = said.interval(0.9)
    assert (low, high) == (pytest.approx(said.quantiles[3]), pytest.approx(said.quantiles[13]))


@pytest.mark.recorded
@pytest.mark.slow
def test_the_week_beats_har_on_recorded_bitcoin(bitcoin):
    from ivhedge.forecast import diebold_mariano, qlike

    out = walk_forward(bitcoin, [har(), best_forecaster()], (1, 7, 30), start=760)
    assert not np.any(~np.isfinite(out.mean))
    use = np.isfinite(out.target)
    plain, best = (qlike(out.target[0, use[0]], out.mean[m, 0, use[0]]) for m in (0, 1))
    assert best.mean() < 0.8 * plain.mean()
    assert diebold_mariano(best, plain).p_value < 0.01
    for k in range(3):
        assert 0.85 < band_coverage(out.target[k, use[k]], out.quantiles[1, k, use[k]]) < 0.95
