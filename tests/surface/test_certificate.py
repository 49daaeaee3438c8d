"""The certificate must pass what is free of arbitrage and refuse what is not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ArbitrageError, ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.surface import EssviSurface, certify, density_factor
from ivhedge.surface._kernels import dense_checks
from ivhedge.surface.certificate import _numpy_checks

NS_PER_YEAR = 365 * 86_400 * 10**9


@dataclass(frozen=True)
class FormulaSurface:
    """A surface given by a formula for the total variance; it offers no derivatives."""

    formula: Callable[[FloatArray, FloatArray], FloatArray]
    taus: tuple[float, ...] = (1.0,)
    underlying: str = "BTC"
    ts_ns: int = 0

    @property
    def expiries(self) -> IntArray:
        return np.array([round(tau * NS_PER_YEAR) for tau in self.taus])

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        k, years = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))
        return np.asarray(self.formula(k, years))

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        return np.asarray(np.sqrt(self.total_variance(log_moneyness, tau) / np.asarray(tau)))

    def forward(self, tau: ArrayLike) -> FloatArray:
        return np.full(np.shape(tau), 100.0)


def raw_svi(k: FloatArray, a: float, b: float, m: float, rho: float, sigma: float) -> FloatArray:
    return np.asarray(a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma * sigma)))


def hidden_dip(k: FloatArray, tau: FloatArray) -> FloatArray:
    # Flat, with a narrow dent at 3.6: dense enough grids see the density turn negative there only.
    return np.asarray(tau * (0.25 - 0.02 * np.exp(-(((k - 3.6) / 0.15) ** 2))))


def pair(**changes: np.ndarray) -> EssviSurface:
    values = {
        "theta": np.array([0.04, 0.06]),
        "rho": np.array([-0.3, -0.3]),
        "psi": np.array([0.15, 0.2]),
    } | changes
    return EssviSurface(
        underlying="BTC",
        ts_ns=0,
        expiries=np.array([NS_PER_YEAR // 10, NS_PER_YEAR // 5]),
        taus=np.array([0.1, 0.2]),
        forwards=np.array([100.0, 101.0]),
        **values,
    )


def test_a_good_surface_passes_and_is_proven(truth_surface: EssviSurface) -> None:
    certificate = certify(truth_surface)
    assert certificate.valid
    assert certificate.proven
    assert certificate.n_strikes >= 2001
    assert certificate.n_expiries >= truth_surface.expiries.size + 50
    assert certificate.min_density > 0
    assert certificate.min_calendar >= 0
    assert certificate.max_wing_slope < 2
    certificate.require()


@pytest.mark.parametrize(
    "changes",
    [
        # Beyond the butterfly cap psi² (1 + |rho|) <= 4 theta, which is not necessary.
        {"psi": np.array([0.36, 0.40]), "theta": np.array([0.04, 0.06])},
        # psi grows faster than theta, again sufficient only.
        {"psi": np.array([0.100, 0.152]), "theta": np.array([0.04, 0.06])},
    ],
)
def test_what_is_not_covered_by_the_conditions_is_not_called_proven(changes: dict[str, np.ndarray]) -> None:
    certificate = certify(pair(**changes))
    assert certificate.valid
    assert not certificate.proven
    assert certify(pair()).proven


def test_flat_vol_passes_with_density_one() -> None:
    certificate = certify(FormulaSurface(lambda k, tau: 0.25 * tau + 0.0 * k, taus=(0.1, 0.5)))
    assert certificate.valid
    assert not certificate.proven
    # The far strikes divide rounding by tiny arms; 1e-6 is the tolerance of the check itself.
    assert certificate.min_density == pytest.approx(1.0, abs=1e-6)


def test_vogt_slice_fails_where_its_density_is_negative() -> None:
    # Gatheral, Jacquier (2014), section 3.1: Axel Vogt's example.
    surface = FormulaSurface(lambda k, tau: tau * raw_svi(k, -0.0410, 0.1331, 0.3586, 0.3060, 0.4153))
    certificate = certify(surface)
    assert not certificate.valid
    at_expiry = [v for v in certificate.violations if v.expiry_ns == NS_PER_YEAR]
    assert [v.kind for v in at_expiry] == ["butterfly"]
    # Their figure 1 shows the dip near k = 0.8.
    assert 0.6 < at_expiry[0].log_moneyness < 1.1
    assert at_expiry[0].strike == pytest.approx(100.0 * np.exp(at_expiry[0].log_moneyness))
    with pytest.raises(ArbitrageError, match="butterfly"):
        certificate.require()


def test_crossed_calendar_fails() -> None:
    certificate = certify(pair(theta=np.array([0.06, 0.05])))
    assert not certificate.valid
    assert "calendar" in {violation.kind for violation in certificate.violations}
    assert certificate.min_calendar < 0


def test_wings_that_cross_far_out_fail() -> None:
    # At the money the second slice is higher, but its left wing is flatter.
    certificate = certify(pair(rho=np.array([-0.8, 0.2])))
    assert not certificate.valid
    worst = min(
        (v for v in certificate.violations if v.kind == "calendar"), key=lambda violation: violation.size
    )
    assert worst.log_moneyness < -0.5


def test_fault_beyond_three_is_found() -> None:
    surface = FormulaSurface(hidden_dip)
    k = np.linspace(-3.0, 3.0, 6001)
    step = 1e-3
    w, up, down = (hidden_dip(k + shift, np.ones(k.size)) for shift in (0.0, step, -step))
    inside = density_factor(k, w, (up - down) / (2 * step), (up - 2 * w + down) / step**2)
    assert inside.min() > 0.9
    certificate = certify(surface)
    assert not certificate.valid
    assert certificate.violations[0].kind == "butterfly"
    assert 3.0 < certificate.violations[0].log_moneyness < 4.5


def test_svi_slices_that_cross_fail() -> None:
    # Each slice free of butterflies; the later one has flatter wings and a higher bottom.
    early = {"a": 0.01, "b": 0.10, "m": 0.0, "rho": -0.5, "sigma": 0.1}
    late = {"a": 0.03, "b": 0.06, "m": 0.05, "rho": -0.3, "sigma": 0.2}

    def term(k: FloatArray, tau: FloatArray) -> FloatArray:
        first, second = raw_svi(k, **early), raw_svi(k, **late)
        share = np.clip(tau - 1.0, 0.0, 1.0)
        return np.where(tau <= 1.0, tau * first, (1.0 - share) * first + share * second)

    k = np.linspace(-3.0, 3.0, 601)
    for slice_ in (early, late):
        alone = certify(FormulaSurface(lambda k, tau, s=slice_: tau * raw_svi(k, **s)), n_strikes=501)
        assert alone.valid
    assert (raw_svi(k, **late) < raw_svi(k, **early)).any()
    certificate = certify(FormulaSurface(term, taus=(1.0, 2.0)))
    assert not certificate.valid
    assert not certificate.proven
    assert "calendar" in {violation.kind for violation in certificate.violations}


def ssvi(theta: FloatArray, phi: FloatArray, rho: float, k: FloatArray) -> FloatArray:
    """Surface SVI: Gatheral, Jacquier (2014), definition 4.1."""
    z = phi * k
    return np.asarray(0.5 * theta * (1.0 + rho * z + np.sqrt((z + rho) ** 2 + 1.0 - rho * rho)))


def power_law(exponent: float, eta: float, rho: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Surface SVI with theta = 0.04·tau and phi = eta/theta**exponent."""
    return lambda k, tau: ssvi(0.04 * tau, eta / (0.04 * tau) ** exponent, rho, k)


LITERATURE = {
    # Theorem 4.1: theta·phi may not fall in theta, nor may it grow faster than theta·(1 + √(1 - rho²))/rho².
    "Gatheral-Jacquier 4.1, wings that flatten": (power_law(1.3, 0.05, -0.3), (0.25, 1.0), "calendar"),
    "Gatheral-Jacquier 4.1, wings that grow too fast": (
        lambda k, tau: ssvi(0.04 * tau, 3.0 * tau**6, -0.95, k), (1.0, 1.5), "calendar",
    ),
    # Theorem 4.2: theta·phi²·(1 + |rho|) <= 4 and theta·phi·(1 + |rho|) < 4.
    "Gatheral-Jacquier 4.2, curvature": (power_law(0.5, 3.5, -0.5), (0.25, 1.0), "butterfly"),
    "Gatheral-Jacquier 4.2, slope": (
        lambda k, tau: ssvi(4.0 * tau, 0.9 + 0.0 * tau, -0.5, k), (1.0,), "wing_slope",
    ),
    # Raw slices of equal sign of slope whose quartic has two roots, section 3.2.
    "Gatheral-Jacquier, crossed slices": (
        lambda k, tau: np.where(
            tau <= 1.0,
            tau * raw_svi(k, 0.02, 0.12, 0.0, -0.4, 0.15),
            (2.0 - np.minimum(tau, 2.0)) * raw_svi(k, 0.02, 0.12, 0.0, -0.4, 0.15)
            + (np.minimum(tau, 2.0) - 1.0) * raw_svi(k, 0.035, 0.09, 0.05, -0.4, 0.15),
        ),
        (1.0, 2.0), "calendar",
    ),
    # Roper (2010), theorem 2.9: Durrleman's condition, rise in time, and the limit of d1 at large strikes.
    "Roper IV3, Durrleman": (
        lambda k, tau: tau * (0.04 + 0.03 * np.sin(6.0 * k) * np.exp(-k * k)), (1.0,), "butterfly",
    ),
    "Roper IV4, monotone in time": (
        lambda k, tau: 0.04 * tau + 0.02 * np.exp(-8.0 * tau) * np.tanh(k) ** 2, (0.1, 0.4), "calendar",
    ),
    "Roper IV5, large moneyness": (
        lambda k, tau: tau * (0.04 + 2.4 * (np.sqrt(k * k + 1.0) - 1.0)), (1.0,), "wing_slope",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LITERATURE)
def test_conditions_of_the_literature_refuse(name: str) -> None:
    formula, taus, kind = LITERATURE[name]
    certificate = certify(FormulaSurface(formula, taus=taus))
    assert not certificate.valid
    assert not certificate.proven
    assert kind in {violation.kind for violation in certificate.violations}


def test_ssvi_inside_the_conditions_of_the_literature_passes() -> None:
    # Gatheral, Jacquier (2014), remark 4.4: eta·(1 + |rho|) <= 2 with the exponent 1/2.
    assert certify(FormulaSurface(power_law(0.5, 1.3, -0.5), taus=(0.25, 1.0))).valid


def test_wing_steeper_than_two_fails() -> None:
    steep = certify(FormulaSurface(lambda k, tau: tau * raw_svi(k, 0.04, 1.3, 0.0, 0.7, 0.1)))
    assert not steep.valid
    assert steep.max_wing_slope > 2
    essvi = certify(pair(psi=np.array([0.15, 4.0]), theta=np.array([0.04, 9.0])))
    assert "wing_slope" in {violation.kind for violation in essvi.violations}


def test_kink_between_strikes_is_felt() -> None:
    # Linear interpolation of variance with a concave corner has a negative point mass there.
    kinked = FormulaSurface(
        lambda k, tau: (
            tau * (0.25 - 0.03 * np.abs(k - 0.01234)) * (np.abs(k) < 2) + tau * 0.2 * (np.abs(k) >= 2)
        )
    )
    assert not certify(kinked).valid


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -0.1])
def test_a_variance_that_is_no_number_fails_instead_of_passing(value: float) -> None:
    certificate = certify(FormulaSurface(lambda k, tau: np.where(k > 1.0, value, 0.2 * tau)))
    assert not certificate.valid
    assert "not_finite" in {violation.kind for violation in certificate.violations}


class ClaimsFlat(FormulaSurface):
    """A surface whose closed-form derivatives are those of another one."""

    claimed = 0.0

    def derivatives(self, log_moneyness: ArrayLike, tau: ArrayLike) -> tuple[FloatArray, ...]:
        w = self.total_variance(log_moneyness, tau)
        return w, np.full_like(w, self.claimed), np.full_like(w, self.claimed)


class ClaimsNothing(ClaimsFlat):
    claimed = np.nan


def test_derivatives_are_not_taken_at_their_word() -> None:
    vogt = ClaimsFlat(lambda k, tau: tau * raw_svi(k, -0.0410, 0.1331, 0.3586, 0.3060, 0.4153))
    assert {v.kind for v in certify(vogt).violations} == {"butterfly"}
    silent = certify(ClaimsNothing(lambda k, tau: 0.25 * tau + 0.0 * k))
    assert not silent.valid
    assert np.isnan(silent.min_density)
    silent_reasons = {v.kind for v in silent.violations}
    assert silent_reasons == {"butterfly"}


def test_a_vol_that_does_not_belong_to_the_variance_fails() -> None:
    class Smirk(FormulaSurface):
        def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
            return 0.5 + 0.1 * np.asarray(log_moneyness) + 0.0 * np.asarray(tau)

    kinds = {v.kind for v in certify(Smirk(lambda k, tau: 0.25 * tau + 0.0 * k)).violations}
    assert kinds == {"implied_vol"}


@pytest.mark.parametrize("price", [np.nan, 0.0, -1.0])
def test_a_forward_that_is_no_price_fails(price: float) -> None:
    class Lost(FormulaSurface):
        def forward(self, tau: ArrayLike) -> FloatArray:
            return np.where(np.asarray(tau) > 0.5, price, 100.0)

    found = certify(Lost(lambda k, tau: 0.25 * tau + 0.0 * k, taus=(0.2, 1.0))).violations
    assert {v.kind for v in found} == {"forward"}
    assert min(v.expiry_ns for v in found) > NS_PER_YEAR // 2


def test_wings_that_cross_beyond_every_grid_fail() -> None:
    # At ±1,000 standard deviations the later slice is still higher; its wing falls all the same.
    certificate = certify(pair(psi=np.array([0.2, 0.2 * (1 - 1e-6)])))
    assert certificate.min_calendar > 0.0
    assert {(v.kind, abs(v.log_moneyness)) for v in certificate.violations} == {("calendar", np.inf)}


@settings(max_examples=40, deadline=None)
@given(
    theta=st.floats(0.01, 0.2), rho=st.floats(-0.9, 0.9), shape=st.floats(0.2, 1.9), tau=st.floats(0.02, 2.0)
)
def test_numeric_and_exact_derivatives_agree(theta: float, rho: float, shape: float, tau: float) -> None:
    psi = shape * np.sqrt(theta / (1 + abs(rho)))
    exact = EssviSurface(
        underlying="BTC",
        ts_ns=0,
        expiries=np.array([round(tau * NS_PER_YEAR)]),
        taus=np.array([tau]),
        theta=np.array([theta]),
        rho=np.array([rho]),
        psi=np.array([psi]),
        forwards=np.array([100.0]),
    )
    numeric = FormulaSurface(exact.total_variance, taus=(tau,))
    first, second = (certify(s, n_strikes=801, n_between=4) for s in (exact, numeric))
    assert first.valid
    assert second.valid
    assert first.min_density == pytest.approx(second.min_density, abs=1e-3)


def test_compiled_checks_equal_their_twin(truth_surface: EssviSurface) -> None:
    taus = truth_surface.taus
    grid = np.linspace(-10.0, 10.0, 401)
    k = np.sqrt(truth_surface.theta)[:, None] * grid
    compiled = dense_checks(k, np.column_stack(truth_surface.slice_parameters(taus)))
    for one, other in zip(compiled, _numpy_checks(truth_surface, k, taus), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)


def test_wrong_grid_is_refused(truth_surface: EssviSurface) -> None:
    with pytest.raises(ConfigError, match="n_strikes"):
        certify(truth_surface, n_strikes=11)


def test_expired_surface_is_refused() -> None:
    with pytest.raises(DataError, match="expiries"):
        certify(FormulaSurface(lambda k, tau: tau + 0 * k, taus=(-0.5,)))
