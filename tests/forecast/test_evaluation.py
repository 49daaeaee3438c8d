import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.forecast import (
    PROBABILITIES,
    block_indices,
    diebold_mariano,
    log_squared_error,
    mincer_zarnowitz,
    model_confidence_set,
    pit,
    qlike,
)


@given(st.floats(1e-6, 1e-1), st.floats(1e-6, 1e-1))
def test_losses_are_zero_only_for_the_truth(y, f):
    a, b = np.array([y]), np.array([f])
    assert qlike(a, b)[0] >= -1e-15
    assert qlike(a, a)[0] == 0.0
    assert log_squared_error(a, b)[0] == pytest.approx(np.log(y / f) ** 2)


def test_qlike_prefers_the_mean():
    y = np.exp(np.random.default_rng(0).standard_normal(20_000))
    losses = [qlike(y, np.full(y.size, f)).mean() for f in (0.8 * y.mean(), y.mean(), 1.25 * y.mean())]
    assert losses[1] == min(losses)
    assert losses[0] > losses[2]


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_losses_refuse_what_is_not_positive(bad):
    good, broken = np.ones(3), np.array([1.0, bad, 1.0])
    for y, f in ((good, broken), (broken, good)):
        with pytest.raises(DataError, match=r"at \(1,\)"):
            qlike(y, f)


def test_diebold_mariano_has_its_size():
    rng = np.random.default_rng(5)
    rejected = [diebold_mariano(*rng.standard_normal((2, 250)) ** 2).p_value < 0.05 for _ in range(400)]
    assert 0.02 < np.mean(rejected) < 0.11


def test_diebold_mariano_allows_for_overlap():
    rng = np.random.default_rng(6)
    rejected = {1: 0, 20: 0}
    for _ in range(200):
        noise = np.convolve(rng.standard_normal(419), np.ones(20) / 20, "valid")
        for horizon in rejected:
            rejected[horizon] += diebold_mariano(noise, np.zeros(400), horizon=horizon).p_value < 0.05
    assert rejected[20] < 0.7 * rejected[1]
    assert rejected[20] < 50


def test_diebold_mariano_by_hand():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 30))
    d = a - b
    c = d - d.mean()
    variance = c @ c + 2 * sum((1 - k / 4) * (c[k:] @ c[:-k]) for k in (1, 2, 3))
    expected = d.mean() / np.sqrt(variance / 30 / 30) * np.sqrt((30 + 1 - 2) / 30)
    assert diebold_mariano(a, b).statistic == pytest.approx(expected)


def test_diebold_mariano_refuses_the_same_forecast_and_few_days():
    x = np.random.default_rng(0).standard_normal(100)
    with pytest.raises(DataError, match="same forecast twice"):
        diebold_mariano(x, x)
    with pytest.raises(DataError, match="at least 60 days"):
        diebold_mariano(x[:50], x[50:], horizon=31)


def test_mincer_zarnowitz_finds_a_line():
    rng = np.random.default_rng(3)
    f = np.exp(rng.standard_normal(2000))
    fit = mincer_zarnowitz(np.exp(0.3 + 0.8 * np.log(f) + 0.2 * rng.standard_normal(2000)), f)
    assert fit.intercept == pytest.approx(0.3, abs=4 * fit.intercept_error)
    assert fit.slope == pytest.approx(0.8, abs=4 * fit.slope_error)
    assert fit.slope_error == pytest.approx(0.2 / np.sqrt(2000), rel=0.3)
    assert fit.r_squared == pytest.approx(0.64 / 0.68, abs=0.02)


def test_pit_of_the_truth_is_uniform():
    from scipy.special import ndtri

    rng = np.random.default_rng(9)
    centre = rng.standard_normal(4000)
    quantiles = np.exp(centre[:, None] + ndtri(PROBABILITIES))
    values = np.sort(pit(np.exp(centre + rng.standard_normal(4000)), quantiles))
    assert np.abs(values - (np.arange(4000) + 0.5) / 4000).max() < 0.03


def test_the_confidence_set_keeps_the_best_and_drops_the_bad():
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((600, 1))
    losses = noise + 0.3 * rng.standard_normal((600, 5)) + np.array([0.0, 0.0, 0.0, 0.1, 1.0])
    chosen = model_confidence_set(losses, np.random.default_rng(0))
    assert set(chosen.members()) <= {0, 1, 2}
    assert chosen.p_values.max() == 1.0
    assert chosen.eliminated[0] == 4
    assert sorted(chosen.eliminated) == [0, 1, 2, 3, 4]
    assert np.all(np.diff(chosen.p_values[chosen.eliminated]) >= 0.0)


def test_the_confidence_set_covers_equals():
    rng = np.random.default_rng(12)
    kept = []
    for _ in range(60):
        losses = rng.standard_normal((200, 4))
        kept.append(0 in model_confidence_set(losses, rng, block=2, draws=300).members(0.9))
    assert np.mean(kept) > 0.8


def test_the_confidence_set_bears_identical_models():
    losses = np.random.default_rng(4).standard_normal((100, 1)) * np.ones((1, 3))
    assert np.all(model_confidence_set(losses, np.random.default_rng(0)).p_values == 1.0)


def test_the_confidence_set_agrees_with_arch():
    arch = pytest.importorskip("arch.bootstrap")
    rng = np.random.default_rng(20)
    losses = rng.standard_normal((400, 6)) + np.array([0.0, 0.03, 0.06, 0.1, 0.15, 0.4])
    theirs = arch.MCS(losses, size=0.1, reps=2000, block_size=5, method="R", seed=3)
    theirs.compute()
    column = theirs.pvalues["Pvalue"]
    expected = np.empty(6)
    expected[[int(i) for i in column.index]] = column.to_numpy()
    ours = model_confidence_set(losses, np.random.default_rng(1), block=5, draws=2000).p_values
    np.testing.assert_allclose(ours, expected, atol=0.05)


def test_wrong_input_to_the_confidence_set():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="at least 2 models"):
        model_confidence_set(np.ones((50, 1)), rng)
    with pytest.raises(ConfigError, match="block"):
        model_confidence_set(np.ones((50, 2)), rng, block=40)
    with pytest.raises(DataError, match="finite"):
        model_confidence_set(np.full((50, 2), np.nan), rng)


def test_blocks_are_runs_of_days():
    rows = block_indices(50, 5, 20, np.random.default_rng(0))
    assert rows.shape == (20, 50)
    steps = np.diff(rows.reshape(20, 10, 5), axis=2) % 50
    assert np.all(steps == 1)
