"""All that a stream knows of a universe's quotes, in two arrays.

A compiled function takes a quarter of a microsecond to receive an array, a quote altogether little more than
two: so it is given two arrays and finds its way by `views`.
"""

from typing import NamedTuple

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import njit
from ivhedge.surface.stream._kernel import N_BIAS, N_COLUMNS, N_REASONS, N_SETTINGS, S_COLUMNS

__all__ = ["StreamState", "new_buffers", "state_of", "views"]

_HEAD = 4
IS_CALL, IN_COIN, EXPIRY_NS, SLICE_OF, N_LISTED = range(5)
NEWEST, SINCE, FORWARD_NS, FIRST, LAST, LIVE, N_CLOCKS = range(7)


class StreamState(NamedTuple):
    """Views of a state for v venues, m instruments and n slices.

    Parameters
    ----------
    listed : IntArray, shape (m, N_LISTED)
        What an instrument is; an expiry of 0 = it has no slice.
    members : IntArray, shape (v·m,) or fewer
        Slots slice by slice, those of slice e from ``clocks[e, FIRST]`` to before ``clocks[e, LAST]``.
    times : IntArray, shape (v·m, 2)
        Event and receipt of each slot's quote, −1 before the first.
    clocks : IntArray, shape (n, N_CLOCKS)
        Of each slice: newest quote, quotes since it was settled, time of its forward, its members, quotes in
        use when it was settled.
    counts : IntArray, shape (v + 1, reasons)
        Outcomes; the last row is of unknown venues.
    cfg : FloatArray
        Settings, as `StreamSettings.packed`, and a move of the forwards that waits to be seconded.
    strike : FloatArray, shape (m,)
    slots : FloatArray, shape (v·m, columns)
    slices : FloatArray, shape (n, columns)
    biases : FloatArray, shape (v, n, columns)
    """

    listed: IntArray
    members: IntArray
    times: IntArray
    clocks: IntArray
    counts: IntArray
    cfg: FloatArray
    strike: FloatArray
    slots: FloatArray
    slices: FloatArray
    biases: FloatArray


def new_buffers(venues: int, instruments: int, slices: int, members: int) -> tuple[IntArray, FloatArray]:
    """Zeros for a state of this size; no slot has a quote yet."""
    v, m, n = venues, instruments, slices
    n_ints = _HEAD + N_LISTED * m + members + 2 * v * m + N_CLOCKS * n + (v + 1) * N_REASONS
    n_floats = N_SETTINGS + m + v * m * N_COLUMNS + n * S_COLUMNS + v * n * N_BIAS
    ints, floats = np.zeros(n_ints, dtype=np.int64), np.zeros(n_floats)
    ints[:_HEAD] = v, m, n, members
    state_of(ints, floats).times[:] = -1
    return ints, floats


def state_of(ints: IntArray, floats: FloatArray) -> StreamState:
    """Name the parts of a state's arrays; nothing is copied."""
    v, m, n = ints[0], ints[1], ints[2]
    members = _HEAD + N_LISTED * m
    times = members + ints[3]
    clocks = times + 2 * v * m
    counts = clocks + N_CLOCKS * n
    slots = N_SETTINGS + m
    slices = slots + v * m * N_COLUMNS
    biases = slices + n * S_COLUMNS
    return StreamState(
        ints[_HEAD:members].reshape((m, N_LISTED)),
        ints[members:times],
        ints[times:clocks].reshape((v * m, 2)),
        ints[clocks:counts].reshape((n, N_CLOCKS)),
        ints[counts:].reshape((v + 1, N_REASONS)),
        floats[:N_SETTINGS],
        floats[N_SETTINGS:slots],
        floats[slots:slices].reshape((v * m, N_COLUMNS)),
        floats[slices:biases].reshape((n, S_COLUMNS)),
        floats[biases:].reshape((v, n, N_BIAS)),
    )


views = njit()(state_of)
"""`state_of` for kernels."""
