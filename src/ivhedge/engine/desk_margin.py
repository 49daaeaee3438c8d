"""Margin of a desk's book: the venue's rules on the surface's marks, now and after stresses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ivhedge.core.errors import ConfigError
from ivhedge.core.units import NS_PER_SECOND, VOL_POINT
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

_TAU_30D = 30.0 / 365.0
_DOLLARS = ("USD", "USDC", "USDT")


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
    catalogue : StressCatalogue
        Those that move spot or vols are applied: their spot move, and their vol shift at 30 days as a share
        of the vol there, at all tenors.
    on : date, optional
        Day the profile has to hold on; that of the snapshot.
    conservative : bool
        Carry legs without a vol at a conservative mark instead of refusing them.

    Raises
    ------
    ConfigError
        If the profile does not hold on that day or for these positions, or the book's cash is in a currency
        that the profile does not count.
    UnknownInstrument, DataError
        If a leg has no price.
    """
    day = on or datetime.fromtimestamp(desk.ts_ns // NS_PER_SECOND, tz=UTC).date()
    positions = [(p.instrument, p.quantity) for p in desk.book.positions]
    legs = price_legs(positions, {desk.underlying: desk.surface}, desk.ts_ns)
    held = positions_from_legs(legs, desk.underlying, desk.index, conservative=conservative)
    model = prepare_margin(held, profile, on=day, conservative=conservative)
    account, notes = _account(desk, model.currency)
    stresses = _stresses(desk, catalogue)
    return DeskMargin(
        now=margin(model, account),
        stressed=stressed_margin(model, stresses, account),
        distance=liquidation_distance(model, account),
        notes=notes,
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


def _stresses(desk: Desk, catalogue: StressCatalogue) -> Sequence[Stress]:
    vol_30d = float(desk.surface.implied_vol(0.0, _TAU_30D))
    return [
        Stress(
            name=stress.name,
            spot=stress.spot_of(desk.underlying),
            vol=0.0 if stress.vol is None else _relative(stress.vol, vol_30d),
        )
        for stress in catalogue.stresses
        if stress.spot or stress.vol is not None
    ]


def _relative(shift: VolShift, vol_30d: float) -> float:
    if shift.relative_30d is not None:
        return shift.relative_30d
    return (shift.points_30d or 0.0) * VOL_POINT / vol_30d
