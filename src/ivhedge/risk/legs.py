"""Positions as arrays: forward and vol of every leg, read off the surface, with a status per leg.

The surface is the only source of a vol and of a forward here; a leg that it cannot price carries a status
and no numbers. `ivhedge.risk.marks.conservative_legs` fills in what must not count as no risk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, StaleQuote, UnknownInstrument
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR, NS_PER_YEAR, format_ns
from ivhedge.surface.base import VolSurface
from ivhedge.surface.density import smile_derivatives
from ivhedge.surface.dynamics import SmileRule

__all__ = ["MAX_AGE_NS", "LegStatus", "Legs", "check_legs", "price_legs", "vol_slopes"]


MAX_AGE_NS: Final = NS_PER_HOUR
"""How far from the time of the valuation a surface may be, unless told otherwise."""


class LegStatus(StrEnum):
    """Whether a leg could be priced on the surface."""

    OK = "ok"
    EXPIRED = "expired"
    NO_SURFACE = "no_surface"
    NO_FORWARD = "no_forward"
    NO_VOL = "no_vol"
    STALE_SURFACE = "stale_surface"
    NO_AVERAGE = "no_average"
    CONSERVATIVE = "conservative"

    def describe(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]

    @property
    def has_numbers(self) -> bool:
        """Whether forward and vol are there: read off the surface, or a conservative mark asked for."""
        return self in (LegStatus.OK, LegStatus.CONSERVATIVE)


# numpy turns the members into plain text.
_BY_VALUE: dict[str, LegStatus] = {status.value: status for status in LegStatus}
_REMEDIES = {
    LegStatus.OK: "nothing to do",
    LegStatus.EXPIRED: "the contract has expired; settle it in the ledger",
    LegStatus.NO_SURFACE: "no surface for this underlying; fit one or drop the position",
    LegStatus.NO_FORWARD: "the surface has no forward for this expiry; check the futures and the index",
    LegStatus.NO_VOL: "the surface has no vol at this strike and expiry; refit it",
    LegStatus.STALE_SURFACE: "the surface is older than max_age_ns allows; fit a new one",
    LegStatus.NO_AVERAGE: "the settlement average runs; pass its mean so far (SettlementWindow)",
    LegStatus.CONSERVATIVE: "a conservative mark stands in for the surface's; refit it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """Legs of a book as parallel arrays of length n.

    Parameters
    ----------
    instruments : tuple of Instrument
    quantity, size : FloatArray, shape (n,)
        Contracts, and contracts times multiplier (coin, or USD for an inverse future).
    is_option, is_inverse, is_call : BoolArray, shape (n,)
    strike, tau, forward, vol : FloatArray, shape (n,)
        NaN where it does not apply or where `status` is not ok.
    index : FloatArray, shape (n,)
        What a coin of the underlying is worth now, USD: the surface's forward at tau = 0.
    entry_vol, exit_vol : FloatArray, shape (n,)
        Where a conservative mark stands in: vol of what may be lost and vol of what is left, see
        `ivhedge.risk.marks.conservative_legs`; NaN elsewhere.
    status : tuple of LegStatus
    expiry_ns : IntArray, shape (n,)
        Nanoseconds since the epoch; the time of the valuation for a perpetual.
    """

    instruments: tuple[Instrument, ...]
    quantity: FloatArray
    size: FloatArray
    is_option: BoolArray
    is_inverse: BoolArray
    is_call: BoolArray
    strike: FloatArray
    tau: FloatArray
    forward: FloatArray
    index: FloatArray
    vol: FloatArray
    status: tuple[LegStatus, ...]
    expiry_ns: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    entry_vol: FloatArray = field(default_factory=lambda: np.zeros(0))
    exit_vol: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def opening_vol(self) -> FloatArray:
        """Vol of the value that a profit starts from: adverse where a conservative mark stands in."""
        return (
            np.where(np.isnan(self.entry_vol), self.vol, self.entry_vol) if self.entry_vol.size else self.vol
        )

    @property
    def closing_vol(self) -> FloatArray:
        """Vol of the value that a profit ends at, before any shock of it."""
        return np.where(np.isnan(self.exit_vol), self.vol, self.exit_vol) if self.exit_vol.size else self.vol

    @property
    def usd_scale(self) -> FloatArray:
        """USD of a value per USD at the leg's own forward, shape (n,).

        A coin-settled contract is worth ``V / F`` coins, which the index turns into USD: ``S / F``. Else 1.
        """
        return np.where(self.is_inverse, self.index / self.forward, 1.0)

    @property
    def coin_scale(self) -> FloatArray:
        """Coins of a value per coin ``V / F``, shape (n,): ``F / S`` of what settles in dollars, else 1."""
        return np.where(self.is_inverse, 1.0, self.forward / self.index)

    @property
    def priced(self) -> BoolArray:
        """Where the status is ok, or a conservative mark stands in."""
        valued = (LegStatus.OK, LegStatus.CONSERVATIVE)
        return np.array([s in valued for s in self.status], dtype=np.bool_)

    @property
    def marked(self) -> BoolArray:
        """Where a conservative mark stands in."""
        return np.array([s is LegStatus.CONSERVATIVE for s in self.status], dtype=np.bool_)

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Underlying of each leg."""
        return tuple(item.underlying for item in self.instruments)


def price_legs(
    positions: Sequence[tuple[Instrument, Decimal]],
    surfaces: Mapping[str, VolSurface],
    ts_ns: int,
    *,
    max_age_ns: int | None = MAX_AGE_NS,
) -> Legs:
    """Look up every leg's forward and vol on its underlying's surface.

    Parameters
    ----------
    positions : sequence of (instrument, contracts)
    surfaces : mapping of underlying to surface
    ts_ns : int
        Time of the valuation; time to expiry counts from here.
    max_age_ns : int or None
        Largest distance in time of a surface; legs on one further away are `STALE_SURFACE`. None for any.

    Raises
    ------
    ConfigError
        If `max_age_ns` is negative.
    DataError
        If a size is not finite.

    Notes
    -----
    A perpetual is priced on the surface's forward at tau = 0. An expiry at or before `ts_ns` is expired.
    """
    n = len(positions)
    if max_age_ns is not None and max_age_ns < 0:
        raise ConfigError(f"expected max_age_ns at or above 0 or None, found {max_age_ns}")
    instruments = tuple(instrument for instrument, _ in positions)
    quantity = np.array([float(contracts) for _, contracts in positions], dtype=np.float64)
    if not np.isfinite(quantity).all():
        at = int(np.flatnonzero(~np.isfinite(quantity))[0])
        raise DataError(f"{instruments[at].key}: expected a finite size, found {quantity[at]}; mend the book")
    multiplier = np.array([float(item.multiplier) for item in instruments], dtype=np.float64)
    expiry = np.array([item.expiry_ns or ts_ns for item in instruments], dtype=np.int64)
    perpetual = np.array([item.expiry_ns is None for item in instruments], dtype=np.bool_)
    strike = np.array([float(item.strike) if item.strike is not None else np.nan for item in instruments])
    tau = np.asarray((expiry - ts_ns) / NS_PER_YEAR, dtype=np.float64)
    is_option = np.array([item.is_option for item in instruments], dtype=np.bool_)
    forward, index, vol = np.full((3, n), np.nan)
    status = np.full(n, LegStatus.OK, dtype=object)
    status[(tau <= 0.0) & ~perpetual] = LegStatus.EXPIRED
    names = np.array([item.underlying for item in instruments], dtype=object)
    for underlying in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero((names == underlying) & (status == LegStatus.OK))
        surface = surfaces.get(underlying)
        if surface is None:
            status[rows] = LegStatus.NO_SURFACE
        elif max_age_ns is not None and abs(ts_ns - surface.ts_ns) > max_age_ns:
            status[rows] = LegStatus.STALE_SURFACE
        elif rows.size:
            _read_surface(surface, rows, tau, strike, is_option, forward, index, vol, status)
    return Legs(
        instruments=instruments,
        quantity=quantity,
        size=quantity * multiplier,
        is_option=is_option,
        is_inverse=np.array([item.is_inverse for item in instruments], dtype=np.bool_),
        is_call=np.array([bool(item.is_call) for item in instruments], dtype=np.bool_),
        strike=strike,
        tau=np.where(perpetual, np.nan, tau),
        forward=forward,
        index=index,
        vol=vol,
        status=tuple([_BY_VALUE[value] for value in status.tolist()]),
        expiry_ns=expiry,
        entry_vol=np.full(n, np.nan),
        exit_vol=np.full(n, np.nan),
    )


def _read_surface(
    surface: VolSurface,
    rows: IntArray,
    tau: FloatArray,
    strike: FloatArray,
    is_option: BoolArray,
    forward: FloatArray,
    index: FloatArray,
    vol: FloatArray,
    status: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
) -> None:
    forward[rows], index[rows] = surface.forward(tau[rows]), surface.forward(0.0)
    known = (forward[rows] > 0.0) & (index[rows] > 0.0) & np.isfinite(forward[rows] + index[rows])
    bad = rows[~known]
    status[bad], forward[bad], index[bad] = LegStatus.NO_FORWARD, np.nan, np.nan
    options = rows[is_option[rows] & np.isfinite(forward[rows])]
    if options.size == 0:
        return
    vol[options] = surface.implied_vol(np.log(strike[options] / forward[options]), tau[options])
    bad = options[~(np.isfinite(vol[options]) & (vol[options] > 0.0))]
    status[bad], vol[bad] = LegStatus.NO_VOL, np.nan


def check_legs(legs: Legs, ts_ns: int) -> None:
    """Raise for the first leg without a price; an expired leg is the ledger's business and passes.

    Raises
    ------
    UnknownInstrument
        If a held underlying has no surface.
    StaleQuote
        If a surface is too old.
    DataError
        If the surface has no forward or vol for a leg.
    """
    for instrument, status in zip(legs.instruments, legs.status, strict=True):
        if status.has_numbers or status is LegStatus.EXPIRED:
            continue
        raise _ERRORS.get(status, DataError)(
            f"{instrument.key} at {format_ns(ts_ns)}: expected a price on the surface of "
            f"{instrument.underlying}, found {status.value}: {status.describe()}"
        )


_ERRORS: dict[LegStatus, type[DataError]] = {
    LegStatus.NO_SURFACE: UnknownInstrument,
    LegStatus.STALE_SURFACE: StaleQuote,
}


def vol_slopes(
    legs: Legs, rows: IntArray, surfaces: Mapping[str, VolSurface], rule: SmileRule
) -> tuple[FloatArray, FloatArray]:
    """First and second derivative by the forward of the vol of a fixed strike, shape (m,).

    Parameters
    ----------
    legs : Legs
    rows : IntArray, shape (m,)
        Option legs; 0 for those that are not priced on the surface.
    surfaces : mapping of underlying to surface
    rule : SmileRule
        The vol of a strike after a move u = ln(F'/F) is ``vol(k + (R − 1)·u)``.
    """
    first, second = np.zeros((2, rows.size))
    names = np.array(legs.underlyings, dtype=object)[rows]
    ok = np.array([legs.status[row] is LegStatus.OK for row in rows.tolist()])
    for underlying in dict.fromkeys(names.tolist()):
        mine = np.flatnonzero((names == underlying) & ok)
        at = rows[mine]
        if at.size == 0:
            continue
        k, tau = np.log(legs.strike[at] / legs.forward[at]), legs.tau[at]
        w, w_k, w_kk = smile_derivatives(surfaces[underlying], k, tau)
        root = np.sqrt(w * tau)
        vol_k = 0.5 * w_k / root
        vol_kk = 0.5 * w_kk / root - 0.25 * w_k**2 / (w * root)
        stick = rule.ssr_at(tau) - 1.0
        F = legs.forward[at]
        first[mine] = stick * vol_k / F
        second[mine] = (stick**2 * vol_kk - stick * vol_k) / F**2
    return first, second
