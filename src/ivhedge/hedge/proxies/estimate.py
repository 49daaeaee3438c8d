"""How the vols of some tenors follow those of liquid proxies, judged on what came after each estimate.

``Δσ_target = W·Δσ_proxy + ε`` per root day, W by exponentially weighted ridge regression through zero. Every
step is first predicted with what was known before it: the errors of these predictions, not those of the fit,
give R², its interval and the covariance that a hedge leaves.

References
----------
Hoerl and Kennard (1970), Ridge regression. Künsch (1989), The jackknife and the bootstrap for general
stationary observations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import VOL_POINT
from ivhedge.risk.factors import PanelSteps

__all__ = ["ProxyModel", "ProxySettings", "VegaBucket", "fit_moves", "fit_proxies"]


@dataclass(frozen=True, slots=True, order=True)
class VegaBucket:
    """Vega at the money of one underlying at one tenor of the panel."""

    underlying: str
    tenor_days: float

    def __str__(self) -> str:
        return f"{self.underlying} {self.tenor_days:g} d"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """How weights are estimated and judged.

    Parameters
    ----------
    half_life_days : float
        Of the weights of past steps.
    ridge : float
        Shrinks towards no hedge, as a share of the proxies' mean variance.
    warm_up : int
        Steps before the first prediction.
    recent_share : float
        Last share of the predictions that has to be explained too: a regime unlike the past shows there.
    trusted_r2 : float
        Least lower end of R², and least R² of the recent predictions.
    block, resamples, level
        Of the moving block bootstrap: steps per block, draws, probability of the interval.
    """

    half_life_days: float = 45.0
    ridge: float = 0.05
    warm_up: int = 80
    recent_share: float = 0.25
    trusted_r2: float = 0.15
    block: int = 8
    resamples: int = 500
    level: float = 0.9

    def __post_init__(self) -> None:
        if not (0.0 < self.half_life_days < float("inf") and 0.0 <= self.ridge < float("inf")):
            raise ConfigError(
                "expected a half-life above 0 and a ridge of at least 0, "
                f"found {self.half_life_days}, {self.ridge}"
            )
        if self.warm_up < 10 or self.block < 1 or self.resamples < 100:
            raise ConfigError(
                "expected warm_up >= 10, block >= 1 and resamples >= 100, "
                f"found {self.warm_up}, {self.block}, {self.resamples}"
            )
        if not (0.0 < self.recent_share <= 1.0 and 0.0 < self.level < 1.0 and self.trusted_r2 < 1.0):
            raise ConfigError(
                "expected recent_share in (0, 1], level in (0, 1) and trusted_r2 below 1, "
                f"found {self.recent_share}, {self.level}, {self.trusted_r2}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyModel:
    """T targets explained by P proxies; vols in points, variances per day.

    Parameters
    ----------
    targets, proxies : tuple of VegaBucket
    weights : FloatArray, shape (T, P)
        Vol points of a target per vol point of each proxy, the latest estimate.
    target_covariance : FloatArray, shape (T, T)
        Of the targets' moves over the predicted steps.
    residual_covariance : FloatArray, shape (T, T)
        Of what the predictions missed.
    proxy_covariance : FloatArray, shape (P, P)
        Exponentially weighted, today's.
    r2, r2_lower, r2_upper : FloatArray, shape (T,)
        Of the predictions, with the interval.
    recent_r2 : FloatArray, shape (T,)
    trusted : BoolArray, shape (T,)
    reason : tuple of T str
        Why not, or ``ok``.
    n_judged : int
        Predicted steps.
    end_ns : int
        End of the last step known.
    """

    targets: tuple[VegaBucket, ...]
    proxies: tuple[VegaBucket, ...]
    weights: FloatArray
    target_covariance: FloatArray
    residual_covariance: FloatArray
    proxy_covariance: FloatArray
    r2: FloatArray
    r2_lower: FloatArray
    r2_upper: FloatArray
    recent_r2: FloatArray
    trusted: BoolArray
    reason: tuple[str, ...]
    n_judged: int
    end_ns: int


def fit_proxies(
    steps: PanelSteps,
    targets: Sequence[VegaBucket],
    proxies: Sequence[VegaBucket],
    *,
    rng: np.random.Generator,
    settings: ProxySettings | None = None,
) -> ProxyModel:
    """Estimate how targets follow proxies from steps that are all in the past.

    Parameters
    ----------
    steps : PanelSteps
        In order of time, of all the underlyings, at the tenors asked for.
    targets, proxies : sequence of VegaBucket
        Without a bucket in common.
    rng : numpy.random.Generator
        For the intervals.
    settings : ProxySettings, optional

    Raises
    ------
    ConfigError
        If a bucket comes twice, is on both sides, or is not in the steps.
    DataError
        If the steps are too few or not in order, or a vol is not a number.
    """
    _check_buckets(targets, proxies)
    moves = {bucket: _vol_points(steps, bucket) for bucket in (*targets, *proxies)}
    return fit_moves(
        moves, targets, proxies, days=steps.days, end_ns=steps.end_ns, rng=rng, settings=settings
    )


def fit_moves(
    moves: Mapping[VegaBucket, FloatArray],
    targets: Sequence[VegaBucket],
    proxies: Sequence[VegaBucket],
    *,
    days: FloatArray,
    end_ns: IntArray,
    rng: np.random.Generator,
    settings: ProxySettings | None = None,
) -> ProxyModel:
    """The same from moves of any kind: vol points, or profits per USD of vega of what is really held.

    Profits of delta-neutral straddles hold their gamma and theta too, which two coins share when they jump
    together; vols alone know nothing of it.

    Parameters
    ----------
    moves : mapping of VegaBucket to FloatArray, shape (S,)
        Over each step, not scaled by time.
    targets, proxies : sequence of VegaBucket
    days : FloatArray, shape (S,)
        Length of each step.
    end_ns : IntArray, shape (S,)
    rng, settings
        As for `fit_proxies`.

    Raises
    ------
    ConfigError, DataError
        As `fit_proxies`.
    """
    chosen = settings or ProxySettings()
    _check_buckets(targets, proxies)
    if days.ndim != 1 or not (np.isfinite(days) & (days > 0.0)).all():
        raise DataError("expected a finite length above 0 days for each step, found others; leave those out")
    if end_ns.shape != days.shape or (np.diff(end_ns) <= 0).any():
        raise DataError(
            f"expected {days.size} step ends in order of time, each once, found {end_ns.size}, late or "
            "twice; sort the panel and drop copies"
        )
    y, x = (
        np.stack([_scaled(moves, bucket, days) for bucket in side], axis=1) for side in (targets, proxies)
    )
    count = y.shape[0]
    fewest = chosen.warm_up + 4 * chosen.block
    if count < fewest:
        raise DataError(
            f"expected at least {fewest} steps ({chosen.warm_up} to begin with), found {count}; record longer"
        )
    fade = np.exp2(-days / chosen.half_life_days)
    missed = np.empty((count - chosen.warm_up, y.shape[1]))
    square, cross, weight = np.zeros((x.shape[1],) * 2), np.zeros((x.shape[1], y.shape[1])), 0.0
    weights = np.zeros((y.shape[1], x.shape[1]))
    for row in range(count):
        if row >= chosen.warm_up:
            weights = _ridge(square, cross, chosen.ridge)
            missed[row - chosen.warm_up] = y[row] - weights @ x[row]
        square = fade[row] * square + np.outer(x[row], x[row])
        cross = fade[row] * cross + np.outer(x[row], y[row])
        weight = fade[row] * weight + 1.0
    weights = _ridge(square, cross, chosen.ridge)
    seen = y[chosen.warm_up :]
    r2, lower, upper = _explained(seen, missed, chosen, rng)
    late = slice(-max(int(chosen.recent_share * seen.shape[0]), chosen.block), None)
    recent = 1.0 - (missed[late] ** 2).sum(axis=0) / (seen[late] ** 2).sum(axis=0)
    reasons = tuple(_reason(float(low), float(now), chosen) for low, now in zip(lower, recent, strict=True))
    return ProxyModel(
        targets=tuple(targets),
        proxies=tuple(proxies),
        weights=weights,
        target_covariance=seen.T @ seen / seen.shape[0],
        residual_covariance=missed.T @ missed / seen.shape[0],
        proxy_covariance=square / weight,
        r2=r2,
        r2_lower=lower,
        r2_upper=upper,
        recent_r2=recent,
        trusted=np.array([reason == "ok" for reason in reasons]),
        reason=reasons,
        n_judged=int(seen.shape[0]),
        end_ns=int(end_ns[-1]),
    )


def _ridge(square: FloatArray, cross: FloatArray, ridge: float) -> FloatArray:
    """Weights of the targets on the proxies, shape (T, P)."""
    size = square.shape[0]
    level = float(np.trace(square)) / size
    if not level > 0.0:
        raise DataError("expected proxies whose vols move, found some that never do; choose others")
    # The least ridge keeps two proxies that are one and the same solvable: each takes half.
    return np.asarray(np.linalg.solve(square + max(ridge, 1e-9) * level * np.eye(size), cross).T)


def _explained(
    seen: FloatArray, missed: FloatArray, settings: ProxySettings, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    total, left = seen**2, missed**2
    count, block = seen.shape[0], settings.block
    starts = rng.integers(0, count - block + 1, size=(settings.resamples, -(-count // block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(settings.resamples, -1)[:, :count]
    drawn = 1.0 - left[rows].sum(axis=1) / total[rows].sum(axis=1)
    tail = 0.5 * (1.0 - settings.level)
    low, high = np.quantile(drawn, (tail, 1.0 - tail), axis=0)
    return 1.0 - left.sum(axis=0) / total.sum(axis=0), low, high


def _reason(lower: float, recent: float, settings: ProxySettings) -> str:
    if not lower >= settings.trusted_r2:
        return f"R² may be as low as {lower:.2f}, below {settings.trusted_r2:g}"
    if not recent >= settings.trusted_r2:
        return f"R² is {recent:.2f} lately, below {settings.trusted_r2:g}: a regime unlike the past"
    return "ok"


def _vol_points(steps: PanelSteps, bucket: VegaBucket) -> FloatArray:
    """Changes of the vol at the money in points, shape (S,)."""
    if bucket.underlying not in steps.vols or bucket.tenor_days not in steps.tenor_days.tolist():
        raise ConfigError(
            f"expected a bucket of {list(steps.underlyings)} at {steps.tenor_days.tolist()} days, "
            f"found {bucket}; build the panel with it"
        )
    tenor = int(np.flatnonzero(steps.tenor_days == bucket.tenor_days)[0])
    node = int(np.flatnonzero(steps.nodes == 0.0)[0])
    return np.asarray(steps.vols[bucket.underlying][:, tenor, node] / VOL_POINT)


def _scaled(moves: Mapping[VegaBucket, FloatArray], bucket: VegaBucket, days: FloatArray) -> FloatArray:
    """Moves per root day, shape (S,)."""
    if bucket not in moves:
        raise ConfigError(f"expected moves of {bucket}, found those of {[str(b) for b in moves]}; add them")
    found = np.asarray(moves[bucket], dtype=np.float64)
    if found.shape != days.shape or not np.isfinite(found).all():
        raise DataError(
            f"{bucket}: expected a move over each of {days.size} steps, found none for some; leave those out"
        )
    if not (found != 0.0).any():
        raise DataError(f"{bucket}: expected something that moves, found what never does; is it a copy?")
    return np.asarray(found / np.sqrt(days))


def _check_buckets(targets: Sequence[VegaBucket], proxies: Sequence[VegaBucket]) -> None:
    every = [*targets, *proxies]
    if not targets or not proxies or len(set(every)) < len(every):
        raise ConfigError(
            f"expected targets and proxies, each bucket once, found {[str(b) for b in targets]} and "
            f"{[str(b) for b in proxies]}"
        )
