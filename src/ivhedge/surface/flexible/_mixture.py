"""Compiled prices of mixtures and their total vols, in logarithms so that no wing is too far.

A price out of the money and its derivatives in log-moneyness are sums of three positive quantities per
component: the price p, the digital part q = y·N(±d2) and the density part f = y·φ(d2)/s, with
dp/dk = ∓q and d²p/dk² = ∓q + f (upper signs for calls). Nothing cancels, at any distance.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing._elementary import erfcx_parts, exp_negative, normal_cdf
from ivhedge.pricing.jit import INNER, njit

__all__ = ["mixture_parts", "smile_from_parts", "total_vols"]

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
SQRT_HALF = math.sqrt(0.5)
SQRT_HALF_PI = math.sqrt(0.5 * math.pi)
OTM_LIMIT = 0.8
"""Components in the money by more than this many deviations are priced by the normal distribution itself."""
NEGLIGIBLE = 46.0


@njit(**INNER)
def _parts(k: float, centre: float, s: float) -> tuple[float, float, float, float]:
    """Price, digital and density part of one component over exp(e), and e; puts for k < 0."""
    d2 = (centre - k) / s - 0.5 * s
    d1 = d2 + s
    energy = k - 0.5 * d2 * d2 - LOG_SQRT_2PI
    near, far = (d2, d1) if k < 0.0 else (-d1, -d2)
    if near > -OTM_LIMIT:
        quotient, first, last = erfcx_parts(near * SQRT_HALF, far * SQRT_HALF)
        digital = first if k < 0.0 else last
        return SQRT_HALF_PI * quotient * (s * SQRT_HALF), SQRT_HALF_PI * digital, 1.0 / s, energy
    strike, forward = math.exp(k), math.exp(centre)
    density = math.exp(energy) / s
    if k < 0.0:
        digital = strike * normal_cdf(-d2)
        return digital - forward * normal_cdf(-d1), digital, density, 0.0
    digital = strike * normal_cdf(d2)
    return forward * normal_cdf(d1) - digital, digital, density, 0.0


@njit()
def mixture_parts(
    k: FloatArray, log_weight: FloatArray, centre: FloatArray, width: FloatArray,
    slice_weight: FloatArray, slices: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Fill `out`, shape (4, k), with p, q, f over exp(e), and e.

    Components are lognormal kernels (log of weight, log of mean, total vol) and eSSVI slices
    (log of weight; theta, rho, psi), which bring their own density.
    """
    n_kernels, n_slices = log_weight.size, slice_weight.size
    level = np.empty(n_kernels)
    held = np.empty((n_slices, 4))
    for i in range(k.size):
        top = -np.inf
        for j in range(n_slices):
            theta, rho, psi = slices[j, 0], slices[j, 1], slices[j, 2]
            z = psi * k[i]
            shifted, flat = z + rho * theta, theta * theta * (1.0 - rho * rho)
            root = math.sqrt(shifted * shifted + flat)
            w = 0.5 * (theta + rho * z + root)
            slope = 0.5 * psi * (rho + shifted / root)
            curvature = 0.5 * psi * psi * flat / (root * root * root)
            tilt = 1.0 - 0.5 * k[i] * slope / w
            g = tilt * tilt - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * curvature
            s = math.sqrt(w)
            p, q, f, energy = _parts(k[i], 0.0, s)
            # dp/dk gains vega times the slope of the total vol.
            vega = f * s
            lean = vega * 0.5 * slope / s
            held[j, 0], held[j, 1] = p, q + (lean if k[i] < 0.0 else -lean)
            held[j, 2], held[j, 3] = f * g, slice_weight[j] + energy
            top = max(top, held[j, 3])
        for j in range(n_kernels):
            inverse = 1.0 / width[j]
            d2 = (centre[j] - k[i]) * inverse - 0.5 * width[j]
            near = d2 if k[i] < 0.0 else -d2 - width[j]
            level[j] = log_weight[j]
            if near > -OTM_LIMIT:
                level[j] += k[i] - 0.5 * d2 * d2 - LOG_SQRT_2PI
            top = max(top, level[j])
        p_sum, q_sum, f_sum = 0.0, 0.0, 0.0
        for j in range(n_slices):
            share = exp_negative(held[j, 3] - top)
            p_sum += share * held[j, 0]
            q_sum += share * held[j, 1]
            f_sum += share * held[j, 2]
        for j in range(n_kernels):
            if level[j] > top - NEGLIGIBLE:
                share = exp_negative(level[j] - top)
                p, q, f, _ = _parts(k[i], centre[j], width[j])
                p_sum += share * p
                q_sum += share * q
                f_sum += share * f
        out[0, i], out[1, i], out[2, i], out[3, i] = p_sum, q_sum, f_sum, top


@njit()
def total_vols(k: FloatArray, log_price: FloatArray, guess: FloatArray, rounds: int) -> None:
    """Newton's method on the logarithm of the price, concave in the total vol; `guess` becomes the answer."""
    for i in range(k.size):
        s = guess[i]
        for _ in range(rounds):
            p, _, f, energy = _parts(k[i], 0.0, s)
            # Vega over price: y·φ(d2)/p.
            change = (log_price[i] - energy - math.log(p)) * p / (f * s)
            change = max(change, -0.5 * s)
            s += change
            if abs(change) < 1e-15 * s:
                break
        guess[i] = s


@njit()
def smile_from_parts(k: FloatArray, parts: FloatArray, total_vol: FloatArray, out: FloatArray) -> None:
    """Total variance, slope and curvature, shape (3, k), from the parts of the price and its total vol."""
    for i in range(k.size):
        s = total_vol[i]
        _, q, f, energy = _parts(k[i], 0.0, s)
        scale = math.exp(parts[3, i] - energy)
        vega = f * s
        rise = (scale * parts[1, i] - q) / vega
        slope = rise if k[i] < 0.0 else -rise
        d1 = -k[i] / s + 0.5 * s
        d2 = d1 - s
        bend = slope + (scale * parts[2, i] - f) / vega - 2.0 * d1 * slope / s - d1 * d2 * slope * slope / s
        out[0, i], out[1, i], out[2, i] = s * s, 2.0 * s * slope, 2.0 * (slope * slope + s * bend)
