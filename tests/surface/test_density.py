from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.pricing import black76_price, implied_vol
from ivhedge.surface import EssviSurface
from ivhedge.surface.density import (
    log_density,
    probability_below,
    quantile,
    risk_neutral_moments,
    smile_derivatives,
)

YEAR_NS = 365 * 86_400 * 10**9


@dataclass(frozen=True)
class Mixture:
    """Two lognormals: density, probability and moments are known, the smile is inverted from prices."""

    weights: tuple[float, float] = (0.3, 0.7)
    means: tuple[float, float] = (0.9, (1.0 - 0.27) / 0.7)
    vols: tuple[float, float] = (0.9, 0.4)
    underlying: str = "BTC"
    ts_ns: int = 0
    expiries: np.ndarray = None

    @property
    def parts(self):
        return zip(self.weights, self.means, self.vols, strict=True)

    def implied_vol(self, log_moneyness, tau):
        k, tau = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))
        price = sum(p * black76_price(m, np.exp(k), tau, v, k >= 0) for p, m, v in self.parts)
        # The parts differ in their means: parity takes an in-the-money price to the other side.
        return implied_vol(price, 1.0, np.exp(k), tau, k >= 0)

    def total_variance(self, log_moneyness, tau):
        return self.implied_vol(log_moneyness, tau) ** 2 * np.asarray(tau)

    def forward(self, tau):
        return 100.0 + 0.0 * np.asarray(tau)

    def normal(self, tau):
        """Weight, mean and deviation of ln X of each part."""
        return [(p, np.log(m) - 0.5 * v * v * tau, v * np.sqrt(tau)) for p, m, v in self.parts]


def slice_surface(theta, rho, psi, tau=0.25):
    return EssviSurface(
        underlying="BTC",
        ts_ns=0,
        expiries=np.array([round(tau * YEAR_NS)]),
        taus=np.array([tau]),
        theta=np.array([theta]),
        rho=np.array([rho]),
        psi=np.array([psi]),
        forwards=np.array([100.0]),
    )


@st.composite
def free_of_arbitrage(draw):
    """A slice inside the sufficient butterfly conditions."""
    theta = draw(st.floats(1e-5, 2.0))
    rho = draw(st.floats(-0.9, 0.9))
    cap = min(3.0 / (1 + abs(rho)), np.sqrt(4 * theta / (1 + abs(rho))))
    return slice_surface(theta, rho, cap * draw(st.floats(0.05, 0.95)))


def test_the_law_of_a_mixture_is_found_from_its_smile():
    surface, tau = Mixture(), 0.2
    k = np.linspace(-1.2, 1.0, 23)
    parts = surface.normal(tau)
    density = sum(p * np.exp(-0.5 * ((k - m) / s) ** 2) / (s * np.sqrt(2 * np.pi)) for p, m, s in parts)
    below = sum(p * ndtr((k - m) / s) for p, m, s in parts)
    # The second derivative of an inverted vol by differences: 1e-6 of a density of about 2.
    np.testing.assert_allclose(log_density(surface, k, tau), density, atol=2e-6)
    np.testing.assert_allclose(probability_below(surface, k, tau), below, atol=1e-9)
    share = np.array([0.001, 0.05, 0.5, 0.95, 0.999])
    at = np.log(quantile(surface, share, tau))
    np.testing.assert_allclose(sum(p * ndtr((at - m) / s) for p, m, s in parts), share, atol=1e-9)


def test_the_moments_of_a_mixture_are_found_from_its_smile():
    surface, tau = Mixture(), 0.2
    found = risk_neutral_moments(surface, tau)
    parts = surface.normal(tau)
    mean = sum(p * m for p, m, _ in parts)
    central = [
        sum(p * moment for p, moment in zip((0.3, 0.7), row, strict=True))
        for row in (
            [(m - mean) ** 2 + s**2 for _, m, s in parts],
            [(m - mean) ** 3 + 3 * (m - mean) * s**2 for _, m, s in parts],
            [(m - mean) ** 4 + 6 * (m - mean) ** 2 * s**2 + 3 * s**4 for _, m, s in parts],
        )
    ]
    assert found.mass[0] == pytest.approx(1.0, abs=1e-7)
    assert found.mean[0] == pytest.approx(1.0, abs=1e-7)
    assert found.log_mean[0] == pytest.approx(mean, abs=1e-7)
    assert found.log_variance[0] == pytest.approx(central[0], rel=1e-6)
    assert found.log_skewness[0] == pytest.approx(central[1] / central[0] ** 1.5, abs=1e-5)
    assert found.log_excess_kurtosis[0] == pytest.approx(central[2] / central[0] ** 2 - 3, abs=1e-4)


def test_a_flat_smile_is_lognormal():
    flat, tau = slice_surface(0.09, 0.0, 1e-9), 0.25
    assert quantile(flat, 0.975, tau) == pytest.approx(np.exp(1.959963984540054 * 0.3 - 0.045), rel=1e-8)
    found = risk_neutral_moments(flat, tau)
    assert found.log_mean[0] == pytest.approx(-0.045, rel=1e-8)
    assert found.log_variance[0] == pytest.approx(0.09, rel=1e-8)
    assert found.log_skewness[0] == pytest.approx(0.0, abs=1e-7)
    assert found.log_excess_kurtosis[0] == pytest.approx(0.0, abs=1e-7)


@given(free_of_arbitrage())
@settings(max_examples=60, deadline=None)
def test_a_surface_without_arbitrage_has_mass_and_mean_one(surface):
    found = risk_neutral_moments(surface, [0.1, 0.25])
    assert found.mass == pytest.approx(np.ones(2), abs=1e-9 + 10 * found.error.max())
    assert found.mean == pytest.approx(np.ones(2), abs=1e-9 + 10 * found.error.max())
    assert found.error.max() < 1e-6
    k = np.sqrt(surface.theta[0]) * np.linspace(-12, 12, 400)
    below = probability_below(surface, k, 0.25)
    assert np.all(np.diff(below) >= -1e-14)
    assert np.all((below >= -1e-14) & (below <= 1 + 1e-14))


def test_a_wing_near_the_limit_leaves_some_of_the_mean_beyond_and_says_so():
    # Right wing slope 1.99 of a limit of 2.
    steep = slice_surface(4.0, 0.5, 2.0 * 1.99 / 1.5)
    found = risk_neutral_moments(steep, 0.25)
    assert found.error[0] > 1e-5
    assert 0.0 < 1.0 - found.mean[0] <= found.error[0] * (1.0 + 1e-6)


@given(free_of_arbitrage(), st.floats(0.001, 0.999))
@settings(max_examples=30, deadline=None)
def test_quantiles_invert_the_probability(surface, share):
    at = np.log(quantile(surface, share, 0.25))
    assert probability_below(surface, at, 0.25) == pytest.approx(share, abs=1e-10)


def test_derivatives_by_differences_agree_with_closed_forms(truth_surface):
    class Plain:
        """The same without its derivatives."""

        total_variance = staticmethod(truth_surface.total_variance)

    k = np.linspace(-1.0, 1.0, 41)
    for tau in (0.003, 0.1, 1.0):
        exact, found = (smile_derivatives(s, k, tau) for s in (truth_surface, Plain()))
        np.testing.assert_allclose(found[1], exact[1], atol=1e-9)
        np.testing.assert_allclose(found[2], exact[2], atol=1e-5 * exact[2].max())


def test_arbitrage_shows_as_a_negative_density():
    # ψ·max(a, b) is six times what the butterfly condition allows.
    steep = slice_surface(0.01, -0.7, 0.38)
    assert log_density(steep, np.linspace(-1, 1, 200), 0.25).min() < -0.01


@dataclass(frozen=True)
class WithoutWing(Mixture):
    """No vol from 0.5 of log-moneyness on."""

    def implied_vol(self, log_moneyness, tau):
        return np.where(np.asarray(log_moneyness) > 0.5, np.nan, super().implied_vol(log_moneyness, tau))


def test_bad_requests_are_refused(truth_surface):
    with pytest.raises(ConfigError, match="tau > 0"):
        log_density(truth_surface, 0.0, 0.0)
    with pytest.raises(ConfigError, match=r"\(0, 1\)"):
        quantile(truth_surface, 1.0, 0.1)
    with pytest.raises(ConfigError, match="even"):
        risk_neutral_moments(truth_surface, 0.1, panels=3)
    with pytest.raises(DataError, match="wings"):
        risk_neutral_moments(WithoutWing(), 0.2)
