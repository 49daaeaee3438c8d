import os
from datetime import timedelta

import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, DataError, EmptyData, SchemaError
from ivhedge.market import read_chains, read_futures
from ivhedge.market.store import ChainStore


@pytest.fixture
def week(make_chain):
    ts = make_chain()["ts"][0]
    return pl.concat([make_chain(ts=ts + timedelta(days=day)) for day in range(3)])


@pytest.fixture
def store(tmp_path):
    return ChainStore(tmp_path / "store")


def sorted_rows(table):
    return table.sort("ts", "venue", "instrument_name")


def test_what_goes_in_comes_out(store, week, make_future):
    report = store.ingest(week)
    assert (report.rows_added, report.rows_replaced, report.partitions) == (42, 0, 3)
    assert sorted_rows(store.chains()).equals(sorted_rows(week))
    assert store.ingest_futures(make_future(mark=9.0)).rows_added == 1
    assert store.futures().equals(make_future(mark=9.0))
    assert sorted_rows(read_chains(store.root)).equals(sorted_rows(week))
    assert read_futures(store.root).height == 1


def test_layout_is_hive_style(store, week):
    store.ingest(week)
    assert (store.root / "chains/venue=deribit/underlying=BTC/date=2026-01-06/part.parquet").is_file()


def test_ingest_again_changes_nothing_and_newer_rows_replace(store, week):
    store.ingest(week)
    again = store.ingest(week)
    assert (again.rows_added, again.rows_replaced) == (0, 42)
    assert sorted_rows(store.chains()).equals(sorted_rows(week))
    report = store.ingest(week.head(2).with_columns(bid=pl.lit(0.123)))
    assert (report.rows_added, report.rows_replaced, report.partitions) == (0, 2, 1)
    assert store.chains().height == 42
    assert store.chains().filter(pl.col("bid") == 0.123).height == 2


def test_repeated_rows_in_one_ingest_are_counted(store, week):
    report = store.ingest(pl.concat([week, week.head(5)]))
    assert (report.rows_added, report.rows_merged) == (42, 5)


def test_a_failure_midway_loses_nothing(store, week, monkeypatch):
    store.ingest(week)
    changed = week.with_columns(bid=pl.lit(0.5))
    real, calls = os.replace, []

    def failing(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("no space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(DataError, match=r"no space left.*what was there before still is"):
        store.ingest(changed)
    monkeypatch.undo()
    kept = store.chains()
    assert kept.height == 42
    # The first day is new, the other two are whole and old.
    assert kept.filter(pl.col("bid") == 0.5)["ts"].dt.date().unique().len() == 1
    assert not list(store.root.rglob("*.tmp"))
    store.ingest(changed)
    assert (store.chains()["bid"] == 0.5).all()


def test_a_failure_while_writing_leaves_the_old_file(store, week, monkeypatch):
    store.ingest(week)

    def failing(self, target, **options):
        target.write_bytes(b"PAR1 half a file")
        raise OSError("disk full")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", failing)
    with pytest.raises(DataError, match="disk full"):
        store.ingest(week.with_columns(bid=pl.lit(0.5)))
    monkeypatch.undo()
    assert sorted_rows(store.chains()).equals(sorted_rows(week))
    assert not list(store.root.rglob("*.tmp"))


def test_damaged_partition_is_named_and_not_overwritten(store, week):
    store.ingest(week)
    path = next(store.root.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    for attempt in (lambda: store.ingest(week), store.chains, store.coverage):
        with pytest.raises(DataError):
            attempt()
    assert path.stat().st_size == 100


def test_coverage(store, week, make_chain, make_future):
    store.ingest(pl.concat([week, make_chain(venue="aurora")]))
    store.ingest_futures(make_future(mark=9.0))
    rows = store.coverage().rows(named=True)
    assert [(r["table"], r["venue"], r["snapshots"], r["rows"], r["days"]) for r in rows] == [
        ("chains", "aurora", 1, 14, 1),
        ("chains", "deribit", 3, 42, 3),
        ("futures", "deribit", 1, 1, 1),
    ]
    assert rows[1]["first"] == week["ts"].min()


def test_query(store, week):
    store.ingest(week)
    counted = store.query(
        "SELECT venue, date, count(*) AS n, min(ts) AS first FROM chains GROUP BY ALL ORDER BY date"
    )
    assert counted["n"].to_list() == [14, 14, 14]
    assert counted["first"][0] == week["ts"].min()
    assert str(counted["date"][1]) == "2026-01-06"
    back = store.query("SELECT bid_size, ts_event FROM chains WHERE strike < 0")
    assert back.is_empty()


def test_query_keeps_nulls(store, week):
    store.ingest(week.with_columns(bid=pl.when(pl.col("is_call")).then("bid")))
    found = store.query("SELECT bid, NULL::VARCHAR AS note FROM chains")
    assert found["bid"].null_count() == 21
    assert found["note"].null_count() == 42


@pytest.mark.parametrize(
    "sql",
    ["DROP VIEW chains", "SELECT 1; SELECT 2", "COPY chains TO 'x.csv'", "selec", "", "SET threads = 1"],
)
def test_only_one_select(store, week, sql):
    store.ingest(week)
    with pytest.raises(ConfigError, match="expected one SELECT"):
        store.query(sql)


def test_query_may_not_read_elsewhere(store, week, tmp_path):
    store.ingest(week)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(DataError, match="query failed"):
        store.query(f"SELECT * FROM read_csv('{secret}')")


def test_unknown_column(store, week):
    store.ingest(week)
    with pytest.raises(DataError, match="nope"):
        store.query("SELECT nope FROM chains")


def test_export(store, week, tmp_path):
    store.ingest(week)
    target = tmp_path / "out.parquet"
    assert store.export(target, start="2026-01-06") == 28
    assert read_chains(target).height == 28
    with pytest.raises(ConfigError, match=r"\.parquet"):
        store.export(tmp_path / "out.csv")


def test_empty_store(store, make_chain):
    for attempt in (store.chains, store.futures, store.coverage, lambda: store.query("SELECT 1")):
        with pytest.raises(EmptyData, match="ingest a recording first"):
            attempt()
    with pytest.raises(EmptyData, match="rows to ingest"):
        store.ingest(make_chain().clear())


@pytest.mark.parametrize("venue", ["../up", "a/b", "", ".hidden"])
def test_venue_that_is_no_plain_name(store, make_chain, venue):
    with pytest.raises(SchemaError, match="plain venue"):
        store.ingest(pl.concat([make_chain(), make_chain(venue=venue)]))
    assert not list(store.root.rglob("*.parquet"))


def test_null_key(store, make_chain):
    chain = make_chain().with_columns(venue=pl.lit(None, pl.String))
    with pytest.raises(SchemaError, match="found nulls"):
        store.ingest(chain)


def test_root_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="found a file"):
        ChainStore(tmp_path / "file")
