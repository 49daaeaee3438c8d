import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.risk.factors import Factor, FactorModel, VolShape
from ivhedge.risk.panel import panel_point

from .._stub import StubSurface
from ._synthetic import NODES, SHAPES, TENORS

FACTORS = (
    Factor(underlying="BTC", kind="spot"),
    Factor(underlying="BTC", kind="basis"),
    *(Factor(underlying="BTC", kind=s.name, shape=s) for s in SHAPES),
    Factor(underlying="ETH", kind="spot"),
)
SCALES = np.array([0.03, 0.01, 0.02, 0.01, 0.005, 0.002, 0.04])
CORRELATION = np.eye(7) * 0.7 + 0.3
MODEL = FactorModel(factors=FACTORS, scales=SCALES, correlation=CORRELATION)
SURFACE = StubSurface(level=0.6, skew=-0.1, carry=0.05)


@given(st.lists(st.floats(-2, 2), min_size=7, max_size=7))
@settings(max_examples=30, deadline=None)
def test_a_moved_surface_reads_as_the_panel_plus_the_shifts(sds):
    moves = np.asarray(sds) * SCALES
    moved = MODEL.apply(SURFACE, moves)
    before, after = (panel_point(s, None, None, TENORS, NODES) for s in (SURFACE, moved))
    shift = np.einsum("k,kmn->mn", moves[2:6], np.stack([s.grid for s in SHAPES]))
    np.testing.assert_allclose(after.vols - before.vols, shift, atol=1e-12)
    assert np.log(after.spot / before.spot) == pytest.approx(moves[0], abs=1e-12)
    np.testing.assert_allclose(after.forward_rate - before.forward_rate, moves[1], atol=1e-10)


def test_no_shock_is_no_move_and_other_underlyings_do_not_count():
    moved = MODEL.apply(SURFACE, {"ETH.spot": 0.5})
    k, tau = np.array([-0.5, 0.0, 0.2]), np.array([0.02, 0.1, 0.4])
    np.testing.assert_allclose(moved.implied_vol(k, tau), SURFACE.implied_vol(k, tau), rtol=1e-13)
    np.testing.assert_allclose(moved.total_variance(k, tau), SURFACE.total_variance(k, tau), rtol=1e-13)
    np.testing.assert_allclose(moved.forward(tau), SURFACE.forward(tau))
    assert (moved.underlying, moved.ts_ns) == (SURFACE.underlying, SURFACE.ts_ns)
    assert moved.expiries.tolist() == SURFACE.expiries.tolist()


def test_spot_moves_the_smile_at_fixed_standardised_strikes():
    moved = MODEL.apply(SURFACE, {"BTC.spot": 0.1})
    assert moved.forward(0.1) == pytest.approx(SURFACE.forward(0.1) * np.exp(0.1))
    assert moved.implied_vol(-0.2, 0.1) == pytest.approx(SURFACE.implied_vol(-0.2, 0.1))


def test_vols_stay_positive_or_it_says_so():
    with pytest.raises(ConfigError, match="stay positive"):
        MODEL.apply(SURFACE, {"BTC.level": -0.7})
    # Positive on the grid but not at a strike where the base itself is low: a number that is none.
    steep = StubSurface(level=0.6, skew=-0.5)
    moved = MODEL.apply(steep, {"BTC.level": -0.2})
    assert np.isnan(moved.implied_vol(1.2, 30 / 365))
    assert moved.implied_vol(0.0, 30 / 365) == pytest.approx(0.4)


def test_horizon_and_covariance():
    np.testing.assert_allclose(MODEL.over(4.0).scales, 2.0 * SCALES)
    np.testing.assert_allclose(MODEL.over(4.0).covariance, 4.0 * MODEL.covariance)
    assert MODEL.covariance[0, 1] == pytest.approx(0.3 * 0.03 * 0.01)
    assert MODEL.names[:3] == ("BTC.spot", "BTC.basis", "BTC.level")
    assert MODEL.units[:3] == ("log return", "per year", "vol")
    assert MODEL.underlyings == ("BTC", "ETH")


def test_bad_input():
    with pytest.raises(ConfigError, match="no factor for it"):
        MODEL.apply(StubSurface(underlying="SOL"), np.zeros(7))
    with pytest.raises(ConfigError, match=r"BTC\.smile"):
        MODEL.apply(SURFACE, {"BTC.smile": 0.1})
    with pytest.raises(ConfigError, match="7 finite moves"):
        MODEL.apply(SURFACE, np.full(7, np.nan))
    with pytest.raises(ConfigError, match="7 finite moves"):
        MODEL.apply(SURFACE, np.zeros(6))
    with pytest.raises(ConfigError, match="horizon"):
        MODEL.over(0.0)
    with pytest.raises(ConfigError, match="shape for vol"):
        Factor(underlying="BTC", kind="level")
    with pytest.raises(ConfigError, match="distinct"):
        FactorModel(factors=FACTORS[:1] * 2, scales=SCALES[:2], correlation=np.eye(2))
    with pytest.raises(DataError, match="positive scales"):
        FactorModel(factors=FACTORS[:1], scales=np.zeros(1), correlation=np.eye(1))
    with pytest.raises(DataError, match="expected scales"):
        FactorModel(factors=FACTORS[:1], scales=SCALES, correlation=np.eye(1))
    with pytest.raises(DataError, match="positive definite"):
        FactorModel(factors=FACTORS[:2], scales=SCALES[:2], correlation=np.ones((2, 2)))
    with pytest.raises(DataError, match="symmetric"):
        FactorModel(factors=FACTORS[:2], scales=SCALES[:2], correlation=np.array([[1.0, 0.1], [0.2, 1.0]]))
    other = VolShape(name="other", tenor_days=TENORS, nodes=NODES * 2, grid=SHAPES[0].grid)
    mixed = (FACTORS[2], Factor(underlying="BTC", kind="other", shape=other))
    with pytest.raises(ConfigError, match="tenors and nodes"):
        FactorModel(factors=mixed, scales=SCALES[:2], correlation=np.eye(2))
