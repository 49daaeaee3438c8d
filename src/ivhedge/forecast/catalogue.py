"""The forecasters that are compared, by name."""

from dataclasses import replace

from ivhedge.forecast import blocks
from ivhedge.forecast.base import Forecaster
from ivhedge.forecast.boosting import BoostingForecaster, boosting_available
from ivhedge.forecast.combine import Combination
from ivhedge.forecast.garch import GarchForecaster, GarchKind
from ivhedge.forecast.gated import GatedCombination
from ivhedge.forecast.linear import Calendar, HarForecaster, har
from ivhedge.forecast.realised_garch import RealisedGarchForecaster
from ivhedge.forecast.rough import RoughForecaster
from ivhedge.forecast.simple import EwmaForecaster, RandomWalkForecaster

__all__ = ["best_forecaster", "implied_forecaster", "standard_forecasters"]

_EXTRAS = (blocks.leverage, blocks.gk_against_rv, blocks.late_gk)
_RIDGE = 0.1
"""Chosen on 2022-01 to 2024-01, BTC and ETH together; 0.03 to 0.3 differ by less than 3 %."""

_WEEK_LOG = HarForecaster(
    name="week-HAR logs",
    columns=(blocks.exponential_log_gk, *_EXTRAS),
    calendar=Calendar.WEEKDAYS,
    ridge=_RIDGE,
    window=0,
)
_WEEK_LEVEL = replace(_WEEK_LOG, name="week-HAR levels", columns=(blocks.exponential_gk, *_EXTRAS))
_ROUGH = RoughForecaster()


def best_forecaster() -> Combination:
    """Return the recommended forecaster: two regressions that know the week, no implied volatility."""
    return Combination(name="week-HAR", members=(_WEEK_LOG, _WEEK_LEVEL))


def implied_forecaster() -> GatedCombination:
    """Return the recommended one with an implied volatility where a year's record says that it helps.

    Notes
    -----
    Without an implied variance, with less than two years of history, or where the record is no better by a
    standard error, it is the same as without.
    """
    augmented = replace(_WEEK_LOG, name="week-HAR implied", columns=(*_WEEK_LOG.columns, blocks.implied))
    return GatedCombination(name="week-HAR + implied", members=(_WEEK_LOG, _WEEK_LEVEL), on_trial=augmented)


def standard_forecasters(*, implied: bool = False) -> tuple[Forecaster, ...]:
    """Every forecaster of the comparison; boosting only where scikit-learn is installed.

    Parameters
    ----------
    implied : bool
        With those that read `DailyMeasures.implied_variance`.
    """
    log_gk = HarForecaster(name="log-HAR-GK", columns=(blocks.log_gk,))
    weekend = replace(log_gk, name="log-HAR-GK + weekend", calendar=Calendar.WEEKEND)
    har_gk = HarForecaster(name="HAR-GK", columns=(blocks.gk,), log=False)
    ewma_gk = EwmaForecaster(name="EWMA-GK", weight=0.15, use_range=True)
    garch = GarchForecaster()
    leverage = replace(
        weekend,
        name="log-HAR-GK + weekend + leverage",
        columns=(blocks.log_gk, blocks.leverage, blocks.gk_against_rv),
    )
    out: list[Forecaster] = [
        har(),
        HarForecaster(name="HARQ", columns=(blocks.rv, blocks.quarticity), log=False),
        HarForecaster(name="SHAR", columns=(blocks.semivariance,), log=False),
        har_gk,
        HarForecaster(name="log-HAR", columns=(blocks.log_rv,)),
        log_gk,
        weekend,
        leverage,
        RandomWalkForecaster(),
        EwmaForecaster(name="EWMA 0.94"),
        ewma_gk,
        garch,
        GarchForecaster(kind=GarchKind.GJR),
        GarchForecaster(kind=GarchKind.EGARCH),
        _ROUGH,
        RealisedGarchForecaster(),
        _WEEK_LOG,
        _WEEK_LEVEL,
        replace(_WEEK_LOG, name="week-HAR logs, no week", calendar=Calendar.NONE),
        best_forecaster(),
        Combination(name="log combination", members=(leverage, har_gk, garch, ewma_gk)),
    ]
    broad: list[Forecaster] = [_WEEK_LOG, _WEEK_LEVEL, _ROUGH]
    if boosting_available():
        boosting = BoostingForecaster()
        out.append(boosting)
        broad.append(boosting)
    out.append(Combination(name="broad combination", members=tuple(broad)))
    if implied:
        both = implied_forecaster()
        out += [both.on_trial, both]
    return tuple(out)
