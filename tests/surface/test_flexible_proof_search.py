"""The proof against a search for falling prices on random surfaces."""

from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivhedge.surface import EssviSurface, essvi_total_variance
from ivhedge.surface.flexible import FlexibleSurface
from ivhedge.surface.flexible.proof import prove
from tests.surface._laws import NAMES, log_prices, mixture, near_backbone


def random_surface(small: EssviSurface, draw_seed: int, kernels: int, touch: float, log_mix: float):
    """Two expiries of few kernels, of which some have no weight, the later law nearly the earlier one."""
    rng = np.random.default_rng(draw_seed)
    pair = replace(small, **{name: getattr(small, name)[:2] for name in NAMES})
    sd = float(np.sqrt(pair.theta[0]))
    centre = np.sort(rng.uniform(-3.0, 3.0, kernels)) * sd * (kernels > 1)
    weight = rng.uniform(0.0, 1.0, kernels) * (rng.random(kernels) < 0.8) + 1e-6
    weight *= 10.0 ** rng.uniform(-8.0, 0.0, kernels)
    weight /= weight.sum()
    mean = np.exp(centre)
    mean /= weight @ mean
    width = sd * rng.uniform(0.2, 1.5, kernels)
    extra = sd * np.sqrt(touch) * np.where(rng.random(kernels) < 0.9, 1.0, rng.random(kernels))
    both = np.stack((width, np.sqrt(width**2 + extra**2)))
    laws = np.stack((weight, weight))
    if rng.random() < 0.3 and kernels > 1:
        # Weight from the middle outwards or back: convex order in one of the two directions.
        i, j = rng.integers(0, kernels, 2)
        moved = 0.1 * min(weight[i], weight[j]) * rng.choice([-1.0, 1.0])
        laws[1, i] += moved
        laws[1, j] -= moved
        laws[1] /= laws[1].sum()
    means = np.stack((mean, mean / (laws[1] @ mean)))
    return mixture(pair, laws, means, both, 10.0**log_mix)


def exact_otm(k: float, centre: float, s: float) -> mp.mpf:
    side = -1 if k < 0.0 else 1
    d2 = (mp.mpf(centre) - mp.mpf(k)) / s - mp.mpf(s) / 2
    return side * (mp.exp(centre) * mp.ncdf(side * (d2 + s)) - mp.exp(mp.mpf(k)) * mp.ncdf(side * d2))


def exact_price(surface: FlexibleSurface, e: int, k: float) -> mp.mpf:
    w = float(essvi_total_variance(k, *surface._slices[e]))
    total = mp.mpf(surface.mix) * exact_otm(k, 0.0, float(np.sqrt(w)))
    for v, m, s in zip(surface.weight[e], surface.mean[e], surface.width[e], strict=True):
        total += (1 - mp.mpf(surface.mix)) * mp.mpf(float(v)) * exact_otm(k, float(np.log(m)), float(s))
    return total


def check_by_brute_force(surface: FlexibleSurface, n: int, n_exact: int) -> bool:
    """Whether proven; then no price may fall, at any strike of a dense grid nor exactly in the wings."""
    if not prove(surface).proven:
        return False
    sd = float(np.sqrt(surface.backbone.theta[0]))
    k = np.concatenate((np.linspace(-16.0, 16.0, n), np.geomspace(16.0, 60.0, 200))) * sd
    k = np.concatenate((k, -k[-200:]))
    assert np.nanmin(log_prices(surface, 1, k) - log_prices(surface, 0, k)) > -1e-9
    with mp.workdps(60):
        for x in np.geomspace(6.0, 60.0, n_exact) * sd:
            for side in (-1.0, 1.0):
                near, far = (exact_price(surface, e, side * float(x)) for e in (0, 1))
                assert far > near * (1 - mp.mpf(10) ** -11)
    return True


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    kernels=st.integers(1, 5),
    touch=st.floats(-12.0, 0.0),
    mix=st.floats(-10.0, -0.3),
)
def test_random_surfaces_by_brute_force(
    small: EssviSurface, seed: int, kernels: int, touch: float, mix: float
) -> None:
    check_by_brute_force(random_surface(small, seed, kernels, 10.0**touch, mix), 4_001, 2)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    kernels=st.integers(1, 5),
    touch=st.floats(-12.0, 0.0),
    mix=st.floats(-10.0, -0.3),
)
def test_random_surfaces_by_brute_force_at_200_000_strikes(
    small: EssviSurface, seed: int, kernels: int, touch: float, mix: float
) -> None:
    check_by_brute_force(random_surface(small, seed, kernels, 10.0**touch, mix), 200_001, 12)


def test_random_surfaces_give_both_answers(small: EssviSurface) -> None:
    answers = [
        check_by_brute_force(random_surface(small, seed, 1 + seed % 4, 100.0 ** -(seed % 7), -10.0), 2_001, 1)
        for seed in range(28)
    ]
    assert 4 < sum(answers) < 28


def test_backbone_that_cannot_be_priced_exactly_enough_is_refused(small: EssviSurface) -> None:
    good = near_backbone(small)
    edge = replace(small, rho=np.full(3, 0.99995), psi=small.psi * 0.1)
    assert "rho" in prove(replace(good, backbone=edge)).reason
    steep = replace(small, theta=np.array([4.0, 4.1, 4.2]), psi=np.full(3, 3.95), rho=np.full(3, 0.001))
    assert "psi" in prove(replace(good, backbone=steep)).reason
