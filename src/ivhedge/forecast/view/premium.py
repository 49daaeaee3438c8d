"""The variance risk premium: what the surface charges for variance against what is expected to come."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from ivhedge.core.errors import ConfigError, DataError, StaleQuote
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY, format_ns
from ivhedge.forecast.online import OnlineForecaster, forecast_term_structure
from ivhedge.surface.base import VolSurface
from ivhedge.surface.variance_swap import variance_swap_rate

__all__ = ["VarianceOutlook", "VariancePremium", "variance_outlook", "variance_premium"]

_LEVEL = 0.9
_OLDEST_DAYS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceOutlook:
    """Annual variance expected between a time and some tenors after it, arrays of shape (n,).

    Parameters
    ----------
    ts_ns : int
        From when on.
    tau : FloatArray
        Years.
    variance : FloatArray
        Expected; decimal squared per year of 365 days.
    log_median, log_sd : FloatArray
        Of the logarithm of the variance that will have been realised.
    replaced : bool
        True if the insanity filter had to put its own figure in.
    """

    ts_ns: int
    tau: FloatArray
    variance: FloatArray
    log_median: FloatArray
    log_sd: FloatArray
    replaced: bool

    @property
    def vol(self) -> FloatArray:
        """Root of the expected variance."""
        return np.asarray(np.sqrt(self.variance))

    def probability_below(self, variance: ArrayLike) -> FloatArray:
        """Probability that less than this annual variance is realised, log-normal."""
        z = (np.log(np.asarray(variance, dtype=np.float64)) - self.log_median) / self.log_sd
        return np.asarray(ndtr(z), dtype=np.float64)

    def quantile(self, probability: float) -> FloatArray:
        """Annual variance at a probability."""
        if not 0.0 < probability < 1.0:
            raise ConfigError(f"expected a probability strictly between 0 and 1, found {probability}")
        return np.asarray(np.exp(self.log_median + ndtri(probability) * self.log_sd))

    @property
    def variance_sd(self) -> FloatArray:
        """Standard deviation of the realised variance around its median law."""
        square = self.log_sd**2
        return np.asarray(np.exp(self.log_median + 0.5 * square) * np.sqrt(np.expm1(square)))


def variance_outlook(state: OnlineForecaster, ts_ns: int, tau: ArrayLike) -> VarianceOutlook:
    """Expected variance from any moment on, from a forecaster that speaks at the ends of days.

    Parameters
    ----------
    state : OnlineForecaster
    ts_ns : int
        Not before the end of its last day, and at most two days after it.
    tau : array_like, shape (n,)
        Years from `ts_ns`, positive.

    Returns
    -------
    VarianceOutlook

    Raises
    ------
    StaleQuote
        If the forecaster has not been fed for two days.
    DataError
        If it knows days that end after `ts_ns`.
    ConfigError
        If a tenor lies beyond its longest horizon.

    Notes
    -----
    The expected variance of the part of the day that has passed is taken off; what happened in it is not
    known to the forecaster.
    """
    years = np.atleast_1d(np.asarray(tau, dtype=np.float64))
    as_of_ns = int(state.history.day_ns[-1]) + NS_PER_DAY
    passed = (ts_ns - as_of_ns) / NS_PER_DAY
    if passed < 0.0:
        raise DataError(
            f"expected a forecast made before {format_ns(ts_ns)}, found one of {format_ns(as_of_ns)}; "
            "feed it only what was known"
        )
    if passed > _OLDEST_DAYS:
        raise StaleQuote(
            f"expected a forecast at most {_OLDEST_DAYS:g} days old, found {passed:.1f} days; update it"
        )
    days = years * DAYS_PER_YEAR
    starts = np.array([passed]) if passed > 0.0 else np.empty(0)
    stated = forecast_term_structure(state, np.concatenate([starts, passed + days]), level=_LEVEL)
    first = float(stated.vol[0] ** 2 * passed) if passed > 0.0 else 0.0
    keep = slice(starts.size, None)
    variance = (stated.vol[keep] ** 2 * (passed + days) - first) / days
    width = 2.0 * np.log(stated.high[keep] / stated.low[keep]) / (2.0 * float(ndtri(0.5 + _LEVEL / 2.0)))
    # The band is stated around the mean of the whole span; it is carried over to what is left of it.
    middle = np.log(stated.high[keep] * stated.low[keep] / stated.vol[keep] ** 2)
    return VarianceOutlook(
        ts_ns=ts_ns,
        tau=years,
        variance=variance,
        log_median=np.log(variance) + middle,
        log_sd=width,
        replaced=stated.replaced,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VariancePremium:
    """Fair variance of the surface against the variance expected, arrays of shape (n,).

    Parameters
    ----------
    outlook : VarianceOutlook
    swap_variance : FloatArray
        Fair rate of a variance swap on the surface: what variance costs over all strikes.
    atm_vol : FloatArray
        What it costs at the money.
    """

    outlook: VarianceOutlook
    swap_variance: FloatArray
    atm_vol: FloatArray

    @property
    def tau(self) -> FloatArray:
        """Years."""
        return self.outlook.tau

    @property
    def variance(self) -> FloatArray:
        """Premium in annual variance: positive where the surface charges more than is expected."""
        return self.swap_variance - self.outlook.variance

    @property
    def vol(self) -> FloatArray:
        """Premium of the swap's vol over the expected vol."""
        return np.asarray(np.sqrt(self.swap_variance) - self.outlook.vol)

    @property
    def atm(self) -> FloatArray:
        """Premium of the vol at the money over the expected vol."""
        return self.atm_vol - self.outlook.vol

    @property
    def score(self) -> FloatArray:
        """Swap variance in standard deviations of the log variance to come, from its median."""
        return (np.log(self.swap_variance) - self.outlook.log_median) / self.outlook.log_sd

    @property
    def probability_cheaper(self) -> FloatArray:
        """Probability that less is realised than the swap charges."""
        return self.outlook.probability_below(self.swap_variance)


def variance_premium(surface: VolSurface, state: OnlineForecaster, tau: ArrayLike) -> VariancePremium:
    """Hold a surface against a forecast over exactly the same spans of time.

    Parameters
    ----------
    surface : VolSurface
    state : OnlineForecaster
        Of the same underlying; the surface's time is that of the comparison.
    tau : array_like, shape (n,)
        Years from the surface's time.

    Raises
    ------
    As `variance_outlook` and `ivhedge.surface.variance_swap_rate`.
    """
    outlook = variance_outlook(state, surface.ts_ns, tau)
    rate = variance_swap_rate(surface, outlook.tau)
    return VariancePremium(
        outlook=outlook,
        swap_variance=rate.variance,
        atm_vol=np.asarray(surface.implied_vol(0.0, outlook.tau), dtype=np.float64),
    )
