"""Backtests of value at risk: losses exceed it as often as promised, and without clustering.

Exceedances are rare: 150 days at 99 % hold 1.5. The chi-squared limits of the tests are then far off, so each
p-value is exact or simulated; the limit is given beside it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy
from scipy.stats import binom, chi2

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray

__all__ = [
    "CoverageTest",
    "christoffersen_conditional_coverage",
    "christoffersen_independence",
    "exceedances",
    "kupiec",
]

_TIE = 1e-9
"""Statistics closer than this are the same outcome: rounding must not split ties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageTest:
    """A likelihood-ratio test of exceedances.

    Parameters
    ----------
    statistic : float
        Likelihood ratio, at least 0.
    p_value : float
        Exact or simulated, as the test says.
    p_asymptotic : float
        From the chi-squared limit.
    days, exceedances : int
    expected : float
        Exceedances promised.
    """

    statistic: float
    p_value: float
    p_asymptotic: float
    days: int
    exceedances: int
    expected: float


def exceedances(pnl: ArrayLike, var: ArrayLike) -> BoolArray:
    """Days whose loss is above the value at risk forecast for them.

    Parameters
    ----------
    pnl, var : array_like, shape (n,)
        Profit and the forecast for the same day, in the same currency; a value at risk is a loss, positive.

    Raises
    ------
    DataError
        If shapes differ, there is no day or a number is not finite: a day without a forecast is no pass.
    """
    profit, bound = np.asarray(pnl, dtype=np.float64), np.asarray(var, dtype=np.float64)
    if profit.ndim != 1 or profit.shape != bound.shape or profit.size == 0:
        raise DataError(
            f"expected profits and values at risk of one shape (n,), found {profit.shape}, {bound.shape}"
        )
    if not (np.isfinite(profit).all() and np.isfinite(bound).all()):
        raise DataError("expected finite profits and values at risk; leave days without a mark out of both")
    return np.asarray(profit < -bound)


def kupiec(hits: ArrayLike, level: float) -> CoverageTest:
    """Test that exceedances come at the promised rate (proportion of failures).

    Parameters
    ----------
    hits : array_like of bool, shape (n,)
        See `exceedances`.
    level : float
        Confidence of the value at risk, 0.99 say.

    Returns
    -------
    CoverageTest
        `p_value` is exact: the binomial probability of all counts at least as unlikely by the ratio.

    Raises
    ------
    ConfigError, DataError
        If the level is not between 0 and 1, or `hits` is no list of booleans.

    References
    ----------
    Kupiec (1995), "Techniques for verifying the accuracy of risk measurement models", J. of Derivatives 3.
    """
    found, rate = _checked(hits, level)
    n, x = found.size, int(found.sum())
    counts = np.arange(n + 1)
    ratios = _coverage_ratio(counts, n, rate)
    extreme = ratios >= ratios[x] - _TIE
    return CoverageTest(
        statistic=float(ratios[x]),
        p_value=min(1.0, float(binom.pmf(counts[extreme], n, rate).sum())),
        p_asymptotic=float(chi2.sf(ratios[x], 1)),
        days=n,
        exceedances=x,
        expected=n * rate,
    )


def christoffersen_independence(
    hits: ArrayLike, level: float, rng: np.random.Generator, *, draws: int = 9_999
) -> CoverageTest:
    """Test that an exceedance today says nothing about one tomorrow (first-order Markov alternative).

    Parameters
    ----------
    hits : array_like of bool, shape (n,)
        In order of time.
    level : float
        Enters `expected` only.
    rng : numpy.random.Generator
    draws : int
        Random orders of the days; given their number, all orders of the exceedances are equally likely
        under independence, hence the p-value holds at any sample size and any rate.

    Raises
    ------
    ConfigError, DataError
        As for `kupiec`; if there are fewer than two days or no draws.

    References
    ----------
    Christoffersen (1998), "Evaluating interval forecasts", International Economic Review 39.
    """
    found, rate = _checked(hits, level)
    _check_chain(found, draws)
    n, x = found.size, int(found.sum())
    statistic = float(_independence_ratio(found[None, :])[0])
    order = np.argsort(rng.random((draws, n)), axis=1)
    simulated = _independence_ratio(order < x)
    return CoverageTest(
        statistic=statistic,
        p_value=_simulated_p(simulated, statistic),
        p_asymptotic=float(chi2.sf(statistic, 1)),
        days=n,
        exceedances=x,
        expected=n * rate,
    )


def christoffersen_conditional_coverage(
    hits: ArrayLike, level: float, rng: np.random.Generator, *, draws: int = 9_999
) -> CoverageTest:
    """Test the rate and the independence of exceedances together.

    Parameters
    ----------
    hits : array_like of bool, shape (n,)
        In order of time.
    level : float
    rng : numpy.random.Generator
    draws : int
        Sequences of independent exceedances at the promised rate.

    Raises
    ------
    ConfigError, DataError
        As for `christoffersen_independence`.

    Notes
    -----
    Rate on all n days plus independence on the n - 1 pairs; the limit is chi-squared with two degrees.

    References
    ----------
    Christoffersen (1998), sections 3 and 4. Simulated p-values: Dufour (2006), "Monte Carlo tests with
    nuisance parameters", J. of Econometrics 133; ties count against the model here.
    """
    found, rate = _checked(hits, level)
    _check_chain(found, draws)
    n, x = found.size, int(found.sum())
    statistic = float(_coverage_ratio(np.array(x), n, rate) + _independence_ratio(found[None, :])[0])
    random = rng.random((draws, n)) < rate
    simulated = _coverage_ratio(random.sum(axis=1), n, rate) + _independence_ratio(random)
    return CoverageTest(
        statistic=statistic,
        p_value=_simulated_p(simulated, statistic),
        p_asymptotic=float(chi2.sf(statistic, 2)),
        days=n,
        exceedances=x,
        expected=n * rate,
    )


def _checked(hits: ArrayLike, level: float) -> tuple[BoolArray, float]:
    if not 0.0 < level < 1.0:
        raise ConfigError(f"expected a level between 0 and 1, found {level}")
    found = np.asarray(hits)
    if found.dtype != np.bool_ or found.ndim != 1 or found.size == 0:
        raise DataError(
            f"expected exceedances as booleans of shape (n,), found {found.dtype} of shape {found.shape}"
        )
    return found, 1.0 - level


def _check_chain(found: BoolArray, draws: int) -> None:
    if found.size < 2:
        raise DataError("expected at least two days to test independence, found one")
    if draws < 1:
        raise ConfigError(f"expected at least one draw, found {draws}")


def _coverage_ratio(
    count: "np.ndarray[tuple[int, ...], np.dtype[np.int_]]", n: int, rate: float
) -> FloatArray:
    share = count / n
    at_found = xlogy(count, share) + xlogy(n - count, 1.0 - share)
    at_rate = xlogy(count, rate) + xlogy(n - count, 1.0 - rate)
    return np.asarray(np.maximum(2.0 * (at_found - at_rate), 0.0))


def _independence_ratio(hits: BoolArray) -> FloatArray:
    # Rows are sequences. Transitions from i to j: n_ij.
    before, after = hits[:, :-1], hits[:, 1:]
    n11 = (before & after).sum(axis=1)
    n10, n01 = before.sum(axis=1) - n11, after.sum(axis=1) - n11
    n00 = before.shape[1] - n11 - n10 - n01
    free = _bernoulli(n01, n00) + _bernoulli(n11, n10)
    return np.maximum(2.0 * (free - _bernoulli(n01 + n11, n00 + n10)), 0.0)


def _bernoulli(
    ones: "np.ndarray[tuple[int, ...], np.dtype[np.int_]]",
    zeros: "np.ndarray[tuple[int, ...], np.dtype[np.int_]]",
) -> FloatArray:
    total = np.maximum(ones + zeros, 1)
    return np.asarray(xlogy(ones, ones / total) + xlogy(zeros, zeros / total))


def _simulated_p(simulated: FloatArray, statistic: float) -> float:
    return float((1 + (simulated >= statistic - _TIE).sum()) / (1 + simulated.size))
