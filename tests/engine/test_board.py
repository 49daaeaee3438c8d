import polars as pl
import pytest

from ivhedge.core import InstrumentKind
from ivhedge.engine.board import QuoteBoard, with_perpetual
from ivhedge.market import FUTURES_SCHEMA, MarketSnapshot, instrument_from_name

from ..risk._stub import StubSurface, option


@pytest.fixture(scope="module")
def look(looks):
    return looks[0]


def bare(look, futures=None):
    table = pl.DataFrame(schema=FUTURES_SCHEMA) if futures is None else futures
    return replace_parts(look, futures=table)


def replace_parts(look, **changes):
    parts = {name: getattr(look, name) for name in ("ts_ns", "underlying", "index", "chain", "futures")}
    return MarketSnapshot(**(parts | changes))


def perpetuals(look, venue):
    return look.futures.filter((pl.col("venue") == venue) & (pl.col("kind") == "perpetual"))


def test_a_recorded_perpetual_is_left_alone(look):
    assert perpetuals(look, "aurora").height == 1
    completed, made_up = with_perpetual(look, "aurora")
    assert completed is look
    assert not made_up


def test_a_missing_perpetual_stands_at_the_index_without_quotes(look):
    completed, made_up = with_perpetual(bare(look), "aurora")
    assert made_up
    assert completed.futures.schema == pl.Schema(FUTURES_SCHEMA)
    row = perpetuals(completed, "aurora").row(0, named=True)
    assert (row["instrument_name"], row["mark"], row["index"]) == ("BTC-PERPETUAL", look.index, look.index)
    assert row["ts"] == look.chain["ts"][0]
    assert row["bid"] is row["ask"] is row["bid_size"] is row["funding_8h"] is row["expiry"] is None
    assert completed.chain.equals(look.chain)


def test_another_venues_perpetual_does_not_stand_in(look):
    others = look.futures.filter(~((pl.col("venue") == "aurora") & (pl.col("kind") == "perpetual")))
    completed, made_up = with_perpetual(bare(look, others), "aurora")
    assert made_up
    assert completed.futures.height == others.height + 1
    assert with_perpetual(completed, "aurora") == (completed, False)


@pytest.fixture(scope="module")
def board(look):
    return QuoteBoard.of([look], {"BTC": StubSurface()})


def test_every_quote_is_found_under_its_key(board, look):
    assert len(board.rows) == look.chain.height + look.futures.height
    row = look.chain.filter(pl.col("bid").is_not_null()).row(0, named=True)
    found = board.rows[f"{row['venue']}:{row['instrument_name']}"]
    assert (found.bid, found.bid_size, found.forward) == (row["bid"], row["bid_size"], row["forward"])
    assert found.funding_8h is None
    future = look.futures.filter(pl.col("funding_8h").is_not_null()).row(0, named=True)
    known = board.rows[f"{future['venue']}:{future['instrument_name']}"]
    assert (known.mark, known.funding_8h, known.forward) == (future["mark"], future["funding_8h"], None)


def test_what_is_not_on_the_board_has_no_quote_but_an_index(board, look):
    unseen = board.quote(option(30, "90000", venue="aurora"))
    assert (unseen.bid, unseen.ask, unseen.mark, unseen.index) == (None, None, None, look.index)


def test_a_quote_carries_both_sides_and_the_index(board, look):
    row = perpetuals(look, "aurora").row(0, named=True)
    quote = board.quote(instrument_from_name("aurora", row["instrument_name"], underlying="BTC"))
    assert (quote.bid, quote.ask, quote.mark, quote.index) == (
        row["bid"],
        row["ask"],
        row["mark"],
        look.index,
    )


def test_nan_in_a_quote_is_missing(look):
    spoilt = look.chain.head(1).with_columns(bid=pl.lit(float("nan")), mark=pl.lit(float("nan")))
    made = QuoteBoard.of([replace_parts(look, chain=spoilt)], {})
    (row,) = (made.rows[f"{r['venue']}:{r['instrument_name']}"] for r in spoilt.iter_rows(named=True))
    assert row.bid is row.mark is None


def test_only_two_sided_living_options_of_the_venue_can_be_traded(look):
    aurora = look.chain.filter((pl.col("venue") == "aurora") & (pl.col("bid") > 0) & (pl.col("ask") > 0))
    first, second, third, fourth = (aurora[n] for n in range(4))
    chain = pl.concat(
        [
            first,
            second.with_columns(bid=pl.lit(None, pl.Float64)),
            third.with_columns(bid=pl.col("ask") * 2),
            fourth.with_columns(expiry=pl.col("ts")),
            look.chain.filter(pl.col("venue") == "cirrus").head(5),
        ]
    )
    made = QuoteBoard.of([replace_parts(look, chain=chain)], {})
    (only,) = made.options("BTC", "aurora")
    assert only.name == first["instrument_name"][0]
    assert only.kind is InstrumentKind.OPTION
