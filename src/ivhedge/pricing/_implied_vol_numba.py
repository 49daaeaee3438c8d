"""The compiled implied-volatility solver: a pass over all options, then others over what it leaves.

Ordinary options are done after the first pass. What it leaves is tried as wings and then as prices above
half of their maximum; the scalar solver takes the rest, and tells why an option has no vol. The later passes
are compiled when the first option needs them.
"""

from collections.abc import Callable

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray, StatusArray
from ivhedge.pricing._implied_vol_scalar import solve_one_by_one
from ivhedge.pricing._implied_vol_vector import invert_far, invert_near, invert_upper
from ivhedge.pricing._parallel import in_chunks

__all__ = ["invert"]

FEW = 8
"""For fewer options a pass costs more than it saves."""
_Columns = tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]
_Pass = Callable[[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray, bool, FloatArray], int]


def invert(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    is_call: BoolArray,
    coin: bool,
    vol: FloatArray,
    status: StatusArray,
) -> None:
    """Fill vols and statuses of flat arrays; prices in dollars, or in coin."""
    columns = price, forward, strike, tau, is_call
    status.fill(0)
    if _run(invert_near, columns, coin, vol) == 0:
        return
    # What is left goes on together, so that the number of threads does not decide on how it is solved.
    left = np.flatnonzero(np.isnan(vol))
    for one_pass in (invert_far, invert_upper):
        if left.size < FEW:
            break
        found = np.empty(left.size)
        _run(one_pass, _take(columns, left), coin, found)
        vol[left] = found
        left = left[np.isnan(found)]
    if left.size:
        found, found_status = np.empty(left.size), np.empty(left.size, dtype=np.uint8)
        rest = _take(columns, left)
        in_chunks(
            left.size,
            lambda part: solve_one_by_one(
                rest[0][part],
                rest[1][part],
                rest[2][part],
                rest[3][part],
                rest[4][part],
                coin,
                found[part],
                found_status[part],
            ),
        )
        vol[left], status[left] = found, found_status


def _run(one_pass: _Pass, columns: _Columns, coin: bool, vol: FloatArray) -> int:
    # Returns how many options the pass leaves.
    price, forward, strike, tau, is_call = columns
    rejected: list[int] = []
    in_chunks(
        vol.size,
        lambda part: rejected.append(
            one_pass(price[part], forward[part], strike[part], tau[part], is_call[part], coin, vol[part])
        ),
    )
    return sum(rejected)


def _take(columns: _Columns, items: IntArray) -> _Columns:
    price, forward, strike, tau, is_call = columns
    return price[items], forward[items], strike[items], tau[items], is_call[items]
