"""Compiled prices of mixtures and their total vols, in logarithms so that no wing is too far.

A price out of the money and its derivatives in log-moneyness are sums of three positive quantities per
component: the price p, the digital part q = y·N(±d2) and the density part f = y·φ(d2)/s, with
dp/dk = ∓q and d²p/dk² = ∓q + f (upper signs for calls). Nothing cancels, at any distance. Four rows hold
them: p, q and f over exp(e), and e.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing._elementary import erfcx_parts, exp_negative, normal_cdf
from ivhedge.pricing.jit import INNER, njit, prefer_full_vectors
from ivhedge.pricing.straight import absolute, select, straight

__all__ = [
    "atm_prices",
    "backbone_parts",
    "blend",
    "kernel_parts",
    "smile_from_parts",
    "stable_variance",
    "total_vols",
]

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
SQRT_HALF = math.sqrt(0.5)
SQRT_HALF_PI = math.sqrt(0.5 * math.pi)
OTM_LIMIT = 0.8
"""Components in the money by more than this many deviations are priced by the normal distribution itself."""
NEGLIGIBLE = 41.0
"""Kernels below exp(-41) of the largest are left out: 1e-16 of the sum, a hundred of them together."""
LANES = 8
"""Kernels are summed in whole vectors of so many."""
CONTRACT = {"contract"}
SUMS = {"contract", "reassoc"}
"""Sums of positive terms may be taken in any order."""


@straight
def _reach(k: float, centre: float, s: float, inverse: float) -> tuple[float, float, float, float]:
    """Near and far argument of a kernel, ln of y·φ(d2), and ln of the asset that bounds its price."""
    d2 = (centre - k) * inverse - 0.5 * s
    is_put = k < 0.0
    near, far = select(is_put, d2, -d2 - s), select(is_put, d2 + s, -d2)
    return near, far, k - 0.5 * d2 * d2 - LOG_SQRT_2PI, select(is_put, k, centre)


@straight
def kernel_level(k: float, log_weight: float, centre: float, s: float, inverse: float) -> float:
    """Logarithm of a bound of a kernel's price, of its size."""
    near, _, energy, asset = _reach(k, centre, s, inverse)
    return log_weight + select(near > -OTM_LIMIT, energy, asset)


@straight
def kernel_terms(
    k: float, top: float, strike: float, unit: float,
    log_weight: float, centre: float, s: float, inverse: float, weight: float, asset: float,
) -> tuple[float, float, float]:  # fmt: skip
    """p, q and f of a kernel over exp(top); `strike` is exp(k), `unit` exp(-top), `asset` weight·mean."""
    near, far, energy, _ = _reach(k, centre, s, inverse)
    outside = near > -OTM_LIMIT
    scale = exp_negative(log_weight + energy - top)
    y1 = select(outside, near, -near) * SQRT_HALF
    y2 = select(outside, far, absolute(far)) * SQRT_HALF
    quotient, first, last = erfcx_parts(y1, y2)
    is_put = k < 0.0
    tail1, tail2 = SQRT_HALF_PI * first * scale, SQRT_HALF_PI * last * scale
    # In the money: the complements of the two tails, whose density y·φ(d2) = m·φ(d1) is the same.
    paid, owned = weight * strike * unit, asset * unit
    value1 = select(is_put, paid, owned) - tail1
    value2 = select(far <= 0.0, select(is_put, owned, paid) - tail2, tail2)
    inside = value1 - value2
    price = select(outside, SQRT_HALF_PI * quotient * (s * SQRT_HALF) * scale, inside)
    digital = select(outside, select(is_put, tail1, tail2), select(is_put, value1, value2))
    return price, digital, scale * inverse


@njit(fastmath=CONTRACT, **INNER)
def _levels(
    k: float, log_weight: FloatArray, centre: FloatArray, width: FloatArray, inverse: FloatArray,
    out: FloatArray,
) -> None:  # fmt: skip
    for j in range(out.size):
        out[j] = kernel_level(k, log_weight[j], centre[j], width[j], inverse[j])


@njit(fastmath=SUMS, **INNER)
def _sums(
    k: float, top: float, strike: float, unit: float,
    log_weight: FloatArray, centre: FloatArray, width: FloatArray, inverse: FloatArray,
    weight: FloatArray, asset: FloatArray,
) -> tuple[float, float, float]:  # fmt: skip
    prefer_full_vectors()
    p_sum, q_sum, f_sum = 0.0, 0.0, 0.0
    for j in range(width.size):
        p, q, f = kernel_terms(
            k, top, strike, unit, log_weight[j], centre[j], width[j], inverse[j], weight[j], asset[j]
        )
        p_sum += p
        q_sum += q
        f_sum += f
    return p_sum, q_sum, f_sum


@njit()
def kernel_parts(
    k: FloatArray, row: IntArray, extra: FloatArray,
    log_weight: FloatArray, centre: FloatArray, width: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Parts of mixtures of lognormal kernels: row `row[i]` of the arrays (n, m), of width² + `extra[i]`.

    Kernels in the order of their centres are fastest: those that matter at a strike are neighbours then. A
    weight of zero has the logarithm -inf.
    """
    m = log_weight.shape[1]
    # Room for whole vectors: kernels without weight, which add nothing.
    room = -(-m // LANES) * LANES
    logs, centres, widths = np.full(room, -np.inf), np.zeros(room), np.ones(room)
    level, inverse, weight, asset = np.empty(m), np.ones(room), np.zeros(room), np.zeros(room)
    held, held_extra = -1, 0.0
    for i in range(k.size):
        if row[i] != held or extra[i] != held_extra:
            held, held_extra = row[i], extra[i]
            for j in range(m):
                logs[j], centres[j], widths[j] = log_weight[held, j], centre[held, j], width[held, j]
                if held_extra > 0.0:
                    widths[j] = math.sqrt(widths[j] * widths[j] + held_extra)
                inverse[j] = 1.0 / widths[j]
                weight[j], asset[j] = math.exp(logs[j]), math.exp(logs[j] + centres[j])
        _levels(k[i], logs[:m], centres[:m], widths[:m], inverse[:m], level)
        top = -np.inf
        for j in range(m):
            top = max(top, level[j])
        out[0, i], out[1, i], out[2, i], out[3, i] = 0.0, 0.0, 0.0, top
        if not top > -np.inf:
            continue
        low, high = 0, m
        while level[low] < top - NEGLIGIBLE:
            low += 1
        while level[high - 1] < top - NEGLIGIBLE:
            high -= 1
        high = low + -(-(high - low) // LANES) * LANES
        low = max(low - max(high - room, 0), 0)
        high = min(high, room)
        strike, unit = math.exp(min(k[i], 700.0)), math.exp(min(-top, 700.0))
        out[0, i], out[1, i], out[2, i] = _sums(
            k[i], top, strike, unit, logs[low:high], centres[low:high], widths[low:high],
            inverse[low:high], weight[low:high], asset[low:high],
        )  # fmt: skip


@njit(**INNER)
def _parts(k: float, s: float) -> tuple[float, float, float, float]:
    """Price, digital and density part of one lognormal of mean 1 over exp(e), and e; puts for k < 0."""
    d2 = -k / s - 0.5 * s
    d1 = d2 + s
    energy = k - 0.5 * d2 * d2 - LOG_SQRT_2PI
    near, far = (d2, d1) if k < 0.0 else (-d1, -d2)
    if near > -OTM_LIMIT:
        quotient, first, last = erfcx_parts(near * SQRT_HALF, far * SQRT_HALF)
        digital = first if k < 0.0 else last
        return SQRT_HALF_PI * quotient * (s * SQRT_HALF), SQRT_HALF_PI * digital, 1.0 / s, energy
    strike = math.exp(k)
    density = math.exp(energy) / s
    if k < 0.0:
        digital = strike * normal_cdf(-d2)
        return digital - normal_cdf(-d1), digital, density, 0.0
    digital = strike * normal_cdf(d2)
    return normal_cdf(d1) - digital, digital, density, 0.0


@njit(**INNER)
def stable_variance(linear: float, root: float, z: float, rho: float) -> float:
    """Half of `linear` + `root`, the total variance of eSSVI, without cancellation."""
    if linear >= 0.0:
        return 0.5 * (linear + root)
    # root² - linear² = z²·(1 - rho²).
    return 0.5 * z * z * (1.0 - rho) * (1.0 + rho) / (root - linear)


@njit()
def backbone_parts(
    k: FloatArray, theta: FloatArray, rho: FloatArray, psi: FloatArray, out: FloatArray
) -> None:
    """Parts of eSSVI prices, which bring their own density; all arrays of the shape of `k`."""
    for i in range(k.size):
        z = psi[i] * k[i]
        shifted, flat = z + rho[i] * theta[i], theta[i] * theta[i] * (1.0 - rho[i] * rho[i])
        root = math.sqrt(shifted * shifted + flat)
        w = stable_variance(theta[i] + rho[i] * z, root, z, rho[i])
        slope = 0.5 * psi[i] * (rho[i] + shifted / root)
        curvature = 0.5 * psi[i] * psi[i] * flat / (root * root * root)
        tilt = 1.0 - 0.5 * k[i] * slope / w
        g = tilt * tilt - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * curvature
        s = math.sqrt(w)
        p, q, f, energy = _parts(k[i], s)
        # dp/dk gains vega times the slope of the total vol.
        lean = 0.5 * f * slope
        out[0, i], out[1, i] = p, q + (lean if k[i] < 0.0 else -lean)
        out[2, i], out[3, i] = f * g, energy


@njit()
def blend(
    first: FloatArray, log_first: FloatArray, second: FloatArray, log_second: FloatArray, out: FloatArray
) -> None:
    """Weighted sum of two sets of parts, weights given by their logarithms; `out` may be one of the two."""
    for i in range(out.shape[1]):
        one, other = log_first[i] + first[3, i], log_second[i] + second[3, i]
        top = max(one, other)
        a, b = math.exp(one - top), math.exp(other - top)
        for r in range(3):
            out[r, i] = a * first[r, i] + b * second[r, i]
        out[3, i] = top


@njit()
def atm_prices(variance: FloatArray, out: FloatArray) -> None:
    """Black prices at the money, forward 1."""
    for i in range(out.size):
        out[i] = math.erf(math.sqrt(variance[i] / 8.0))


@njit()
def total_vols(k: FloatArray, log_price: FloatArray, guess: FloatArray, rounds: int) -> None:
    """Newton's method on the logarithm of the price, concave in the total vol; `guess` becomes the answer."""
    for i in range(k.size):
        s = guess[i]
        for _ in range(rounds):
            p, _, f, energy = _parts(k[i], s)
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
        _, q, f, energy = _parts(k[i], s)
        scale = math.exp(parts[3, i] - energy)
        vega = f * s
        rise = (scale * parts[1, i] - q) / vega
        slope = rise if k[i] < 0.0 else -rise
        d1 = -k[i] / s + 0.5 * s
        d2 = d1 - s
        bend = slope + (scale * parts[2, i] - f) / vega - 2.0 * d1 * slope / s - d1 * d2 * slope * slope / s
        out[0, i], out[1, i], out[2, i] = s * s, 2.0 * s * slope, 2.0 * (slope * slope + s * bend)
