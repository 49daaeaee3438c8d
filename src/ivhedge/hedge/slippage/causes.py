"""Slippage by cause: what a trade was planned to cost against what it did cost.

Implementation shortfall (Perold 1988, The implementation shortfall: paper versus reality): the paper trade
fills whole at the mid of the decision and is free; what the real one loses against it has five causes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, isfinite

from ivhedge.core.errors import DataError

__all__ = ["PlannedTrade", "RealisedTrade", "Slippage", "slippage", "sum_slippage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrade:
    """What was decided.

    Parameters
    ----------
    contracts : float
        Signed; not 0.
    mid : float
        At the decision, in the instrument's price unit.
    spread, impact, fee : float
        Expected for the whole trade, settlement currency, positive = paid.
    multiplier : float
        Settlement currency per contract and unit of price; of an inverse future USD per contract.
    inverse : bool
        The contract is worth ``-multiplier / price``.
    """

    contracts: float
    mid: float
    spread: float
    impact: float
    fee: float
    multiplier: float = 1.0
    inverse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RealisedTrade:
    """What happened.

    Parameters
    ----------
    contracts : float
        Filled, with the sign of the plan; 0 = nothing filled.
    price : float
        Mean fill price.
    touch, mid : float
        Ask (buy) or bid (sell), and mid, at the fill. Ignored, like `price`, where nothing filled.
    later_mid : float
        Marks what was not filled.
    fee : float
        Settlement currency; negative = rebate.
    """

    contracts: float
    price: float
    touch: float
    mid: float
    later_mid: float
    fee: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slippage:
    """Cost by cause, settlement currency, positive = lost.

    Parameters
    ----------
    spread, impact, fee : float
        From the mid to the touch, from the touch to the fill, and the fee.
    delay : float
        The mid's move between decision and fill, on what was filled.
    unfilled : float
        The mid's move on what was not: an opportunity cost.
    planned : float
        Cost expected.
    """

    spread: float
    impact: float
    fee: float
    delay: float
    unfilled: float
    planned: float

    @property
    def realised(self) -> float:
        """Implementation shortfall: the sum of the causes."""
        return fsum((self.spread, self.impact, self.fee, self.delay, self.unfilled))

    @property
    def excess(self) -> float:
        """Realised less planned."""
        return self.realised - self.planned


def slippage(plan: PlannedTrade, trade: RealisedTrade) -> Slippage:
    """Split the cost of one trade by cause; delay and unfilled may be gains.

    Raises
    ------
    DataError
        If a number is not finite, a price or the multiplier is not positive, nothing was planned, or the
        fill has the other sign or exceeds the plan.
    """
    prices = {"plan.mid": plan.mid, "plan.multiplier": plan.multiplier, "trade.later_mid": trade.later_mid}
    if trade.contracts != 0.0:
        prices |= {"trade.price": trade.price, "trade.touch": trade.touch, "trade.mid": trade.mid}
    for name, value in prices.items():
        if not (isfinite(value) and value > 0.0):
            raise DataError(f"expected {name} above 0, found {value}")
    for name, value in (
        ("plan.spread", plan.spread),
        ("plan.impact", plan.impact),
        ("plan.fee", plan.fee),
        ("plan.contracts", plan.contracts),
        ("trade.contracts", trade.contracts),
        ("trade.fee", trade.fee),
    ):
        if not isfinite(value):
            raise DataError(f"expected a finite {name}, found {value}")
    filled, whole = trade.contracts, plan.contracts
    if whole == 0.0 or filled * whole < 0.0 or abs(filled) > abs(whole):
        raise DataError(f"expected a fill between 0 and the planned contracts {whole}, found {filled}")

    def worth(price: float) -> float:
        return -plan.multiplier / price if plan.inverse else plan.multiplier * price

    start = worth(plan.mid)
    left = (whole - filled) * (worth(trade.later_mid) - start)
    planned = fsum((plan.spread, plan.impact, plan.fee))
    if filled == 0.0:
        return Slippage(spread=0.0, impact=0.0, fee=trade.fee, delay=0.0, unfilled=left, planned=planned)
    mid, touch = worth(trade.mid), worth(trade.touch)
    return Slippage(
        spread=filled * (touch - mid),
        impact=filled * (worth(trade.price) - touch),
        fee=trade.fee,
        delay=filled * (mid - start),
        unfilled=left,
        planned=planned,
    )


def sum_slippage(parts: Iterable[Slippage]) -> Slippage:
    """Add slippages of one settlement currency, cause by cause."""
    rows = tuple(parts)
    return Slippage(
        spread=fsum(row.spread for row in rows),
        impact=fsum(row.impact for row in rows),
        fee=fsum(row.fee for row in rows),
        delay=fsum(row.delay for row in rows),
        unfilled=fsum(row.unfilled for row in rows),
        planned=fsum(row.planned for row in rows),
    )
