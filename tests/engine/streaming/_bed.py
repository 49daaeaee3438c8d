"""Tapes of a small market with a known surface."""

import numpy as np
import polars as pl

from ivhedge.engine.streaming import Listing, ManualPacer, PlaySettings, replay
from ivhedge.market.tape import INSTRUMENT_SCHEMA, MESSAGE_SCHEMA, Tape
from tests.surface.stream._bed import DAYS, PER, T0, quotes, truth, universe

S = 1_000_000_000
M = DAYS.size * PER


def names(n=M):
    return [f"X-{i}" for i in range(n)]


def listed(venues=("a",), rows=None):
    u = universe(venues)
    rows = np.arange(M) if rows is None else rows
    frame = pl.DataFrame(
        {
            "instrument_name": [names()[i] for i in rows],
            "expiry": u.expiry_ns[rows],
            "strike": u.strike[rows],
            "is_call": u.is_call[rows] == 1,
            "settlement": "coin",
        }
    )
    return pl.concat(
        frame.with_columns(venue=pl.lit(v)).select(pl.col(n).cast(t) for n, t in INSTRUMENT_SCHEMA.items())
        for v in venues
    )


def messages(items, ts, *, venue="a", seq=None, lag_ns=0, clock_ns=0, level=1.0, error=0.0):
    """Quotes of instruments at times of receipt; the venue's clock runs ahead by `clock_ns`."""
    items = np.asarray(items)
    ts = np.broadcast_to(np.asarray(ts, dtype=np.int64), items.shape)
    q = quotes(universe(), truth(level), items, ts, error=error)
    return pl.DataFrame(
        {
            "seq": np.arange(1, items.size + 1) if seq is None else seq,
            "ts_recv": ts,
            "ts_event": ts - lag_ns + clock_ns,
            "venue": [venue] * items.size,
            "instrument_name": [names()[i] for i in items],
            "bid": q.bid,
            "ask": q.ask,
            "bid_size": q.bid_size,
            "ask_size": q.ask_size,
            "forward": q.forward,
            "index": q.forward,
        }
    ).select(pl.col(n).cast(t) for n, t in MESSAGE_SCHEMA.items())


def minute(rng, *, venue="a", seconds=20, per_s=30, **options):
    """All instruments at once, then random ones."""
    extra = np.sort(rng.integers(S, seconds * S, size=seconds * per_s)) + T0
    items = np.concatenate((np.arange(M), rng.integers(0, M, size=extra.size)))
    return messages(items, np.concatenate((np.full(M, T0 + S // 2), extra)), venue=venue, **options)


def tape(*parts, venues=("a",), rows=None):
    rows_ = pl.concat(parts).sort("ts_recv", maintain_order=True)
    return Tape(underlying="BTC", instruments=listed(venues, rows), messages=rows_)


def rough(rng, seconds=20):
    """Two venues with every fault: disorder, repeats, gaps, rubbish, clocks that jump, a late expiry."""
    a = minute(rng, venue="a", seconds=seconds)
    b = minute(rng, venue="b", seconds=seconds, lag_ns=S // 10).filter(pl.col("seq") % 13 != 0)
    late = (pl.col("instrument_name").str.slice(2).cast(pl.Int64) // PER == 2) & (
        pl.col("ts_recv").dt.epoch("ns") < T0 + 9 * S
    )
    rows = pl.concat((a, b)).filter(~late).sort("ts_recv", maintain_order=True)
    n = rows.height

    def some(share):
        return pl.Series(rng.random(n) < share)

    shift = pl.duration(nanoseconds=S, time_unit="ns")
    rows = rows.with_columns(
        bid=pl.when(some(0.03)).then(float("nan")).when(some(0.03)).then(None).otherwise("bid"),
        ts_event=pl.when(some(0.1)).then(pl.col("ts_event") - shift).otherwise("ts_event"),
        instrument_name=pl.when(some(0.02)).then(pl.lit("odd")).otherwise("instrument_name"),
    )
    rows = pl.concat((rows, rows.filter(some(0.1)))).sort("ts_recv", maintain_order=True)
    back = pl.Series(rng.random(rows.height) < 0.01)
    rows = rows.with_columns(ts_recv=pl.when(back).then(pl.col("ts_recv") - 2 * shift).otherwise("ts_recv"))
    return Tape(underlying="BTC", instruments=listed(("a", "b")), messages=rows)


def frames(played, *, speed=None, **settings):
    return list(replay(played, clock=ManualPacer(T0), speed=speed, settings=PlaySettings(**settings)))


def digests(found):
    return [frame.digest() for frame in found]


__all__ = [
    "DAYS",
    "PER",
    "T0",
    "Listing",
    "M",
    "S",
    "digests",
    "frames",
    "listed",
    "messages",
    "minute",
    "tape",
]
