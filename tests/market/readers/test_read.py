"""Formats, windows and broken files."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, DataError, EmptyData, SchemaError, UnknownInstrument
from ivhedge.market import CHAIN_SCHEMA, FUTURES_SCHEMA, read_chains, read_futures

SUMMARY = {
    "instrument_name": "BTC-23MAY26-70000-C",
    "creation_timestamp": 1779460433267,
    "bid_price": 0.0855,
    "ask_price": 0.091,
    "mark_price": 0.0878,
    "mark_iv": 56.1,
    "underlying_price": 76_736.07,
    "estimated_delivery_price": 76_730.0,
    "open_interest": 3.0,
    "quote_currency": "BTC",
}
FUTURE = {
    "instrument_name": "BTC-5JUN26",
    "creation_timestamp": 1779460434086,
    "bid_price": 76_785.0,
    "ask_price": 76_787.5,
    "mark_price": 76_783.36,
    "estimated_delivery_price": 76_736.38,
    "quote_currency": "USD",
}
TARDIS_HEADER = (
    "exchange,symbol,timestamp,local_timestamp,type,strike_price,expiration,open_interest,last_price,bid_price,"
    "bid_amount,bid_iv,ask_price,ask_amount,ask_iv,mark_price,mark_iv,underlying_index,underlying_price,delta,"
    "gamma,vega,theta,rho"
)
MINUTE_US = 60_000_000
T0 = 1591574400 * 1_000_000  # 2020-06-08 00:00


def tardis_row(at_us: int, symbol: str, bid: str, index: str = "SYN.BTC-9JUN20", expires_us: int = 0) -> str:
    expiry = expires_us or 1591689600 * 1_000_000
    return (
        f"deribit,{symbol},{at_us - 1000},{at_us},call,10000,{expiry},0.2,0.03,{bid},4.5,54,0.0325,5.5,61,"
        f"0.0315,58.1,{index},9756.4,,,,,"
    )


def write_json(path, records):
    path.write_text(json.dumps({"jsonrpc": "2.0", "result": records}))
    return path


def test_deribit_chain_becomes_the_schema(deribit_file):
    table = read_chains(deribit_file)
    assert table.schema == pl.Schema(CHAIN_SCHEMA)
    first = table.row(0, named=True)
    assert (first["venue"], first["underlying"], first["settlement"]) == ("deribit", "BTC", "coin")
    assert first["bid_size"] is None
    assert first["ts_event"] is None
    assert table.select("ts", "expiry", "strike", "is_call").rows() == sorted(
        table.select("ts", "expiry", "strike", "is_call").rows()
    )


def test_directory_and_string_path_read_the_same(deribit_file):
    assert read_chains(str(deribit_file.parent.parent)).equals(read_chains(deribit_file))


def test_window_is_half_open(deribit_file):
    assert read_chains(deribit_file, start="2026-01-06")["ts"].n_unique() == 1
    assert read_chains(deribit_file, end="2026-01-05")["ts"].n_unique() == 1
    at_second = read_chains(deribit_file, start="2026-01-05T12:00", end="2026-01-06T12:00")
    assert at_second["ts"].unique().to_list() == [datetime(2026, 1, 5, 12, tzinfo=UTC)]


def test_window_without_snapshots_names_what_is_there(deribit_file):
    with pytest.raises(EmptyData, match=r"2026-01-05 12:00:00 to 2026-01-06 12:00:00"):
        read_chains(deribit_file, start="2026-02-01")


def test_unknown_underlying_names_what_is_there(deribit_file):
    with pytest.raises(UnknownInstrument, match=r"\['BTC'\], found 'DOGE'"):
        read_chains(deribit_file, underlying="DOGE")


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.json"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(EmptyData, match="empty file"):
        read_chains(tmp_path / name)


def test_file_without_rows(deribit_file):
    pl.read_parquet(deribit_file).clear().write_parquet(deribit_file)
    with pytest.raises(EmptyData, match="no snapshot at all"):
        read_chains(deribit_file)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_parquet(deribit_file, share):
    content = deribit_file.read_bytes()
    deribit_file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"2026-01\.parquet.*truncated"):
        read_chains(deribit_file)


def test_damaged_pages_inside_an_intact_footer(deribit_file):
    content = bytearray(deribit_file.read_bytes())
    content[4:200] = b"\x00" * 196
    deribit_file.write_bytes(bytes(content))
    with pytest.raises(DataError, match="truncated or mistyped"):
        read_chains(deribit_file)


def test_a_truncated_file_in_a_directory_is_not_passed_over(deribit_file):
    (deribit_file.parent / "2026-02.parquet").write_bytes(deribit_file.read_bytes()[:500])
    with pytest.raises(DataError, match=r"2026-02\.parquet"):
        read_chains(deribit_file.parent)


def test_missing_column_is_named(deribit_file):
    pl.read_parquet(deribit_file).drop("bid_price").write_parquet(deribit_file)
    with pytest.raises(SchemaError, match=r"nearest is 'deribit_chains', missing \['bid_price'\]"):
        read_chains(deribit_file)


def test_wrong_file_says_what_was_found(tmp_path):
    pl.DataFrame({"open": [1.0], "close": [2.0]}).write_parquet(tmp_path / "candles.parquet")
    with pytest.raises(SchemaError, match=r"found columns \['close', 'open'\]"):
        read_chains(tmp_path)


def test_wrong_type_in_a_column(deribit_file):
    pl.read_parquet(deribit_file).with_columns(bid_price=pl.lit("a lot")).write_parquet(deribit_file)
    with pytest.raises(DataError, match="mistyped"):
        read_chains(deribit_file)


@pytest.mark.parametrize(
    "times",
    [pl.col("timestamp").cast(pl.Int64), pl.col("timestamp").dt.replace_time_zone(None)],
    ids=["microseconds as a number", "no zone"],
)
def test_times_without_unit_or_zone_are_not_guessed(deribit_file, times):
    pl.read_parquet(deribit_file).with_columns(times).write_parquet(deribit_file)
    with pytest.raises(SchemaError, match=r"2026-01\.parquet: expected times with the zone UTC.*'timestamp'"):
        read_chains(deribit_file)


def test_rows_without_a_time(deribit_file):
    undated = pl.when(pl.int_range(pl.len()) != 3).then(pl.col("timestamp")).alias("timestamp")
    pl.read_parquet(deribit_file).with_columns(undated).write_parquet(deribit_file)
    with pytest.raises(DataError, match="found 1 of 28 without"):
        read_chains(deribit_file)


def test_own_file_in_another_time_unit_comes_out_in_the_schema(tmp_path, make_chain):
    coarse = make_chain().with_columns(pl.col("ts", "expiry").cast(pl.Datetime("ms", "UTC")))
    coarse.write_parquet(tmp_path / "chain.parquet")
    assert read_chains(tmp_path / "chain.parquet", start="2026-01-05").equals(make_chain())


def test_explicit_format_is_enforced(deribit_file):
    assert read_chains(deribit_file, fmt="deribit_chains").height == 28
    with pytest.raises(SchemaError, match="deribit_tickers"):
        read_chains(deribit_file, fmt="deribit_tickers")
    with pytest.raises(ConfigError, match="fmt 'auto' or one of"):
        read_chains(deribit_file, fmt="excel")


def test_no_such_path_and_no_such_files(tmp_path):
    with pytest.raises(ConfigError, match="found nothing at"):
        read_chains(tmp_path / "nowhere")
    with pytest.raises(EmptyData, match="found none"):
        read_chains(tmp_path)


def test_own_parquet_round_trip(tmp_path, make_chain, make_future):
    make_chain().write_parquet(tmp_path / "chain.parquet")
    make_future(mark=90_000.0).write_parquet(tmp_path / "futures.parquet")
    table = read_chains(tmp_path)
    assert table.equals(make_chain())
    assert read_futures(tmp_path).equals(make_future(mark=90_000.0))


def test_rest_options(tmp_path):
    path = write_json(
        tmp_path / "options.json", [SUMMARY, SUMMARY | {"instrument_name": "BTC-23MAY26-70000-P"}]
    )
    table = read_chains(path)
    row = table.filter(pl.col("is_call")).row(0, named=True)
    assert row["mark_iv"] == pytest.approx(0.561)
    assert row["expiry"] == datetime(2026, 5, 23, 8, tzinfo=UTC)
    assert row["strike"] == 70_000.0
    assert row["index"] == 76_730.0
    assert table["ts"].n_unique() == 1


def test_rest_linear_and_fractional_strike(tmp_path):
    path = write_json(tmp_path / "o.json", [SUMMARY | {"instrument_name": "XRP_USDC-5JUN26-1d25-P"}])
    row = read_chains(path).row(0, named=True)
    assert (row["underlying"], row["settlement"], row["strike"], row["is_call"]) == (
        "XRP",
        "usd",
        1.25,
        False,
    )


def test_rest_futures_and_other_files_in_one_directory(tmp_path):
    write_json(tmp_path / "options.json", [SUMMARY])
    write_json(
        tmp_path / "futures.json", [FUTURE, FUTURE | {"instrument_name": "BTC-PERPETUAL", "funding_8h": 1e-5}]
    )
    write_json(tmp_path / "instruments.json", [{"instrument_name": "BTC-5JUN26", "tick_size": 2.5}])
    futures = read_futures(tmp_path)
    assert futures.schema == pl.Schema(FUTURES_SCHEMA)
    assert futures["kind"].to_list() == ["perpetual", "future"]
    assert futures["funding_8h"].to_list() == [1e-5, None]
    assert read_chains(tmp_path).height == 1


def test_json_cut_in_the_middle(tmp_path):
    path = write_json(tmp_path / "options.json", [SUMMARY] * 3)
    path.write_text(path.read_text()[:200])
    with pytest.raises(DataError, match="complete JSON document"):
        read_chains(path)


@pytest.mark.parametrize("content", ["[]", '{"result": []}'])
def test_json_without_records(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(EmptyData, match=r"x\.json: expected records"):
        read_chains(tmp_path / "x.json")
    write_json(tmp_path / "options.json", [SUMMARY])
    assert read_chains(tmp_path).height == 1


@pytest.mark.parametrize("content", ['{"result": 5}', '{"result": [1, 2]}', '"text"'])
def test_json_of_another_shape(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(SchemaError, match="list of records"):
        read_chains(tmp_path / "x.json")


def test_json_with_text_for_a_number(tmp_path):
    path = write_json(tmp_path / "options.json", [SUMMARY | {"bid_price": "0.1x"}])
    with pytest.raises(SchemaError, match="expected numbers"):
        read_chains(path)


def test_ticker_sizes_are_in_contracts(tmp_path):
    at = pl.Series(
        [datetime(2026, 1, 15, 0, 30, s, tzinfo=UTC) for s in (4, 9)], dtype=pl.Datetime("us", "UTC")
    )
    futures = {
        "dump": ["2026-01-14"] * 2,
        "timestamp": at,
        "instrument_name": ["BTC-PERPETUAL", "BTC-16JAN26"],
        "expiry": pl.Series([None, datetime(2026, 1, 16, 8, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC")),
        "contract_size": [10.0] * 2,
        "best_bid_price": [96_717.5] * 2,
        "best_bid_amount": [17_860.0] * 2,
        "best_ask_price": [96_727.5] * 2,
        "best_ask_amount": [13_930.0] * 2,
        "mark_price": [96_720.0] * 2,
        "index_price": [96_736.0] * 2,
        "funding_8h": [1e-5, None],
    }
    pl.DataFrame(futures).write_parquet(tmp_path / "futures.parquet")
    table = read_futures(tmp_path)
    assert table["kind"].to_list() == ["perpetual", "future"]
    # The venue gives USD; a contract is 10 USD.
    assert table.select("bid_size", "ask_size").rows() == [(1_786.0, 1_393.0)] * 2
    # One time for the dump, that of its last row: nothing lies ahead of it.
    assert table["ts"].to_list() == [at[1]] * 2
    assert table["ts_event"].to_list() == at.to_list()
    option = {"strike": 90_000.0, "is_call": True, "underlying_price": 96_740.0, "mark_iv": 0.5}
    options = pl.DataFrame(futures).with_columns(
        instrument_name=pl.lit("BTC-16JAN26-90000-C"),
        open_interest=pl.lit(500.0),
        **{k: pl.lit(v) for k, v in option.items()},
    )
    options.write_parquet(tmp_path / "options.parquet")
    sizes = read_chains(tmp_path).select("bid_size", "ask_size", "open_interest")
    assert sizes.rows() == [(1_786.0, 1_393.0, 50.0)] * 2


def test_tardis_is_sampled_on_arrival_without_look_ahead(tmp_path):
    rows = [
        tardis_row(T0 + 10, "BTC-9JUN20-10000-C", "0.030"),
        tardis_row(T0 + MINUTE_US, "BTC-9JUN20-10000-C", "0.031"),
        tardis_row(T0 + MINUTE_US + 1, "BTC-9JUN20-10000-C", "0.032"),
        tardis_row(T0 + 20, "BTC-9JUN20-9000-C", "", "index_price"),
    ]
    path = tmp_path / "options_chain.csv"
    path.write_text("\n".join([TARDIS_HEADER, *rows]) + "\n")
    table = read_chains(path, sample="1min")
    calls = table.filter(pl.col("instrument_name") == "BTC-9JUN20-10000-C")
    # The update that arrived exactly on the grid belongs to it, the one a microsecond later does not.
    assert calls["bid"].to_list() == [0.031, 0.032]
    other = table.filter(pl.col("instrument_name") == "BTC-9JUN20-9000-C")
    assert other["bid"].to_list() == [None, None]
    assert other["index"].to_list() == [9756.4, 9756.4]
    assert calls["index"].null_count() == 2
    assert calls["mark_iv"][0] == pytest.approx(0.581)
    assert (table["ts_recv"] <= table["ts"]).all()


def test_tardis_window_keeps_quotes_that_arrived_before_it(tmp_path):
    rows = [
        tardis_row(T0 + 10, "BTC-9JUN20-10000-C", "0.030"),
        tardis_row(T0 + 5 * MINUTE_US, "BTC-9JUN20-9000-C", "0.08"),
    ]
    path = tmp_path / "options_chain.csv"
    path.write_text("\n".join([TARDIS_HEADER, *rows]) + "\n")
    table = read_chains(path, start="2020-06-08T00:03", end="2020-06-08T00:05")
    assert table["bid"].to_list() == [0.03, 0.03]
    assert read_chains(path, sample=None).height == 2


def test_tardis_drops_an_option_after_its_expiry(tmp_path):
    rows = [
        tardis_row(T0 + 10, "BTC-8JUN20-10000-C", "0.030", expires_us=T0 + 2 * MINUTE_US),
        tardis_row(T0 + 4 * MINUTE_US, "BTC-9JUN20-9000-C", "0.08"),
    ]
    path = tmp_path / "options_chain.csv"
    path.write_text("\n".join([TARDIS_HEADER, *rows]) + "\n")
    assert read_chains(path).filter(pl.col("instrument_name").str.contains("8JUN")).height == 1


@pytest.mark.parametrize("cut", [60, 40, 5])
def test_tardis_cut_inside_its_last_line(tmp_path, cut):
    rows = [tardis_row(T0 + 10, "BTC-9JUN20-10000-C", "0.030")] * 2
    path = tmp_path / "options_chain.csv"
    path.write_text("\n".join([TARDIS_HEADER, *rows])[:-cut])
    with pytest.raises(
        DataError, match=r"options_chain\.csv: expected 24 fields in the last line.*truncated"
    ):
        read_chains(path)


def test_tardis_stamp_in_another_unit_asks_for_no_endless_grid(tmp_path):
    rows = [tardis_row(at, "BTC-9JUN20-10000-C", "0.030", expires_us=T0 + 10**12) for at in (T0 // 10**6, T0)]
    path = tmp_path / "options_chain.csv"
    path.write_text("\n".join([TARDIS_HEADER, *rows]) + "\n")
    with pytest.raises(DataError, match=r"options_chain\.csv.*arrivals from 1970-01-01.*microseconds"):
        read_chains(path)


@pytest.mark.parametrize("sample", ["", "1", "min", "0min", "-1s", "1 day"])
def test_nonsense_sampling_step(deribit_file, sample):
    with pytest.raises(ConfigError, match="sampling step"):
        read_chains(deribit_file, sample=sample)


def test_futures_beside_the_chain_directory(deribit_file):
    stamps = pl.Series([datetime(2026, 1, 5, 12, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    base = {
        "timestamp": stamps,
        "currency": ["BTC"],
        "instrument_name": ["BTC-PERPETUAL"],
        "price": [90_000.0],
        "price_timestamp": stamps,
        "candle_volume_coin": [0.0],
    }
    root = deribit_file.parent.parent
    pl.DataFrame(base).write_parquet(root / "perpetual_marks.parquet")
    dated = base | {"instrument_name": ["BTC-27MAR26"], "chain_underlying_price": [91_000.0]}
    pl.DataFrame(dated).write_parquet(root / "term_futures_marks.parquet")
    for source in (deribit_file, deribit_file.parent, root):
        futures = read_futures(source)
        assert futures["kind"].to_list() == ["perpetual", "future"]
        # The dated candle had no trade: the chain's own forward is the better mark.
        assert futures["mark"].to_list() == [90_000.0, 91_000.0]
        assert futures["bid"].null_count() == 2


def test_no_futures_recorded(deribit_file):
    with pytest.raises(EmptyData, match="go without futures"):
        read_futures(deribit_file)
    assert read_futures(deribit_file, missing_ok=True).is_empty()
