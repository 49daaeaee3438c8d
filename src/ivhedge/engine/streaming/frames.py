"""What the player yields."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Literal, TypeAlias

from ivhedge.market.tape import SequenceCounts
from ivhedge.surface.fusion import VenueHealth
from ivhedge.surface.stream import StreamSnapshot, TrustState

__all__ = ["KEPT", "ExpiryState", "Pace", "Status", "StreamFrame", "VenueState"]

KEPT = "kept"
"""Outcome of a sound message of an expiry without a surface yet: kept for the next fit."""

ASIDE = ("one_sided", "no_vol", "in_the_money")
"""Outcomes of sound messages that inform the forward, not the vol."""

Status: TypeAlias = Literal["waiting", "certified", "held"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the machine keeps up; the only part of a frame that depends on the wall clock.

    Parameters
    ----------
    wall_ns : int
        Time on the passed clock.
    messages_per_s : float
        Since the frame before, per second of wall time; NaN where no time passed.
    behind_s : float
        How much later than due; NaN where nothing was due.
    """

    wall_ns: int
    messages_per_s: float
    behind_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueState:
    """One venue since the beginning, and since the frame before.

    Parameters
    ----------
    name : str
        ``(unknown)`` for messages of venues not listed.
    messages : int
        Received since the beginning.
    outcomes : mapping of str to int
        How they ended: names of `REASONS`, or `KEPT`. Adds up to `messages`.
    rate : float
        Messages per second of tape time since the frame before.
    lag_s : float or None
        Median of receipt less venue's time since the frame before; None without messages. A venue's clock
        that is off shows here.
    newest_ns : int
        Receipt of its newest message; 0 without one.
    sequence : SequenceCounts
    health : VenueHealth or None
        State, biases and copies at the last estimate; None where there was none.
    """

    name: str
    messages: int
    outcomes: Mapping[str, int]
    rate: float
    lag_s: float | None
    newest_ns: int
    sequence: SequenceCounts
    health: VenueHealth | None = None

    @property
    def used(self) -> int:
        """Messages that moved the surface."""
        return self.outcomes.get("accepted", 0) + self.outcomes.get("unchanged", 0)

    @property
    def kept(self) -> int:
        """Sound messages of expiries without a surface, kept for the next fit."""
        return self.outcomes.get(KEPT, 0)

    @property
    def aside(self) -> Mapping[str, int]:
        """Sound messages without a vol of use: one-sided, in the money, below intrinsic value."""
        return {name: count for name, count in self.outcomes.items() if name in ASIDE}

    @property
    def refused(self) -> Mapping[str, int]:
        """Faulty messages by reason; they never enter the state."""
        sound = ("accepted", "unchanged", KEPT, *ASIDE)
        return {name: count for name, count in self.outcomes.items() if name not in sound}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryState:
    """One expiry of a published surface.

    Parameters
    ----------
    expiry_ns : int
    tau : float
        Years, ACT/365.
    forward : float
    atm_vol, atm_error : float
        At the forward, decimal; the error is one standard deviation.
    skew : float or None
        Vol of the 25-delta call less that of the put, decimal; None where the smile has no such strikes.
    quotes : int
        In use.
    age_s : float or None
        Of the newest quote; None without one.
    stale : bool
    trust : TrustState
        What the vols are good for, see `surface_trust`.
    reasons : tuple of str
        Why they are not good.
    """

    expiry_ns: int
    tau: float
    forward: float
    atm_vol: float
    atm_error: float
    skew: float | None
    quotes: int
    age_s: float | None
    stale: bool
    trust: TrustState
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFrame:
    """One publication.

    Parameters
    ----------
    number : int
        From 0.
    ts_ns : int
        Time of the publication, own clock.
    status : {"waiting", "certified", "held"}
        ``waiting``: no surface yet. ``held``: the newest could not be certified, an earlier one stands.
    snapshot : StreamSnapshot or None
    expiries : tuple of ExpiryState
    venues : tuple of VenueState
    waiting_expiries : tuple of int
        Expiries heard of that have no surface yet, nanoseconds.
    fits : int
        Fits made so far: the start and one for each new set of expiries.
    failed_fits : int
    note : str
        Why the last fit failed; empty after a good one.
    clock_back : int
        Messages whose time of receipt ran backwards; taken at the latest time before them.
    arbitrage_free : bool or None
        The dense check, where asked for.
    pace : Pace
    """

    number: int
    ts_ns: int
    status: Status
    snapshot: StreamSnapshot | None
    expiries: tuple[ExpiryState, ...]
    venues: tuple[VenueState, ...]
    waiting_expiries: tuple[int, ...]
    fits: int
    failed_fits: int
    note: str
    clock_back: int
    arbitrage_free: bool | None
    pace: Pace = field(compare=False)

    @property
    def messages(self) -> int:
        """Messages received since the beginning, all venues."""
        return sum(venue.messages for venue in self.venues)

    def digest(self) -> str:
        """SHA-256 of all but `pace`: equal frames have equal digests, and no others in practice."""
        parts = [repr(getattr(self, f.name)) for f in fields(self) if f.name not in ("snapshot", "pace")]
        found = sha256("\n".join(parts).encode())
        if self.snapshot is not None:
            shot, surface = self.snapshot, self.snapshot.surface
            for column in (
                surface.expiries, surface.theta, surface.rho, surface.psi, surface.forwards, shot.covariance,
                shot.drift, shot.lag, shot.quotes, shot.newest_ns, shot.witnessed_ns, shot.stale,
            ):  # fmt: skip
                found.update(column.tobytes())
        return found.hexdigest()
