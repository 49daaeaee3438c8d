"""What a trade costs: one object for the optimiser, the simulator and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf, isfinite
from types import MappingProxyType
from typing import Final

from ivhedge.core.errors import ConfigError, DataError, LimitBreach
from ivhedge.core.instruments import Instrument, InstrumentKind, Rounding
from ivhedge.core.money import Money
from ivhedge.ledger.fees import FeeSchedule, trade_fee
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
    bid_size, ask_size : float or None
        Displayed contracts.
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
        for name in ("bid", "ask", "mark", "bid_size", "ask_size"):
            value = getattr(self, name)
            # What is not a positive number is not a price to trade at: it counts as missing.
            if value is not None and not (isfinite(value) and value > 0.0):
                object.__setattr__(self, name, None)
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

    Notes
    -----
    A buy fills at the ask, a sell at the bid, on the tick ladder, rounded against us. A displayed size that
    is known is never exceeded. A crossed quote cannot be traded.
    """

    fees: Mapping[str, FeeSchedule]
    half_spread_bps: Mapping[InstrumentKind, float] = field(default_factory=lambda: DEFAULT_HALF_SPREAD_BPS)
    assumed_size: Mapping[InstrumentKind, float] = field(default_factory=dict)
    impact_half_spreads: float = 1.0

    def __post_init__(self) -> None:
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
        if (ask if is_buy else bid) is None:
            return 0.0
        size = quote.ask_size if is_buy else quote.bid_size
        return inf if size is None else size

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
        if contracts > self.max_fill(instrument, quote, is_buy=is_buy) * (1.0 + 1e-12):
            raise LimitBreach(
                f"{instrument.key}: expected at most the displayed size "
                f"{quote.ask_size if is_buy else quote.bid_size}, found {contracts:g}; trade less"
            )
        ideal = touch + (1.0 if is_buy else -1.0) * self._impact_per_unit(instrument, quote, contracts)
        fill = _on_ladder(instrument, ideal, is_buy=is_buy)
        if fill <= 0:
            raise DataError(
                f"{instrument.key}: expected a price above 0 after impact, found {fill}; trade less"
            )
        mark = _mark(quote, bid, ask)
        low = bid if bid is not None else -inf
        reference = min(max(mark, low), ask if ask is not None else inf)
        schedule = self.fees.get(instrument.venue)
        if schedule is None:
            raise ConfigError(
                f"expected a fee schedule for {instrument.venue}, found {sorted(self.fees)}; load its profile"
            )
        fee = trade_fee(schedule, instrument, fill, quantity, Decimal(repr(quote.index)), Liquidity.TAKER)
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
        """Cost per contract, charged by the same method as a trade."""
        free, impact = self._free_size(instrument, quote), 0.0
        sides = []
        for is_buy in (True, False):
            available = self.max_fill(instrument, quote, is_buy=is_buy)
            probe = _probe(instrument, min(available, free))
            if probe == 0:
                sides.append((inf, 0.0))
                continue
            cost = self.charge(instrument, probe if is_buy else -probe, quote)
            # A rebate is no reason to hedge: the optimiser never sees a cost below 0.
            sides.append((max(cost.total_usd, 0.0) / float(probe), available))
        bid, ask = self.touch(instrument, quote)
        if isfinite(free) and bid is not None and ask is not None:
            price_move = 0.25 * (ask - bid) * self.impact_half_spreads / free
            middle = 0.5 * (bid + ask)
            impact = _usd_per_price(instrument, middle, quote.index) * price_move
        return UnitCost(
            buy=sides[0][0],
            sell=sides[1][0],
            max_buy=sides[0][1],
            max_sell=sides[1][1],
            free_size=free,
            impact=impact,
        )

    def _free_size(self, instrument: Instrument, quote: Quote) -> float:
        # A known size is a hard cap, so no impact arises below it.
        if quote.bid_size is not None or quote.ask_size is not None:
            return inf
        return self.assumed_size.get(instrument.kind, inf)

    def _impact_per_unit(self, instrument: Instrument, quote: Quote, contracts: float) -> float:
        free = self._free_size(instrument, quote)
        bid, ask = self.touch(instrument, quote)
        if contracts <= free or bid is None or ask is None:
            return 0.0
        half_spread = 0.5 * (ask - bid)
        excess = contracts - free
        # The marginal price moves linearly in the excess; this is its mean over the whole trade.
        return self.impact_half_spreads * half_spread * 0.5 * excess**2 / (free * contracts)


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


def _probe(instrument: Instrument, available: float) -> Decimal:
    # Large enough that the fee's rounding to the smallest unit does not show.
    wanted = min(100.0 * float(max(instrument.lot, instrument.min_size)), available)
    return instrument.round_size(Decimal(repr(wanted)), Rounding.DOWN)
