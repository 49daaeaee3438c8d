"""Local search over lots, compiled: exact steps of one instrument, then of pairs of them.

In the lots of one instrument the objective is convex (quadratic risk, soft bands, cost with impact): doubling
and halving finds its best step in some ``2 log₂`` trials of O(rows). Pairs move one instrument by a lot and
let every other make good for it.
"""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit

__all__ = ["search_lots"]

_SUMS = {"reassoc", "contract", "nsz", "nnan"}  # sums may be reordered; infinities stay
_FAR = 2.0**50


@njit(fastmath=_SUMS, **INNER)
def _penalty(bands: FloatArray, y: FloatArray, load: FloatArray, step: float) -> float:
    total = 0.0
    for r in range(y.size):
        at = y[r] + step * load[r]
        total += bands[2, r] * max(max(bands[0, r] - at, at - bands[1, r]), 0.0)
        total += bands[5, r] * max(max(bands[3, r] - at, at - bands[4, r]), 0.0)
    return total


@njit(**INNER)
def _leg(sides: FloatArray, j: int, lots: float, charge: int) -> float:
    # Cost (charge = 0) or what the budget counts (charge = 2) of one instrument's lots.
    size = abs(lots)
    excess = max(size - sides[6, j], 0.0)
    linear = sides[charge, j] * max(lots, 0.0) - sides[charge + 1, j] * min(lots, 0.0)
    return float(linear + sides[5, j] * excess**2)


@njit(fastmath=_SUMS, **INNER)
def _change(
    j: int,
    step: float,
    now: float,
    slope: float,
    curve: float,
    sides: FloatArray,
    bands: FloatArray,
    load: FloatArray,
    y: FloatArray,
    state: FloatArray,
) -> float:
    # Change of the objective; state: penalties now, charges left, margin left.
    after = now + step
    if after > sides[7, j] or after < -sides[8, j] or (after != 0.0 and abs(after) < sides[9, j]):
        return np.inf
    charge = _leg(sides, j, after, 2) - _leg(sides, j, now, 2)
    margin = sides[4, j] * (abs(after) - abs(now))
    if (charge > 0.0 and charge > state[1]) or (margin > 0.0 and margin > state[2]):
        return np.inf
    value = step * (slope + 0.5 * step * curve) + _leg(sides, j, after, 0) - _leg(sides, j, now, 0)
    return float(value + _penalty(bands, y, load, step) - state[0])


@njit(fastmath=_SUMS, **INNER)
def _best_step(
    j: int,
    now: float,
    slope: float,
    curve: float,
    sides: FloatArray,
    bands: FloatArray,
    load: FloatArray,
    y: FloatArray,
    state: FloatArray,
) -> tuple[float, float]:
    best, gain = 0.0, 0.0
    if now != 0.0:
        value = _change(j, -now, now, slope, curve, sides, bands, load, y, state)
        if value < gain:
            best, gain = -now, value
    for turn in (1.0, -1.0):
        # A step into the sizes below the smallest goes on to the smallest, or through zero to the other side.
        first = turn
        if now + turn != 0.0 and abs(now + turn) < sides[9, j]:
            first = turn * sides[9, j] - now
        value = _change(j, first, now, slope, curve, sides, bands, load, y, state)
        if not value < gain:
            continue
        best, gain, width = first, value, 1.0
        while width < _FAR:
            value = _change(j, best + turn * width, now, slope, curve, sides, bands, load, y, state)
            if not value < gain:
                break
            best, gain, width = best + turn * width, value, 2.0 * width
        while width > 1.0:
            width *= 0.5
            for way in (width, -width):
                value = _change(j, best + way, now, slope, curve, sides, bands, load, y, state)
                if value < gain:
                    best, gain = best + way, value
    return best, gain


@njit(fastmath=_SUMS, **INNER)
def _gradient(
    bands: FloatArray,
    loads: FloatArray,
    y: FloatArray,
    slopes: FloatArray,
    work: FloatArray,
    result: FloatArray,
) -> None:
    # Derivative of risk and penalties by the lots of each instrument.
    for r in range(y.size):
        work[r] = 0.0
        if y[r] < bands[0, r]:
            work[r] -= bands[2, r]
        if y[r] > bands[1, r]:
            work[r] += bands[2, r]
        if y[r] < bands[3, r]:
            work[r] -= bands[5, r]
        if y[r] > bands[4, r]:
            work[r] += bands[5, r]
    for i in range(slopes.size):
        total = slopes[i]
        for r in range(y.size):
            total += loads[i, r] * work[r]
        result[i] = total


@njit(**INNER)
def _promise(i: int, gradient: float, curve: float, now: float, sides: FloatArray) -> float:
    # No step of instrument i changes the objective by less: tangent and curvature bound it from below.
    bend = 2.0 * sides[5, i] * max(abs(now) - sides[6, i], 0.0)
    up = gradient + (sides[0, i] + bend if now >= 0.0 else -sides[1, i] - bend)
    down = -gradient - (sides[0, i] + bend if now > 0.0 else -sides[1, i] - bend)
    steepest = min(up, down)
    if steepest + 0.5 * curve >= 0.0:
        return 0.0
    return -0.5 * steepest * steepest / curve if curve > 0.0 else -np.inf


@njit(**INNER)
def _move(
    j: int,
    step: float,
    lots: FloatArray,
    slopes: FloatArray,
    curvature: FloatArray,
    sides: FloatArray,
    bands: FloatArray,
    loads: FloatArray,
    y: FloatArray,
    state: FloatArray,
) -> None:
    now = lots[j]
    after = now + step
    state[1] -= _leg(sides, j, after, 2) - _leg(sides, j, now, 2)
    state[2] -= sides[4, j] * (abs(after) - abs(now))
    lots[j] = after
    for r in range(y.size):
        y[r] += step * loads[j, r]
    for i in range(slopes.size):
        slopes[i] += step * curvature[j, i]
    state[0] = _penalty(bands, y, loads[j], 0.0)


@njit(**INNER)
def _singles(
    lots: FloatArray,
    slopes: FloatArray,
    curvature: FloatArray,
    sides: FloatArray,
    bands: FloatArray,
    loads: FloatArray,
    y: FloatArray,
    state: FloatArray,
    least: float,
    limit: int,
) -> int:
    moves, work, gradient = 0, np.empty(y.size), np.empty(lots.size)
    for _ in range(limit):
        moved, fresh = 0, True
        for j in range(lots.size):
            if fresh:
                _gradient(bands, loads, y, slopes, work, gradient)
                fresh = False
            if _promise(j, gradient[j], curvature[j, j], lots[j], sides) > -least:
                continue
            step, gain = _best_step(j, lots[j], slopes[j], curvature[j, j], sides, bands, loads[j], y, state)
            if gain < -least:
                _move(j, step, lots, slopes, curvature, sides, bands, loads, y, state)
                moved += 1
                fresh = True
        moves += moved
        if moved == 0:
            break
    return moves


@njit(**INNER)
def _pairs(
    wanted: IntArray,
    lots: FloatArray,
    slopes: FloatArray,
    curvature: FloatArray,
    sides: FloatArray,
    bands: FloatArray,
    loads: FloatArray,
    y: FloatArray,
    state: FloatArray,
    least: float,
    worth: float,
) -> int:
    # With `worth` above 0 legs are closed: pairs that end without the first leg may cost that much, all of
    # them together three times as much.
    moves, n, left = 0, lots.size, 3.0 * worth
    work, gradient = np.empty(y.size), np.empty(lots.size)
    for j in wanted:
        for choice in range(1 if worth > 0.0 else 5):
            now = lots[j]
            if worth > 0.0 or choice == 4:
                step = -now
            else:
                step = (1.0 if choice % 2 == 0 else -1.0) * (1.0 if choice < 2 else sides[9, j])
            if step == 0.0 or (choice > 1 and choice < 4 and sides[9, j] <= 1.0):
                continue
            base = _change(j, step, now, slopes[j], curvature[j, j], sides, bands, loads[j], y, state)
            if not base < np.inf:
                # A step that needs what the other leg gives back is not tried.
                continue
            before = lots.copy()
            kept, kept_y, kept_slopes = state.copy(), y.copy(), slopes.copy()
            _move(j, step, lots, slopes, curvature, sides, bands, loads, y, state)
            chosen, best, way = -1, (min(worth, left) if worth > 0.0 else -least) - base, 0.0
            if worth > 0.0 and best > 0.0:
                chosen, best = j, 0.0
            _gradient(bands, loads, y, slopes, work, gradient)
            for i in range(n):
                if i == j or (worth > 0.0 and lots[i] == 0.0):
                    continue
                if _promise(i, gradient[i], curvature[i, i], lots[i], sides) >= best:
                    continue
                other, gain = _best_step(
                    i, lots[i], slopes[i], curvature[i, i], sides, bands, loads[i], y, state
                )
                if gain < best:
                    chosen, best, way = i, gain, other
            if chosen >= 0:
                left -= max(base + best, 0.0)
                if way != 0.0:
                    _move(chosen, way, lots, slopes, curvature, sides, bands, loads, y, state)
                moves += 1
            else:
                lots[:] = before
                state[:] = kept
                y[:] = kept_y
                slopes[:] = kept_slopes
    return moves


@njit()
def search_lots(
    lots: FloatArray,
    wanted: IntArray,
    sides: FloatArray,
    bands: FloatArray,
    loads: FloatArray,
    y: FloatArray,
    slopes: FloatArray,
    curvature: FloatArray,
    left: FloatArray,
    least: float,
    merge: float,
    passes: int,
) -> None:
    """Improve `lots` in place until neither one instrument nor a pair does better.

    Parameters
    ----------
    lots : FloatArray, shape (n,)
    wanted : IntArray
        Instruments that pairs start from.
    sides : FloatArray, shape (10, n)
        Per lot: cost bought and sold, charge bought and sold, margin; impact and free size in lots; most and
        least lots, smallest size in lots.
    bands : FloatArray, shape (6, rows)
        Lower, upper, penalty; low and high of the box, its penalty.
    loads : FloatArray, shape (n, rows)
        Exposure per lot.
    y : FloatArray, shape (rows,)
        Exposure with `lots`; left with the final one.
    slopes : FloatArray, shape (n,)
        Derivative of the risk by each instrument's lots, with `lots`.
    curvature : FloatArray, shape (n, n)
        Second derivative.
    left : FloatArray, shape (2,)
        Budget and margin not used by `lots`.
    least : float
        Smallest gain worth a move.
    merge : float
        What one leg less may cost.
    passes : int
    """
    state = np.empty(3)
    state[1:] = left
    state[0] = _penalty(bands, y, loads[0], 0.0)
    for _ in range(passes):
        _singles(lots, slopes, curvature, sides, bands, loads, y, state, least, 50)
        if _pairs(wanted, lots, slopes, curvature, sides, bands, loads, y, state, least, 0.0) == 0:
            break
    if merge > 0.0:
        legs = np.flatnonzero(lots)[::-1].copy()
        _pairs(legs, lots, slopes, curvature, sides, bands, loads, y, state, least, merge)
        # What closing a leg opens up, as long as it is worth more than a leg.
        _singles(lots, slopes, curvature, sides, bands, loads, y, state, max(least, merge), 50)
