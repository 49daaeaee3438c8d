import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.surface.models import SabrModel, VolQuotes, fit_sabr, sabr_arbitrage

MODEL = SabrModel(alpha=0.6, beta=0.5, rho=-0.3, nu=1.2)


def by_the_book(model, k, tau):
    """Obloj (2008), equations 1 to 5, in high precision and without any rearrangement."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(40):
        a, b, r, n = (mpmath.mpf(x) for x in (model.alpha, model.beta, model.rho, model.nu))
        f, strike = mpmath.mpf(1), mpmath.exp(mpmath.mpf(k))
        x = mpmath.log(f / strike)
        z = n * x / a if b == 1 else n / a * (f ** (1 - b) - strike ** (1 - b)) / (1 - b)
        first = n * x / mpmath.log((mpmath.sqrt(1 - 2 * r * z + z * z) + z - r) / (1 - r))
        second = (
            (b - 1) ** 2 / 24 * a**2 / (f * strike) ** (1 - b)
            + r * n * a * b / (4 * (f * strike) ** ((1 - b) / 2))
            + (2 - 3 * r * r) / 24 * n**2
        )
        return float(first * (1 + second * tau))


@settings(deadline=None)
@given(
    st.floats(0.05, 2.0),
    st.floats(0.0, 1.0),
    st.floats(-0.99, 0.99),
    st.floats(0.01, 5.0),
    st.floats(-2.0, 2.0).filter(lambda k: abs(k) > 1e-6),
    st.floats(0.001, 0.2),
)
def test_vols_are_those_of_the_published_formula(alpha, beta, rho, nu, k, tau):
    model = SabrModel(alpha=alpha, beta=beta, rho=rho, nu=nu)
    wanted = by_the_book(model, k, tau)
    if wanted > 0.0:
        assert float(model.implied_vol(k, tau)) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_money_is_no_special_place(beta):
    model = dataclasses.replace(MODEL, beta=beta)
    k = np.array([-1e-6, -1e-8, -1e-12, 0.0, 1e-12, 1e-8, 1e-6])
    vol = model.implied_vol(k, 0.1)
    assert np.ptp(vol) < 5e-6
    assert np.all(np.abs(np.diff(vol)) <= 2.0 * np.diff(k) + 1e-14)


def test_against_quantlib():
    ql = pytest.importorskip("QuantLib")
    k = np.linspace(-0.4, 0.4, 9)
    flat = dataclasses.replace(MODEL, beta=1.0)
    theirs = [ql.sabrVolatility(float(np.exp(x)), 1.0, 0.1, 0.6, 1.0, 1.2, -0.3) for x in k]
    np.testing.assert_allclose(flat.implied_vol(k, 0.1), theirs, rtol=1e-13)
    # For beta < 1 QuantLib has Hagan's formula without Obloj's correction: equal at the money only.
    at_money = ql.sabrVolatility(1.0, 1.0, 0.1, 0.6, 0.5, 1.2, -0.3)
    assert float(MODEL.implied_vol(0.0, 0.1)) == pytest.approx(at_money, rel=1e-13)


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"alpha": 0.0}, "alpha > 0"),
        ({"beta": 1.1}, "beta <= 1"),
        ({"rho": -1.0}, r"\|rho\| < 1"),
        ({"nu": -0.1}, "nu >= 0"),
        ({"nu": float("inf")}, "finite"),
    ],
)
def test_parameters_are_checked(change, condition):
    with pytest.raises(ConfigError, match=condition):
        dataclasses.replace(MODEL, **change)


def test_an_expansion_that_fails_says_so():
    with pytest.raises(DataError, match="expansion fails"):
        SabrModel(alpha=0.2, beta=1.0, rho=-0.95, nu=8.0).implied_vol(0.0, 2.0)


def test_the_known_negative_density_is_found():
    # Low strikes, long expiry, beta well below 1: the textbook failure of Hagan's expansion.
    bad = SabrModel(alpha=0.35, beta=0.25, rho=-0.3, nu=0.8)
    report = sabr_arbitrage(bad, 5.0, half_width_sd=6.0)
    assert not report.free
    assert not report.proven
    assert report.negative_below is not None
    assert report.negative_below < 0.0
    good = sabr_arbitrage(SabrModel(alpha=0.5, beta=1.0, rho=-0.1, nu=0.5), 0.1, half_width_sd=5.0)
    assert good.free
    assert good.min_density > 0.0


@pytest.mark.parametrize("beta", [0.5, 1.0, None])
def test_a_fit_finds_the_truth(beta):
    truth = dataclasses.replace(MODEL, beta=0.5 if beta is None else beta)
    k = np.linspace(-0.5, 0.5, 25)
    vol = truth.implied_vol(k, 0.1)
    fit = fit_sabr(VolQuotes.one_expiry(k, 0.1, vol - 0.003, vol + 0.003), beta=beta)
    assert fit.converged
    assert fit.rmse_vol_points < 1e-6
    assert fit.inside_bid_ask == 1.0
    np.testing.assert_allclose(dataclasses.astuple(fit.params), dataclasses.astuple(truth), rtol=1e-4)


def test_a_bound_is_reported():
    k = np.linspace(-0.5, 0.5, 25)
    vol = MODEL.implied_vol(k, 0.1)
    quotes = VolQuotes.one_expiry(k, 0.1, vol - 0.003, vol + 0.003)
    fit = fit_sabr(quotes, beta=0.5, bounds={"nu": (0.1, 0.5)})
    assert any("nu is at its upper bound" in text for text in fit.warnings)
    with pytest.raises(ConfigError, match="'speed'"):
        fit_sabr(quotes, bounds={"speed": (0.0, 1.0)})
    with pytest.raises(ConfigError, match="beta"):
        fit_sabr(quotes, beta=2.0)
