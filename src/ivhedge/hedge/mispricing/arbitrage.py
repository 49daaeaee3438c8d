"""What an arbitrage is: its legs, its name, its profit."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.mispricing.offers import Offer
from ivhedge.hedge.mispricing.outcomes import Outcomes

__all__ = ["ArbitrageKind", "ArbitrageLeg", "StaticArbitrage", "named"]


class ArbitrageKind(StrEnum):
    """What a set of trades is called."""

    SAME_CONTRACT = "same_contract"
    PARITY = "parity"
    BOX = "box"
    INTRINSIC = "intrinsic"
    VERTICAL = "vertical"
    BUTTERFLY = "butterfly"
    CALENDAR = "calendar"
    COMBINATION = "combination"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbitrageLeg:
    """One trade of an arbitrage, in whole lots.

    Parameters
    ----------
    offer : Offer
    contracts : Decimal
        Above 0; `offer.side` tells buy from sell.
    """

    offer: Offer
    contracts: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticArbitrage:
    """Trades that gain at every settlement price.

    Parameters
    ----------
    kind : ArbitrageKind
    expiry_ns : int
        When the gain is certain.
    legs : tuple of ArbitrageLeg
    profit_usd : float
        Least value at that expiry, all costs and the hurdle paid.
    worst_price : float
        Settlement price of the least value, USD.
    notional_usd : float
        Coins traded at the index.
    """

    kind: ArbitrageKind
    expiry_ns: int
    legs: tuple[ArbitrageLeg, ...]
    profit_usd: float
    worst_price: float
    notional_usd: float

    @property
    def profit_bps(self) -> float:
        """Profit per notional, basis points."""
        return 1e4 * self.profit_usd / self.notional_usd

    @property
    def venues(self) -> tuple[str, ...]:
        """Venues of the legs."""
        return tuple(sorted({leg.offer.instrument.venue for leg in self.legs}))


def named(
    size: FloatArray, offers: Sequence[Offer], found: Outcomes, expiry: int, index: float
) -> StaticArbitrage:
    """Put sizes of offers, contracts of shape (n,), into a finding."""
    profit, worst = found.worst(size)
    used = np.flatnonzero(size)
    legs = tuple(
        ArbitrageLeg(offer=offers[i], contracts=_exact(size[i], offers[i].instrument.lot))
        for i in used.tolist()
    )
    return StaticArbitrage(
        kind=_kind(legs, expiry),
        expiry_ns=expiry,
        legs=legs,
        profit_usd=profit,
        worst_price=worst,
        notional_usd=float(size @ found.size) * index,
    )


def _exact(size: float, lot: Decimal) -> Decimal:
    return Decimal(round(size / float(lot))) * lot


def _kind(legs: Sequence[ArbitrageLeg], expiry: int) -> ArbitrageKind:
    instruments = [leg.offer.instrument for leg in legs]
    options = [i for i in instruments if i.is_option]
    if any(i.expiry_ns != expiry for i in options):
        return ArbitrageKind.CALENDAR
    strikes, types = {i.strike for i in options}, {i.is_call for i in options}
    contracts = {(i.strike, i.is_call) for i in options}
    if len(contracts) <= 1 and len(options) != 1:
        return ArbitrageKind.SAME_CONTRACT
    if len(options) == 1:
        return ArbitrageKind.INTRINSIC
    if len(strikes) == 1:
        return ArbitrageKind.PARITY
    if len(strikes) == 2 and len(types) == 2 and len(contracts) == 4:
        return ArbitrageKind.BOX
    if len(strikes) == 2 and len(types) == 1:
        return ArbitrageKind.VERTICAL
    if len(strikes) == 3 and len(contracts) == 3:
        return ArbitrageKind.BUTTERFLY
    return ArbitrageKind.COMBINATION
