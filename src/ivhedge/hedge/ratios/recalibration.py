"""Online recalibration of a hedge ratio, state in and state out.

Each look adds to every bucket b the sums X = Σx² and Y = Σx·y over its options, x the exposure times the
shape of β and y what Black-Scholes hedging left. With weights w that halve with age, and fall with the size
of a step so that one jump does not decide alone,

    slope = Σ wY/Σ wX,    se² = n/(n − 1)·Σ w²(Y − slope·X)²/(Σ wX)²,    n = (Σw)²/Σw²,

pooled over buckets and underlyings, and per bucket. Options of one look share its move: the error is White's
over looks. The pooled slope is kept by 1 − (c/t)², none of it while |t| <= c (positive-part shrinkage to
Black-Scholes), and again by the same of the bucket's own t, nothing where the signs differ. Nothing here
reads beyond the look it is given.

References
----------
James, Stein (1961), Estimation with quadratic loss. White (1980), A heteroskedasticity-consistent covariance
matrix estimator.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, format_ns
from ivhedge.hedge.ratios.adaptive import AdaptiveRatio
from ivhedge.hedge.ratios.records import Recalibration, RecalibrationReason
from ivhedge.hedge.ratios.regression import bucket_sums
from ivhedge.hedge.ratios.settings import RecalibrationSettings
from ivhedge.hedge.ratios.steps import HedgeSteps

__all__ = ["RecalibrationSettings", "RecalibrationState", "new_state", "recalibrate"]

_MEMORY = 10.0
"""Half-lives after which a look is dropped; it weighs a thousandth by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalibrationState:
    """What an adaptive ratio remembers.

    Parameters
    ----------
    settings : RecalibrationSettings
    times : IntArray, shape (h,)
        Ends of the looks kept, nanoseconds, ascending.
    xx, xy : FloatArray, shape (h, buckets)
    size_weight : FloatArray, shape (h,)
        Weight by the size of the look.
    scale, scale_weight : float
        Running sum of sizes and of their weights.
    level, standard_error, shrinkage, effective_steps : float
        Latest pooled estimate, published or not; the error is infinite while there is none.
    target : FloatArray, shape (buckets,)
        Latest slopes after shrinkage.
    factors : FloatArray, shape (buckets,)
        Published ones.
    published_ns : int or None
    records : tuple of Recalibration
    """

    settings: RecalibrationSettings
    times: IntArray
    xx: FloatArray
    xy: FloatArray
    size_weight: FloatArray
    scale: float
    scale_weight: float
    level: float
    standard_error: float
    shrinkage: float
    effective_steps: float
    target: FloatArray
    factors: FloatArray
    published_ns: int | None
    records: tuple[Recalibration, ...]

    def ratio(self, ts_ns: int) -> AdaptiveRatio:
        """The ratio in force at a time; Black-Scholes after too long a silence.

        Raises
        ------
        DataError
            If the time lies before the last look: that would be look-ahead.
        """
        if self.times.size and ts_ns < int(self.times[-1]):
            raise DataError(
                f"expected a time from {format_ns(int(self.times[-1]))} on, found {format_ns(ts_ns)}; "
                "use the state of that time"
            )
        silence = self.settings.max_silence_days * NS_PER_DAY
        heard = bool(self.times.size) and ts_ns - int(self.times[-1]) <= silence
        return AdaptiveRatio(
            settings=self.settings, factors=self.factors if heard else np.zeros_like(self.factors)
        )


def new_state(settings: RecalibrationSettings | None = None) -> RecalibrationState:
    """A state that has seen nothing: Black-Scholes."""
    chosen = settings or RecalibrationSettings()
    count = chosen.buckets.count
    return RecalibrationState(
        settings=chosen,
        times=np.empty(0, dtype=np.int64),
        xx=np.empty((0, count)),
        xy=np.empty((0, count)),
        size_weight=np.empty(0),
        scale=0.0,
        scale_weight=0.0,
        level=0.0,
        standard_error=np.inf,
        shrinkage=0.0,
        effective_steps=0.0,
        target=np.zeros(count),
        factors=np.zeros(count),
        published_ns=None,
        records=(),
    )


def recalibrate(state: RecalibrationState, ts_ns: int, steps: Sequence[HedgeSteps]) -> RecalibrationState:
    """Take in one look and decide whether the published ratio changes.

    Parameters
    ----------
    state : RecalibrationState
        Left as it is.
    ts_ns : int
        End of the steps; after that of the last look.
    steps : sequence of HedgeSteps
        One per underlying; all teach the same slopes.

    Raises
    ------
    ConfigError
        If there is no step.
    DataError
        If time does not advance.
    """
    chosen = state.settings
    if not steps:
        raise ConfigError("expected the steps of at least one underlying, found none; skip the look instead")
    if state.times.size and ts_ns <= int(state.times[-1]):
        raise DataError(
            f"expected a look after {format_ns(int(state.times[-1]))}, found {format_ns(ts_ns)}; sort them"
        )
    xx, xy = np.zeros(chosen.buckets.count), np.zeros(chosen.buckets.count)
    for step in steps:
        squares, products = bucket_sums(step, chosen.buckets, chosen.shape(step.days, step.call_delta))
        xx, xy = xx + squares, xy + products
    size = float(xx.sum()) / len(steps)
    passed = (ts_ns - int(state.times[-1])) / NS_PER_DAY if state.times.size else 0.0
    fade = 2.0 ** (-passed / chosen.scale_half_life_days)
    usual = state.scale / state.scale_weight if state.scale_weight > 0.0 else size
    # Averages over underlyings, so that a look without one of them counts the same.
    keep = state.times > ts_ns - _MEMORY * chosen.half_life_days * NS_PER_DAY
    grown = replace(
        state,
        times=np.append(state.times[keep], ts_ns),
        xx=np.vstack((state.xx[keep], xx / len(steps))),
        xy=np.vstack((state.xy[keep], xy / len(steps))),
        size_weight=np.append(state.size_weight[keep], np.sqrt(usual / size) if size > usual else 1.0),
        scale=state.scale * fade + size,
        scale_weight=state.scale_weight * fade + 1.0,
    )
    return _published(_estimated(grown))


def _estimated(state: RecalibrationState) -> RecalibrationState:
    chosen = state.settings
    age = (state.times[-1] - state.times) / NS_PER_DAY
    fresh = 2.0 ** (-age / chosen.half_life_days)
    count = float(fresh.sum() ** 2 / (fresh @ fresh))
    nothing = np.zeros(chosen.buckets.count)
    if count < chosen.least_effective_steps or not (state.xx.sum() > 0.0):
        return replace(
            state, level=0.0, standard_error=np.inf, shrinkage=0.0, effective_steps=count, target=nothing
        )
    weight = fresh * state.size_weight
    x, y = (np.column_stack((sums.sum(axis=1), sums)) for sums in (state.xx, state.xy))
    total = weight @ x
    seen = total > 0.0
    total = np.where(seen, total, 1.0)
    slope = np.where(seen, (weight @ y) / total, 0.0)
    spread = (weight**2) @ (y - slope * x) ** 2 * count / (count - 1.0)
    error = np.where(seen, np.sqrt(spread) / total, np.inf)
    doubt = np.append(chosen.pooled_t, np.full(nothing.size, chosen.bucket_t))
    moved = seen & (slope != 0.0)
    kept = np.where(moved, 1.0 - (doubt * error / np.where(moved, slope, 1.0)) ** 2, 0.0).clip(0.0)
    agree = slope[1:] * slope[0] > 0.0
    return replace(
        state,
        level=float(slope[0]),
        standard_error=float(error[0]),
        shrinkage=float(kept[0]),
        effective_steps=count,
        target=np.where(agree, slope[0] * kept[0] * kept[1:], 0.0),
    )


def _published(state: RecalibrationState) -> RecalibrationState:
    reason = _reason(state)
    if reason is None:
        return state
    now = int(state.times[-1])
    record = Recalibration(
        ts_ns=now,
        reason=reason,
        level=state.level,
        standard_error=state.standard_error,
        shrinkage=state.shrinkage,
        effective_steps=state.effective_steps,
        open_buckets=int(np.count_nonzero(state.target)),
        factors=tuple(state.target.tolist()),
    )
    return replace(state, factors=state.target, published_ns=now, records=(*state.records, record))


def _reason(state: RecalibrationState) -> RecalibrationReason | None:
    chosen, old, new = state.settings, state.factors, state.target
    if ((old != 0.0) & (new == 0.0)).any():
        return RecalibrationReason.CLOSED
    if ((old == 0.0) & (new != 0.0)).any():
        return RecalibrationReason.OPENED
    gap = np.abs(new - old).max()
    if gap == 0.0:
        return None
    if gap > chosen.tolerance * state.standard_error:
        return RecalibrationReason.MOVED
    published = state.published_ns if state.published_ns is not None else int(state.times[0])
    if state.times[-1] - published >= chosen.max_age_days * NS_PER_DAY:
        return RecalibrationReason.AGED
    return None
