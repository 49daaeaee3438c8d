"""Quotes, a market and books around the tiny surface of the tests of risk."""

from decimal import Decimal

import numpy as np

from ivhedge.hedge import CostModel, HedgeMarket
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.ledger.profiles import load_fees
from ivhedge.pricing import black76_price

from ..risk._stub import NOW, StubSurface, option, perpetual

__all__ = [
    "COSTS",
    "NOW",
    "StubSurface",
    "book_of",
    "fair",
    "market_of",
    "option",
    "perpetual",
    "universe",
]


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
