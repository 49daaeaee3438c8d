"""Compiled prices of all kernels of an expiry at single strikes."""

import math

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit, prefer_full_vectors
from ivhedge.surface.flexible._mixture import kernel_terms

__all__ = ["backbone_price", "dot_product", "kernel_row", "kernel_rows"]

NEGLIGIBLE_SD = 10.0
"""Kernels farther out of the money cost less than 1e-23 of their forward, farther in it their payoff."""


@njit(fastmath={"contract"}, **INNER)
def _terms(
    k: float, strike: float, factor: float, centre: FloatArray, mean: FloatArray, width: FloatArray,
    scale: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    prefer_full_vectors()
    for j in range(out.size):
        s = width[j]
        price, _, _ = kernel_terms(k, 0.0, strike, 1.0, 0.0, centre[j], s, 1.0 / s, 1.0, mean[j])
        out[j] = price * (scale[j] * factor)


@njit(**INNER)
def kernel_row(
    k: float, factor: float, centre: FloatArray, mean: FloatArray, width: FloatArray, scale: FloatArray,
    out: FloatArray,
) -> None:  # fmt: skip
    """Out-of-the-money prices of the kernels of one expiry, centres ascending, times scale·factor."""
    strike, lo, hi = math.exp(k), 0, out.size
    # Below the band of kernels that matter calls are worth nothing, above it puts; the rest is payoff.
    while lo < hi and centre[lo] - 0.5 * width[lo] * width[lo] < k - (NEGLIGIBLE_SD + width[lo]) * width[lo]:
        out[lo] = (strike - mean[lo]) * (scale[lo] * factor) if k < 0.0 else 0.0
        lo += 1
    while hi > lo and centre[hi - 1] > k + (NEGLIGIBLE_SD + width[hi - 1]) * width[hi - 1]:
        hi -= 1
        out[hi] = 0.0 if k < 0.0 else (mean[hi] - strike) * (scale[hi] * factor)
    _terms(k, strike, factor, centre[lo:hi], mean[lo:hi], width[lo:hi], scale[lo:hi], out[lo:hi])


@njit()
def kernel_rows(
    k: FloatArray, row: IntArray, factor: FloatArray, centre: FloatArray, mean: FloatArray,
    width: FloatArray, scale: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Rows of kernel prices; strike i belongs to expiry `row[i]` and is multiplied by `factor[i]`."""
    for i in range(k.size):
        e = row[i]
        kernel_row(k[i], factor[i], centre[e], mean[e], width[e], scale[e], out[i])


@njit(fastmath={"contract", "reassoc"}, **INNER)
def dot_product(a: FloatArray, b: FloatArray) -> float:
    """Sum of products."""
    total = 0.0
    for c in range(b.size):
        total += a[c] * b[c]
    return total


@njit(**INNER)
def backbone_price(k: float, theta: float, rho: float, psi: float) -> float:
    """Out-of-the-money price of an eSSVI slice."""
    z = psi * k
    shifted = z + rho * theta
    root = math.sqrt(shifted * shifted + theta * theta * (1.0 - rho * rho))
    s = math.sqrt(0.5 * (theta + rho * z + root))
    price, _, _ = kernel_terms(k, 0.0, math.exp(k), 1.0, 0.0, 0.0, s, 1.0 / s, 1.0, 1.0)
    return price
