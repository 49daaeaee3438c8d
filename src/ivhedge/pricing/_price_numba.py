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
from ivhedge.pricing._numpy_kernels import FAR, LOWER_Y, SQRT_HALF, SQUARE_MAX, TAU_MIN
from ivhedge.pricing._polynomials import erfcx_polynomial
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, INNER, njit, prefer_full_vectors
from ivhedge.pricing.straight import select, straight

__all__ = ["BLOCK", "price_kernel"]

BLOCK = 256
STRIDE = BLOCK + 8
S, INV_S, MINOR, MAJOR, WEIGHT, PRODUCT, C1, C2, VALUE, SLOPE = range(0, 10 * STRIDE, STRIDE)
"""Rows of the scratch; one array, since each array handed on costs time."""
ROWS = 10
UTMOST = 38.0
"""Deviations beyond which the exponential underflows."""


@straight
def distances(forward: float, strike: float, tau: float, vol: float) -> tuple[float, float, float, float]:
    """Return s, 1/s, h − t and h + t."""
    s = bounded_total_vol(tau, vol)
    h, inverse = distance(forward, strike, s)
    return s, inverse, h - 0.5 * s, h + 0.5 * s


@njit(fastmath={"contract"}, nogil=True, **INNER)
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
    for i in range(forward.size):
        s, inverse, near, away = distances(forward[i], strike[i], tau[i], vol[i])
        scratch[i + S], scratch[i + INV_S], scratch[i + MINOR], scratch[i + MAJOR] = s, inverse, near, away
        far += near > FAR
    for i in range(forward.size):
        minor = scratch[i + MINOR]
        scratch[i + WEIGHT] = exp_negative_sum(-0.5 * minor * minor, 0.0)
    if far > 0:
        refine_weights(forward, strike, tau, vol, scratch)


@straight
def refined_weight(
    forward: float,
    strike: float,
    tau: float,
    vol: float,
    inverse_vol: float,
    minor: float,
    weight: float,
) -> float:
    """exp(−(h − t)²/2) from an exponent of more than double precision, where that matters."""
    z, z_low, power = quotient_pair(forward, strike)
    x, x_low = log_pair(z, z_low, power)
    high, low = energy_pair(x, x_low, tau, vol, inverse_vol)
    # Beyond the utmost it is 0, and overflows may have spoilt the sum.
    refined = select(minor < UTMOST, exp_negative_sum(-high, -low), 0.0)
    ordinary = (vol > 1.0 / SQUARE_MAX) & (vol < SQUARE_MAX) & (tau > TAU_MIN)
    return select((minor > FAR) & ordinary, refined, weight)


@njit(fastmath={"contract"}, nogil=True, **INNER)
def refine_weights(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    scratch: FloatArray,
) -> None:
    """Put in the exponentials of far wings, whose exponent needs more than double precision."""
    prefer_full_vectors()
    for i in range(forward.size):
        scratch[i + WEIGHT] = refined_weight(
            forward[i],
            strike[i],
            tau[i],
            vol[i],
            scratch[i + INV_S],
            scratch[i + MINOR],
            scratch[i + WEIGHT],
        )


@straight
def erfcx_arguments(minor: float, major: float) -> tuple[float, float, float]:
    """1/((y1 + 4)·(y2 + 4)) and the polynomial's arguments for y = minor/√2 (or its reflection), major/√2."""
    y1, y2 = minor * SQRT_HALF, major * SQRT_HALF
    y1 = select(y1 < LOWER_Y, -y1, y1)
    shifted1, shifted2 = y1 + 4.0, y2 + 4.0
    product = 1.0 / (shifted1 * shifted2)
    # (y − 2.4)/(y + 4): 1 − 6.4/(y + 4) rounds three times as much where y is about 0.
    return product, (y1 - 2.4) * (shifted2 * product), (y2 - 2.4) * (shifted1 * product)


@njit(fastmath={"contract"}, nogil=True, **INNER)
def fill_erfcx(size: int, scratch: FloatArray) -> None:
    """Fill (y1 + 4)⁻¹·(y2 + 4)⁻¹ and, over c1 and c2, the erfcx polynomial at c1 and its slope to c2.

    y1 is |h − t|/√2 where the price is close to its maximum, by reflection.
    """
    prefer_full_vectors()
    for i in range(size):
        product, c1, c2 = erfcx_arguments(scratch[i + MINOR], scratch[i + MAJOR])
        scratch[i + PRODUCT], scratch[i + C1], scratch[i + C2] = product, c1, c2
    for i in range(size):
        scratch[i + VALUE], scratch[i + SLOPE] = erfcx_polynomial(scratch[i + C1], scratch[i + C2])


@straight
def price_from_erfcx(
    forward: float,
    strike: float,
    total_vol: float,
    minor: float,
    weight: float,
    product: float,
    c1: float,
    c2: float,
    value1: float,
    slope: float,
    is_call: bool,
) -> float:
    """Price from the erfcx polynomial: a divided difference, or a sum close to the maximum."""
    value2 = value1 + (c2 - c1) * slope
    cap = select(forward < strike, forward, strike)
    scale = 0.5 * cap * weight
    # 1/(y + 4) = (1 − c)/6.4.
    total = (value1 * (1.0 - c1) + value2 * (1.0 - c2)) * (1.0 / 6.4)
    quotient = (value2 - (1.0 - c1) * slope) * product
    close = minor * SQRT_HALF < LOWER_Y
    otm = select(close, cap - scale * total, scale * (total_vol * SQRT_HALF) * quotient)
    intrinsic = select(is_call, forward - strike, strike - forward)
    return otm + select(intrinsic > 0.0, intrinsic, 0.0)


@njit(fastmath={"contract"}, nogil=True, **INNER)
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
    for i in range(out.size):
        price = price_from_erfcx(
            forward[i],
            strike[i],
            scratch[i + S],
            scratch[i + MINOR],
            scratch[i + WEIGHT],
            scratch[i + PRODUCT],
            scratch[i + C1],
            scratch[i + C2],
            scratch[i + VALUE],
            scratch[i + SLOPE],
            is_call[i],
        )
        out[i] = price if is_valid(forward[i], strike[i], tau[i], vol[i]) else np.nan


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
