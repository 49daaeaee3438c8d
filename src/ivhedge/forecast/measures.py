"""The table of daily measures that every forecaster reads."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import polars as pl

from ivhedge.core.errors import DataError, GapError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, format_ns
from ivhedge.forecast.bars import BarRepairs, Bars
from ivhedge.forecast.estimators import (
    garman_klass,
    parkinson,
    realised_variance,
    rogers_satchell,
    semivariances,
    yang_zhang,
)
from ivhedge.forecast.highfrequency import bipower_variation, jump_test, realised_kernel, realised_quarticity

__all__ = ["DailyMeasures", "daily_measures", "weekday_of"]


def weekday_of(day_ns: IntArray) -> IntArray:
    """Weekday of UTC days, Monday 0 to Sunday 6; 1970-01-01 was a Thursday."""
    return np.asarray((np.asarray(day_ns, dtype=np.int64) // NS_PER_DAY + 3) % 7, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyMeasures:
    """One row per UTC day, consecutive; variances are fractions squared per day.

    Parameters
    ----------
    day_ns : IntArray
        Start of the day; everything in the row is known at the start of the next.
    log_return : FloatArray
        Close to close; the first row takes the day's own open.
    rv, rv_two_bars, rv_late : FloatArray
        Realised variance, the same subsampled at two bars, and of the last quarter of the day (times 4).
    garman_klass, parkinson, rogers_satchell, yang_zhang, kernel, bipower : FloatArray
    garman_klass_late : FloatArray
        Garman-Klass of the last quarter of the day, times 4.
    quarticity : FloatArray
        Fourth power.
    up, down : FloatArray
        Semivariances; they add up to `rv`.
    jump_z : FloatArray
        Ratio jump statistic; 0 on a day without movement.
    implied_variance : FloatArray
        Implied variance per day known at the end of the row's day; nan where none is known.
    repairs : BarRepairs
    """

    day_ns: IntArray
    log_return: FloatArray
    rv: FloatArray
    rv_two_bars: FloatArray
    rv_late: FloatArray
    garman_klass: FloatArray
    garman_klass_late: FloatArray
    parkinson: FloatArray
    rogers_satchell: FloatArray
    yang_zhang: FloatArray
    kernel: FloatArray
    bipower: FloatArray
    quarticity: FloatArray
    up: FloatArray
    down: FloatArray
    jump_z: FloatArray
    implied_variance: FloatArray
    repairs: BarRepairs = field(default_factory=BarRepairs)

    def __len__(self) -> int:
        return int(self.day_ns.size)

    @property
    def weekday(self) -> IntArray:
        """Monday 0 to Sunday 6."""
        return weekday_of(self.day_ns)

    def rows(self, start: int, stop: int) -> "DailyMeasures":
        """Rows `start` to `stop` (exclusive), as views."""
        cut: dict[str, Any] = {name: getattr(self, name)[start:stop] for name in _COLUMNS}
        return DailyMeasures(repairs=self.repairs, **cut)

    def append(self, later: "DailyMeasures") -> "DailyMeasures":
        """Put later days behind these.

        Raises
        ------
        GapError
            If the first of them is not the day after the last one here.
        """
        expected = int(self.day_ns[-1]) + NS_PER_DAY
        if int(later.day_ns[0]) != expected:
            raise GapError(
                f"expected the day {format_ns(expected)[:10]} next, found "
                f"{format_ns(int(later.day_ns[0]))[:10]}; feed every day once and in order"
            )
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(later, name)]) for name in _COLUMNS
        }
        return DailyMeasures(repairs=self.repairs, **joined)

    def with_implied_variance(self, day_ns: IntArray, vol: FloatArray) -> "DailyMeasures":
        """Add an implied volatility index, such as DVOL, by its last value of each day.

        Parameters
        ----------
        day_ns : IntArray
            Day in which each value was the last; it is then known at the end of that day.
        vol : FloatArray
            Annual volatility as a decimal.

        Raises
        ------
        DataError
            If a volatility is not positive or looks like vol points (above 5).
        """
        vol = np.asarray(vol, dtype=np.float64)
        bad = np.flatnonzero(~((vol > 0.0) & (vol < 5.0)))
        if bad.size:
            raise DataError(
                f"row {bad[0]}: expected an annual volatility as a decimal in (0, 5), found {vol[bad[0]]}; "
                "vol points have to be divided by 100"
            )
        implied = np.full(len(self), np.nan)
        place = (np.asarray(day_ns, dtype=np.int64) - self.day_ns[0]) // NS_PER_DAY
        inside = (place >= 0) & (place < len(self))
        implied[place[inside]] = vol[inside] ** 2 / 365.0
        return replace(self, implied_variance=implied)

    def to_frame(self) -> pl.DataFrame:
        """As a table, with the day as a date and the weekday."""
        columns = {name: getattr(self, name) for name in _COLUMNS if name != "day_ns"}
        days = pl.Series("day", self.day_ns).cast(pl.Datetime("ns", "UTC"))
        return pl.DataFrame({"day": days, "weekday": self.weekday, **columns})


_COLUMNS = tuple(f.name for f in fields(DailyMeasures) if f.name != "repairs")


def daily_measures(bars: Bars) -> DailyMeasures:
    """Compute every measure of every day.

    Parameters
    ----------
    bars : Bars

    Raises
    ------
    DataError
        If a day shows no movement at all: a forecast of its logarithm does not exist.
    """
    late = bars.open.shape[1] - max(bars.open.shape[1] // 4, 1)
    last = _last_close(bars.close)
    previous = np.concatenate([[bars.open[0, np.flatnonzero(np.isfinite(bars.open[0]))[0]]], last[:-1]])
    inside = np.log(bars.close)
    before = np.concatenate([np.log(previous)[:, None], inside[:, :-1]], axis=1)
    returns = inside - before
    # After a hole the return from its own open stands in, so one missing bar costs one return, not two.
    hole = np.isnan(returns) & np.isfinite(bars.close)
    returns[hole] = np.log(bars.close[hole] / bars.open[hole])
    prices = (bars.open, bars.high, bars.low, bars.close)
    gk = garman_klass(*prices)
    rv = realised_variance(returns)
    still = np.flatnonzero((gk <= 0.0) | (rv <= 0.0))
    if still.size:
        raise DataError(
            f"day {format_ns(int(bars.day_ns[still[0]]))[:10]}: expected prices that move, found none; "
            "a stuck feed has no variance to forecast"
        )
    up, down = semivariances(returns)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = jump_test(returns).statistic
    tail = tuple(p[:, late:] for p in prices)
    return DailyMeasures(
        day_ns=bars.day_ns,
        log_return=np.log(last / previous),
        rv=rv,
        rv_two_bars=realised_variance(returns, step=2),
        rv_late=realised_variance(returns[:, late:]) * (returns.shape[1] / (returns.shape[1] - late)),
        garman_klass=gk,
        garman_klass_late=garman_klass(*tail) * (returns.shape[1] / (returns.shape[1] - late)),
        parkinson=parkinson(bars.high, bars.low),
        rogers_satchell=rogers_satchell(*prices),
        yang_zhang=yang_zhang(*prices),
        kernel=realised_kernel(returns),
        bipower=bipower_variation(returns),
        quarticity=realised_quarticity(returns),
        up=up,
        down=down,
        jump_z=np.where(np.isfinite(z), z, 0.0),
        implied_variance=np.full(bars.day_ns.size, np.nan),
        repairs=bars.repairs,
    )


def _last_close(close: FloatArray) -> FloatArray:
    place = close.shape[1] - 1 - np.argmax(np.isfinite(close[:, ::-1]), axis=1)
    return np.asarray(close[np.arange(close.shape[0]), place], dtype=np.float64)
