"""Jumps and regimes seen within one bar.

A bar's return is held against the local scale of the bars before it (bipower, which a jump hardly moves) and
the usual scale of its hour of the week. Under a diffusion the largest of a day's statistics is Gumbel.

References
----------
Lee and Mykland (2008), Jumps in financial markets; Boudt, Croux and Laurent (2011) for the periodicity.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.forecast.bars import Bars

__all__ = ["Regime", "SpikeRules", "SpikeState", "spike_start", "spike_update"]

_WEEK_HOURS = 168
_BIPOWER = np.pi / 2.0


class Regime(StrEnum):
    """How wild the last bars were."""

    CALM = "calm"
    ELEVATED = "elevated"
    SPIKE = "spike"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeRules:
    """When a bar is a jump, and how long it matters.

    Parameters
    ----------
    window_bars : int
        Bars that make the local scale.
    false_alarms_per_day : float
        Probability that a day without a jump shows one.
    short_bars : int
        Bars whose variance is held against the window's.
    elevated_ratio : float
        Ratio of the two from which the regime is elevated.
    hold_bars : int
        Bars for which a jump is a spike; as many again are elevated.
    """

    window_bars: int = 168
    false_alarms_per_day: float = 0.01
    short_bars: int = 6
    elevated_ratio: float = 3.0
    hold_bars: int = 12

    def __post_init__(self) -> None:
        if self.window_bars < 24 or not 1 <= self.short_bars < self.window_bars or self.hold_bars < 1:
            raise ConfigError(
                "expected window_bars >= 24, short_bars from 1 to below it and hold_bars >= 1, found "
                f"{self.window_bars}, {self.short_bars}, {self.hold_bars}"
            )
        if not (0.0 < self.false_alarms_per_day < 1.0 and self.elevated_ratio > 1.0):
            raise ConfigError("expected false_alarms_per_day in (0, 1) and elevated_ratio above 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeState:
    """What is remembered between bars; make it with `spike_start`.

    Parameters
    ----------
    rules : SpikeRules
    season : FloatArray, shape (168,)
        Usual scale of each hour of the week (from Monday 00:00 UTC), mean square 1.
    threshold : float
        Statistic from which a bar is a jump.
    returns : FloatArray, shape (window_bars,)
        Log returns over their usual scale, oldest first.
    close : float
    ts_ns : int
        End of the last bar.
    step_ns : int
        Length of a bar.
    statistic : float
        Of the last bar, signed like its return.
    ratio : float
        Variance of the last bars over the window's.
    bars_since_jump : int or None
    """

    rules: SpikeRules
    season: FloatArray
    threshold: float
    returns: FloatArray
    close: float
    ts_ns: int
    step_ns: int
    statistic: float = 0.0
    ratio: float = 1.0
    bars_since_jump: int | None = None

    @property
    def regime(self) -> Regime:
        """Of the last bar."""
        since = self.bars_since_jump
        if since is not None and since < self.rules.hold_bars:
            return Regime.SPIKE
        if (
            since is not None and since < 2 * self.rules.hold_bars
        ) or self.ratio >= self.rules.elevated_ratio:
            return Regime.ELEVATED
        return Regime.CALM

    @property
    def may_sell(self) -> bool:
        """Whether a view may be short vega now."""
        return self.regime is not Regime.SPIKE


def spike_start(bars: Bars, rules: SpikeRules | None = None) -> SpikeState:
    """Learn the usual scale of each hour and begin after the last of these bars.

    Parameters
    ----------
    bars : Bars
        At least four weeks.
    rules : SpikeRules, optional

    Raises
    ------
    DataError
        If there are too few bars.
    """
    rules = rules or SpikeRules()
    step_ns = bars.interval_ns
    per_day = NS_PER_DAY / step_ns
    needed = int(max(28 * per_day, rules.window_bars + 1))
    start_ns = (bars.day_ns[:, None] + step_ns * np.arange(bars.close.shape[1])).ravel()
    close = bars.close.ravel()
    # A missing bar has not moved; what it missed is in the next one.
    known = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(close.size), 0))
    close = close[known]
    if close.size < needed or not np.isfinite(close[0]):
        raise DataError(
            f"expected at least {needed} bars to learn the usual hours from, found {close.size}; give a "
            "longer history"
        )
    returns = np.diff(np.log(close))
    hours = _hour_of_week(start_ns[1:])
    season = _season(returns, hours)
    scaled = returns / season[hours]
    return SpikeState(
        rules=rules,
        season=season,
        threshold=_threshold(per_day, rules.false_alarms_per_day),
        returns=scaled[-rules.window_bars :].copy(),
        close=float(close[-1]),
        ts_ns=int(start_ns[-1]) + step_ns,
        step_ns=step_ns,
        ratio=_ratio(scaled[-rules.window_bars :], rules),
    )


def spike_update(state: SpikeState, close: float, ts_ns: int) -> SpikeState:
    """State after one more bar.

    Parameters
    ----------
    state : SpikeState
    close : float
    ts_ns : int
        End of the bar.

    Raises
    ------
    DataError
        If the price is not positive and finite, or the bar is not the next one.
    """
    if not (np.isfinite(close) and close > 0.0):
        raise DataError(f"expected a positive close, found {close}")
    if ts_ns != state.ts_ns + state.step_ns:
        raise DataError(
            f"expected the bar that ends at {state.ts_ns + state.step_ns} ns, found one at {ts_ns}; start "
            "again after a gap"
        )
    hour = int(_hour_of_week(np.array([ts_ns - state.step_ns]))[0])
    move = float(np.log(close / state.close)) / float(state.season[hour])
    scale = _local_scale(state.returns)
    # Without any movement before, a movement is a jump.
    statistic = move / scale if scale > 0.0 else (0.0 if move == 0.0 else float(np.copysign(np.inf, move)))
    returns = np.concatenate([state.returns[1:], [move]])
    since = None if state.bars_since_jump is None else state.bars_since_jump + 1
    return replace(
        state,
        returns=returns,
        close=close,
        ts_ns=ts_ns,
        statistic=statistic,
        ratio=_ratio(returns, state.rules),
        bars_since_jump=0 if abs(statistic) > state.threshold else since,
    )


def _hour_of_week(start_ns: IntArray) -> IntArray:
    # 1970-01-01 was a Thursday: three days after a Monday.
    return np.asarray((np.asarray(start_ns) // NS_PER_HOUR + 72) % _WEEK_HOURS, dtype=np.int64)


def _season(returns: FloatArray, hours: IntArray) -> FloatArray:
    """Root of the mean of |r| by hour of the week, shrunk to that of the hour of the day."""
    size = np.abs(returns)
    whole = float(size.mean())
    if not whole > 0.0:
        raise DataError("expected prices that move, found none")
    out = np.ones(_WEEK_HOURS)
    for hour in range(_WEEK_HOURS):
        day = size[hours % 24 == hour % 24]
        mine = size[hours == hour]
        if day.size:
            out[hour] = (mine.sum() + 8.0 * day.mean()) / (mine.size + 8.0) / whole
    out = np.maximum(out, 0.1)
    return np.asarray(out / np.sqrt((out**2).mean()))


def _local_scale(returns: FloatArray) -> float:
    size = np.abs(returns)
    return float(np.sqrt(_BIPOWER * (size[1:] * size[:-1]).mean()))


def _ratio(returns: FloatArray, rules: SpikeRules) -> float:
    scale = _local_scale(returns)
    recent = float((returns[-rules.short_bars :] ** 2).mean())
    return recent / scale**2 if scale > 0.0 else 1.0


def _threshold(per_day: float, probability: float) -> float:
    """Gumbel quantile of the largest of a day's |N(0, 1)|."""
    n = max(per_day, 2.0)
    root = np.sqrt(2.0 * np.log(n))
    centre = root - (np.log(np.pi) + np.log(np.log(n))) / (2.0 * root)
    return float(centre - np.log(-np.log1p(-probability)) / root)
