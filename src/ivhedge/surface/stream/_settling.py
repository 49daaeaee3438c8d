"""Slices brought to the minimum of a robust loss over their quotes in use."""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import njit
from ivhedge.surface.stream._kernel import (
    ANCHOR,
    DRIFT,
    EQ,
    FEW,
    H0,
    H1,
    H2,
    MAX_AGE,
    MIN_SCALE,
    NOISE,
    S_LOG_F,
    SCALE,
    TARGET,
    TUKEY,
    VOL,
    WEIGHT,
    WHOLE,
    K,
    _add,
    _drift,
    _lean,
    _model,
    _move,
)
from ivhedge.surface.stream._state import FIRST, LAST, LIVE, SINCE, views

__all__ = ["settle", "settle_slice"]

HUBER_ROUNDS, ROUNDS = 40, 30
HUBER = 1.345
NORMAL = 1.4826  # standard deviation over median size, normal errors
MOST_SCALE = 3.0


@njit()
def settle_slice(
    slots: FloatArray,
    times: IntArray,
    members: IntArray,
    s: FloatArray,
    tau: float,
    now: int,
    cfg: FloatArray,
    rounds: int,
    huber: bool,
    sizes: FloatArray,
) -> int:
    """Linearise all live slots of a slice again, up to `rounds` times; the number of live slots.

    By Huber's loss at the slice's own scale of errors, or by Tukey's at a scale that is held between one and
    three times that of all slices: few quotes cannot call their outliers normal, nor is a slice that the
    model misses thrown away as a whole. `sizes`, one place a member, receives the errors in standard
    deviations.
    """
    size = members.size
    live, variance, drift = np.empty(size, dtype=np.int64), np.empty(size), np.empty(size)
    n = 0
    for j in members:
        slots[j, WEIGHT] = 0.0
        if slots[j, NOISE] > 0.0 and now - times[j, 0] <= cfg[MAX_AGE]:
            live[n] = j
            drift[n] = _drift(slots[j], now - times[j, 0], s[S_LOG_F], cfg)
            variance[n] = slots[j, NOISE] + drift[n]
            n += 1
    error, h = np.empty(n), np.empty((n, 3))
    weight = np.zeros(n)
    for _ in range(rounds):
        for i in range(n):
            j = live[i]
            vol, h[i, 0], h[i, 1], h[i, 2] = _model(slots[j, K], s[0], s[1], s[2])
            error[i] = slots[j, VOL] - vol
            sizes[i] = abs(error[i]) / math.sqrt(variance[i])
        if huber:
            s[SCALE] = max(NORMAL * np.median(sizes[:n]), cfg[MIN_SCALE]) if n >= 4 else 1.0
        else:
            own = NORMAL * np.median(sizes[:n]) if n >= FEW else 0.0
            s[SCALE] = min(max(own, s[WHOLE]), MOST_SCALE * s[WHOLE])
        for i in range(EQ, ANCHOR):
            s[i] = 0.0
        if n < FEW:
            _lean(s)
        total = weighted = 0.0
        for i in range(n):
            x = sizes[i] / (cfg[TUKEY] * s[SCALE])
            if huber:
                weight[i] = min(1.0, HUBER / (cfg[TUKEY] * max(x, 1e-150))) / variance[i]
            else:
                weight[i] = (1.0 - x * x) ** 2 / variance[i] if x < 1.0 else 0.0
            target = error[i] + h[i, 0] * s[0] + h[i, 1] * s[1] + h[i, 2] * s[2]
            _add(s, h[i, 0], h[i, 1], h[i, 2], weight[i], target)
            j = live[i]
            slots[j, H0], slots[j, H1], slots[j, H2] = h[i, 0], h[i, 1], h[i, 2]
            slots[j, WEIGHT], slots[j, TARGET] = weight[i], target
            total += weight[i]
            weighted += weight[i] * drift[i]
        if total > 0.0:
            s[DRIFT] = weighted / total
        if _move(s, tau) < (1e-5 if huber else 1e-8):
            break
    return n


@njit()
def settle(ints: IntArray, floats: FloatArray, alive: IntArray, taus: FloatArray, now: int) -> None:
    """Settle the slices `alive` of a state; its clocks receive the number of their quotes in use.

    First by Huber's convex loss, then by Tukey's from there: Tukey's has several optima, and the one found
    must hang on the quotes, not on the way to them.
    """
    state = views(ints, floats)
    slots, times, members, cfg, clocks = state.slots, state.times, state.members, state.cfg, state.clocks
    sizes, pooled = np.empty(members.size), np.empty(members.size)
    filled = 0
    for i in range(alive.size):
        e = alive[i]
        a, b = clocks[e, FIRST], clocks[e, LAST]
        s = state.slices[e]
        n = settle_slice(slots, times, members[a:b], s, taus[i], now, cfg, HUBER_ROUNDS, True, sizes)
        pooled[filled : filled + n] = sizes[:n]
        clocks[e, LIVE] = n
        filled += n
    whole = max(NORMAL * np.median(pooled[:filled]), cfg[MIN_SCALE]) if filled >= FEW else 1.0
    for i in range(alive.size):
        e = alive[i]
        a, b = clocks[e, FIRST], clocks[e, LAST]
        s = state.slices[e]
        s[WHOLE] = whole
        settle_slice(slots, times, members[a:b], s, taus[i], now, cfg, ROUNDS, False, sizes)
        if clocks[e, LIVE] == 0:
            # Nothing left to measure: what was known has its drift inside.
            s[DRIFT] = 0.0
    clocks[:, SINCE] = 0
