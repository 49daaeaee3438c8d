"""Margin of a desk's book: the venue's rules on the surface's marks, now and after stresses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.core.units import NS_PER_SECOND
from ivhedge.engine.desk import Desk
from ivhedge.risk.legs import price_legs
from ivhedge.risk.margin import (
    Account,
    LiquidationDistance,
    MarginBatch,
    MarginProfile,
    MarginResult,
    Stress,
    liquidation_distance,
    margin,
    positions_from_legs,
    prepare_margin,
    stressed_margin,
)
from ivhedge.risk.stress import StressCatalogue, VolShift

__all__ = ["DeskMargin", "desk_margin"]

_DOLLARS = ("USD", "USDC", "USDT")
_MAX_SURFACE_AGE_S = 3600.0
_LOWEST_VOL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskMargin:
    """Margin of a book and what moves it.

    Parameters
    ----------
    now : MarginResult
    stressed : dict of stress name to MarginBatch
        One book each.
    distance : LiquidationDistance
    notes : tuple of str
        What was taken as something else.
    """

    now: MarginResult
    stressed: dict[str, MarginBatch]
    distance: LiquidationDistance
    notes: tuple[str, ...]


def desk_margin(
    desk: Desk,
    profile: MarginProfile,
    catalogue: StressCatalogue,
    *,
    on: date | None = None,
    conservative: bool = False,
) -> DeskMargin:
    """Margin a desk's book under a profile.

    Parameters
    ----------
    desk : Desk
    profile : MarginProfile
        With positions at several venues only those at the profile's venue are margined, since venues do not
        net; the others are named in the notes.
    catalogue : StressCatalogue
        What margin knows is applied: the spot move, the vol shift of each tenor, the price of the profile's
        stablecoin. What it does not (skew, time, liquidity, a lost venue) is named in the notes.
    on : date, optional
        Day the profile has to hold on; that of the snapshot.
    conservative : bool
        Carry legs without a vol at a conservative mark instead of refusing them.

    Raises
    ------
    ConfigError
        If the profile does not hold on that day or for these positions, or the book's cash is in a currency
        that the profile does not count, or several venues hold positions and the profile's is not one.
    UnknownInstrument, DataError
        If a leg has no price.
    """
    day = on or datetime.fromtimestamp(desk.ts_ns // NS_PER_SECOND, tz=UTC).date()
    venue, elsewhere = _venue(desk, profile)
    positions = [(p.instrument, p.quantity) for p in desk.book.positions if p.instrument.venue == venue]
    legs = price_legs(positions, {desk.underlying: desk.surface}, desk.ts_ns)
    age_s = (desk.ts_ns - desk.surface.ts_ns) / NS_PER_SECOND
    held = positions_from_legs(
        legs, desk.underlying, desk.index, venue=venue, age_s=age_s, conservative=conservative
    )
    model = prepare_margin(held, profile, on=day, max_age_s=_MAX_SURFACE_AGE_S, conservative=conservative)
    account, notes = _account(desk, model.currency)
    stresses, left_out = _stresses(desk, catalogue, model.currency)
    return DeskMargin(
        now=margin(model, account),
        stressed=stressed_margin(model, stresses, account),
        distance=liquidation_distance(model, account),
        notes=(*elsewhere, *notes, *left_out),
    )


def _venue(desk: Desk, profile: MarginProfile) -> tuple[str, tuple[str, ...]]:
    """Whose positions the profile margins, and what to say of it."""
    venues = sorted({p.instrument.venue for p in desk.book.positions})
    if not venues or venues == [profile.venue]:
        return profile.venue, ()
    if len(venues) == 1:
        return venues[0], (f"positions at {venues[0]} margined as if they were held at {profile.venue}",)
    if profile.venue not in venues:
        raise ConfigError(
            f"expected positions at {profile.venue}, found them at {venues}; margin each venue apart, with a "
            "profile of its own"
        )
    others = [p.instrument.key for p in desk.book.positions if p.instrument.venue != profile.venue]
    return profile.venue, (
        f"not margined, since venues do not net: {', '.join(others)}; all cash is counted here",
    )


def _account(desk: Desk, currency: str) -> tuple[Account, tuple[str, ...]]:
    cash, notes = 0.0, []
    for money in desk.book.cash:
        code, amount = money.currency.code, money.to_float()
        if code == currency:
            cash += amount
        elif code in _DOLLARS and currency in _DOLLARS:
            cash += amount
            notes.append(f"{code} counted as {currency} at par")
        elif amount != 0.0:
            raise ConfigError(
                f"expected cash in {currency}, found {amount:g} {code}; choose a profile that counts in it"
            )
    return Account(cash=cash), tuple(notes)


def _stresses(
    desk: Desk, catalogue: StressCatalogue, currency: str
) -> tuple[Sequence[Stress], tuple[str, ...]]:
    """What of each stress a margin can show, and notes on what it cannot."""
    shown, partly, left_out = [], [], []
    for stress in catalogue.stresses:
        stable = stress.currency.get(currency)
        if not stress.spot and stress.vol is None and stable is None:
            left_out.append(stress.name)
            continue
        if stress.skew is not None or stress.days or stress.liquidity is not None or stress.venue is not None:
            partly.append(stress.name)
        shown.append(
            Stress(
                name=stress.name,
                spot=stress.spot_of(desk.underlying),
                vol=0.0 if stress.vol is None else partial(_vol_after, stress.vol),
                stable_price=stable,
            )
        )
    notes = []
    if partly:
        notes.append(f"only spot, vols and the stablecoin's price are applied of: {', '.join(partly)}")
    if left_out:
        notes.append(f"moves nothing that this margin counts: {', '.join(left_out)}")
    return shown, tuple(notes)


def _vol_after(shift: VolShift, tau: FloatArray, vol: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(shift.applied(vol, tau), _LOWEST_VOL))
