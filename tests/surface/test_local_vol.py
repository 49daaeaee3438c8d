from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import solve_banded

from ivhedge.core.errors import ArbitrageError, ConfigError
from ivhedge.pricing import implied_vol
from ivhedge.surface import EssviSurface
from ivhedge.surface.local_vol import LocalVolStatus, local_variance, local_vol, time_slope

YEAR_NS = 365 * 86_400 * 10**9


@dataclass(frozen=True)
class Formula:
    """Total variance by a formula, one expiry a tenth of a year away."""

    of: object
    underlying: str = "BTC"
    ts_ns: int = 0

    @property
    def expiries(self):
        return np.array([YEAR_NS // 10])

    def total_variance(self, log_moneyness, tau):
        k, tau = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))
        return self.of(k, tau)

    def implied_vol(self, log_moneyness, tau):
        return np.sqrt(self.total_variance(log_moneyness, tau) / tau)

    def forward(self, tau):
        return 100.0 + 0.0 * np.asarray(tau)


def two_slices(theta, psi=(0.1, 0.15)):
    taus = np.array([0.1, 0.2])
    return EssviSurface(
        underlying="BTC",
        ts_ns=0,
        expiries=np.round(taus * YEAR_NS).astype(np.int64),
        taus=taus,
        theta=np.array(theta),
        rho=np.array([-0.3, -0.3]),
        psi=np.array(psi),
        forwards=np.array([100.0, 101.0]),
    )


def test_a_flat_smile_has_its_own_local_vol():
    surface = Formula(lambda k, tau: 0.25 * tau + 0.0 * k)
    k = np.linspace(-2, 2, 9)[:, None]
    found = local_vol(surface, k, [0.001, 0.05, 0.1, 0.3])
    assert found == pytest.approx(np.full((9, 4), 0.5), rel=1e-9)


def test_without_skew_it_is_the_slope_in_time():
    surface = Formula(lambda k, tau: 0.2 * tau + 0.3 * tau**2 + 0.0 * k)
    tau = np.array([0.01, 0.0999, 0.1, 0.1001, 1.0])
    for side in ("right", "left"):
        found = local_variance(surface, 0.3, tau, side=side)
        assert found.variance == pytest.approx(0.2 + 0.6 * tau, rel=1e-9)


def test_at_a_join_the_interval_asked_for_counts():
    surface = two_slices([0.03, 0.08])
    assert time_slope(surface, 0.0, 0.1, side="left") == pytest.approx(0.3, rel=1e-9)
    assert time_slope(surface, 0.0, 0.1, side="right") == pytest.approx(0.5, rel=1e-9)
    # A rounded expiry still belongs to the side asked for; a little off the join it is the interval's own.
    assert time_slope(surface, 0.0, 0.1 * (1 - 1e-14)) == pytest.approx(0.5, rel=1e-9)
    assert time_slope(surface, 0.0, [0.1 - 1e-5, 0.1 + 1e-5]) == pytest.approx([0.3, 0.5], rel=1e-8)


def test_where_there_is_none_the_status_says_why():
    falling = local_variance(two_slices([0.05, 0.04]), [0.0, 0.1], 0.15)
    assert falling.status.tolist() == [LocalVolStatus.CALENDAR] * 2
    assert np.isnan(falling.variance).all()
    # Twenty times what the butterfly condition allows.
    steep = local_variance(two_slices([0.01, 0.02], psi=(0.8, 0.9)), np.linspace(-1, 1, 101), 0.05)
    assert set(steep.status.tolist()) == {LocalVolStatus.OK, LocalVolStatus.BUTTERFLY}
    assert np.array_equal(np.isnan(steep.variance), steep.status != LocalVolStatus.OK)
    hole = Formula(lambda k, tau: np.where(k > 1, np.nan, 0.2 * tau))
    assert local_variance(hole, [0.0, 2.0], 0.05).status.tolist() == [0, LocalVolStatus.NOT_FINITE]
    with pytest.raises(ArbitrageError, match="calendar"):
        local_vol(two_slices([0.05, 0.04]), 0.0, 0.15)
    assert all(status.describe() for status in LocalVolStatus)


def test_no_variance_between_two_times_is_a_local_vol_of_zero():
    idle = Formula(lambda k, tau: 0.02 + 0.0 * (k + tau))
    found = local_variance(idle, [-0.5, 0.0, 0.5], 0.05)
    assert found.status.tolist() == [0, 0, 0]
    assert found.variance == pytest.approx(np.zeros(3), abs=1e-9)


def test_bad_requests_are_refused(truth_surface):
    with pytest.raises(ConfigError, match="tau > 0"):
        local_vol(truth_surface, 0.0, 0.0)
    with pytest.raises(ConfigError, match="side"):
        local_vol(truth_surface, 0.0, 0.1, side="both")


def dupire_calls(surface, taus, k, per_interval):
    """Calls over the forward by the forward equation c_t = σ²/2·(c_kk − c_k), implicit, from the payoff."""
    h = k[1] - k[0]
    calls, rows, before = np.maximum(1.0 - np.exp(k), 0.0), [], 0.0
    for tau in taus:
        # Steps of equal √t to begin with, where the payoff has its kink.
        grid = before + (tau - before) * np.linspace(0, 1, per_interval + 1) ** (2 if before == 0 else 1)
        for start, end in pairwise(grid):
            half = 0.5 * (end - start) * local_vol(surface, k[1:-1], 0.5 * (start + end)) ** 2
            bands = np.zeros((3, k.size))
            bands[1] = 1.0
            bands[1, 1:-1] += 2.0 * half / h**2
            bands[0, 2:] = -half * (1.0 / h**2 - 0.5 / h)
            bands[2, :-2] = -half * (1.0 / h**2 + 0.5 / h)
            calls = solve_banded((1, 1), bands, calls)
        rows.append(calls)
        before = tau
    return np.array(rows)


def test_prices_on_the_local_vol_give_the_smile_back(truth_surface):
    taus = truth_surface.taus[:8]
    k = np.linspace(-2.5, 2.5, 1001)
    calls = dupire_calls(truth_surface, taus, k, 60)
    for tau, row in list(zip(taus, calls, strict=True))[3:]:
        near = np.abs(k) < 1.5 * np.sqrt(truth_surface.total_variance(0.0, tau))
        price = np.where(k >= 0, row, row - 1.0 + np.exp(k))[near]
        vol = implied_vol(price, 1.0, np.exp(k[near]), tau, k[near] >= 0)
        # The error of the scheme, of first order in time: 8 bp here, 1 bp on a grid of 4,001 by 480.
        np.testing.assert_allclose(vol, truth_surface.implied_vol(k[near], tau), atol=0.001)
