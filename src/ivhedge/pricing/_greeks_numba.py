"""Compiled Greeks, worked off in blocks that stay in the cache, one output per loop.

All derivatives are F·φ(d1) = K·φ(d2) times polynomials in d1, d2 and the reciprocals of F, K, s, vol and tau,
which two divisions and a square root give for all of them.
"""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing._elementary import erfcx_parts, is_valid
from ivhedge.pricing._greeks_numpy import INV_SQRT_TWO_PI
from ivhedge.pricing._numpy_kernels import LOWER_Y, S_MAX, S_MIN, SQRT_HALF
from ivhedge.pricing._price_numba import BLOCK, INV_S, STRIDE, MAJOR, MINOR, WEIGHT, S, fill_distances
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, njit, prefer_full_vectors

__all__ = ["BLOCK", "fill_coin_greek", "fill_greek", "greeks_kernel"]

D1, D2, SCALED, INV_F, INV_K, INV_VOL, INV_TAU, ROOT, STRIKE, TAU, VOL = range(10 * STRIDE, 21 * STRIDE, STRIDE)
PRICE, N1, N2 = MINOR, MAJOR, WEIGHT
"""More rows of the scratch; the last three take the places of rows no longer needed."""
COIN_CODES = 21
"""Codes count through ``GREEK_NAMES`` and then through ``COIN_GREEK_NAMES``, which start here."""


@njit(fastmath={"contract"}, nogil=True)
def fill_state(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    scratch: FloatArray,
    irregular: BoolArray,
) -> None:
    """Fill what the Greeks share; `scaled` is F·φ(d1)."""
    prefer_full_vectors()
    fill_distances(forward, strike, tau, vol, scratch)
    for i in range(min(forward.size, BLOCK)):
        f, k = forward[i], strike[i]
        scratch[i + STRIKE] = k
        both = 1.0 / (f * k)
        scratch[i + INV_F], scratch[i + INV_K] = k * both, f * both
        below = f < k
        scratch[i + D1] = -scratch[i + MINOR] if below else scratch[i + MAJOR]
        scratch[i + D2] = -scratch[i + MAJOR] if below else scratch[i + MINOR]
        scratch[i + SCALED] = INV_SQRT_TWO_PI * (f if below else k) * scratch[i + WEIGHT]
    for i in range(min(forward.size, BLOCK)):
        time = math.sqrt(tau[i])
        scratch[i + TAU], scratch[i + VOL] = tau[i], vol[i]
        ratio = vol[i] * scratch[i + INV_S]
        scratch[i + ROOT], scratch[i + INV_VOL], scratch[i + INV_TAU] = (
            time,
            time * scratch[i + INV_S],
            ratio * ratio,
        )
    bad = 0
    for i in range(min(forward.size, BLOCK)):
        s = scratch[i + S]
        bad += not (is_valid(forward[i], strike[i], tau[i], vol[i]) & (s >= S_MIN) & (s < S_MAX))
    # Counting goes by vectors, writing flags does not; there is rarely one to write.
    irregular[:] = False
    if bad > 0:
        for i in range(min(forward.size, BLOCK)):
            s = scratch[i + S]
            irregular[i] = not (is_valid(forward[i], strike[i], tau[i], vol[i]) & (s >= S_MIN) & (s < S_MAX))


@njit(fastmath={"contract"}, nogil=True)
def fill_tails(
    forward: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    scratch: FloatArray,
) -> None:
    """Fill the price and q·N(q·d1), q·N(q·d2), both tails with full relative accuracy."""
    prefer_full_vectors()
    for i in range(min(forward.size, BLOCK)):
        f, k = forward[i], strike[i]
        rf, rk, s = scratch[i + INV_F], scratch[i + INV_K], scratch[i + S]
        below = f < k
        y1, y2 = scratch[i + MINOR] * SQRT_HALF, scratch[i + MAJOR] * SQRT_HALF
        upper = y1 < LOWER_Y
        quotient, value1, value2 = erfcx_parts(-y1 if upper else y1, y2)
        cap = f if below else k
        half = 0.5 * scratch[i + WEIGHT]
        # exp(−y2²) is exp(−y1²) times the ratio of the smaller of F and K to the larger.
        near, far = half * value1, half * value2
        tail2 = far * (f * rk if below else k * rf)
        tail1, rest1 = 1.0 - near if upper else near, near if upper else 1.0 - near
        otm = cap - cap * (near + far) if upper else cap * half * (s * SQRT_HALF) * quotient
        call = is_call[i]
        intrinsic = f - k if call else k - f
        scratch[i + PRICE] = otm + (intrinsic if intrinsic > 0.0 else 0.0)
        first = (tail1 if call else -rest1) if below else (1.0 - tail2 if call else -tail2)
        second = (tail2 if call else tail2 - 1.0) if below else (rest1 if call else -tail1)
        scratch[i + N1], scratch[i + N2] = first, second


@njit(fastmath={"contract"}, nogil=True)
def fill_greek(
    code: int,
    scratch: FloatArray,
    out: FloatArray,
) -> None:
    """Fill one Greek, numbered by its place in ``GREEK_NAMES``."""
    prefer_full_vectors()
    n = min(out.size, BLOCK)
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


@njit(fastmath={"contract"}, nogil=True)
def fill_coin_greek(
    code: int,
    scratch: FloatArray,
    out: FloatArray,
) -> None:
    """Fill one coin Greek; the codes follow those of the dollar Greeks."""
    prefer_full_vectors()
    n = min(out.size, BLOCK)
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


@njit(
    f"void({IN_FLOATS}, {IN_FLOATS}, {IN_FLOATS}, {IN_FLOATS}, {IN_BOOLS}, int64[::1], boolean, "
    "float64[:, ::1], int64, boolean[::1])",
    fastmath={"contract"},
    nogil=True,
)
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
    """Fill columns of `out` from `offset` on, one row per code.

    `irregular` marks the items (invalid, or at a limit of the total vol) that need the twin. Without tails
    the Greeks that need prices or distribution functions must not be asked for.
    """
    scratch = np.empty(21 * STRIDE)
    for start in range(0, forward.size, BLOCK):
        stop = min(start + BLOCK, forward.size)
        f, k, years, v = forward[start:stop], strike[start:stop], tau[start:stop], vol[start:stop]
        fill_state(f, k, years, v, scratch, irregular[start:stop])
        if with_tails:
            fill_tails(f, k, is_call[start:stop], scratch)
        for row in range(codes.size):
            column = out[row, offset + start : offset + stop]
            if codes[row] < COIN_CODES:
                fill_greek(codes[row], scratch, column)
            else:
                fill_coin_greek(codes[row], scratch, column)
