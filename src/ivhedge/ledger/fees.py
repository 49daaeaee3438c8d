"""Trading and delivery fees, dispatched by kind of contract and settlement.

==========================  ==========================================================================
contract                    trading fee
==========================  ==========================================================================
option, coin                min(rate · m · |q|, cap · premium)            in coin, m = coin per contract
option, USD                 min(rate · index · m · |q|, cap · premium) + flat
future/perpetual, coin      rate · |q| · m / price                        in coin, m = USD per contract
future/perpetual, USD       rate · |q| · m · price + flat
==========================  ==========================================================================

The delivery fee at expiry has the same form with its own rate, with the settlement price as price, and a
cap on the payoff; an option that pays nothing is not charged. What a profile does not state is an error,
never a zero.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from ivhedge.core.errors import ConfigError, MissingPrice
from ivhedge.core.instruments import Instrument, InstrumentKind, Settlement
from ivhedge.core.money import Money
from ivhedge.ledger.exact import require_decimal, require_positive
from ivhedge.ledger.expiry_period import ExpiryPeriod, expiry_period
from ivhedge.ledger.fill import Liquidity
from ivhedge.ledger.settlement import settlement_value

__all__ = ["FeeRule", "FeeSchedule", "delivery_fee", "estimate_trade_fee", "trade_fee"]

# One formula for the fee that is charged, exact, and for its estimate in floats.
N = TypeVar("N", Fraction, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRule:
    """Fees of one kind of contract; rates are decimals (0.0003 = 3 basis points).

    Parameters
    ----------
    maker, taker : Decimal
        Trading fee as a share of the underlying; negative = rebate.
    cap : Decimal or None
        Highest trading fee as a share of the premium; None = no cap. Options only.
    taker_flat : Decimal
        Added to each taker fill, in the settlement currency, outside the cap.
    by_index : bool
        Whether the notional of a USD contract is taken at the index instead of the trade price; always so
        for options.
    delivery : Decimal or None
        Delivery fee as a share of the underlying; None = not known, and asking for it is an error.
    delivery_cap : Decimal or None
        Highest delivery fee as a share of the payoff.
    status, source : str
        How sure the figures are (documented, recorded, recalled, simulated), and where they come from.

    Raises
    ------
    ConfigError
        If a rate is no finite Decimal, or a cap, flat fee or delivery fee is negative.
    """

    maker: Decimal
    taker: Decimal
    cap: Decimal | None = None
    taker_flat: Decimal = Decimal(0)
    by_index: bool = False
    delivery: Decimal | None = None
    delivery_cap: Decimal | None = None
    status: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("maker", "taker", "cap", "taker_flat", "delivery", "delivery_cap"):
            value: object = getattr(self, name)
            if value is None and name in ("cap", "delivery", "delivery_cap"):
                continue
            if not isinstance(value, Decimal) or not value.is_finite():
                raise ConfigError(f"fee rule: expected {name} as a finite decimal, found {value!r}")
            if value < 0 and name not in ("maker", "taker"):
                raise ConfigError(f"fee rule: expected {name} of 0 or more, found {value}")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all settings, as a profile may use them."""
        return tuple(item.name for item in fields(cls))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSchedule:
    """All fees of one venue on one date.

    Parameters
    ----------
    venue : str
    as_of : str
        ISO date of the figures.
    rules : mapping of (kind, settlement) to FeeRule
    by_period : mapping of (kind, settlement, period) to FeeRule
        Overrides for daily, weekly or monthly expiries.
    """

    venue: str
    as_of: str
    rules: Mapping[tuple[InstrumentKind, Settlement], FeeRule]
    by_period: Mapping[tuple[InstrumentKind, Settlement, ExpiryPeriod], FeeRule] = field(default_factory=dict)

    def rule_for(self, instrument: Instrument) -> FeeRule:
        """Fees that apply to an instrument.

        Raises
        ------
        ConfigError
            If the schedule knows no fees for this kind of contract.
        """
        key = (instrument.kind, instrument.settlement)
        if instrument.expiry_ns is not None:
            special = self.by_period.get((*key, expiry_period(instrument.expiry_ns)))
            if special is not None:
                return special
        try:
            return self.rules[key]
        except KeyError as exc:
            known = sorted(f"{kind}.{settlement}" for kind, settlement in self.rules)
            raise ConfigError(
                f"{instrument.key}: expected fees for {instrument.kind}.{instrument.settlement} in the "
                f"{self.venue} profile of {self.as_of}, found only {known}; add that table to the profile"
            ) from exc


def trade_fee(
    schedule: FeeSchedule,
    instrument: Instrument,
    price: Decimal,
    quantity: Decimal,
    index_price: Decimal | None,
    liquidity: Liquidity,
) -> Money:
    """Fee of one fill.

    Parameters
    ----------
    schedule : FeeSchedule
    instrument : Instrument
    price : Decimal
        Trade price: coin for coin-settled options, USD otherwise.
    quantity : Decimal
        Contracts; the sign does not matter.
    index_price : Decimal or None
        USD; needed for USD-settled options and wherever the profile says so.
    liquidity : Liquidity

    Returns
    -------
    Money
        In the settlement currency, rounded once, half to even; positive = paid, negative = rebate.

    Raises
    ------
    MissingPrice
        If the fee depends on the index and there is none.
    ConfigError
        If the schedule has no fees for this kind of contract.
    LedgerError
        If price, quantity or index is no finite Decimal, or a price is not positive.
    """
    rule = schedule.rule_for(instrument)
    traded = Fraction(require_positive(price, f"{instrument.key} price"))
    size = abs(Fraction(require_decimal(quantity, f"{instrument.key} quantity")))
    fee = _trade_fee(rule, instrument, traded, size, index_price, liquidity, Fraction)
    return Money.from_exact(fee, instrument.settle_currency)


def estimate_trade_fee(
    schedule: FeeSchedule,
    instrument: Instrument,
    price: float,
    quantity: float,
    index_price: Decimal | None,
    liquidity: Liquidity,
) -> float:
    """Fee of a fill before rounding, in floats: to compare many instruments, never to book.

    Parameters
    ----------
    schedule, instrument, price, quantity, index_price, liquidity
        As for `trade_fee`; price above 0.

    Returns
    -------
    float
        In the settlement currency; within half a smallest unit of `trade_fee`.

    Raises
    ------
    MissingPrice, ConfigError
        As for `trade_fee`.
    """
    rule = schedule.rule_for(instrument)
    return _trade_fee(rule, instrument, price, abs(quantity), index_price, liquidity, float)


def delivery_fee(
    schedule: FeeSchedule,
    instrument: Instrument,
    quantity: Decimal,
    settlement_price: Decimal,
    index_price: Decimal | None = None,
) -> Money:
    """Fee of holding a position into its expiry.

    Parameters
    ----------
    schedule : FeeSchedule
    instrument : Instrument
        An option or a dated future.
    quantity : Decimal
        Contracts; the sign does not matter.
    settlement_price : Decimal
        USD.
    index_price : Decimal or None
        USD, where the venue takes the notional at another price than the settlement price.

    Returns
    -------
    Money
        In the settlement currency, 0 or more, rounded once; 0 for an option that pays nothing.

    Raises
    ------
    ConfigError
        If the profile does not state the delivery fee.
    LedgerError
        If a price or the quantity is no finite Decimal, or a price is not positive.
    """
    rule = schedule.rule_for(instrument)
    if rule.delivery is None:
        raise ConfigError(
            f"{instrument.key}: expected a delivery fee in the {schedule.venue} profile of {schedule.as_of}, "
            "found none; state it in the profile or pass the venue's own figure"
        )
    settled = require_positive(settlement_price, f"{instrument.key} settlement price")
    size = abs(require_decimal(quantity, f"{instrument.key} quantity"))
    index_price = settled if index_price is None else index_price
    fee = Fraction(rule.delivery) * _notional(
        rule, instrument, Fraction(settled), Fraction(size), index_price, Fraction
    )
    if instrument.is_option:
        payoff = settlement_value(instrument, size, settled)
        share = Fraction(rule.delivery_cap) if rule.delivery_cap is not None else None
        fee = fee if share is None else min(fee, share * payoff)
        fee = fee if payoff else Fraction(0)
    return Money.from_exact(fee, instrument.settle_currency)


def _trade_fee(
    rule: FeeRule,
    instrument: Instrument,
    price: N,
    size: N,
    index_price: Decimal | None,
    liquidity: Liquidity,
    number: Callable[[Decimal], N],
) -> N:
    taking = liquidity is Liquidity.TAKER
    rate = number(rule.taker if taking else rule.maker)
    fee = rate * _notional(rule, instrument, price, size, index_price, number)
    if instrument.is_option and rule.cap is not None:
        most = number(rule.cap) * price * size * number(instrument.multiplier)
        fee = max(-most, min(fee, most))
    if taking and size:
        fee += number(rule.taker_flat)
    return fee


def _notional(
    rule: FeeRule,
    instrument: Instrument,
    price: N,
    size: N,
    index_price: Decimal | None,
    number: Callable[[Decimal], N],
) -> N:
    amount = size * number(instrument.multiplier)
    if instrument.is_inverse:
        return amount if instrument.is_option else amount / price
    if not (instrument.is_option or rule.by_index):
        return amount * price
    if index_price is None:
        raise MissingPrice(
            f"{instrument.key}: expected an index price, as the fee is a share of it, found none; "
            "do not trade it until the index is known"
        )
    return amount * number(require_positive(index_price, f"{instrument.key} index price"))
