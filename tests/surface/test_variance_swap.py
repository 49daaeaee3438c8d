from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.pricing import black76_price, implied_vol
from ivhedge.surface import EssviSurface
from ivhedge.surface.variance_swap import (
    forward_variance,
    variance_swap_rate,
    volatility_swap_rate,
    w_transform_variance,
)

YEAR_NS = 365 * 86_400 * 10**9


def surface_of(theta, rho, psi, taus):
    taus = np.asarray(taus)
    return EssviSurface(
        underlying="BTC",
        ts_ns=0,
        expiries=np.round(taus * YEAR_NS).astype(np.int64),
        taus=taus,
        theta=np.broadcast_to(theta, taus.shape),
        rho=np.broadcast_to(rho, taus.shape),
        psi=np.broadcast_to(psi, taus.shape),
        forwards=np.full(taus.shape, 100.0),
    )


@dataclass(frozen=True)
class Mixture:
    """Two lognormals of mean 1: the log contract is the mean of their variances."""

    weights: tuple[float, float] = (0.3, 0.7)
    vols: tuple[float, float] = (0.9, 0.4)
    underlying: str = "BTC"
    ts_ns: int = 0
    expiries: np.ndarray = None

    def implied_vol(self, log_moneyness, tau):
        k, tau = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))
        parts = zip(self.weights, self.vols, strict=True)
        price = sum(p * black76_price(1.0, np.exp(k), tau, v, k >= 0) for p, v in parts)
        return implied_vol(price, 1.0, np.exp(k), tau, k >= 0)

    def total_variance(self, log_moneyness, tau):
        return self.implied_vol(log_moneyness, tau) ** 2 * np.asarray(tau)

    def forward(self, tau):
        return 100.0 + 0.0 * np.asarray(tau)


@pytest.mark.parametrize("vol", [0.01, 0.5, 3.0])
def test_a_flat_smile_pays_its_variance(vol):
    tau = np.array([1 / 365, 0.25, 1.0])
    flat = surface_of(vol**2 * tau, 0.0, 1e-12, tau)
    found = variance_swap_rate(flat, tau)
    assert found.variance == pytest.approx(np.full(3, vol**2), rel=1e-10)
    assert found.vol == pytest.approx(np.full(3, vol), rel=1e-10)
    assert w_transform_variance(flat, tau) == pytest.approx(np.full(3, vol**2), rel=1e-10)
    assert volatility_swap_rate(flat, tau) == pytest.approx(np.full(3, vol), rel=1e-10)


def test_a_mixture_pays_the_mean_of_its_variances():
    exact = 0.3 * 0.81 + 0.7 * 0.16
    tau = np.array([0.02, 0.2, 1.0])
    found = variance_swap_rate(Mixture(), tau)
    assert found.variance == pytest.approx(np.full(3, exact), rel=1e-9)
    assert w_transform_variance(Mixture(), tau) == pytest.approx(np.full(3, exact), rel=1e-9)
    # The strike of a volatility swap lies below the root of the fair variance (Jensen).
    assert np.all(volatility_swap_rate(Mixture(), tau) < found.vol - 0.01)


@st.composite
def free_of_arbitrage(draw):
    theta, rho = draw(st.floats(1e-5, 2.0)), draw(st.floats(-0.9, 0.9))
    cap = min(2.5 / (1 + abs(rho)), np.sqrt(4 * theta / (1 + abs(rho))))
    return surface_of(theta, rho, cap * draw(st.floats(0.05, 0.95)), [0.25])


@given(free_of_arbitrage())
@settings(max_examples=60, deadline=None)
def test_the_two_routes_agree(surface):
    found = variance_swap_rate(surface, [0.25])
    other = w_transform_variance(surface, [0.25])
    assert found.variance == pytest.approx(other, rel=1e-9, abs=10 * found.error[0])
    assert found.error[0] < 1e-6 * found.variance[0]
    # Strikes in the wings cost at least as much variance as the lowest vol of the smile.
    lowest = surface.total_variance(np.linspace(-5, 5, 2001), 0.25).min() / 0.25
    assert found.variance[0] >= lowest


def test_the_tail_is_stated_where_the_wing_is_nearly_too_steep():
    # Left wing slope 1.95 of a limit of 2: |d2| grows so slowly that it never gets to 9.
    steep = surface_of(16.0, -0.95, 2.0, [1.0])
    found = variance_swap_rate(steep, 1.0)
    assert 0.0 <= found.tail[0] < 1e-3
    assert found.error[0] < 1e-3 * found.variance[0]
    with pytest.raises(ConfigError, match="variance_swap_rate"):
        w_transform_variance(surface_of(16.0, -0.9999, 1.9999, [1.0]), 1.0)


def test_forward_variance_is_never_negative_without_calendar_arbitrage(truth_surface):
    taus = np.linspace(0.001, 1.5, 200)
    forward = forward_variance(truth_surface, taus)
    assert forward.min() > 0.0
    total = variance_swap_rate(truth_surface, taus[[0, -1]])
    whole = total.variance[1] * taus[-1] - total.variance[0] * taus[0]
    assert (forward * np.diff(taus)).sum() == pytest.approx(whole, rel=1e-12)


def test_calendar_arbitrage_shows_as_a_negative_forward_variance():
    inverted = surface_of([0.04, 0.03], 0.0, 0.05, [0.1, 0.2])
    assert forward_variance(inverted, [0.1, 0.2])[0] == pytest.approx(-0.1, rel=0.05)


def test_bad_requests_are_refused(truth_surface):
    for task in (variance_swap_rate, w_transform_variance, volatility_swap_rate):
        with pytest.raises(ConfigError, match="tau > 0"):
            task(truth_surface, 0.0)
    for taus in ([0.1], [0.2, 0.1], [0.1, 0.1]):
        with pytest.raises(ConfigError, match="ascending"):
            forward_variance(truth_surface, taus)
    with pytest.raises(ConfigError, match="even"):
        variance_swap_rate(truth_surface, 0.1, panels=5)
