"""A surface that follows quotes one by one."""

from collections.abc import Mapping
from operator import index

import numpy as np

from ivhedge.core.errors import ArbitrageError, ConfigError, DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.calibrate import PackedQuotes, RobustSettings, calibrate_essvi
from ivhedge.surface.essvi import EssviSurface
from ivhedge.surface.fit import SurfaceFit
from ivhedge.surface.fusion.model import VenueModel
from ivhedge.surface.stream import _kernel as kernel
from ivhedge.surface.stream._intake import consume, consume_one
from ivhedge.surface.stream._memory import Memory
from ivhedge.surface.stream._projection import moved_by, project, sufficient
from ivhedge.surface.stream._recency import behind_newest
from ivhedge.surface.stream._settling import settle
from ivhedge.surface.stream._state import (
    EXPIRY_NS,
    FIRST,
    FORWARD_NS,
    IN_COIN,
    IS_CALL,
    LAST,
    LIVE,
    NEWEST,
    SLICE_OF,
    new_buffers,
    state_of,
)
from ivhedge.surface.stream.columns import QuoteColumns, StreamSettings, Universe
from ivhedge.surface.stream.snapshot import StreamSnapshot, covariances

__all__ = ["REASONS", "SurfaceStream"]

REASONS = (
    "accepted",
    "unchanged",
    "duplicate",
    "unknown_venue",
    "unknown_instrument",
    "not_finite",
    "crossed",
    "out_of_order",
    "future",
    "late",
    "expired",
    "one_sided",
    "no_vol",
    "in_the_money",
    "bad_forward",
)
"""Names of the outcomes, by number. `unchanged` (the same price at a later time) is in use as `accepted` is.
Those from `one_sided` to `in_the_money` take the earlier quote out."""
UNKNOWN = "(unknown)"


class SurfaceStream:
    """Follow the quotes of a universe from a fitted surface on.

    Parameters
    ----------
    universe : Universe
        Every expiry must be one of the start's; others' quotes count as unknown instruments.
    start : SurfaceFit or EssviSurface
    settings : StreamSettings, optional

    Raises
    ------
    ConfigError
        If no instrument has an expiry of the start.
    ArbitrageError
        If the start has arbitrage.

    Notes
    -----
    Times of receipt are the own clock and trusted. Not safe for several threads at once.
    """

    def __init__(
        self,
        universe: Universe,
        *,
        start: SurfaceFit | EssviSurface,
        settings: StreamSettings | None = None,
    ) -> None:
        surface = start.backbone if isinstance(start, SurfaceFit) else start
        self.universe, self.settings = universe, settings or StreamSettings()
        self._expiries = surface.expiries
        params = np.column_stack((surface.theta, surface.rho, surface.psi))
        if not sufficient(params, 0, surface.expiries.size - 1):
            raise ArbitrageError("expected a start without arbitrage; certify it and fit again")
        self._ints, self._floats = _packed(self.universe, surface, self.settings)
        self._state = state_of(self._ints, self._floats)
        self._memory = Memory.of(self._state.slices, surface.ts_ns)
        self._start, self._surface = surface, surface
        self._refused = 0

    def on_quotes(self, quotes: QuoteColumns) -> IntArray:
        """Take quotes in the order given.

        Returns
        -------
        IntArray, shape (n,)
            Outcome of each, a position in `REASONS`.
        """
        outcome = np.empty(len(quotes), dtype=np.int64)
        consume(
            quotes.venue,
            quotes.instrument,
            quotes.bid,
            quotes.ask,
            quotes.bid_size,
            quotes.ask_size,
            quotes.ts_event,
            quotes.ts_recv,
            quotes.forward,
            self._ints,
            self._floats,
            outcome,
        )
        return outcome

    def correct(self, venues: VenueModel) -> None:
        """Take the venues' biases off all quotes, standing and to come, and weigh each venue by its errors.

        Parameters
        ----------
        venues : VenueModel
            As from `ivhedge.surface.fusion.fuse`: level and slope by venue and expiry (the venue's common
            ones in an expiry it does not know), scale of errors, copies. A venue it does not know is taken
            as it quotes.

        Raises
        ------
        ConfigError
            If it is of another underlying.
        DataError
            If a bias, a scale of errors or a likeness is not finite; nothing is changed then.
        """
        if venues.underlying != self._start.underlying:
            raise ConfigError(
                f"expected a model of {self._start.underlying}, found one of {venues.underlying}"
            )
        s = self._state
        s.biases[:] = self._biases_of(venues)
        m = self.universe.strike.size
        for j in np.flatnonzero(s.slots[:, kernel.NOISE] > 0.0).tolist():
            v, q = divmod(j, m)
            tau = (s.listed[q, EXPIRY_NS] - s.times[j, 0]) / kernel.NS_PER_YEAR
            kernel.correct(s.slots[j], s.biases[v, s.listed[q, SLICE_OF]], tau)

    def _biases_of(self, venues: VenueModel) -> FloatArray:
        (level, _), (slope, _) = venues.state.at(0), venues.state.at(1)
        place = {int(stamp): i + 1 for i, stamp in enumerate(venues.state.expiry_ns)}
        slot = np.array([place.get(int(stamp), 0) for stamp in self._expiries])
        found = np.zeros_like(self._state.biases)
        found[:, :, kernel.ATM], found[:, :, kernel.FACTOR] = np.sqrt(self._state.slices[:, 0]), 1.0
        for v, name in enumerate(self.universe.venues):
            if name not in venues.venues:
                continue
            u = venues.venues.index(name)
            found[v, :, kernel.LEVEL], found[v, :, kernel.SLOPE] = level[u, slot], slope[u, slot]
            copies = max(float(venues.correlation[u].sum() - venues.correlation[u, u]), 0.0)
            scale = venues.noise_scale.get(name, 1.0)
            found[v, :, kernel.FACTOR] = scale * scale * (1.0 + copies)
            if not (np.isfinite(found[v]).all() and found[v, 0, kernel.FACTOR] > 0.0):
                raise DataError(
                    f"expected finite biases and a positive scale of errors of {name}, found {found[v, 0]}; "
                    "estimate the model anew"
                )
        return found

    def on_quote(
        self,
        *,
        venue: int,
        instrument: int,
        bid: float,
        ask: float,
        ts_event: int,
        ts_recv: int,
        forward: float,
        bid_size: float = np.nan,
        ask_size: float = np.nan,
    ) -> str:
        """Take one quote; its outcome by name.

        Raises
        ------
        DataError
            If an id or time is no integer of 64 bits, or a price, size or forward no number. Bad values are
            no error: they have an outcome.
        """
        try:
            # Plain numbers only: each other type would be compiled anew.
            reason = consume_one(
                index(venue),
                index(instrument),
                float(bid),
                float(ask),
                float(bid_size),
                float(ask_size),
                index(ts_event),
                index(ts_recv),
                float(forward),
                self._ints,
                self._floats,
            )
        except (TypeError, ValueError, OverflowError) as exc:
            given = (venue, instrument, bid, ask, ts_event, ts_recv, forward, bid_size, ask_size)
            raise DataError(
                f"expected integers for ids and times and numbers for the rest, found {given}: {exc}"
            ) from exc
        return REASONS[reason]

    def snapshot(self, ts_ns: int, *, joint: bool = False) -> StreamSnapshot:
        """Publish the surface of a time: settle, remove arbitrage, check, add error bars.

        Parameters
        ----------
        ts_ns : int
            Own clock, nanoseconds since the epoch; not before the newest quote less `max_lead_s`.
        joint : bool
            Fit all slices together to the quotes in use: the batch fit (milliseconds). Without it slices are
            fitted one by one and arbitrage is removed by clipping. Where an expiry has no quotes, clipped all
            the same.

        Raises
        ------
        DataError
            If the time lies before a quote taken, or every expiry has passed.
        """
        s = self._state
        # A venue's clock may lead the own one by as much as its quotes were allowed to.
        first = max(int(s.clocks[:, FORWARD_NS].max() - s.cfg[kernel.MAX_LEAD]), self._start.ts_ns)
        if ts_ns < first:
            raise DataError(f"expected a time from {first} on, found {ts_ns}; publish at the current time")
        alive = np.flatnonzero(self._expiries > ts_ns)
        if alive.size == 0:
            raise DataError("expected an expiry after the snapshot, found none; start a new stream")
        taus = (self._expiries[alive] - ts_ns) / kernel.NS_PER_YEAR
        self._memory.carry(s.slices, s.clocks[:, FORWARD_NS])
        self._memory.lean(s.slices, ts_ns, s.cfg)
        settle(self._ints, self._floats, alive, taus, ts_ns)
        params = np.empty((alive.size, 3))
        project(s.slices[alive], taus, params)
        if joint:
            params = self._together(alive, taus, params, ts_ns)
        held = not sufficient(params, 0, alive.size - 1)
        if held:
            self._refused += 1
        else:
            self._surface = EssviSurface(
                underlying=self._start.underlying,
                ts_ns=ts_ns,
                expiries=self._expiries[alive],
                taus=taus,
                theta=params[:, 0],
                rho=params[:, 1],
                psi=params[:, 2],
                forwards=np.exp(s.slices[alive, kernel.S_LOG_F]),
                index=None,
                clock=self._start.clock,
            )
        known = covariances(s.slices)
        lag, witnessed_ns = self._lag(known, ts_ns)
        shown = np.searchsorted(self._expiries, self._surface.expiries)
        age = ts_ns - s.clocks[shown, NEWEST]
        return StreamSnapshot(
            ts_ns=ts_ns,
            surface=self._surface,
            covariance=known[shown],
            lag=lag[shown] + self._moved_away(shown),
            drift=s.slices[shown, kernel.DRIFT].copy(),
            quotes=s.clocks[shown, LIVE].copy(),
            newest_ns=s.clocks[shown, NEWEST].copy(),
            witnessed_ns=witnessed_ns[shown],
            stale=held | (age > self.settings.stale_after_s * 1e9) | (s.clocks[shown, LIVE] < 3),
            held=held,
        )

    def _lag(self, covariance: FloatArray, ts_ns: int) -> tuple[FloatArray, IntArray]:
        """Variance by which the slices are behind, and since when three quotes know them.

        By their newest quotes, and by the speed of their vols.
        """
        s = self._state
        behind, mean_age, witnessed = np.zeros((3, len(s.clocks)))
        taus = (self._expiries - ts_ns) / kernel.NS_PER_YEAR
        behind_newest(self._ints, self._floats, taus, ts_ns, behind, mean_age, witnessed)
        enough = s.clocks[:, LIVE] >= kernel.FEW
        self._memory.learn(s.slices, covariance, enough, s.clocks[:, NEWEST], mean_age, ts_ns)
        # With few quotes the speed is inside what is known already.
        lag = behind + np.where(enough, self._memory.ahead(mean_age / 1e9), 0.0)
        since = np.where(
            np.isfinite(witnessed), ts_ns - np.where(np.isfinite(witnessed), witnessed, 0.0), 0.0
        )
        return lag, since.astype(np.int64)

    def _moved_away(self, shown: IntArray) -> FloatArray:
        """Variance by which what is published is off the slices: moved out of arbitrage, or held."""
        slices, surface = self._state.slices[shown], self._surface
        params = np.column_stack((surface.theta, surface.rho, surface.psi))
        spot = self.settings.spot_beta * (slices[:, kernel.S_LOG_F] - np.log(surface.forwards))
        return np.asarray(moved_by(slices, surface.taus, params) ** 2 + spot**2)

    def _together(self, alive: IntArray, taus: FloatArray, clipped: FloatArray, ts_ns: int) -> FloatArray:
        s = self._state
        if (s.clocks[alive, LIVE] == 0).any():
            return clipped
        kept = []
        for e in alive.tolist():
            block = s.members[s.clocks[e, FIRST] : s.clocks[e, LAST]]
            age = ts_ns - s.times[block, 0]
            kept.append(block[(s.slots[block, kernel.NOISE] > 0.0) & (age <= s.cfg[kernel.MAX_AGE])])
        rows = np.concatenate(kept)
        owner = np.repeat(alive, s.clocks[alive, LIVE])
        moved = s.cfg[kernel.BETA] * (s.slices[owner, kernel.S_LOG_F] - s.slots[rows, kernel.LOG_F])
        drift = s.cfg[kernel.Q_TIME] * np.maximum(ts_ns - s.times[rows, 0], 0) / kernel.NS_PER_YEAR + moved**2
        packed = PackedQuotes(
            log_moneyness=s.slots[rows, kernel.K],
            vol=s.slots[rows, kernel.VOL],
            weight=1.0 / np.sqrt(s.slots[rows, kernel.NOISE] + drift),
            offsets=np.concatenate(([0], np.cumsum(s.clocks[alive, LIVE]))),
            taus=taus,
        )
        robust = RobustSettings(tukey=self.settings.tukey, min_scale=self.settings.min_scale)
        fitted = calibrate_essvi(packed, robust, start=clipped).params
        return fitted if sufficient(fitted, 0, alive.size - 1) else clipped

    def health(self) -> Mapping[str, Mapping[str, int]]:
        """Counts of outcomes by venue; quotes of unknown venues stand under ``(unknown)``."""
        names = (*self.universe.venues, UNKNOWN)
        return {
            name: {reason: int(count) for reason, count in zip(REASONS, row, strict=True) if count}
            for name, row in zip(names, self._state.counts, strict=True)
        }

    @property
    def refused(self) -> int:
        """Publications held back because the surface could not be certified."""
        return self._refused


def _packed(
    universe: Universe, surface: EssviSurface, settings: StreamSettings
) -> tuple[IntArray, FloatArray]:
    """State of a universe before its first quote."""
    n, m, venues = surface.expiries.size, universe.strike.size, len(universe.venues)
    position = np.minimum(np.searchsorted(surface.expiries, universe.expiry_ns), n - 1)
    known = surface.expiries[position] == universe.expiry_ns
    if not known.any():
        raise ConfigError("expected instruments at the start's expiries, found none; check the universe")
    members = [
        (np.arange(venues)[:, None] * m + np.flatnonzero(known & (position == e))).ravel() for e in range(n)
    ]
    ints, floats = new_buffers(venues, m, n, sum(part.size for part in members))
    s = state_of(ints, floats)
    s.listed[:, IS_CALL], s.listed[:, IN_COIN] = universe.is_call, universe.in_coin
    s.listed[:, EXPIRY_NS], s.listed[:, SLICE_OF] = np.where(known, universe.expiry_ns, 0), position
    s.members[:], s.clocks[:, LAST] = np.concatenate(members), np.cumsum([part.size for part in members])
    s.clocks[1:, FIRST], s.clocks[:, FORWARD_NS] = s.clocks[:-1, LAST], surface.ts_ns
    s.cfg[:], s.strike[:] = settings.packed(), universe.strike
    s.slices[:, 0], s.slices[:, 1] = surface.theta / surface.taus, surface.rho
    s.slices[:, 2], s.slices[:, kernel.S_LOG_F] = surface.psi / surface.taus, np.log(surface.forwards)
    s.slices[:, kernel.SCALE] = s.slices[:, kernel.WHOLE] = 1.0
    s.biases[:, :, kernel.ATM] = s.biases[:, :, kernel.FACTOR] = 1.0
    return ints, floats
