"""Compiled judging of quotes: distance from a reference smile, trust, and the noise of the mids.

A quote is measured from a reference vol. With `local` the reference of each expiry is first moved to where
most neighbouring mids lie: a feature of the market is shared by neighbouring strikes, a bad quote stands
alone. The distance of the mids from the reference is smoothed by repeated-median regression over the nearest
strikes, which holds up to half of them bad.

References
----------
Siegel (1982), Robust regression using repeated medians.
Davies, Fried, Gather (2004), Robust signal extraction for on-line monitoring data.
"""

import math

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit

__all__ = ["judge_rows"]

GATE_HALF_SPREADS = 1.0
GATE_SCALES = 4.0
GATE_VOL = 0.04
"""Share of the vol by which a believed quote may always miss the reference."""
NEIGHBOURS, FEWEST = 11, 5
LANES = 16
"""Columns of a table of slopes: whole vectors."""
MIN_SCALE = 0.003
MOST_NOISE = 0.35
"""Standard deviation of a mid anywhere in the middle 60 % of its band, in half-spreads."""
LEAST_NOISE, NOISE_QUOTES = 0.02, 8
NORMAL = 1.4826
"""Median absolute deviation to standard deviation."""
LEAST_HALF, LEAST_VOL, SAME_STRIKE = 1e-4, 0.01, 1e-12


@njit(**INNER)
def _median(values: FloatArray, size: int) -> float:
    """Median of the first `size` values, which are put in order."""
    # Shell sort: few values, and nothing to compile.
    gap = size // 2
    while gap > 0:
        for i in range(gap, size):
            here, j = values[i], i
            while j >= gap and values[j - gap] > here:
                values[j] = values[j - gap]
                j -= gap
            values[j] = here
        gap //= 2
    middle = size // 2
    if size % 2 == 1:
        return float(values[middle])
    return 0.5 * float(values[middle - 1] + values[middle])


@njit(**INNER)
def _slope(
    x: FloatArray, y: FloatArray, window: int, left: int, outer: FloatArray, some: FloatArray
) -> float:
    """Repeated median of the slopes between the points of a window; `some` has a column for each of them."""
    for i in range(window):
        for j in range(i + 1, window):
            run = x[left + j] - x[left + i]
            slope = (y[left + j] - y[left + i]) / run if abs(run) > SAME_STRIKE else 0.0
            some[j - 1, i], some[i, j] = slope, slope
    # All columns are put in order at once, by exchanges of neighbours, which vectorise.
    count = window - 1
    for turn in range(count):
        for r in range(turn % 2, count - 1, 2):
            upper, lower = some[r], some[r + 1]
            for c in range(LANES):
                one, other = upper[c], lower[c]
                upper[c], lower[c] = min(one, other), max(one, other)
    for i in range(window):
        outer[i] = 0.5 * (some[(count - 1) // 2, i] + some[count // 2, i])
    return _median(outer, window)


@njit(**INNER)
def _move(
    k: FloatArray, vol: FloatArray, mid: FloatArray, lo: int, hi: int, x: FloatArray, y: FloatArray,
    outer: FloatArray, slopes: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Reference of one expiry moved to where most neighbouring mids lie."""
    pulled = 0
    for i in range(lo, hi):
        out[i] = vol[i]
        if not math.isnan(mid[i]):
            x[pulled], y[pulled] = k[i], mid[i] - vol[i]
            pulled += 1
    window = min(NEIGHBOURS, pulled)
    if window < FEWEST:
        return
    left, held, slope = 0, -1, 0.0
    for i in range(lo, hi):
        # Past the midpoint between its first quote and the one after its last, a window moves on.
        while left < pulled - window and 0.5 * (x[left] + x[left + window]) < k[i]:
            left += 1
        if left != held:
            held, slope = left, _slope(x, y, window, left, outer, slopes)
        # Outside the strikes with a mid the shift is held, a line would run away.
        at = min(max(k[i], x[0]), x[pulled - 1])
        for j in range(window):
            outer[j] = y[left + j] - slope * (x[left + j] - at)
        out[i] = max(vol[i] + _median(outer, window), LEAST_VOL)


@njit(**INNER)
def _noise(
    mid: FloatArray, bid: FloatArray, ask: FloatArray, reference: FloatArray, used: BoolArray, lo: int,
    hi: int, u: FloatArray, some: FloatArray,
) -> float:  # fmt: skip
    """Noise of believed mids in half-spreads, from third differences along the strikes."""
    count = 0
    for i in range(lo, hi):
        if used[i] and not math.isnan(mid[i]):
            u[count] = (mid[i] - reference[i]) / max(0.5 * (ask[i] - bid[i]), LEAST_HALF)
            count += 1
    if count < NOISE_QUOTES:
        return MOST_NOISE
    for i in range(count - 3):
        some[i] = abs(u[i + 3] - 3.0 * u[i + 2] + 3.0 * u[i + 1] - u[i])
    level = NORMAL * _median(some, count - 3) / math.sqrt(20.0)
    return min(max(level, LEAST_NOISE), MOST_NOISE)


@njit()
def judge_rows(
    offsets: IntArray, k: FloatArray, bid: FloatArray, ask: FloatArray, mid: FloatArray, vol: FloatArray,
    local: bool, trust: FloatArray, used: BoolArray, noise: FloatArray,
) -> None:  # fmt: skip
    """Trust in quotes, between 0 and 1, which are believed, and the noise of the mids of each expiry.

    A quote is believed within a half-spread, and the larger of some robust scales and a share of the vol, of
    the reference `vol`. Trust falls with the distance; it is 0 for those that are not believed. A row without
    a mid is a bound: it has no distance where it holds, and is measured from its edge where it does not.
    """
    reference, away, half = vol.copy(), vol.copy(), vol.copy()
    x, y, some, outer = vol.copy(), vol.copy(), np.empty(vol.size), np.empty(LANES)
    slopes = np.zeros((NEIGHBOURS, LANES))
    for e in range(offsets.size - 1):
        lo, hi = offsets[e], offsets[e + 1]
        if local:
            _move(k, vol, mid, lo, hi, x, y, outer, slopes, reference)
        valued = 0
        for i in range(lo, hi):
            if not math.isnan(mid[i]):
                half[i], away[i] = max(0.5 * (ask[i] - bid[i]), LEAST_HALF), abs(mid[i] - reference[i])
                some[valued] = away[i]
                valued += 1
            else:
                half[i], away[i] = 0.0, 0.0
                if bid[i] > reference[i]:
                    away[i] = bid[i] - reference[i]
                elif reference[i] > ask[i]:
                    away[i] = reference[i] - ask[i]
        typical = _median(some, valued) if valued > 0 else 0.0
        scale = max(NORMAL * typical, MIN_SCALE)
        for i in range(lo, hi):
            gate = GATE_HALF_SPREADS * half[i] + max(GATE_SCALES * scale, GATE_VOL * reference[i])
            used[i] = away[i] <= gate
            ratio = away[i] / (half[i] + scale)
            trust[i] = 1.0 / ((1.0 + ratio * ratio) * (1.0 + ratio * ratio)) if used[i] else 0.0
        noise[e] = _noise(mid, bid, ask, reference, used, lo, hi, x, some)
