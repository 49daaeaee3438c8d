"""Turning a structure ("a 30-day 25-delta strangle") into listed contracts."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from ivhedge.core.instruments import Instrument
from ivhedge.core.units import NS_PER_DAY, NS_PER_YEAR
from ivhedge.engine.spec import StructureKind, StructureSpec
from ivhedge.surface.base import VolSurface
from ivhedge.surface.quoting import log_moneyness_of_delta

__all__ = ["choose_legs", "nearest_expiry"]

_MIN_SHARE_OF_TENOR = 0.4

# (is_call, sign of the leg for a positive size)
_LEGS: Mapping[StructureKind, tuple[tuple[bool, int], ...]] = {
    StructureKind.STRANGLE: ((True, 1), (False, 1)),
    StructureKind.STRADDLE: ((True, 1), (False, 1)),
    StructureKind.RISK_REVERSAL: ((True, 1), (False, -1)),
    StructureKind.CALL: ((True, 1),),
    StructureKind.PUT: ((False, 1),),
}


def nearest_expiry(options: Sequence[Instrument], tenor_days: float, now_ns: int) -> int | None:
    """Listed expiry nearest to a tenor; None if none is at least 40 % of it away."""
    target = now_ns + tenor_days * NS_PER_DAY
    earliest = now_ns + _MIN_SHARE_OF_TENOR * tenor_days * NS_PER_DAY
    listed = {o.expiry_ns for o in options if o.expiry_ns is not None and o.expiry_ns >= earliest}
    return min(sorted(listed), key=lambda expiry: abs(expiry - target)) if listed else None


def choose_legs(
    spec: StructureSpec,
    options: Sequence[Instrument],
    surface: VolSurface,
    index: float,
    now_ns: int,
) -> tuple[tuple[Instrument, Decimal], ...]:
    """Pick the listed options of a structure and their signed sizes in lots.

    Parameters
    ----------
    spec : StructureSpec
    options : sequence of Instrument
        Options that can be traded now, of one underlying and venue.
    surface : VolSurface
        Gives the strike of each leg's delta.
    index : float
        USD per coin, turns the notional into contracts.
    now_ns : int

    Returns
    -------
    tuple of (Instrument, contracts)
        Empty when no listed expiry or strike fits, or when the size rounds to nothing.
    """
    expiry_ns = nearest_expiry(options, spec.tenor_days, now_ns)
    if expiry_ns is None:
        return ()
    tau = (expiry_ns - now_ns) / NS_PER_YEAR
    forward = float(surface.forward(tau))
    legs = []
    for is_call, sign in _LEGS[spec.kind]:
        call_delta = 0.5 if spec.kind is StructureKind.STRADDLE else spec.delta
        wanted = forward * np.exp(
            log_moneyness_of_delta(surface, tau, call_delta if is_call else 1.0 - call_delta)
        )
        fitting = [o for o in options if o.expiry_ns == expiry_ns and o.is_call is is_call]
        if not fitting:
            return ()
        chosen = min(fitting, key=lambda o: abs(float(o.strike or 0) - float(wanted)))
        contracts = chosen.round_size(Decimal(repr(sign * spec.notional_usd / index)) / chosen.multiplier)
        if contracts == 0:
            return ()
        legs.append((chosen, contracts))
    return tuple(legs)
