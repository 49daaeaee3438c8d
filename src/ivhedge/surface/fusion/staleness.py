"""Venues that have gone silent, stopped following, or vanished, in a stream of snapshots.

Three tests, each on what a healthy venue of the same habits would do:

* **silent**: none of its quotes has changed, by more than a tenth of a basis point of vol (the clock alone
  moves the vol of a standing price by less), for t snapshots. It changed something in a share p of its
  snapshots so far, hence that has probability ``(1 − p)^t``; flagged below `false_alarm`.
* **stale**: over a window the others' common move C exceeds `sigmas` times the usual error of the venue's own
  move O about it, yet ``O < follow · C``. Such an O lies ``(1 − follow) · sigmas`` errors from C.
* **absent**: it has quoted and now shows nothing.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from ivhedge.core.errors import ConfigError, DataError

__all__ = ["StaleDetector", "StaleSettings", "VenueState", "VenueWatch"]

_LEAST_KEYS = 3
_WARM_UP = 20
_LEAST_GAPS = 60
_GROSS = 5.0
_CAUGHT_UP = 0.3
_MEDIAN_LOSS = 1.57  # variance of a median over that of a mean
_MOST_RATE = 0.98  # not even a busy venue is certain to move
_LEAST_ERROR = 1e-5  # a tenth of a basis point of vol


class VenueState(StrEnum):
    """What a venue does."""

    LIVE = "live"
    SILENT = "silent"
    STALE = "stale"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleSettings:
    """When a venue is flagged.

    Parameters
    ----------
    windows_s : tuple of float
        Over which moves are compared, seconds.
    false_alarm : float
        Probability of a healthy venue's silence below which it is flagged.
    sigmas, follow : float
        Move of the others in errors of the venue's own, and the share of it that the venue must follow.
    memory : float
        Snapshots over which habits are averaged.
    """

    windows_s: tuple[float, ...] = (2.0, 5.0, 9.0)
    false_alarm: float = 1e-6
    sigmas: float = 8.0
    follow: float = 0.3
    memory: float = 300.0

    def __post_init__(self) -> None:
        if not self.windows_s or min(self.windows_s) <= 0.0 or not 0.0 < self.false_alarm < 1.0:
            raise ConfigError("expected positive windows_s and false_alarm inside (0, 1)")
        if self.sigmas <= 0.0 or not 0.0 <= self.follow < 1.0 or self.memory <= 1.0:
            raise ConfigError("expected sigmas > 0, follow in [0, 1) and memory > 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueWatch:
    """State of one venue after a snapshot.

    Parameters
    ----------
    venue : str
    state : VenueState
    silent_s : float
        Seconds since one of its quotes changed.
    silence_probability : float
        Of a silence this long, were it healthy.
    gap_sigmas : float
        Largest distance of its move from the others', in its usual errors.
    since_ns : int or None
        When the flag was raised, None while live.
    """

    venue: str
    state: VenueState
    silent_s: float
    silence_probability: float
    gap_sigmas: float
    since_ns: int | None


class _Move(NamedTuple):
    """Mean move of a venue's quotes and its sampling error."""

    mean: float
    error: float


@dataclass(slots=True)
class _Habit:
    """What is known of one venue; mutable, private to the detector."""

    last: dict[int, float] = field(default_factory=dict)
    seen: int = 0
    changes: float = 0.0
    looks: float = 0.0
    silent: int = 0
    changed_ns: int = 0
    error: dict[float, float] = field(default_factory=dict)
    gaps: dict[float, int] = field(default_factory=dict)
    behind: float = 0.0
    started_behind: float = 0.0
    flag: VenueState = VenueState.LIVE
    since_ns: int | None = None


class StaleDetector:
    """Watches venues over snapshots about a second apart.

    Examples
    --------
    >>> detector = StaleDetector()
    >>> watch = detector.update(0, {"a": {1: 0.5, 2: 0.51, 3: 0.52}})
    >>> watch["a"].state.value
    'live'
    """

    def __init__(self, settings: StaleSettings | None = None) -> None:
        self.settings = settings or StaleSettings()
        self._habits: dict[str, _Habit] = {}
        self._past: deque[tuple[int, dict[str, dict[int, float]]]] = deque()

    def update(self, ts_ns: int, vols: Mapping[str, Mapping[int, float]]) -> dict[str, VenueWatch]:
        """Take a snapshot: the mid vol of every instrument by venue; keys are the same on all venues.

        Raises
        ------
        DataError
            If the time does not move forward. Values that are not finite are ignored.
        """
        if self._past and ts_ns <= self._past[-1][0]:
            raise DataError(
                f"expected a snapshot after {self._past[-1][0]}, found {ts_ns}; drop duplicates and late ones"
            )
        now = {
            v: {key: float(x) for key, x in quotes.items() if np.isfinite(x)} for v, quotes in vols.items()
        }
        for venue in now:
            self._habits.setdefault(venue, _Habit(changed_ns=ts_ns))
        moves = {window: self._moves(ts_ns, now, window) for window in (0.0, *self.settings.windows_s)}
        watched = {}
        for venue in sorted(self._habits):
            watched[venue] = self._judge(venue, ts_ns, now.get(venue, {}), moves)
        self._past.append((ts_ns, now))
        horizon = ts_ns - int(2e9 * max(self.settings.windows_s))
        while len(self._past) > 2 and self._past[1][0] < horizon:
            self._past.popleft()
        return watched

    def flagged(self) -> tuple[str, ...]:
        """Venues not live after the last snapshot: what to give `fuse` as `quarantine`."""
        return tuple(v for v, habit in sorted(self._habits.items()) if habit.flag is not VenueState.LIVE)

    def _moves(self, ts_ns: int, now: Mapping[str, Mapping[int, float]], window: float) -> dict[str, _Move]:
        """Mean move of each venue over a window, gross moves of single quotes limited; 0 = one step."""
        old: dict[str, dict[int, float]] | None = None
        for stamp, snapshot in self._past:
            if stamp <= ts_ns - int(window * 1e9):
                old = snapshot
        found: dict[str, _Move] = {}
        if old is None:
            return found
        for venue, quotes in now.items():
            before = old.get(venue, {})
            move = np.array([x - before[key] for key, x in quotes.items() if key in before])
            if move.size >= _LEAST_KEYS:
                # Not the median: where few quotes are renewed at a time it sticks to zero and then jumps.
                centre = float(np.median(move))
                limit = _GROSS * float(np.mean(np.abs(move - centre)))
                kept = centre + np.clip(move - centre, -limit, limit)
                found[venue] = _Move(float(np.mean(kept)), float(np.std(kept)) / move.size**0.5)
        return found

    def _judge(
        self,
        venue: str,
        ts_ns: int,
        quotes: dict[int, float],
        moves: dict[float, dict[str, _Move]],
    ) -> VenueWatch:
        habit, rules = self._habits[venue], self.settings
        live = habit.flag is VenueState.LIVE
        changed = any(
            key not in habit.last or abs(habit.last[key] - x) > _LEAST_ERROR for key, x in quotes.items()
        )
        habit.silent = 0 if changed else habit.silent + 1
        if changed:
            habit.changed_ns = ts_ns
        rate = min((habit.changes + 1.0) / (habit.looks + 2.0), _MOST_RATE)
        probability = (1.0 - rate) ** habit.silent
        fade = 1.0 - 1.0 / rules.memory
        if live and quotes and habit.last:
            habit.changes = fade * habit.changes + float(changed)
            habit.looks = fade * habit.looks + 1.0
        habit.seen += bool(quotes)
        worst, stale = self._follow(venue, habit, moves, live)
        # A stale venue is live again once it is back where the others' moves would have taken it.
        lagging = habit.flag is VenueState.STALE and (
            abs(habit.behind) > _CAUGHT_UP * abs(habit.started_behind)
        )
        flag = VenueState.LIVE
        if not quotes:
            flag = VenueState.ABSENT
        elif habit.seen >= _WARM_UP and probability < rules.false_alarm:
            flag = VenueState.SILENT
        elif stale or lagging:
            flag = VenueState.STALE
        if flag is not VenueState.LIVE and live:
            habit.since_ns = ts_ns
        if flag is VenueState.LIVE:
            habit.since_ns = None
        habit.flag = flag
        if quotes:
            habit.last = quotes
        return VenueWatch(
            venue=venue,
            state=flag,
            silent_s=(ts_ns - habit.changed_ns) / 1e9,
            silence_probability=probability,
            gap_sigmas=worst,
            since_ns=habit.since_ns,
        )

    def _follow(
        self,
        venue: str,
        habit: _Habit,
        moves: dict[float, dict[str, _Move]],
        live: bool,
    ) -> tuple[float, bool]:
        """Largest gap to the others in usual errors, and whether the venue stopped following."""
        rules, worst, stale = self.settings, 0.0, False
        gaps: list[float] = []
        for window, found in sorted(moves.items(), reverse=True):
            if venue not in found:
                continue
            others = [
                move
                for name, move in found.items()
                if name != venue and self._habits[name].flag is VenueState.LIVE
            ]
            # Two others at least: with one, nobody knows which of the two is wrong.
            if len(others) < 2:
                continue
            own, common = found[venue].mean, float(np.median([move.mean for move in others]))
            gap = own - common
            if window == 0.0:
                habit.behind += gap
                continue
            gaps.append(gap)
            count = habit.gaps.get(window, 0)
            habitual = max(habit.error.get(window, 0.0), _LEAST_ERROR**2)
            # Renewed quotes carry new errors, of which a calm past knows nothing.
            sampling = sum(move.error**2 for move in others) / len(others) ** 2
            usual = (habitual + found[venue].error ** 2 + _MEDIAN_LOSS * sampling) ** 0.5
            if count >= _LEAST_GAPS:
                worst = max(worst, abs(gap) / usual)
                follows = own * np.sign(common) >= rules.follow * abs(common)
                # It may have moved before the others did: over the longest window that shows.
                early = abs(gaps[0]) < 0.5 * abs(gap)
                if abs(common) > rules.sigmas * usual and not follows and not early:
                    stale = True
                    if live:
                        habit.behind = habit.started_behind = max(gaps, key=abs)
            if live and not stale:
                # A gross gap must not teach the detector that gaps are usual.
                seen = gap * gap if count < _LEAST_GAPS else min(gap * gap, 9.0 * habitual)
                share = 1.0 / min(count + 1.0, rules.memory)
                habit.error[window] = (1.0 - share) * habit.error.get(window, 0.0) + share * seen
                habit.gaps[window] = count + 1
        return worst, stale
