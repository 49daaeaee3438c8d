"""How far the surface is behind its newest quotes."""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import njit
from ivhedge.surface.stream._kernel import MAX_AGE, NOISE, SCALE, VOL, K, _model
from ivhedge.surface.stream._state import FIRST, LAST, views

__all__ = ["behind", "behind_newest"]

SHARE = 8  # one quote in so many is new, at least `LEAST` of them
LEAST = 5
WITNESSES = 3
_MEDIAN_VARIANCE = 1.5708  # of a median, in variances of a mean
_SURE = 4.0  # variances of the median that chance may make
_CENTRE = 2.0  # standard deviations of moneyness: further out the model errs by more than quotes move


@njit()
def behind(age: FloatArray, residual: FloatArray, noise: FloatArray) -> tuple[float, float]:
    """Squared median residual of the newest quotes, and the same less what chance makes, 0 where they agree.

    Parameters
    ----------
    age : FloatArray, shape (n,)
        Any unit; quotes as old as the last of the new ones are new as well.
    residual : FloatArray, shape (n,)
        Vol less surface.
    noise : FloatArray, shape (n,)
        Variance of each quote.
    """
    n = age.size
    if n < 2 * LEAST:
        return 0.0, 0.0
    last = max(LEAST, n // SHARE) - 1
    new = age <= np.partition(age, last)[last]
    m = new.sum()
    if m == n:
        return 0.0, 0.0
    square = float(np.median(residual[new]) ** 2)
    chance = float(_SURE * _MEDIAN_VARIANCE * np.median(noise[new]) / m)
    return square, max(square - chance, 0.0)


@njit()
def _keep_least(least: FloatArray, value: float) -> None:
    """Put a value into an ascending list of the least ones."""
    for i in range(least.size):
        if value < least[i]:
            least[i], value = value, least[i]


@njit()
def behind_newest(
    ints: IntArray,
    floats: FloatArray,
    taus: FloatArray,
    now: int,
    out: FloatArray,
    mean_age: FloatArray,
    witnessed: FloatArray,
) -> None:
    """Variance by which each slice is behind, its own quotes' word or that of all slices together.

    Writes `out`; the mean age of the quotes in use; and the age of the third newest of those around the money
    (of all, where fewer than three are there), infinite without: one that is renewed does not keep the others
    fresh. Each of shape (slices,), ages in nanoseconds.

    For `out` quotes around the money are asked; none is left out for standing far off: at a jump new ones do.
    """
    state = views(ints, floats)
    slots, times, members, clocks = state.slots, state.times, state.members, state.clocks
    slices, cfg = state.slices, state.cfg
    total = members.size
    age, residual, noise = np.empty(total), np.empty(total), np.empty(total)
    own = np.zeros(slices.shape[0])
    n = 0
    for e in range(slices.shape[0]):
        first = n
        s = slices[e]
        scale = max(s[SCALE], 1.0)
        wide = _CENTRE * math.sqrt(s[0] * max(taus[e], 0.0))
        total_age, live = 0.0, 0
        newest = np.full((2, WITNESSES), np.inf)
        for j in members[clocks[e, FIRST] : clocks[e, LAST]]:
            if slots[j, NOISE] > 0.0 and now - times[j, 0] <= cfg[MAX_AGE]:
                total_age += now - times[j, 0]
                live += 1
                _keep_least(newest[0], float(now - times[j, 0]))
                if abs(slots[j, K]) <= wide:
                    age[n] = now - times[j, 0]
                    _keep_least(newest[1], age[n])
                    residual[n] = slots[j, VOL] - _model(slots[j, K], s[0], s[1], s[2])[0]
                    noise[n] = slots[j, NOISE] * scale * scale
                    n += 1
        own[e], out[e] = behind(age[first:n], residual[first:n], noise[first:n])
        mean_age[e] = total_age / live if live else 0.0
        around = newest[1, WITNESSES - 1]
        witnessed[e] = around if around < np.inf else newest[0, WITNESSES - 1]
    common = behind(age[:n], residual[:n], noise[:n])[1]
    for e in range(slices.shape[0]):
        # In a common move each slice's own quotes say how much of it is its own.
        out[e] = max(out[e], common, own[e] if common > 0.0 else 0.0)
