"""Compiled price kernel; the mathematics is that of ``_numpy_kernels``."""

import math

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing._elementary import bounded_total_vol, erfcx_pair, exp_negative, is_valid, log_ratio
from ivhedge.pricing._numpy_kernels import H_MAX, LOWER_Y, SQRT_HALF
from ivhedge.pricing.jit import njit

__all__ = ["option_price", "price_kernel"]


@njit(forceinline=True, fastmath={"contract"})
def option_price(forward: float, strike: float, total_vol: float, sign: float) -> float:
    """Undiscounted Black-76 price: out-of-the-money value by divided difference, plus intrinsic value."""
    a = abs(log_ratio(forward, strike))
    h = a / total_vol if a < H_MAX * total_vol else H_MAX
    t = 0.5 * total_vol
    y1, y2 = (h - t) * SQRT_HALF, (h + t) * SQRT_HALF
    upper = y1 < LOWER_Y
    quotient, total = erfcx_pair(-y1 if upper else y1, y2)
    scale = 0.5 * math.sqrt(forward) * math.sqrt(strike) * exp_negative(-0.5 * (h * h + t * t))
    cap = forward if forward < strike else strike
    otm = cap - scale * total if upper else scale * (total_vol * SQRT_HALF) * quotient
    intrinsic = sign * (forward - strike)
    return otm + (intrinsic if intrinsic > 0.0 else 0.0)


@njit(fastmath={"contract"}, nogil=True)
def price_kernel(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    sign: FloatArray,
    out: FloatArray,
) -> None:
    """Fill `out` with prices, NaN where the inputs are invalid."""
    for i in range(out.size):
        price = option_price(forward[i], strike[i], bounded_total_vol(tau[i], vol[i]), sign[i])
        out[i] = price if is_valid(forward[i], strike[i], tau[i], vol[i]) else np.nan
