from decimal import Decimal

import numpy as np
import pytest

from ivhedge.engine.board import BoardRow, QuoteBoard
from ivhedge.engine.marking import attribute_legs, mark_legs, settled_mark
from ivhedge.pricing import black76_price
from ivhedge.risk import MarkStatus

from ..risk._stub import NOW, StubSurface, option, perpetual

TERMS = ("delta", "gamma", "theta", "vega", "vanna", "volga", "residual")


def row(mark=None, forward=None):
    return BoardRow(None, None, mark, None, None, forward, None)


def board(rows, surface=None, ts_ns=NOW):
    return QuoteBoard(ts_ns=ts_ns, snapshots={}, surfaces={"BTC": surface or StubSurface()}, rows=rows)


def fair_usd(item, surface, forward=None):
    tau = item.tau(NOW)
    forward = float(surface.forward(tau)) if forward is None else forward
    return float(black76_price(forward, float(item.strike), tau, surface.level, bool(item.is_call)))


@pytest.mark.parametrize("coin", [True, False])
def test_a_recorded_mark_is_taken_as_it_is_and_inverted(coin):
    item = option(30, "90000", coin=coin)
    usd = float(black76_price(80_000.0, 90_000.0, 30 / 365, 0.62, True))
    price = usd / 80_000.0 if coin else usd
    mark = mark_legs([item], board({item.key: row(price, 80_000.0)}))[item.key]
    assert mark.price == pytest.approx(price, rel=1e-9)
    assert mark.vol == pytest.approx(0.62, abs=1e-7)
    assert (mark.status, mark.from_surface) == (MarkStatus.OK, False)
    assert mark.tau == pytest.approx(30 / 365)


@pytest.mark.parametrize("coin", [True, False])
@pytest.mark.parametrize("listed", [True, False], ids=["no mark", "not on the board"])
def test_without_a_mark_the_surface_prices_the_option_and_says_so(coin, listed):
    surface = StubSurface(carry=0.04)
    item = option(30, "70000", False, coin=coin)
    forward = float(surface.forward(item.tau(NOW)))
    mark = mark_legs([item], board({item.key: row()} if listed else {}, surface))[item.key]
    expected = fair_usd(item, surface)
    assert mark.price == pytest.approx(expected / forward if coin else expected, rel=1e-9)
    assert mark.from_surface
    assert mark.forward == pytest.approx(forward)
    assert mark.vol == pytest.approx(0.5, abs=1e-6)


def test_the_venues_own_forward_is_kept_and_prices_what_has_no_mark():
    item, surface = option(30, "80000"), StubSurface()
    mark = mark_legs([item], board({item.key: row(None, 81_000.0)}, surface))[item.key]
    assert mark.forward == 81_000.0
    assert mark.price == pytest.approx(fair_usd(item, surface, 81_000.0) / 81_000.0, rel=1e-9)


def test_a_mark_below_intrinsic_takes_the_surfaces_vol():
    item = option(30, "60000")
    mark = mark_legs([item], board({item.key: row(0.2, 80_000.0)}))[item.key]
    assert mark.price == 0.2
    assert mark.status == MarkStatus.SURFACE_VOL
    assert mark.vol == 0.5


def test_futures_take_their_mark_else_the_surfaces_forward():
    perp, dated = perpetual(), perpetual(days=60)
    surface = StubSurface(carry=0.06)
    marks = mark_legs([perp, dated], board({perp.key: row(80_100.0)}, surface))
    assert (marks[perp.key].price, marks[perp.key].from_surface) == (80_100.0, False)
    assert marks[dated.key].price == pytest.approx(80_000.0 * np.exp(0.06 * 60 / 365))
    assert marks[dated.key].from_surface
    without = mark_legs([perp], board({}, surface))[perp.key]
    assert (without.price, without.from_surface) == (80_000.0, True)


@pytest.mark.parametrize(
    ("item", "price", "expected"),
    [
        (option(0.0, "80000"), "100000", 0.2),
        (option(0.0, "80000"), "79999", 0.0),
        (option(0.0, "80000", False), "50000", 0.6),
        (option(0.0, "80000", coin=False), "100000", 20_000.0),
    ],
)
def test_an_option_settles_at_its_payoff_in_its_own_currency(item, price, expected):
    mark = settled_mark(item, Decimal(price))
    assert mark.price == expected
    assert (mark.status, mark.tau) == (MarkStatus.EXPIRED, 0.0)


def test_a_future_settles_at_the_settlement_price():
    mark = settled_mark(perpetual(days=60), Decimal("81234.5"))
    assert (mark.price, mark.status) == (81_234.5, MarkStatus.OK)


@pytest.mark.parametrize("coin", [True, False])
def test_terms_of_every_leg_add_up_to_its_change_of_value(coin):
    legs = [
        (option(30, "90000", coin=coin), Decimal("-2.5")),
        (option(5, "75000", False, coin=coin), Decimal(4)),
        (perpetual(coin=coin), Decimal(-300)),
        (perpetual(coin=coin, days=60), Decimal(120)),
    ]
    items = [item for item, _ in legs]
    start = mark_legs(items, board({}, StubSurface()))
    end = mark_legs(items, board({}, StubSurface(spot=82_500.0, level=0.54), NOW + 6 * 3600 * 10**9))
    found = attribute_legs(legs, start, end)
    assert {item.key for item, _ in found} == set(start)
    for item, terms in found:
        size = float(dict(legs)[item] * item.multiplier)
        p0, p1 = start[item.key].price, end[item.key].price
        inverse_future = item.is_inverse and not item.is_option
        change = size * (1 / p0 - 1 / p1 if inverse_future else p1 - p0)
        assert terms["total"] == pytest.approx(change, rel=1e-9)
        assert sum(terms[name] for name in TERMS) == pytest.approx(terms["total"], rel=1e-9, abs=1e-12)


def test_an_option_held_to_expiry_is_attributed_to_its_payoff():
    item, position = option(1, "80000"), Decimal("-1")
    start = mark_legs([item], board({}))
    end = {item.key: settled_mark(item, Decimal(84_000))}
    ((_, terms),) = attribute_legs([(item, position)], start, end)
    assert terms["total"] == pytest.approx(start[item.key].price - 4_000 / 84_000)


def test_no_positions_no_terms():
    assert mark_legs([], board({})) == {}
    assert attribute_legs([], {}, {}) == []
