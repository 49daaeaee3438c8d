"""A tiny surface and a few instruments and a market around it for the tests of hedging."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ivhedge.core import NS_PER_DAY, Instrument, InstrumentKind, Settlement, TickLadder, currency, parse_time
from ivhedge.hedge import CostModel, HedgeMarket
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.ledger.profiles import load_fees
from ivhedge.pricing import black76_price

NOW = parse_time("2026-02-01T08:00Z")


@dataclass(frozen=True)
class StubSurface:
    """vol = level + skew·k, forward = spot·exp(carry·tau)."""

    underlying: str = "BTC"
    ts_ns: int = NOW
    level: float = 0.5
    skew: float = 0.0
    spot: float = 80_000.0
    carry: float = 0.0

    @property
    def expiries(self):
        return np.array([NOW + d * NS_PER_DAY for d in (7, 30, 90)], dtype=np.int64)

    def implied_vol(self, log_moneyness, tau):
        k, tau = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))
        return self.level + self.skew * k + 0.0 * tau

    def total_variance(self, log_moneyness, tau):
        return self.implied_vol(log_moneyness, tau) ** 2 * tau

    def forward(self, tau):
        return self.spot * np.exp(self.carry * np.asarray(tau, float))


def option(days=30.0, strike="80000", is_call=True, *, coin=True, venue="deribit", underlying="BTC"):
    expiry = NOW + int(days * NS_PER_DAY)
    return Instrument(
        name=f"{underlying}-{days:g}D-{strike}-{'C' if is_call else 'P'}{'' if coin else '-USDC'}",
        venue=venue,
        underlying=underlying,
        kind=InstrumentKind.OPTION,
        settlement=Settlement.COIN if coin else Settlement.USD,
        settle_currency=currency(underlying if coin else "USDC"),
        multiplier=Decimal(1),
        lot=Decimal("0.1"),
        min_size=Decimal("0.1"),
        ticks=TickLadder.of(("0", "0.0001"), ("0.005", "0.0005")) if coin else TickLadder.flat("1"),
        expiry_ns=expiry,
        strike=Decimal(strike),
        is_call=is_call,
    )


def perpetual(*, coin=True, venue="deribit", underlying="BTC", days=None):
    kind = InstrumentKind.PERPETUAL if days is None else InstrumentKind.FUTURE
    return Instrument(
        name=f"{underlying}-{'PERPETUAL' if days is None else f'{days:g}D'}{'' if coin else '-USDC'}",
        venue=venue,
        underlying=underlying,
        kind=kind,
        settlement=Settlement.COIN if coin else Settlement.USD,
        settle_currency=currency(underlying if coin else "USDC"),
        multiplier=Decimal(10) if coin else Decimal("0.0001"),
        lot=Decimal(1),
        min_size=Decimal(1),
        ticks=TickLadder.flat("0.5"),
        expiry_ns=None if days is None else NOW + int(days * NS_PER_DAY),
    )


def fair(surface, instrument):
    """Fair price in the instrument's own unit."""
    if not instrument.is_option:
        return float(surface.forward(0.0 if instrument.expiry_ns is None else instrument.tau(NOW)))
    tau = instrument.tau(NOW)
    forward = float(surface.forward(tau))
    strike = float(instrument.strike)
    vol = surface.implied_vol(np.log(strike / forward), tau)
    usd = float(black76_price(forward, strike, tau, vol, instrument.is_call))
    return usd / forward if instrument.is_inverse else usd


def market_of(surface, instruments, *, half_spread=0.02, size=np.nan):
    """Quotes around fair: options at ± `half_spread` of their price, futures at ± 1 bp."""
    marks = np.array([fair(surface, item) for item in instruments])
    width = np.array([half_spread if item.is_option else 1e-4 for item in instruments])
    n = len(instruments)
    return HedgeMarket(
        ts_ns=NOW,
        underlying=surface.underlying,
        index=float(surface.spot),
        instruments=tuple(instruments),
        bid=marks * (1 - width),
        ask=marks * (1 + width),
        mark=marks,
        bid_size=np.full(n, size),
        ask_size=np.full(n, size),
    )


def book_of(*legs, cash=()):
    return Book("test", tuple(Position(item, Decimal(contracts)) for item, contracts in legs), tuple(cash))


def universe():
    """A perpetual, a future and options of four expiries."""
    options = [
        option(days, strike, strike >= "80000")
        for days in (5, 20, 60, 150)
        for strike in ("70000", "80000", "90000")
    ]
    return [perpetual(), perpetual(days=60), *options]


COSTS = CostModel(fees={"deribit": load_fees("deribit")})
