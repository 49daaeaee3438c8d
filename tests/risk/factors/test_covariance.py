import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core import NS_PER_DAY
from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.factors.covariance import FLOOR, ewma_weights, shrink_covariance


def by_definition(x, bound=np.inf):
    """Ledoit-Wolf on standardised rows, written out as in the paper, row by row."""
    n, p = x.shape
    z = x / np.sqrt((x**2).mean(axis=0))
    z = np.array([row * min(1.0, bound * np.sqrt(p) / np.linalg.norm(row)) for row in z])
    z = z / np.sqrt((z**2).mean(axis=0))
    sample = z.T @ z / n
    m = np.trace(sample) / p
    d2 = np.linalg.norm(sample - m * np.eye(p), "fro") ** 2 / p
    b2 = sum(np.linalg.norm(np.outer(row, row) - sample, "fro") ** 2 / p for row in z) / n**2
    b2 = min(b2, d2)
    return b2 / d2, b2 / d2 * m * np.eye(p) + (1 - b2 / d2) * sample


@pytest.mark.parametrize("bound", [np.inf, 1.2])
def test_against_the_paper_row_by_row(bound):
    rng = np.random.default_rng(2)
    x = rng.standard_t(5, (80, 6)) @ rng.standard_normal((6, 6)) * np.array([1, 10, 0.1, 1, 5, 1e-3])
    found = shrink_covariance(x, bound=bound)
    intensity, correlation = by_definition(x, bound)
    assert 0.01 < intensity < 0.9
    assert found.intensity == pytest.approx(intensity, rel=1e-10)
    np.testing.assert_allclose(found.correlation, correlation, atol=1e-12)
    np.testing.assert_allclose(found.scales, np.sqrt((x**2).mean(axis=0)))
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), found.scales)


def test_shrinkage_brings_the_estimate_nearer_to_the_truth():
    rng = np.random.default_rng(3)
    truth = 0.1 * np.ones((12, 12)) + 0.9 * np.eye(12)
    root = np.linalg.cholesky(truth)
    better = 0
    for _ in range(40):
        x = rng.standard_normal((30, 12)) @ root.T
        z = x / np.sqrt((x**2).mean(axis=0))
        shrunk = shrink_covariance(x, bound=np.inf).correlation
        better += np.linalg.norm(shrunk - truth) < np.linalg.norm(z.T @ z / 30 - truth)
    assert better >= 34


def test_a_crash_does_not_make_the_correlation():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((300, 4)) + 2.0 * rng.standard_normal((300, 1))
    x[150] = [90.0, -90.0, 60.0, -60.0]
    assert shrink_covariance(x, bound=np.inf).correlation[0, 1] < 0.1
    bounded = shrink_covariance(x)
    assert bounded.correlation[0, 1] > 0.5
    # Its size stays in the standard deviations.
    np.testing.assert_allclose(bounded.scales, np.sqrt((x**2).mean(axis=0)))


def test_weights():
    rng = np.random.default_rng(8)
    x = rng.standard_normal((60, 3)) + rng.standard_normal((60, 1))
    doubled = np.concatenate((x, x[:20]))
    weights = np.where(np.arange(60) < 20, 2.0, 1.0) / 80
    a, b = shrink_covariance(x, weights=weights), shrink_covariance(doubled)
    np.testing.assert_allclose(a.scales, b.scales)
    z = x / a.scales
    sample = (z * weights[:, None]).T @ z
    noise = sum(
        w**2 * np.linalg.norm(np.outer(row, row) - sample) ** 2 for w, row in zip(weights, z, strict=True)
    )
    raw = shrink_covariance(x, weights=weights, bound=np.inf)
    assert raw.intensity == pytest.approx(noise / np.linalg.norm(sample - np.eye(3)) ** 2)
    # The same sample correlation, but steps that count twice are not two steps.
    assert a.effective_steps == pytest.approx(1 / (weights**2).sum())
    assert a.intensity > b.intensity
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(
        a.correlation[off] / (1 - a.intensity), b.correlation[off] / (1 - b.intensity), rtol=1e-12
    )


def test_ewma_halves_every_half_life():
    weights = ewma_weights(np.array([0, 5, 10]) * NS_PER_DAY, half_life_days=5.0)
    np.testing.assert_allclose(weights, np.array([1, 2, 4]) / 7)
    with pytest.raises(ConfigError, match="half_life_days"):
        ewma_weights([0], half_life_days=0.0)


def test_copies_without_any_noise_are_still_told_apart():
    x = np.repeat(np.array([[1.0], [-1.0]] * 20), 3, axis=1)
    found = shrink_covariance(x)
    assert found.intensity == FLOOR
    assert np.linalg.eigvalsh(found.correlation)[0] == pytest.approx(FLOOR)


@given(
    st.integers(2, 12),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["normal", "copies", "outlier"]),
)
@settings(max_examples=60, deadline=None)
def test_always_positive_definite(steps, count, seed, kind):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((steps, count))
    if kind == "copies":
        x = np.repeat(x[:, :1], count, axis=1)
    elif kind == "outlier":
        x[0] *= 1e6
    found = shrink_covariance(x)
    assert np.linalg.eigvalsh(found.correlation)[0] >= FLOOR * 0.99
    np.linalg.cholesky(found.correlation)
    assert (np.diag(found.correlation) == 1.0).all()


def test_bad_input():
    with pytest.raises(DataError, match="that move"):
        shrink_covariance(np.array([[1.0, 0.0], [2.0, 0.0]]))
    with pytest.raises(DataError, match="finite"):
        shrink_covariance(np.array([[1.0], [np.nan]]))
    with pytest.raises(DataError, match="two steps"):
        shrink_covariance(np.ones((1, 2)))
    with pytest.raises(ConfigError, match="sum to 1"):
        shrink_covariance(np.ones((2, 1)), weights=np.array([0.5, 0.6]))
    with pytest.raises(ConfigError, match="bound"):
        shrink_covariance(np.ones((2, 1)), bound=0.0)
