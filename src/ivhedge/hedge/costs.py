"""What a trade costs: one object for the optimiser, the simulator and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf, isfinite, isnan
from types import MappingProxyType
from typing import Final

from ivhedge.core.errors import ConfigError, DataError, LimitBreach
from ivhedge.core.instruments import Instrument, InstrumentKind, Rounding
from ivhedge.core.money import Money
from ivhedge.ledger.fees import FeeSchedule, estimate_trade_fee, trade_fee
from ivhedge.ledger.fill import Liquidity

__all__ = ["DEFAULT_HALF_SPREAD_BPS", "CostModel", "Quote", "TradeCost", "UnitCost"]

DEFAULT_HALF_SPREAD_BPS: Final[Mapping[InstrumentKind, float]] = MappingProxyType(
    {InstrumentKind.PERPETUAL: 0.5, InstrumentKind.FUTURE: 1.0}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote in the instrument's own price unit; None or NaN = missing.

    Parameters
    ----------
    bid, ask, mark : float or None
        A price that is not positive counts as missing.
    bid_size, ask_size : float or None
        Displayed contracts; None = unknown, 0 = nothing to trade with.
    index : float
        Index price, USD; positive.
    """

    bid: float | None = None
    ask: float | None = None
    mark: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    index: float

    def __post_init__(self) -> None:
        for name in ("bid", "ask", "mark"):
            value = getattr(self, name)
            # What is not a positive number is not a price to trade at: it counts as missing.
            if value is not None and not (isfinite(value) and value > 0.0):
                object.__setattr__(self, name, None)
        for name in ("bid_size", "ask_size"):
            value = getattr(self, name)
            # Nothing displayed is a size of 0, not an unknown one, which would be without limit.
            if value is not None and not (isfinite(value) and value > 0.0):
                object.__setattr__(self, name, None if isnan(value) or value > 0.0 else 0.0)
        if not (isfinite(self.index) and self.index > 0.0):
            raise DataError(f"expected a positive index price to charge fees, found {self.index}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeCost:
    """Cost of one trade in the settlement currency, positive = paid.

    Parameters
    ----------
    fill_price : Decimal
        On the tick ladder.
    reference_price : float
        The mark, moved to the nearer side of the quote when it lies outside it.
    spread : float
        From the reference to the touch.
    impact : float
        From the touch to the fill.
    fee : float
    mark_gap : float
        From the mark to the reference; not a cost of trading. ``spread + impact + mark_gap`` is the loss
        at the mark of the moment.
    fee_money : Money
        The fee, exact.
    index : float
        Converts a coin cost to USD.
    """

    fill_price: Decimal
    reference_price: float
    spread: float
    impact: float
    fee: float
    mark_gap: float
    fee_money: Money
    is_coin: bool
    index: float

    @property
    def total(self) -> float:
        """Spread, impact and fee, settlement currency."""
        return self.spread + self.impact + self.fee

    @property
    def total_usd(self) -> float:
        """Spread, impact and fee, USD."""
        return self.total * (self.index if self.is_coin else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCost:
    """Cost per contract, USD, as the optimiser sees it; infinite on a side that cannot be traded.

    Parameters
    ----------
    buy, sell : float
        Spread and fee per contract.
    max_buy, max_sell : float
        Contracts that can be had; 0 on a side that cannot be traded.
    free_size : float
        Contracts without impact.
    impact : float
        The cost of a trade of q contracts beyond `free_size` grows by ``impact · (|q| − free_size)²``.
    """

    buy: float
    sell: float
    max_buy: float
    max_sell: float
    free_size: float
    impact: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Costs of taking liquidity.

    Parameters
    ----------
    fees : mapping of venue to FeeSchedule
    half_spread_bps : mapping of InstrumentKind to float
        Half-spread in basis points of the mark, assumed where a quote has a mark and neither side. A kind
        that is not listed cannot be traded without quotes.
    assumed_size : mapping of InstrumentKind to float
        Contracts assumed to be displayed where the size is unknown; not listed = unlimited.
    impact_half_spreads : float
        Half-spreads by which the price moves per assumed size taken beyond the first.
    surcharge : mapping of (venue, InstrumentKind) to float
        Half-spreads that a trade is expected to cost beyond the touch, by delay and by what is not filled;
        not listed = 0. Learnt by `ivhedge.hedge.slippage.learn_costs`; in `unit_cost`, which plans decide by,
        and not in `charge`, which says what a fill at the quote costs.

    Notes
    -----
    A buy fills at the ask, a sell at the bid, on the tick ladder, rounded against us. A displayed size that
    is known is never exceeded. A crossed quote cannot be traded.
    """

    fees: Mapping[str, FeeSchedule]
    half_spread_bps: Mapping[InstrumentKind, float] = field(default_factory=lambda: DEFAULT_HALF_SPREAD_BPS)
    assumed_size: Mapping[InstrumentKind, float] = field(default_factory=dict)
    impact_half_spreads: float = 1.0
    surcharge: Mapping[tuple[str, InstrumentKind], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(not (isfinite(v) and v >= 0.0) for v in self.surcharge.values()):
            raise ConfigError(f"expected surcharges at or above 0, found {dict(self.surcharge)}")
        if any(not (isfinite(v) and v >= 0.0) for v in self.half_spread_bps.values()):
            raise ConfigError(f"expected half spreads at or above 0, found {dict(self.half_spread_bps)}")
        if any(not v > 0.0 for v in self.assumed_size.values()):
            raise ConfigError(f"expected assumed sizes above 0, found {dict(self.assumed_size)}")
        if not (isfinite(self.impact_half_spreads) and self.impact_half_spreads >= 0.0):
            raise ConfigError(f"expected impact_half_spreads at or above 0, found {self.impact_half_spreads}")

    def touch(self, instrument: Instrument, quote: Quote) -> tuple[float | None, float | None]:
        """Bid and ask that can be traded, quoted or assumed, on the ladder; None on a side that cannot."""
        bid, ask = quote.bid, quote.ask
        if bid is None and ask is None and quote.mark is not None:
            bps = self.half_spread_bps.get(instrument.kind)
            if bps is not None:
                bid, ask = quote.mark * (1.0 - 1e-4 * bps), quote.mark * (1.0 + 1e-4 * bps)
        if bid is not None and ask is not None and bid > ask:
            return None, None
        lower = None if bid is None else float(_on_ladder(instrument, bid, is_buy=False))
        upper = None if ask is None else float(_on_ladder(instrument, ask, is_buy=True))
        # A bid below the smallest tick is no bid.
        return lower or None, upper

    def max_fill(self, instrument: Instrument, quote: Quote, *, is_buy: bool) -> float:
        """Contracts that can be traded on a side: the displayed size, infinite when it is unknown."""
        bid, ask = self.touch(instrument, quote)
        return _displayed(quote, ask if is_buy else bid, is_buy=is_buy)

    def trade_cost(
        self,
        instrument: Instrument,
        quantity: Decimal,
        bid: float | None,
        ask: float | None,
        mark: float | None,
        index: float,
        *,
        bid_size: float | None = None,
        ask_size: float | None = None,
    ) -> TradeCost:
        """Charge a trade.

        Parameters
        ----------
        instrument : Instrument
        quantity : Decimal
            Contracts, positive = buy.
        bid, ask, mark : float or None
            In the instrument's price unit; None or NaN = missing.
        index : float
            USD.
        bid_size, ask_size : float or None
            Displayed contracts; None = unknown.

        Raises
        ------
        DataError
            If the quantity is 0 or the side needed has no price.
        LimitBreach
            If the quantity exceeds a known displayed size.
        ConfigError
            If the venue has no fee schedule.
        """
        quote = Quote(bid=bid, ask=ask, mark=mark, bid_size=bid_size, ask_size=ask_size, index=index)
        return self.charge(instrument, quantity, quote)

    def charge(self, instrument: Instrument, quantity: Decimal, quote: Quote) -> TradeCost:
        """Charge a trade at a `Quote`; see `trade_cost`."""
        if not quantity.is_finite() or quantity == 0:
            raise DataError(f"{instrument.key}: expected a quantity other than 0, found {quantity}")
        is_buy = quantity > 0
        bid, ask = self.touch(instrument, quote)
        touch = ask if is_buy else bid
        if touch is None:
            raise DataError(
                f"{instrument.key}: expected {'an ask' if is_buy else 'a bid'} to trade at, "
                f"found bid {quote.bid}, ask {quote.ask}; leave the instrument out"
            )
        contracts = abs(float(quantity))
        if contracts > _displayed(quote, touch, is_buy=is_buy) * (1.0 + 1e-12):
            raise LimitBreach(
                f"{instrument.key}: expected at most the displayed size "
                f"{quote.ask_size if is_buy else quote.bid_size}, found {contracts:g}; trade less"
            )
        free = self._free_size(instrument, quote, is_buy=is_buy)
        shift = self._impact_per_unit(bid, ask, free, contracts)
        ideal = touch + (1.0 if is_buy else -1.0) * shift
        fill = _on_ladder(instrument, ideal, is_buy=is_buy)
        if fill <= 0:
            raise DataError(
                f"{instrument.key}: expected a price above 0 after impact, found {fill}; trade less"
            )
        mark = _mark(quote, bid, ask)
        reference = _reference(mark, bid, ask)
        schedule, index = self._schedule(instrument), Decimal(repr(quote.index))
        fee = trade_fee(schedule, instrument, fill, quantity, index, Liquidity.TAKER)
        signed = float(quantity * instrument.multiplier)
        return TradeCost(
            fill_price=fill,
            reference_price=reference,
            spread=_loss(instrument, signed, reference, touch),
            impact=_loss(instrument, signed, touch, float(fill)),
            fee=fee.to_float(),
            mark_gap=_loss(instrument, signed, mark, reference),
            fee_money=fee,
            is_coin=instrument.is_inverse,
            index=quote.index,
        )

    def unit_cost(self, instrument: Instrument, quote: Quote) -> UnitCost:
        """Cost per contract: of a trade without impact, before fees are rounded, the surcharge on top.

        One side alone, without a mark, is no price to plan with: nothing tells how far from fair it is.

        Raises
        ------
        ConfigError
            If the venue has no fee schedule.
        """
        bid, ask = self.touch(instrument, quote)
        if quote.mark is None and (bid is None or ask is None):
            bid = ask = None
        # Both sides share one number; the side whose size is unknown is the one that has an impact.
        free = min(self._free_size(instrument, quote, is_buy=is_buy) for is_buy in (True, False))
        impact = 0.0
        if isfinite(free) and bid is not None and ask is not None:
            price_move = 0.25 * (ask - bid) * self.impact_half_spreads / free
            impact = _usd_per_price(instrument, 0.5 * (bid + ask), quote.index) * price_move
        reference = 0.0 if bid is None and ask is None else _reference(_mark(quote, bid, ask), bid, ask)
        buy, max_buy = self._side(instrument, quote, ask, reference, is_buy=True)
        sell, max_sell = self._side(instrument, quote, bid, reference, is_buy=False)
        expected = 0.0
        if bid is not None and ask is not None:
            halves = self.surcharge.get((instrument.venue, instrument.kind), 0.0)
            per_price = _usd_per_price(instrument, 0.5 * (bid + ask), quote.index)
            expected = halves * 0.5 * (ask - bid) * per_price
        return UnitCost(
            buy=buy + expected,
            sell=sell + expected,
            max_buy=max_buy,
            max_sell=max_sell,
            free_size=free,
            impact=impact,
        )

    def _side(
        self, instrument: Instrument, quote: Quote, touch: float | None, reference: float, *, is_buy: bool
    ) -> tuple[float, float]:
        # USD per contract and contracts to be had on one side of the quote.
        available = _displayed(quote, touch, is_buy=is_buy)
        if touch is None or available < float(instrument.min_size) * (1.0 - 1e-12):
            return inf, 0.0
        # A flat fee per fill is spread over a hundred lots, or over what there is.
        contracts = min(100.0 * float(max(instrument.lot, instrument.min_size)), available)
        signed = (contracts if is_buy else -contracts) * float(instrument.multiplier)
        schedule, index = self._schedule(instrument), Decimal(repr(quote.index))
        fee = estimate_trade_fee(schedule, instrument, touch, contracts, index, Liquidity.TAKER)
        cost = _loss(instrument, signed, reference, touch) + fee
        usd = cost * (quote.index if instrument.is_inverse else 1.0)
        # A rebate is no reason to hedge: the optimiser never sees a cost below 0.
        return max(usd, 0.0) / contracts, available

    def _schedule(self, instrument: Instrument) -> FeeSchedule:
        schedule = self.fees.get(instrument.venue)
        if schedule is None:
            raise ConfigError(
                f"expected a fee schedule for {instrument.venue}, found {sorted(self.fees)}; load its profile"
            )
        return schedule

    def _free_size(self, instrument: Instrument, quote: Quote, *, is_buy: bool) -> float:
        # A known size is a hard cap, so no impact arises below it.
        if (quote.ask_size if is_buy else quote.bid_size) is not None:
            return inf
        return self.assumed_size.get(instrument.kind, inf)

    def _impact_per_unit(self, bid: float | None, ask: float | None, free: float, contracts: float) -> float:
        if contracts <= free or bid is None or ask is None:
            return 0.0
        half_spread = 0.5 * (ask - bid)
        excess = contracts - free
        # The marginal price moves linearly in the excess; this is its mean over the whole trade.
        return self.impact_half_spreads * half_spread * 0.5 * excess**2 / (free * contracts)


def _displayed(quote: Quote, touch: float | None, *, is_buy: bool) -> float:
    size = quote.ask_size if is_buy else quote.bid_size
    if touch is None:
        return 0.0
    return inf if size is None else size


def _reference(mark: float, bid: float | None, ask: float | None) -> float:
    low, high = -inf if bid is None else bid, inf if ask is None else ask
    return min(max(mark, low), high)


def _on_ladder(instrument: Instrument, price: float, *, is_buy: bool) -> Decimal:
    # Twelve significant digits remove the binary noise that would push a price one tick further.
    exact = Decimal(f"{price:.12g}")
    return instrument.ticks.round(exact, Rounding.UP if is_buy else Rounding.DOWN)


def _mark(quote: Quote, bid: float | None, ask: float | None) -> float:
    if quote.mark is not None:
        return quote.mark
    known = [price for price in (bid, ask) if price is not None]
    return sum(known) / len(known)


def _loss(instrument: Instrument, signed_size: float, fair: float, paid: float) -> float:
    if instrument.is_inverse and not instrument.is_option:
        return signed_size * (1.0 / fair - 1.0 / paid) + 0.0
    return signed_size * (paid - fair) + 0.0  # no minus zero in a table


def _usd_per_price(instrument: Instrument, price: float, index: float) -> float:
    multiplier = float(instrument.multiplier)
    if not instrument.is_inverse:
        return multiplier
    return multiplier * index if instrument.is_option else multiplier * index / price**2
