"""Resuming, and the same bits whoever does the work."""

import json
from dataclasses import dataclass, replace

import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.engine import PolicyKind, PolicySpec, ReplayConfig
from ivhedge.engine.replay import ReplayJob, replay, replay_jobs
from ivhedge.engine.settlement import SettlementPrices
from ivhedge.engine.sweep import DaskCluster, ProcessPool, Serial, Variant, plan_runs, run_sweep
from ivhedge.engine.sweep import work as work_module
from ivhedge.engine.sweep.periods import load_period
from ivhedge.engine.sweep.plan import tasks_of
from ivhedge.engine.sweep.work import perform
from tests.engine.sweep.conftest import contents


@dataclass
class Interrupted:
    """Does the first task and is then interrupted, as by Ctrl-C."""

    n_workers: int = 1

    def records(self, tasks):
        yield perform(tasks[0])
        raise KeyboardInterrupt


class Forbidden:
    """Must not be asked for anything."""

    n_workers = 1

    def records(self, tasks):
        raise AssertionError(f"{len(tasks)} tasks were run again")


def test_an_interrupted_sweep_goes_on_and_ends_with_the_same_bits(spec, finished, tmp_path):
    result, folder = finished
    with pytest.raises(KeyboardInterrupt):
        run_sweep(spec, tmp_path, backend=Interrupted())
    half = contents(tmp_path)
    assert 0 < len(half) < len(result.runs)
    seen = []
    again = run_sweep(spec, tmp_path, resume=True, progress=lambda done, total: seen.append((done, total)))
    assert contents(tmp_path) == contents(folder)
    assert seen[0] == (len(half), len(result.runs))
    assert seen[-1] == (len(result.runs), len(result.runs))
    assert again.comparison_table().equals(result.comparison_table())


def test_nothing_is_run_twice(spec, finished):
    result, folder = finished
    again = run_sweep(spec, folder, backend=Forbidden(), resume=True)
    assert again.run_table().equals(result.run_table())
    assert again.fold_table().equals(result.fold_table())


def test_a_folder_with_runs_is_taken_on_request_only(spec, finished):
    with pytest.raises(ConfigError, match="--resume"):
        run_sweep(spec, finished[1])


def test_a_half_written_record_is_made_again(short, finished, tmp_path):
    runs, _ = plan_runs(short)
    (tmp_path / "runs").mkdir()
    for run in runs:
        source = finished[1] / "runs" / f"{run.id}.json"
        (tmp_path / "runs" / source.name).write_bytes(source.read_bytes())
    (tmp_path / "runs" / f"{runs[0].id}.json").write_bytes(b'{"id": "trunc')
    run_sweep(short, tmp_path, resume=True)
    found = contents(tmp_path)
    assert found == {name: contents(finished[1])[name] for name in found}


@pytest.mark.slow
def test_two_processes_give_the_same_bits(spec, finished, tmp_path):
    run_sweep(spec, tmp_path, backend=ProcessPool(2))
    assert contents(tmp_path) == contents(finished[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_gives_the_same_bits(spec, finished, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra [scale] is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        run_sweep(spec, tmp_path, backend=DaskCluster(cluster.scheduler_address))
    assert contents(tmp_path) == contents(finished[1])


def test_split_tasks_give_the_same_records(short, finished):
    """More workers than periods: policies of one pass are done apart."""
    _, tasks = plan_runs(short)
    split = tasks_of(tasks, (), 3)
    assert [len(task.runs) for task in split] == [1, 1, 1]
    for record in perform(split[-1]):
        kept = (finished[1] / "runs" / f"{record['id']}.json").read_text()
        assert json.loads(kept) == record


def test_books_in_one_pass_are_books_on_their_own(short):
    data = load_period(short.periods[0])
    policies = tuple(variant.spec for variant in short.variants[:2])
    usd = ReplayConfig(name="usd", numeraire="usd")
    jobs = [ReplayJob(short.books[0], policies, config, data.settlements) for config in (short.replay, usd)]
    together = replay_jobs(data.looks, jobs)
    for found, job in zip(together, jobs, strict=True):
        alone = replay(data.looks, job.book, job.policies, job.config, settlements=data.settlements)
        for one, other in zip(found.policies, alone.policies, strict=True):
            assert one.equity.equals(other.equity)
            assert one.attribution.equals(other.attribution)
            assert one.trades.equals(other.trades)
        assert found.term.equals(alone.term)


def test_an_error_ends_one_job_alone(short):
    data = load_period(short.periods[0])
    policies = (short.variants[0].spec,)
    lost = replace(short.books[0], venue="boreal-nowhere")
    bad, good = replay_jobs(
        data.looks,
        [
            ReplayJob(lost, policies, short.replay, data.settlements),
            ReplayJob(short.books[0], policies, short.replay, data.settlements),
        ],
    )
    assert isinstance(bad, ConfigError)
    assert good.n_snapshots == len(data.looks)


def test_a_defect_fails_its_own_run_and_is_tried_again(short, tmp_path, monkeypatch):
    broken = "band 0.05"
    true = work_module.replay_jobs

    def fails(looks, jobs, **more):
        if any(policy.name == broken for job in jobs for policy in job.policies):
            raise ZeroDivisionError("a defect")
        return true(looks, jobs, **more)

    monkeypatch.setattr(work_module, "replay_jobs", fails)
    result = run_sweep(short, tmp_path)
    ((run, words),) = result.failed
    assert run.variant == broken
    assert words == "ZeroDivisionError: a defect"
    assert result.cells[0].cell.left_out == (broken,)
    monkeypatch.setattr(work_module, "replay_jobs", true)
    again = run_sweep(short, tmp_path, resume=True)
    assert not again.failed
    assert again.cells[0].cell.left_out == ()


def test_an_id_follows_what_matters_and_no_label(short):
    def ids(spec):
        return [run.id for run in plan_runs(spec)[0]]

    first = ids(short)
    renamed = replace(short, books=(replace(short.books[0], name="other"),))
    assert ids(renamed) == first
    for changed in (
        replace(short, replay=replace(short.replay, risk_price=0.2)),
        replace(short, periods=(replace(short.periods[0], seed=9),)),
        replace(short, books=(replace(short.books[0], collateral_usd=1.0),)),
    ):
        assert not set(ids(changed)) & set(first)


def test_other_code_makes_other_ids_and_is_refused_by_a_worker(short, monkeypatch):
    from ivhedge.engine.sweep import plan as plan_module

    _, tasks = plan_runs(short)
    monkeypatch.setattr(plan_module, "code_version", lambda: "other")
    assert {r.id for r in plan_runs(short)[0]} & {r[0] for r in tasks[0].runs} == set()
    with pytest.raises(ConfigError, match="install the same version"):
        perform(replace(tasks[0], code="other"))


def test_changed_data_is_an_error_of_its_runs(short):
    _, (task,) = plan_runs(short)
    records = perform(replace(task, data="0" * 20))
    assert {record["status"] for record in records} == {"failed"}
    assert "has changed" in records[0]["error"]["message"]


def test_the_same_variant_twice_is_refused(short):
    twin = Variant(policy="twin", spec=PolicySpec(name="twin", kind=PolicyKind.NONE))
    with pytest.raises(ConfigError, match="one and the same"):
        plan_runs(replace(short, variants=(*short.variants, twin)))


def test_no_scheduler_is_a_plain_error(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra [scale] is not installed")

    def nobody(*_args, **_more):
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", nobody)
    with pytest.raises(ConfigError, match="dask scheduler"):
        _ = DaskCluster("tcp://127.0.0.1:1").n_workers


def test_without_the_extra_it_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"ivhedge\[scale\]"):
        _ = DaskCluster("tcp://127.0.0.1:1").n_workers


def test_settlement_prices_of_a_path_are_its_own(short):
    data = load_period(short.periods[0])
    assert isinstance(data.settlements, SettlementPrices)
    assert data.settlements.known
    assert Serial().n_workers == 1


def test_an_address_that_is_none_is_refused_at_once():
    with pytest.raises(ConfigError, match="tcp://host:port"):
        DaskCluster("http://10.0.0.1:8786")
