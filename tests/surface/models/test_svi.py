import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.surface import density_factor
from ivhedge.surface.models import JumpWingSvi, NaturalSvi, RawSvi, repair_svi, svi_arbitrage
from ivhedge.surface.models.svi_arbitrage import _density_numerator, _roots_on_positive_axis

VOGT = RawSvi(a=-0.0410, b=0.1331, m=0.3586, rho=0.3060, sigma=0.4153, tau=1.0)


@st.composite
def slices(draw):
    # Rounded: exact arithmetic on numbers like 1e-259 is right but slow.
    number = lambda low, high: round(draw(st.floats(low, high)), 9)  # noqa: E731
    b, rho, sigma = 10 ** number(-2.0, 0.6), number(-0.97, 0.97), 10 ** number(-2.5, 0.5)
    lowest = 10 ** number(-4.0, 0.3)
    a = lowest - b * sigma * np.sqrt(1.0 - rho * rho)
    return RawSvi(a=a, b=b, rho=rho, m=number(-1.0, 1.0), sigma=sigma, tau=number(0.01, 2.0))


def values(thing):
    return np.array(dataclasses.astuple(thing))


@settings(deadline=None)
@given(slices())
def test_natural_parameters_give_the_slice_back(slice_):
    back = slice_.natural().raw()
    k = np.linspace(-2.0, 2.0, 41)
    scale = abs(slice_.a) + slice_.b * slice_.sigma
    np.testing.assert_allclose(values(back)[1:5], values(slice_)[1:5], rtol=1e-11, atol=1e-11)
    assert np.max(np.abs(back.total_variance(k) - slice_.total_variance(k))) < 1e-11 * (scale + slice_.b)


@settings(deadline=None)
@given(slices())
def test_jump_wings_give_the_slice_back_where_they_determine_it(slice_):
    wings = slice_.jump_wings()
    depth = 1.0 - wings.min_variance / wings.atm_variance
    if depth < 1e-3 or slice_.b * (1.0 - abs(slice_.rho)) < 1e-3:
        return
    k = np.linspace(-1.0, 1.0, 21)
    sine = abs(slice_.m) / np.hypot(slice_.m, slice_.sigma)
    if sine > 0.999:
        return
    np.testing.assert_allclose(wings.raw().total_variance(k), slice_.total_variance(k), rtol=1e-6)


def test_jump_wings_of_the_literature():
    # Gatheral, Jacquier (2014), section 5.1.
    found = values(VOGT.jump_wings())
    np.testing.assert_allclose(
        found, [0.01742625, -0.1752111, 0.6997381, 1.316798, 0.0116249, 1.0], rtol=1e-6
    )


def test_a_smile_that_is_lowest_at_the_money_has_no_unique_jump_wings():
    symmetric = RawSvi(a=0.01, b=0.1, rho=0.0, m=0.0, sigma=0.2, tau=0.5)
    with pytest.raises(ConfigError, match="lowest at the money"):
        symmetric.jump_wings().raw()
    with pytest.raises(ConfigError, match="2\\*atm_skew"):
        JumpWingSvi(
            atm_variance=0.04, atm_skew=2.0, put_slope=0.5, call_slope=0.5, min_variance=0.02, tau=1.0
        ).raw()


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"tau": 0.0}, "tau > 0"),
        ({"b": -0.1}, "b >= 0"),
        ({"rho": 1.0}, r"\|rho\| < 1"),
        ({"sigma": 0.0}, "sigma > 0"),
        ({"a": -0.1}, "sqrt"),
        ({"m": float("nan")}, "finite"),
    ],
)
def test_raw_parameters_are_checked(change, condition):
    with pytest.raises(ConfigError, match=condition):
        dataclasses.replace(VOGT, **change)


def test_other_forms_are_checked():
    with pytest.raises(ConfigError, match="zeta > 0"):
        NaturalSvi(delta=0.0, mu=0.0, rho=0.0, omega=0.04, zeta=0.0, tau=1.0)
    with pytest.raises(ConfigError, match="min_variance <= atm_variance"):
        JumpWingSvi(
            atm_variance=0.04, atm_skew=0.0, put_slope=0.5, call_slope=0.5, min_variance=0.05, tau=1.0
        )
    with pytest.raises(ConfigError, match="flat"):
        RawSvi(a=0.04, b=0.0, rho=0.0, m=0.0, sigma=0.1, tau=1.0).natural()


def test_points_are_checked():
    with pytest.raises(DataError, match="log-moneyness"):
        VOGT.implied_vol([0.0, np.nan])
    with pytest.raises(DataError, match="tau > 0"):
        VOGT.total_variance(0.0, 0.0)
    assert VOGT.total_variance(0.1, 0.5) == pytest.approx(0.5 * VOGT.total_variance(0.1))


KNOWN_BAD = {
    "vogt": VOGT,
    # Roger Lee's bound: wing slopes of 2 and more.
    "lee_right": RawSvi(a=0.04, b=1.5, rho=0.4, m=0.0, sigma=0.5, tau=1.0),
    "lee_edge": RawSvi(a=0.5, b=2.0, rho=0.0, m=0.0, sigma=1.0, tau=1.0),
    # A corner: curvature without variance.
    "corner": RawSvi(a=1e-4, b=0.8, rho=-0.6, m=0.05, sigma=1e-3, tau=0.1),
    # Negative density only beyond ten standard deviations, where a grid on |k| <= 3 does not look.
    "far": RawSvi(a=-1.7344, b=0.6111, rho=-0.597, m=-0.374, sigma=3.636, tau=0.5),
}


@pytest.mark.parametrize("name", KNOWN_BAD)
def test_known_bad_slices_get_no_certificate(name):
    report = svi_arbitrage(KNOWN_BAD[name])
    assert not report.free
    assert not report.proven
    assert report.violations


def test_the_repairs_of_the_literature_are_certified():
    # Gatheral, Jacquier (2014), section 5.1: the SSVI choice, and the optimal one.
    wings = VOGT.jump_wings()
    for call, lowest in ((0.3493158, 0.01548182), (0.8564763, 0.0116249)):
        raw = dataclasses.replace(wings, call_slope=call, min_variance=lowest).raw()
        report = svi_arbitrage(raw)
        assert report.free
        assert report.proven
        assert report.min_density > 0.0


def test_vogts_negative_density_is_located():
    report = svi_arbitrage(VOGT)
    k = np.linspace(-1.5, 1.5, 30_001)
    g = density_factor(k, *VOGT.derivatives(k))
    assert report.min_density == pytest.approx(g.min(), abs=1e-7)
    assert report.at_log_moneyness == pytest.approx(k[np.argmin(g)], abs=1e-3)
    assert report.negative_below is None
    assert report.negative_above == pytest.approx(k[np.flatnonzero(g < 0.0)[0]], abs=2e-4)


@settings(max_examples=20, deadline=None)
@given(slices())
def test_the_verdict_is_that_of_a_dense_grid_and_of_the_wings(slice_):
    report = svi_arbitrage(slice_)
    spread = np.sinh(np.linspace(-12.0, 12.0, 4_001))
    k = slice_.m + slice_.sigma * spread
    g = density_factor(k, *slice_.derivatives(k))
    steepest = max(report.left_slope, report.right_slope)
    if (g < -1e-9).any() or steepest >= 2.0:
        assert not report.free
    if g.min() > 1e-6 and steepest < 1.999:
        assert report.free


@settings(max_examples=25, deadline=None)
@given(slices())
def test_the_polynomial_is_the_density(slice_):
    polynomial = [float(c) for c in _density_numerator(slice_)]
    s = np.array([0.05, 0.4, 1.0, 2.5, 30.0])
    k = slice_.m + slice_.sigma * 0.5 * (s - 1.0 / s)
    w, slope, curvature = slice_.derivatives(k)
    scale = 64.0 * s**2 * w**2 * (s * s + 1.0) ** 3
    g = density_factor(k, w, slope, curvature)
    terms = np.abs(k * slope / w) + 1.0 + slope**2 * (1.0 + 1.0 / w) + curvature
    value = np.polynomial.Polynomial(polynomial)(s) / scale
    assert np.max(np.abs(value - g) / (terms * terms * (1.0 + 1.0 / w))) < 1e-7


@pytest.mark.parametrize(
    ("roots", "count"), [((1, 2, 3), 3), ((-1, -2), 0), ((2, 2, 5), 2), ((0, 4), 1), ((), 0)]
)
def test_sturm_counts_distinct_positive_roots(roots, count):
    from fractions import Fraction

    polynomial = [Fraction(1)]
    for root in roots:
        longer = [Fraction(0), *polynomial]
        for i, c in enumerate(polynomial):
            longer[i] -= root * c
        polynomial = longer
    assert _roots_on_positive_axis(polynomial) == count


@settings(max_examples=8, deadline=None)
@given(slices())
def test_a_repair_is_always_proven_free(slice_):
    repaired = repair_svi(slice_)
    assert svi_arbitrage(repaired).proven
    if svi_arbitrage(slice_).free:
        assert repaired == slice_


def test_the_repair_stays_close():
    repaired = repair_svi(VOGT)
    k = np.linspace(-0.5, 0.5, 11)
    gap = np.abs(repaired.implied_vol(k) - VOGT.implied_vol(k))
    assert gap[5] < 1e-12
    assert np.max(gap) < 0.03


def test_a_flat_smile_is_free():
    flat = RawSvi(a=0.04, b=0.0, rho=0.0, m=0.0, sigma=0.1, tau=1.0)
    report = svi_arbitrage(flat)
    assert report.free
    assert report.min_density == pytest.approx(1.0)
