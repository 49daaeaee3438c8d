"""Forecasts of several models side by side: losses, tests, intervals, coverage, by horizon.

References
----------
Patton (2011); Diebold and Mariano (1995); Hansen, Lunde and Nason (2011); Mincer and Zarnowitz (1969).
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import format_ns
from ivhedge.forecast.confidence_set import block_indices, model_confidence_set
from ivhedge.forecast.evaluation import (
    band_coverage,
    diebold_mariano,
    log_squared_error,
    mincer_zarnowitz,
    qlike,
)
from ivhedge.forecast.walkforward import ForecastRun

__all__ = ["ForecastComparison", "ForecastScore", "compare_forecasts", "days_to_judge"]

_SHORTEST_BLOCK = 10
_FEWEST_DAYS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastScore:
    """One model at one horizon.

    Parameters
    ----------
    name : str
    horizon : int
        Days.
    qlike : float
        Mean loss.
    ratio, ratio_low, ratio_high : float
        Of the mean loss to the baseline's, with a 95 % interval of a circular block bootstrap.
    p_value : float or None
        Diebold-Mariano against the baseline, two-sided; None for the baseline, and where losses are the same.
    set_p : float
        In the model confidence set of level 1 − a when at least a.
    log_error : float
        Mean squared error of the log.
    coverage : float
        Share of outcomes inside the 90 % band.
    slope : float
        Of the outcome on the forecast (Mincer-Zarnowitz).
    replaced : int
        Forecasts that the insanity filter replaced.
    """

    name: str
    horizon: int
    qlike: float
    ratio: float
    ratio_low: float
    ratio_high: float
    p_value: float | None
    set_p: float
    log_error: float
    coverage: float
    slope: float
    replaced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastComparison:
    """Scores of all models, the best first within a horizon.

    Parameters
    ----------
    baseline : str
    horizons, days : tuple of int
        Days judged at each horizon; consecutive targets overlap.
    first_ns, last_ns : int
        First and last day at whose end a judged forecast was made.
    scores : tuple of ForecastScore
    """

    baseline: str
    horizons: tuple[int, ...]
    days: tuple[int, ...]
    first_ns: int
    last_ns: int
    scores: tuple[ForecastScore, ...]

    def at(self, horizon: int) -> tuple[ForecastScore, ...]:
        """Scores at one horizon, the best first.

        Raises
        ------
        ConfigError
            If the horizon was not judged.
        """
        if horizon not in self.horizons:
            raise ConfigError(f"expected a horizon of {self.horizons}, found {horizon}")
        return tuple(score for score in self.scores if score.horizon == horizon)


def days_to_judge(horizon: int) -> int:
    """Fewest days with a complete outcome over a horizon that are worth a figure."""
    return max(_FEWEST_DAYS, 4 * horizon)


def compare_forecasts(
    run: ForecastRun,
    rng: np.random.Generator,
    *,
    baseline: str = "HAR",
    since_ns: int | None = None,
    draws: int = 2000,
) -> ForecastComparison:
    """Judge every model of a walk-forward run.

    Parameters
    ----------
    run : ForecastRun
    rng : numpy.random.Generator
        For the bootstrap.
    baseline : str
        Model that the others are held against.
    since_ns : int, optional
        First day judged; all of the run without it.
    draws : int

    Raises
    ------
    ConfigError
        If the baseline is not in the run.
    DataError
        If a horizon has fewer than 60 complete days, or than four of its own lengths.
    """
    if baseline not in run.names:
        raise ConfigError(f"expected a baseline of {list(run.names)}, found {baseline!r}")
    judged = np.ones(run.day_ns.size, dtype=np.bool_) if since_ns is None else run.day_ns >= since_ns
    scores: list[ForecastScore] = []
    days: list[int] = []
    for at, horizon in enumerate(run.horizons):
        use = np.asarray(judged & np.isfinite(run.target[at]))
        fewest = days_to_judge(horizon)
        if use.sum() < fewest:
            since = "the first forecast" if since_ns is None else format_ns(since_ns)[:10]
            raise DataError(
                f"expected at least {fewest} days with a complete outcome over {horizon} days since {since}, "
                f"found {use.sum()}; give more bars or judge from an earlier day"
            )
        days.append(int(use.sum()))
        scores += _scores(run, at, use, run.names.index(baseline), rng, draws)
    seen = run.day_ns[judged]
    return ForecastComparison(
        baseline=baseline,
        horizons=run.horizons,
        days=tuple(days),
        first_ns=int(seen[0]),
        last_ns=int(seen[-1]),
        scores=tuple(scores),
    )


def _scores(
    run: ForecastRun, at: int, use: BoolArray, base: int, rng: np.random.Generator, draws: int
) -> list[ForecastScore]:
    horizon = run.horizons[at]
    block = max(_SHORTEST_BLOCK, horizon)
    outcome, mean = run.target[at, use], run.mean[:, at][:, use]
    losses = np.array([qlike(outcome, one) for one in mean])
    # The same draws for every model: ratios of one table can be held against each other.
    rows = block_indices(outcome.size, block, draws, rng)
    sampled = losses[:, rows].mean(axis=2)
    ratios = np.quantile(sampled / sampled[base], [0.025, 0.975], axis=1)
    inside = np.ones(len(run.names))
    if len(run.names) > 1:
        inside = model_confidence_set(losses.T, rng, block=block, draws=max(draws // 2, 100)).p_values
    average = losses.mean(axis=1)
    return [
        ForecastScore(
            name=run.names[m],
            horizon=horizon,
            qlike=float(average[m]),
            ratio=float(average[m] / average[base]),
            ratio_low=float(ratios[0, m]),
            ratio_high=float(ratios[1, m]),
            p_value=_p_value(losses[m], losses[base], horizon),
            set_p=float(inside[m]),
            log_error=float(log_squared_error(outcome, mean[m]).mean()),
            coverage=band_coverage(outcome, run.quantiles[m, at, use]),
            slope=mincer_zarnowitz(outcome, mean[m], horizon=horizon).slope,
            replaced=int(run.replaced[m, at, use].sum()),
        )
        for m in np.argsort(average, kind="stable").tolist()
    ]


def _p_value(first: FloatArray, second: FloatArray, horizon: int) -> float | None:
    same = bool(np.array_equal(first, second))
    return None if same else diebold_mariano(first, second, horizon=horizon).p_value
