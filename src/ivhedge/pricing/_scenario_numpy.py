"""The plain numpy twin of the scenario kernels, all legs at once for one pair of shocks."""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import VOL_POINT
from ivhedge.pricing._numpy_kernels import black76_price_numpy

__all__ = ["VOL_MAX", "grid_numpy", "legs_numpy"]

VOL_MAX = 1e150
"""Vols are bounded by it, so that no shock of a finite vol meets infinity."""


def grid_numpy(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sign: FloatArray,
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
    legs_usd, legs_coin = np.empty((2, 1, 1, forward.size))
    for row in range(usd.shape[0]):
        moved = vols[row : row + 1] if vols.shape[0] > 1 else vols
        for column in range(usd.shape[2]):
            pair = spot_shocks[row : row + 1], moved, vol_shocks[column : column + 1]
            legs_numpy(forward, strike, tau, sign, quantity, *pair, relative, legs_usd, legs_coin)
            in_usd, in_coin = legs_usd[0, 0, order], legs_coin[0, 0, order]
            for group in range(bounds.size - 1):
                # numpy sums pairwise.
                legs = slice(bounds[group], bounds[group + 1])
                usd[row, group, column] = in_usd[legs].sum()
                coin[row, group, column] = in_coin[legs].sum()


def legs_numpy(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sign: FloatArray,
    quantity: FloatArray,
    spot_shocks: FloatArray,
    vols: FloatArray,
    vol_shocks: FloatArray,
    relative: bool,
    usd: FloatArray,
    coin: FloatArray,
) -> None:
    """Fill `usd` and `coin` of shape (spots, vols, legs)."""
    for row in range(usd.shape[0]):
        shocked = forward * (1.0 + spot_shocks[row])
        base = np.minimum(vols[row if vols.shape[0] > 1 else 0], VOL_MAX)
        for column in range(usd.shape[1]):
            shock = vol_shocks[column]
            with np.errstate(over="ignore"):
                vol = base * (1.0 + shock) if relative else base + VOL_POINT * shock
            price = black76_price_numpy(shocked, strike, tau, np.clip(vol, 0.0, VOL_MAX), sign)
            usd[row, column] = quantity * price
            coin[row, column] = quantity / shocked * price
