"""Books around the stub market, and what they are after an adjustment."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np

from ivhedge.hedge import Band, HedgeLimits, MarginGuard, TenorBand
from ivhedge.hedge.adjustment import AdjustmentState, adjust_book
from ivhedge.risk.margin import Account, Stress, load_margin_profile

from .._stub import COSTS, NOW, StubSurface, book_of, market_of, option, perpetual, universe

SURFACE = StubSurface(skew=-0.1, carry=0.03)
CALL, PUT = option(20, "90000"), option(20, "70000", False)
MARKET = market_of(SURFACE, universe(), size=100_000.0)
LIMITS = HedgeLimits(
    delta=Band.around(0.3), gamma_1pct=Band.around(0.3), vega=(TenorBand(0, 1000, Band.around(0.02)),)
)
WIDE = HedgeLimits(
    delta=Band.around(5.0), gamma_1pct=Band.around(5.0), vega=(TenorBand(0, 1000, Band.around(1.0)),)
)
HEDGED = book_of((CALL, "-20"), (PUT, "-20"), (perpetual(), "2500"))
CRASH = Stress(name="crash", spot=-0.3, vol=0.5)


def guard(cash, **changes):
    base = {
        "venue": "deribit",
        "profile": load_margin_profile("deribit_pm_btc"),
        "on": date(2026, 2, 1),
        "account": Account(cash=cash),
        "account_ns": NOW,
        "stresses": (CRASH,),
    }
    return MarginGuard(**(base | changes))


def adjust(book, limits=LIMITS, state=None, market=MARKET, surface=SURFACE, **kwargs):
    return adjust_book(book, surface, market, limits, state or AdjustmentState(), costs=COSTS, **kwargs)


def later(seconds, market=MARKET):
    """Surface and market some time on."""
    ts_ns = NOW + int(seconds * 1e9)
    return {"surface": replace(SURFACE, ts_ns=ts_ns), "market": replace(market, ts_ns=ts_ns)}


def filled(book, answer):
    held = {p.instrument.key: [p.instrument, p.quantity] for p in book.positions}
    for leg in answer.legs:
        held.setdefault(leg.instrument.key, [leg.instrument, Decimal(0)])[1] += leg.quantity
    return book_of(*((item, str(quantity)) for item, quantity in held.values() if quantity))


def without_quotes(market=MARKET):
    nothing = np.full(len(market.instruments), np.nan)
    return replace(market, bid=nothing, ask=nothing, mark=nothing)


def without_depth(market=MARKET):
    nothing = np.zeros(len(market.instruments))
    return replace(market, bid_size=nothing, ask_size=nothing)
