"""Positions as arrays: forward and vol of every leg, read off the surface, with a status per leg.

The surface is the only source of a vol and of a forward here; a leg that it cannot price carries a status
and no numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import DataError, UnknownInstrument
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR, format_ns
from ivhedge.surface.base import VolSurface

__all__ = ["LegStatus", "Legs", "check_legs", "price_legs"]


class LegStatus(StrEnum):
    """Whether a leg could be priced on the surface."""

    OK = "ok"
    EXPIRED = "expired"
    NO_SURFACE = "no_surface"
    NO_FORWARD = "no_forward"
    NO_VOL = "no_vol"

    def describe(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]


_REMEDIES = {
    LegStatus.OK: "nothing to do",
    LegStatus.EXPIRED: "the contract has expired; settle it in the ledger",
    LegStatus.NO_SURFACE: "no surface for this underlying; fit one or drop the position",
    LegStatus.NO_FORWARD: "the surface has no forward for this expiry; check the futures and the index",
    LegStatus.NO_VOL: "the surface has no vol at this strike and expiry; refit it",
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
    status : tuple of LegStatus
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
    vol: FloatArray
    status: tuple[LegStatus, ...]

    @property
    def priced(self) -> BoolArray:
        """Where the status is ok."""
        return np.array([s is LegStatus.OK for s in self.status], dtype=np.bool_)

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Underlying of each leg."""
        return tuple(item.underlying for item in self.instruments)


def price_legs(
    positions: Sequence[tuple[Instrument, Decimal]],
    surfaces: Mapping[str, VolSurface],
    ts_ns: int,
) -> Legs:
    """Look up every leg's forward and vol on its underlying's surface.

    Parameters
    ----------
    positions : sequence of (instrument, contracts)
    surfaces : mapping of underlying to surface
    ts_ns : int
        Time of the valuation; time to expiry counts from here.

    Notes
    -----
    A perpetual is priced on the surface's forward at tau = 0. An expiry at or before `ts_ns` is expired.
    """
    n = len(positions)
    instruments = tuple(instrument for instrument, _ in positions)
    quantity = np.array([float(contracts) for _, contracts in positions], dtype=np.float64)
    multiplier = np.array([float(item.multiplier) for item in instruments], dtype=np.float64)
    expiry = np.array([item.expiry_ns or ts_ns for item in instruments], dtype=np.int64)
    perpetual = np.array([item.expiry_ns is None for item in instruments], dtype=np.bool_)
    strike = np.array([float(item.strike) if item.strike is not None else np.nan for item in instruments])
    tau = np.asarray((expiry - ts_ns) / NS_PER_YEAR, dtype=np.float64)
    is_option = np.array([item.is_option for item in instruments], dtype=np.bool_)
    forward = np.full(n, np.nan)
    vol = np.full(n, np.nan)
    status = np.full(n, LegStatus.OK, dtype=object)
    status[(tau <= 0.0) & ~perpetual] = LegStatus.EXPIRED
    names = np.array([item.underlying for item in instruments], dtype=object)
    for underlying in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero((names == underlying) & (status == LegStatus.OK))
        surface = surfaces.get(underlying)
        if surface is None:
            status[rows] = LegStatus.NO_SURFACE
        elif rows.size:
            _read_surface(surface, rows, tau, strike, is_option, forward, vol, status)
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
        vol=vol,
        status=tuple(LegStatus(value) for value in status),
    )


def _read_surface(
    surface: VolSurface,
    rows: IntArray,
    tau: FloatArray,
    strike: FloatArray,
    is_option: BoolArray,
    forward: FloatArray,
    vol: FloatArray,
    status: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
) -> None:
    forward[rows] = surface.forward(tau[rows])
    bad = rows[~(np.isfinite(forward[rows]) & (forward[rows] > 0.0))]
    status[bad], forward[bad] = LegStatus.NO_FORWARD, np.nan
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
    DataError
        If the surface has no forward or vol for a leg.
    """
    for instrument, status in zip(legs.instruments, legs.status, strict=True):
        if status in (LegStatus.OK, LegStatus.EXPIRED):
            continue
        error = UnknownInstrument if status is LegStatus.NO_SURFACE else DataError
        raise error(
            f"{instrument.key} at {format_ns(ts_ns)}: expected a price on the surface of "
            f"{instrument.underlying}, found {status.value}: {status.describe()}"
        )
