from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, UnknownInstrument
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.pricing import black76_price
from ivhedge.risk import SmileDynamics, VolShock, exposures, spot_vol_matrix
from ivhedge.surface.dynamics import SkewStickiness, StickyMoneyness, StickyStrike

from ._stub import NOW, StubSurface, option, perpetual

SURFACE = StubSurface(skew=-0.2)


def book_of(*legs):
    return Book("test", tuple(Position(i, Decimal(q)) for i, q in legs))


def test_no_shock_costs_nothing_and_futures_follow_their_formula():
    book = book_of((perpetual(), "1000"), (perpetual(coin=False), "20000"))
    matrix = spot_vol_matrix(book, {"BTC": SURFACE}, spot_shocks=[0.0, 0.1, -0.5], vol_shocks=[0.0, 0.2])
    assert np.all(matrix.pnl_usd[0] == 0.0)
    f0, f1 = 80_000.0, 88_000.0
    coin = 10_000 * (1 / f0 - 1 / f1)
    linear = 2.0 * (f1 - f0)
    assert matrix.pnl_coin[1] == pytest.approx([coin + linear / f1] * 2, rel=1e-12)
    assert matrix.pnl_usd[1] == pytest.approx([coin * f1 + linear] * 2, rel=1e-12)


def test_smile_dynamics_differ_by_the_skew():
    book = book_of((option(30, "90000"), "1"))
    shocks = {"spot_shocks": [0.1], "vol_shocks": [0.0]}
    moneyness, strike = (
        spot_vol_matrix(book, {"BTC": SURFACE}, smile_dynamics=dynamics, **shocks)
        for dynamics in (SmileDynamics.STICKY_MONEYNESS, SmileDynamics.STICKY_STRIKE)
    )
    default = spot_vol_matrix(book, {"BTC": SURFACE}, **shocks)
    assert default.smile_dynamics is SmileDynamics.STICKY_STRIKE
    assert default.pnl_usd[0, 0] == strike.pnl_usd[0, 0]
    flat = StubSurface()
    same = [
        spot_vol_matrix(book, {"BTC": flat}, smile_dynamics=d, **shocks).pnl_usd[0, 0] for d in SmileDynamics
    ]
    assert same[0] == pytest.approx(same[1], rel=1e-12)
    # With a negative skew in k a rising forward lifts the fixed strike's vol when the smile moves along.
    assert moneyness.pnl_usd[0, 0] > strike.pnl_usd[0, 0] + 100.0


def test_vol_shocks_relative_and_in_points_agree_where_they_must():
    book = book_of((option(30, "80000"), "1"))
    points = spot_vol_matrix(
        book, {"BTC": SURFACE}, spot_shocks=[0.0], vol_shocks=[5.0], vol_shock=VolShock.POINTS
    )
    relative = spot_vol_matrix(book, {"BTC": SURFACE}, spot_shocks=[0.0], vol_shocks=[0.1])
    assert points.pnl_usd == pytest.approx(relative.pnl_usd, rel=1e-9)  # 50 % + 5 points = 50 % · 1.1
    crushed = spot_vol_matrix(
        book, {"BTC": SURFACE}, spot_shocks=[0.0], vol_shocks=[-90.0], vol_shock=VolShock.POINTS
    )
    value = exposures(book, {"BTC": SURFACE}, ts_ns=NOW).total("BTC")["value_usd"]
    assert crushed.pnl_usd[0, 0] == pytest.approx(-value, rel=1e-3)


@given(st.floats(-0.02, 0.02), st.floats(-0.05, 0.05))
@settings(max_examples=30, deadline=None)
def test_small_shocks_match_the_greeks(move, vol_shock):
    book = book_of((option(30, "84000"), "-2"), (option(90, "70000", False), "1"), (perpetual(), "700"))
    flat = StubSurface()
    matrix = spot_vol_matrix(book, {"BTC": flat}, spot_shocks=[move], vol_shocks=[vol_shock])
    total = exposures(book, {"BTC": flat}, ts_ns=NOW).total("BTC")
    u, points = np.log1p(move), 50 * vol_shock
    coin = total["delta_coin"] * u + 50 * total["gamma_1pct_coin"] * u**2
    coin += total["vega_coin_per_vol_point"] * points
    # What is left is of third order and cross terms: a few per cent of the largest move here.
    assert matrix.pnl_coin[0, 0] == pytest.approx(coin, abs=0.004)


def test_text_is_as_good_as_an_enumeration():
    matrix = spot_vol_matrix(
        Book("x"),
        {"BTC": SURFACE},
        spot_shocks=0.1,
        vol_shocks=1,
        vol_shock="points",
        smile_dynamics="sticky_strike",
    )
    assert matrix.vol_shock is VolShock.POINTS
    assert matrix.table().shape == (1, 4)


@pytest.mark.parametrize(
    ("named", "rule", "ratio"),
    [("sticky_strike", StickyStrike(), 1.0), ("sticky_moneyness", StickyMoneyness(), 0.0)],
)
def test_a_rule_is_as_good_as_its_name(named, rule, ratio):
    book = book_of((option(30, "90000"), "1"), (option(90, "70000", False), "-2"))
    shocks = {"spot_shocks": [-0.2, 0.0, 0.1], "vol_shocks": [-0.1, 0.0]}
    by_name, by_rule, by_ratio = (
        spot_vol_matrix(book, {"BTC": SURFACE}, smile_dynamics=dynamics, **shocks)
        for dynamics in (named, rule, SkewStickiness(ssr=ratio))
    )
    np.testing.assert_array_equal(by_name.pnl_usd, by_rule.pnl_usd)
    np.testing.assert_allclose(by_name.pnl_usd, by_ratio.pnl_usd, rtol=1e-10, atol=1e-8)
    assert by_name.smile_dynamics is SmileDynamics(named)
    assert by_rule.smile_dynamics is rule
    assert type(SmileDynamics(named).rule) is type(rule)


def test_a_measured_ratio_moves_the_vols_of_strikes():
    book, spot, ratio = book_of((option(30, "90000"), "1")), 0.1, 1.5
    rule = SkewStickiness(ssr=[1.2, ratio], taus=[7 / 365, 30 / 365])
    matrix = spot_vol_matrix(
        book, {"BTC": SURFACE}, spot_shocks=[0.0, spot], vol_shocks=[0.0], smile_dynamics=rule
    )
    before, after = np.log(90 / 80), np.log(90 / 80) + (ratio - 1.0) * np.log1p(spot)
    value = black76_price(88_000.0, 90_000.0, 30 / 365, SURFACE.implied_vol(after, 30 / 365), True)
    base = black76_price(80_000.0, 90_000.0, 30 / 365, SURFACE.implied_vol(before, 30 / 365), True)
    assert matrix.pnl_usd[:, 0] == pytest.approx([0.0, float(value - base)], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dynamics", ["sticky", 1.0])
def test_unknown_dynamics_are_refused(dynamics):
    with pytest.raises(ConfigError, match="smile dynamics"):
        spot_vol_matrix(Book("x"), {"BTC": SURFACE}, spot_shocks=0.1, vol_shocks=0.0, smile_dynamics=dynamics)


def test_legs_without_price_are_skipped_and_named():
    book = book_of((option(-1), "1"), (option(30), "1"))
    matrix = spot_vol_matrix(book, {"BTC": SURFACE}, spot_shocks=[0.1], vol_shocks=[0.0])
    assert matrix.skipped == ((option(-1).key, "expired"),)


@dataclass(frozen=True)
class WithoutWing(StubSurface):
    """No vol at strikes 20 % above the forward and further."""

    def implied_vol(self, log_moneyness, tau):
        vol = super().implied_vol(log_moneyness, tau)
        return np.where(np.asarray(log_moneyness) > 0.2, np.nan, vol)


def test_a_leg_without_vol_after_a_shock_is_skipped_in_every_cell():
    near, far = option(30, "80000"), option(30, "95000")
    shocks = {"spot_shocks": [-0.2, 0.0, 0.2], "vol_shocks": [0.0, 0.1], "smile_dynamics": "sticky_moneyness"}
    surfaces = {"BTC": WithoutWing(skew=-0.2)}
    # At the shock of -20 % both strikes lie beyond the wing, at none of the others.
    matrix = spot_vol_matrix(book_of((near, "1"), (far, "1")), surfaces, strict=False, **shocks)
    assert matrix.skipped == ((near.key, "no_vol"), (far.key, "no_vol"))
    assert not matrix.pnl_usd.any()
    shocks["spot_shocks"] = [-0.05, 0.2]
    matrix = spot_vol_matrix(book_of((near, "1"), (far, "1")), surfaces, strict=False, **shocks)
    alone = spot_vol_matrix(book_of((near, "1")), surfaces, **shocks)
    assert matrix.skipped == ((far.key, "no_vol"),)
    np.testing.assert_array_equal(matrix.pnl_usd, alone.pnl_usd)
    with pytest.raises(DataError, match=r"95000.*no_vol"):
        spot_vol_matrix(book_of((near, "1"), (far, "1")), surfaces, **shocks)


@pytest.mark.parametrize("dynamics", SmileDynamics)
@pytest.mark.parametrize("vol_shock", VolShock)
def test_matrix_of_options_is_that_of_their_prices(dynamics, vol_shock):
    surface = StubSurface(skew=-0.2, carry=0.05)
    held = [(7, "70000", True, 2.0), (30, "84000", False, -3.0), (90, "80000", True, 1.0)]
    book = book_of(*((option(d, k, c), str(q)) for d, k, c, q in held))
    spots, shocks = np.array([-0.3, 0.0, 0.2]), np.array([-0.4, 0.0, 0.8])
    matrix = spot_vol_matrix(
        book,
        {"BTC": surface},
        spot_shocks=spots,
        vol_shocks=shocks,
        vol_shock=vol_shock,
        smile_dynamics=dynamics,
    )
    usd, coin = np.zeros((2, 3, 3))
    for days, strike, is_call, contracts in held:
        tau, k = days / 365, float(strike)
        forward = float(surface.forward(tau))
        moved = forward * (1.0 + spots)[:, None]
        held_vol = surface.implied_vol(np.log(k / forward), tau)
        vol = (
            held_vol + 0.0 * moved
            if dynamics is SmileDynamics.STICKY_STRIKE
            else surface.implied_vol(np.log(k / moved), tau)
        )
        vol = vol * (1.0 + shocks) if vol_shock is VolShock.RELATIVE else vol + 0.01 * shocks
        before = black76_price(forward, k, tau, held_vol, is_call)
        after = black76_price(moved, k, tau, vol, is_call)
        coins = after / moved, before / forward
        usd += contracts * 80_000.0 * (coins[0] * (1.0 + spots)[:, None] - coins[1])
        coin += contracts * (coins[0] - coins[1])
    np.testing.assert_allclose(matrix.pnl_usd, usd, rtol=1e-10, atol=1e-8)
    np.testing.assert_allclose(matrix.pnl_coin, coin, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("spots", "vols"), [([], [0.0]), ([0.0], []), ([-1.0], [0.0]), ([0.0], [-1.5]), ([np.nan], [0.0])]
)
def test_bad_shocks(spots, vols):
    with pytest.raises(ConfigError, match="expected"):
        spot_vol_matrix(Book("x"), {"BTC": SURFACE}, spot_shocks=spots, vol_shocks=vols)


def test_several_underlyings_need_a_choice_and_missing_surfaces_are_errors():
    book = book_of((option(), "1"), (option(underlying="ETH"), "1"))
    with pytest.raises(ConfigError, match="underlying="):
        spot_vol_matrix(book, {"BTC": SURFACE}, spot_shocks=[0.0], vol_shocks=[0.0])
    with pytest.raises(DataError, match="ETH"):
        spot_vol_matrix(book, {"BTC": SURFACE}, spot_shocks=[0.0], vol_shocks=[0.0], underlying="ETH")
    with pytest.raises(UnknownInstrument, match="ETH"):
        spot_vol_matrix(
            book, {}, spot_shocks=[0.0], vol_shocks=[0.0], underlying="ETH", ts_ns=NOW, strict=True
        )
