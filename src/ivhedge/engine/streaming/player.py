"""Play a feed through the stream: publications at fixed times of the feed's own clock."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ivhedge.core.clock import Clock
from ivhedge.core.errors import CalibrationError, DataError
from ivhedge.core.types import BoolArray
from ivhedge.engine.streaming.fitter import Follower
from ivhedge.engine.streaming.frames import Pace, StreamFrame
from ivhedge.engine.streaming.listing import FeedBatch, Listing
from ivhedge.engine.streaming.settings import PlaySettings
from ivhedge.surface.stream import QuoteColumns

__all__ = ["play"]


def play(
    feed: Iterable[FeedBatch | QuoteColumns],
    listing: Listing,
    *,
    settings: PlaySettings | None = None,
    clock: Clock | None = None,
) -> Iterator[StreamFrame]:
    """Follow a feed, recorded or live, and publish its surface at fixed times.

    Parameters
    ----------
    feed : iterable of FeedBatch or QuoteColumns
        Messages in the order of their receipt, in batches of any size. A live feed yields what has come, with
        `now_ns`, also when nothing has come.
    listing : Listing
    settings : PlaySettings, optional
    clock : Clock, optional
        For `StreamFrame.pace` alone; without one it is NaN.

    Yields
    ------
    StreamFrame
        At whole multiples of `every_s` since the epoch. A frame holds all messages received up to its time
        and none after. How messages are cut into batches is of no consequence to the frames.

    Raises
    ------
    CalibrationError
        At the end, if there never was a surface; the message says why.
    DataError
        If the feed is empty.

    Notes
    -----
    The surface starts from `fit_surface` on the quotes heard so far, once hardly any new contract was heard
    of for `settle_s`. When expiries appear that it lacks, it is fitted anew in the same way, and the stream
    starts again with the latest quotes. Times of receipt that run backwards are lifted to the latest before.
    """
    player = _Player(listing, settings or PlaySettings(), clock)
    for item in feed:
        yield from player.feed(item if isinstance(item, FeedBatch) else FeedBatch(quotes=item))
    yield from player.finish()


class _Player:
    def __init__(self, listing: Listing, settings: PlaySettings, clock: Clock | None) -> None:
        self._follower = Follower(listing, settings)
        self._every = round(settings.every_s * 1e9)
        self._quiet = max(round(settings.quiet_s * 1e9), self._every)
        # Fits are looked at more often than is published: a snapshot's quotes grow old between hourly ones.
        self._check = min(self._every, round(settings.settle_s * 1e9))
        self._check_quiet = max(
            round(settings.quiet_s * 1e9), round(settings.settle_s * 1e9) + 2 * self._check
        )
        self._clock = clock
        self._next: int | None = None
        self._next_check = 0
        self._last = 0
        self._now = 0
        self._clock_back = 0
        self._shown_ns: int | None = None
        self._wall_ns: int | None = None
        self._messages = self._shown_messages = 0
        self._due_ns: int | None = None

    def feed(self, batch: FeedBatch) -> Iterator[StreamFrame]:
        batch, back = self._forward_only(batch)
        self._due_ns = batch.due_ns
        times, i = batch.quotes.ts_recv, 0
        while i < times.size:
            yield from self._publish_before(int(times[i]))
            assert self._next is not None
            j = int(np.searchsorted(times, min(self._next, self._next_check), side="right"))
            self._follower.take(batch.part(i, j))
            self._messages += j - i
            self._clock_back += int(back[i:j].sum())
            self._last, i = int(times[j - 1]), j
        if batch.now_ns is not None and self._next is not None:
            self._now = max(self._now, batch.now_ns)
            yield from self._publish_before(batch.now_ns + 1)

    def finish(self) -> Iterator[StreamFrame]:
        """Publish what is left: the last messages, and their growing old."""
        if self._next is None:
            raise DataError("expected messages, found an empty feed; check the tape or the connection")
        yield from self._publish_before(self._last + max(self._quiet, self._check_quiet) + 1)
        if not self._follower.started:
            raise CalibrationError(
                f"expected quotes from which a surface can be fitted, found none: {self._follower.why()}"
            )

    def _forward_only(self, batch: FeedBatch) -> tuple[FeedBatch, BoolArray]:
        """Lift times of receipt that run backwards; which ones did."""
        times = batch.quotes.ts_recv
        lifted = np.maximum(np.maximum.accumulate(times), self._now)
        back = lifted != times
        if times.size:
            self._now = int(lifted[-1])
        if not back.any():
            return batch, back
        return replace(batch, quotes=replace(batch.quotes, ts_recv=lifted)), back

    def _publish_before(self, ts_ns: int) -> Iterator[StreamFrame]:
        """Do what is due before a time; over a quiet stretch all rests."""
        if self._next is None:
            self._next, self._next_check = _grid(ts_ns, self._every), _grid(ts_ns, self._check)
        while True:
            if self._next - self._last > self._quiet:
                self._next = max(self._next, _grid(ts_ns, self._every))
            if self._next_check - self._last > self._check_quiet:
                self._next_check = max(self._next_check, _grid(ts_ns, self._check))
            now = min(self._next, self._next_check)
            if now >= ts_ns:
                return
            if self._next_check == now:
                self._follower.work_if_due(now)
                self._next_check += self._check
            if self._next == now:
                yield self._publish(now)
                self._next += self._every

    def _publish(self, ts_ns: int) -> StreamFrame:
        since = self._every if self._shown_ns is None else ts_ns - self._shown_ns
        frame = self._follower.publish(ts_ns, since / 1e9, self._clock_back, self._pace())
        self._shown_ns = ts_ns
        return frame

    def _pace(self) -> Pace:
        if self._clock is None:
            return Pace(wall_ns=0, messages_per_s=float("nan"), behind_s=float("nan"))
        wall = self._clock.now_ns()
        passed = 0 if self._wall_ns is None else wall - self._wall_ns
        got = self._messages - self._shown_messages
        self._wall_ns, self._shown_messages = wall, self._messages
        return Pace(
            wall_ns=wall,
            messages_per_s=got / (passed / 1e9) if passed > 0 else float("nan"),
            behind_s=float("nan") if self._due_ns is None else (wall - self._due_ns) / 1e9,
        )


def _grid(ts_ns: int, step: int) -> int:
    """First multiple of a step from a time on."""
    return -(-ts_ns // step) * step
