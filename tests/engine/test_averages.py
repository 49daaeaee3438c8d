"""The last half hour before an expiry, in commands and replays."""

from decimal import Decimal

import pytest

from ivhedge.core.units import NS_PER_SECOND
from ivhedge.engine.averages import running_averages
from ivhedge.ledger import Book, Position
from ivhedge.risk import exposures
from tests.risk._stub import StubSurface, option, perpetual

MINUTE = 60 * NS_PER_SECOND


def test_the_index_stands_for_the_mean_of_what_expires_now():
    near, far = option(1), option(30)
    now = near.expiry_ns - 10 * MINUTE
    window = running_averages((near, far, perpetual()), lambda coin: {"BTC": 81_000.0}[coin], now)
    assert window.known == {("BTC", near.expiry_ns): 81_000.0}
    assert running_averages((near, far), lambda _: 81_000.0, near.expiry_ns - 31 * MINUTE).known == {}
    assert running_averages((near,), lambda _: 81_000.0, near.expiry_ns).known == {}
    book = Book("b", (Position(near, Decimal(-2)),))
    surface = StubSurface(spot=81_000.0, ts_ns=now)
    seen = exposures(book, {"BTC": surface}, ts_ns=now, settlement=window)
    assert seen.legs["status"].to_list() == ["ok"]
    # Struck at 80,000 and two thirds averaged at 81,000: as good as in the money.
    assert seen.total("BTC")["value_usd"] == pytest.approx(-2 * 1_000.0, rel=0.05)
