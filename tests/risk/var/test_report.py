from decimal import Decimal

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError, StaleQuote, UnknownInstrument
from ivhedge.core.money import Money, currency
from ivhedge.core.units import NS_PER_DAY
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.risk.marks import ConservativeMarks
from ivhedge.risk.var import StatedLosses, tail_risk, var_report

from .._stub import NOW, StubSurface, option, perpetual
from ._market import scenarios

BTC = StubSurface()
ETH = StubSurface(underlying="ETH", spot=3_000.0)
MOVES = np.random.default_rng(0).normal(0.0, 0.03, 400)


def book_of(*legs, cash=()):
    positions = tuple(Position(i, Decimal(q)) for i, q in legs)
    return Book("b", positions, tuple(Money.from_exact(Decimal(a), currency(c)) for a, c in cash))


def test_cash_in_coin_is_risk_and_dollars_are_not():
    found = var_report(
        book_of(cash=(("2", "BTC"), ("50000", "USDC"))), {"BTC": BTC}, scenarios(MOVES), ts_ns=NOW
    )
    assert found.items == ("cash:BTC",)
    assert found.usd.es == pytest.approx(tail_risk(2 * 80_000 * np.expm1(MOVES), 0.99).es)
    assert found.coin == {}


def test_parts_sum_to_the_whole_in_both_units_and_across_coins():
    eth = option(30, "3000", underlying="ETH")
    book = book_of((option(30), "-1"), (option(60, "90000"), "2"), (eth, "-5"), cash=(("1", "BTC"),))
    found = var_report(
        book, {"BTC": BTC, "ETH": ETH}, scenarios(MOVES, names=("BTC", "ETH")), 0.975, ts_ns=NOW
    )
    assert len(found.items) == 4
    assert found.usd.contributions.sum() == pytest.approx(found.usd.es)
    assert sorted(found.coin) == ["BTC", "ETH"]
    for name, rows in (("BTC", [0, 1]), ("ETH", [2])):
        assert found.coin[name].contributions[rows].sum() == pytest.approx(found.coin[name].es)
    assert found.usd.es == pytest.approx(tail_risk(found.pnl_usd, 0.975).es)
    assert found.conservative == ()


def test_a_hedge_contributes_against_the_risk():
    book = book_of((option(30, "80000"), "1"), (perpetual(), "-2000"))
    found = var_report(book, {"BTC": BTC}, scenarios(MOVES), ts_ns=NOW)
    assert found.usd.contributions[0] > 0.0 > found.usd.contributions[1]


def test_legs_without_a_price_raise_unless_a_stand_in_is_given():
    lost = option(30, "3000", underlying="ETH")
    book = book_of((option(30), "-1"), (lost, "-1"))
    both = scenarios(MOVES, names=("BTC", "ETH"))
    with pytest.raises(UnknownInstrument):
        var_report(book, {"BTC": BTC}, both, ts_ns=NOW)
    with pytest.raises(UnknownInstrument):  # a mark needs an index
        var_report(book, {"BTC": BTC}, both, ts_ns=NOW, conservative=ConservativeMarks())
    marked = var_report(
        book, {"BTC": BTC}, both, ts_ns=NOW, conservative=ConservativeMarks(indices={"ETH": 3_000.0})
    )
    assert marked.conservative == (lost.key,)
    assert marked.usd.contributions[1] > 0.0


@pytest.mark.parametrize("quantity", ["10", "-10"])
@pytest.mark.parametrize(("strike", "is_call"), [("95000", True), ("65000", False)])
def test_a_leg_without_a_vol_has_no_less_risk_than_with_one(quantity, strike, is_call):
    class Holes(type(BTC)):
        def implied_vol(self, log_moneyness, tau):
            k = np.asarray(log_moneyness, dtype=np.float64)
            return np.where(k == 0.0, super().implied_vol(k, tau), np.nan)

    book = book_of((option(30, strike, is_call), quantity))
    blind = var_report(book, {"BTC": Holes()}, scenarios(MOVES), ts_ns=NOW, conservative=ConservativeMarks())
    truth = var_report(book, {"BTC": BTC}, scenarios(MOVES), ts_ns=NOW)
    assert blind.conservative == (book.positions[0].instrument.key,)
    assert blind.usd.es >= truth.usd.es
    assert truth.usd.es > 0.0


def test_a_stated_loss_counts_in_full():
    gone = option(-1.0)
    book = book_of((option(30), "-1"), (gone, "-1"))
    with pytest.raises(DataError, match="settle"):
        var_report(book, {"BTC": BTC}, scenarios(MOVES), ts_ns=NOW)
    alone = var_report(book_of((option(30), "-1")), {"BTC": BTC}, scenarios(MOVES), ts_ns=NOW)
    both = var_report(
        book, {"BTC": BTC}, scenarios(MOVES), ts_ns=NOW, losses=StatedLosses(usd={gone.key: 500.0})
    )
    assert both.conservative == (gone.key,)
    assert both.usd.es == pytest.approx(alone.usd.es + 500.0)
    assert both.coin["BTC"].es == pytest.approx(alone.coin["BTC"].es + 500.0 / 80_000.0)


@pytest.mark.parametrize("loss", [0.0, -1.0, float("nan")])
def test_a_stated_loss_is_a_loss(loss):
    with pytest.raises(ConfigError, match="never 0"):
        StatedLosses(usd={"x": loss})


def test_old_surfaces_and_thin_scenarios_are_refused():
    book = book_of((option(30), "-1"))
    with pytest.raises(StaleQuote):
        var_report(book, {"BTC": BTC}, scenarios(MOVES), ts_ns=NOW + NS_PER_DAY, max_age_ns=NS_PER_DAY // 2)
    with pytest.raises(ConfigError, match="beyond the level"):
        var_report(book, {"BTC": BTC}, scenarios(MOVES[:50]), ts_ns=NOW)
