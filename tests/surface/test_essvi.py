"""eSSVI slices and the surface made of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.core.errors import CalibrationError, DataError
from ivhedge.surface import (
    EssviSurface,
    VarianceClock,
    VolSurface,
    certify,
    essvi_derivatives,
    essvi_total_variance,
)


def two_slices(**changes: object) -> EssviSurface:
    values: dict[str, object] = {
        "underlying": "BTC",
        "ts_ns": 0,
        "expiries": np.array([10, 20]) * 86_400 * 10**9,
        "taus": np.array([10.0, 20.0]) / 365.0,
        "theta": np.array([0.01, 0.03]),
        "rho": np.array([-0.3, -0.1]),
        "psi": np.array([0.1, 0.15]),
        "forwards": np.array([100.0, 102.0]),
    }
    return EssviSurface(**(values | changes))  # type: ignore[arg-type]


@given(
    k=st.floats(-3, 3),
    theta=st.floats(1e-4, 1.0),
    rho=st.floats(-0.95, 0.95),
    psi=st.floats(0.01, 1.5),
)
def test_derivatives_agree_with_differences(k: float, theta: float, rho: float, psi: float) -> None:
    w, slope, curvature = essvi_derivatives(k, theta, rho, psi)
    # A step on the scale of the kink theta / psi; the error of the differences is of order step².
    step = 1e-3 * theta / psi * np.sqrt(1 - rho * rho)
    up, down = (essvi_total_variance(k + side, theta, rho, psi) for side in (step, -step))
    assert w == pytest.approx(essvi_total_variance(k, theta, rho, psi), rel=1e-14)
    assert slope == pytest.approx((up - down) / (2 * step), abs=1e-5 * psi)
    rounding = 1e-14 * max(w, theta) / step**2
    assert curvature == pytest.approx(
        (up - 2 * w + down) / step**2, abs=rounding + 1e-4 * psi * psi / theta * 2
    )


def test_slice_formula_matches_its_textbook_form() -> None:
    k, theta, rho, psi = np.linspace(-1, 1, 21), 0.04, -0.4, 0.3
    root = np.sqrt((psi * k) ** 2 + 2 * rho * theta * psi * k + theta**2)
    expected = 0.5 * (theta + rho * psi * k + root)
    np.testing.assert_allclose(essvi_total_variance(k, theta, rho, psi), expected, rtol=1e-13)


def test_surface_returns_its_slices_at_the_expiries() -> None:
    surface = two_slices()
    theta, rho, psi = surface.slice_parameters(surface.taus)
    np.testing.assert_allclose(theta, surface.theta, rtol=1e-14)
    np.testing.assert_allclose(rho, surface.rho, rtol=1e-13)
    np.testing.assert_allclose(psi, surface.psi, rtol=1e-14)


def test_interpolation_is_linear_in_theta_psi_and_rho_psi() -> None:
    surface = two_slices()
    theta, rho, psi = surface.slice_parameters(15.0 / 365.0)
    assert theta == pytest.approx(0.02)
    assert psi == pytest.approx(0.125)
    assert rho * psi == pytest.approx(0.5 * (-0.03 - 0.015))


def test_before_the_first_expiry_the_vol_is_constant_in_time() -> None:
    surface = two_slices()
    k = np.linspace(-0.5, 0.5, 11)
    first = surface.implied_vol(k, surface.taus[0])
    for tau in (0.0, 1e-9, 5.0 / 365.0):
        np.testing.assert_allclose(surface.implied_vol(k, tau), first, rtol=1e-12)
    np.testing.assert_array_equal(surface.total_variance(k, 0.0), np.zeros(11))


def test_after_the_last_expiry_variance_grows_at_the_last_forward_variance() -> None:
    surface = two_slices()
    theta, rho, psi = surface.slice_parameters(40.0 / 365.0)
    assert theta == pytest.approx(0.03 + 2 * 0.02)
    assert rho == -0.1
    assert psi == pytest.approx(0.15 * np.sqrt(0.07 / 0.03))


def test_far_extrapolation_stays_inside_the_butterfly_cap() -> None:
    surface = two_slices(theta=np.array([0.5, 1.5]), psi=np.array([1.0, 2.0]))
    _, rho, psi = surface.slice_parameters(50.0)
    assert psi * (1 + abs(rho)) < 4.0


def test_forward_is_log_linear_from_the_index() -> None:
    surface = two_slices(index=99.0)
    assert surface.forward(0.0) == pytest.approx(99.0)
    assert surface.forward(5.0 / 365.0) == pytest.approx(np.sqrt(99.0 * 100.0))
    assert surface.forward(15.0 / 365.0) == pytest.approx(np.sqrt(100.0 * 102.0))
    carry = np.log(102.0 / 99.0) / (20.0 / 365.0)
    assert surface.forward(40.0 / 365.0) == pytest.approx(102.0 * np.exp(carry * 20.0 / 365.0))


def test_forward_without_index_is_flat_before_the_first_expiry() -> None:
    assert two_slices().forward(0.0) == pytest.approx(100.0)


def test_shapes_broadcast() -> None:
    surface: VolSurface = two_slices()
    assert surface.implied_vol(np.zeros((3, 1)), np.full(4, 0.05)).shape == (3, 4)
    assert surface.forward(np.full((2, 2), 0.05)).shape == (2, 2)


def test_arrays_are_read_only_copies() -> None:
    theta = np.array([0.01, 0.03])
    surface = two_slices(theta=theta)
    theta[0] = 9.0
    assert surface.theta[0] == 0.01
    with pytest.raises(ValueError, match="read-only"):
        surface.theta[0] = 1.0


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf])
def test_bad_times_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="expected tau"):
        two_slices().implied_vol(0.0, bad)
    with pytest.raises(DataError, match="expected tau"):
        two_slices().forward(bad)


def test_bad_moneyness_is_refused() -> None:
    with pytest.raises(DataError, match="log-moneyness"):
        two_slices().total_variance(np.array([0.0, np.nan]), 0.05)


def test_derivatives_at_expiry_are_refused() -> None:
    with pytest.raises(DataError, match="tau > 0"):
        two_slices().derivatives(0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"theta": np.array([0.01])}, "same shape"),
        ({"theta": np.array([0.01, np.nan])}, "finite theta"),
        ({"psi": np.array([0.1, 0.0])}, "positive psi"),
        ({"rho": np.array([-1.0, 0.0])}, "rho inside"),
        ({"taus": np.array([0.2, 0.1])}, "ascending"),
        ({"index": -1.0}, "index"),
    ],
)
def test_invalid_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        two_slices(**changes)


def weekend_clock() -> VarianceClock:
    return VarianceClock.from_weights([1.2, 1.2, 1.2, 1.2, 1.2, 0.4, 0.6], name="weekends")


def test_on_a_clock_total_variance_is_linear_in_its_time() -> None:
    clock = weekend_clock()
    surface = two_slices(clock=clock)
    days = np.arange(0.0, 31.0)
    atm = surface.total_variance(0.0, days / 365.0)
    passed = clock.variance_time(0, (days * 86_400e9).astype(np.int64))
    for first, last in ((0, 10), (10, 20), (20, 30)):
        ratio = np.diff(atm[first : last + 1]) / np.diff(passed[first : last + 1])
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    np.testing.assert_allclose(
        surface.implied_vol(0.0, surface.taus), two_slices().implied_vol(0.0, surface.taus), rtol=1e-12
    )


def test_a_clock_leaves_no_arbitrage_and_a_vol_at_every_time() -> None:
    surface = two_slices(clock=weekend_clock())
    certificate = certify(surface)
    assert certificate.valid
    assert certificate.proven
    at_once, in_a_minute = surface.implied_vol(0.0, [0.0, 1.0 / (365.0 * 1440.0)])
    assert at_once == pytest.approx(in_a_minute, rel=1e-12)
    # 1970-01-01 was a Thursday: its hours run faster than the average of the ten days to the first expiry.
    assert at_once > two_slices().implied_vol(0.0, 0.0)
