"""Judging forecasts: losses, tests of equal accuracy, regressions on the outcome, coverage.

References
----------
Patton (2011) for QLIKE under a noisy proxy; Diebold and Mariano (1995) with the correction of Harvey,
Leybourne and Newbold (1997); Mincer and Zarnowitz (1969); Diebold, Gunther and Tay (1998) for the PIT.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray
from ivhedge.forecast.base import probability_of

__all__ = [
    "DieboldMariano",
    "MincerZarnowitz",
    "band_coverage",
    "diebold_mariano",
    "log_squared_error",
    "mincer_zarnowitz",
    "pit",
    "qlike",
]


def qlike(outcome: FloatArray, forecast: FloatArray) -> FloatArray:
    """y/f − ln(y/f) − 1: zero for a perfect forecast, harsh on forecasts that are too low.

    Raises
    ------
    DataError
        If an outcome or a forecast is not positive and finite.
    """
    _positive(outcome, "outcome")
    _positive(forecast, "forecast")
    ratio = outcome / forecast
    return np.asarray(ratio - np.log(ratio) - 1.0, dtype=np.float64)


def log_squared_error(outcome: FloatArray, forecast: FloatArray) -> FloatArray:
    """(ln y − ln f)²."""
    _positive(outcome, "outcome")
    _positive(forecast, "forecast")
    return np.asarray(np.log(outcome / forecast) ** 2, dtype=np.float64)


def _positive(values: FloatArray, name: str) -> None:
    bad = np.argwhere(~(np.isfinite(values) & (values > 0.0)))
    if bad.size:
        place = tuple(int(k) for k in bad[0])
        raise DataError(
            f"expected positive, finite {name}s, found {values[place]} at {place}; "
            "cut off the days whose target is not complete"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DieboldMariano:
    """Test of equal expected loss.

    Parameters
    ----------
    difference : float
        Mean loss of the first less that of the second; negative favours the first.
    statistic : float
    p_value : float
        Two-sided.
    """

    difference: float
    statistic: float
    p_value: float


def long_run_variance(x: FloatArray, lag: int) -> float:
    centred = x - x.mean()
    total = float(centred @ centred)
    for k in range(1, lag + 1):
        total += 2.0 * (1.0 - k / (lag + 1.0)) * float(centred[k:] @ centred[:-k])
    return total / x.size


def diebold_mariano(first: FloatArray, second: FloatArray, *, horizon: int = 1) -> DieboldMariano:
    """Diebold-Mariano test with Bartlett weights up to lag max(horizon − 1, n^⅓).

    Parameters
    ----------
    first, second : FloatArray, shape (days,)
        Losses of two forecasts of the same days.
    horizon : int
        Days by which targets overlap, plus one.

    Raises
    ------
    DataError
        With fewer than 20 days, or twice the lag, or losses that do not differ at all.
    """
    difference = np.asarray(first - second, dtype=np.float64)
    n = difference.size
    lag = max(horizon - 1, int(n ** (1.0 / 3.0)))
    if n < max(20, 2 * lag) or not np.all(np.isfinite(difference)):
        raise DataError(f"expected at least {max(20, 2 * lag)} days of finite losses, found {n} days")
    variance = long_run_variance(difference, lag)
    if variance <= 0.0:
        raise DataError("expected losses that differ, found the same forecast twice")
    small = np.sqrt(max(1.0 - 2.0 * horizon / n + horizon / n + horizon * (horizon - 1.0) / n**2, 1e-3))
    statistic = float(difference.mean() / np.sqrt(variance / n) * small)
    return DieboldMariano(
        difference=float(difference.mean()),
        statistic=statistic,
        p_value=float(2.0 * student.sf(abs(statistic), n - 1)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MincerZarnowitz:
    """Regression of the log outcome on the log forecast.

    Parameters
    ----------
    intercept, slope : float
        0 and 1 for a forecast that wastes nothing (up to half the error variance in the intercept).
    intercept_error, slope_error : float
        Standard errors, robust to overlap (Newey and West).
    r_squared : float
    """

    intercept: float
    slope: float
    intercept_error: float
    slope_error: float
    r_squared: float


def mincer_zarnowitz(outcome: FloatArray, forecast: FloatArray, *, horizon: int = 1) -> MincerZarnowitz:
    """Regress ln y on ln f with standard errors robust to overlapping targets."""
    _positive(outcome, "outcome")
    _positive(forecast, "forecast")
    y, x = np.log(outcome), np.column_stack([np.ones(forecast.size), np.log(forecast)])
    n = y.size
    lag = max(horizon - 1, int(n ** (1.0 / 3.0)))
    if n < max(20, 2 * lag):
        raise DataError(f"expected at least {max(20, 2 * lag)} days, found {n}")
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ (x.T @ y)
    residual = y - x @ beta
    score = x * residual[:, None]
    meat = score.T @ score
    for k in range(1, lag + 1):
        cross = score[k:].T @ score[:-k]
        meat = meat + (1.0 - k / (lag + 1.0)) * (cross + cross.T)
    error = np.sqrt(np.diag(inverse @ meat @ inverse))
    spread = float(((y - y.mean()) ** 2).sum())
    return MincerZarnowitz(
        intercept=float(beta[0]),
        slope=float(beta[1]),
        intercept_error=float(error[0]),
        slope_error=float(error[1]),
        r_squared=1.0 - float(residual @ residual) / spread,
    )


def pit(outcome: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Probability that each forecast gave to outcomes at or below what came; uniform if calibrated.

    Parameters
    ----------
    outcome : FloatArray, shape (days,)
    quantiles : FloatArray, shape (days, 17)
        At `PROBABILITIES`.
    """
    _positive(outcome, "outcome")
    return probability_of(outcome, quantiles)


def band_coverage(outcome: FloatArray, quantiles: FloatArray, *, level: float = 0.9) -> float:
    """Share of outcomes inside the central band."""
    probability = pit(outcome, quantiles)
    edge = (1.0 - level) / 2.0
    return float(np.mean((probability >= edge) & (probability <= 1.0 - edge)))
