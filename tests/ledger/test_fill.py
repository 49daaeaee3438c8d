from collections.abc import Callable
from decimal import Decimal

import pytest

from ivhedge.core import Instrument, Money, currency, parse_time
from ivhedge.core.errors import LedgerError
from ivhedge.ledger import Fill, Liquidity

Make = Callable[..., Instrument]
D = Decimal


def _fill(instrument: Instrument, **changes: object) -> Fill:
    values: dict[str, object] = {
        "ts_ns": parse_time("2026-01-05T08:00Z"),
        "instrument": instrument,
        "quantity": D(1),
        "price": D("0.0032"),
        "liquidity": Liquidity.TAKER,
        "fee": Money.zero(instrument.settle_currency),
    }
    return Fill(**{**values, **changes})  # type: ignore[arg-type]


def test_lots(option: Make) -> None:
    assert _fill(option(), quantity=D("-1.3")).lots == -13


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": D(0)}, "some size"),
        ({"quantity": D("0.15")}, "multiple of the lot 0.1, found 0.15"),
        ({"quantity": 1.0}, "exact_decimal"),
        ({"quantity": D("nan")}, "finite"),
        ({"price": 0.0032}, "exact_decimal"),
        ({"price": D(0)}, "positive"),
        ({"price": D("-0.0032")}, "positive"),
        ({"price": D("inf")}, "finite"),
        ({"price": D("0.00325")}, "tick 0.0001, found 0.00325"),
        ({"price": D("0.0203")}, "tick 0.0005, found 0.0203"),  # on the lower step's tick only
        ({"price": D("1000000000000000000000000000000.0001")}, "tick 0.0005"),  # beyond 28 digits
        ({"fee": Money.zero(currency("USDC"))}, "fee in BTC, found USDC"),
        ({"ts_ns": parse_time("2026-01-30T08:00Z")}, "before the expiry"),
    ],
)
def test_refusals(option: Make, changes: dict[str, object], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        _fill(option(), **changes)


@pytest.mark.parametrize("price", ["100166.2", "100166.25"])
def test_an_off_tick_future_is_refused(future: Make, price: str) -> None:
    with pytest.raises(LedgerError, match=r"tick 0\.5"):
        _fill(future(), price=D(price))


@pytest.mark.parametrize("price", ["0.0049", "0.005", "0.0205"])
def test_prices_on_the_ladder_pass(option: Make, price: str) -> None:
    assert _fill(option(), price=D(price)).price == D(price)
