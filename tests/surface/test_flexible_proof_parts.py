"""The parts of the proof: bounds on cells, and the arguments for the wings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.surface import EssviSurface, essvi_total_variance
from ivhedge.surface.flexible import FlexibleSurface
from ivhedge.surface.flexible import _proof_cells as cells
from ivhedge.surface.flexible._proof_wings import least_variance_rise, wing_need
from ivhedge.surface.flexible.proof import WingArgument, prove
from tests.surface._laws import NAMES, log_otm, mixture, worst_fall


def best_bound(near: np.ndarray, far: np.ndarray, slopes: np.ndarray) -> float:
    """Best mean of the two tangents of the later price over the chord of the earlier one, by search."""
    share = np.linspace(0.0, 1.0, 5_001)
    at0 = share * far[0] + (1.0 - share) * (far[1] - slopes[1]) - near[0]
    at1 = share * (far[0] + slopes[0]) + (1.0 - share) * far[1] - near[1]
    return float(np.minimum(at0, at1).max())


@settings(max_examples=200, deadline=None)
@given(
    near=st.tuples(st.floats(0.1, 1.0), st.floats(0.1, 1.0)),
    far0=st.floats(0.1, 1.0),
    slope=st.floats(-2.0, 1.0),
    more=st.floats(0.0, 3.0),
    share=st.floats(0.0, 1.0),
)
def test_cell_bound_is_the_best_mean_of_tangents(
    near: tuple[float, float], far0: float, slope: float, more: float, share: float
) -> None:
    slopes = np.array([slope, slope + more])
    far = (far0, far0 + slope + share * more)
    bound = cells.cell_bound(1.0, *near, *far, *slopes, 0.0)
    assert bound == pytest.approx(best_bound(np.array(near), np.array(far), slopes), abs=1e-3)
    size = sum(near) + sum(far)
    if far[1] < 0.1:
        return
    loss = bound - cells.cell_bound(1.0, *near, *far, *slopes, 1e-3)
    assert 1e-3 * size * (1.0 - 1e-9) <= loss <= 1e-3 * (size + np.abs(slopes).max()) + 1e-15
    # The same cell in strikes ten times as far apart.
    assert cells.cell_bound(10.0, *near, *far, *(0.1 * slopes), 0.0) == pytest.approx(bound, abs=1e-12)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_bounds_of_a_pair_are_those_of_its_tangents_and_chords(side: float) -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        k = np.sort(side * rng.uniform(0.1, 1.0, 2))
        one, two = rng.uniform(0.2, 1.0, (4, 4)), rng.uniform(0.2, 1.0, (4, 4))
        top = max(one[:, 3].max(), two[:, 3].max())
        y = np.exp(k)
        for r in (1, 3):
            # Later prices that are convex: the slope of the chord lies between those at the ends.
            slope = np.sort(-side * rng.uniform(0.1, 1.0, 2))
            scale = np.exp(top - np.array([one[r, 3], two[r, 3]]))
            one[r, 1], two[r, 1] = -side * slope * y * scale
            rise = (y[1] - y[0]) * rng.uniform(slope[0], slope[1])
            two[r, 0] = (one[r, 0] / scale[0] + rise) * scale[1]
        found = cells.pair_bounds(side, k[0], k[1], one, two, 0.0, 0.0)
        price = np.column_stack([part[:, 0] * np.exp(part[:, 3] - top) for part in (one, two)])
        digital = np.column_stack([part[:, 1] * np.exp(part[:, 3] - top) for part in (one, two)])
        wanted = [
            best_bound(price[r], price[r + 1], -side * digital[r + 1] / y * (y[1] - y[0])) for r in (0, 2)
        ]
        assert found[0] == pytest.approx(wanted[0], abs=2e-3)
        assert found[1] == pytest.approx(max(wanted[1], 0.0), abs=2e-3)
        assert found[2] == pytest.approx(max(price[1].max(), price[3].max()))


def test_nothing_is_proven_from_what_is_no_number() -> None:
    one = np.full((4, 4), 0.5)
    good = cells.pair_bounds(1.0, 0.1, 0.2, one, one, 0.0, 0.0)[0]
    assert np.isfinite(good)
    for value in (np.nan, -np.inf):
        bad = one.copy()
        bad[0, 3] = bad[1, 3] = value
        kernels = cells.pair_bounds(1.0, 0.1, 0.2, bad, one, 1e-11, 1e-11)[0]
        assert not kernels >= 0.0
    assert cells._need(np.nan, 1.0) == 1.0
    assert cells._need(-1.0, np.nan) == 1.0
    assert cells._need(0.0, 0.0) == 0.0
    assert cells._need(-1.0, 3.0) == pytest.approx(0.25)


def test_prices_below_every_number_prove_nothing_by_themselves() -> None:
    # Kernels 800 units of logarithm below the backbone: both come out as zero, and may fall.
    parts = np.full((4, 4), 0.5)
    parts[2:, 3], parts[:2, 3] = -10.0, -810.0
    kernels, _, _ = cells.pair_bounds(1.0, 0.1, 0.2, parts, parts, 0.0, 0.0)
    assert kernels < 0.0


def test_depth_of_a_price_widens_the_allowance() -> None:
    shallow, deep = np.full((4, 4), 0.5), np.full((4, 4), 0.5)
    deep[:, 3] = -5.0e3
    first = cells.pair_bounds(1.0, 0.1, 0.2, shallow, shallow, 0.0, 0.0)
    second = cells.pair_bounds(1.0, 0.1, 0.2, deep, deep, 0.0, 0.0)
    assert second[0] < first[0] - 1e-11


def open_wings(small: EssviSurface) -> FlexibleSurface:
    """Good up to 30 deviations; then a trace of a wide earlier kernel exceeds all later prices."""
    pair = replace(small, **{name: getattr(small, name)[:2] for name in NAMES})
    flat = replace(pair, psi=pair.psi * 1e-2)
    sd = np.sqrt(pair.theta[0])
    weight, width = np.array([[1.0, 1e-300], [1.0, 0.0]]), sd * np.array([[1.0, 5.0], [1.1, 1.0]])
    return mixture(flat, weight, np.ones((2, 2)), width, 0.3)


def test_open_wing_is_refused(small: EssviSurface) -> None:
    surface = open_wings(small)
    assert worst_fall(surface, reach=20.0) == 0.0
    assert worst_fall(surface, reach=45.0) < -1.0
    proof = prove(surface)
    assert not proof.proven
    assert proof.wing_argument == ((WingArgument.OPEN, WingArgument.OPEN),)
    np.testing.assert_array_equal(proof.least_mix, 1.0)
    assert proof.least_rise[0] <= 0.0
    # What is not the wing's fault passes: without the trace it is proven.
    clean = replace(surface, weight=np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert prove(clean).proven


FLAT = (np.array([0.04, -0.2, 0.2]), np.array([0.06, -0.2, 0.25]))


def wing_of_kernels(side: float, x: float, early: list[tuple], late: list[tuple]) -> tuple[float, int]:
    """`wing_need` for laws given as (log of the weight, centre, width)."""
    laws = [np.ascontiguousarray(v) for law in (early, late) for v in np.array(law).T]
    return wing_need(side, x, 1e-4, *FLAT, *laws)


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_kernel_argument_starts_where_prices_are_equal(side: float, shift: float) -> None:
    x, early = 2.4, [(0.0, 0.0, 0.2), (-1.0, 0.05, 0.15)]
    k = np.array([side * x])
    wanted = np.logaddexp(*(v + log_otm(k, c, s)[0] for v, c, s in early))
    level = wanted - log_otm(k, side * shift, 0.25)[0]
    for margin, why in ((1e-6, WingArgument.KERNEL), (-1e-6, None)):
        found = wing_of_kernels(side, x, early, [(level + margin, side * shift, 0.25)])
        assert (found == (0.0, WingArgument.KERNEL)) == (why is not None)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_kernel_argument_needs_a_ratio_that_rises(side: float) -> None:
    x, v, s = 2.4, 0.2, 0.21
    # Equal decay of both densities at x for this centre of the later kernel; beyond, its own is slower.
    decay = side * (side * x + 0.5 * v * v) / (v * v)
    centre = side * x + 0.5 * s * s - side * decay * s * s
    for move, holds in ((1e-4, True), (-1e-4, False)):
        # Weight enough that at x itself the later price is far above.
        found = wing_of_kernels(side, x, [(-60.0, 0.0, v)], [(0.0, centre + side * move, s)])
        assert (found == (0.0, WingArgument.KERNEL)) == holds
    # Narrower, if only by a little: prices cross in the end.
    for factor, holds in ((1.0 + 1e-3, True), (1.0 - 1e-3, False)):
        found = wing_of_kernels(side, x, [(-60.0, 0.0, v)], [(0.0, side * 0.5, v * factor)])
        assert (found == (0.0, WingArgument.KERNEL)) == holds
    # Of a mixture the widest counts, wherever it stands, but not without weight.
    wide, late = (-60.0, 0.0, 0.3), [(0.0, 0.0, 0.25)]
    for early in ([wide, (-60.0, 0.0, v)], [(-60.0, 0.0, v), wide]):
        assert wing_of_kernels(side, x, early, late)[1] != WingArgument.KERNEL
    assert wing_of_kernels(side, x, [(-np.inf, 0.0, 0.3), (-60.0, 0.0, v)], late)[1] == WingArgument.KERNEL
    assert wing_of_kernels(side, x, [(-60.0, 0.0, v)], [(-np.inf, 0.0, 0.25)])[1] != WingArgument.KERNEL


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_equal_kernels_are_no_argument(side: float) -> None:
    law = [(0.0, 0.0, 0.2)]
    assert wing_of_kernels(side, 2.4, law, law)[1] != WingArgument.KERNEL


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_backbone_argument_at_its_edges(side: float) -> None:
    first, second = FLAT
    x, law = 2.4, (np.zeros(1), np.zeros(1), np.array([0.2]))
    later = (np.zeros(1), np.zeros(1), np.array([0.15]))
    need, why = wing_need(side, x, 1e-4, first, second, *law, *later)
    assert why == WingArgument.BACKBONE
    # Exactly the mix at which the lower bound of the rise equals the kernels' price at x.
    k = np.array([side * x])
    theta1, rho1, psi1 = first
    a, b = psi1 * (1.0 + side * rho1), psi1 * (1.0 - side * rho1)
    near, far = second[2] * (1.0 + side * second[1]), second[2] * (1.0 - side * second[1])
    rise = least_variance_rise(x, theta1, psi1 / theta1, a, b, second[0], near, far)
    w1, w2 = (float(essvi_total_variance(k, *each)[0]) for each in FLAT)
    d1 = -k[0] / np.sqrt(w1) + 0.5 * np.sqrt(w1)
    floor = np.log(0.5 * rise / np.sqrt(w2)) - 0.5 * d1 * d1 - 0.5 * np.log(2.0 * np.pi)
    excess = log_otm(k, 0.0, 0.2)[0] - floor
    assert np.log(need / (1.0 - need)) == pytest.approx(excess, abs=1e-6)
    # A trace of a kernel wider than the backbone's tail: its hazard is too small, however light it is.
    for order in ([0, 1], [1, 0]):
        trace = (np.array([0.0, -600.0])[order], np.zeros(2), np.array([0.2, 3.0])[order])
        assert wing_need(side, x, 1e-4, first, second, *trace, *later) == (1.0, WingArgument.OPEN)
    # Total variance above 2x, no rise, and kernels below every number.
    assert wing_need(side, 0.01, 1e-4, first, second, *law, *later) == (1.0, WingArgument.OPEN)
    assert wing_need(side, x, 1e-4, first, first, *law, *later) == (1.0, WingArgument.OPEN)
    none = (np.zeros(1), np.zeros(1), np.array([1e-160]))
    assert wing_need(side, x, 1e-4, first, second, *none, *later)[1] == WingArgument.OPEN


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("width", [0.2, 0.5, 1.0])
def test_hazard_condition_of_the_backbone(side: float, width: float) -> None:
    """The argument stands from some strike on, and there the kernel does fall faster than the bound."""
    first, second = FLAT
    law, later = (np.zeros(1), np.zeros(1), np.array([width])), (np.zeros(1), np.zeros(1), np.array([0.15]))
    a = first[2] * (1.0 + side * first[1])
    for x in np.linspace(1.0, 12.0, 45):
        _, why = wing_need(side, x, 1e-4, first, second, *law, *later)
        if why == WingArgument.BACKBONE:
            k = side * np.linspace(x, x + 10.0, 2001)
            p = log_otm(k, 0.0, width)
            w = essvi_total_variance(k, *first)
            d1 = -k / np.sqrt(w) + 0.5 * np.sqrt(w)
            ratio = p + 0.5 * d1 * d1 + 0.5 * np.log(essvi_total_variance(k, *second))
            assert (np.diff(ratio) <= 1e-9).all()
            assert a < 4.0
