"""Compiled price kernel; the mathematics is that of ``_numpy_kernels``.

Worked off in blocks that stay in the cache, in stages: one long loop would wait for its own latencies.
"""

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing._elementary import (
    bounded_total_vol,
    distance,
    energy_pair,
    exp_negative_sum,
    is_valid,
    log_pair,
    quotient_pair,
)
from ivhedge.pricing._numpy_kernels import FAR, LOWER_Y, SQRT_HALF
from ivhedge.pricing._polynomials import erfcx_polynomial
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, njit, prefer_full_vectors

__all__ = ["BLOCK", "price_kernel"]

BLOCK = 256
STRIDE = BLOCK + 8
S, INV_S, MINOR, MAJOR, WEIGHT, PRODUCT, C1, C2, VALUE, SLOPE = range(0, 10 * STRIDE, STRIDE)
"""Rows of the scratch; one array, since each array handed on costs time."""
ROWS = 10
UTMOST = 38.0
"""Deviations beyond which the exponential underflows."""


@njit(fastmath={"contract"}, nogil=True)
def fill_distances(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    scratch: FloatArray,
) -> None:
    """How far out of the money: s, 1/s, h − t, h + t and exp(−(h − t)²/2)."""
    prefer_full_vectors()
    far = 0
    for i in range(min(forward.size, BLOCK)):
        s = bounded_total_vol(tau[i], vol[i])
        h, inverse = distance(forward[i], strike[i], s)
        near = h - 0.5 * s
        scratch[i + S], scratch[i + INV_S] = s, inverse
        scratch[i + MINOR], scratch[i + MAJOR] = near, h + 0.5 * s
        far += near > FAR
    for i in range(min(forward.size, BLOCK)):
        minor = scratch[i + MINOR]
        scratch[i + WEIGHT] = exp_negative_sum(-0.5 * minor * minor, 0.0)
    if far > 0:
        refine_weights(forward, strike, tau, vol, scratch)


@njit(fastmath={"contract"}, nogil=True)
def fill_erfcx(size: int, scratch: FloatArray) -> None:
    """Fill (y1 + 4)⁻¹·(y2 + 4)⁻¹ and, over c1 and c2, the erfcx polynomial at c1 and its slope to c2.

    y1 is |h − t|/√2 where the price is close to its maximum, by reflection.
    """
    prefer_full_vectors()
    for i in range(size):
        y1, y2 = scratch[i + MINOR] * SQRT_HALF, scratch[i + MAJOR] * SQRT_HALF
        shifted1, shifted2 = (-y1 if y1 < LOWER_Y else y1) + 4.0, y2 + 4.0
        product = 1.0 / (shifted1 * shifted2)
        scratch[i + PRODUCT] = product
        scratch[i + C1], scratch[i + C2] = 1.0 - 6.4 * (shifted2 * product), 1.0 - 6.4 * (shifted1 * product)
    for i in range(size):
        scratch[i + VALUE], scratch[i + SLOPE] = erfcx_polynomial(scratch[i + C1], scratch[i + C2])


@njit(fastmath={"contract"}, nogil=True)
def refine_weights(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    scratch: FloatArray,
) -> None:
    """Put in the exponentials of far wings, whose exponent needs more than double precision."""
    prefer_full_vectors()
    for i in range(min(forward.size, BLOCK)):
        z, z_low, power = quotient_pair(forward[i], strike[i])
        x, x_low = log_pair(z, z_low, power)
        high, low = energy_pair(x, x_low, tau[i], vol[i], scratch[i + INV_S])
        # Beyond it the exponential is 0, and overflows may have spoilt the sum.
        refined = exp_negative_sum(-high, -low) if scratch[i + MINOR] < UTMOST else 0.0
        scratch[i + WEIGHT] = refined if scratch[i + MINOR] > FAR else scratch[i + WEIGHT]


@njit(fastmath={"contract"}, nogil=True)
def fill_prices(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    is_call: BoolArray,
    scratch: FloatArray,
    out: FloatArray,
) -> None:
    """Out-of-the-money value by divided difference, plus intrinsic value; NaN for invalid items."""
    prefer_full_vectors()
    for i in range(min(out.size, BLOCK)):
        c1, c2, value1, slope = scratch[i + C1], scratch[i + C2], scratch[i + VALUE], scratch[i + SLOPE]
        value2 = value1 + (c2 - c1) * slope
        upper = scratch[i + MINOR] * SQRT_HALF < LOWER_Y
        f, k = forward[i], strike[i]
        cap = f if f < k else k
        scale = 0.5 * cap * scratch[i + WEIGHT]
        # 1/(y + 4) = (1 − c)/6.4.
        total = (value1 * (1.0 - c1) + value2 * (1.0 - c2)) * (1.0 / 6.4)
        quotient = (value2 - (1.0 - c1) * slope) * scratch[i + PRODUCT]
        otm = cap - scale * total if upper else scale * (scratch[i + S] * SQRT_HALF) * quotient
        intrinsic = f - k if is_call[i] else k - f
        price = otm + (intrinsic if intrinsic > 0.0 else 0.0)
        out[i] = price if is_valid(f, k, tau[i], vol[i]) else np.nan


@njit(
    f"void({IN_FLOATS}, {IN_FLOATS}, {IN_FLOATS}, {IN_FLOATS}, {IN_BOOLS}, float64[::1])",
    fastmath={"contract"},
    nogil=True,
)
def price_kernel(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    is_call: BoolArray,
    out: FloatArray,
) -> None:
    """Fill `out` with prices, NaN where the inputs are invalid."""
    scratch = np.empty(ROWS * STRIDE)
    for start in range(0, out.size, BLOCK):
        stop = min(start + BLOCK, out.size)
        f, k, years, v = forward[start:stop], strike[start:stop], tau[start:stop], vol[start:stop]
        fill_distances(f, k, years, v, scratch)
        fill_erfcx(f.size, scratch)
        fill_prices(f, k, years, v, is_call[start:stop], scratch, out[start:stop])
