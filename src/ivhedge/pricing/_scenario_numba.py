"""Compiled revaluation of legs over spot and vol shocks, in blocks of legs that stay in the cache.

What depends on leg and spot alone is filled once per block and spot, and the vol shocks reuse it. Each
revaluation is split into short loops over the block: one long loop would wait for its own polynomials.
"""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import VOL_POINT
from ivhedge.pricing._elementary import exp_negative, log_ratio
from ivhedge.pricing._numpy_kernels import H_MAX, LOWER_Y, S_MAX, SQRT_HALF
from ivhedge.pricing._polynomials import erfcx_polynomial
from ivhedge.pricing._scenario_numpy import VOL_MAX
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, njit, prefer_full_vectors

__all__ = ["BLOCK", "grid_kernel", "legs_kernel"]

BLOCK = 512
PADDING = 16
"""Blocks are filled up with weightless legs: each leg of a scalar tail costs as much as a whole vector."""
IN_FLOATS_2D = "Array(float64, 2, 'C', True)"
IN_INTS = "Array(int64, 1, 'C', True)"
OUT_1D, OUT_3D = "float64[::1]", "float64[:,:,::1]"


@njit(f"void({OUT_1D}, {OUT_1D}, {OUT_1D})", fastmath={"contract"}, nogil=True)
def fill_distance(forward: FloatArray, strike: FloatArray, distance: FloatArray) -> None:
    """Fill |ln(F/K)|."""
    prefer_full_vectors()
    for i in range(distance.size):
        distance[i] = abs(log_ratio(forward[i], strike[i]))


@njit(f"void({OUT_1D}, {OUT_1D}, {OUT_1D})", fastmath={"contract"}, nogil=True)
def fill_half_root(forward: FloatArray, strike: FloatArray, half_root: FloatArray) -> None:
    """Fill sqrt(F·K)/2."""
    prefer_full_vectors()
    for i in range(half_root.size):
        half_root[i] = 0.5 * math.sqrt(forward[i]) * math.sqrt(strike[i])


@njit(f"void({OUT_1D}, {OUT_1D}, {OUT_1D}, {OUT_1D})", fastmath={"contract"}, nogil=True)
def fill_total_vol(base: FloatArray, unit: FloatArray, shock: FloatArray, total_vol: FloatArray) -> None:
    """Fill the shocked total vol, at least 0 and bounded where every price has long reached its maximum."""
    prefer_full_vectors()
    for i in range(total_vol.size):
        s = base[i] + shock[i] * unit[i]
        s = s if s > 0.0 else 0.0
        total_vol[i] = s if s < S_MAX else S_MAX


@njit(f"void({', '.join([OUT_1D] * 5)})", fastmath={"contract"}, nogil=True)
def fill_density(
    distance: FloatArray,
    total_vol: FloatArray,
    half_root: FloatArray,
    deviations: FloatArray,
    density: FloatArray,
) -> None:
    """Fill h = a/s and sqrt(F·K)/2·exp(−(h² + t²)/2)."""
    prefer_full_vectors()
    for i in range(density.size):
        a, s = distance[i], total_vol[i]
        h = a / s if a < H_MAX * s else H_MAX
        deviations[i] = h
        density[i] = half_root[i] * exp_negative(-0.5 * (h * h + 0.25 * s * s))


@njit(f"void({OUT_1D}, {OUT_1D}, {OUT_1D}, {OUT_1D})", fastmath={"contract"}, nogil=True)
def fill_arguments(total_vol: FloatArray, deviations: FloatArray, c1: FloatArray, c2: FloatArray) -> None:
    """Fill the two arguments of erfcx's polynomial."""
    prefer_full_vectors()
    for i in range(c1.size):
        s, h = total_vol[i], deviations[i]
        y1, y2 = (h - 0.5 * s) * SQRT_HALF, (h + 0.5 * s) * SQRT_HALF
        shifted1, shifted2 = (-y1 if y1 < LOWER_Y else y1) + 4.0, y2 + 4.0
        product = 1.0 / (shifted1 * shifted2)
        # c = 1 − 6.4/(y + 4), in the form that rounds least near y = 2.4.
        c1[i] = (shifted1 - 6.4) * (shifted2 * product)
        c2[i] = (shifted2 - 6.4) * (shifted1 * product)


@njit(f"void({OUT_1D}, {OUT_1D}, {OUT_1D}, {OUT_1D})", fastmath={"contract"}, nogil=True)
def fill_polynomial(c1: FloatArray, c2: FloatArray, value: FloatArray, slope: FloatArray) -> None:
    """Fill the polynomial at c1 and its slope from c1 to c2."""
    prefer_full_vectors()
    for i in range(value.size):
        value[i], slope[i] = erfcx_polynomial(c1[i], c2[i])


@njit(f"void({', '.join([OUT_1D] * 9)})", fastmath={"contract"}, nogil=True)
def fill_price(
    total_vol: FloatArray,
    deviations: FloatArray,
    density: FloatArray,
    cap: FloatArray,
    c1: FloatArray,
    c2: FloatArray,
    value: FloatArray,
    slope: FloatArray,
    price: FloatArray,
) -> None:
    """Fill the out-of-the-money price from erfcx(y1) − erfcx(y2), or from erfcx(−y1) + erfcx(y2)."""
    prefer_full_vectors()
    # One array more and the compiler would not check that they are apart, and give up on vectors.
    for i in range(price.size):
        s = total_vol[i]
        upper = (deviations[i] - 0.5 * s) * SQRT_HALF < LOWER_Y
        rest1, rest2 = 1.0 - c1[i], 1.0 - c2[i]
        value2 = value[i] + (rest1 - rest2) * slope[i]
        difference = s * (SQRT_HALF / 6.4**2) * rest1 * rest2 * (value2 - rest1 * slope[i])
        total = (value[i] * rest1 + value2 * rest2) * (1.0 / 6.4)
        price[i] = cap[i] - density[i] * total if upper else density[i] * difference


@njit(
    f"UniTuple(float64, 2)({OUT_1D}, {OUT_1D}, {OUT_1D})",
    fastmath={"contract", "reassoc", "nsz"},
    nogil=True,
)
def weighted_sums(value: FloatArray, weight_usd: FloatArray, weight_coin: FloatArray) -> tuple[float, float]:
    """Sum a block in both currencies; the order depends on nothing but its size."""
    prefer_full_vectors()
    usd, coin = 0.0, 0.0
    for i in range(value.size):
        usd += weight_usd[i] * value[i]
        coin += weight_coin[i] * value[i]
    return usd, coin


@njit(f"void({OUT_1D}, {OUT_1D}, int64, float64)", nogil=True)
def add_exactly(total: FloatArray, lost: FloatArray, place: int, term: float) -> None:
    """Add to a total and keep what rounding lost (Neumaier)."""
    old = total[place]
    new = old + term
    lost[place] += (old - new) + term if abs(old) >= abs(term) else (term - new) + old
    total[place] = new


@njit(forceinline=True)
def take(source: FloatArray, order: IntArray, out: FloatArray) -> None:
    """Gather the legs of a block."""
    for i in range(order.size):
        out[i] = source[order[i]]


@njit(f"void({OUT_1D}, {IN_FLOATS}, {IN_INTS}, boolean, float64[:,::1])", fastmath={"contract"}, nogil=True)
def fill_spot(
    spot_shock: FloatArray, vol: FloatArray, order: IntArray, relative: bool, work: FloatArray
) -> None:
    """Fill what the vol shocks of one spot share, from the block's constants in the first rows of `work`."""
    prefer_full_vectors()
    n = spot_shock.size
    forward, strike, root_tau = work[0][:n], work[1][:n], work[2][:n]
    sign, quantity, shocked = work[3][:n], work[4][:n], work[5][:n]
    base, unit, cap, intrinsic, coins = work[6][:n], work[7][:n], work[8][:n], work[9][:n], work[10][:n]
    for i in range(n):
        shocked[i] = forward[i] * (1.0 + spot_shock[i])
    base[:] = 0.0
    take(vol, order, base)
    for i in range(n):
        base[i] = (base[i] if base[i] < VOL_MAX else VOL_MAX) * root_tau[i]
    for i in range(n):
        unit[i] = base[i] if relative else VOL_POINT * root_tau[i]
    for i in range(n):
        cap[i] = shocked[i] if shocked[i] < strike[i] else strike[i]
    for i in range(n):
        gain = sign[i] * (shocked[i] - strike[i])
        intrinsic[i] = gain if gain > 0.0 else 0.0
    for i in range(n):
        coins[i] = quantity[i] / shocked[i]
    fill_distance(shocked, strike, work[11][:n])
    fill_half_root(shocked, strike, work[12][:n])


@njit(f"void({OUT_1D}, float64[:,::1])", nogil=True)
def fill_values(shock: FloatArray, work: FloatArray) -> None:
    """Fill the out-of-the-money prices of a block at one spot and one vol shock into row 17 of `work`."""
    n = shock.size
    total_vol, deviations, density = work[13][:n], work[14][:n], work[15][:n]
    c1, c2, value, slope = work[16][:n], work[18][:n], work[19][:n], work[20][:n]
    fill_total_vol(work[6][:n], work[7][:n], shock, total_vol)
    fill_density(work[11][:n], total_vol, work[12][:n], deviations, density)
    fill_arguments(total_vol, deviations, c1, c2)
    fill_polynomial(c1, c2, value, slope)
    fill_price(total_vol, deviations, density, work[8][:n], c1, c2, value, slope, work[17][:n])


@njit(forceinline=True)
def start_block(
    forward: FloatArray,
    strike: FloatArray,
    root_tau: FloatArray,
    is_call: BoolArray,
    quantity: FloatArray,
    vol_shocks: FloatArray,
    order: IntArray,
    work: FloatArray,
    shocks: FloatArray,
) -> int:
    """Gather a block's constants, filled up with weightless legs; return its filled-up size."""
    n = (order.size + PADDING - 1) // PADDING * PADDING
    work[0][:n], work[1][:n], work[2][:n], work[3][:n], work[4][:n] = 1.0, 1.0, 1.0, 1.0, 0.0
    take(forward, order, work[0])
    take(strike, order, work[1])
    take(root_tau, order, work[2])
    take(quantity, order, work[4])
    for i in range(order.size):
        work[3][i] = 1.0 if is_call[order[i]] else -1.0
    shocks[:, :n] = 0.0
    for row in range(vol_shocks.shape[0]):
        if vol_shocks.shape[1] == 1:
            shocks[row][:n] = vol_shocks[row, 0]
        else:
            take(vol_shocks[row], order, shocks[row])
    return n


@njit(forceinline=True)
def start_spot(spot_shocks: FloatArray, row: int, order: IntArray, out: FloatArray) -> None:
    """Gather a block's spot shocks, one for all legs or one per leg."""
    out[:] = 0.0
    if spot_shocks.shape[1] == 1:
        out[:] = spot_shocks[row, 0]
    else:
        take(spot_shocks[row], order, out)


@njit(
    f"void({IN_FLOATS}, {IN_FLOATS}, {IN_FLOATS}, {IN_BOOLS}, {IN_FLOATS}, {IN_FLOATS_2D}, {IN_FLOATS_2D}, "
    f"{IN_FLOATS_2D}, boolean, {IN_INTS}, {IN_INTS}, {OUT_3D}, {OUT_3D})",
    fastmath={"contract"},
    nogil=True,
)
def grid_kernel(
    forward: FloatArray,
    strike: FloatArray,
    root_tau: FloatArray,
    is_call: BoolArray,
    quantity: FloatArray,
    spot_shocks: FloatArray,
    vols: FloatArray,
    vol_shocks: FloatArray,
    relative: bool,
    order: IntArray,
    bounds: IntArray,
    usd: FloatArray,
    coin: FloatArray,
) -> None:
    """Fill `usd` and `coin` of shape (spots, groups, vols); group g holds order[bounds[g]:bounds[g + 1]]."""
    n_spots, n_vols = spot_shocks.shape[0], vol_shocks.shape[0]
    work, shocks, spot_row = np.empty((21, BLOCK)), np.empty((n_vols, BLOCK)), np.empty(BLOCK)
    lost_usd, lost_coin = np.empty((n_spots, n_vols)), np.empty((n_spots, n_vols))
    for group in range(bounds.size - 1):
        usd[:, group], coin[:, group] = 0.0, 0.0
        lost_usd[:], lost_coin[:] = 0.0, 0.0
        for start in range(bounds[group], bounds[group + 1], BLOCK):
            legs = order[start : min(start + BLOCK, bounds[group + 1])]
            n = start_block(forward, strike, root_tau, is_call, quantity, vol_shocks, legs, work, shocks)
            value, quantities, coins = work[17][:n], work[4][:n], work[10][:n]
            for row in range(n_spots):
                start_spot(spot_shocks, row, legs, spot_row[:n])
                fill_spot(spot_row[:n], vols[row if vols.shape[0] > 1 else 0], legs, relative, work)
                base_usd, base_coin = weighted_sums(work[9][:n], quantities, coins)
                for column in range(n_vols):
                    fill_values(shocks[column][:n], work)
                    sum_usd, sum_coin = weighted_sums(value, quantities, coins)
                    add_exactly(usd[row, group], lost_usd[row], column, sum_usd + base_usd)
                    add_exactly(coin[row, group], lost_coin[row], column, sum_coin + base_coin)
        usd[:, group] += lost_usd
        coin[:, group] += lost_coin


@njit(
    f"void({IN_FLOATS}, {IN_FLOATS}, {IN_FLOATS}, {IN_BOOLS}, {IN_FLOATS}, {IN_FLOATS_2D}, {IN_FLOATS_2D}, "
    f"{IN_FLOATS_2D}, boolean, {IN_INTS}, {OUT_3D}, {OUT_3D})",
    fastmath={"contract"},
    nogil=True,
)
def legs_kernel(
    forward: FloatArray,
    strike: FloatArray,
    root_tau: FloatArray,
    is_call: BoolArray,
    quantity: FloatArray,
    spot_shocks: FloatArray,
    vols: FloatArray,
    vol_shocks: FloatArray,
    relative: bool,
    order: IntArray,
    usd: FloatArray,
    coin: FloatArray,
) -> None:
    """Fill `usd` and `coin` of shape (spots, vols, legs), leg by leg."""
    n_spots, n_vols = spot_shocks.shape[0], vol_shocks.shape[0]
    work, shocks, spot_row = np.empty((21, BLOCK)), np.empty((n_vols, BLOCK)), np.empty(BLOCK)
    for start in range(0, order.size, BLOCK):
        legs = order[start : min(start + BLOCK, order.size)]
        n = start_block(forward, strike, root_tau, is_call, quantity, vol_shocks, legs, work, shocks)
        for row in range(n_spots):
            start_spot(spot_shocks, row, legs, spot_row[:n])
            fill_spot(spot_row[:n], vols[row if vols.shape[0] > 1 else 0], legs, relative, work)
            for column in range(n_vols):
                fill_values(shocks[column][:n], work)
                for i in range(legs.size):
                    price = work[17, i] + work[9, i]
                    usd[row, column, start + i] = work[4, i] * price
                    coin[row, column, start + i] = work[10, i] * price
