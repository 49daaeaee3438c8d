"""The map, its Jacobian, and the compiled kernels against their numpy twins."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ivhedge.surface import EssviSurface, RobustSettings, _kernels, _twin, calibrate_essvi, certify
from ivhedge.surface._residuals import order_statistic

numbers = st.integers(1, 5).flatmap(
    lambda n: hnp.arrays(np.float64, 3 * n, elements=st.floats(-6.0, 6.0, allow_subnormal=False))
)


def surface_of(params: np.ndarray) -> EssviSurface:
    days = np.arange(1, params.shape[0] + 1) * 30
    return EssviSurface(
        underlying="BTC",
        ts_ns=0,
        expiries=days * 86_400 * 10**9,
        taus=days / 365.0,
        theta=params[:, 0],
        rho=params[:, 1],
        psi=params[:, 2],
        forwards=np.full(days.size, 100.0),
    )


@settings(max_examples=60, deadline=None)
@given(x=numbers)
def test_any_numbers_give_a_certified_surface(x: np.ndarray) -> None:
    n = x.size // 3
    # Keep theta below about e^3: a total variance of 20 is far outside any market.
    x = x.copy()
    x[n : 2 * n] = np.minimum(x[n : 2 * n], 1.0)
    certificate = certify(surface_of(_kernels.map_slices(x)), n_strikes=401, n_between=10)
    assert certificate.valid, certificate.violations[:3]
    assert certificate.proven


@settings(max_examples=60, deadline=None)
@given(x=numbers)
def test_map_equals_its_twin(x: np.ndarray) -> None:
    np.testing.assert_allclose(_kernels.map_slices(x), _twin.map_slices(x), rtol=1e-9, atol=1e-300)


@settings(max_examples=60, deadline=None)
@given(x=numbers)
def test_coordinates_lead_back_to_the_same_slices(x: np.ndarray) -> None:
    n = x.size // 3
    x = np.concatenate((np.clip(x[:n], -2, 2), np.clip(x[n : 2 * n], -3, 1), np.clip(x[2 * n :], -3, 3)))
    params = _kernels.map_slices(x)
    again = _kernels.map_slices(_kernels.coordinates_of(params))
    # Increments of theta below 1 % are lifted to 1 % on purpose.
    if (np.exp(x[n : 2 * n]) >= 0.011 * params[:, 0]).all():
        np.testing.assert_allclose(again, params, rtol=1e-6)
    np.testing.assert_allclose(
        _kernels.coordinates_of(params), _twin.coordinates_of(params), rtol=1e-6, atol=1e-6
    )


def test_analytic_jacobian_agrees_with_differences() -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        n = int(rng.integers(1, 7))
        x = rng.normal(size=3 * n)
        x[n : 2 * n] -= 3.0
        expected = _twin.map_jacobian(x)
        # A draw may sit on a kink of the map, where one-sided slopes differ; they are rare.
        close = np.isclose(_kernels.map_jacobian(x), expected, rtol=1e-4, atol=1e-6)
        assert close.mean() > 0.98


def test_slopes_grow_and_shapes_flatten() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        theta, rho, psi = _kernels.map_slices(rng.normal(size=24) * 2.0).T
        assert (np.diff(psi * (1 + rho)) >= -1e-12 * psi[1:]).all()
        assert (np.diff(psi * (1 - rho)) >= -1e-12 * psi[1:]).all()
        assert (psi[1:] / theta[1:] <= psi[:-1] / theta[:-1] * (1 + 1e-12)).all()


def ranges_of(quotes: Any) -> tuple[np.ndarray, ...]:
    """Values, then some bounds in every slice, in the form of the kernels."""
    owner = quotes.owner
    some = np.arange(0, quotes.vol.size, 7)
    order = np.argsort(np.concatenate((owner, owner[some])), kind="stable")
    low = np.concatenate((quotes.vol, np.where(some % 2 == 0, 0.0, quotes.vol[some])))
    high = np.concatenate((quotes.vol, np.where(some % 2 == 0, 0.9 * quotes.vol[some], 1e6)))
    counts = np.diff(quotes.offsets)
    return (
        np.concatenate((quotes.log_moneyness, quotes.log_moneyness[some]))[order],
        low[order],
        high[order],
        np.concatenate((quotes.weight, 0.2 * quotes.weight[some]))[order],
        np.concatenate(([0], np.cumsum(counts + np.bincount(owner[some], minlength=counts.size)))),
        counts,
        quotes.taus,
    )


@pytest.mark.parametrize("is_tukey", [True, False])
def test_normal_equations_equal_their_twin(noisy: Callable[..., Any], is_tukey: bool) -> None:
    k, low, high, weight, offsets, _, taus = ranges_of(noisy("essvi", outliers=0.2, seed=1).quotes)
    n = taus.size
    params = _kernels.map_slices(np.concatenate((np.full(n, -0.2), np.full(n, -5.0), np.zeros(n))))
    prior = np.column_stack((np.full(n, -0.1), np.full(n, 2.0), np.full(n, 0.1), np.full(n, 3.0)))
    limit = np.linspace(5.0, 60.0, n)
    found = []
    for kernels in (_kernels, _twin):
        hessian, gradient = np.empty((n, 3, 3)), np.empty((n, 3))
        cost = kernels.normal_equations(
            params, k, low, high, weight, offsets, taus, prior, limit, is_tukey, hessian, gradient
        )
        found.append((cost, hessian, gradient))
    (cost, hessian, gradient), (cost2, hessian2, gradient2) = found
    assert cost == pytest.approx(cost2, rel=1e-12)
    np.testing.assert_allclose(hessian, hessian2, rtol=1e-9, atol=1e-11 * np.abs(hessian2).max())
    np.testing.assert_allclose(gradient, gradient2, rtol=1e-9, atol=1e-11 * np.abs(gradient2).max())


@pytest.mark.parametrize("is_tukey", [True, False])
def test_downhill_slope_is_that_of_the_cost(noisy: Callable[..., Any], is_tukey: bool) -> None:
    k, low, high, weight, offsets, _, taus = ranges_of(noisy("essvi", outliers=0.2, seed=1).quotes)
    n = taus.size
    params = _kernels.map_slices(np.concatenate((np.full(n, -0.2), np.full(n, -5.0), np.zeros(n))))
    prior, limit = np.zeros((n, 4)), np.full(n, 20.0)

    def cost_at(p: np.ndarray) -> float:
        scratch = np.empty((n, 3, 3)), gradient
        return _kernels.normal_equations(
            p, k, low, high, weight, offsets, taus, prior, limit, is_tukey, *scratch
        )

    gradient = np.empty((n, 3))
    cost_at(params)
    slope = gradient.copy()
    for s, j in ((0, 0), (3, 1), (7, 2)):
        move = np.zeros((n, 3))
        move[s, j] = 1e-6 * params[s, 0] if j == 0 else 1e-6
        change = (cost_at(params + move) - cost_at(params - move)) / (2.0 * move[s, j])
        # The cost is a sum of squares of errors: its slope is minus twice Jᵀ times the pull.
        assert change == pytest.approx(-2.0 * slope[s, j], rel=2e-3, abs=1e-4 * np.abs(slope[:, j]).max())


def test_starts_equal_their_twins(noisy: Callable[..., Any]) -> None:
    quotes = noisy("heston", outliers=0.2, seed=4).quotes
    ranges = ranges_of(quotes)
    counts = ranges[5]
    found = [
        kernels.atm_vols(quotes.log_moneyness, quotes.vol, quotes.weight, quotes.offsets, counts)
        for kernels in (_kernels, _twin)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    psi = 0.8 * found[0] * np.sqrt(quotes.taus)
    prior = np.column_stack((np.zeros(10), np.full(10, 4.0), psi, 4.0 / psi**2))
    slices = [kernels.fit_slices(found[0], *ranges, prior, 0.3, 1.5, 4) for kernels in (_kernels, _twin)]
    np.testing.assert_allclose(slices[0], slices[1], rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e3, 1e3)),
    share=st.floats(0.0, 1.0),
)
def test_order_statistics_are_those_of_a_sort(values: np.ndarray, share: float) -> None:
    rank = round(share * (values.size - 1))
    assert order_statistic.py_func(values.copy(), rank) == np.sort(values)[rank]


@pytest.mark.parametrize("model", ["essvi", "bates"])
def test_calibration_equals_its_twin(noisy: Callable[..., Any], model: str) -> None:
    sample = noisy(model, outliers=0.05, seed=2)
    compiled = calibrate_essvi(sample.quotes)
    plain = calibrate_essvi(sample.quotes, RobustSettings(use_twin=True))
    # Different rounding takes slightly different paths to the same minimum; 1e-4 of vol is 1 bp.
    assert abs(sample.rmse(compiled.params) - sample.rmse(plain.params)) < 1e-4
    np.testing.assert_allclose(compiled.params, plain.params, rtol=5e-3)
    np.testing.assert_allclose(compiled.robust_weight, plain.robust_weight, atol=0.02)
