from decimal import Decimal

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError, UnknownInstrument
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.pricing import black76_price
from ivhedge.risk import EXPOSURE_NAMES, exposures

from ._stub import NOW, StubSurface, option, perpetual

SURFACE = StubSurface(skew=-0.1, carry=0.05)


def book_of(*legs):
    return Book("test", tuple(Position(i, Decimal(q)) for i, q in legs))


def one(instrument, quantity="1", surface=SURFACE):
    return exposures(book_of((instrument, quantity)), {"BTC": surface}, ts_ns=NOW).legs.row(0, named=True)


@pytest.mark.parametrize("coin", [True, False])
@pytest.mark.parametrize("is_call", [True, False])
def test_option_exposures_against_revaluation(coin, is_call):
    leg = option(30, "85000", is_call, coin=coin)
    row = one(leg, "-2.5")
    tau = leg.tau(NOW)
    forward = float(SURFACE.forward(tau))
    vol = float(SURFACE.implied_vol(np.log(85_000 / forward), tau))

    def usd(f=forward, v=vol, t=tau):
        # The index moves in proportion to the forward and turns coins into dollars.
        value = -2.5 * float(black76_price(f, 85_000.0, t, v, is_call))
        return value / f * 80_000.0 * (f / forward) if coin else value

    h = forward * 1e-4
    to_spot = 80_000.0 / forward
    delta = (usd(forward + h) - usd(forward - h)) / (2 * h) / to_spot
    coins = [usd(f) / (f * to_spot) for f in (forward + h, forward - h)]
    delta_coin = forward * (coins[0] - coins[1]) / (2 * h)
    assert row["value_usd"] == pytest.approx(usd(), rel=1e-12)
    assert row["value_coin"] == pytest.approx(usd() / 80_000.0, rel=1e-12)
    assert row["delta_usd"] == pytest.approx(delta, rel=1e-6)
    assert row["delta_coin"] == pytest.approx(delta_coin, rel=1e-6)
    # Finite differences in vol (1e-5) and in time (one hour): truncation below 1e-4.
    assert row["vega_usd_per_vol_point"] == pytest.approx(
        (usd(v=vol + 1e-5) - usd(v=vol - 1e-5)) / 2e-3, rel=1e-5
    )
    hour = 1 / 8760
    assert row["theta_usd_per_day"] == pytest.approx((usd(t=tau - hour) - usd(t=tau + hour)) * 12, rel=1e-4)
    assert row["vega_coin_per_vol_point"] == pytest.approx(row["vega_usd_per_vol_point"] / 80_000, rel=1e-12)
    assert row["theta_coin_per_day"] == pytest.approx(row["theta_usd_per_day"] / 80_000, rel=1e-12)
    v = 1e-3
    cross = [usd(forward + a * h, vol + b * v) * a * b for a in (1, -1) for b in (1, -1)]
    assert row["vanna"] == pytest.approx(sum(cross) / (4 * h * v) / to_spot, rel=1e-4)
    bend = usd(v=vol + v) - 2 * usd() + usd(v=vol - v)
    assert row["volga"] == pytest.approx(bend / v**2, rel=1e-4)


@pytest.mark.parametrize("name", ["delta_usd", "delta_coin"])
@pytest.mark.parametrize("coin", [True, False])
def test_gamma_is_the_change_of_delta_for_one_percent(name, coin):
    gamma = "gamma_1pct_" + name.removeprefix("delta_")
    flat = StubSurface()
    legs = [option(30, "85000", coin=coin), perpetual(coin=coin)]
    for leg in legs:
        # Hold the vol of the strike fixed: a flat surface. One basis point, scaled to one percent.
        low = StubSurface(spot=flat.spot * 0.9999)
        high = StubSurface(spot=flat.spot * 1.0001)
        move = (one(leg, surface=high)[name] - one(leg, surface=low)[name]) / 0.02
        if leg.is_option:
            assert one(leg, surface=flat)[gamma] == pytest.approx(move, rel=1e-6)


def test_inverse_future_matches_its_own_profit_formula():
    row = one(perpetual(), "1000", StubSurface())
    f, h = 80_000.0, 1.0

    def coin(price):
        return 10_000 * (1 / f - 1 / price)

    assert row["delta_coin"] == pytest.approx(f * (coin(f + h) - coin(f - h)) / (2 * h), rel=1e-8)
    assert row["delta_coin"] == pytest.approx(0.125)
    assert row["gamma_1pct_coin"] == pytest.approx(-0.00125)
    assert row["delta_usd"] == pytest.approx(0.125)
    assert row["gamma_1pct_usd"] == 0.0
    assert row["value_usd"] == 0.0


def test_linear_future():
    row = one(perpetual(coin=False), "10000", StubSurface())
    assert row["delta_usd"] == pytest.approx(1.0)
    assert row["gamma_1pct_coin"] == pytest.approx(-0.01)


def test_statuses_keep_numbers_null_and_are_counted():
    eth = option(30, "3000", underlying="ETH")
    dead = option(-1, "80000")
    result = exposures(
        book_of((eth, "1"), (dead, "1"), (option(), "1")), {"BTC": SURFACE}, ts_ns=NOW, strict=False
    )
    assert result.legs["status"].to_list() == ["no_surface", "expired", "ok"]
    assert result.legs["delta_usd"].null_count() == 2
    by = result.by("underlying")
    assert by["unpriced"].to_list() == [1, 1]
    assert result.total("ETH")["unpriced"] == 1.0
    assert result.total("BTC")["unpriced"] == 1.0
    # The total comes from the arrays, the groups from the table: they must say the same.
    row = by.row(0, named=True)
    assert result.total("BTC") == {name: row[name] for name in (*EXPOSURE_NAMES, "unpriced")}
    assert set(EXPOSURE_NAMES) < set(result.legs.columns)
    with pytest.raises(ConfigError, match=r"BTC.*ETH.*SOL"):
        result.total("SOL")


def test_a_surface_without_an_answer_gives_a_status():
    class Holes(StubSurface):
        def implied_vol(self, log_moneyness, tau):
            return np.full(np.shape(log_moneyness), np.nan)

    class NoForward(StubSurface):
        def forward(self, tau):
            return np.full(np.shape(tau), np.nan)

    book = book_of((option(), "1"))
    for surface, status in ((Holes(), "no_vol"), (NoForward(), "no_forward")):
        found = exposures(book, {"BTC": surface}, ts_ns=NOW, strict=False)
        assert found.legs["status"].to_list() == [status]
    with pytest.raises(DataError, match="refit"):
        exposures(book, {"BTC": Holes()}, ts_ns=NOW)


def test_strict_raises_for_an_unknown_surface_and_names_the_leg():
    with pytest.raises(UnknownInstrument, match="deribit:ETH-30D"):
        exposures(book_of((option(underlying="ETH"), "1")), {"BTC": SURFACE}, ts_ns=NOW)


def test_strict_lets_expired_legs_wait_for_settlement():
    result = exposures(book_of((option(-1), "1")), {"BTC": SURFACE}, ts_ns=NOW)
    assert result.legs["status"].to_list() == ["expired"]


def test_empty_book():
    result = exposures(Book("empty"), {}, ts_ns=NOW)
    assert result.legs.height == 0
    assert result.total("BTC")["delta_usd"] == 0.0
    assert result.by("venue").height == 0


def test_groups_add_up_and_unknown_columns_are_refused():
    book = book_of((option(7), "1"), (option(30), "-3"), (perpetual(), "-500"), (option(30, "90000"), "2"))
    result = exposures(book, {"BTC": SURFACE}, ts_ns=NOW)
    total = result.total("BTC")
    for columns in (("expiry",), ("venue", "expiry"), ("kind",)):
        assert result.by(*columns)["delta_coin"].sum() == pytest.approx(total["delta_coin"], rel=1e-12)
    with pytest.raises(ConfigError, match="strike"):
        result.by("strike")
