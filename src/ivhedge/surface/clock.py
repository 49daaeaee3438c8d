"""The variance clock: calendar time turned into the time in which variance accrues.

Crypto trades all week, yet a Saturday brings less than half the variance of a Tuesday. The clock runs at

    rate(t) = weight[weekday(t), hour(t)] · multiplier(t) + extra(t),

weekday and hour in UTC, the 168 weights averaging exactly one, so that any number of whole weeks without
events lasts as long as in calendar time. With V(t) the integral of the rate, total variance is w = vol_v² · V
where the calendar writes w = vol² · tau. V is piecewise linear and is integrated exactly, cell by cell.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR, format_ns
from ivhedge.surface import _clock_text

__all__ = ["ClockEvent", "VarianceClock"]

DAYS, HOURS = 7, 24
CELLS = DAYS * HOURS
NS_PER_WEEK = DAYS * NS_PER_DAY
MEAN_TOLERANCE = 1e-9
_LONGEST_YEARS = 200.0
# The epoch was a Thursday: shifted by three days, weeks begin on Monday 00:00 UTC.
_MONDAY = 3 * NS_PER_DAY


def _as_ns(value: ArrayLike, name: str) -> IntArray:
    """Integer nanoseconds, or an error: a float or a naive time would silently mean something else."""
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"expected {name} as integer nanoseconds UTC, found {array.dtype}; "
            "convert aware times with ivhedge.core.units.to_ns, naive times have no zone"
        )
    return array.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockEvent:
    """A dated interval in which variance runs at another speed: a macro release, an unlock, a big expiry.

    Parameters
    ----------
    name : str
    start_ns, end_ns : int
        Nanoseconds UTC, `start_ns < end_ns`.
    multiplier : float
        Factor on the weekly weights inside the interval, zero or more.
    extra_days : float
        Variance added evenly over the interval, in average days, zero or more: 0.5 is half a day's variance.

    Raises
    ------
    ConfigError
        If the interval is empty or a number is negative or not finite.
    """

    name: str
    start_ns: int
    end_ns: int
    multiplier: float = 1.0
    extra_days: float = 0.0

    def __post_init__(self) -> None:
        """Check the interval and its numbers."""
        if not isinstance(self.name, str):
            raise ConfigError(f"expected the event's name as text, found {self.name!r}")
        for label, moment in (("start_ns", self.start_ns), ("end_ns", self.end_ns)):
            if isinstance(moment, bool) or not isinstance(moment, int | np.integer):
                raise ConfigError(
                    f"event {self.name!r}: expected {label} as integer nanoseconds UTC, found {moment!r}; "
                    "convert with ivhedge.core.units.to_ns"
                )
            object.__setattr__(self, label, int(moment))
        if self.end_ns <= self.start_ns:
            raise ConfigError(
                f"event {self.name!r}: expected an end after the start, found {format_ns(self.start_ns)} to "
                f"{format_ns(self.end_ns)}"
            )
        for label, number in (("multiplier", self.multiplier), ("extra_days", self.extra_days)):
            if not (math.isfinite(number) and number >= 0.0):
                raise ConfigError(
                    f"event {self.name!r}: expected a finite {label} of zero or more, found {number}"
                )
            object.__setattr__(self, label, float(number))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VarianceClock:
    """An immutable clock of weekly weights and dated events.

    Parameters
    ----------
    weights : FloatArray, shape (7, 24)
        Speed by weekday (Monday first) and hour, UTC; positive or zero, mean one. Use `from_weights` to have
        a table normalised.
    events : tuple of ClockEvent
        In order of time, not overlapping. Their variance comes on top of the weekly weights.
    name : str
        Free text that says where the weights come from.

    Raises
    ------
    ConfigError
        If the weights have a wrong shape, hold a number that is negative or not finite, or do not average to
        one; if events overlap or are out of order.

    Examples
    --------
    >>> clock = VarianceClock.calendar()
    >>> float(clock.variance_time(0, 365 * 86_400 * 10**9))
    1.0
    """

    weights: FloatArray
    events: tuple[ClockEvent, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Check and freeze."""
        weights = _checked(self.weights)
        mean = float(weights.mean())
        if abs(mean - 1.0) > MEAN_TOLERANCE:
            raise ConfigError(
                f"expected weights that average to one, found a mean of {mean:.12g}; "
                "divide by it, or use VarianceClock.from_weights(weights), which does"
            )
        weights.setflags(write=False)
        events = tuple(self.events)
        for before, after in pairwise(events):
            if after.start_ns < before.end_ns:
                raise ConfigError(
                    f"expected events in order that do not overlap, found {after.name!r} from "
                    f"{format_ns(after.start_ns)} while {before.name!r} lasts until "
                    f"{format_ns(before.end_ns)}; "
                    "sort them, and merge those that overlap into one with the joint variance"
                )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "events", events)

    def __eq__(self, other: object) -> bool:
        """Whether both clocks hold the same numbers, to the last bit."""
        if not isinstance(other, VarianceClock):
            return NotImplemented
        same = self.name == other.name and self.events == other.events
        return same and np.array_equal(self.weights, other.weights)

    def __hash__(self) -> int:
        """Hash of what `==` compares; zeros of either sign compare equal."""
        return hash((self.name, self.events, (self.weights + 0.0).tobytes()))

    @classmethod
    def calendar(cls) -> "VarianceClock":
        """Give the clock that is calendar time."""
        return cls(weights=np.ones((DAYS, HOURS)), name="calendar")

    @classmethod
    def from_weights(
        cls, weights: ArrayLike, *, events: Iterable[ClockEvent] = (), name: str = ""
    ) -> "VarianceClock":
        """Normalise a table of weights to mean one and make a clock of it.

        Parameters
        ----------
        weights : array_like, shape (7, 24) or (7,)
            By weekday (Monday first) and hour, or by weekday alone.
        events, name
            As in the class.

        Raises
        ------
        ConfigError
            As the class, and if all weights are zero.
        """
        table = np.asarray(weights, dtype=np.float64)
        if table.shape == (DAYS,):
            table = np.repeat(table[:, None], HOURS, axis=1)
        table = _checked(table)
        total = float(table.sum())
        if total <= 0.0:
            raise ConfigError("expected at least one positive weight, found only zeros; no time would pass")
        return cls(weights=table / (total / CELLS), events=tuple(events), name=name)

    def variance_time(self, start_ns: ArrayLike, end_ns: ArrayLike) -> FloatArray:
        """Variance time between two moments, integrated exactly.

        Parameters
        ----------
        start_ns, end_ns : integer array_like, broadcastable
            Nanoseconds UTC, `start_ns <= end_ns`.

        Returns
        -------
        FloatArray
            Years of variance time, of the broadcast shape: 0 where both are equal.

        Raises
        ------
        DataError
            If a time is not an integer, or an end lies before its start.
        """
        start, end = np.broadcast_arrays(_as_ns(start_ns, "start_ns"), _as_ns(end_ns, "end_ns"))
        late = np.flatnonzero(end.ravel() < start.ravel())
        if late.size:
            at = int(late[0])
            raise DataError(
                f"expected ends at or after their starts, found {format_ns(int(end.ravel()[at]))} before "
                f"{format_ns(int(start.ravel()[at]))} ({late.size} of {start.size})"
            )
        span = self._weekly(start, end)
        for event in self.events:
            low = np.clip(start, event.start_ns, event.end_ns)
            high = np.clip(end, event.start_ns, event.end_ns)
            extra = event.extra_days * NS_PER_DAY / (event.end_ns - event.start_ns)
            span = span + (event.multiplier - 1.0) * self._weekly(low, high) + extra * (high - low)
        return np.asarray(np.maximum(span, 0.0) / NS_PER_YEAR, dtype=np.float64)

    def tau(self, ts_ns: int, expiry_ns: ArrayLike) -> FloatArray:
        """Variance time from now to expiries, in years.

        Parameters
        ----------
        ts_ns : int
            Now, nanoseconds UTC.
        expiry_ns : integer array_like

        Returns
        -------
        FloatArray
            Of the shape of `expiry_ns`; 0 at expiry.

        Raises
        ------
        DataError
            If an expiry lies before now or a time is not an integer.
        """
        now, expiry = int(_as_ns(ts_ns, "ts_ns")), _as_ns(expiry_ns, "expiry_ns")
        if bool((expiry < now).any()):
            raise DataError(
                f"expected expiries at or after {format_ns(now)}, found {format_ns(int(expiry.min()))}; "
                "drop what has expired"
            )
        return self.variance_time(now, expiry)

    def rate(self, ts_ns: ArrayLike) -> FloatArray:
        """Speed of the clock at moments: variance time per calendar time."""
        ts = _as_ns(ts_ns, "ts_ns")
        speed = self.weights.ravel()[(ts + _MONDAY) % NS_PER_WEEK // NS_PER_HOUR]
        for event in self.events:
            inside = (event.start_ns <= ts) & (ts < event.end_ns)
            extra = event.extra_days * NS_PER_DAY / (event.end_ns - event.start_ns)
            speed = np.where(inside, speed * event.multiplier + extra, speed)
        return np.asarray(speed, dtype=np.float64)

    def forward_variance(self, ts_ns: int, expiry_ns: ArrayLike, total_variance: ArrayLike) -> FloatArray:
        """Forward variance per year of variance time: now to the first expiry, then from one to the next.

        Parameters
        ----------
        ts_ns : int
        expiry_ns : integer array_like, shape (n,)
            Ascending, after now.
        total_variance : array_like, shape (n,)

        Returns
        -------
        FloatArray, shape (n,)
            Its root is a vol per variance time; negative where total variance falls.

        Raises
        ------
        DataError
            If expiries do not ascend or do not lie after now, a total variance is not finite, shapes differ,
            or the clock stands still between two expiries.
        """
        expiry = np.atleast_1d(_as_ns(expiry_ns, "expiry_ns"))
        variance = np.atleast_1d(np.asarray(total_variance, dtype=np.float64))
        if expiry.ndim != 1 or expiry.shape != variance.shape or not bool(np.isfinite(variance).all()):
            raise DataError(
                "expected one finite total variance per expiry, "
                f"found shapes {expiry.shape} and {variance.shape}"
            )
        edges = np.concatenate((_as_ns([ts_ns], "ts_ns"), expiry))
        if not bool((np.diff(edges) > 0).all()):
            raise DataError("expected ascending expiries after now, found one that is not; sort them")
        spans = self.variance_time(edges[:-1], edges[1:])
        if not bool((spans > 0.0).all()):
            raise DataError("the clock stands still between two expiries; give those hours a positive weight")
        return np.asarray(np.diff(variance, prepend=0.0) / spans)

    def variance_per_day(
        self, ts_ns: int, expiry_ns: ArrayLike, total_variance: ArrayLike, n_days: int
    ) -> FloatArray:
        """Variance expected in each of the next days of 24 hours, from a term structure of total variance.

        Total variance is linear in variance time between expiries and goes on at the last forward variance.

        Parameters
        ----------
        ts_ns, expiry_ns, total_variance
            As in `forward_variance`.
        n_days : int
            How many days from now on.

        Returns
        -------
        FloatArray, shape (n_days,)
            Not annualised: the root is the standard deviation of that day's log return.
        """
        if n_days < 1:
            raise DataError(f"expected one day or more, found {n_days}")
        forward = self.forward_variance(ts_ns, expiry_ns, total_variance)
        expiry = np.atleast_1d(_as_ns(expiry_ns, "expiry_ns"))
        days = ts_ns + np.arange(n_days + 1, dtype=np.int64) * NS_PER_DAY
        knots = np.concatenate(([0.0], self.tau(ts_ns, expiry)))
        level = np.concatenate(([0.0], np.asarray(total_variance, dtype=np.float64).ravel()))
        at = self.tau(ts_ns, days)
        total = np.interp(at, knots, level) + forward[-1] * np.maximum(at - knots[-1], 0.0)
        return np.asarray(np.diff(total), dtype=np.float64)

    def warped_tau(self, ts_ns: int, expiry_ns: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Time at which to read a surface that interpolates in calendar time, so that it runs on this clock.

        Parameters
        ----------
        ts_ns : int
            Time of the surface.
        expiry_ns : integer array_like, shape (n,)
            Its expiries, ascending, after `ts_ns`.
        tau : array_like
            Calendar years from `ts_ns`, zero or more, at most 200.

        Returns
        -------
        FloatArray
            Calendar years, of the shape of `tau`: equal to `tau` at 0 and at every expiry, linear in variance
            time between them, and at the clock's own speed after the last.

        Raises
        ------
        DataError
            If a tau is out of range, expiries do not ascend, or the clock stands still between two of them.

        Notes
        -----
        The map never falls. A surface read through it shows at every time one of its own slices, later ones
        later: butterfly and calendar stay as free of arbitrage as they were, for every model.
        """
        years = np.asarray(tau, dtype=np.float64)
        if not bool((np.isfinite(years) & (years >= 0.0) & (years <= _LONGEST_YEARS)).all()):
            raise DataError(f"expected tau from 0 to {_LONGEST_YEARS:.0f} years, found one that is not")
        expiry = np.atleast_1d(_as_ns(expiry_ns, "expiry_ns"))
        self.forward_variance(ts_ns, expiry, np.zeros(expiry.shape))
        knots = np.concatenate(([0.0], (expiry - ts_ns) / NS_PER_YEAR))
        known = np.concatenate(([0.0], self.tau(ts_ns, expiry)))
        at = self.variance_time(ts_ns, ts_ns + np.round(years * NS_PER_YEAR).astype(np.int64))
        return np.asarray(np.interp(at, known, knots) + np.maximum(at - known[-1], 0.0))

    def day_weights(self, hour: int = 0) -> FloatArray:
        """Mean speed of the 24 hours from `hour` UTC of each weekday, Monday first; 8 gives expiry days."""
        if not 0 <= hour < HOURS:
            raise ConfigError(f"expected an hour from 0 to 23, found {hour}")
        return np.asarray(np.roll(self.weights.ravel(), -hour).reshape(DAYS, HOURS).mean(axis=1))

    def with_events(self, events: Iterable[ClockEvent]) -> "VarianceClock":
        """Give the same weekly weights with other events."""
        return VarianceClock(weights=self.weights, events=tuple(events), name=self.name)

    def to_dict(self) -> dict[str, object]:
        """Plain numbers and text: what `to_toml` and `to_json` write."""
        fields = ("name", "start_ns", "end_ns", "multiplier", "extra_days")
        return {
            "name": self.name,
            "weights": self.weights.tolist(),
            "events": [{field: getattr(event, field) for field in fields} for event in self.events],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> "VarianceClock":
        """Read what `to_dict` gave; an unknown, missing or unfit entry is a ConfigError."""
        name, weights, events = _clock_text.parts(data)
        return cls(weights=weights, events=tuple(ClockEvent(**event) for event in events), name=name)

    def to_toml(self) -> str:
        """TOML text that `from_toml` reads back to an equal clock, to the last bit."""
        return _clock_text.to_toml(self.to_dict())

    @classmethod
    def from_toml(cls, text: str) -> "VarianceClock":
        """Read the TOML of a clock; ConfigError if it is not one."""
        return cls.from_dict(_clock_text.read(text, "TOML"))

    def to_json(self) -> str:
        """JSON text that `from_json` reads back to an equal clock, to the last bit."""
        return _clock_text.to_json(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> "VarianceClock":
        """Read the JSON of a clock; ConfigError if it is not one."""
        return cls.from_dict(_clock_text.read(text, "JSON"))

    def _weekly(self, start: IntArray, end: IntArray) -> FloatArray:
        """Nanoseconds of variance time by the weekly weights alone."""
        cells = self.weights.ravel()
        passed = np.concatenate(([0.0], np.cumsum(cells)))

        def within(offset: IntArray) -> FloatArray:
            cell = offset // NS_PER_HOUR
            return np.asarray(passed[cell] * NS_PER_HOUR + cells[cell] * (offset - cell * NS_PER_HOUR))

        first, last = start + _MONDAY, end + _MONDAY
        # Whole weeks in integers: the mean is one by construction, so a year is a year without rounding.
        weeks = (last // NS_PER_WEEK - first // NS_PER_WEEK) * NS_PER_WEEK
        return np.asarray(weeks + (within(last % NS_PER_WEEK) - within(first % NS_PER_WEEK)))


def _checked(weights: ArrayLike) -> FloatArray:
    """A fresh table of weights, each finite and not negative."""
    table = np.array(weights, dtype=np.float64)
    if table.shape != (DAYS, HOURS):
        raise ConfigError(
            f"expected weights of shape (7, 24), weekday by hour, found {table.shape}; "
            "VarianceClock.from_weights also takes seven weekday weights"
        )
    bad = ~(np.isfinite(table) & (table >= 0.0))
    if bad.any():
        day, hour = np.argwhere(bad)[0].tolist()
        raise ConfigError(
            f"expected finite weights of zero or more, found {table[day, hour]} on weekday {day} "
            f"(Monday is 0) at {hour}:00 UTC"
        )
    return table
