"""Compiled dollar Greeks: one loop per Greek over what ``_greeks_state`` holds of a block."""

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing._greeks_state import (
    D1,
    D2,
    INV_F,
    INV_K,
    INV_TAU,
    INV_VOL,
    KERNEL,
    N1,
    N2,
    PRICE,
    ROOT,
    ROWS,
    SCALED,
    TAU,
    VOL,
    fill_block,
)
from ivhedge.pricing._price_numba import BLOCK, INV_S, STRIDE
from ivhedge.pricing.jit import INNER, njit, prefer_full_vectors

__all__ = ["greeks_kernel"]


@njit(fastmath={"contract"}, nogil=True, **INNER)
def fill_greek(
    code: int,
    scratch: FloatArray,
    out: FloatArray,
) -> None:
    """Fill one Greek; codes count through ``GREEK_NAMES`` and then through ``COIN_GREEK_NAMES``."""
    prefer_full_vectors()
    n = out.size
    if code == 0:  # price
        for i in range(n):
            out[i] = scratch[i + PRICE]
    elif code == 1:  # delta
        for i in range(n):
            out[i] = scratch[i + N1]
    elif code == 2:  # gamma
        for i in range(n):
            out[i] = scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_F] * scratch[i + INV_S]
    elif code == 3:  # vega
        for i in range(n):
            out[i] = scratch[i + SCALED] * scratch[i + ROOT]
    elif code == 4:  # theta
        for i in range(n):
            out[i] = (
                -0.5 * scratch[i + SCALED] * scratch[i + VOL] * (scratch[i + ROOT] * scratch[i + INV_TAU])
            )
    elif code == 5:  # rho
        for i in range(n):
            out[i] = -scratch[i + TAU] * scratch[i + PRICE]
    elif code == 6:  # vanna
        for i in range(n):
            out[i] = -(scratch[i + SCALED] * scratch[i + INV_F]) * scratch[i + D2] * scratch[i + INV_VOL]
    elif code == 7:  # volga
        for i in range(n):
            out[i] = (
                scratch[i + SCALED]
                * scratch[i + ROOT]
                * (scratch[i + D1] * scratch[i + D2])
                * scratch[i + INV_VOL]
            )
    elif code == 8:  # charm
        for i in range(n):
            out[i] = 0.5 * (scratch[i + SCALED] * scratch[i + INV_F]) * scratch[i + D2] * scratch[i + INV_TAU]
    elif code == 9:  # veta
        for i in range(n):
            out[i] = (
                -0.5
                * (scratch[i + SCALED] * scratch[i + ROOT])
                * (1.0 + scratch[i + D1] * scratch[i + D2])
                * scratch[i + INV_TAU]
            )
    elif code == 10:  # speed
        for i in range(n):
            out[i] = (
                -(scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_F] * scratch[i + INV_S])
                * scratch[i + INV_F]
                * (scratch[i + D1] * scratch[i + INV_S] + 1.0)
            )
    elif code == 11:  # zomma
        for i in range(n):
            gamma = scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_F] * scratch[i + INV_S]
            out[i] = gamma * (scratch[i + D1] * scratch[i + D2] - 1.0) * scratch[i + INV_VOL]
    elif code == 12:  # color
        for i in range(n):
            gamma = scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_F] * scratch[i + INV_S]
            out[i] = 0.5 * gamma * (1.0 - scratch[i + D1] * scratch[i + D2]) * scratch[i + INV_TAU]
    elif code == 13:  # ultima
        for i in range(n):
            product = scratch[i + D1] * scratch[i + D2]
            squares = scratch[i + D1] * scratch[i + D1] + scratch[i + D2] * scratch[i + D2]
            out[i] = -(
                scratch[i + SCALED] * scratch[i + ROOT] * scratch[i + INV_VOL] * scratch[i + INV_VOL]
            ) * (product * (1.0 - product) + squares)
    elif code == 14:  # dual_delta
        for i in range(n):
            out[i] = -scratch[i + N2]
    elif code == 15:  # dual_gamma
        for i in range(n):
            out[i] = scratch[i + SCALED] * scratch[i + INV_K] * scratch[i + INV_K] * scratch[i + INV_S]
    elif code == 16:  # dvanna_dvol
        for i in range(n):
            total = scratch[i + D1] + scratch[i + D2] - scratch[i + D1] * scratch[i + D2] * scratch[i + D2]
            out[i] = (
                scratch[i + SCALED] * scratch[i + INV_F] * total * scratch[i + INV_VOL] * scratch[i + INV_VOL]
            )
    elif code == 17:  # dvanna_dt
        for i in range(n):
            out[i] = (
                0.5
                * (scratch[i + SCALED] * scratch[i + INV_F])
                * scratch[i + D1]
                * (scratch[i + D2] * scratch[i + D2] - 1.0)
                * scratch[i + INV_VOL]
                * scratch[i + INV_TAU]
            )
    elif code == 18:  # dvolga_dt
        for i in range(n):
            product = scratch[i + D1] * scratch[i + D2]
            squares = scratch[i + D1] * scratch[i + D1] + scratch[i + D2] * scratch[i + D2]
            half = (
                0.5 * (scratch[i + SCALED] * scratch[i + ROOT]) * scratch[i + INV_VOL] * scratch[i + INV_TAU]
            )
            out[i] = half * (squares - product * (1.0 + product))
    elif code == 19:  # dual_vanna
        for i in range(n):
            out[i] = scratch[i + SCALED] * scratch[i + INV_K] * scratch[i + D1] * scratch[i + INV_VOL]
    elif code == 20:  # dual_charm
        for i in range(n):
            out[i] = (
                -0.5 * (scratch[i + SCALED] * scratch[i + INV_K]) * scratch[i + D1] * scratch[i + INV_TAU]
            )


@njit(KERNEL, fastmath={"contract"}, nogil=True)
def greeks_kernel(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    is_call: BoolArray,
    codes: IntArray,
    with_tails: bool,
    out: FloatArray,
    offset: int,
    irregular: BoolArray,
) -> None:
    """Fill columns of `out` from `offset` on, one row per code of a dollar Greek.

    `irregular` marks the items (invalid, or at a limit of the total vol) that need the twin. Without tails
    the Greeks that need prices or distribution functions must not be asked for.
    """
    scratch = np.empty(ROWS * STRIDE)
    for start in range(0, forward.size, BLOCK):
        part = slice(start, min(start + BLOCK, forward.size))
        f, k, years, v, call = forward[part], strike[part], tau[part], vol[part], is_call[part]
        fill_block(f, k, years, v, call, with_tails, scratch, irregular[part])
        for row in range(codes.size):
            fill_greek(codes[row], scratch, out[row, offset + start : offset + start + f.size])
