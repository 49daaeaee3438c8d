"""What was held and how it was marked: the input of an explanation, with a status per leg."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

import numpy as np

from ivhedge.core.errors import DataError, StaleQuote
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_SECOND, NS_PER_YEAR, format_ns
from ivhedge.risk.attribution.payoff import payoff
from ivhedge.risk.marks import MarkStatus, mark_options
from ivhedge.surface.base import VolSurface

__all__ = ["PERPETUAL", "ExplainStatus", "HeldLegs", "LegMarks", "Role", "mark_legs"]

PERPETUAL: Final = 0
"""Stands for the expiry of a perpetual in `HeldLegs.expiry_ns`."""
MAX_SURFACE_AGE_NS: Final = 60 * NS_PER_SECOND


class Role(StrEnum):
    """Why a leg is held."""

    BOOK = "book"
    HEDGE = "hedge"


class ExplainStatus(StrEnum):
    """How far a leg's P&L could be explained, the worse of its two ends."""

    OK = "ok"
    SETTLED = "settled"
    SURFACE_VOL = "surface_vol"
    NO_VOL = "no_vol"
    NO_MARK = "no_mark"
    EXPIRED = "expired"

    def describe(self) -> str:
        """What it means."""
        return _MEANING[self]


_MEANING = {
    ExplainStatus.OK: "explained from the leg's own marks",
    ExplainStatus.SETTLED: "expired inside the step; explained to its payoff",
    ExplainStatus.SURFACE_VOL: "a mark has no implied vol; the surface's stands in, the gap is unexplained",
    ExplainStatus.NO_VOL: "neither mark nor surface has a vol; all of the P&L is unexplained",
    ExplainStatus.NO_MARK: "mark, forward or settlement price is missing; all of the P&L is unexplained",
    ExplainStatus.EXPIRED: "had expired before the step; anything that the ledger posted is unexplained",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLegs:
    """Legs of one underlying held over a step, as parallel arrays of length n.

    Parameters
    ----------
    underlying : str
    names, currencies : tuple of str
        Unique names; settlement currency of each leg.
    roles : tuple of Role
        Hedge legs are reported apart.
    size : FloatArray, shape (n,)
        Contracts times multiplier at the start of the step, positive = long (coin; USD for an inverse
        future).
    is_option, is_call, is_coin : BoolArray, shape (n,)
        `is_coin`: settled in coin.
    strike : FloatArray, shape (n,)
        USD, NaN for futures.
    expiry_ns : IntArray, shape (n,)
        Nanoseconds since the epoch, UTC; `PERPETUAL` for a perpetual.

    Raises
    ------
    DataError
        If lengths differ, a name is repeated, a size is not finite, or an option lacks strike or expiry.
    """

    underlying: str
    names: tuple[str, ...]
    currencies: tuple[str, ...]
    roles: tuple[Role, ...]
    size: FloatArray
    is_option: BoolArray
    is_call: BoolArray
    is_coin: BoolArray
    strike: FloatArray
    expiry_ns: IntArray

    def __post_init__(self) -> None:
        n = len(self.names)
        for name in ("currencies", "roles", "size", "is_option", "is_call", "is_coin", "strike", "expiry_ns"):
            if len(getattr(self, name)) != n:
                raise DataError(f"expected {n} {name}, one per leg, found {len(getattr(self, name))}")
        if len(set(self.names)) != n:
            raise DataError("expected every leg once, found a name twice; net the positions first")
        bad = ~np.isfinite(self.size) | (self.is_option & ~(self.strike > 0.0))
        bad |= self.is_option & (self.expiry_ns == PERPETUAL)
        if bad.any():
            raise DataError(
                f"{self.names[int(np.flatnonzero(bad)[0])]}: expected a finite size, and of an option a "
                "positive strike and an expiry"
            )

    @classmethod
    def of(
        cls, positions: Sequence[tuple[Instrument, Decimal]], roles: Sequence[Role] | None = None
    ) -> "HeldLegs":
        """Build from instruments of one underlying and contracts; all legs are of the book by default.

        Raises
        ------
        DataError
            If there is no position, or more than one underlying.
        """
        instruments = [instrument for instrument, _ in positions]
        underlyings = sorted({item.underlying for item in instruments})
        if len(underlyings) != 1:
            raise DataError(
                f"expected legs of one underlying, found {underlyings or 'none'}; explain each apart"
            )
        return cls(
            underlying=underlyings[0],
            names=tuple(item.key for item in instruments),
            currencies=tuple(item.settle_currency.code for item in instruments),
            roles=tuple(roles) if roles is not None else (Role.BOOK,) * len(instruments),
            size=np.array([float(q * item.multiplier) for item, q in positions]),
            is_option=np.array([item.is_option for item in instruments]),
            is_call=np.array([bool(item.is_call) for item in instruments]),
            is_coin=np.array([item.is_inverse for item in instruments]),
            strike=np.array([np.nan if item.strike is None else float(item.strike) for item in instruments]),
            expiry_ns=np.array([item.expiry_ns or PERPETUAL for item in instruments], dtype=np.int64),
        )

    @property
    def count(self) -> int:
        """Number of legs."""
        return len(self.names)

    def contracts(self, chosen: BoolArray) -> tuple[FloatArray, BoolArray, BoolArray]:
        """Strike, call flag and coin flag of each chosen sub-step and leg, of shape (chosen.sum(),)."""
        leg = np.nonzero(chosen)[1]
        return self.strike[leg], self.is_call[leg], self.is_coin[leg]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMarks:
    """Marks of the same legs at one time.

    Parameters
    ----------
    ts_ns : int
    spot : float
        Index, USD.
    time_ns : IntArray, shape (n,)
        When the leg's mark applies: `ts_ns`, or its expiry if that is earlier.
    price : FloatArray, shape (n,)
        Option: in its settlement currency per unit of underlying. Future: USD. NaN = no mark.
    forward, vol, tau : FloatArray, shape (n,)
        USD; decimal, NaN where there is none; years (0 for futures).
    status : tuple of ExplainStatus
    surface : VolSurface or None
    """

    ts_ns: int
    spot: float
    time_ns: IntArray
    price: FloatArray
    forward: FloatArray
    vol: FloatArray
    tau: FloatArray
    status: tuple[ExplainStatus, ...]
    surface: VolSurface | None


def mark_legs(
    legs: HeldLegs,
    *,
    ts_ns: int,
    spot: float,
    price: ArrayLike,
    forward: ArrayLike,
    surface: VolSurface | None = None,
    settlement: ArrayLike = np.nan,
) -> LegMarks:
    """Mark legs at one time; what is missing becomes a status, never a zero.

    Parameters
    ----------
    legs : HeldLegs
    ts_ns : int
    spot : float
        Index, USD.
    price : array_like, shape (n,)
        Marks: options in settlement currency per unit of underlying, futures in USD; NaN = none.
    forward : array_like, shape (n,)
        Forward of each option's own expiry, USD; NaN = the surface's. Not read for futures.
    surface : VolSurface, optional
        Of this underlying, at most a minute from `ts_ns`.
    settlement : array_like, shape (n,)
        Settlement price, USD, of legs whose expiry is at or before `ts_ns`; not read for the others.

    Raises
    ------
    DataError
        If `spot` is not positive, or the surface is of another underlying.
    StaleQuote
        If the surface is of another time.
    """
    if not (np.isfinite(spot) and spot > 0.0):
        raise DataError(f"expected a positive index of {legs.underlying} at {format_ns(ts_ns)}, found {spot}")
    if surface is not None and surface.underlying != legs.underlying:
        raise DataError(f"expected a surface of {legs.underlying}, found one of {surface.underlying}")
    if surface is not None and abs(surface.ts_ns - ts_ns) > MAX_SURFACE_AGE_NS:
        raise StaleQuote(
            f"expected a surface of {legs.underlying} at {format_ns(ts_ns)}, found one at "
            f"{format_ns(surface.ts_ns)}; fit one for the time of the marks, or explain without"
        )
    n = legs.count
    price, forward, settlement = (
        np.broadcast_to(np.asarray(a, dtype=np.float64), n).copy() for a in (price, forward, settlement)
    )
    dated = legs.expiry_ns != PERPETUAL
    expired = dated & (legs.expiry_ns <= ts_ns)
    tau = np.where(dated & ~expired, (legs.expiry_ns - ts_ns) / NS_PER_YEAR, 0.0)
    forward = np.where(legs.is_option, forward, price)
    if surface is not None:
        own = ~np.isfinite(forward) & legs.is_option & ~expired
        forward[own] = surface.forward(tau[own])
    paid = payoff(legs.strike, legs.is_call, legs.is_coin, settlement)
    price = np.where(expired, np.where(legs.is_option, paid, settlement), price)
    forward = np.where(expired, settlement, forward)
    good = np.isfinite(price) & np.isfinite(forward) & (forward > 0.0)
    status = np.full(n, ExplainStatus.NO_MARK, dtype=object)
    status[good] = ExplainStatus.OK
    status[good & expired] = ExplainStatus.SETTLED
    vol = np.full(n, np.nan)
    rows = np.flatnonzero(good & legs.is_option & ~expired)
    if rows.size:
        found = np.full(rows.size, np.nan)
        if surface is not None:
            found = surface.implied_vol(np.log(legs.strike[rows] / forward[rows]), tau[rows])
        marks = mark_options(
            price[rows],
            forward[rows],
            legs.strike[rows],
            tau[rows],
            legs.is_call[rows],
            legs.is_coin[rows],
            found,
        )
        vol[rows] = marks.vol
        status[rows] = [_FROM_MARK[MarkStatus(s)] for s in marks.status]
    return LegMarks(
        ts_ns=ts_ns,
        spot=float(spot),
        time_ns=np.where(expired, legs.expiry_ns, ts_ns).astype(np.int64),
        price=price,
        forward=forward,
        vol=vol,
        tau=tau,
        status=tuple(ExplainStatus(value) for value in status),
        surface=surface,
    )


_FROM_MARK = {
    MarkStatus.OK: ExplainStatus.OK,
    MarkStatus.SURFACE_VOL: ExplainStatus.SURFACE_VOL,
    MarkStatus.NO_VOL: ExplainStatus.NO_VOL,
    MarkStatus.EXPIRED: ExplainStatus.SETTLED,
}
