"""Dense check of a flexible surface for its certificate, in prices where they suffice.

At an expiry the density is that of kernels, sums of positive terms, and the backbone's: it is not negative
where the backbone's density factor is not, which takes no price. No fall to the next expiry is a price that
is not lower, which takes no implied vol. Times between two expiries mix the prices of both, convex where
these are, with a share of the later one that rises. So groups of times that pass are read as smiles on few
strikes only, the others on all of them.
"""

from collections.abc import Iterator

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.certificate import density_factor
from ivhedge.surface.essvi import essvi_derivatives
from ivhedge.surface.flexible._mixture import blend
from ivhedge.surface.flexible.surface import FlexibleSurface, smile_of_parts

__all__ = ["Group", "dense_smiles"]

EXTENSION = 200
"""Strikes a side from the earliest time's half-width to the latest one's."""
THIN = 16
"""Of so many strikes one is read as a smile where prices passed."""
BEYOND = 4
"""Of so many strikes one is read after the last expiry."""
FALL = 4e-12
"""Relative fall of a price that may be rounding: less than certificates allow of the total variance."""

Group = tuple[FloatArray, FloatArray, FloatArray]
"""Times shape (t,), strikes (m,), total variance with slope and curvature (3, t, m)."""


def dense_smiles(
    surface: FlexibleSurface, taus: FloatArray, near: FloatArray, far: FloatArray
) -> Iterator[Group]:
    """Smiles of groups of times: from each expiry to the next, up to the first, after the last.

    Parameters
    ----------
    surface : FlexibleSurface
    taus : FloatArray, shape (t,)
        Ascending, the expiries among them.
    near, far : FloatArray
        Strikes in standard deviations: symmetric ones near the money, positive ones beyond.

    Yields
    ------
    Group
        On all strikes where a price failed, on every sixteenth and the outermost ones where none did, on
        every fourth after the last expiry. Neighbouring groups share an expiry.
    """
    quoted, last = surface.taus, surface.taus.size - 1
    nearest = np.argmin(np.abs(taus[:, None] - quoted), axis=0)
    # Years from whole nanoseconds, and those of the surface, may differ in the last digit.
    taus = taus.copy()
    taus[nearest] = quoted
    deviation = np.sqrt(surface._atm[:, 0])
    convex = np.empty(last + 1, dtype=np.bool_)
    for e in range(last):
        k = _grid(float(deviation[e]), float(deviation[e + 1]), near, far)
        convex[e] = _is_convex(surface, e, k)
        early, late = _expiry(surface, e, k), _expiry(surface, e + 1, k)
        between = taus[(taus > quoted[e]) & (taus < quoted[e + 1])]
        shares = surface.later_share(surface.own_time(between), np.full(between.size, e))
        if convex[e] and _is_convex(surface, e + 1, k) and _rises(early, late) and _ascend(shares):
            thin = _every(k.size, THIN)
            k, early, late = k[thin], early[:, thin], late[:, thin]
        times = np.concatenate((quoted[e : e + 1], between, quoted[e + 1 : e + 2]))
        yield times, k, _between(early, late, shares, k)
    after = taus[taus >= quoted[-1]]
    width = float(deviation[-1])
    k = _grid(width, width, near, far)
    convex[-1] = _is_convex(surface, last, k)
    yield _before(surface, taus[taus <= quoted[0]], near, far, bool(convex[0]))
    # Kernels widened, on a backbone that goes on: no mixtures of what was checked.
    k = _grid(width, float(np.sqrt(surface.total_variance(0.0, after[-1]))), near, far)
    k = k[_every(k.size, BEYOND)]
    yield after, k, np.stack(surface.derivatives(k, after[:, None]))


def _grid(first: float, last: float, near: FloatArray, far: FloatArray) -> FloatArray:
    """Near strikes of the first deviation, on to the same number of the last, and the last one's far ones."""
    last = max(first, last)
    width = float(near[-1])
    more = np.linspace(width * first, width * last, EXTENSION + 1)[1:]
    beyond = np.concatenate((more, far * last))
    return np.concatenate((-beyond[::-1], near * first, beyond))


def _every(size: int, step: int) -> IntArray:
    """Numbers of every so many strikes, and of the last one."""
    inner = np.arange(0, size, step)
    return inner if inner[-1] == size - 1 else np.append(inner, size - 1)


def _is_convex(surface: FlexibleSurface, e: int, k: FloatArray) -> bool:
    """Whether no weight and no density of the backbone is negative at an expiry."""
    smile = essvi_derivatives(k, *surface._slices[e])
    return bool((surface.weight[e] >= 0.0).all() and (density_factor(k, *smile) >= 0.0).all())


def _rises(early: FloatArray, late: FloatArray) -> bool:
    """Whether prices are positive numbers, later ones not lower, and no density is negative."""
    change = late[3] - early[3] + np.log(late[0] / early[0])
    convex = (early[2] >= 0.0) & (late[2] >= 0.0)
    return bool((convex & np.isfinite(change) & (change >= -FALL)).all())


def _ascend(shares: FloatArray) -> bool:
    return bool((np.diff(shares, prepend=0.0, append=1.0) >= 0.0).all())


def _before(
    surface: FlexibleSurface, taus: FloatArray, near: FloatArray, far: FloatArray, convex: bool
) -> Group:
    deviation = float(np.sqrt(surface._atm[0, 0]))
    k = _grid(deviation, deviation, near, far)
    if convex:
        k = k[_every(k.size, THIN)]
    share = surface.own_time(taus) / surface.taus[0]
    share[-1] = 1.0
    return taus, k, share[None, :, None] * smile_of_parts(k, _expiry(surface, 0, k))[:, None, :]


def _between(early: FloatArray, late: FloatArray, shares: FloatArray, k: FloatArray) -> FloatArray:
    """Smiles of the earlier expiry, of mixtures, and of the later one."""
    n, m = shares.size + 2, k.size
    mixed = np.empty((4, n, m))
    mixed[:, 0], mixed[:, -1] = early, late
    with np.errstate(divide="ignore"):
        logs = np.log1p(-shares), np.log(shares)
    for i in range(n - 2):
        blend(early, np.full(m, logs[0][i]), late, np.full(m, logs[1][i]), mixed[:, i + 1])
    return smile_of_parts(np.tile(k, n), mixed.reshape(4, n * m)).reshape(3, n, m)


def _expiry(surface: FlexibleSurface, e: int, k: FloatArray) -> FloatArray:
    at = np.full(k.size, e)
    return surface._parts_at(k, at, np.zeros(k.size), surface._slices[at])
