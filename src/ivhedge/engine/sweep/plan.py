"""From a specification to runs with ids, and from runs to tasks for workers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ivhedge.core.errors import ConfigError
from ivhedge.engine.spec import BookSpec, PolicyKind, PolicySpec, ReplayConfig
from ivhedge.engine.sweep.identity import canonical, code_version, digest, plain
from ivhedge.engine.sweep.periods import version_of
from ivhedge.engine.sweep.spec import Period, SweepSpec

__all__ = ["PlannedRun", "Task", "plan_runs", "tasks_of"]

_FORMAT = 1
_LABELS = frozenset({"name"})
_CONVENTION_LABELS = frozenset({"name", "config", "settlement_bars", "view_bars"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One replay of one book under one variant over one period.

    Parameters
    ----------
    id : str
        Digest of everything that can change the result.
    variant, policy, book, market, period : str
        Labels; no part of the id.
    """

    id: str
    variant: str
    policy: str
    book: str
    market: str
    period: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Runs that share a period, done in one pass so that each snapshot is read and fitted once.

    Parameters
    ----------
    period : Period
    data : str
        Digest that the period's content must have.
    code : str
        Digest that the worker's code must have.
    replay : ReplayConfig
    runs : tuple of (id, BookSpec, PolicySpec)
    """

    period: Period
    data: str
    code: str
    replay: ReplayConfig
    runs: tuple[tuple[str, BookSpec, PolicySpec], ...]


def plan_runs(spec: SweepSpec) -> tuple[tuple[PlannedRun, ...], tuple[Task, ...]]:
    """Runs of a sweep in the order of the specification, and one task per period.

    Raises
    ------
    EmptyData, DataError
        If a period holds nothing.
    ConfigError
        If nothing is left after the exclusions, or two variants are one and the same.
    """
    code = code_version()
    runs: list[PlannedRun] = []
    tasks: list[Task] = []
    seen: dict[str, PlannedRun] = {}
    for period in spec.periods:
        data = version_of(period)
        mine: list[tuple[str, BookSpec, PolicySpec]] = []
        for book in spec.books:
            for variant in spec.variants:
                if not spec.included(variant, book, period):
                    continue
                run = PlannedRun(
                    id=_run_id(code, data, book, variant.spec, spec.replay),
                    variant=variant.name,
                    policy=variant.policy,
                    book=book.name,
                    market=period.market,
                    period=period.name,
                )
                if (other := seen.get(run.id)) is not None:
                    raise ConfigError(
                        f"two runs are one and the same: {_words(other)}, and {_words(run)}; drop one"
                    )
                seen[run.id] = run
                runs.append(run)
                mine.append((run.id, book, variant.spec))
        if mine:
            tasks.append(Task(period=period, data=data, code=code, replay=spec.replay, runs=tuple(mine)))
    if not runs:
        raise ConfigError("the exclusions leave no run; drop one of them")
    return tuple(runs), tuple(tasks)


def tasks_of(tasks: Iterable[Task], done: Iterable[str], n_workers: int) -> tuple[Task, ...]:
    """Tasks without the runs that are done, the largest first, split until no worker is idle.

    A split costs a second pass over the period's surfaces, so whole tasks are kept while there are enough.
    """
    finished = frozenset(done)
    left = [
        replace(task, runs=rest)
        for task in tasks
        if (rest := tuple(run for run in task.runs if run[0] not in finished))
    ]
    while len(left) < n_workers:
        left.sort(key=lambda task: -len(task.runs))
        if not left or len(left[0].runs) == 1:
            break
        first, *others = left
        half = (len(first.runs) + 1) // 2
        left = [replace(first, runs=first.runs[:half]), replace(first, runs=first.runs[half:]), *others]
    return tuple(sorted(left, key=lambda task: -len(task.runs)))


def _run_id(code: str, data: str, book: BookSpec, policy: PolicySpec, conventions: ReplayConfig) -> str:
    content: Mapping[str, object] = {
        "format": _FORMAT,
        "code": code,
        "data": data,
        "book": plain(book, without=_LABELS),
        "policy": plain(policy, without=_LABELS),
        "replay": plain(conventions, without=_CONVENTION_LABELS),
        "bars": _bars_version(policy, conventions),
    }
    return digest(canonical(content))


def _bars_version(policy: PolicySpec, conventions: ReplayConfig) -> dict[str, str]:
    """Digest of the bars that a view reads, by coin: the rows decide, not the path."""
    if policy.kind is not PolicyKind.VIEW:
        return {}
    files = conventions.view_bars.items()
    return {coin: digest(path.read_bytes()) if path.is_file() else "absent" for coin, path in files}


def _words(run: PlannedRun) -> str:
    parts: Sequence[str] = (run.variant, run.book, run.market, run.period)
    return " / ".join(parts)
