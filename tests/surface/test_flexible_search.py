"""Compiled kernel rows and calendar search against prices and searches written out in numpy."""

import numpy as np
import pytest

from ivhedge.surface import EssviSurface
from ivhedge.surface.flexible._rows import kernel_rows
from ivhedge.surface.flexible.basis import Basis, BasisSettings, kernel_basis, projected_weights
from ivhedge.surface.flexible.calendar import COARSE, ROOM, CalendarSearch, CutMemory, otm_price
from ivhedge.surface.flexible.program import roughness

MIX = 1e-4
STEP = 0.1


@pytest.fixture(scope="module")
def slices(truth_surface: EssviSurface) -> np.ndarray:
    """Parameters of four expiries."""
    return np.column_stack((truth_surface.theta, truth_surface.rho, truth_surface.psi))[[0, 3, 5, 8]]


@pytest.fixture(scope="module")
def basis(slices: np.ndarray) -> Basis:
    """Their kernels."""
    return kernel_basis(np.sqrt(slices[:, 0]), BasisSettings(n_kernels=21))


@pytest.fixture(scope="module")
def prior(basis: Basis, slices: np.ndarray) -> np.ndarray:
    """Weights near the backbone's law."""
    return projected_weights(basis, *slices.T)


def search_of(basis: Basis, slices: np.ndarray) -> CalendarSearch:
    """Weights are their own units."""
    return CalendarSearch(basis, np.ones_like(basis.mean), slices, MIX)


def rise_at(basis: Basis, slices: np.ndarray, weight: np.ndarray, pair: int, at: np.ndarray) -> np.ndarray:
    """Rise of the mixed price over the backbone's, from public prices."""
    k = basis.deviation[pair] * STEP * at
    own, base = [], []
    for e in (pair, pair + 1):
        theta, rho, psi = slices[e]
        z = psi * k
        variance = 0.5 * (theta + rho * z + np.sqrt((z + rho * theta) ** 2 + theta**2 * (1.0 - rho**2)))
        own.append(basis.prices(np.full(k.size, e), k) @ weight[e])
        base.append(otm_price(k, variance))
    rise = base[1] - base[0]
    # As in the search, a rise of nothing against the price counts as hardly any.
    rise_unit = np.maximum(rise, 1e-12 * (base[1] + 1e-9 * basis.deviation[pair]))
    return ((1.0 - MIX) * (own[1] - own[0]) + MIX * rise) / rise_unit


def crossing(basis: Basis, prior: np.ndarray) -> np.ndarray:
    """Weights whose prices fall from the second expiry to the third."""
    weight = prior.copy()
    weight[1, np.argmin(np.abs(basis.z - 6.0))] += 0.05
    return weight / weight.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("reach", [1.0, 8.0, 30.0])
def test_rows_are_prices(basis: Basis, reach: float) -> None:
    k = np.concatenate([d * np.linspace(-reach, reach, 33) for d in basis.deviation])
    owner = np.repeat(np.arange(4), 33)
    scale, factor = (
        np.random.default_rng(1).uniform(0.5, 2.0, basis.mean.shape),
        np.linspace(1.0, 3.0, k.size),
    )
    out = np.empty((k.size, basis.z.size))
    kernel_rows(k, owner, factor, np.log(basis.mean), basis.mean, basis.width, scale, out)
    expected = basis.prices(owner, k) * scale[owner] * factor[:, None]
    np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-15 * float(np.max(expected)))


def test_rise_is_that_of_the_prices(basis: Basis, slices: np.ndarray, prior: np.ndarray) -> None:
    search, weight = search_of(basis, slices), crossing(basis, prior)
    search.refine(weight)
    rise = search._rise
    for pair in range(3):
        size = int(np.isfinite(rise[pair]).sum())
        at = np.sort(search._at[pair, :size])
        assert np.isin(COARSE, at).all()
        assert (np.diff(at) > 0).all()
        inner = np.abs(at) < 60
        expected = rise_at(basis, slices, weight, pair, at)
        np.testing.assert_allclose(rise[pair, :size][inner], expected[inner], rtol=1e-7, atol=1e-9)


def test_a_fall_is_found_and_cut_at_its_lowest(basis: Basis, slices: np.ndarray, prior: np.ndarray) -> None:
    search, weight = search_of(basis, slices), crossing(basis, prior)
    at = np.arange(-50, 51)
    dense = rise_at(basis, slices, weight, 1, at)
    assert dense.min() < 0.0
    search.refine(weight)
    assert search._lowest[1].min() <= dense.min() + 1e-3 * abs(dense.min())
    assert search.ask()
    cuts = search.cuts()
    assert cuts.offsets[2] > cuts.offsets[1]
    own = slice(int(cuts.offsets[1]), int(cuts.offsets[2]))
    value = cuts.far[own] @ weight[2] - cuts.near[own] @ weight[1]
    assert value.min() < 0.0


def test_prices_that_rise_ask_for_nothing(basis: Basis, slices: np.ndarray) -> None:
    search = search_of(basis, slices)
    alone = np.zeros_like(basis.mean)
    # One kernel per expiry, at the forward: lognormal laws of rising width.
    alone[:, basis.z.size // 2] = 1.0
    search.refine(alone)
    assert search._lowest.min() > 0.0
    assert not search.ask()
    assert search.cuts().offsets.tolist() == [0, 0, 0, 0]


def test_cuts_are_remembered(basis: Basis, slices: np.ndarray) -> None:
    memory = CutMemory(
        pair=np.array([0, 1, 1]),
        at=np.array([3, -7, 5]),
        multiplier=np.array([1.0, 2.0, 3.0]),
        margin=np.array([0.01, 0.04, 0.16]),
    )
    search = search_of(basis, slices)
    search.recall(memory)
    again = search.memory()
    key = np.argsort(again.pair * 1000 + again.at)
    np.testing.assert_array_equal(again.pair[key], [0, 1, 1])
    np.testing.assert_array_equal(again.at[key], [3, -7, 5])
    np.testing.assert_array_equal(again.multiplier[key], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(again.margin[key], memory.margin)
    search.keep(2.0 * search.multipliers())
    np.testing.assert_array_equal(np.sort(search.memory().multiplier), [2.0, 4.0, 6.0])


def test_no_more_strikes_than_there_is_room(basis: Basis, slices: np.ndarray) -> None:
    many = np.setdiff1d(np.arange(-300, 300), COARSE)
    search = search_of(basis, slices)
    search.recall(
        CutMemory(
            pair=np.zeros_like(many), at=many, multiplier=np.ones(many.size), margin=np.full(many.size, 0.01)
        )
    )
    assert search.cuts().offsets.tolist() == [0, ROOM - COARSE.size, ROOM - COARSE.size, ROOM - COARSE.size]


def test_one_expiry_has_no_calendar() -> None:
    basis = kernel_basis(np.array([0.1]), BasisSettings(n_kernels=21))
    search = CalendarSearch(basis, np.ones((1, 21)), np.array([[0.01, 0.0, 0.1]]), MIX)
    search.refine(np.full((1, 21), 1.0 / 21))
    assert not search.ask()
    assert search.cuts().offsets.tolist() == [0]


def test_roughness_is_the_sum_of_squared_second_differences() -> None:
    x = np.random.default_rng(2).standard_normal(9)
    assert x @ roughness(9) @ x == pytest.approx(float((np.diff(x, 2) ** 2).sum()))
