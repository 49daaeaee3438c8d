from datetime import timedelta

import polars as pl
import pytest

from ivhedge.core.errors import EmptyData, SchemaError
from ivhedge.market import snapshots

NULL = pl.lit(None, pl.Float64)


def test_one_snapshot_per_time_and_coin_in_order(make_chain):
    ts = make_chain()["ts"][0]
    later = make_chain(ts=ts + timedelta(hours=6))
    eth = make_chain(underlying="ETH", forward=3_000.0, strikes=[3e3])
    cut = list(snapshots(pl.concat([later, eth, make_chain()])))
    assert [(s.underlying, s.chain.height) for s in cut] == [("BTC", 14), ("ETH", 2), ("BTC", 14)]
    assert [s.ts_ns for s in cut] == sorted(s.ts_ns for s in cut)
    assert cut[0].index == 89_900.0
    assert cut[0].futures.is_empty()
    assert [s.underlying for s in snapshots(pl.concat([make_chain(), eth]), underlying="ETH")] == ["ETH"]


@pytest.mark.parametrize(("lag_s", "found"), [(0, True), (119, True), (121, False), (-4, True), (-6, False)])
def test_futures_of_nearly_the_same_time(make_chain, make_future, lag_s, found):
    ts = make_chain()["ts"][0]
    future = make_future(ts=ts - timedelta(seconds=lag_s), mark=90_000.0)
    (snapshot,) = snapshots(make_chain(), future)
    assert (snapshot.futures.height == 1) == found


def test_latest_earlier_futures_are_preferred_to_later_ones(make_chain, make_future):
    ts = make_chain()["ts"][0]
    rows = [make_future(ts=ts + timedelta(seconds=s), mark=90_000.0 + s) for s in (-60, -30, 1)]
    (snapshot,) = snapshots(make_chain(), pl.concat(rows))
    assert snapshot.futures["mark"].to_list() == [89_970.0]


def test_futures_without_an_index_get_the_chains(make_chain, make_future):
    (snapshot,) = snapshots(make_chain(), make_future(mark=1.0))
    assert snapshot.futures["index"].to_list() == [89_900.0]


def test_index_falls_back_to_futures_then_to_the_nearest_forward(make_chain, make_future):
    chain = make_chain().with_columns(index=NULL)
    (with_future,) = snapshots(chain, make_future(index=89_950.0))
    assert with_future.index == 89_950.0
    (bare,) = snapshots(chain)
    assert bare.index == 90_000.0
    with pytest.raises(SchemaError, match="index or a forward"):
        list(snapshots(chain.with_columns(forward=NULL)))


def test_nothing_to_cut(make_chain):
    with pytest.raises(EmptyData):
        snapshots(make_chain().clear())
    with pytest.raises(EmptyData):
        snapshots(make_chain(), underlying="ETH")
    with pytest.raises(SchemaError, match="chains"):
        snapshots(make_chain().drop("ask"))


@pytest.mark.parametrize("column", ["ts", "underlying"])
def test_rows_that_belong_to_no_snapshot(make_chain, column):
    chain = make_chain().with_columns(pl.when(pl.int_range(pl.len()) > 0).then(pl.col(column)).alias(column))
    with pytest.raises(SchemaError, match=r"found 1 rows without.*BTC-27MAR26-70000-P"):
        snapshots(chain)
    (snapshot,) = snapshots(chain.filter(pl.col("ts").is_not_null()), underlying="BTC")
    assert snapshot.chain.height == 13
