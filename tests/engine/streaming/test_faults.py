"""Bad messages are counted where they came from and never enter the surface."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.market.tape import MESSAGE_SCHEMA
from ivhedge.surface.stream import REASONS
from tests.engine.streaming import _bed as bed

RNG = 5


def _states(frame):
    """What depends on the surface alone."""
    s = frame.snapshot
    return [s.surface.theta, s.surface.rho, s.surface.psi, s.surface.forwards, s.covariance, s.quotes]


def _same_surfaces(found, clean):
    shown = [f for f in clean if f.snapshot is not None]
    other = [f for f in found if f.snapshot is not None]
    assert [f.ts_ns for f in shown] == [f.ts_ns for f in other]
    for a, b in zip(shown, other, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(_states(a), _states(b), strict=True))


@pytest.fixture(scope="module")
def good():
    return bed.minute(np.random.default_rng(RNG), seconds=14)


@pytest.fixture(scope="module")
def clean(good):
    return bed.frames(bed.tape(good))


BAD = {
    "not_finite": lambda rows: rows.with_columns(bid=pl.lit(float("nan"))),
    "crossed": lambda rows: rows.with_columns(bid=pl.col("ask") * 1.5),
    "future": lambda rows: rows.with_columns(
        ts_event=pl.col("ts_event") + pl.duration(nanoseconds=3 * bed.S, time_unit="ns")
    ),
    "late": lambda rows: rows.with_columns(
        ts_event=pl.col("ts_event") - pl.duration(nanoseconds=3 * bed.S, time_unit="ns")
    ),
    "bad_forward": lambda rows: rows.with_columns(forward=pl.lit(None, dtype=pl.Float64())),
    "unknown_instrument": lambda rows: rows.with_columns(instrument_name=pl.lit("none such")),
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_messages_are_counted_and_change_nothing(good, clean, reason):
    assert reason in REASONS
    # Before the first fit and after it.
    bad = good.gather_every(7).pipe(BAD[reason])
    found = bed.frames(bed.tape(good, bad))
    assert found[-1].venues[0].outcomes[reason] == bad.height
    assert found[-1].venues[0].refused == {reason: bad.height} | dict(clean[-1].venues[0].refused)
    _same_surfaces(found, clean)


WILD = st.sampled_from([None, float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 5e-324, 0.01, 1e9, 1e308])
TIMES = st.sampled_from([None, -(2**63), -1, 0, 1, bed.T0, bed.T0 + 5 * bed.S, 2**63 - 1])


@given(
    wild=st.lists(
        st.tuples(
            st.integers(0, 13), TIMES, st.sampled_from(["a", "b", ""]),
            st.sampled_from([None, "odd", "X-3", "X-40"]), *[WILD] * 6,
        ),
        min_size=1, max_size=25,
    )
)  # fmt: skip
@settings(max_examples=10, deadline=None)
def test_nothing_that_comes_in_breaks_it(good, wild):
    rows = [(-7, bed.T0 + row[0] * bed.S, *row[1:]) for row in wild]
    whole = {**MESSAGE_SCHEMA, "ts_recv": pl.Int64(), "ts_event": pl.Int64()}
    table = pl.DataFrame(rows, schema=whole, orient="row").select(
        pl.col(name).cast(dtype) for name, dtype in MESSAGE_SCHEMA.items()
    )
    tape = bed.tape(good, table)
    found = bed.frames(tape)
    assert found[-1].messages == sum(sum(v.outcomes.values()) for v in found[-1].venues) == len(tape)
    assert found[-1].status == "certified"
    assert all(f.snapshot.certificate().valid for f in found[8:20:5])
    assert bed.digests(bed.frames(tape, speed=9.0)) == bed.digests(found)


def test_duplicates_and_stragglers(good, clean):
    again = good.filter(pl.col("ts_recv").dt.epoch("ns") > bed.T0 + 8 * bed.S)
    found = bed.frames(bed.tape(good, again))
    assert found[-1].venues[0].outcomes["duplicate"] == again.height
    assert found[-1].venues[0].sequence.repeated == again.height
    _same_surfaces(found, clean)
    # The same quotes once more a little later, with the venue's time of before: the slots hold newer ones.
    late = good.filter(pl.col("ts_recv").dt.epoch("ns") == bed.T0 + bed.S // 2).with_columns(
        ts_recv=pl.col("ts_recv") + pl.duration(nanoseconds=3 * bed.S // 2, time_unit="ns"),
        bid=pl.col("bid") * 0.9,
    )
    newer = bed.messages(np.arange(bed.M), bed.T0 + bed.S)
    base = bed.frames(bed.tape(good, newer))
    found = bed.frames(bed.tape(good, newer, late))
    assert found[-1].venues[0].outcomes["out_of_order"] == bed.M
    _same_surfaces(found, base)


def test_gaps_are_counted_by_venue(good):
    other = bed.messages(np.arange(0, bed.M, 2), bed.T0 + 5 * bed.S, venue="b")
    holes = other.filter(~pl.col("seq").is_in([5, 6, 7, 20]))
    last = bed.frames(bed.tape(good, holes, venues=("a", "b")))[-1]
    assert [(v.name, v.sequence.missing) for v in last.venues] == [("a", 0), ("b", 4)]


@pytest.mark.parametrize(("clock_s", "reason"), [(5, "future"), (-5, "late")])
def test_a_venue_clock_that_is_off_shows_and_stays_out(good, clean, clock_s, reason):
    off = bed.minute(np.random.default_rng(8), venue="b", seconds=14, clock_ns=clock_s * bed.S, level=1.3)
    found = bed.frames(bed.tape(good, off, venues=("a", "b")))
    alone = bed.frames(bed.tape(good, venues=("a", "b")))
    b = found[10].venues[1]
    assert b.lag_s == -clock_s
    assert b.used == 0
    assert found[-1].venues[1].outcomes == {reason: off.height}
    _same_surfaces(found, alone)


def test_an_unlisted_venue_shows_under_its_own_name_and_stays_out(good, clean):
    strange = bed.messages(np.arange(bed.M), bed.T0 + 3 * bed.S, venue="zzz")
    found = bed.frames(bed.tape(good, strange))
    assert {v.name: dict(v.outcomes) for v in found[-1].venues}["zzz"] == {"unknown_instrument": bed.M}
    # One venue more makes sums run in another order: equal but for rounding.
    for a, b in zip(clean, found, strict=True):
        if a.snapshot is not None:
            assert b.snapshot.surface.theta == pytest.approx(a.snapshot.surface.theta, rel=1e-13)


def test_receipt_that_runs_backwards_is_lifted_and_counted(good):
    back = good.with_columns(
        ts_recv=pl.when(pl.int_range(pl.len()) == 300)
        .then(pl.col("ts_recv") - pl.duration(nanoseconds=2 * bed.S, time_unit="ns"))
        .otherwise("ts_recv")
    )
    tape = bed.tape(good)
    object.__setattr__(tape, "messages", back)
    found = bed.frames(tape)
    assert found[-1].clock_back == 1
    assert found[-1].messages == good.height
    assert bed.digests(bed.frames(tape, speed=50.0)) == bed.digests(found)
