"""Replay a tape at any speed."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, EmptyData
from ivhedge.core.types import IntArray
from ivhedge.core.units import format_ns
from ivhedge.engine.streaming.clock import PacingClock
from ivhedge.engine.streaming.frames import StreamFrame
from ivhedge.engine.streaming.listing import FeedBatch, Listing
from ivhedge.engine.streaming.player import play
from ivhedge.engine.streaming.settings import PlaySettings
from ivhedge.market.tape import Tape

__all__ = ["replay"]

_AT_ONCE = 65_536


def replay(
    tape: Tape,
    *,
    clock: PacingClock,
    speed: float | None = None,
    start_ns: int | None = None,
    until_ns: int | None = None,
    settings: PlaySettings | None = None,
) -> Iterator[StreamFrame]:
    """Play a tape as if it came in now.

    Parameters
    ----------
    tape : Tape
    clock : PacingClock
        Times the waits; the frames do not depend on it.
    speed : float, optional
        Seconds of tape per second; None or 0 is as fast as it goes. Quiet stretches are cut to `quiet_s`.
    start_ns, until_ns : int, optional
        Times of receipt, the second exclusive.
    settings : PlaySettings, optional

    Yields
    ------
    StreamFrame
        The same at any speed, but for `pace`.

    Raises
    ------
    ConfigError
        If the speed is negative or not finite.
    EmptyData
        If no message lies in the span.
    CalibrationError
        As `play`.
    """
    if speed is not None and not (np.isfinite(speed) and speed >= 0.0):
        raise ConfigError(f"expected a speed of 0 (as fast as it goes) or more, found {speed}")
    settings = settings or PlaySettings()
    listing = Listing.of_tape(tape)
    times = np.maximum.accumulate(tape.messages["ts_recv"].dt.epoch("ns").to_numpy())
    first = 0 if start_ns is None else int(np.searchsorted(times, start_ns))
    last = times.size if until_ns is None else int(np.searchsorted(times, until_ns))
    if first >= last:
        low, high = tape.span_ns
        raise EmptyData(
            f"expected messages in the span asked for, found none; the tape holds {format_ns(low)} to "
            f"{format_ns(high)} UTC"
        )
    messages, times = tape.messages[first:last], times[first:last]
    if speed:
        feed = _paced(messages, times, listing, settings, clock, speed)
    else:
        feed = (listing.batch(part) for part in messages.iter_slices(_AT_ONCE))
    return play(feed, listing, settings=settings, clock=clock)


def _paced(
    messages: pl.DataFrame,
    times: IntArray,
    listing: Listing,
    settings: PlaySettings,
    clock: PacingClock,
    speed: float,
) -> Iterator[FeedBatch]:
    """Batches up to each time of publication, each when it is due."""
    every = round(settings.every_s * 1e9)
    quiet = max(round(settings.quiet_s * 1e9), every)
    origin = clock.now_ns()
    moved, i, last = int(times[0]), 0, int(times[0])
    step = -(-last // every) * every
    whole = listing.batch(messages)
    while i < times.size or step - last <= quiet:
        if step - last > quiet:
            # Nothing is published until the next message: nobody waits for it.
            upcoming = -(-int(times[i]) // every) * every
            moved += upcoming - step
            step = upcoming
        due = origin + round((step - moved) / speed)
        clock.sleep((due - clock.now_ns()) / 1e9)
        j = int(np.searchsorted(times, step, side="right"))
        part = whole.part(i, j)
        yield FeedBatch(quotes=part.quotes, seq=part.seq, now_ns=step, due_ns=due)
        if j > i:
            last, i = int(times[j - 1]), j
        step += every
