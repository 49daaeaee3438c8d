"""New expiries, expired ones, quiet stretches."""

import itertools

import numpy as np
import polars as pl
import pytest

from ivhedge.engine.streaming import MachineClock, replay
from ivhedge.market import read_chains
from ivhedge.market.tape import tape_from_chains
from tests.engine.streaming import _bed as bed


def test_a_new_expiry_is_fitted_in_and_nothing_is_counted_twice():
    rng = np.random.default_rng(1)
    all_rows = bed.minute(rng, seconds=30)
    number = pl.col("instrument_name").str.slice(2).cast(pl.Int64)
    late = (number // bed.PER == 1) & (pl.col("ts_recv").dt.epoch("ns") < bed.T0 + 12 * bed.S)
    tape = bed.tape(all_rows.filter(~late))
    found = bed.frames(tape)
    fits = [f.fits for f in found]
    assert fits[-1] == 2
    assert fits == sorted(fits)
    first, second = found[fits.index(1)], found[fits.index(2)]
    assert len(first.expiries) == 3
    assert len(second.expiries) == 4
    between = [f for f in found if f.ts_ns > bed.T0 + 12 * bed.S and f.fits == 1]
    assert all(len(f.waiting_expiries) == 1 for f in between[1:])
    assert all(f.messages == sum(f.venues[0].outcomes.values()) for f in found)
    assert found[-1].messages == len(tape)
    # The others go on as if nothing had happened.
    for e in (0, 2, 3):
        kept = [x for x in first.expiries if x.expiry_ns == second.expiries[e].expiry_ns]
        assert kept[0].atm_vol == pytest.approx(second.expiries[e].atm_vol, abs=0.002)


def test_a_front_that_expires_leaves_and_the_rest_stays():
    near = bed.T0 + int(bed.DAYS[0]) * 86_400 * bed.S
    items = np.tile(np.arange(bed.M), 3)
    times = np.repeat([near - 10_800 * bed.S, near - 4 * bed.S, near + 5 * bed.S], bed.M)
    keep = (times < near) | (items >= bed.PER)
    rows = bed.messages(items[keep], np.sort(times[keep]))
    found = bed.frames(bed.tape(rows))
    counts = [len(f.expiries) for f in found if f.status != "waiting"]
    assert counts[0] == 4
    assert counts[-1] == 3
    assert all(f.status == "certified" for f in found if f.ts_ns > near - 10 * bed.S)


def test_an_expiry_that_speaks_again_after_a_silence_is_not_bent_by_one_wing():
    """Polled chains come strike by strike: for seconds the only young quotes are those of one wing."""
    later = bed.T0 + 2 * 3600 * bed.S
    items = np.arange(bed.M)
    times = later + items * (bed.S // 4)
    wings = np.where(items % bed.PER < 5, 0.4, 0.0)
    found = bed.frames(bed.tape(bed.messages(items, bed.T0), bed.messages(items, times, error=wings)))
    shown = [f for f in found if f.ts_ns >= later]
    assert [f.fits for f in shown][-1] == 2
    assert all(f.status == "certified" for f in shown)
    partly = [f for f in shown if f.fits == 1]
    assert len(partly) > 15
    for frame in partly:
        assert [e.atm_vol for e in frame.expiries] == pytest.approx([0.6] * 4, abs=0.01)
        assert all(e.stale for e in frame.expiries)
        assert all(e.atm_error > 0.005 for e in frame.expiries)


def test_an_expiry_in_its_last_hours_waits_and_is_no_failure():
    near = bed.T0 + int(bed.DAYS[0]) * 86_400 * bed.S
    found = bed.frames(bed.tape(bed.messages(np.arange(bed.M), near - 900 * bed.S)))
    assert len(found[-1].expiries) == 3
    assert found[-1].waiting_expiries == (near,)
    assert (found[-1].fits, found[-1].failed_fits, found[-1].note) == (1, 0, "")


def test_after_all_have_expired_it_waits():
    rows = np.arange(bed.PER)
    near = bed.T0 + int(bed.DAYS[0]) * 86_400 * bed.S
    first = bed.messages(rows, near - 10_800 * bed.S)
    later = bed.messages(np.arange(bed.PER, 2 * bed.PER), near + 2 * bed.S)
    found = bed.frames(bed.tape(first, later))
    # Over the quiet stretch nothing is published: the expiry passes unseen.
    states = [key for key, _ in itertools.groupby(f.status for f in found)]
    assert states == ["waiting", "certified", "waiting", "certified"]


def test_quiet_stretches_are_skipped():
    hour = 3600 * bed.S
    rows = [bed.messages(np.arange(bed.M), bed.T0 + n * hour) for n in range(4)]
    found = bed.frames(bed.tape(*rows))
    assert len(found) <= 4 * 17
    assert bed.digests(bed.frames(bed.tape(*rows), speed=3.0)) == bed.digests(found)
    hourly = bed.frames(bed.tape(*rows), every_s=3600.0)
    assert [f.ts_ns - bed.T0 for f in hourly] == [n * hour for n in range(5)]
    assert hourly[-1].status == "certified"


@pytest.mark.recorded
def test_recorded_tickers(recorded):
    """Ten dumps a day apart: every publication certified, also by the dense check, every message counted."""
    chains = read_chains(recorded / "deribit_tickers", sample=None)
    tape = tape_from_chains(chains)
    found = list(replay(tape, clock=MachineClock()))
    assert found[-1].messages == len(tape) == 6628
    shown = [f for f in found if f.snapshot is not None]
    assert {f.status for f in shown} == {"certified"}
    assert all(f.snapshot.certificate().valid for f in shown[::60])
    assert max(len(f.expiries) for f in found) >= 11
