"""Tapes: what is written is read, and what is no tape is refused in words."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, EmptyData, SchemaError
from ivhedge.market.tape import (
    INSTRUMENT_SCHEMA,
    MESSAGE_SCHEMA,
    Tape,
    TapeWriter,
    read_tape,
    tape_info,
    write_tape,
)

T0 = 1_767_614_400_000_000_000
NUMBER = st.none() | st.floats(allow_nan=True, allow_infinity=True)
TIME = st.integers(T0, T0 + 10**15)
ROW = st.tuples(
    st.none() | st.integers(0, 2**62), TIME, st.none() | TIME, st.sampled_from(["a", "ü,\"b"]),
    st.none() | st.text(max_size=5), NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER,
)  # fmt: skip


def listed(names=("X", "Y")):
    n = len(names)
    return pl.DataFrame(
        {
            "venue": ["a"] * n,
            "instrument_name": list(names),
            "expiry": [T0 + 10**15] * n,
            "strike": [1000.5 + i for i in range(n)],
            "is_call": [True] * n,
            "settlement": ["coin"] * n,
        }
    ).select(pl.col(k).cast(v) for k, v in INSTRUMENT_SCHEMA.items())


def messages(rows):
    whole = {**MESSAGE_SCHEMA, "ts_recv": pl.Int64(), "ts_event": pl.Int64()}
    return pl.DataFrame(rows, schema=whole, orient="row").select(
        pl.col(k).cast(v) for k, v in MESSAGE_SCHEMA.items()
    )


def simple(n=5, seq=None):
    return messages(
        [
            (i if seq is None else seq[i], T0 + i, None, "a", "X", 0.1, None, 1.0, None, 9.0, None)
            for i in range(n)
        ]
    )


def same_bits(left, right):
    """Equal, NaN and the sign of zero included."""
    assert left.schema == right.schema
    for name in left.columns:
        a, b = left[name], right[name]
        assert a.is_null().equals(b.is_null())
        if a.dtype == pl.Float64:
            a, b = (pl.Series(x.fill_null(0.0).to_numpy().view(np.int64)) for x in (a, b))
        assert a.equals(b)


@given(rows=st.lists(ROW, min_size=1, max_size=20), cut=st.integers(0, 20), part=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_a_tape_is_read_as_it_was_written(tmp_path_factory, rows, cut, part):
    path = tmp_path_factory.mktemp("tape") / "t.parquet"
    tape = Tape(underlying="BTC", instruments=listed(), messages=messages(rows))
    write_tape(tape, path)
    again = read_tape(path)
    same_bits(again.messages, tape.messages)
    same_bits(again.instruments, tape.instruments)
    assert (again.underlying, again.venues, again.span_ns) == ("BTC", tape.venues, tape.span_ns)
    with TapeWriter(path, underlying="BTC", part_rows=part) as writer:
        writer.list_instruments(listed())
        writer.append(tape.messages[:cut])
        writer.append(tape.messages[cut:])
    same_bits(read_tape(path).messages, tape.messages)
    assert [p.name for p in path.parent.iterdir()] == ["t.parquet"]


def test_the_label_is_read_without_the_messages(tmp_path):
    write_tape(Tape(underlying="BTC", instruments=listed(), messages=simple()), tmp_path / "t.parquet")
    info = tape_info(tmp_path / "t.parquet")
    assert (info.underlying, info.version, info.rows, info.venues) == ("BTC", 1, 5, ("a",))
    assert (info.first_ns, info.last_ns) == (T0, T0 + 4)
    assert info.instruments["strike"].to_list() == [1000.5, 1001.5]


def test_anybody_can_query_it(tmp_path):
    write_tape(Tape(underlying="BTC", instruments=listed(), messages=simple()), tmp_path / "t.parquet")
    assert pl.read_parquet(tmp_path / "t.parquet").schema == pl.Schema(MESSAGE_SCHEMA)


def _as_tape(path, frame, **changes):
    good = path.parent / "good.parquet"
    write_tape(Tape(underlying="BTC", instruments=listed(), messages=simple()), good)
    known = pl.read_parquet_metadata(good)
    label = {k: v for k, v in known.items() if k.startswith("ivhedge")}
    frame.write_parquet(path, metadata=label | {f"ivhedge.tape.{k}": v for k, v in changes.items()})


def test_what_is_no_tape_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(ConfigError, match="found nothing"):
        read_tape(path)
    with pytest.raises(ConfigError, match="found a folder"):
        read_tape(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(EmptyData, match="empty file"):
        read_tape(path)
    path.write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match="complete Parquet file"):
        read_tape(path)
    simple().write_parquet(path)
    with pytest.raises(DataError, match="another Parquet file"):
        read_tape(path)
    write_tape(Tape(underlying="BTC", instruments=listed(), messages=simple(500)), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="complete Parquet file"):
        read_tape(path)
    _as_tape(path, simple(), version="2")
    with pytest.raises(DataError, match="version 1, found 2"):
        read_tape(path)
    _as_tape(path, simple().drop("ask"))
    with pytest.raises(SchemaError, match="ask"):
        read_tape(path)
    _as_tape(path, simple(0))
    with pytest.raises(EmptyData, match="found none"):
        read_tape(path)
    _as_tape(path, simple(4))
    with pytest.raises(DataError, match="5 messages by its label, found 4"):
        read_tape(path)
    for key, value in (
        ("instruments", '{"strike":3}'),
        ("venues", "3"),
        ("rows", "nonsense"),
        ("first_ns", "null"),
    ):
        _as_tape(path, simple(), **{key: value})
        with pytest.raises((SchemaError, DataError)):
            read_tape(path)


def test_a_writer_keeps_what_came_before_an_error(tmp_path):
    path = tmp_path / "deep" / "t.parquet"

    def record():
        with TapeWriter(path, underlying="BTC") as writer:
            writer.append(simple(3))
            assert not path.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record()
    assert len(read_tape(path)) == 3
    with TapeWriter(tmp_path / "none.parquet", underlying="BTC") as writer:
        pass
    with pytest.raises(DataError, match="closed"):
        writer.append(simple(1))
    writer.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"]


def test_a_writer_takes_nothing_of_a_bad_batch(tmp_path):
    path = tmp_path / "t.parquet"
    with TapeWriter(path, underlying="BTC") as writer:
        writer.append(simple(2))
        unstamped = simple(2).with_columns(ts_recv=pl.lit(None, dtype=MESSAGE_SCHEMA["ts_recv"]))
        with pytest.raises(DataError, match="ts_recv"):
            writer.append(unstamped)
        with pytest.raises(SchemaError):
            writer.append(simple(2).drop("seq"))
        with pytest.raises(DataError, match="twice"):
            writer.list_instruments(pl.concat([listed(), listed().with_columns(strike=pl.lit(7.0))]))
        assert writer.rows == 2
    assert len(read_tape(path)) == 2


def test_an_old_tape_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "t.parquet"
    write_tape(Tape(underlying="BTC", instruments=listed(), messages=simple(2)), path)
    writer = TapeWriter(path, underlying="ETH", part_rows=1)
    writer.append(simple(3))
    assert tape_info(path).underlying == "BTC"
    writer.close()
    assert tape_info(path).underlying == "ETH"


def test_bad_listings_and_places_are_refused(tmp_path):
    for bad, words in (
        (listed().with_columns(strike=pl.lit(float("nan"))), "positive strikes"),
        (listed().with_columns(is_call=pl.lit(None, dtype=pl.Boolean())), "complete instruments"),
        (listed().with_columns(settlement=pl.lit("gold")), "coin or usd"),
        (listed(("X", "X")), "twice"),
    ):
        with pytest.raises(DataError, match=words):
            Tape(underlying="BTC", instruments=bad, messages=simple())
    with pytest.raises(DataError, match="underlying"):
        Tape(underlying="", instruments=listed(), messages=simple())
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ConfigError, match="place to write"):
        write_tape(Tape(underlying="BTC", instruments=listed(), messages=simple()), file / "t.parquet")
    with pytest.raises(ConfigError, match="place to write"):
        TapeWriter(file / "t.parquet", underlying="BTC")
    with pytest.raises(ConfigError, match="part_rows"):
        TapeWriter(tmp_path / "t.parquet", underlying="BTC", part_rows=0)
