"""The ledger's own state of one instrument: signed lots and their cost, in integers.

Cost is average cost: a partial close takes its share of the cost out, a flip through zero closes all and
opens the rest at the fill's price. Whatever is rounded when a cost is split stays in the other part, so
that `new cost = old cost + value of the fill + realised` holds to the grain.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

from ivhedge.core.instruments import Instrument
from ivhedge.ledger.exact import GRAINS_PER_UNIT, divide_half_even
from ivhedge.ledger.valuation import quantity_of

__all__ = ["Holding", "trade_against"]

_REPORT_DIGITS = 12


def trade_against(lots: int, cost: int, fill_lots: int, fill_value: int) -> tuple[int, int, int]:
    """Add a fill to a holding at average cost.

    Parameters
    ----------
    lots, cost : int
        Signed lots held, and their value at entry in grains.
    fill_lots, fill_value : int
        Signed lots traded (not 0), and their value at the trade price in grains.

    Returns
    -------
    lots, cost, realised : int
        New lots, new cost, and the profit of the closed part in grains.
    """
    if lots * fill_lots >= 0:
        return lots + fill_lots, cost + fill_value, 0
    closing = min(abs(lots), abs(fill_lots))
    closing_value = divide_half_even(fill_value * closing, abs(fill_lots))
    closed_cost = divide_half_even(cost * closing, abs(lots))
    realised = -closing_value - closed_cost
    return lots + fill_lots, cost + fill_value + realised, realised


@dataclass(slots=True)
class Holding:
    """Lots, cost and funding clock of one instrument; mutable and private to the ledger.

    Parameters
    ----------
    instrument : Instrument
    pays_funding, time_weighted : bool
        Whether it is a perpetual, and whether its venue charges funding continuously.
    lots : int
        Signed lots.
    cost : int
        Value at entry, grains.
    lot_ns : int
        Lots times nanoseconds held since the last accrual, if time-weighted.
    changed_ns : int
        Time up to which `lot_ns` is counted.
    funded_to_ns : int
        Time up to which funding is accrued.
    """

    instrument: Instrument
    pays_funding: bool = False
    time_weighted: bool = False
    lots: int = 0
    cost: int = 0
    lot_ns: int = 0
    changed_ns: int = 0
    funded_to_ns: int = 0

    @property
    def quantity(self) -> Decimal:
        """Signed contracts."""
        return quantity_of(self.instrument, self.lots)

    @property
    def awaits_funding(self) -> bool:
        """Whether funding is or will be owed for what is or was held since the last accrual."""
        return self.pays_funding and (self.lots != 0 or self.lot_ns != 0)

    def pass_time(self, now_ns: int) -> None:
        """Count the time held up to now; a holding that was empty starts its funding clock here."""
        if not self.awaits_funding:
            self.funded_to_ns = now_ns
        if self.time_weighted:
            self.lot_ns += self.lots * (now_ns - self.changed_ns)
        self.changed_ns = now_ns

    def average_price(self) -> Decimal | None:
        """Entry price at average cost for reports, 12 digits; None when flat.

        For a coin-settled future it is the harmonic mean, the price at which the position's profit is 0.
        """
        if self.lots == 0 or self.cost == 0:
            return None
        currency = self.instrument.settle_currency
        per_contract = Fraction(self.cost, currency.scale * GRAINS_PER_UNIT) / Fraction(self.quantity)
        multiplier = Fraction(self.instrument.multiplier)
        inverse = self.instrument.is_inverse and not self.instrument.is_option
        price = -multiplier / per_contract if inverse else per_contract / multiplier
        with localcontext() as context:
            context.prec = _REPORT_DIGITS
            return Decimal(price.numerator) / Decimal(price.denominator)
