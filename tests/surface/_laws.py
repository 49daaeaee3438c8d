"""Flexible surfaces made by hand, with reference prices, for the tests of the proof."""

import numpy as np
from scipy.special import erfcx, log_ndtr

from ivhedge.surface import EssviSurface, essvi_total_variance
from ivhedge.surface.flexible import FlexibleSurface
from ivhedge.surface.flexible.basis import BasisSettings, kernel_basis, projected_weights

NAMES = ("expiries", "taus", "theta", "rho", "psi", "forwards")
SMALL_BASIS = BasisSettings(n_kernels=15)


def centred(weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Weights times exp(tilt·mean), so that they add to 1 with mean 1."""
    for _ in range(50):
        weight = weight / weight.sum(axis=1, keepdims=True)
        first = (weight * mean).sum(axis=1, keepdims=True)
        spread = (weight * (mean - first) ** 2).sum(axis=1, keepdims=True)
        weight = weight * np.exp(np.clip((1.0 - first) / spread * (mean - 1.0), -2.0, 2.0))
    first = (weight * mean).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    return weight / weight.sum(axis=1, keepdims=True) + 0.0 * first


def mixture(backbone: EssviSurface, weight: np.ndarray, mean: np.ndarray, width: np.ndarray, mix: float):
    return FlexibleSurface(
        weight=weight,
        mean=mean,
        width=width,
        mix=mix,
        backbone=backbone,
        expiries=backbone.expiries,
        taus=backbone.taus,
    )


def near_backbone(backbone: EssviSurface, *, seed: int = 0, noise: float = 0.0, mix: float = 1e-3):
    """The backbone's law in kernels, with random waves in the densities."""
    basis = kernel_basis(np.sqrt(backbone.theta), SMALL_BASIS)
    weight = projected_weights(basis, backbone.theta, backbone.rho, backbone.psi)
    rng = np.random.default_rng(seed)
    waves = np.cumsum(rng.normal(0.0, noise, weight.shape), axis=1)
    return mixture(backbone, centred(weight * np.exp(waves), basis.mean), basis.mean, basis.width, mix)


def log_otm(k: np.ndarray, centre: float, s: np.ndarray | float) -> np.ndarray:
    """Logarithm of an out-of-the-money price, by scipy, independent of the library."""
    side = np.where(k < 0.0, -1.0, 1.0)
    near, far = -side * ((centre - k) / s + 0.5 * s), -side * ((centre - k) / s - 0.5 * s)
    near, far = np.where(side > 0.0, near, far), np.where(side > 0.0, far, near)
    # near = -d1, far = -d2 for calls; d2 and d1 for puts.
    energy = k - 0.5 * ((centre - k) / s - 0.5 * s) ** 2
    outside = near > -1.0
    with np.errstate(all="ignore"):
        tails = 0.5 * (erfcx(near / np.sqrt(2.0)) - erfcx(far / np.sqrt(2.0)))
        wing = energy + np.log(tails)
        inside = np.where(
            side > 0.0,
            np.exp(centre + log_ndtr(-near)) - np.exp(k + log_ndtr(-far)),
            np.exp(k + log_ndtr(-near)) - np.exp(centre + log_ndtr(-far)),
        )
        return np.where(outside, wing, np.log(np.maximum(inside, 1e-320)))


def log_prices(surface: FlexibleSurface, e: int, k: np.ndarray) -> np.ndarray:
    backbone = surface.backbone
    w = essvi_total_variance(k, backbone.theta[e], backbone.rho[e], backbone.psi[e])
    total = np.log(surface.mix) + log_otm(k, 0.0, np.sqrt(w))
    if surface.mix < 1.0:
        for v, m, s in zip(surface.weight[e], surface.mean[e], surface.width[e], strict=True):
            if v > 0.0:
                total = np.logaddexp(total, np.log((1.0 - surface.mix) * v) + log_otm(k, float(np.log(m)), s))
    return total


def worst_fall(surface: FlexibleSurface, n: int = 6_001, reach: float = 60.0) -> float:
    """Largest relative fall of a price to the next expiry, by brute force."""
    worst = 0.0
    for e in range(surface.taus.size - 1):
        dense = np.concatenate((np.linspace(-16.0, 16.0, n), np.geomspace(16.0, reach, 400)))
        k = np.concatenate((dense, -dense[n:])) * np.sqrt(surface.backbone.theta[e])
        change = log_prices(surface, e + 1, k) - log_prices(surface, e, k)
        worst = min(worst, float(np.nanmin(change)))
    return worst
