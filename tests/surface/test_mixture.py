"""Prices of mixtures against mpmath and scipy, from the money to 1e-250."""

import mpmath as mp
import numpy as np
import pytest

from ivhedge.surface import essvi_total_variance
from ivhedge.surface.flexible._mixture import (
    backbone_parts,
    blend,
    kernel_parts,
    smile_from_parts,
    total_vols,
)
from ivhedge.surface.flexible.surface import smile_of_parts

WEIGHT = np.array([0.2, 0.5, 0.0, 0.3])
CENTRE = np.array([-0.3, 0.02, 0.1, 0.2])
WIDTH = np.array([0.2, 0.08, 0.1, 0.35])


def parts_of(k: np.ndarray, extra: float = 0.0, width: np.ndarray = WIDTH) -> np.ndarray:
    out = np.empty((4, k.size))
    with np.errstate(divide="ignore"):
        logs = np.log(WEIGHT)[None]
    rows = np.zeros(k.size, dtype=np.int64)
    kernel_parts(k, rows, np.full(k.size, extra), logs, CENTRE[None], width[None], out)
    return out


def exact(k: float, centre: float, s: float) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """Price, digital and density part of one lognormal, 300 digits: deep wings cancel."""
    with mp.workdps(300):
        y, m, s = mp.exp(mp.mpf(k)), mp.exp(mp.mpf(centre)), mp.mpf(s)
        d2 = (mp.mpf(centre) - mp.mpf(k)) / s - s / 2
        sign = -1 if k < 0 else 1
        price = sign * (m * mp.ncdf(sign * (d2 + s)) - y * mp.ncdf(sign * d2))
        return price, y * mp.ncdf(sign * d2), y * mp.npdf(d2) / s


def exact_mixture(k: float, extra: float = 0.0) -> list[mp.mpf]:
    with mp.workdps(300):
        each = [
            exact(k, c, mp.sqrt(mp.mpf(float(s)) ** 2 + extra)) for c, s in zip(CENTRE, WIDTH, strict=True)
        ]
        return [
            mp.fsum(mp.mpf(float(v)) * one[r] for v, one in zip(WEIGHT, each, strict=True)) for r in range(3)
        ]


@pytest.mark.parametrize("extra", [0.0, 0.01])
def test_kernels_against_mpmath(extra: float) -> None:
    k = np.array([-11.0, -4.0, -1.0, -0.31, -0.02, 0.0, 1e-9, 0.019, 0.21, 0.9, 3.0, 12.6])
    parts = parts_of(k, extra)
    smallest = 0.0
    for i, strike in enumerate(k):
        for r, true in enumerate(exact_mixture(float(strike), extra)):
            error = mp.log(mp.mpf(float(parts[r, i]))) + mp.mpf(float(parts[3, i])) - mp.log(true)
            # A fifth of what the proof allows for.
            assert abs(float(error)) < 2e-12, (strike, r)
            smallest = min(smallest, float(mp.log10(true)))
    assert smallest < -250.0


def test_wide_kernel_in_the_money_on_both_sides() -> None:
    # d1 > 0 > d2, both beyond the limit: neither form out of the money serves.
    k = np.array([-0.6, -0.01, 0.0, 0.4])
    out, zero = np.empty((4, 4)), np.zeros(4)
    kernel_parts(k, zero.astype(int), zero, np.zeros((1, 1)), np.zeros((1, 1)), np.full((1, 1), 3.0), out)
    for i, strike in enumerate(k):
        for r, true in enumerate(exact(float(strike), 0.0, 3.0)):
            assert float(out[r, i] * np.exp(out[3, i])) == pytest.approx(float(true), rel=1e-14)


def test_no_kernels_price_nothing() -> None:
    out, zero = np.empty((4, 2)), np.zeros(2)
    kernel_parts(
        zero, zero.astype(int), zero, np.full((1, 3), -np.inf), np.zeros((1, 3)), np.ones((1, 3)), out
    )
    assert (out[:3] == 0.0).all()
    assert (out[3] == -np.inf).all()


@pytest.mark.parametrize("k", [-9.0, -0.4, -0.01, 0.0, 0.02, 0.7, 8.0])
def test_backbone_against_mpmath(k: float) -> None:
    theta, rho, psi = 0.04, -0.3, 0.2
    out = np.empty((4, 1))
    backbone_parts(*(np.array([v]) for v in (k, theta, rho, psi)), out)

    def price(x: mp.mpf) -> mp.mpf:
        z = psi * x
        w = (theta + rho * z + mp.sqrt(z * z + 2 * rho * theta * z + theta * theta)) / 2
        s, y, sign = mp.sqrt(w), mp.exp(x), (-1 if k < 0 else 1)
        d1 = -x / s + s / 2
        return sign * (mp.ncdf(sign * d1) - y * mp.ncdf(sign * (d1 - s)))

    with mp.workdps(120):
        level = mp.exp(mp.mpf(float(out[3, 0])))
        value, slope, bend = (mp.diff(price, mp.mpf(k), n) for n in range(3))
        sign = 1 if k < 0 else -1
        assert float(out[0, 0] * level / value) == pytest.approx(1.0, rel=1e-12)
        assert float(sign * out[1, 0] * level / slope) == pytest.approx(1.0, rel=1e-12)
        assert float((sign * out[1, 0] + out[2, 0]) * level / bend) == pytest.approx(1.0, rel=1e-10)


def test_blend_adds_prices() -> None:
    rng = np.random.default_rng(0)
    first, second, out = rng.uniform(0.1, 1.0, (4, 5)), rng.uniform(0.1, 1.0, (4, 5)), np.empty((4, 5))
    blend(first, np.full(5, np.log(0.3)), second, np.full(5, np.log(0.7)), out)
    wanted = 0.3 * first[:3] * np.exp(first[3]) + 0.7 * second[:3] * np.exp(second[3])
    np.testing.assert_allclose(out[:3] * np.exp(out[3]), wanted, rtol=1e-14)


def test_smile_of_one_kernel_is_flat() -> None:
    k = np.linspace(-8.0, 8.0, 81)
    out, zero = np.empty((4, 81)), np.zeros(81)
    kernel_parts(k, zero.astype(int), zero, np.zeros((1, 1)), np.zeros((1, 1)), np.full((1, 1), 0.3), out)
    w, slope, curvature = smile_of_parts(k, out)
    np.testing.assert_allclose(w, 0.09, rtol=1e-12)
    np.testing.assert_allclose(slope, 0.0, atol=1e-11)
    np.testing.assert_allclose(curvature, 0.0, atol=1e-9)


def test_smile_of_a_backbone_is_its_own() -> None:
    k = np.concatenate((np.linspace(-600.0, 600.0, 13), np.linspace(-2.0, 2.0, 41)))
    theta, rho, psi = 0.09, -0.4, 0.3
    out = np.empty((4, k.size))
    backbone_parts(k, np.full(k.size, theta), np.full(k.size, rho), np.full(k.size, psi), out)
    np.testing.assert_allclose(
        smile_of_parts(k, out)[0], essvi_total_variance(k, theta, rho, psi), rtol=1e-11
    )


def test_total_vols_and_derivatives_deep_in_a_wing() -> None:
    k, true = np.array([-6.0, 9.0]), np.array([0.25, 0.4])
    out, zero = np.empty((4, 2)), np.zeros(2)
    for i, s in enumerate(true):
        one = np.empty((4, 1))
        kernel_parts(
            k[i : i + 1],
            zero[:1].astype(int),
            zero[:1],
            np.zeros((1, 1)),
            np.zeros((1, 1)),
            np.full((1, 1), s),
            one,
        )
        out[:, i] = one[:, 0]
    log_price = out[3] + np.log(out[0])
    assert (log_price < -250.0).all()
    depth = np.sqrt(-2.0 * log_price)
    guess = np.sqrt(depth * depth + 2.0 * np.abs(k)) - depth
    total_vols(k, log_price, guess, 60)
    np.testing.assert_allclose(guess, true, rtol=1e-12)
    smile = np.empty((3, 2))
    smile_from_parts(k, out, guess, smile)
    np.testing.assert_allclose(smile[1:], 0.0, atol=1e-9)
