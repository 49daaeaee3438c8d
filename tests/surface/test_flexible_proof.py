"""The proof of the flexible surface: never true where prices fall, and true where fits should be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import CalibrationError
from ivhedge.core.units import NS_PER_DAY
from ivhedge.surface import EssviSurface, certify, essvi_total_variance
from ivhedge.surface.flexible import FlexibleSurface
from ivhedge.surface.flexible import _proof_cells as cells
from ivhedge.surface.flexible._mixture import backbone_parts, kernel_parts
from ivhedge.surface.flexible._proof_wings import least_variance_rise, wing_need
from ivhedge.surface.flexible.proof import WingArgument, calendar_bounds, least_mix, prove
from tests.surface._laws import NAMES, centred, log_otm, log_prices, mixture, near_backbone, worst_fall


def test_reference_prices_agree_with_the_surface(small: EssviSurface) -> None:
    surface = near_backbone(small, seed=3, noise=0.3)
    k = np.linspace(-12.0, 12.0, 301) * np.sqrt(small.theta[1])
    at = np.full(k.size, small.taus[1])
    parts = surface.price_parts(k, at, at)
    np.testing.assert_allclose(np.log(parts[0]) + parts[3], log_prices(surface, 1, k), atol=1e-9)


def test_good_surface_is_proven(truth_surface: EssviSurface) -> None:
    apart = replace(truth_surface, **{name: getattr(truth_surface, name)[[0, 3, 5]] for name in NAMES})
    surface = near_backbone(apart)
    proof = prove(surface)
    assert proof.proven, proof.reason
    assert proof.reason == ""
    assert proof.least_rise.shape == proof.least_mix.shape == proof.log_moneyness.shape == (2,)
    assert (proof.least_mix <= surface.mix).all()
    assert (proof.least_rise > 0.0).all()
    assert (proof.wing_from[:, 0] < 0.0).all()
    assert (proof.wing_from[:, 1] > 0.0).all()
    assert WingArgument.OPEN not in {side for pair in proof.wing_argument for side in pair}
    assert least_mix(surface) == surface.mix
    certificate = certify(surface)
    assert certificate.valid
    assert certificate.proven


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), noise=st.floats(0.0, 0.8), mix=st.floats(-5.0, -0.5))
def test_never_proven_where_prices_fall(small: EssviSurface, seed: int, noise: float, mix: float) -> None:
    surface = near_backbone(small, seed=seed, noise=noise, mix=10.0**mix)
    proof = prove(surface)
    # Rounding of the reference is 1e-11 at most.
    if proof.proven:
        assert worst_fall(surface) > -1e-10
    mixed = replace(surface, mix=min(1.0, least_mix(surface) * (1.0 + 1e-9)))
    assert prove(mixed).proven
    assert worst_fall(mixed) > -1e-10


def test_both_answers_occur_and_the_least_mix_is_sharp(small: EssviSurface) -> None:
    answers = []
    for seed in range(12):
        surface = near_backbone(small, seed=seed, noise=0.4, mix=1e-3)
        proof = prove(surface)
        answers.append(proof.proven)
        least = least_mix(surface)
        if not proof.proven and least < 0.9:
            assert worst_fall(surface) < 0.0
            # Below the least mix by more than its 2 % prices do fall.
            assert worst_fall(replace(surface, mix=max(1e-3, 0.95 * least))) < 0.0
            assert np.isfinite(proof.log_moneyness).all()
    assert 0 < sum(answers) < 12


def hidden(small: EssviSurface, z: float, *, lump: float = 1e-3, mix: float = 1e-9) -> FlexibleSurface:
    """One wide kernel an expiry, and a lump of the earlier law that the later one has more concentrated."""
    pair = replace(small, **{name: getattr(small, name)[:2] for name in NAMES})
    sd = np.sqrt(pair.theta)
    spread, thin = 2e-3 * sd[0], 5e-4 * sd[0]
    at = np.exp(z * sd[0])
    rest = (1.0 - lump * at) / (1.0 - lump)
    mean = np.array([[rest, at * (1.0 - spread), at * (1.0 + spread)], [rest, at, at]])
    weight = np.array([[1.0 - lump, 0.5 * lump, 0.5 * lump]] * 2)
    width = np.array([[sd[0], thin, thin], [1.02 * sd[0], thin, thin]])
    return mixture(pair, weight, mean, width, mix)


def test_fall_between_grid_points_is_refused(small: EssviSurface) -> None:
    # Narrower than the distance of the certificate's strikes, a hundredth of a deviation.
    surface = hidden(small, -4.0035, lump=1e-2)
    sd = float(np.sqrt(small.theta[0]))
    k = np.linspace(-4.02, -3.99, 4001) * sd
    fall = log_prices(surface, 1, k) - log_prices(surface, 0, k)
    assert fall.min() < -1e-6
    proof = prove(surface)
    assert not proof.proven
    assert proof.least_rise[0] < 0.0
    assert proof.least_mix[0] > surface.mix
    assert abs(proof.log_moneyness[0] / sd + 4.0035) < 0.02
    assert not certify(surface).proven
    healed = replace(surface, mix=min(1.0, 1.0001 * least_mix(surface)))
    assert prove(healed).proven


@pytest.mark.parametrize("z", [-12.0, 12.0])
def test_fall_far_out_is_refused(small: EssviSurface, z: float) -> None:
    surface = near_backbone(small, mix=1e-4)
    at = int(np.argmax(surface.mean[0])) if z > 0.0 else int(np.argmin(surface.mean[0]))
    assert abs(np.log(surface.mean[0, at]) / np.sqrt(small.theta[0])) == pytest.approx(12.0)
    weight = surface.weight.copy()
    # Mean-preserving: what goes to the outermost kernel is balanced at the money.
    lump = 1e-5
    weight[0, at] += lump
    weight[0] = centred(weight[:1], surface.mean[:1])[0]
    spoiled = replace(surface, weight=weight)
    assert worst_fall(spoiled) < -1e-3
    assert not prove(spoiled).proven
    assert not certify(spoiled).proven


def test_earlier_kernel_with_a_heavier_wing_is_refused(small: EssviSurface) -> None:
    surface = near_backbone(small, mix=1e-4)
    middle = surface.width.shape[1] // 2
    width, weight = surface.width.copy(), surface.weight.copy()
    # A copy of the middle kernel, eight times as wide as the deviation.
    width[0, 0], mean = 8.0 * np.sqrt(small.theta[0]), surface.mean.copy()
    mean[0, 0] = mean[0, middle]
    weight[0, 0] = 1e-3
    spoiled = replace(surface, width=width, mean=mean, weight=centred(weight, mean))
    assert worst_fall(spoiled) < -1e-3
    assert not prove(spoiled).proven


@pytest.mark.parametrize(
    "changes",
    [
        {"theta": [0.02, 0.019, 0.03]},
        {"psi": [0.15, 0.1, 0.2]},
        {"rho": [-0.8, 0.5, -0.2]},
        {"psi": [0.15, 0.2, 3.9]},
    ],
)
def test_backbone_with_arbitrage_is_refused(small: EssviSurface, changes: dict[str, list[float]]) -> None:
    good = near_backbone(small)
    bad = replace(small, **{name: np.array(values) for name, values in changes.items()})
    for mix in (1e-3, 1.0):
        proof = prove(replace(good, backbone=bad, mix=mix))
        assert not proof.proven
        assert "conditions" in proof.reason


def test_what_is_no_number_is_refused(small: EssviSurface) -> None:
    good = near_backbone(small)
    weight = good.weight.copy()
    weight[0, 3] = np.nan
    with pytest.raises(CalibrationError, match="finite"):
        replace(good, weight=weight)
    object.__setattr__(good, "weight", weight)
    assert not prove(good).proven
    off = near_backbone(small)
    object.__setattr__(off, "weight", off.weight * (1.0 + 1e-11))
    assert "add to 1" in prove(off).reason
    late = near_backbone(small)
    object.__setattr__(late, "taus", late.taus * 1.01)
    assert "taus" in prove(late).reason


def test_equal_expiries_are_not_proven(small: EssviSurface) -> None:
    # The rise is zero but for rounding: nothing is claimed, and nothing less than the backbone helps.
    surface = near_backbone(small)
    same = {name: np.repeat(getattr(surface, name)[:1], 3, axis=0) for name in ("weight", "mean", "width")}
    flat = replace(
        small, **{name: np.repeat(getattr(small, name)[:1], 3) for name in ("theta", "rho", "psi")}
    )
    proof = prove(replace(surface, backbone=flat, **same))
    assert not proof.proven


def test_one_expiry_and_the_backbone_alone(small: EssviSurface) -> None:
    one = replace(small, **{name: getattr(small, name)[:1] for name in NAMES})
    proof = prove(near_backbone(one))
    assert proof.proven
    assert proof.least_mix.size == 0
    assert least_mix(near_backbone(one)) == near_backbone(one).mix
    assert prove(replace(near_backbone(small, noise=0.8, seed=5), mix=1.0)).proven


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_bounds_of_a_pair_hold_on_wide_cells(small: EssviSurface, side: float) -> None:
    surface = near_backbone(small, seed=2, noise=0.5)
    k = side * np.linspace(1e-9, 9.0, 13) * np.sqrt(small.theta[0])
    k = np.sort(k)
    sources = np.empty((4, 4, k.size))
    for e in (0, 1):
        rows, zero = np.full(k.size, e), np.zeros(k.size)
        kernel_parts(k, rows, zero, surface._log_weight, surface._centre, surface.width, sources[e])
        backbone_parts(k, *(np.full(k.size, v) for v in surface._slices[e]), sources[2 + e])
    fine = np.linspace(k[:-1], k[1:], 65, axis=1)
    whole = replace(surface, mix=1.0)
    own = [np.log(surface.weight[e]) for e in (0, 1)]
    for i in range(k.size - 1):
        one, two = sources[:, :, i].copy(), sources[:, :, i + 1].copy()
        top = max(one[:, 3].max(), two[:, 3].max())
        found = cells.pair_bounds(side, k[i], k[i + 1], one, two, 0.0, 0.0)
        kernels, backbone = [], []
        for e in (0, 1):
            each = [
                v + log_otm(fine[i], float(np.log(m)), s)
                for v, m, s in zip(own[e], surface.mean[e], surface.width[e], strict=True)
            ]
            kernels.append(np.exp(np.logaddexp.reduce(each) - top))
            backbone.append(np.exp(log_prices(whole, e, fine[i]) - top))
        unit = max(kernels[1].max(), backbone[1].max())
        assert found[0] <= (kernels[1] - kernels[0]).min() + 1e-9 * unit
        assert found[1] <= (backbone[1] - backbone[0]).min() + 1e-9 * unit
        assert found[2] == pytest.approx(unit, rel=1e-9)


def test_bound_is_below_the_rise_and_close(small: EssviSurface) -> None:
    surface = near_backbone(small, seed=1, noise=0.2)
    for count in (41, 401):
        k = np.linspace(0.0, 6.0, count) * np.sqrt(small.theta[0])
        both = []
        for e in (0, 1):
            at = np.full(k.size, surface.taus[e])
            parts = surface.price_parts(k, at, at)
            both.append((parts[0] * np.exp(parts[3]), -parts[1] * np.exp(parts[3] - k)))
        bound = np.empty(k.size - 1)
        calendar_bounds(np.exp(k), both[0][0], both[1][0], both[1][1], 0.0, bound)
        fine = np.linspace(k[:-1], k[1:], 33, axis=1)
        rise = np.exp(log_prices(surface, 1, fine)) - np.exp(log_prices(surface, 0, fine))
        gap = rise.min(axis=1) - bound
        assert (gap > -1e-13).all()
        widest = float(gap.max())
        if count == 41:
            coarse = widest
    assert widest < coarse / 50.0


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.floats(0.0, 1.0), min_size=9, max_size=9))
def test_cell_bound_for_random_convex_functions(values: list[float]) -> None:
    # Sums of hinges and a line, each convex: the later one's own slopes at the ends.
    t = np.linspace(0.0, 1.0, 2001)

    def convex(knots: list[float], weights: list[float], tilt: float):
        hinge = [w * np.maximum(t - c, 0.0) for c, w in zip(knots, weights, strict=True)]
        return 1.0 + tilt * t + sum(hinge)

    near = convex(values[:2], values[2:4], -values[4])
    far = convex(values[5:7], values[7:9], -values[0])
    slope0 = -values[0] + sum(w for c, w in zip(values[5:7], values[7:9], strict=True) if c < 0.0)
    slope1 = -values[0] + sum(values[7:9])
    bound = cells.cell_bound(1.0, near[0], near[-1], far[0], far[-1], slope0, slope1, 0.0)
    assert bound <= float((far - near).min()) + 1e-12
    assert bound <= min(far[0] - near[0], far[-1] - near[-1]) + 1e-12
    looser = cells.cell_bound(1.0, near[0], near[-1], far[0], far[-1], slope0, slope1, 1e-3)
    assert looser < bound


@settings(max_examples=200, deadline=None)
@given(
    theta=st.floats(0.001, 0.5), rho=st.floats(-0.9, 0.9), shape=st.floats(0.05, 1.0),
    grow=st.floats(0.0, 1.0), more_a=st.floats(0.0, 1.0), more_b=st.floats(0.0, 1.0), x=st.floats(0.0, 60.0),
)  # fmt: skip
def test_backbone_rises_at_least_by_its_bound(
    theta: float, rho: float, shape: float, grow: float, more_a: float, more_b: float, x: float
) -> None:
    psi = shape * np.sqrt(theta)
    a1, b1 = psi * (1.0 + rho), psi * (1.0 - rho)
    a2, b2 = a1 * (1.0 + more_a), b1 * (1.0 + more_b)
    psi2, phi1 = 0.5 * (a2 + b2), psi / theta
    theta2, rho2 = psi2 / phi1 * (1.0 + grow), (a2 - b2) / (a2 + b2)
    for side, near1, far1, near2, far2 in ((1.0, a1, b1, a2, b2), (-1.0, b1, a1, b2, a2)):
        k = side * x * np.sqrt(theta)
        true = essvi_total_variance(k, theta2, rho2, psi2) - essvi_total_variance(k, theta, rho, psi)
        bound = least_variance_rise(abs(k), theta, phi1, near1, far1, theta2, near2, far2)
        assert bound <= float(true) + 1e-12 * (1.0 + abs(k))


@settings(max_examples=60, deadline=None)
@given(
    rho=st.floats(-0.8, 0.8), shape=st.floats(0.2, 1.3), grow=st.floats(0.01, 1.0),
    steeper=st.floats(0.0, 0.5), weight=st.floats(-12.0, 0.0), centre=st.floats(-8.0, 8.0),
    wide=st.floats(0.3, 2.0),
    later=st.booleans(), side=st.sampled_from([-1.0, 1.0]),
    start=st.sampled_from([6.0, 10.0, 14.0, 20.0]), mix=st.floats(-5.0, 0.0),
)  # fmt: skip
def test_wing_argument_against_brute_force(
    rho: float, shape: float, grow: float, steeper: float, weight: float, centre: float, wide: float,
    later: bool, side: float, start: float, mix: float,
) -> None:  # fmt: skip
    theta, share = 0.04, 10.0**mix
    sd = np.sqrt(theta)
    psi = shape * sd / (1.0 + abs(rho))
    first = np.array([theta, rho, psi])
    second = np.array([theta * (1.0 + steeper) * (1.0 + grow), rho, psi * (1.0 + steeper)])
    log_weight = np.array([10.0**weight, 0.5])
    law1 = (np.log(log_weight), np.array([centre * sd, 0.0]), np.array([wide * sd, sd]))
    scale = 1.2 if later else 0.5
    law2 = (np.log(log_weight), np.array([centre * sd, 0.0]), scale * np.array([wide * sd, sd]))
    need, why = wing_need(side, start * sd, share, first, second, *law1, *law2)
    if why == WingArgument.OPEN:
        return
    assert 0.0 <= need <= 1.0
    k = side * sd * np.concatenate((start * np.linspace(1.0, 3.0, 400), start * np.geomspace(3.0, 50.0, 100)))
    prices = []
    for slices, law in ((first, law1), (second, law2)):
        own = log_otm(k, 0.0, np.sqrt(essvi_total_variance(k, *slices)))
        kernels = np.logaddexp(*(v + log_otm(k, c, s) for v, c, s in zip(*law, strict=True)))
        prices.append((own, kernels))
    # At the mix that it asks for, and at a larger one.
    for at in (np.clip(need * (1.0 + 1e-6), 1e-12, 1.0 - 1e-9), min(0.5 + 0.5 * need, 1.0 - 1e-9)):
        early, late = (np.logaddexp(np.log(at) + own, np.log1p(-at) + rest) for own, rest in prices)
        deep = early < -2.0e4
        assert ((late - early)[~deep] > -1e-8).all()


def test_both_wing_arguments_occur() -> None:
    theta, sd = 0.04, 0.2
    first, second = np.array([theta, -0.2, 0.2]), np.array([0.06, -0.2, 0.25])
    narrow = (np.zeros(1), np.zeros(1), np.array([0.5 * sd]))
    wide = (np.zeros(1), np.zeros(1), np.array([1.5 * sd]))
    for side in (-1.0, 1.0):
        need, why = wing_need(side, 12.0 * sd, 1e-4, first, second, *wide, *narrow)
        assert (why, need < 1e-4) == (WingArgument.BACKBONE, True)
        assert wing_need(side, 12.0 * sd, 1e-4, first, second, *narrow, *wide) == (0.0, WingArgument.KERNEL)
        # Too near the money the backbone has not yet overtaken the kernels.
        assert wing_need(side, 2.0 * sd, 1e-4, first, second, *wide, *narrow)[0] > 1e-4


def test_days_apart_use_few_cells(truth_surface: EssviSurface) -> None:
    assert int((truth_surface.expiries[0] - truth_surface.ts_ns) // NS_PER_DAY) == 1
    proof = prove(near_backbone(truth_surface))
    assert proof.proven
    assert proof.n_cells < 150 * (truth_surface.taus.size - 1)
