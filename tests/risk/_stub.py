"""A tiny surface and a few instruments for the tests of risk and of hedging."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ivhedge.core import NS_PER_DAY, Instrument, InstrumentKind, Settlement, TickLadder, currency, parse_time

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
