"""Columns that regressions are built of.

Each function takes the measures and the weekday factors (ones for "every day alike") and returns columns of
shape (days, k) in which a row depends on itself and the past alone.
"""

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.forecast.measures import DailyMeasures
from ivhedge.forecast.rolling import exponential_mean, trailing_mean

__all__ = [
    "Columns",
    "exponential_gk",
    "exponential_log_gk",
    "gk",
    "gk_against_rv",
    "implied",
    "late_gk",
    "leverage",
    "log_gk",
    "log_rv",
    "quarticity",
    "rv",
    "semivariance",
]

Columns = FloatArray
_SPANS = (1, 7, 30)
_WEIGHTS = (1.0, 0.4, 0.12, 0.03)


def _means(values: FloatArray) -> Columns:
    return np.column_stack([trailing_mean(values, days) for days in _SPANS])


def _flat(measures: DailyMeasures, season: FloatArray) -> FloatArray:
    return np.asarray(measures.garman_klass / season[measures.weekday], dtype=np.float64)


def rv(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Realised variance over 1, 7 and 30 days (Corsi 2009, with weeks and months of a 24/7 market)."""
    return _means(measures.rv / season[measures.weekday])


def log_rv(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Logarithms of `rv`."""
    return np.asarray(np.log(rv(measures, season)))


def gk(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Garman-Klass variance over 1, 7 and 30 days."""
    return _means(_flat(measures, season))


def log_gk(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Logarithms of `gk`."""
    return np.asarray(np.log(gk(measures, season)))


def quarticity(measures: DailyMeasures, season: FloatArray) -> Columns:
    """RV times the root of the quarticity, against its mean of 30 days (HARQ, Bollerslev et al. 2016).

    The centring is over the last 30 days, so that a row needs no sample mean.
    """
    root = np.sqrt(measures.quarticity)
    return np.asarray((measures.rv * (root - trailing_mean(root, 30)))[:, None])


def semivariance(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Up and down semivariance of the day, RV of 7 and 30 days (SHAR, Patton and Sheppard 2015)."""
    return np.column_stack(
        [measures.up, measures.down, trailing_mean(measures.rv, 7), trailing_mean(measures.rv, 30)]
    )


def leverage(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Losses of the day and of the week, times ten; zero for gains."""
    week = trailing_mean(measures.log_return, 7) * 7.0
    return np.column_stack([np.minimum(measures.log_return, 0.0), np.minimum(week, 0.0)]) * 10.0


def gk_against_rv(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Log of GK/RV: range without displacement."""
    return np.asarray(np.log(measures.garman_klass / measures.rv)[:, None])


def late_gk(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Log of the last quarter's variance against the day's: what is fresh counts more."""
    late = np.maximum(measures.garman_klass_late, 0.05 * measures.garman_klass)
    return np.asarray(np.log(late / measures.garman_klass)[:, None])


def exponential_log_gk(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Exponential means of ln GK, of about 1, 4, 16 and 66 days."""
    log = np.log(_flat(measures, season))
    return np.column_stack([exponential_mean(log, w) if w < 1.0 else log for w in _WEIGHTS])


def exponential_gk(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Logarithms of exponential means of GK, of the same lengths."""
    flat = _flat(measures, season)
    return np.column_stack([np.log(exponential_mean(flat, w) if w < 1.0 else flat) for w in _WEIGHTS])


def implied(measures: DailyMeasures, season: FloatArray) -> Columns:
    """Logarithm of the implied variance; nan where it is not known."""
    return np.asarray(np.log(measures.implied_variance)[:, None])
