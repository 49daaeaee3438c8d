"""What a sweep is made of: policies with their parameters, books, and periods of one or more markets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from ivhedge.core.errors import ConfigError
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.engine.spec import BookSpec, PolicySpec, ReplayConfig
from ivhedge.market.readers.window import parse_window

__all__ = [
    "CRITERIA",
    "BootstrapSpec",
    "Exclusion",
    "Period",
    "RecordedPeriod",
    "SimulatedPeriod",
    "SweepSpec",
    "Variant",
    "WalkForwardSpec",
]

CRITERIA = ("sharpe", "cvar95", "std", "variance_per_cost")
"""Criteria by which variants are compared and chosen; see `ivhedge.engine.sweep.figures.scores`."""

ParameterValue: TypeAlias = "float | int | str | bool | tuple[object, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A policy with one setting of its parameters.

    Parameters
    ----------
    policy : str
        Name of the policy, shared by its settings.
    parameters : tuple of (name, value)
        What was varied, in the order of the grid.
    spec : PolicySpec
        Complete; its name is the variant's.
    """

    policy: str
    spec: PolicySpec
    parameters: tuple[tuple[str, ParameterValue], ...] = ()

    @property
    def name(self) -> str:
        """Name, unique within the sweep."""
        return self.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPeriod:
    """A window of recorded chains of one underlying.

    Parameters
    ----------
    name : str
    underlying : str
    source : Path
        File or folder that `ivhedge.market.read_chains` takes.
    start, end : str
        ISO 8601, UTC; a bare date as the end means through that day.
    settlement_bars : Path or None
        Hourly bars for the 08:00 price; None = the index between snapshots.
    """

    name: str
    underlying: str
    source: Path
    start: str
    end: str
    settlement_bars: Path | None = None

    @property
    def market(self) -> str:
        """Periods of one market follow each other."""
        return self.underlying


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPeriod:
    """A path of the simulated market; each seed is a period of its own.

    Parameters
    ----------
    name : str
    seed : int
    n_snapshots : int
    step_hours : float
    underlyings : tuple of str
        Of the simulator's coins.
    """

    name: str
    seed: int
    n_snapshots: int
    step_hours: float = 6.0
    underlyings: tuple[str, ...] = ("BTC", "ETH")

    def __post_init__(self) -> None:
        if self.n_snapshots < 2 or not self.step_hours > 0.0:
            raise ConfigError(
                f"period {self.name!r}: expected two snapshots or more and a positive step, found "
                f"{self.n_snapshots} and {self.step_hours} h"
            )

    @property
    def market(self) -> str:
        """Periods of one market follow each other."""
        return "simulated " + "+".join(self.underlyings)

    @property
    def step_ns(self) -> int:
        """Time between snapshots."""
        return round(self.step_hours * NS_PER_HOUR)


Period: TypeAlias = RecordedPeriod | SimulatedPeriod


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Runs that are left out: those that match everything that is given here.

    Parameters
    ----------
    policy, book, market, period : str or None
        None matches all.
    parameters : mapping of name to value
        Settings that the variant must have.
    """

    policy: str | None = None
    book: str | None = None
    market: str | None = None
    period: str | None = None
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.parameters and not any((self.policy, self.book, self.market, self.period)):
            raise ConfigError("an exclusion without a condition would leave out every run; give one")

    def matches(self, variant: Variant, book: BookSpec, period: Period) -> bool:
        """Whether a run is left out."""
        asked = (
            (self.policy, variant.policy),
            (self.book, book.name),
            (self.market, period.market),
            (self.period, period.name),
        )
        own = dict(variant.parameters)
        return all(want in (None, found) for want, found in asked) and all(
            name in own and own[name] == value for name, value in self.parameters.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardSpec:
    """How a variant is chosen from the past.

    Parameters
    ----------
    train : int
        Periods before the judged one that the choice looks at.
    anchored : bool
        Whether it looks at all periods from the first on instead (at least `train`).
    """

    train: int = 1
    anchored: bool = True

    def __post_init__(self) -> None:
        if self.train < 1:
            raise ConfigError(f"expected at least one training period, found train = {self.train}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapSpec:
    """Moving block bootstrap of the steps.

    Parameters
    ----------
    block : int
        Steps in a block; 8 = two days of six-hourly steps.
    resamples : int
    confidence : float
        Of the intervals, equal tails.
    seed : int
    """

    block: int = 8
    resamples: int = 2000
    confidence: float = 0.9
    seed: int = 20260101

    def __post_init__(self) -> None:
        if self.block < 1 or self.resamples < 100 or not 0.5 <= self.confidence < 1.0:
            raise ConfigError(
                "expected block >= 1, resamples >= 100 and confidence in [0.5, 1), found "
                f"{self.block}, {self.resamples}, {self.confidence}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """Policies x parameters x books x periods, less what is excluded.

    Parameters
    ----------
    name : str
    variants : tuple of Variant
    books : tuple of BookSpec
    periods : tuple of RecordedPeriod or SimulatedPeriod
        Those of one market in the order of time.
    replay : ReplayConfig
        Conventions of every run.
    baseline : str
        Name of the variant that the others are compared with.
    criterion : str
        One of `CRITERIA`.
    exclusions : tuple of Exclusion
    walk_forward : WalkForwardSpec or None
        None = no choice is made.
    bootstrap : BootstrapSpec

    Raises
    ------
    ConfigError
        If an axis is empty, names repeat, the baseline is unknown, recorded periods of a market overlap or
        are not in the order of time, or there are too few of them to train.
    """

    name: str
    variants: tuple[Variant, ...]
    books: tuple[BookSpec, ...]
    periods: tuple[Period, ...]
    replay: ReplayConfig
    baseline: str
    criterion: str = "cvar95"
    exclusions: tuple[Exclusion, ...] = ()
    walk_forward: WalkForwardSpec | None = None
    bootstrap: BootstrapSpec = field(default_factory=BootstrapSpec)

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        _require_distinct("policy variants", names)
        _require_distinct("books", [book.name for book in self.books])
        _require_distinct("periods", [f"{item.market} {item.name}" for item in self.periods])
        if self.baseline not in names:
            raise ConfigError(
                f"expected the baseline to be one of the variants, found {self.baseline!r}; "
                f"known: {', '.join(names)}"
            )
        if self.criterion not in CRITERIA:
            raise ConfigError(f"expected criterion in {list(CRITERIA)}, found {self.criterion!r}")
        for item in self.exclusions:
            self._require_known(item)
        for market in self.markets:
            _require_order(market, [p for p in self.periods if p.market == market])
        if self.walk_forward is not None:
            self._require_training(self.walk_forward)

    @property
    def markets(self) -> tuple[str, ...]:
        """Markets, in the order of their first period."""
        return tuple(dict.fromkeys(item.market for item in self.periods))

    def included(self, variant: Variant, book: BookSpec, period: Period) -> bool:
        """Whether a run is part of the sweep."""
        return not any(item.matches(variant, book, period) for item in self.exclusions)

    @property
    def n_runs(self) -> int:
        """How many runs the sweep has."""
        every = ((v, b, p) for v in self.variants for b in self.books for p in self.periods)
        return sum(self.included(*run) for run in every)

    def _require_known(self, item: Exclusion) -> None:
        axes = (
            ("policy", item.policy, {variant.policy for variant in self.variants}),
            ("book", item.book, {book.name for book in self.books}),
            ("market", item.market, {period.market for period in self.periods}),
            ("period", item.period, {period.name for period in self.periods}),
        )
        for axis, asked, known in axes:
            if asked is not None and asked not in known:
                raise ConfigError(f"exclusion: unknown {axis} {asked!r}; known: {', '.join(sorted(known))}")
        known_names = {name for variant in self.variants for name, _ in variant.parameters}
        if strange := sorted(set(item.parameters) - known_names):
            raise ConfigError(
                f"exclusion: unknown parameters {strange}; the grids vary {sorted(known_names) or 'nothing'}"
            )

    def _require_training(self, spec: WalkForwardSpec) -> None:
        for market in self.markets:
            count = sum(item.market == market for item in self.periods)
            if count <= spec.train:
                raise ConfigError(
                    f"walk-forward: expected more than {spec.train} periods of {market}, found {count}; "
                    "give shorter periods or a smaller `train`"
                )


def _require_order(market: str, periods: list[Period]) -> None:
    """A choice may look at earlier periods only, and no step may count twice."""
    windows = [(p.name, parse_window(p.start, p.end)) for p in periods if isinstance(p, RecordedPeriod)]
    for (first, one), (second, other) in pairwise(windows):
        ended, begun = one.end_ns, other.start_ns
        if ended is not None and begun is not None and ended > begun:
            raise ConfigError(
                f"{market}: expected periods in the order of time and apart, found {second!r} ({other.text}) "
                f"after {first!r} ({one.text}); sort them, or let none reach into the next"
            )


def _require_distinct(what: str, names: list[str]) -> None:
    if not names:
        raise ConfigError(f"expected {what} to sweep over, found none")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"expected one name for each of the {what}, found twice: {', '.join(twice)}")
