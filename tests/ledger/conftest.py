"""Contracts used by the ledger's tests; a real venue's specification where one is named."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from ivhedge.core import Instrument, InstrumentKind, Settlement, TickLadder, currency, parse_time

MONTHLY = parse_time("2026-01-30T08:00Z")
START = parse_time("2026-01-05T08:00Z")


def make_option(
    strike: str = "100000",
    *,
    call: bool = True,
    settle: str = "BTC",
    venue: str = "deribit",
    expiry: str = "2026-01-30T08:00Z",
    multiplier: str = "1",
    lot: str = "0.1",
    ticks: TickLadder | None = None,
    underlying: str = "BTC",
) -> Instrument:
    coin = settle == underlying
    ladder = TickLadder.of(("0", "0.0001"), ("0.005", "0.0005")) if coin else TickLadder.flat("0.1")
    return Instrument(
        name=f"{underlying}-{expiry[:10]}-{strike}-{'C' if call else 'P'}-{settle}",
        venue=venue,
        underlying=underlying,
        kind=InstrumentKind.OPTION,
        settlement=Settlement.COIN if coin else Settlement.USD,
        settle_currency=currency(settle),
        multiplier=Decimal(multiplier),
        lot=Decimal(lot),
        min_size=Decimal(lot),
        ticks=ticks or ladder,
        expiry_ns=parse_time(expiry),
        strike=Decimal(strike),
        is_call=call,
    )


def make_future(
    *,
    settle: str = "BTC",
    venue: str = "deribit",
    expiry: str | None = None,
    multiplier: str = "10",
    lot: str = "1",
    tick: str = "0.5",
    underlying: str = "BTC",
) -> Instrument:
    coin = settle == underlying
    return Instrument(
        name=f"{underlying}-{expiry[:10] if expiry else 'PERPETUAL'}-{settle}",
        venue=venue,
        underlying=underlying,
        kind=InstrumentKind.PERPETUAL if expiry is None else InstrumentKind.FUTURE,
        settlement=Settlement.COIN if coin else Settlement.USD,
        settle_currency=currency(settle),
        multiplier=Decimal(multiplier),
        lot=Decimal(lot),
        min_size=Decimal(lot),
        ticks=TickLadder.flat(tick),
        expiry_ns=None if expiry is None else parse_time(expiry),
    )


@pytest.fixture(scope="session")
def option() -> Callable[..., Instrument]:
    return make_option


@pytest.fixture(scope="session")
def future() -> Callable[..., Instrument]:
    return make_future


@pytest.fixture(scope="session")
def start_ns() -> int:
    return START
