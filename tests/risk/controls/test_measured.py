"""A measured book becomes exposures by scope, and an unpriced leg refuses orders."""

from decimal import Decimal

import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.risk import exposures
from ivhedge.risk.controls import Scope, check_order, scope_exposures
from tests.risk._stub import NOW, StubSurface, option, perpetual
from tests.risk.controls._case import found, order, settings, state


def _measure(*legs, surfaces=None):
    book = Book("test", tuple(Position(i, Decimal(q)) for i, q in legs))
    return exposures(book, {"BTC": StubSurface()} if surfaces is None else surfaces, ts_ns=NOW, strict=False)


@pytest.mark.parametrize("numeraire", ["coin", "usd"])
def test_sums_are_those_of_the_book(numeraire):
    legs = ((option(30), "2"), (option(7, "90000"), "-3"), (perpetual(), "1000"))
    measured = _measure(*legs)
    sums = scope_exposures(measured, numeraire=numeraire, underlyings=["BTC", "ETH"])
    total = measured.total("BTC")
    btc = sums[Scope("BTC")]
    assert btc.delta == pytest.approx(total[f"delta_{numeraire}"], rel=1e-12)
    assert btc.gamma_1pct == pytest.approx(total[f"gamma_1pct_{numeraire}"], rel=1e-12)
    assert btc.vega_usd_per_vol_point == pytest.approx(total["vega_usd_per_vol_point"], rel=1e-12)
    assert btc.theta_usd_per_day == pytest.approx(total["theta_usd_per_day"], rel=1e-12)
    buckets = [exposure for scope, exposure in sums.items() if scope.expiry is not None]
    assert len(buckets) == 3
    assert sum(b.delta for b in buckets) == pytest.approx(btc.delta, rel=1e-12)
    assert sums[Scope("BTC", venue="deribit")] == btc
    assert sums[Scope("ETH")].values == (0.0,) * 4
    named = scope_exposures(measured, bucket=lambda expiry: "all")
    assert named[Scope("BTC", expiry="all")].delta == pytest.approx(
        scope_exposures(measured)[Scope("BTC")].delta, rel=1e-12
    )


def test_the_buckets_are_those_of_the_orders():
    intent = order(instrument=option(30))
    assert set(intent.scopes) <= set(scope_exposures(_measure((option(30), "1"))))


def test_a_leg_without_a_price_refuses_orders():
    sums = scope_exposures(_measure((option(30), "1"), surfaces={}))
    decision = check_order(order(), state(exposures=sums), settings())
    assert (4, "delta") in found(decision)


def test_the_numeraire_has_to_be_known():
    with pytest.raises(ConfigError, match="coin"):
        scope_exposures(_measure(), numeraire="eur")
