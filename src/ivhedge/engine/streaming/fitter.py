"""The surface behind the player: started by a fit, followed by the stream, fitted anew for new expiries."""

import math

import numpy as np

from ivhedge.core.errors import ArbitrageError, CalibrationError, ConfigError, DataError
from ivhedge.core.types import BoolArray, IntArray
from ivhedge.engine.streaming.biases import BiasWatch
from ivhedge.engine.streaming.book import ACCEPTED, TAKEN, QuoteBook, judged
from ivhedge.engine.streaming.counts import OUTCOMES, VenueCounts
from ivhedge.engine.streaming.frames import KEPT, ExpiryState, Pace, Status, StreamFrame
from ivhedge.engine.streaming.listing import FeedBatch, Listing
from ivhedge.engine.streaming.settings import PlaySettings
from ivhedge.engine.streaming.skew import risk_reversals
from ivhedge.market.cleaning import CleaningRules
from ivhedge.surface.fit import fit_surface
from ivhedge.surface.stream import REASONS, QuoteColumns, StreamSnapshot, SurfaceStream, surface_trust

__all__ = ["Follower"]

_KEPT = OUTCOMES.index(KEPT)
_STALE_ORDER = REASONS.index("out_of_order")
_LONGEST_WAIT = 64
_SETTLED = 0.02
"""Share of contracts that may be new for the listing to count as complete."""


class Follower:
    """Takes messages, fits when it must, publishes when told.

    Parameters
    ----------
    listing : Listing
    settings : PlaySettings
    """

    def __init__(self, listing: Listing, settings: PlaySettings) -> None:
        self._listing, self._settings = listing, settings
        self._book = QuoteBook(listing)
        self._counts = VenueCounts(listing.universe.venues)
        self._biases = BiasWatch(settings)
        self._stream: SurfaceStream | None = None
        self._covered = np.zeros(listing.universe.strike.size, dtype=bool)
        expiries, self._expiry_of = np.unique(listing.universe.expiry_ns, return_inverse=True)
        self._heard_ns = np.zeros(expiries.size, dtype=np.int64)
        self._ends_ns = 0
        self._max_age = settings.stream.max_age_s * 1e9
        self._waits_since: int | None = None
        self._try_again = 0
        self._wait = 1
        self._number = self._fits = self._failed = 0
        self._note = ""

    @property
    def started(self) -> bool:
        """Whether there ever was a surface."""
        return self._fits > 0

    def why(self) -> str:
        """Why there is no surface, in words: the last fit's complaint, else what became of the messages."""
        if self._note:
            return self._note
        counts = [
            f"{venue.name}: " + ", ".join(f"{count} {name}" for name, count in venue.outcomes.items())
            for venue in self._counts.publish(1.0)
        ]
        return "; ".join(counts) + "; check times, forwards and the listing of the tape"

    def take(self, batch: FeedBatch) -> None:
        """Take messages in the order of their receipt."""
        quotes = batch.quotes
        if len(quotes) == 0:
            return
        outcome = np.full(len(quotes), _KEPT, dtype=np.int64)
        known = (quotes.instrument >= 0) & (quotes.instrument < self._covered.size)
        contract = np.where(known, quotes.instrument, 0)
        self._part_from_silent(contract[known], quotes.ts_recv[known])
        follows = ~known | self._covered[contract]
        if self._stream is None:
            follows[:] = False
        if follows.all() and self._stream is not None:
            outcome = self._stream.on_quotes(quotes)
            self._keep(quotes, np.flatnonzero(TAKEN[outcome]))
        else:
            if self._stream is not None and follows.any():
                rows = np.flatnonzero(follows)
                outcome[rows] = self._stream.on_quotes(_rows(quotes, rows))
                self._keep(quotes, rows[TAKEN[outcome[rows]]])
            rows = np.flatnonzero(~follows)
            verdict = judged(quotes, self._listing.universe, self._settings.stream)[rows]
            sound = rows[verdict == ACCEPTED]
            outcome[rows] = np.where(verdict == ACCEPTED, _KEPT, verdict)
            kept = self._keep(quotes, sound)
            outcome[sound[~kept]] = _STALE_ORDER
        self._counts.take(quotes, outcome, batch.seq)

    def _part_from_silent(self, contract: IntArray, times: IntArray) -> None:
        """Take expiries out of the stream that speak again after a silence.

        None of their quotes is in use any more, and the first few new ones may all lie in one wing: alone
        they would bend the slice at will. They are kept until they have settled, then fitted. Until then
        the stream shows what it knew, stale.
        """
        expiry = self._expiry_of[contract]
        silent = self._covered[contract] & (times - self._heard_ns[expiry] > self._max_age)
        if silent.any():
            self._covered &= ~np.isin(self._expiry_of, expiry[silent])

    def _keep(self, quotes: QuoteColumns, rows: IntArray) -> BoolArray:
        self._heard_ns[self._expiry_of[quotes.instrument[rows]]] = quotes.ts_recv[rows]
        return self._book.take(quotes, rows, self._max_age)

    def publish(self, ts_ns: int, span_s: float, clock_back: int, pace: Pace) -> StreamFrame:
        """Publish at a time; `span_s` since the publication before."""
        waiting = self._waiting(self._book.in_force(ts_ns, self._max_age))[0]
        snapshot = self._snapshot(ts_ns)
        status: Status = "waiting" if snapshot is None else "held" if snapshot.held else "certified"
        dense = None
        if snapshot is not None and self._settings.dense_check:
            dense = snapshot.certificate().valid
        frame = StreamFrame(
            number=self._number,
            ts_ns=ts_ns,
            status=status,
            snapshot=snapshot,
            expiries=() if snapshot is None else _expiry_states(snapshot),
            venues=self._counts.publish(span_s, self._biases.health),
            waiting_expiries=tuple(waiting.tolist()),
            fits=self._fits,
            failed_fits=self._failed,
            note=self._note or self._biases.note,
            clock_back=clock_back,
            arbitrage_free=dense,
            pace=pace,
        )
        self._number += 1
        return frame

    def _snapshot(self, ts_ns: int) -> StreamSnapshot | None:
        if self._stream is None:
            return None
        if self._ends_ns <= ts_ns:
            # Every expiry has passed: wait for the quotes of others.
            self._stream = None
            self._covered[:] = False
            return None
        return self._stream.snapshot(ts_ns, joint=self._settings.joint)

    def work_if_due(self, ts_ns: int) -> None:
        """Fit where expiries wait and their quotes have settled; estimate the venues' biases."""
        places = self._book.in_force(ts_ns, self._max_age)
        self._fit_if_due(places, ts_ns)
        if self._stream is None or not self._biases.due(ts_ns):
            return
        if self._biases.learn(self._book.chain(places, ts_ns), ts_ns) and self._biases.model is not None:
            self._stream.correct(self._biases.model)

    def _fit_if_due(self, places: IntArray, ts_ns: int) -> None:
        s = self._settings
        waiting, complete = self._waiting(places)
        if waiting.size == 0:
            self._waits_since = None
            return
        if self._waits_since is None:
            self._waits_since = ts_ns
        settled = self._book.growth(places, ts_ns - round(s.settle_s * 1e9)) <= _SETTLED
        patient = ts_ns - self._waits_since >= s.patience_s * 1e9
        if not (complete and (settled or patient) and ts_ns >= self._try_again):
            return
        try:
            gained = self._restart(places, waiting, ts_ns)
            self._note = ""
        except (CalibrationError, DataError, ArbitrageError, ConfigError) as exc:
            gained = False
            self._failed += 1
            self._note = str(exc)
        if gained:
            self._wait, self._waits_since = 1, None
        else:
            self._try_again = ts_ns + round(self._wait * s.retry_s * 1e9)
            self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def _waiting(self, places: IntArray) -> tuple[IntArray, bool]:
        """Expiries heard of without a surface; whether one has quotes enough."""
        rows = places[~self._covered[places % self._covered.size]]
        expiries = self._book.expiries(rows)
        enough = np.unique(expiries[self._book.two_sided(rows)], return_counts=True)[1]
        return np.unique(expiries), bool((enough >= self._settings.min_quotes).any())

    def _restart(self, places: IntArray, waiting: IntArray, ts_ns: int) -> bool:
        """Fit anew; whether that gave a surface to an expiry that waits, else all stays as it was."""
        # As old as the stream itself takes them: an expiry that is quoted seldom must not get lost.
        rules = CleaningRules(max_age_s=self._settings.stream.max_age_s)
        fitted = fit_surface(self._book.chain(places, ts_ns), rules=rules, settings=self._settings.fit)
        surface = fitted.backbone
        if not np.isin(waiting, surface.expiries).any():
            # Quoted, but too thinly or in its last hours.
            return False
        universe = self._listing.universe
        stream = SurfaceStream(universe, start=fitted, settings=self._settings.stream)
        if self._biases.model is not None:
            stream.correct(self._biases.model)
        self._covered = np.isin(universe.expiry_ns, surface.expiries)
        self._ends_ns = int(surface.expiries[-1])
        stream.on_quotes(self._book.quotes(places[self._covered[places % self._covered.size]]))
        self._stream = stream
        self._fits += 1
        return True


def _rows(quotes: QuoteColumns, rows: IntArray) -> QuoteColumns:
    return QuoteColumns(**{name: getattr(quotes, name)[rows] for name in QuoteColumns.__slots__})


def _expiry_states(snapshot: StreamSnapshot) -> tuple[ExpiryState, ...]:
    surface, trust = snapshot.surface, surface_trust(snapshot)
    skews = [skew if math.isfinite(skew) else None for skew in risk_reversals(surface).tolist()]
    ages = [(snapshot.ts_ns - newest) / 1e9 if newest > 0 else None for newest in snapshot.newest_ns.tolist()]
    columns = (
        surface.expiries, surface.taus, surface.forwards, np.sqrt(surface.theta / surface.taus),
        trust.atm_error, snapshot.quotes, snapshot.stale,
    )  # fmt: skip
    return tuple(
        ExpiryState(
            expiry_ns=expiry, tau=tau, forward=forward, atm_vol=atm, atm_error=error, skew=skew,
            quotes=quotes, age_s=age, stale=stale, trust=state, reasons=reasons,
        )
        for expiry, tau, forward, atm, error, quotes, stale, skew, age, state, reasons in zip(
            *(np.asarray(column).tolist() for column in columns), skews, ages, trust.state, trust.reasons,
            strict=True,
        )
    )  # fmt: skip
