import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.risk.buckets import bucket_weights
from ivhedge.risk.factors import explained_share, named_shapes, tenor_shapes, vega_weights
from ivhedge.risk.factors.shapes import VolShape, project

from ._synthetic import NODES, SHAPES, TENORS


def test_named_shapes_read_as_the_table_says():
    level, slope, skew, curvature = named_shapes((7.0, 30.0, 90.0), (-1.0, 0.0, 1.0))
    assert level.grid[1].tolist() == [1.0, 1.0, 1.0]
    assert level.grid[0, 0] == pytest.approx((30 / 7) ** 0.5)
    faded = slope.grid[:, 1] / level.grid[:, 1]
    assert faded[1] == 0.0
    assert faded[2] - faded[0] == pytest.approx(1.0)
    assert skew.grid[1].tolist() == [-1.0, 0.0, 1.0]
    np.testing.assert_allclose(curvature.grid[1], [1.0, 0.0, 1.0])


def test_tenor_shapes_add_up_to_a_parallel_shift():
    shapes = tenor_shapes(TENORS, NODES, at_days=(14.0, 60.0))
    assert [s.name for s in shapes][:3] == ["level_14d", "skew_14d", "curvature_14d"]
    np.testing.assert_allclose(shapes[0].grid + shapes[3].grid, 1.0)
    # 7 days lies before the first tenor: all of it belongs to 14 days.
    assert shapes[0].grid[0, 0] == 1.0
    assert shapes[3].grid[2, 0] == 1.0


def test_a_shape_is_linear_in_log_tenor_and_flat_outside():
    shape = SHAPES[2]
    tau = np.sqrt(7.0 * 30.0) / 365
    assert shape.at(tau, 0.375) == pytest.approx(
        0.25 * (shape.grid[0, 2] + shape.grid[0, 3] + shape.grid[1, 2] + shape.grid[1, 3])
    )
    assert shape.at(1 / 365, -9.0) == pytest.approx(shape.grid[0, 0])
    assert shape.at(0.0, 9.0) == pytest.approx(shape.grid[0, -1])
    assert shape.at([[0.1], [0.2]], [0.0, 1.0]).shape == (2, 2)


def test_reading_a_shape_against_weights_of_nodes():
    rng = np.random.default_rng(2)
    tau, x = rng.uniform(0.001, 0.5, 300), rng.uniform(-3, 3, 300)
    by_tenor = bucket_weights(np.log(tau * 365), np.log(TENORS))
    by_strike = bucket_weights(x, NODES)
    for shape in SHAPES:
        expected = np.einsum("pm,mn,pn->p", by_tenor, shape.grid, by_strike)
        np.testing.assert_allclose(shape.at(tau, x), expected, atol=1e-14)
    single = VolShape(name="one", tenor_days=np.array([30.0]), nodes=np.array([0.0]), grid=np.array([[0.5]]))
    assert single.at(0.3, 2.0) == 0.5


@given(st.lists(st.floats(-0.1, 0.1), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_project_recovers_what_was_put_in(scores):
    weights = vega_weights(TENORS, NODES)
    change = np.einsum("k,kmn->mn", scores, np.stack([s.grid for s in SHAPES]))[None]
    np.testing.assert_allclose(project(SHAPES, change, weights)[0], scores, atol=1e-12)


def test_explained_share_against_least_squares():
    rng = np.random.default_rng(1)
    changes = rng.standard_normal((50, TENORS.size, NODES.size))
    weights = vega_weights(TENORS, NODES)
    design = np.stack([(s.grid * weights).ravel() for s in SHAPES], axis=1)
    target = (changes * weights).reshape(50, -1).T
    left = np.linalg.lstsq(design, target, rcond=None)[1].sum()
    assert explained_share(SHAPES, changes, weights) == pytest.approx(1 - left / (target**2).sum())
    assert explained_share(SHAPES, 0.01 * np.stack([SHAPES[0].grid]), weights) == pytest.approx(1.0)


def test_bad_input():
    with pytest.raises(ConfigError, match="decay"):
        named_shapes(TENORS, NODES, decay=-1)
    with pytest.raises(ConfigError, match="rank"):
        project((SHAPES[0], SHAPES[0]), np.zeros((1, 3, 5)), vega_weights(TENORS, NODES))
    with pytest.raises(ConfigError, match="finite grid"):
        VolShape(name="bad", tenor_days=TENORS, nodes=NODES, grid=np.full((3, 5), np.nan))
    with pytest.raises(ConfigError, match="finite grid"):
        VolShape(name="bad", tenor_days=TENORS, nodes=NODES, grid=np.zeros((5, 3)))
    with pytest.raises(ConfigError, match="ascending"):
        tenor_shapes(TENORS, NODES, at_days=(30.0, 7.0))
