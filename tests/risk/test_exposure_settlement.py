"""The last half hour: options on an average that is partly known."""

from decimal import Decimal

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_SECOND, NS_PER_YEAR
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.pricing import black76_greeks
from ivhedge.risk.exposure import GREEK_EXPOSURE_NAMES, exposures
from ivhedge.risk.marks import SettlementWindow
from ivhedge.surface.averaging import averaged_price, averaged_terms
from ivhedge.surface.dynamics import StickyMoneyness

from ._stub import NOW, StubSurface, option, perpetual

MINUTE = 60 * NS_PER_SECOND
LEVEL, SPOT = 0.6, 80_000.0


def measure(minutes, strike="80000", is_call=True, coin=True, mean=SPOT, spot=SPOT, level=LEVEL, **kwargs):
    """A leg of 3 contracts with so many minutes left."""
    leg = option(1, strike, is_call, coin=coin)
    now = leg.expiry_ns - int(minutes * MINUTE)
    window = SettlementWindow(known={} if mean is None else {("BTC", leg.expiry_ns): mean})
    book = Book("test", (Position(leg, Decimal(3)), Position(perpetual(), Decimal(100))))
    surface = StubSurface(spot=spot, level=level, ts_ns=now)
    return exposures(book, {"BTC": surface}, ts_ns=now, settlement=window, **kwargs)


def row(*args, **kwargs):
    return measure(*args, **kwargs).legs.row(0, named=True)


def reference(minutes, strike, is_call, coin, mean, spot, level=LEVEL):
    """Value in USD and in coin from the averaging module."""
    leg = option(1, strike, is_call)
    now = leg.expiry_ns - int(minutes * MINUTE)
    terms = averaged_terms(now, leg.expiry_ns, spot, float(strike), level, mean)
    paid = 3.0 * float(averaged_price(terms, float(strike), is_call))
    coins = paid / float(terms.expected_settlement) if coin else paid / spot
    return (coins * spot if coin else paid), coins


@pytest.mark.parametrize("coin", [True, False])
@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(("minutes", "mean"), [(25, 79_900.0), (10, 80_300.0), (1, 80_010.0), (45, np.nan)])
def test_exposures_are_those_of_the_averaged_price(minutes, mean, is_call, coin):
    case = (minutes, "80100", is_call, coin, mean)
    known = None if np.isnan(mean) else mean
    found = row(minutes, "80100", is_call, coin, known, extra=GREEK_EXPOSURE_NAMES)
    usd, coins = reference(*case, SPOT)
    assert found["value_usd"] == pytest.approx(usd, rel=1e-9)
    assert found["value_coin"] == pytest.approx(coins, rel=1e-9)
    h = 4.0
    (up, c_up), (down, c_down) = (reference(*case, SPOT + s) for s in (h, -h))
    # Differences over a twentieth of a standard deviation of the last minute.
    assert found["delta_usd"] == pytest.approx((up - down) / (2 * h), rel=2e-3, abs=1e-5)
    assert found["delta_coin"] == pytest.approx(SPOT * (c_up - c_down) / (2 * h), rel=2e-3, abs=1e-5)
    bend = 0.01 * SPOT * (up - 2 * usd + down) / h**2
    assert found["gamma_1pct_usd"] == pytest.approx(bend, rel=1e-2, abs=1e-4)
    vega = (reference(*case, SPOT, 0.601)[0] - reference(*case, SPOT, 0.599)[0]) / 0.2
    assert found["vega_usd_per_vol_point"] == pytest.approx(vega, rel=1e-3, abs=1e-7)
    assert all(np.isfinite(found[name]) for name in GREEK_EXPOSURE_NAMES)


def test_theta_lets_the_index_enter_the_average():
    found = row(10, mean=80_030.0, coin=False)
    step = 2 / 60
    elapsed = 20.0
    later = (elapsed * 80_030.0 + step * SPOT) / (elapsed + step)
    change = (
        reference(10 - step, "80000", True, False, later, SPOT)[0]
        - reference(10, "80000", True, False, 80_030.0, SPOT)[0]
    )
    per_day = change / (step * MINUTE) * NS_PER_YEAR / 365
    assert found["theta_usd_per_day"] == pytest.approx(per_day, rel=2e-3)


def test_gamma_fades_and_the_payoff_stands():
    minutes = [29, 20, 10, 5, 2, 0.5, 0.05]
    rows = [row(m) for m in minutes]
    # At the money, with the mean at the index: gamma falls like the root of the time left.
    gammas = np.array([r["gamma_1pct_usd"] for r in rows])
    assert (np.diff(gammas) < 0.0).all()
    assert gammas[-1] < 0.06 * gammas[0]
    minute = 1.0 / (365 * 1440)
    plain = 3 * 0.01 * SPOT * float(black76_greeks(SPOT, 80_000.0, minute, LEVEL, True)["gamma"])
    assert row(1)["gamma_1pct_usd"] < 0.2 * plain
    # In the money the coins are as good as paid: none of them is left to hedge in coin.
    last = row(0.05, "70000", mean=SPOT)
    coins = 3 * 10_000 / 80_000
    assert last["value_coin"] == pytest.approx(coins, rel=1e-9)
    assert last["delta_coin"] == pytest.approx(0.0, abs=0.01)
    assert last["delta_usd"] == pytest.approx(coins, abs=0.01)
    assert row(0.05, "70000", coin=False)["delta_usd"] == pytest.approx(0.0, abs=0.01)


def test_a_strike_that_the_average_has_passed_is_a_forward():
    # 29 minutes at 90,000: whatever the last one brings, the average ends above 82,000.
    call, put = (row(1, "82000", c, coin=False, mean=90_000.0) for c in (True, False))
    ahead = 1 / 30
    settles = (1 - ahead) * 90_000 + ahead * SPOT
    assert call["value_usd"] == pytest.approx(3 * (settles - 82_000), rel=1e-9)
    assert call["delta_usd"] == pytest.approx(3 * ahead, rel=1e-6)
    assert call["gamma_1pct_usd"] == pytest.approx(0.0, abs=1e-9)
    assert put["value_usd"] == pytest.approx(0.0, abs=1e-9)
    assert put["delta_usd"] == pytest.approx(0.0, abs=1e-9)


def test_an_unknown_mean_is_a_status_and_not_a_guess():
    found = measure(10, mean=None, strict=False)
    assert found.legs["status"].to_list() == ["no_average", "ok"]
    assert found.total("BTC")["unpriced"] == 1.0
    with pytest.raises(DataError, match="no_average"):
        measure(10, mean=None)
    leg, surfaces = option(1), {"BTC": StubSurface(ts_ns=option(1).expiry_ns - 10 * MINUTE)}
    book = Book("x", (Position(leg, Decimal(1)),))
    with pytest.raises(DataError, match="no_average"):
        exposures(book, surfaces, ts_ns=surfaces["BTC"].ts_ns)
    assert measure(31, mean=None).legs["status"].to_list() == ["ok", "ok"]


def test_far_from_expiry_nothing_changes_and_rules_apply_inside():
    leg = option(30)
    book, surfaces = Book("x", (Position(leg, Decimal(1)),)), {"BTC": StubSurface(skew=-0.3)}
    with_window = exposures(book, surfaces, ts_ns=NOW, settlement=SettlementWindow())
    assert with_window.total("BTC") == exposures(book, surfaces, ts_ns=NOW).total("BTC")
    inside = row(10, dynamics=StickyMoneyness())
    assert inside["delta_smile_usd"] == pytest.approx(inside["delta_usd"], rel=1e-9)


@pytest.mark.parametrize(
    "wrong", [{"length_ns": 0}, {"from_ns": 1}, {"known": {("BTC", 1): 0.0}}, {"known": {("BTC", 1): np.nan}}]
)
def test_bad_windows(wrong):
    with pytest.raises(ConfigError, match="expected"):
        SettlementWindow(**wrong)
