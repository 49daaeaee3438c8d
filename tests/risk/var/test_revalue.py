from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import DataError, UnknownInstrument
from ivhedge.core.units import NS_PER_DAY
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.pricing import black76_price
from ivhedge.risk import spot_vol_matrix
from ivhedge.risk.legs import price_legs
from ivhedge.risk.var import ScenarioSet, revalue

from .._stub import NOW, StubSurface, option, perpetual
from ._market import NODES, TENORS, layout, scenarios

SURFACE = StubSurface(skew=-0.1, carry=0.05)


def legs_of(*held, surface=SURFACE):
    return price_legs([(i, Decimal(q)) for i, q in held], {"BTC": surface}, NOW)


def test_nothing_moves_and_no_time_passes_then_nothing_is_lost():
    legs = legs_of(
        (option(30), "2"), (option(9, "90000", False), "-1"), (perpetual(), "100"), (perpetual(days=30), "5")
    )
    found = revalue(legs, {"BTC": SURFACE}, scenarios(days=0.0), NOW)
    assert np.abs(found.usd).max() < 1e-2  # the tabulated smile: less than 1e-6 of a vol
    assert np.abs(found.coin).max() < 1e-7


def test_without_time_it_is_the_spot_vol_matrix():
    held = (
        (option(30, "70000"), "2"),
        (option(30, "90000"), "-3"),
        (perpetual(), "1000"),
        (perpetual(coin=False), "50"),
    )
    moves = np.array([-0.3, -0.05, 0.0, 0.1])
    flat = StubSurface(carry=0.0)
    found = revalue(
        legs_of(*held, surface=flat), {"BTC": flat}, scenarios(np.log1p(moves), 0.2, days=0.0), NOW
    )
    book = Book("b", tuple(Position(i, Decimal(q)) for i, q in held))
    matrix = spot_vol_matrix(
        book, {"BTC": flat}, spot_shocks=moves, vol_shocks=[np.expm1(0.2)], underlying="BTC"
    )
    assert found.usd.sum(axis=1) == pytest.approx(matrix.pnl_usd[:, 0], rel=1e-9, abs=1e-6)
    assert found.coin.sum(axis=1) == pytest.approx(matrix.pnl_coin[:, 0], rel=1e-9, abs=1e-10)


def test_one_leg_by_hand_with_skew_carry_and_time():
    item, u, vol, rate = option(40, "95000"), -0.07, 0.15, 0.02
    found = revalue(legs_of((item, "1")), {"BTC": SURFACE}, scenarios(u, vol, rate), NOW)
    tau = 39 / 365
    forward = 80_000.0 * np.exp(u + (0.05 + rate) * tau)
    # Level 0.5 at the money today; all vols up by a factor e^0.15 at the same standardised moneyness.
    x = np.log(95_000.0 / forward) / (0.5 * np.exp(vol) * np.sqrt(tau))
    sigma = (0.5 - 0.1 * x * 0.5 * np.sqrt(tau)) * np.exp(vol)
    first = 80_000.0 * np.exp(0.05 * 40 / 365)
    before = float(black76_price(first, 95_000.0, 40 / 365, 0.5 - 0.1 * np.log(95_000.0 / first), True))
    after = float(black76_price(forward, 95_000.0, tau, sigma, True))
    now, later = before / first, after / forward
    assert found.coin[0, 0] == pytest.approx(later - now, rel=1e-6)
    assert found.usd[0, 0] == pytest.approx(80_000.0 * (later * np.exp(u) - now), rel=1e-6)
    dollars = option(40, "95000", coin=False)
    found = revalue(legs_of((dollars, "1")), {"BTC": SURFACE}, scenarios(u, vol, rate), NOW)
    assert found.usd[0, 0] == pytest.approx(after - before, rel=1e-6)
    assert found.coin[0, 0] == pytest.approx(after / (80_000.0 * np.exp(u)) - before / 80_000.0, rel=1e-6)


def test_shocks_are_interpolated_between_tenors_and_nodes():
    shape = layout()
    values = np.zeros((1, shape.size))
    block = 0.1 * np.arange(3)[:, None] + 0.01 * np.arange(5)
    values[0, 1:16] = block.ravel()
    one = ScenarioSet(layout=shape, horizon_ns=0, values=values)
    flat = StubSurface()
    tau = 60 / 365  # half-way between the second and the third tenor
    money = np.exp(0.15 + 0.02)
    strike = float(np.round(80_000.0 * np.exp(0.5 * 0.5 * money * np.sqrt(tau))))
    legs = legs_of((option(60, str(int(strike))), "1"), surface=flat)
    found = revalue(legs, {"BTC": flat}, one, NOW)
    x = np.log(strike / 80_000.0) / (0.5 * money * np.sqrt(tau))
    sigma = 0.5 * np.exp(np.interp(x, NODES, block[1:].mean(axis=0)))
    expected = black76_price(80_000.0, strike, tau, sigma, True) - black76_price(
        80_000.0, strike, tau, 0.5, True
    )
    assert found.usd[0, 0] == pytest.approx(float(expected), rel=1e-6)
    assert TENORS[1] == 30.0


@settings(deadline=None, max_examples=25)
@given(u=st.floats(-0.5, 0.5), strike=st.sampled_from(["60000", "80000", "100000"]), call=st.booleans())
def test_an_expiry_inside_the_horizon_settles_at_the_shocked_spot(u, strike, call):
    item = option(0.5, strike, call)
    found = revalue(legs_of((item, "1")), {"BTC": SURFACE}, scenarios(u), NOW)
    spot, k = 80_000.0 * np.exp(u), float(strike)
    payoff = max(spot - k, 0.0) if call else max(k - spot, 0.0)
    legs = legs_of((item, "1"))
    paid = float(black76_price(legs.forward, k, legs.tau, legs.vol, call)[0]) / legs.forward[0]
    assert found.usd[0, 0] == pytest.approx(payoff - 80_000.0 * paid, rel=1e-9, abs=1e-6)
    assert found.coin[0, 0] == pytest.approx(payoff / spot - paid, rel=1e-9, abs=1e-11)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-0.6, 0.6), min_size=1, max_size=5), st.floats(-1.0, 1.0))
def test_put_call_parity_holds_in_every_scenario(moves, vol):
    for coin, quantity in ((False, "10000"), (True, "8500")):
        call, put = (option(30, "85000", side, coin=coin) for side in (True, False))
        found = revalue(
            legs_of((call, "1"), (put, "-1"), (perpetual(coin=coin, days=30), quantity)),
            {"BTC": SURFACE},
            scenarios(moves, vol),
            NOW,
        )
        # Call less put pays F − K dollars, or 1 − K/F coins: the future of the same currency.
        numbers, tolerance = (found.coin, 1e-12) if coin else (found.usd, 1e-6)
        both = numbers[:, 0] + numbers[:, 1]
        assert both == pytest.approx(numbers[:, 2], rel=1e-9, abs=tolerance)


def test_long_options_lose_with_time_alone():
    legs = legs_of((option(30), "1"), surface=StubSurface())
    found = revalue(legs, {"BTC": StubSurface()}, scenarios(), NOW)
    assert found.usd[0, 0] < -10.0


def test_legs_without_a_price_or_without_scenarios_are_refused():
    with pytest.raises(DataError, match="no_surface"):
        revalue(price_legs([(option(30), Decimal(1))], {}, NOW), {}, scenarios(), NOW)
    with pytest.raises(UnknownInstrument, match="without scenarios"):
        revalue(legs_of((option(30), "1")), {"BTC": SURFACE}, scenarios(names=("ETH",)), NOW)


def test_a_surface_without_a_vol_after_the_horizon_is_refused():
    class Short(StubSurface):
        def implied_vol(self, log_moneyness, tau):
            return np.where(np.asarray(tau) < 29.5 / 365, np.nan, super().implied_vol(log_moneyness, tau))

    short = Short()
    legs = legs_of((option(30), "1"), surface=short)
    with pytest.raises(DataError, match="at the money after the horizon"):
        revalue(legs, {"BTC": short}, scenarios(), NOW)
    assert replace(scenarios(), horizon_ns=NS_PER_DAY // 4).horizon_ns < NS_PER_DAY
    assert np.isfinite(revalue(legs, {"BTC": short}, scenarios(days=0.25), NOW).usd).all()
