import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.factors import principal_components, vega_weights
from ivhedge.risk.factors.components import subspace_angles
from ivhedge.risk.factors.shapes import project

from ._synthetic import NODES, SHAPES, TENORS

GRIDS = np.stack([shape.grid for shape in SHAPES])


def changes(rng, sds, steps=200):
    return np.einsum("sk,kmn->smn", rng.standard_normal((steps, 4)) * sds, GRIDS)


def test_shares_and_scores_against_the_eigenvalues():
    rng = np.random.default_rng(5)
    moves = changes(rng, [1.0, 0.3, 0.2, 0.1]) * 0.01
    weights = vega_weights(TENORS, NODES)
    found = principal_components(moves, TENORS, NODES, count=4)
    weighted = (moves * weights).reshape(len(moves), -1)
    eigen = np.linalg.eigvalsh(weighted.T @ weighted)[::-1]
    np.testing.assert_allclose(found.share, eigen[:4] / eigen.sum(), rtol=1e-9)
    assert found.share.sum() == pytest.approx(1.0)
    scores = project(found.shapes, moves, weights)
    np.testing.assert_allclose(scores.T @ scores, np.diag(np.diag(scores.T @ scores)), atol=1e-10)
    # A score is the weighted root mean square of its shift.
    for shape in found.shapes:
        assert np.sqrt(((shape.grid * weights) ** 2).sum() / (weights**2).sum()) == pytest.approx(1.0)


def test_signs_and_names_do_not_depend_on_the_sample():
    rng = np.random.default_rng(6)
    moves = changes(rng, [1.0, 0.1, 0.02, 0.005]) * 0.01
    a, b = (principal_components(m, TENORS, NODES, count=2) for m in (moves, -moves[::-1]))
    assert a.resembles == b.resembles
    assert a.resembles[0] == "level"
    for one, other in zip(a.shapes, b.shapes, strict=True):
        np.testing.assert_allclose(one.grid, other.grid, atol=1e-9)
    assert (a.shapes[0].grid > 0).all()


def test_angles_between_halves():
    rng = np.random.default_rng(7)
    same = principal_components(changes(rng, [1.0, 0.3, 0, 0]), TENORS, NODES, count=2)
    np.testing.assert_allclose(same.angles[1], 0.0, atol=1e-5)
    # Skew and curvature are odd and even in the strike: orthogonal.
    half = changes(rng, [0, 0, 1.0, 0], 100)
    other = changes(rng, [0, 0, 0, 1.0], 100)
    turned = principal_components(np.concatenate((half, other)), TENORS, NODES, count=1)
    assert turned.angles[0] == pytest.approx(90.0)
    c, s = np.cos(0.3), np.sin(0.3)
    assert np.radians(subspace_angles(np.array([[1.0, 0]]), np.array([[c, s]]))) == pytest.approx([0.3])


def test_bad_input():
    with pytest.raises(ConfigError, match="1 to 15"):
        principal_components(np.zeros((99, 3, 5)), TENORS, NODES, count=16)
    with pytest.raises(DataError, match="at least 16"):
        principal_components(np.ones((15, 3, 5)), TENORS, NODES)
    with pytest.raises(DataError, match="finite"):
        principal_components(np.full((99, 3, 5), np.nan), TENORS, NODES)
    with pytest.raises(DataError, match="that change"):
        principal_components(np.zeros((99, 3, 5)), TENORS, NODES)
