"""Dense evaluation of a flexible surface for its certificate: expiries once per grid, times between mixed."""

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.surface.flexible._mixture import blend
from ivhedge.surface.flexible.surface import FlexibleSurface, smile_of_parts

__all__ = ["dense_smiles"]

EXTENSION = 200
"""Strikes a side from the earliest time's half-width to the latest one's."""


def dense_smiles(
    surface: FlexibleSurface, taus: FloatArray, near: FloatArray, far: FloatArray
) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
    """Smiles of groups of times, each on one grid of strikes.

    Parameters
    ----------
    surface : FlexibleSurface
    taus : FloatArray, shape (t,)
        Ascending, the expiries among them.
    near, far : FloatArray
        Strikes in standard deviations: symmetric ones near the money, positive ones beyond.

    Returns
    -------
    list of (taus, k, smiles)
        Groups: up to the first expiry, from each expiry to the next, after the last. Times shape (t,),
        strikes (m,), total variance with slope and curvature (3, t, m). Neighbouring groups share an expiry.
    """
    quoted = surface.taus
    nearest = np.argmin(np.abs(taus[:, None] - quoted), axis=0)
    # Years from whole nanoseconds, and those of the surface, may differ in the last digit.
    taus = taus.copy()
    taus[nearest] = quoted
    groups = [_before(surface, taus[taus <= quoted[0]], near, far)]
    for e in range(quoted.size - 1):
        between = taus[(taus > quoted[e]) & (taus < quoted[e + 1])]
        groups.append(_between(surface, e, between, near, far))
    after = taus[taus > quoted[-1]]
    if after.size:
        groups.append(_after(surface, after, near, far))
    return groups


def _grid(first: float, last: float, near: FloatArray, far: FloatArray) -> FloatArray:
    """Near strikes of the first deviation, on to the same number of the last, and the last one's far ones."""
    last = max(first, last)
    width = float(near[-1])
    more = np.linspace(width * first, width * last, EXTENSION + 1)[1:]
    beyond = np.concatenate((more, far * last))
    return np.concatenate((-beyond[::-1], near * first, beyond))


def _before(
    surface: FlexibleSurface, taus: FloatArray, near: FloatArray, far: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    deviation = float(np.sqrt(surface._atm[0, 0]))
    k = _grid(deviation, deviation, near, far)
    share = surface.own_time(taus) / surface.taus[0]
    share[-1] = 1.0
    return taus, k, share[None, :, None] * smile_of_parts(k, _expiry(surface, 0, k))[:, None, :]


def _between(
    surface: FlexibleSurface, e: int, between: FloatArray, near: FloatArray, far: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    first, last = (float(v) for v in np.sqrt(surface._atm[e : e + 2, 0]))
    k = _grid(first, last, near, far)
    early, late = _expiry(surface, e, k), _expiry(surface, e + 1, k)
    taus = np.concatenate((surface.taus[e : e + 1], between, surface.taus[e + 1 : e + 2]))
    shares = surface.later_share(surface.own_time(between), np.full(between.size, e))
    smiles, mixed = np.empty((3, taus.size, k.size)), np.empty_like(early)
    smiles[:, 0], smiles[:, -1] = smile_of_parts(k, early), smile_of_parts(k, late)
    for i, share in enumerate(shares.tolist(), start=1):
        with np.errstate(divide="ignore"):
            logs = np.log(np.array([1.0 - share, share]))
        blend(early, np.full(k.size, logs[0]), late, np.full(k.size, logs[1]), mixed)
        smiles[:, i] = smile_of_parts(k, mixed)
    return taus, k, smiles


def _after(
    surface: FlexibleSurface, after: FloatArray, near: FloatArray, far: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    taus = np.concatenate((surface.taus[-1:], after))
    first, last = (float(v) for v in np.sqrt(surface.total_variance(0.0, taus[[0, -1]])))
    k = _grid(first, last, near, far)
    return taus, k, np.stack(surface.derivatives(k, taus[:, None]))


def _expiry(surface: FlexibleSurface, e: int, k: FloatArray) -> FloatArray:
    at = np.full(k.size, surface.taus[e])
    return surface.price_parts(k, at, at)
