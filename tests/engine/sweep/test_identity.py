"""Ids of runs over recorded data: they follow the rows of the window, not the files."""

from dataclasses import replace

import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, EmptyData
from ivhedge.engine.sweep import Exclusion, RecordedPeriod, plan_runs
from ivhedge.engine.sweep.identity import canonical, code_version, data_version, digest
from ivhedge.engine.sweep.periods import load_period
from ivhedge.pricing.jit import jit_available


@pytest.fixture(scope="module")
def chains(short):
    return pl.concat([look.chain for look in load_period(short.periods[0]).looks])


@pytest.fixture
def recorded(short, chains, tmp_path):
    """A sweep over the first three snapshots of the path, written as a recording."""
    times = chains["ts"].unique().sort()
    chains.filter(pl.col("ts") <= times[2]).write_parquet(tmp_path / "chains.parquet")
    period = RecordedPeriod(
        name="window", underlying="BTC", source=tmp_path, start=str(times[0])[:19], end=str(times[3])[:19]
    )
    return replace(short, periods=(period,))


def ids(spec):
    return {run.id for run in plan_runs(spec)[0]}


def test_the_rows_of_the_window_decide(recorded, chains, tmp_path):
    first = ids(recorded)
    (tmp_path / "chains.parquet").unlink()
    chains.write_parquet(tmp_path / "renamed.parquet")  # two later snapshots, outside the window
    assert ids(recorded) == first
    strikes = chains["strike"].to_list()
    strikes[5] += 1e-9
    nudged = chains.with_columns(strike=pl.Series(strikes))
    nudged.write_parquet(tmp_path / "renamed.parquet")
    assert not ids(recorded) & first


def test_an_empty_window_is_named(recorded):
    nothing = replace(recorded.periods[0], start="2001-01-01", end="2001-01-03")
    with pytest.raises(EmptyData, match="period 'window' of BTC"):
        plan_runs(replace(recorded, periods=(nothing,)))
    one = replace(recorded.periods[0], end=recorded.periods[0].start[:-2] + "01")
    with pytest.raises(EmptyData, match="two times or more"):
        plan_runs(replace(recorded, periods=(one,)))


def test_exclusions_leave_out_what_they_name_and_nothing_else(short):
    runs = {run.variant for run in plan_runs(short)[0]}
    narrow = replace(short, exclusions=(Exclusion(policy="band", parameters={"delta_band": 0.01}),))
    assert runs - {run.variant for run in plan_runs(narrow)[0]} == {"band 0.01"}
    assert narrow.n_runs == short.n_runs - 1
    elsewhere = Exclusion(policy="none", parameters={"delta_band": 0.01})
    assert replace(short, exclusions=(elsewhere,)).n_runs == short.n_runs
    everything = replace(short, exclusions=(Exclusion(market=short.markets[0]),))
    with pytest.raises(ConfigError, match="leave no run"):
        plan_runs(everything)


def test_digests_tell_parts_apart():
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
    assert canonical({"b": 1, "a": 0.1}) == canonical({"a": 0.1, "b": 1})
    table = pl.DataFrame({"x": [1.0, None]})
    assert data_version(table) != data_version(pl.DataFrame({"x": [1.0, float("nan")]}))
    assert data_version(table) == data_version(table.clone())


def test_recorded_periods_come_in_order_and_apart(recorded):
    first = recorded.periods[0]

    def spec(*windows):
        named = (
            replace(first, name=f"p{place}", start=start, end=end)
            for place, (start, end) in enumerate(windows)
        )
        return replace(recorded, periods=tuple(named))

    # A bare date as the end holds that day; the next period may begin with the day after.
    assert spec(("2026-01-01", "2026-01-31"), ("2026-02-01", "2026-02-28")).markets == ("BTC",)
    for second in (("2026-01-31", "2026-02-28"), ("2025-12-01", "2025-12-31")):
        with pytest.raises(ConfigError, match=r"BTC.*order of time.*'p1'.*'p0'"):
            spec(("2026-01-01", "2026-01-31"), second)


def test_what_decides_a_result_is_in_the_code_version(monkeypatch):
    before = code_version()
    code_version.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("ivhedge.engine.sweep.identity.jit_available", lambda: not jit_available())
        assert code_version() != before
    code_version.cache_clear()
    assert code_version() == before
