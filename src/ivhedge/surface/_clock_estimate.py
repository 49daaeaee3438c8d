"""What an estimate of clock weights holds, and how two of them are combined."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.clock import ClockEvent, VarianceClock

__all__ = ["ClockEstimate", "combine_estimates"]

# Two-sided 90 % of a normal.
_Z90 = 1.6448536269514722


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClockEstimate:
    """Clock weights with the error of each weekday.

    Parameters
    ----------
    weights : FloatArray, shape (7, 24)
        By weekday (Monday first) and hour UTC, mean one.
    day_low, day_high : FloatArray, shape (7,)
        90 % interval of the weekday means by block bootstrap over weeks.
    day_log_error : FloatArray, shape (7,)
        Standard error of the logarithm of the weekday means.
    low, high : FloatArray, shape (7, 24)
        90 % interval of the cells.
    n_weeks : int
        Weeks that the estimate rests on.
    hour_power : float
        Power of the realised intraday shape that was found: 1 takes it as it is, 0 is flat.
    name : str
    """

    weights: FloatArray
    day_low: FloatArray
    day_high: FloatArray
    day_log_error: FloatArray
    low: FloatArray
    high: FloatArray
    n_weeks: int
    hour_power: float = 1.0
    name: str = ""

    @property
    def days(self) -> FloatArray:
        """Mean weight of each weekday, Monday first; shape (7,)."""
        return np.asarray(self.weights.mean(axis=1), dtype=np.float64)

    def clock(self, *, events: Iterable[ClockEvent] = (), hourly: bool = True) -> VarianceClock:
        """Give the clock of these weights, or of their weekday means when not `hourly`."""
        table = self.weights if hourly else self.days
        return VarianceClock.from_weights(table, events=events, name=self.name)


def estimate_of(weights: FloatArray, draws: FloatArray, **rest: object) -> ClockEstimate:
    """Wrap weights (7, 24) and their bootstrap draws (n, 7, 24)."""
    days = draws.mean(axis=2)
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    day_low, day_high = np.quantile(days, (0.05, 0.95), axis=0)
    return ClockEstimate(
        weights=weights,
        day_low=day_low,
        day_high=day_high,
        day_log_error=np.std(np.log(np.maximum(days, 1e-6)), axis=0),
        low=low,
        high=high,
        **rest,  # type: ignore[arg-type]
    )


def week_blocks(n_weeks: int, block: int, n_draws: int, rng: np.random.Generator) -> IntArray:
    """Indices of weeks, shape (n_draws, n_weeks), in circular blocks."""
    starts = rng.integers(0, n_weeks, (n_draws, -(-n_weeks // block)))
    indices = (starts[:, :, None] + np.arange(block)) % n_weeks
    return np.asarray(indices.reshape(n_draws, -1)[:, :n_weeks])


def combine_estimates(
    first: ClockEstimate, second: ClockEstimate, *, name: str = "combined"
) -> ClockEstimate:
    """Combine two estimates of the weekdays by their precision; the shape inside each day is the second's.

    Parameters
    ----------
    first : ClockEstimate
        Usually realised variance: long history, small sampling error.
    second : ClockEstimate
        Usually implied variance: what options charge now.
    name : str

    Returns
    -------
    ClockEstimate
        `n_weeks` is the smaller of the two; intervals are lognormal.

    Raises
    ------
    ConfigError
        If an error is zero or not finite: such an estimate has no precision to weigh by.

    Notes
    -----
    Realised and implied weights differ by more than sampling: premia and regimes. The variance of that
    difference is estimated over the seven days (DerSimonian, Laird 1986, moment estimate) and added to both
    sampling variances, so that four years of returns do not drown eleven weeks of option prices.
    """
    errors = np.stack((first.day_log_error, second.day_log_error))
    if not bool((np.isfinite(errors) & (errors > 0.0)).all()):
        raise ConfigError("expected positive standard errors of all weekdays, found one that is not")
    logs = np.log(np.stack((first.days, second.days)))
    gap = logs[0] - logs[1]
    # A difference of two has the variance 2·between + both sampling variances.
    between = max(0.0, float(np.mean(gap * gap - (errors**2).sum(axis=0))) / 2.0)
    precision = 1.0 / (errors**2 + between)
    days = np.exp((precision * logs).sum(axis=0) / precision.sum(axis=0))
    days = days / days.mean()
    error = np.sqrt(1.0 / precision.sum(axis=0))
    shape = second.weights / second.days[:, None]
    weights = shape * days[:, None]
    span = np.exp(_Z90 * error)
    return ClockEstimate(
        weights=weights / weights.mean(),
        day_low=days / span,
        day_high=days * span,
        day_log_error=error,
        low=weights / span[:, None],
        high=weights * span[:, None],
        n_weeks=min(first.n_weeks, second.n_weeks),
        hour_power=second.hour_power,
        name=name,
    )
