"""Compiled coin Greeks: one loop per Greek over what ``_greeks_state`` holds of a block."""

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
    N2,
    PRICE,
    ROOT,
    ROWS,
    SCALED,
    STRIKE,
    VOL,
    fill_block,
)
from ivhedge.pricing._price_numba import BLOCK, INV_S, STRIDE
from ivhedge.pricing.jit import INNER, njit, prefer_full_vectors

__all__ = ["coin_greeks_kernel"]


@njit(fastmath={"contract"}, nogil=True, **INNER)
def fill_coin_greek(
    code: int,
    scratch: FloatArray,
    out: FloatArray,
) -> None:
    """Fill one coin Greek; the codes follow those of the dollar Greeks."""
    prefer_full_vectors()
    n = out.size
    if code == 21:  # price_coin
        for i in range(n):
            out[i] = scratch[i + PRICE] * scratch[i + INV_F]
    elif code == 22:  # delta_coin
        for i in range(n):
            out[i] = scratch[i + STRIKE] * scratch[i + INV_F] * scratch[i + N2]
    elif code == 23:  # gamma_coin_1pct
        for i in range(n):
            out[i] = 0.01 * (
                scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_S]
                - scratch[i + STRIKE] * scratch[i + INV_F] * scratch[i + N2]
            )
    elif code == 24:  # vega_coin
        for i in range(n):
            out[i] = scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + ROOT]
    elif code == 25:  # theta_coin
        for i in range(n):
            out[i] = (
                -0.5
                * (scratch[i + SCALED] * scratch[i + INV_F])
                * scratch[i + VOL]
                * (scratch[i + ROOT] * scratch[i + INV_TAU])
            )
    elif code == 26:  # vanna_coin
        for i in range(n):
            out[i] = (
                -(scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_F])
                * scratch[i + D1]
                * scratch[i + INV_VOL]
            )
    elif code == 27:  # volga_coin
        for i in range(n):
            out[i] = (
                scratch[i + SCALED]
                * scratch[i + INV_F]
                * scratch[i + ROOT]
                * (scratch[i + D1] * scratch[i + D2])
                * scratch[i + INV_VOL]
            )
    elif code == 28:  # c_F
        for i in range(n):
            out[i] = scratch[i + STRIKE] * scratch[i + INV_F] * scratch[i + INV_F] * scratch[i + N2]
    elif code == 29:  # c_FF
        for i in range(n):
            delta = scratch[i + STRIKE] * scratch[i + INV_F] * scratch[i + N2]
            out[i] = (
                (scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_S] - 2.0 * delta)
                * scratch[i + INV_F]
                * scratch[i + INV_F]
            )
    elif code == 30:  # c_FFF
        for i in range(n):
            delta = scratch[i + STRIKE] * scratch[i + INV_F] * scratch[i + N2]
            slope = (
                scratch[i + SCALED]
                * scratch[i + INV_F]
                * scratch[i + INV_S]
                * (scratch[i + D1] * scratch[i + INV_S] + 4.0)
            )
            out[i] = (6.0 * delta - slope) * scratch[i + INV_F] * scratch[i + INV_F] * scratch[i + INV_F]
    elif code == 31:  # charm_coin
        for i in range(n):
            out[i] = (
                0.5
                * (scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_F])
                * scratch[i + D1]
                * scratch[i + INV_TAU]
            )
    elif code == 32:  # veta_coin
        for i in range(n):
            out[i] = (
                -0.5
                * (scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + ROOT])
                * (1.0 + scratch[i + D1] * scratch[i + D2])
                * scratch[i + INV_TAU]
            )
    elif code == 33:  # zomma_coin
        for i in range(n):
            half = (
                scratch[i + SCALED]
                * scratch[i + INV_F]
                * scratch[i + INV_F]
                * scratch[i + INV_S]
                * scratch[i + INV_F]
            )
            out[i] = (
                half
                * (scratch[i + D1] * (2.0 * scratch[i + D1] - scratch[i + D2]) - 1.0)
                * scratch[i + INV_VOL]
            )
    elif code == 34:  # color_coin
        for i in range(n):
            half = (
                0.5
                * (scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_F] * scratch[i + INV_S])
                * scratch[i + INV_F]
            )
            out[i] = (
                half
                * (1.0 - scratch[i + D1] * (2.0 * scratch[i + D1] - scratch[i + D2]))
                * scratch[i + INV_TAU]
            )
    elif code == 35:  # ultima_coin
        for i in range(n):
            product = scratch[i + D1] * scratch[i + D2]
            squares = scratch[i + D1] * scratch[i + D1] + scratch[i + D2] * scratch[i + D2]
            out[i] = -(
                scratch[i + SCALED]
                * scratch[i + INV_F]
                * scratch[i + ROOT]
                * scratch[i + INV_VOL]
                * scratch[i + INV_VOL]
            ) * (product * (1.0 - product) + squares)
    elif code == 36:  # dvanna_dvol_coin
        for i in range(n):
            total = scratch[i + D1] + scratch[i + D2] - scratch[i + D1] * scratch[i + D1] * scratch[i + D2]
            out[i] = (
                scratch[i + SCALED]
                * scratch[i + INV_F]
                * scratch[i + INV_F]
                * total
                * scratch[i + INV_VOL]
                * scratch[i + INV_VOL]
            )
    elif code == 37:  # dvanna_dt_coin
        for i in range(n):
            half = (
                0.5
                * (scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + INV_F])
                * scratch[i + INV_VOL]
                * scratch[i + INV_TAU]
            )
            out[i] = half * scratch[i + D2] * (scratch[i + D1] * scratch[i + D1] - 1.0)
    elif code == 38:  # dvolga_dt_coin
        for i in range(n):
            product = scratch[i + D1] * scratch[i + D2]
            squares = scratch[i + D1] * scratch[i + D1] + scratch[i + D2] * scratch[i + D2]
            half = (
                0.5
                * (scratch[i + SCALED] * scratch[i + INV_F] * scratch[i + ROOT])
                * scratch[i + INV_VOL]
                * scratch[i + INV_TAU]
            )
            out[i] = half * (squares - product * (1.0 + product))
    elif code == 39:  # dual_delta_coin
        for i in range(n):
            out[i] = -scratch[i + N2] * scratch[i + INV_F]
    elif code == 40:  # dual_gamma_coin
        for i in range(n):
            out[i] = (
                scratch[i + SCALED]
                * scratch[i + INV_K]
                * scratch[i + INV_K]
                * scratch[i + INV_S]
                * scratch[i + INV_F]
            )
    elif code == 41:  # dual_vanna_coin
        for i in range(n):
            out[i] = (
                scratch[i + SCALED]
                * scratch[i + INV_K]
                * scratch[i + INV_F]
                * scratch[i + D1]
                * scratch[i + INV_VOL]
            )
    elif code == 42:  # dual_charm_coin
        for i in range(n):
            out[i] = (
                -0.5
                * (scratch[i + SCALED] * scratch[i + INV_K] * scratch[i + INV_F])
                * scratch[i + D1]
                * scratch[i + INV_TAU]
            )


@njit(KERNEL, fastmath={"contract"}, nogil=True)
def coin_greeks_kernel(
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
    """Do the same for coin Greeks; a kernel of its own, since compiling either takes seconds."""
    scratch = np.empty(ROWS * STRIDE)
    for start in range(0, forward.size, BLOCK):
        part = slice(start, min(start + BLOCK, forward.size))
        f, k, years, v, call = forward[part], strike[part], tau[part], vol[part], is_call[part]
        fill_block(f, k, years, v, call, with_tails, scratch, irregular[part])
        for row in range(codes.size):
            fill_coin_greek(codes[row], scratch, out[row, offset + start : offset + start + f.size])
