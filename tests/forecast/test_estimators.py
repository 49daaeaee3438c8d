import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.forecast import (
    bars_from_frame,
    bipower_variation,
    close_to_close,
    daily_measures,
    garman_klass,
    jump_test,
    parkinson,
    realised_kernel,
    realised_quarticity,
    realised_variance,
    rogers_satchell,
    semivariances,
    weekday_of,
    yang_zhang,
)
from ivhedge.forecast.highfrequency import _tripower_quarticity

from .conftest import simulated_frame


def _returns(days=400, bars=24, vol=0.02, seed=3):
    return np.random.default_rng(seed).standard_normal((days, bars)) * vol / np.sqrt(bars)


def test_the_textbook_formulas_on_one_bar():
    o, h, low, c = (np.array([[x]]) for x in (100.0, 104.0, 99.0, 102.0))
    hl, co = np.log(104 / 99), np.log(102 / 100)
    assert parkinson(h, low)[0] == pytest.approx(hl**2 / (4 * np.log(2)))
    assert garman_klass(o, h, low, c)[0] == pytest.approx(0.5 * hl**2 - (2 * np.log(2) - 1) * co**2)
    expected = np.log(104 / 102) * np.log(1.04) + np.log(99 / 102) * np.log(0.99)
    assert rogers_satchell(o, h, low, c)[0] == pytest.approx(expected)
    assert close_to_close(np.array([co]))[0] == pytest.approx(co**2)


def test_every_estimator_finds_the_variance_of_a_diffusion():
    frame, truth = simulated_frame(700, seed=11)
    table = daily_measures(bars_from_frame(frame))
    # Thirty ticks a bar hide some of the range.
    bias = {"parkinson": 0.25, "garman_klass": 0.3, "rogers_satchell": 0.35, "yang_zhang": 0.35}
    for name in ("rv", "rv_two_bars", "kernel", "bipower", *bias):
        ratio = float(np.mean(getattr(table, name) / truth))
        assert 1.0 - bias.get(name, 0.06) < ratio < 1.06, name


def test_the_range_is_the_more_precise_measure():
    frame, truth = simulated_frame(500, seed=5)
    table = daily_measures(bars_from_frame(frame))
    noise = {n: np.std(np.log(getattr(table, n) / truth)) for n in ("rv", "garman_klass")}
    assert noise["garman_klass"] < 0.7 * noise["rv"]


def test_subsampling_keeps_the_level_and_sheds_bounce():
    rng = np.random.default_rng(1)
    clean = np.cumsum(_returns(300, 48), axis=1)
    bounced = np.diff(clean + 2e-3 * rng.choice([-1.0, 1.0], clean.shape), axis=1)
    true = float(np.mean(realised_variance(np.diff(clean, axis=1))))
    plain = float(np.mean(realised_variance(bounced)))
    for better in (realised_variance(bounced, step=4), realised_kernel(bounced, bandwidth=5)):
        assert abs(float(np.mean(better)) - true) < 0.5 * abs(plain - true)


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=30)
def test_identities(seed, step):
    r = _returns(3, 24, seed=seed)
    up, down = semivariances(r)
    np.testing.assert_allclose(up + down, realised_variance(r), rtol=1e-12)
    np.testing.assert_allclose(realised_variance(2.0 * r, step=step), 4.0 * realised_variance(r, step=step))
    np.testing.assert_allclose(realised_quarticity(2.0 * r), 16.0 * realised_quarticity(r))
    assert np.all(realised_kernel(r, bandwidth=step) >= 0.0)
    np.testing.assert_array_equal(realised_kernel(r, bandwidth=0), realised_variance(r))


def test_a_missing_bar_is_scaled_for():
    r = np.full((1, 24), 0.01)
    r[0, 5] = np.nan
    assert realised_variance(r)[0] == pytest.approx(24e-4)
    assert realised_kernel(r, bandwidth=0)[0] == pytest.approx(24e-4)


def test_the_jump_test_has_its_size_and_its_power():
    r = _returns(4000, 96)
    assert 0.03 < np.mean(jump_test(r).p_value < 0.05) < 0.085
    jumped = r.copy()
    jumped[:, 40] += 0.03
    test = jump_test(jumped)
    assert np.mean(test.p_value < 0.01) > 0.8
    assert np.mean(test.jump_variance) == pytest.approx(9e-4, rel=0.25)
    assert np.mean(bipower_variation(jumped)) < 0.6 * np.mean(realised_variance(jumped))


def test_both_quarticities_find_that_of_a_constant_volatility():
    r = _returns(3000, 96, vol=0.02)
    assert np.mean(realised_quarticity(r)) == pytest.approx(0.02**4, rel=0.03)
    assert np.mean(_tripower_quarticity(r)) == pytest.approx(0.02**4, rel=0.03)


def test_settings_that_make_no_sense():
    r = _returns(2, 24)
    for call in (
        lambda: realised_variance(r, step=0),
        lambda: realised_variance(r, step=25),
        lambda: realised_kernel(r, bandwidth=24),
        lambda: jump_test(r[:, :3]),
        lambda: yang_zhang(r[:, :2], r[:, :2], r[:, :2], r[:, :2]),
    ):
        with pytest.raises(ConfigError):
            call()


def test_weekdays():
    assert weekday_of(np.array([1_704_067_200_000_000_000]))[0] == 0  # 2024-01-01, a Monday
    assert weekday_of(np.array([0]))[0] == 3
