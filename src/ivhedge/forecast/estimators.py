"""Realised variance of a day from the bars inside it.

Every function takes arrays whose last axis runs over the bars of a day, skips missing bars (nan), and
returns the variance of the whole day as a fraction squared (0.0004 is 2 % a day). A day with m of n bars is
scaled by n/m. Nothing here annualises.

References
----------
Parkinson (1980); Garman and Klass (1980), eq. 20, the practical form; Rogers and Satchell (1991);
Yang and Zhang (2000), eq. 8; Zhang, Mykland and Ait-Sahalia (2005) for the subsampled average.
"""

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray

__all__ = [
    "close_to_close",
    "garman_klass",
    "parkinson",
    "realised_variance",
    "rogers_satchell",
    "semivariances",
    "yang_zhang",
]

_LN2 = float(np.log(2.0))


def _day_sum(values: FloatArray) -> FloatArray:
    present = np.isfinite(values)
    count = present.sum(axis=-1)
    total = np.where(present, values, 0.0).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total * (values.shape[-1] / count), dtype=np.float64)


def close_to_close(day_returns: FloatArray) -> FloatArray:
    """Squared log return of the day: unbiased, and very noisy.

    Parameters
    ----------
    day_returns : FloatArray
        Log return from one day's close to the next.
    """
    return np.asarray(day_returns**2, dtype=np.float64)


def realised_variance(returns: FloatArray, *, step: int = 1) -> FloatArray:
    """Sum of squared returns over `step` bars, averaged over the `step` possible starting points.

    Parameters
    ----------
    returns : FloatArray, shape (..., bars)
        Log returns of the bars.
    step : int
        Bars per return; 1 is the plain realised variance. Larger steps shed microstructure noise.

    Raises
    ------
    ConfigError
        If `step` is not between 1 and the number of bars.
    """
    bars = returns.shape[-1]
    if not 1 <= step <= bars:
        raise ConfigError(f"expected a step of 1 to {bars} bars, found {step}")
    if step == 1:
        return _day_sum(returns**2)
    windows = np.lib.stride_tricks.sliding_window_view(returns, step, axis=-1).sum(axis=-1)
    # Each window stands for `step` of the day's bars: the mean window times bars/step covers the day.
    return np.asarray(_day_sum(windows**2) * (bars / (windows.shape[-1] * step)), dtype=np.float64)


def semivariances(returns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Up and down semivariance, which add up to the realised variance (Barndorff-Nielsen et al. 2010)."""
    up = np.where(np.isnan(returns), np.nan, np.maximum(returns, 0.0) ** 2)
    down = np.where(np.isnan(returns), np.nan, np.minimum(returns, 0.0) ** 2)
    return _day_sum(up), _day_sum(down)


def parkinson(high: FloatArray, low: FloatArray) -> FloatArray:
    """Sum of ln(H/L)² / (4 ln 2): five times as efficient as the close, low where bars trade rarely."""
    return _day_sum(np.log(high / low) ** 2 / (4.0 * _LN2))


def garman_klass(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Sum of ½ ln(H/L)² − (2 ln 2 − 1) ln(C/O)², seven times as efficient as the close without drift."""
    return _day_sum(0.5 * np.log(high / low) ** 2 - (2.0 * _LN2 - 1.0) * np.log(close / open_) ** 2)


def rogers_satchell(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Sum of ln(H/C) ln(H/O) + ln(L/C) ln(L/O): free of the drift."""
    up = np.log(high / close) * np.log(high / open_)
    return _day_sum(up + np.log(low / close) * np.log(low / open_))


def yang_zhang(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Variance of the gaps between bars, of the bars, and Rogers-Satchell, weighted for least variance.

    Notes
    -----
    The gap of a day's first bar is not known inside the day, so the gaps of the others stand for it. In a
    market that never closes the gaps are all but zero.
    """
    n = open_.shape[-1]
    if n < 3:
        raise ConfigError(f"expected at least 3 bars a day for Yang-Zhang, found {n}")
    weight = 0.34 / (1.34 + (n + 1.0) / (n - 1.0))
    gaps = np.log(open_[..., 1:] / close[..., :-1])
    inside = np.log(close / open_)
    gap_variance = np.nanvar(gaps, axis=-1, ddof=1)
    bar_variance = np.nanvar(inside, axis=-1, ddof=1)
    range_variance = rogers_satchell(open_, high, low, close) / n
    return np.asarray(n * (gap_variance + weight * bar_variance + (1.0 - weight) * range_variance))
