"""What a worker does with a task: replay its runs and reduce each to a record of plain values."""

import math
from collections.abc import Sequence
from typing import TypeAlias

from ivhedge.core.errors import ConfigError, DataError, IvHedgeError
from ivhedge.engine import series
from ivhedge.engine.replay import ReplayJob, replay_jobs
from ivhedge.engine.result import BacktestResult, PolicyResult, SummaryValue
from ivhedge.engine.spec import BookSpec, PolicySpec
from ivhedge.engine.sweep.identity import code_version
from ivhedge.engine.sweep.periods import PeriodData, load_period
from ivhedge.engine.sweep.plan import Task

__all__ = ["Record", "perform"]

Record: TypeAlias = dict[str, object]
_Run = tuple[str, BookSpec, PolicySpec]
# These two tell of all policies that were replayed together, which is a matter of scheduling.
_OF_ALL_POLICIES = ("up to ", "contracts settle in ")


def perform(task: Task) -> list[Record]:
    """Do the runs of a task.

    Returns
    -------
    list of dict
        One record per run: ``id, status`` ("done" or "failed"), ``error``, ``figures``, ``steps`` (``ts_ns``,
        ``pnl_usd``, ``cost_usd``), ``warnings``. Nothing in it tells when or where the run was made.

    Raises
    ------
    ConfigError
        If the worker runs other code than the sweep was planned with.
    """
    if (own := code_version()) != task.code:
        raise ConfigError(
            f"expected a worker with the code {task.code}, found {own}; install the same version everywhere"
        )
    try:
        data = load_period(task.period)
        if data.version != task.data:
            raise DataError(
                f"period {task.period.name!r}: expected the content {task.data}, found {data.version}; the "
                "source has changed since the sweep was planned, or this worker sees another one"
            )
    except (IvHedgeError, OSError) as exc:
        return [_failed(run_id, exc) for run_id, _, _ in task.runs]
    return [record for runs in _by_book(task.runs) for record in _replayed(runs, task, data)]


def _by_book(runs: Sequence[_Run]) -> list[list[_Run]]:
    grouped: dict[str, list[_Run]] = {}
    for run in runs:
        grouped.setdefault(run[1].name, []).append(run)
    return list(grouped.values())


def _replayed(runs: Sequence[_Run], task: Task, data: PeriodData) -> list[Record]:
    """Policies of one book together; each on its own where one of them fails."""
    job = ReplayJob(
        runs[0][1], tuple(policy for _, _, policy in runs), task.replay, data.settlements, data.seed
    )
    result: BacktestResult | Exception
    try:
        (result,) = replay_jobs(data.looks, [job], diagnostics=False)
    except Exception as exc:  # a defect in one policy must not end the sweep; it is recorded
        result = exc
    if isinstance(result, BacktestResult):
        ids = [run_id for run_id, _, _ in runs]
        return [_done(run_id, found, result) for run_id, found in zip(ids, result.policies, strict=True)]
    if len(runs) == 1:
        return [_failed(runs[0][0], result)]
    return [record for run in runs for record in _replayed([run], task, data)]


def _failed(run_id: str, error: Exception) -> Record:
    return {
        "id": run_id,
        "status": "failed",
        "error": {"kind": type(error).__name__, "message": str(error)},
        "figures": {},
        "steps": {"ts_ns": [], "pnl_usd": [], "cost_usd": []},
        "warnings": [],
    }


def _done(run_id: str, policy: PolicyResult, result: BacktestResult) -> Record:
    steps = series.step_pnl(policy, result.numeraire)
    terms = series.attribution_usd(policy)
    costs = terms.select("ts", cost_usd=-(terms["fees"] + terms["slippage"]))
    joined = steps.join(costs, on="ts", how="left", maintain_order="left")
    return {
        "id": run_id,
        "status": "done",
        "error": None,
        "figures": {name: _known(policy.summary[name]) for name in sorted(policy.summary)},
        "steps": {
            "ts_ns": joined["ts"].dt.epoch("ns").to_list(),
            "pnl_usd": joined["pnl_usd"].to_list(),
            "cost_usd": joined["cost_usd"].fill_null(0.0).to_list(),
        },
        "warnings": [text for text in result.warnings if not text.startswith(_OF_ALL_POLICIES)],
    }


def _known(value: SummaryValue) -> SummaryValue:
    return None if isinstance(value, float) and not math.isfinite(value) else value
