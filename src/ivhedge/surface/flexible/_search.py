"""Compiled search for falling prices between neighbouring expiries.

Each pair p keeps strikes in slots: `at`, the strike in units of its step; `data`, per slot the backbone's
rise, the margin that a cut asks for, its multiplier and the kernels' rise; the rows `near` and `far` of
kernel prices. `order` lists the slots by strike, `count` says how many there are.
"""

import math

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit
from ivhedge.surface.flexible._rows import backbone_price, dot_product, kernel_row

__all__ = ["BASE", "MARGIN", "MULTIPLIER", "STEP", "add_strikes", "ask_cuts", "look"]

BASE, MARGIN, MULTIPLIER, OWN = 0, 1, 2, 3
FIRST_MARGIN = 1e-2
"""Share of the backbone's rise that a cut asks for at first, so that strikes beside it rise too."""
CLOSE = 0.2
"""Pairs that fall get cuts wherever they rise by less than this share of the backbone's rise."""
LOOK = 0.2
"""Minima below this share are looked at closely."""
TIGHT = 0.03
"""Minima below this share are looked at as closely as strikes can be."""
STEP = 0.1
"""Finest distance of strikes, in standard deviations."""
MAX_LEVELS = 5


@njit(**INNER)
def _insert(
    p: int, strike: int, law: FloatArray, slices: FloatArray, at: IntArray, order: IntArray,
    count: IntArray, data: FloatArray, near: FloatArray, far: FloatArray,
) -> int:  # fmt: skip
    """Slot of a strike, priced if it is new; -1 where there is no room. `law`: see `add_strikes`."""
    size = count[p]
    place = size
    while place > 0 and at[p, order[p, place - 1]] >= strike:
        place -= 1
    if place < size and at[p, order[p, place]] == strike:
        return int(order[p, place])
    if size == at.shape[1]:
        return -1
    for i in range(size - place):
        order[p, size - i] = order[p, size - i - 1]
    order[p, place], at[p, size] = size, strike
    count[p] = size + 1
    deviation = math.sqrt(slices[p, 0])
    k = deviation * (STEP * strike)
    before = backbone_price(k, slices[p, 0], slices[p, 1], slices[p, 2])
    after = backbone_price(k, slices[p + 1, 0], slices[p + 1, 1], slices[p + 1, 2])
    # Far out the backbone may have no price left; there any unit does.
    unit = after + 1e-9 * deviation
    for r in range(2):
        e = p + r
        row = near[p, size] if r == 0 else far[p, size]
        kernel_row(k, 1.0 / unit, law[0, e], law[1, e], law[2, e], law[3, e], row)
    own = data[p, size]
    own[BASE], own[MARGIN], own[MULTIPLIER], own[OWN] = (after - before) / unit, FIRST_MARGIN, 0.0, 0.0
    return int(size)


@njit()
def add_strikes(
    pair: IntArray, strike: IntArray, law: FloatArray, slices: FloatArray, at: IntArray, order: IntArray,
    count: IntArray, data: FloatArray, near: FloatArray, far: FloatArray, slot: IntArray,
) -> None:  # fmt: skip
    """Add strikes; `slot` receives where each is, -1 where there is no room.

    `law`, shape (4, n, m), holds the kernels' centres, means, widths and units of x.
    """
    for i in range(pair.size):
        slot[i] = _insert(pair[i], strike[i], law, slices, at, order, count, data, near, far)


@njit(**INNER)
def _measure(p: int, mix: float, order: IntArray, size: int, data: FloatArray, rise: FloatArray) -> None:
    """Rise with the share of the backbone, over the backbone's, by strike."""
    for i in range(size):
        own = data[p, order[p, i]]
        rise[p, i] = ((1.0 - mix) * own[OWN] + mix * own[BASE]) / max(own[BASE], 1e-12)


@njit()
def look(
    x: FloatArray, mix: float, law: FloatArray, slices: FloatArray, at: IntArray, order: IntArray,
    count: IntArray, data: FloatArray, near: FloatArray, far: FloatArray, want: IntArray, rise: FloatArray,
    lowest: FloatArray,
) -> None:  # fmt: skip
    """Add strikes at the vertices of the parabolas through low minima.

    `rise` receives the rise by strike, `lowest` the same or, at a minimum, the value at the vertex; infinite
    beyond the last strike. `want` is scratch.
    """
    for p in range(count.size):
        known = 0
        for level in range(MAX_LEVELS + 1):
            size = count[p]
            for i in range(known, size):
                data[p, i, OWN] = dot_product(far[p, i], x[p + 1]) - dot_product(near[p, i], x[p])
            known = size
            _measure(p, mix, order, size, data, rise)
            wanted = 0
            for i in range(1, size - 1):
                here = rise[p, i]
                lowest[p, i] = here
                if here > rise[p, i - 1] or here > rise[p, i + 1]:
                    continue
                centre = at[p, order[p, i]]
                before, after = centre - at[p, order[p, i - 1]], at[p, order[p, i + 1]] - centre
                first, second = (here - rise[p, i - 1]) / before, (rise[p, i + 1] - here) / after
                bend = second - first
                slope = (first * after + second * before) / (before + after)
                if bend > 0.0:
                    lowest[p, i] -= slope * slope * (before + after) / (4.0 * bend)
                if here < LOOK and level < MAX_LEVELS:
                    # Zero of the slope, which is linear between the middles of the two cells.
                    move = -0.5 * before - 0.5 * first * (before + after) / max(bend, 1e-300)
                    # Only strictly between the neighbours; infinite where the three are on a line.
                    vertex = round(min(max(move, 1.0 - before), after - 1.0))
                    want[wanted] = centre + int(vertex)
                    wanted += 1
                    if here < TIGHT:
                        # Where a minimum nearly binds, its nearest strikes too.
                        want[wanted], want[wanted + 1] = centre - 1, centre + 1
                        wanted += 2
            for i in range(wanted):
                _insert(p, want[i], law, slices, at, order, count, data, near, far)
            if count[p] == size:
                break
        lowest[p, 0], lowest[p, size - 1] = rise[p, 0], rise[p, size - 1]
        for i in range(size, rise.shape[1]):
            rise[p, i], lowest[p, i] = math.inf, math.inf


@njit()
def ask_cuts(
    n_coarse: int, order: IntArray, count: IntArray, rise: FloatArray, lowest: FloatArray, data: FloatArray,
    cut: BoolArray,
) -> int:  # fmt: skip
    """Turn strikes where prices fall into cuts; returns the number of pairs where they do."""
    falling = 0
    for p in range(count.size):
        falls = False
        for i in range(count[p]):
            falls |= lowest[p, i] < 0.0
        if not falls:
            continue
        falling += 1
        for i in range(count[p]):
            slot, here = order[p, i], rise[p, i]
            # Beyond the ends everything is higher.
            lower = (i == 0 or here <= rise[p, i - 1]) and (i == count[p] - 1 or here <= rise[p, i + 1])
            if lower and lowest[p, i] < 0.0:
                if cut[p, slot]:
                    # A minimum that is a cut already has to ask for more.
                    data[p, slot, MARGIN] *= 4.0
                cut[p, slot] = True
            elif slot < n_coarse and here < CLOSE:
                cut[p, slot] = True
    return falling
