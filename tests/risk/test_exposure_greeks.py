"""All Greeks in both currencies, the smile's part, carry, and collateral, against revaluation."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core import Money, currency
from ivhedge.core.errors import ConfigError, DataError, StaleQuote
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.pricing import GREEK_NAMES, black76_price
from ivhedge.risk.exposure import CARRY_NAMES, GREEK_EXPOSURE_NAMES, SMILE_NAMES, exposures
from ivhedge.risk.legs import price_legs
from ivhedge.risk.marks import ConservativeMarks
from ivhedge.surface import EssviSurface
from ivhedge.surface.dynamics import SkewStickiness, StickyMoneyness, StickyStrike, move_surface

from ._stub import NOW, StubSurface, option, perpetual

TAUS = np.array([7.0, 30.0, 90.0]) / 365.0
ESSVI = EssviSurface(
    underlying="BTC",
    ts_ns=NOW,
    expiries=np.array([NOW + d * NS_PER_DAY for d in (7, 30, 90)]),
    taus=TAUS,
    theta=0.36 * TAUS,
    rho=np.array([-0.1, -0.2, -0.3]),
    psi=0.9 * np.sqrt(0.36 * TAUS),
    forwards=80_000.0 * np.exp(0.05 * TAUS),
    index=80_000.0,
)


def book_of(*legs, cash=()):
    money = tuple(Money.from_exact(Decimal(amount), currency(code)) for code, amount in cash)
    return Book("test", tuple(Position(i, Decimal(q)) for i, q in legs), money)


def one(leg, quantity="1", surface=ESSVI, **kwargs):
    return exposures(book_of((leg, quantity)), {"BTC": surface}, ts_ns=NOW, **kwargs).legs.row(0, named=True)


def test_every_greek_of_the_pricing_room_is_there_in_both_currencies():
    names = {name.rsplit("_", 1)[0] for name in GREEK_EXPOSURE_NAMES}
    assert names == set(GREEK_NAMES) - {"price", "delta"}
    row = one(option(30, "85000"), extra=GREEK_EXPOSURE_NAMES)
    assert all(np.isfinite(row[name]) for name in GREEK_EXPOSURE_NAMES)
    with pytest.raises(ConfigError, match="vomma"):
        one(option(30, "85000"), extra=("vomma",))


@pytest.mark.parametrize("unit", ["usd", "coin"])
def test_raw_greeks_against_differences(unit):
    leg, tau = option(30, "85000"), 30 / 365
    row = one(leg, "-2", extra=GREEK_EXPOSURE_NAMES)
    f0 = float(ESSVI.forward(tau))
    v0 = float(ESSVI.implied_vol(np.log(85_000 / f0), tau))

    def value(f=f0, v=v0, t=tau, k=85_000.0):
        price = -2.0 * float(black76_price(f, k, t, v, True))
        return price / f if unit == "coin" else price

    h, e, day = 0.01 * f0, 0.005, 0.2 / 365

    def third(f):
        return (f(2) - 2 * f(1) + 2 * f(-1) - f(-2)) / 2

    expected = {
        "gamma": (value(f0 + h) - 2 * value() + value(f0 - h)) / h**2,
        "speed": third(lambda n: value(f0 + n * h)) / h**3,
        "vega": (value(v=v0 + e) - value(v=v0 - e)) / (2 * e),
        "volga": (value(v=v0 + e) - 2 * value() + value(v=v0 - e)) / e**2,
        "ultima": third(lambda n: value(v=v0 + 4 * n * e)) / (4 * e) ** 3,
        "theta": -(value(t=tau + day) - value(t=tau - day)) / (2 * day),
        "rho": -tau * value(),
        "dual_delta": (value(k=85_100.0) - value(k=84_900.0)) / 200.0,
        "vanna": sum(a * b * value(f0 + a * h, v0 + b * e) for a in (1, -1) for b in (1, -1)) / (4 * h * e),
        "charm": -sum(a * b * value(f0 + a * h, t=tau + b * day) for a in (1, -1) for b in (1, -1))
        / (4 * h * day),
        "veta": -sum(a * b * value(v=v0 + a * e, t=tau + b * day) for a in (1, -1) for b in (1, -1))
        / (4 * e * day),
        "zomma": sum(
            b * (value(f0 + h, v0 + b * e) - 2 * value(v=v0 + b * e) + value(f0 - h, v0 + b * e))
            for b in (1, -1)
        )
        / (2 * e * h**2),
    }
    for name, difference in expected.items():
        # Steps of 1 % leave errors of second order, largest for third derivatives.
        assert row[f"{name}_{unit}"] == pytest.approx(difference, rel=0.03, abs=0.0), name


def test_futures_have_the_curvature_of_their_profit_in_coin():
    f = 80_000.0
    for coin in (True, False):
        h = 80.0
        row = one(perpetual(coin=coin), "1000", extra=GREEK_EXPOSURE_NAMES)
        size = 10_000.0 if coin else 0.1

        def profit(price, size=size, coin=coin):
            return size * (1 / f - 1 / price) if coin else size * (price - f) / price

        bend = (profit(f + h) - 2 * profit(f) + profit(f - h)) / h**2
        assert row["gamma_coin"] == pytest.approx(bend, rel=1e-4, abs=0.0)
        h = 800.0
        third = (profit(f + 2 * h) - 2 * profit(f + h) + 2 * profit(f - h) - profit(f - 2 * h)) / (2 * h**3)
        assert row["speed_coin"] == pytest.approx(third, rel=1e-2, abs=0.0)
        assert row["gamma_usd"] == 0.0
        assert row["vega_coin"] == 0.0


@pytest.mark.parametrize("rule", [StickyMoneyness(), StickyStrike(), SkewStickiness(ssr=1.6)])
@pytest.mark.parametrize("strike", ["65000", "80000", "95000"])
def test_total_delta_and_gamma_follow_the_rule(rule, strike):
    leg, tau, h = option(30, strike, float(strike) > 80_000), 30 / 365, 1e-4
    row = one(leg, "-3", dynamics=rule)

    def value(u):
        moved = move_surface(ESSVI, rule, u)
        f = float(moved.forward(tau))
        vol = float(moved.implied_vol(np.log(float(strike) / f), tau))
        return f, -3.0 * float(black76_price(f, float(strike), tau, vol, leg.is_call))

    (low, v_low), (mid, v_mid), (high, v_high) = (value(u) for u in (-h, 0.0, h))

    def slopes(a, b, c):
        up, down = (c - b) / (high - mid), (b - a) / (mid - low)
        return 0.5 * (up + down), (up - down) / (0.5 * (high - low))

    delta, gamma = slopes(v_low, v_mid, v_high)
    assert row["delta_smile_usd"] == pytest.approx(delta, rel=1e-5, abs=1e-7)
    assert row["gamma_smile_1pct_usd"] == pytest.approx(0.01 * mid * gamma, rel=1e-4, abs=1e-6)
    c_F, c_FF = slopes(v_low / low, v_mid / mid, v_high / high)
    assert row["delta_smile_coin"] == pytest.approx(mid * c_F, rel=1e-5, abs=1e-7)
    bend = 0.01 * mid * (c_F + mid * c_FF)
    assert row["gamma_smile_1pct_coin"] == pytest.approx(bend, rel=1e-4, abs=1e-6)
    if isinstance(rule, StickyStrike):
        assert row["delta_smile_usd"] == row["delta_usd"]
        assert row["gamma_smile_1pct_usd"] == pytest.approx(row["gamma_1pct_usd"], rel=1e-12)
    else:
        assert abs(row["delta_smile_usd"] - row["delta_usd"]) > 1e-3


def test_futures_and_unpriced_legs_under_a_rule():
    book = book_of((perpetual(), "1000"), (option(-1), "1"), (option(30, underlying="ETH"), "1"))
    found = exposures(book, {"BTC": ESSVI}, ts_ns=NOW, dynamics=StickyMoneyness(), strict=False).legs
    assert found["delta_smile_coin"].to_list() == [pytest.approx(0.125), None, None]
    assert found["gamma_smile_1pct_coin"][0] == pytest.approx(-0.00125)
    assert set(SMILE_NAMES) < set(found.columns)


def test_forward_and_funding_exposures():
    base = StubSurface(carry=0.05)
    bumped = StubSurface(carry=0.05 + 1e-4)
    options = (option(30, "85000"), option(30, "85000", False, coin=False))
    for leg in (*options, perpetual(days=90), perpetual(days=90, coin=False)):
        row = one(leg, "7", base, extra=CARRY_NAMES)
        if leg.is_option:
            change = one(leg, "7", bumped)["value_usd"] - row["value_usd"]
        else:
            f0, f1 = (float(s.forward(90 / 365)) for s in (base, bumped))
            change = 70.0 * (1 / f0 - 1 / f1) * 80_000.0 if leg.is_inverse else 7e-4 * (f1 - f0)
        assert row["forward_usd_per_bp"] == pytest.approx(change, rel=1e-3)
        assert row["forward_coin_per_bp"] == pytest.approx(change / 80_000.0, rel=1e-3)
        assert row["funding_usd_per_bp"] == 0.0
    # Long 10,000 USD pays one USD for a rate of one basis point.
    row = one(perpetual(), "1000", base, extra=CARRY_NAMES)
    assert row["funding_usd_per_bp"] == pytest.approx(-1.0)
    assert row["funding_coin_per_bp"] == pytest.approx(-1.0 / 80_000)
    assert row["forward_usd_per_bp"] == 0.0
    assert one(perpetual(coin=False), "10000", base, extra=CARRY_NAMES)[
        "funding_usd_per_bp"
    ] == pytest.approx(-8.0)


def test_collateral_counts_as_delta_of_the_account():
    cash = (("BTC", "3"), ("USDC", "40000"), ("USD", "-8000"))
    book = book_of((option(30, "80000"), "-2"), (perpetual(), "-4000"), cash=cash)
    flat = StubSurface()
    found = exposures(book, {"BTC": flat}, ts_ns=NOW)
    account = found.account("BTC")
    assert account["collateral_coin"] == 3.0
    assert account["collateral_usd"] == 32_000.0

    def equity(spot):
        row = exposures(book, {"BTC": replace(flat, spot=spot)}, ts_ns=NOW).total("BTC")
        gain = -40_000.0 * (spot / 80_000.0 - 1.0)
        return row["value_usd"] + gain + 3.0 * spot + 32_000.0

    h = 1.0
    delta = (equity(80_000 + h) - equity(80_000 - h)) / (2 * h)
    assert account["delta_usd"] == pytest.approx(delta, rel=1e-7)
    coin = 80_000 * (equity(80_000 + h) / (80_000 + h) - equity(80_000 - h) / (80_000 - h)) / (2 * h)
    # The future's profit is paid in coin: what it gained before does not move again.
    assert account["delta_coin"] == pytest.approx(coin, rel=1e-6)
    with pytest.raises(ConfigError, match="ETH"):
        found.account("ETH")


def test_age_of_the_surface():
    late, book = NOW + 3 * NS_PER_HOUR, book_of((option(30), "1"), (perpetual(), "1"))
    found = exposures(book, {"BTC": ESSVI}, ts_ns=late, strict=False)  # an hour unless told otherwise
    assert found.legs["status"].to_list() == ["stale_surface"] * 2
    assert found.total("BTC")["unpriced"] == 2.0
    with pytest.raises(StaleQuote, match="fit a new one"):
        exposures(book, {"BTC": ESSVI}, ts_ns=late)
    assert exposures(book, {"BTC": ESSVI}, ts_ns=late, max_age_ns=None).total("BTC")["unpriced"] == 0.0
    fresh = exposures(book, {"BTC": ESSVI}, ts_ns=late, max_age_ns=3 * NS_PER_HOUR)
    assert fresh.total("BTC")["unpriced"] == 0.0
    with pytest.raises(ConfigError, match="max_age_ns"):
        exposures(book, {"BTC": ESSVI}, ts_ns=late, max_age_ns=-1)


@pytest.mark.parametrize("size", ["NaN", "Infinity"])
def test_a_size_that_is_no_number(size):
    with pytest.raises(DataError, match="finite size"):
        price_legs([(option(30), Decimal(size))], {"BTC": ESSVI}, NOW)


class Holes(StubSurface):
    def implied_vol(self, log_moneyness, tau):
        vol = super().implied_vol(log_moneyness, tau)
        return np.where(np.asarray(log_moneyness) == 0.0, vol, np.nan)


@given(
    st.sampled_from(["60000", "79000", "81000", "120000"]),
    st.booleans(),
    st.sampled_from(["-2", "2"]),
    st.floats(0.05, 1.4),
)
@settings(max_examples=40, deadline=None)
def test_a_conservative_mark_is_never_better_than_the_truth(strike, is_call, quantity, level):
    leg = option(30, strike, is_call)
    marked = one(leg, quantity, Holes(level=level), conservative=ConservativeMarks(short_vol_floor=1.5))
    truth = one(leg, quantity, StubSurface(level=level))
    assert marked["status"] == "conservative"
    assert marked["value_usd"] <= truth["value_usd"] + 80_000 * 2 * 1e-12
    assert all(
        marked[name] is not None and np.isfinite(marked[name]) for name in ("delta_usd", "gamma_1pct_usd")
    )


def test_a_fresh_index_takes_the_place_of_a_stale_forward():
    book, old = book_of((option(30, "90000"), "1")), replace(StubSurface(), spot=120_000.0)
    marked = exposures(
        book,
        {"BTC": old},
        ts_ns=NOW + NS_PER_DAY,
        max_age_ns=NS_PER_HOUR,
        conservative=ConservativeMarks(indices={"BTC": 80_000.0}),
    )
    assert marked.legs["forward"].to_list() == [80_000.0]
    assert marked.total("BTC")["value_usd"] == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize("quantity", ["-1000", "1000"])
@pytest.mark.parametrize(("strike", "is_call"), [("90000", True), ("80000", True), ("65000", False)])
def test_a_conservative_mark_hides_no_risk(quantity, strike, is_call):
    leg = option(30, strike, is_call)
    marked = one(leg, quantity, Holes(), conservative=ConservativeMarks())
    truth = one(leg, quantity, StubSurface())
    for name in ("delta_usd", "vega_usd_per_vol_point", "theta_usd_per_day", "gamma_1pct_usd"):
        assert np.sign(marked[name]) == np.sign(truth[name])
        assert abs(marked[name]) > 0.8 * abs(truth[name])


def test_conservative_marks_without_surface_need_an_index():
    book = book_of((option(30, "3000", underlying="ETH"), "-1"), (perpetual(underlying="ETH"), "30"))
    plain = exposures(book, {}, ts_ns=NOW, conservative=ConservativeMarks(), strict=False)
    assert plain.legs["status"].to_list() == ["no_surface"] * 2
    rule = ConservativeMarks(indices={"ETH": 3_000.0})
    marked = exposures(book, {}, ts_ns=NOW, conservative=rule, strict=True)
    assert marked.legs["status"].to_list() == ["conservative"] * 2
    assert marked.total("ETH")["value_usd"] == pytest.approx(
        -float(black76_price(3_000.0, 3_000.0, 30 / 365, 1.5, True))
    )
    assert marked.total("ETH")["unpriced"] == 0.0
    late = NOW + NS_PER_DAY
    stale = exposures(
        book_of((option(30), "-1")),
        {"BTC": ESSVI},
        ts_ns=late,
        conservative=ConservativeMarks(),
        strict=False,
    )
    # The forward of an old surface is no price of today.
    assert stale.legs["status"].to_list() == ["stale_surface"]
    for wrong in ({"short_vol_multiple": 0.5}, {"short_vol_floor": 0.0}, {"indices": {"BTC": np.nan}}):
        with pytest.raises(ConfigError, match="expected"):
            ConservativeMarks(**wrong)
