"""Compiled work on kernel weights against the same in numpy."""

import numpy as np
import pytest

from ivhedge.surface.flexible._weights import deconvolve, make_laws

POINTS, ROUNDS = 33, 25


@pytest.mark.parametrize("m", [5, 16, 41])
def test_deconvolution_as_written_out(m: int) -> None:
    rng = np.random.default_rng(m)
    grid = np.linspace(-6.0, 6.0, POINTS)
    centre = np.linspace(-5.0, 5.0, m) + 0.1 * rng.standard_normal((3, m))
    scale = rng.uniform(0.5, 1.5, (3, m))
    density = np.exp(-0.5 * (grid / np.array([[0.8], [1.0], [2.0]])) ** 2) + 1e-300
    density /= density.sum(axis=1, keepdims=True)
    distance = (grid[None, :, None] - centre[:, None, :]) / scale[:, None, :]
    kernels = np.exp(-0.5 * distance * distance)
    kernels /= kernels.sum(axis=1, keepdims=True)
    expected = np.einsum("np,npm->nm", density, kernels)
    expected /= expected.sum(axis=1, keepdims=True)
    for _ in range(ROUNDS):
        model = np.einsum("npm,nm->np", kernels, expected)
        expected = expected * np.einsum("np,npm->nm", density / np.maximum(model, 1e-300), kernels)
    weights = np.empty((3, m))
    deconvolve(grid, density, centre, scale, ROUNDS, weights)
    np.testing.assert_allclose(weights, expected, rtol=1e-10, atol=1e-15)
    # Each round keeps the total.
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-12)


def test_laws_add_to_one_with_mean_one() -> None:
    rng = np.random.default_rng(1)
    mean = np.exp(np.outer([0.02, 0.3, 1.2], np.linspace(-3.0, 3.0, 21)))
    weight = rng.uniform(0.0, 1.0, mean.shape) * np.exp(-(np.linspace(-3.0, 3.0, 21) ** 2))
    weight /= weight.sum(axis=1, keepdims=True)
    # Nearly a law: a solver's answer, with a weight just below zero.
    for _ in range(60):
        off = 1.0 - (weight * mean).sum(axis=1)
        weight *= 1.0 + 0.5 * np.sign(off)[:, None] * np.minimum(np.abs(off), 0.1)[:, None] * np.sign(
            mean - 1.0
        )
        weight /= weight.sum(axis=1, keepdims=True)
    weight[:, 0] = -1e-9
    before = weight.copy()
    make_laws(weight, mean)
    assert (weight >= 0.0).all()
    assert (weight[:, 0] == 0.0).all()
    assert np.abs(weight.sum(axis=1) - 1.0).max() < 1e-14
    assert np.abs((weight * mean).sum(axis=1) - 1.0).max() < 1e-14
    assert np.abs(weight - before).max() < 0.05
