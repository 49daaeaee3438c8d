"""Evaluation of the flexible surface in strike and time, with and without a clock."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from ivhedge.surface import EssviSurface, VarianceClock, certify
from ivhedge.surface.clock import ClockEvent
from ivhedge.surface.flexible import FlexibleSurface
from ivhedge.surface.flexible.basis import BasisSettings, kernel_basis, projected_weights
from ivhedge.surface.flexible.proof import prove

NAMES = ("expiries", "taus", "theta", "rho", "psi", "forwards")
NS_PER_DAY = 86_400 * 10**9
WEEK = VarianceClock.from_weights(
    [1.4, 1.2, 1.2, 1.1, 1.1, 0.4, 0.6],
    events=[
        ClockEvent(
            name="release",
            start_ns=1767974400 * 10**9,
            end_ns=1767978000 * 10**9,
            multiplier=1.0,
            extra_days=0.5,
        )
    ],
)


@pytest.fixture(scope="module")
def apart(truth_surface: EssviSurface) -> EssviSurface:
    """Four expiries of the true surface."""
    return replace(truth_surface, **{name: getattr(truth_surface, name)[[0, 3, 5, 8]] for name in NAMES})


def flexible(backbone: EssviSurface, mix: float = 1e-3) -> FlexibleSurface:
    """The backbone's law in kernels."""
    basis = kernel_basis(np.sqrt(backbone.theta), BasisSettings(n_kernels=21))
    weight = projected_weights(basis, backbone.theta, backbone.rho, backbone.psi)
    first, second = (weight * basis.mean).sum(axis=1), (weight * basis.mean**2).sum(axis=1)
    tilt = ((1.0 - first) / (second - first**2))[:, None]
    return FlexibleSurface(
        weight=weight * (1.0 + tilt * (basis.mean - first[:, None])),
        mean=basis.mean,
        width=basis.width,
        mix=mix,
        backbone=backbone,
        expiries=backbone.expiries,
        taus=backbone.taus,
    )


def black_call(m: np.ndarray, y: np.ndarray, s: np.ndarray) -> np.ndarray:
    d1 = np.log(m / y) / s + 0.5 * s
    return m * ndtr(d1) - y * ndtr(d1 - s)


def price(surface: FlexibleSurface, k: np.ndarray, e: int, extra: float = 0.0, tau: float | None = None):
    y = np.exp(k)[:, None]
    own = surface.weight[e] * black_call(surface.mean[e], y, np.sqrt(surface.width[e] ** 2 + extra))
    w = surface.backbone.total_variance(k, float(surface.taus[e]) if tau is None else tau)
    backbone = black_call(np.ones(k.size), y[:, 0], np.sqrt(w))
    return (1.0 - surface.mix) * own.sum(axis=1) + surface.mix * backbone


def fitted(surface: FlexibleSurface, k: np.ndarray, tau: float) -> np.ndarray:
    return black_call(np.ones(k.size), np.exp(k), np.sqrt(surface.total_variance(k, tau)))


def test_prices_at_expiries_between_and_after(apart: EssviSurface) -> None:
    surface = flexible(apart)
    k = np.linspace(-0.3, 0.3, 41)
    for e in range(4):
        np.testing.assert_allclose(
            fitted(surface, k, float(surface.taus[e])), price(surface, k, e), atol=1e-14
        )
    middle = 0.3 * surface.taus[1] + 0.7 * surface.taus[2]
    low, high = (fitted(surface, np.zeros(1), t)[0] for t in surface.taus[1:3])
    share = (fitted(surface, np.zeros(1), middle)[0] - low) / (high - low)
    mixed = (1.0 - share) * price(surface, k, 1) + share * price(surface, k, 2)
    np.testing.assert_allclose(fitted(surface, k, middle), mixed, atol=1e-14)
    late = 1.5 * float(surface.taus[3])
    variance = surface.total_variance(0.0, surface.taus)
    growth = float((variance[3] - variance[2]) / (surface.taus[3] - surface.taus[2])) * (
        late - surface.taus[3]
    )
    np.testing.assert_allclose(fitted(surface, k, late), price(surface, k, 3, growth, late), atol=1e-14)


def test_scattered_points_equal_those_one_by_one(apart: EssviSurface) -> None:
    surface = flexible(apart)
    rng = np.random.default_rng(0)
    k, tau = rng.uniform(-0.5, 0.5, 60), rng.uniform(1e-4, 0.8, 60)
    together = surface.derivatives(k, tau)
    alone = np.array([[float(v) for v in surface.derivatives(x, t)] for x, t in zip(k, tau, strict=True)])
    np.testing.assert_allclose(np.column_stack(together), alone, rtol=1e-13, atol=1e-15)
    table = surface.total_variance(k[:5, None], tau[:7])
    assert table.shape == (5, 7)
    assert float(table[2, 3]) == float(surface.total_variance(k[2], tau[3]))


def test_kernels_in_any_order(apart: EssviSurface) -> None:
    surface = flexible(apart)
    order = np.random.default_rng(1).permutation(21)
    shuffled = replace(surface, **{n: getattr(surface, n)[:, order] for n in ("weight", "mean", "width")})
    k = np.linspace(-2.0, 2.0, 31)
    np.testing.assert_allclose(shuffled.total_variance(k, 0.05), surface.total_variance(k, 0.05), rtol=1e-12)


def test_calendar_clock_changes_nothing(apart: EssviSurface) -> None:
    plain, clocked = flexible(apart), flexible(replace(apart, clock=VarianceClock.calendar()))
    k, tau = np.linspace(-0.3, 0.3, 7)[:, None], np.array([0.001, 0.01, 0.05, 0.4, 0.7])
    np.testing.assert_allclose(clocked.total_variance(k, tau), plain.total_variance(k, tau), rtol=1e-9)


def test_variance_at_the_money_runs_on_the_clock(apart: EssviSurface) -> None:
    surface = flexible(replace(apart, clock=WEEK))
    days = np.arange(1, 29)
    at = surface.ts_ns + days * NS_PER_DAY
    variance = surface.total_variance(0.0, days / 365.0)
    knots = np.concatenate(([0.0], WEEK.tau(surface.ts_ns, surface.expiries)))
    at_expiries = surface.total_variance(0.0, surface.taus)
    wanted = np.interp(WEEK.tau(surface.ts_ns, at), knots, np.concatenate(([0.0], at_expiries)))
    np.testing.assert_allclose(variance, wanted, rtol=1e-9)
    plain = flexible(apart)
    np.testing.assert_allclose(at_expiries, plain.total_variance(0.0, plain.taus), rtol=1e-12)
    # The day with the release brings more than the Saturday.
    step = np.diff(variance)
    assert np.abs(variance - plain.total_variance(0.0, days / 365.0)).max() > 1e-4
    assert step.max() > 2.0 * step.min()


def test_after_the_last_expiry_the_clock_goes_on(apart: EssviSurface) -> None:
    surface = flexible(replace(apart, clock=WEEK), mix=1e-9)
    last = int(surface.expiries[-1])
    spans = np.array([1, 2, 3, 4, 5, 6, 7]) * NS_PER_DAY
    w = surface.total_variance(0.0, (last + spans - surface.ts_ns) / (365 * NS_PER_DAY))
    passed = WEEK.variance_time(np.full(7, last), last + spans)
    rise = w - float(surface.total_variance(0.0, surface.taus[-1]))
    # Widened kernels, smiling: nearly, not exactly, the variance that was added.
    np.testing.assert_allclose(rise / rise[-1], passed / passed[-1], rtol=1e-2)


def test_with_the_backbone_alone_it_is_the_backbone(apart: EssviSurface) -> None:
    backbone = replace(apart, clock=WEEK)
    surface = flexible(backbone, mix=1.0)
    k, tau = np.linspace(-0.4, 0.4, 9)[:, None], np.concatenate((backbone.taus, [0.9]))
    np.testing.assert_allclose(surface.implied_vol(k, tau), backbone.implied_vol(k, tau), rtol=1e-9)
    short = np.array([0.0, 1e-7, 1e-3])
    np.testing.assert_allclose(surface.implied_vol(k, short), backbone.implied_vol(k, short), rtol=1e-9)
    between = np.linspace(float(backbone.taus[0]), float(backbone.taus[-1]), 30)
    np.testing.assert_allclose(
        surface.implied_vol(0.0, between), backbone.implied_vol(0.0, between), rtol=1e-9
    )


@pytest.mark.parametrize("clock", [None, WEEK])
def test_certified_and_proven_on_a_clock(apart: EssviSurface, clock: VarianceClock | None) -> None:
    surface = flexible(replace(apart, clock=clock))
    certificate = certify(surface)
    assert certificate.valid, certificate.violations[:2]
    assert certificate.proven
    assert prove(surface).proven
    assert certificate.n_strikes >= 2001
    assert certificate.n_expiries >= surface.taus.size + 50


def test_dense_check_sees_a_calendar_fall(apart: EssviSurface) -> None:
    surface = flexible(apart)
    # The first two laws in the wrong order.
    order = [1, 0, 2, 3]
    crossed = replace(surface, **{n: getattr(surface, n)[order] for n in ("weight", "mean", "width")})
    certificate = certify(crossed)
    assert not certificate.valid
    assert not certificate.proven
    assert certificate.min_calendar < 0.0
    assert {violation.kind for violation in certificate.violations} == {"calendar"}


def test_dense_check_equals_the_surface(apart: EssviSurface) -> None:
    from ivhedge.surface.flexible._proof_dense import dense_smiles

    surface = flexible(replace(apart, clock=WEEK))
    taus = np.unique(np.concatenate((surface.taus, [1e-3, 0.015, 0.06, 0.2, 0.6])))
    near, far = np.linspace(-10.0, 10.0, 21), np.geomspace(10.0, 1000.0, 7)[1:]
    groups = list(dense_smiles(surface, taus, near, far))
    assert [group[0].size for group in groups] == [3, 3, 3, 2, 2]
    assert np.unique(np.concatenate([group[0] for group in groups])).size == taus.size
    for times, k, smiles in groups:
        assert (np.diff(k) >= 0.0).all()
        for row, tau in enumerate(times):
            wanted = np.stack(surface.derivatives(k, tau))
            np.testing.assert_allclose(smiles[0, row], wanted[0], rtol=1e-11)
            np.testing.assert_allclose(smiles[1:, row], wanted[1:], rtol=1e-6, atol=1e-7)


def test_groups_that_fail_are_read_on_all_strikes(apart: EssviSurface) -> None:
    from ivhedge.surface.flexible._proof_dense import THIN, dense_smiles

    near, far = np.linspace(-10.0, 10.0, 2001), np.geomspace(10.0, 1000.0, 61)[1:]
    good = flexible(apart)
    taus = good.taus
    sizes = [k.size for _, k, _ in dense_smiles(good, taus, near, far)]
    assert sizes[:3] == [-(-2521 // THIN) + (2520 % THIN > 0)] * 3
    # Laws of the middle pair in the wrong order.
    order = [0, 2, 1, 3]
    crossed = replace(good, **{n: getattr(good, n)[order] for n in ("weight", "mean", "width")})
    groups = list(dense_smiles(crossed, taus, near, far))
    assert groups[1][1].size == 2521
    assert np.diff(groups[1][2][0], axis=0).min() < 0.0


def test_dense_check_sees_a_butterfly_of_the_backbone(apart: EssviSurface) -> None:
    # psi² (1 + |rho|) far above 4 theta: a negative density at the second expiry only.
    psi = apart.psi.copy()
    psi[1] = 8.0 * np.sqrt(apart.theta[1])
    surface = replace(flexible(apart), backbone=replace(apart, psi=psi), mix=0.999)
    certificate = certify(surface)
    found = {v.expiry_ns for v in certificate.violations if v.kind == "butterfly"}
    assert not certificate.proven
    assert any(abs(ns - int(apart.expiries[1])) < 10_000 for ns in found)
    assert certificate.min_density < 0.0


def test_a_price_that_is_no_number_is_reported(apart: EssviSurface) -> None:
    surface = flexible(apart)
    slices = surface._slices.copy()
    slices[2] = np.nan
    object.__setattr__(surface, "_slices", slices)
    certificate = certify(surface)
    assert not certificate.valid
    assert not certificate.proven
    assert "not_finite" in {violation.kind for violation in certificate.violations}
