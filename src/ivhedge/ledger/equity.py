"""What the books are worth at given marks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ivhedge.core.errors import MissingPrice
from ivhedge.core.instruments import Instrument
from ivhedge.core.money import Currency, Money
from ivhedge.ledger.exact import from_grains, require_decimal, require_positive
from ivhedge.ledger.holding import Holding
from ivhedge.ledger.valuation import value_grains

__all__ = ["Equity", "MarkedValue", "mark_holdings", "mark_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equity:
    """Worth of the books in one currency.

    Parameters
    ----------
    cash : Money
        Everything paid and received so far; premiums are already in it.
    option_value : Money
        Mark value of the options, not mark minus cost.
    futures_value : Money
        Unrealised profit of futures and perpetuals.
    total : Money
        The sum of the three.
    """

    cash: Money
    option_value: Money
    futures_value: Money
    total: Money

    @classmethod
    def of(cls, cash: Money, marked: "MarkedValue", currency: Currency) -> "Equity":
        """Add cash and marks, each rounded once to the smallest unit."""
        options = from_grains(marked.options, currency)
        futures = from_grains(marked.futures, currency)
        return cls(cash=cash, option_value=options, futures_value=futures, total=cash + options + futures)


@dataclass(slots=True)
class MarkedValue:
    """Mark value of options and unrealised profit of futures in one currency, grains."""

    options: int = 0
    futures: int = 0


def mark_of(instrument: Instrument, marks: Mapping[str, Decimal]) -> Decimal:
    """Mark of an instrument.

    Parameters
    ----------
    instrument : Instrument
    marks : mapping of instrument key to Decimal
        Coin for coin-settled options, USD otherwise; an option may be marked at 0.

    Raises
    ------
    MissingPrice
        If there is none.
    LedgerError
        If it is no finite Decimal, negative, or 0 for a future.
    """
    mark = marks.get(instrument.key)
    if mark is None:
        raise MissingPrice(
            f"{instrument.key}: expected a mark, found none; a position without a mark has no value, "
            "take the mark from the surface or the last settlement"
        )
    what = f"{instrument.key} mark"
    if instrument.is_option and require_decimal(mark, what) == 0:
        return mark
    return require_positive(mark, what)


def mark_holdings(holdings: Iterable[Holding], marks: Mapping[str, Decimal]) -> dict[str, MarkedValue]:
    """Mark every open holding.

    Returns
    -------
    dict of currency code to MarkedValue

    Raises
    ------
    MissingPrice, LedgerError
        See `mark_of`.
    """
    values: dict[str, MarkedValue] = {}
    for holding in holdings:
        if holding.lots == 0:
            continue
        instrument = holding.instrument
        value = value_grains(instrument, holding.lots, mark_of(instrument, marks))
        marked = values.setdefault(instrument.settle_currency.code, MarkedValue())
        if instrument.is_option:
            marked.options += value
        else:
            marked.futures += value - holding.cost
    return values
