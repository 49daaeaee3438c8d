"""Replay: what the frames hold, and that speed and batches are of no consequence."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import CalibrationError, ConfigError, DataError, EmptyData
from ivhedge.engine.streaming import FeedBatch, Listing, MachineClock, ManualPacer, PlaySettings, play, replay
from ivhedge.engine.streaming.skew import risk_reversals
from ivhedge.market.tape import TapeWriter, read_tape
from ivhedge.surface.quoting import smile_quotes
from tests.engine.streaming import _bed as bed
from tests.surface.stream._bed import truth


@pytest.fixture(scope="module")
def played():
    return bed.tape(bed.minute(np.random.default_rng(3)))


@pytest.fixture(scope="module")
def shown(played):
    return bed.frames(played)


@pytest.fixture(scope="module")
def rough():
    return bed.rough(np.random.default_rng(6))


@pytest.fixture(scope="module")
def rough_digests(rough):
    found = bed.frames(rough)
    assert found[-1].fits == 2
    assert found[-1].clock_back > 3
    assert min(v.outcomes["out_of_order"] for v in found[-1].venues) > 3
    return bed.digests(found)


def test_frames_stand_on_the_grid_and_count_every_message(played, shown):
    assert [f.ts_ns % bed.S for f in shown] == [0] * len(shown)
    assert [f.number for f in shown] == list(range(len(shown)))
    assert all(b.ts_ns - a.ts_ns == bed.S for a, b in itertools.pairwise(shown))
    assert shown[-1].messages == len(played)
    assert shown[0].status == "waiting"
    assert np.mean([f.venues[0].rate for f in shown[1:20]]) == pytest.approx(30.0, rel=0.2)
    assert shown[-1].venues[0].rate == 0.0
    assert shown[-1].status == "certified"
    assert sum(shown[-1].venues[0].outcomes.values()) == len(played)
    # Publications go on while quotes grow old, then end.
    assert shown[-1].ts_ns - played.span_ns[1] <= 15 * bed.S
    assert all(e.stale for e in shown[-1].expiries)
    assert not any(e.stale for e in shown[15].expiries)


def test_the_surface_is_the_true_one(shown):
    frame = shown[18]
    true = np.sqrt(truth().theta / truth().taus)
    assert [e.atm_vol for e in frame.expiries] == pytest.approx(true, abs=0.002)
    assert all(0.0 < e.atm_error < 0.01 for e in frame.expiries)
    assert [e.skew for e in frame.expiries] == pytest.approx(
        smile_quotes(truth(), truth().taus).risk_reversal, abs=0.003
    )
    assert frame.snapshot.certificate().valid
    assert frame.fits == 1


def test_the_quick_skew_is_the_quoted_one():
    s = truth()
    assert risk_reversals(s) == pytest.approx(smile_quotes(s, s.taus).risk_reversal, abs=1e-9)


@pytest.mark.parametrize("speed", [0, 0.5, 7.3, 1e6])
def test_speed_is_of_no_consequence(rough, rough_digests, speed):
    assert bed.digests(bed.frames(rough, speed=speed)) == rough_digests


def test_the_clock_is_waited_for(played):
    clock = ManualPacer(5)
    found = list(replay(played, clock=clock, speed=4.0))
    assert {f.pace.behind_s for f in found} == {0.0}
    walls = [f.pace.wall_ns for f in found]
    assert {b - a for a, b in itertools.pairwise(walls)} == {bed.S // 4}
    # 19 s of tape between the first publication and the last message, then 15 s to show it growing old.
    assert (clock.now_ns() - 5) / 1e9 == pytest.approx((found[-1].ts_ns - played.span_ns[0]) / 4e9)
    rates = [f.pace.messages_per_s for f in found[1:15]]
    assert np.mean(rates) == pytest.approx(4 * 30, rel=0.2)


def test_quiet_stretches_are_not_waited_for(played):
    clock = ManualPacer(0)
    rest = [
        played.messages.with_columns(
            ts_recv=pl.col("ts_recv") + pl.duration(nanoseconds=n * 3600 * bed.S, time_unit="ns")
        )
        for n in (0, 1, 2)
    ]
    found = list(replay(bed.tape(*rest), clock=clock, speed=1.0))
    assert found[-1].ts_ns - found[0].ts_ns > 7200 * bed.S
    assert clock.now_ns() / 1e9 < 3 * 40.0


@given(cuts=st.lists(st.integers(0, 1500), max_size=8))
@settings(max_examples=12, deadline=None)
def test_batches_are_of_no_consequence(rough, rough_digests, cuts):
    listing = Listing.of_tape(rough)
    whole = listing.batch(rough.messages)
    edges = [0, *sorted(min(cut, len(rough)) for cut in cuts), len(rough)]
    feed = [whole.part(a, b) for a, b in itertools.pairwise(edges)]
    assert bed.digests(play(feed, listing)) == rough_digests


def test_one_message_at_a_time(rough, rough_digests):
    listing = Listing.of_tape(rough)
    whole = listing.batch(rough.messages)
    feed = (whole.part(i, i + 1) for i in range(len(rough)))
    assert bed.digests(play(feed, listing)) == rough_digests


def test_plain_quotes_and_a_quiet_live_feed(played):
    listing = Listing.of_tape(played)
    whole = listing.batch(played.messages)
    plain = list(play([whole.quotes], listing))
    assert plain[-1].venues[0].sequence.numbered == 0
    assert [f.expiries for f in plain] == [f.expiries for f in bed.frames(played)]
    assert bed.digests(play([whole.quotes], Listing.of_universe("BTC", listing.universe))) == bed.digests(
        plain
    )
    quiet = FeedBatch(quotes=whole.part(0, 0).quotes, now_ns=bed.T0 + 30 * bed.S)
    live = play([whole, quiet], listing, clock=MachineClock())
    assert max(f.ts_ns for f in itertools.islice(live, 31)) == bed.T0 + 31 * bed.S


def test_a_frame_knows_nothing_of_later_messages(played, shown):
    early = bed.frames(played, quiet_s=1.0)
    cut = list(
        replay(played, clock=ManualPacer(0), until_ns=bed.T0 + 12 * bed.S, settings=PlaySettings(quiet_s=1.0))
    )
    assert bed.digests(cut)[:11] == bed.digests(early)[:11]
    assert len(cut) < len(early)


def test_what_is_refused(played):
    for speed in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="speed"):
            replay(played, clock=ManualPacer(0), speed=speed)
    with pytest.raises(EmptyData, match="the tape holds"):
        replay(played, clock=ManualPacer(0), start_ns=played.span_ns[1] + 1)
    with pytest.raises(ConfigError, match="every_s"):
        PlaySettings(every_s=0.0)
    with pytest.raises(ConfigError, match="min_quotes"):
        PlaySettings(min_quotes=1)
    with pytest.raises(DataError, match="empty feed"):
        list(play([], Listing.of_tape(played)))
    few = bed.tape(bed.messages([0, 1, 2], bed.T0))
    with pytest.raises(CalibrationError, match="3 kept"):
        bed.frames(few)


def test_what_is_recorded_while_it_is_played_plays_again(played, shown, tmp_path):
    """A live feed: messages come, are written down and played at once; the tape gives the same frames."""
    listing = Listing.of_tape(played)

    def feed(writer):
        for rows in played.messages.iter_slices(37):
            writer.append(rows)
            yield listing.batch(rows)

    with TapeWriter(tmp_path / "t.parquet", underlying="BTC", part_rows=100) as writer:
        writer.list_instruments(played.instruments)
        live = bed.digests(play(feed(writer), listing, clock=MachineClock()))
    assert live == bed.digests(shown)
    assert bed.digests(bed.frames(read_tape(tmp_path / "t.parquet"))) == live
