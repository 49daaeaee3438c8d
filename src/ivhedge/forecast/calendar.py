"""The week of a market that never closes: Saturday and Sunday are different days, and not alike.

A weekday's factor is its variance against the average day of the week. It is estimated from logarithms, so
that one crash on a Sunday does not make every Sunday wild.
"""

from functools import cache

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray, IntArray

__all__ = ["forward_season", "season_factors", "weekday_shares"]

NO_SEASON = np.ones(7)
"""Every day alike."""


def season_factors(variance: FloatArray, weekday: IntArray, *, window: int = 400) -> FloatArray:
    """Variance of each weekday against the average, Monday first; the factors average one.

    Parameters
    ----------
    variance : FloatArray, shape (days,)
        Positive daily variances.
    weekday : IntArray, shape (days,)
        Monday 0 to Sunday 6.
    window : int
        Only the last `window` days count.

    Returns
    -------
    FloatArray, shape (7,)
        Ratios of geometric means, normalised to arithmetic mean one.

    Raises
    ------
    ConfigError
        If a weekday does not occur.
    """
    log = np.log(variance[-window:])
    day = weekday[-window:]
    count = np.bincount(day, minlength=7)
    if np.any(count == 0):
        raise ConfigError(f"expected at least one full week of days, found {log.size} days")
    mean = np.bincount(day, weights=log, minlength=7) / count
    factors = np.exp(mean - mean.mean())
    return np.asarray(factors / factors.mean(), dtype=np.float64)


def weekday_shares(weekday: IntArray, horizon: int) -> FloatArray:
    """Share of each weekday in the `horizon` days that follow.

    Parameters
    ----------
    weekday : IntArray, shape (rows,)
        Weekday of the last known day.
    horizon : int
        Days ahead, at least 1.

    Returns
    -------
    FloatArray, shape (rows, 7)
        Monday first; each row adds up to one.
    """
    if horizon < 1:
        raise ConfigError(f"expected a horizon of at least 1 day, found {horizon}")
    return np.asarray(_share_table(horizon)[weekday], dtype=np.float64)


@cache
def _share_table(horizon: int) -> FloatArray:
    table = np.zeros((7, 7))
    for today in range(7):
        following = (today + 1 + np.arange(horizon)) % 7
        table[today] = np.bincount(following, minlength=7) / horizon
    table.setflags(write=False)
    return table


def forward_season(weekday: IntArray, horizon: int, factors: FloatArray) -> FloatArray:
    """Mean factor of the `horizon` days that follow each row."""
    return np.asarray(weekday_shares(weekday, horizon) @ factors, dtype=np.float64)
