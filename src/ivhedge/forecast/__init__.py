"""Realised variance, volatility forecasts and their evaluation."""

from ivhedge.forecast.bars import BarRepairs, Bars, bars_from_frame
from ivhedge.forecast.base import (
    PROBABILITIES,
    FittedForecaster,
    Forecaster,
    VarianceForecast,
    efficient_target,
    level_scale,
)
from ivhedge.forecast.boosting import BoostingForecaster, boosting_available
from ivhedge.forecast.calendar import forward_season, season_factors, weekday_shares
from ivhedge.forecast.catalogue import best_forecaster, implied_forecaster, standard_forecasters
from ivhedge.forecast.combine import Combination
from ivhedge.forecast.comparison import ForecastComparison, ForecastScore, compare_forecasts, days_to_judge
from ivhedge.forecast.confidence_set import ConfidenceSet, block_indices, model_confidence_set
from ivhedge.forecast.estimators import (
    close_to_close,
    garman_klass,
    parkinson,
    realised_variance,
    rogers_satchell,
    semivariances,
    yang_zhang,
)
from ivhedge.forecast.evaluation import (
    DieboldMariano,
    MincerZarnowitz,
    band_coverage,
    diebold_mariano,
    log_squared_error,
    mincer_zarnowitz,
    pit,
    qlike,
)
from ivhedge.forecast.garch import GarchForecaster, GarchKind
from ivhedge.forecast.gated import GatedCombination
from ivhedge.forecast.highfrequency import (
    JumpTest,
    bipower_variation,
    jump_test,
    realised_kernel,
    realised_quarticity,
)
from ivhedge.forecast.linear import Calendar, HarForecaster, har
from ivhedge.forecast.measures import DailyMeasures, daily_measures, weekday_of
from ivhedge.forecast.online import OnlineForecaster, TermStructure, forecast_term_structure
from ivhedge.forecast.realised_garch import RealisedGarchForecaster
from ivhedge.forecast.rough import RoughForecaster, hurst_exponent, rough_kernel
from ivhedge.forecast.simple import EwmaForecaster, RandomWalkForecaster
from ivhedge.forecast.walkforward import ForecastRun, walk_forward

__all__ = [
    "PROBABILITIES",
    "BarRepairs",
    "Bars",
    "BoostingForecaster",
    "Calendar",
    "Combination",
    "ConfidenceSet",
    "DailyMeasures",
    "DieboldMariano",
    "EwmaForecaster",
    "FittedForecaster",
    "ForecastComparison",
    "ForecastRun",
    "ForecastScore",
    "Forecaster",
    "GarchForecaster",
    "GarchKind",
    "GatedCombination",
    "HarForecaster",
    "JumpTest",
    "MincerZarnowitz",
    "OnlineForecaster",
    "RandomWalkForecaster",
    "RealisedGarchForecaster",
    "RoughForecaster",
    "TermStructure",
    "VarianceForecast",
    "band_coverage",
    "bars_from_frame",
    "best_forecaster",
    "bipower_variation",
    "block_indices",
    "boosting_available",
    "close_to_close",
    "compare_forecasts",
    "daily_measures",
    "days_to_judge",
    "diebold_mariano",
    "efficient_target",
    "forecast_term_structure",
    "forward_season",
    "garman_klass",
    "har",
    "hurst_exponent",
    "implied_forecaster",
    "jump_test",
    "level_scale",
    "log_squared_error",
    "mincer_zarnowitz",
    "model_confidence_set",
    "parkinson",
    "pit",
    "qlike",
    "realised_kernel",
    "realised_quarticity",
    "realised_variance",
    "rogers_satchell",
    "rough_kernel",
    "season_factors",
    "semivariances",
    "standard_forecasters",
    "walk_forward",
    "weekday_of",
    "weekday_shares",
    "yang_zhang",
]
