"""Who moves first: lags between venues, and shares in the discovery of the common level.

`lead_lag` needs no common clock of updates: the covariation of two series observed at their own times is
summed over overlapping intervals, with one of them shifted; the shift that maximises it is the lag. Standard
errors are those of a jackknife over blocks of time. `information_share` needs regular samples: an error
correction model of the levels gives Gonzalo and Granger's weights and the bounds of Hasbrouck's shares over
the orderings of the venues.

References
----------
Hayashi, Yoshida (2005), On covariance estimation of non-synchronously observed diffusion processes, eq. 2.1.
Hoffmann, Rosenbaum, Yoshida (2013), Estimation of the lead-lag parameter from non-synchronous data, eq. 3.
Hasbrouck (1995), One security, many markets, eq. 9-12. Gonzalo, Granger (1995), Estimation of common
long-memory components in cointegrated systems, proposition 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import ArrayLike, FloatArray

__all__ = ["InformationShare", "LeadLag", "hayashi_yoshida", "information_share", "lead_lag", "venue_lags"]

_LEAST_POINTS = 20
_BLOCKS = 10
_ALL_ORDERS = 5
_TWIN = 1.0 - 1e-9
_CLEAR = 5.0  # the largest of a hundred noisy lags reaches three to four


def hayashi_yoshida(
    time_a: ArrayLike, value_a: ArrayLike, time_b: ArrayLike, value_b: ArrayLike, lag_s: float = 0.0
) -> float:
    """Covariation of two series observed at their own times, b taken back by `lag_s`.

    Parameters
    ----------
    time_a, time_b : array_like, shape (n,), (m,)
        Seconds, strictly ascending.
    value_a, value_b : array_like, same shapes
        Vols or log forwards.
    lag_s : float
        Positive: b is looked at this much later, so that a leads where the covariation is large.
    """
    ta, tb = np.asarray(time_a, dtype=np.float64), np.asarray(time_b, dtype=np.float64) - lag_s
    da, db = np.diff(np.asarray(value_a, dtype=np.float64)), np.diff(np.asarray(value_b, dtype=np.float64))
    return _overlap_sum(ta, da, tb, db)


def _overlap_sum(ta: FloatArray, da: FloatArray, tb: FloatArray, db: FloatArray) -> float:
    """Sum of products over overlapping intervals."""
    # Intervals of b that overlap interval i of a are the contiguous first[i] .. stop[i] - 1.
    first = np.searchsorted(tb[1:], ta[:-1], side="right")
    stop = np.searchsorted(tb[:-1], ta[1:], side="left")
    total = np.concatenate(([0.0], np.cumsum(db)))
    return float(np.sum(da * (total[np.maximum(stop, first)] - total[first])))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadLag:
    """Lag of one series behind another.

    Parameters
    ----------
    lag_s : float
        Seconds by which b follows a; negative where b leads.
    std_error : float
        Of the jackknife over blocks; at least half the grid's step.
    correlation : float
        At that lag.
    clear : bool
        Whether the covariation there exceeds five deviations of what independent increments give, and the
        lag lies inside the grid.
    """

    lag_s: float
    std_error: float
    correlation: float
    clear: bool


def lead_lag(
    time_a: ArrayLike, value_a: ArrayLike, time_b: ArrayLike, value_b: ArrayLike, *, lags_s: ArrayLike
) -> LeadLag:
    """Lag of b behind a: where the shifted covariation is largest.

    Parameters
    ----------
    time_a, value_a, time_b, value_b : array_like
        As in `hayashi_yoshida`.
    lags_s : array_like, shape (g,)
        Grid of lags, ascending, at least five.

    Raises
    ------
    DataError
        If times do not ascend, shapes differ, numbers are not finite, or there are fewer than 20 points.
    """
    a, b = _series(time_a, value_a), _series(time_b, value_b)
    grid = np.asarray(lags_s, dtype=np.float64)
    if grid.ndim != 1 or grid.size < 5 or not (np.diff(grid) > 0.0).all():
        raise DataError(f"expected a grid of at least five ascending lags, found {grid.tolist()}")
    edges = np.linspace(max(a[0][0], b[0][0]), min(a[0][-1], b[0][-1]), _BLOCKS + 1)
    curves = np.zeros((_BLOCKS, grid.size))
    for block in range(_BLOCKS):
        inside = (a[0] >= edges[block]) & (a[0] <= edges[block + 1])
        if inside.sum() > 1:
            ta, va = a[0][inside], a[1][inside]
            curves[block] = [hayashi_yoshida(ta, va, *b, lag_s=float(lag)) for lag in grid]
    whole = curves.sum(axis=0)
    best = _peak(grid, whole)
    left_out = np.array([_peak(grid, whole - curve) for curve in curves])
    error = float(np.sqrt((_BLOCKS - 1) / _BLOCKS * np.sum((left_out - left_out.mean()) ** 2)))
    scale = float(np.sqrt(np.sum(np.diff(a[1]) ** 2) * np.sum(np.diff(b[1]) ** 2)))
    top = float(whole.max())
    # What the sum would scatter by, were the increments independent.
    chance = _overlap_sum(a[0], np.diff(a[1]) ** 2, b[0] - best, np.diff(b[1]) ** 2) ** 0.5
    return LeadLag(
        lag_s=best,
        std_error=max(error, 0.5 * float(np.min(np.diff(grid)))),
        correlation=top / scale if scale > 0.0 else 0.0,
        # At the edge of the grid the lag may be anything beyond.
        clear=bool(top > _CLEAR * chance and grid[0] < best < grid[-1]),
    )


def venue_lags(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, leader: str, lags_s: ArrayLike
) -> dict[str, tuple[float, float]]:
    """Lag in seconds and its standard error of every venue behind one: for `VenueModel.with_lags`.

    Venues without a clear lag are left out.
    """
    if leader not in series:
        raise DataError(f"expected a series of the leader {leader}, found {sorted(series)}")
    found = {leader: (0.0, 0.0)}
    for venue in sorted(set(series) - {leader}):
        lag = lead_lag(*series[leader], *series[venue], lags_s=lags_s)
        if lag.clear:
            found[venue] = (lag.lag_s, lag.std_error)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class InformationShare:
    """Shares of venues in the discovery of the common level, each of shape (v,).

    Parameters
    ----------
    venues : tuple of str
    lower, upper : FloatArray
        Bounds of Hasbrouck's share over the orderings of the venues.
    weight : FloatArray
        Gonzalo and Granger's component weights, sum 1; may be negative.
    """

    venues: tuple[str, ...]
    lower: FloatArray
    upper: FloatArray
    weight: FloatArray


def information_share(venues: Sequence[str], levels: ArrayLike, *, n_lags: int = 3) -> InformationShare:
    """Bounds of Hasbrouck's information shares and Gonzalo and Granger's weights.

    Parameters
    ----------
    venues : sequence of str, length v
        At least two.
    levels : array_like, shape (n, v)
        Regular samples of the same quantity (vol at the money, log forward); biases may differ.
    n_lags : int
        Lagged differences in the error correction model.

    Raises
    ------
    DataError
        If there are too few samples, a number is not finite, a venue never moves, or two move as one (a copy
        has no share of its own).
    """
    values = np.asarray(levels, dtype=np.float64)
    n_v = len(venues)
    if n_v < 2 or values.ndim != 2 or values.shape[1] != n_v:
        raise DataError(f"expected levels of shape (n, {n_v}) of at least two venues, found {values.shape}")
    if not np.isfinite(values).all() or values.shape[0] < 10 * n_v * (n_lags + 1):
        raise DataError(
            f"expected at least {10 * n_v * (n_lags + 1)} finite samples, found {values.shape[0]}; "
            "leave out gaps"
        )
    change = np.diff(values, axis=0)
    if (change.std(axis=0) == 0.0).any():
        frozen = [v for v, sd in zip(venues, change.std(axis=0), strict=True) if sd == 0.0]
        raise DataError(f"expected levels that move, found none at {frozen}; leave stale venues out")
    _no_twins(venues, change)
    gap = values[n_lags:-1, 1:] - values[n_lags:-1, :1]
    past = [change[n_lags - j : change.shape[0] - j] for j in range(1, n_lags + 1)]
    design = np.concatenate((gap, *past, np.ones((gap.shape[0], 1))), axis=1)
    target = change[n_lags:]
    coefficient, *_ = np.linalg.lstsq(design, target, rcond=None)
    residual = target - design @ coefficient
    sigma = residual.T @ residual / (residual.shape[0] - design.shape[1])
    # The common trend answers to shocks in the direction that adjustment does not undo.
    weight = np.linalg.svd(coefficient[: n_v - 1])[2][-1]
    weight = weight / weight.sum()
    orders = permutations(range(n_v)) if n_v <= _ALL_ORDERS else _rotations(n_v)
    shares = np.array([_share(weight, sigma, order) for order in orders])
    return InformationShare(
        venues=tuple(venues), lower=shares.min(axis=0), upper=shares.max(axis=0), weight=weight
    )


def _no_twins(venues: Sequence[str], change: FloatArray) -> None:
    alike = np.triu(np.corrcoef(change.T), 1) > _TWIN
    if alike.any():
        pairs = [(venues[i], venues[j]) for i, j in np.argwhere(alike)]
        raise DataError(
            f"expected venues that move on their own, found copies {pairs}; leave one out of each"
        )


def _rotations(n: int) -> list[tuple[int, ...]]:
    """Orders that put every venue first and last: with many venues the bounds of these."""
    turned = [tuple((i + shift) % n for i in range(n)) for shift in range(n)]
    return turned + [order[::-1] for order in turned]


def _share(weight: FloatArray, sigma: FloatArray, order: tuple[int, ...]) -> FloatArray:
    at = np.array(order)
    root = np.linalg.cholesky(sigma[np.ix_(at, at)])
    share = np.empty(at.size)
    share[at] = (weight[at] @ root) ** 2
    return np.asarray(share / share.sum())


def _series(time: ArrayLike, value: ArrayLike) -> tuple[FloatArray, FloatArray]:
    t, x = np.asarray(time, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if t.ndim != 1 or t.shape != x.shape or t.size < _LEAST_POINTS:
        raise DataError(f"expected times and values of one shape (n,), n >= 20, found {t.shape}, {x.shape}")
    if not (np.isfinite(t).all() and np.isfinite(x).all() and (np.diff(t) > 0.0).all()):
        raise DataError("expected finite values at strictly ascending times; sort, drop duplicates and gaps")
    return t, x


def _peak(grid: FloatArray, curve: FloatArray) -> float:
    """Where a curve is largest, refined by a parabola through the neighbours."""
    i = int(np.argmax(curve))
    if i in (0, grid.size - 1):
        return float(grid[i])
    left, top, right = curve[i - 1 : i + 2]
    bend = left - 2.0 * top + right
    if bend == 0.0:
        return float(grid[i])
    return float(grid[i] + 0.25 * (grid[i + 1] - grid[i - 1]) * (left - right) / bend)
