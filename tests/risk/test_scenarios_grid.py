from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.pricing import black76_price
from ivhedge.risk import exposures, spot_vol_matrix
from ivhedge.risk.marks import ConservativeMarks
from ivhedge.risk.scenarios import TimeRoll, scenario_pnl, skew_shape

from ._stub import NOW, StubSurface, option, perpetual
from .test_scenarios import WithoutWing


class Termed(StubSurface):
    """Vol falls with the tenor."""

    def implied_vol(self, log_moneyness, tau):
        return super().implied_vol(log_moneyness, tau) + 0.2 * np.exp(-10.0 * np.asarray(tau, float))


SURFACE = Termed(skew=-0.2, carry=0.05)


def book_of(*legs):
    return Book("test", tuple(Position(i, Decimal(q)) for i, q in legs))


BOOK = book_of(
    (option(2, "78000", False), "-3"),
    (option(30, "84000"), "2"),
    (option(90, "70000", False, coin=False), "-1"),
    (perpetual(), "500"),
    (perpetual(days=30), "-300"),
)


def pnl(book=BOOK, surface=SURFACE, **kwargs):
    return scenario_pnl(book, {"BTC": surface}, **kwargs)


def test_the_plane_without_skew_and_time_is_the_matrix():
    shocks = {"spot_shocks": [-0.3, 0.0, 0.2], "vol_shocks": [-0.2, 0.0, 0.5]}
    grid = pnl(skew_shocks=[-5.0, 0.0, 5.0], days=[0.0, 1.0], **shocks)
    matrix = spot_vol_matrix(BOOK, {"BTC": SURFACE}, **shocks)
    assert grid.pnl_usd.shape == (3, 3, 3, 2)
    np.testing.assert_array_equal(grid.pnl_usd[:, :, 1, 0], matrix.pnl_usd)
    np.testing.assert_array_equal(grid.pnl_coin[:, :, 1, 0], matrix.pnl_coin)
    assert grid.pnl_usd[1, 1, 1, 0] == 0.0
    table = grid.table()
    assert table.height == 54
    worst = grid.worst()
    assert worst["pnl_usd"] == table["pnl_usd"].min()
    assert table.filter(pnl_usd=worst["pnl_usd"])["spot_shock"][0] == worst["spot_shock"]


@pytest.mark.parametrize("roll", TimeRoll)
@pytest.mark.parametrize("dynamics", ["sticky_strike", "sticky_moneyness"])
def test_every_cell_is_the_price_of_its_state(roll, dynamics):
    spots, skews, days = [-0.2, 0.1], [0.0, -8.0], [0.0, 1.5, 5.0]
    book = book_of(*((p.instrument, str(p.quantity)) for p in BOOK.positions if p.instrument.is_option))
    grid = pnl(book, spot_shocks=spots, skew_shocks=skews, days=days, smile_dynamics=dynamics, time_roll=roll)
    expected = np.zeros((2, 2, 2, 3))
    for position in book.positions:
        leg, size, tau = position.instrument, float(position.quantity), position.instrument.tau(NOW)
        forward, strike = float(SURFACE.forward(tau)), float(leg.strike)
        k = np.log(strike / forward)
        before = black76_price(forward, strike, tau, SURFACE.implied_vol(k, tau), leg.is_call)
        for i, spot in enumerate(spots):
            for j, skew in enumerate(skews):
                for n, day in enumerate(days):
                    left, shocked = max(tau - day / 365, 0.0), forward * (1 + spot)
                    at = np.log(strike / shocked) if dynamics == "sticky_moneyness" else k
                    vol = SURFACE.implied_vol(at, tau if roll is TimeRoll.EXPIRY else left)
                    vol = vol + 0.01 * skew * skew_shape(shocked, strike, left, vol)
                    after = black76_price(shocked, strike, left, vol, leg.is_call)
                    later, now = size * float(after), size * float(before)
                    if leg.is_inverse:  # coins, at the index
                        later, now = later / shocked * 80_000.0 * (1 + spot), now / forward * 80_000.0
                    expected[0, i, j, n] += later - now
                    expected[1, i, j, n] += later / (80_000.0 * (1 + spot)) - now / 80_000.0
    np.testing.assert_allclose(grid.pnl_usd[:, 0], expected[0], rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(grid.pnl_coin[:, 0], expected[1], rtol=1e-9, atol=1e-11)


@given(st.floats(0.2, 1.5), st.floats(0.01, 1.0), st.floats(-20.0, 20.0))
@settings(deadline=None)
def test_the_skew_shock_moves_the_risk_reversal_by_its_points(vol, tau, points):
    d1 = ndtri(np.array([0.25, 0.75]))
    deviation = vol * np.sqrt(tau)
    strikes = 100.0 * np.exp(-d1 * deviation + 0.5 * deviation**2)
    shift = points * skew_shape(100.0, strikes, tau, vol)
    assert shift[0] - shift[1] == pytest.approx(points, rel=1e-9, abs=1e-12)
    at_the_money = 100.0 * np.exp(0.5 * deviation**2)
    assert skew_shape(100.0, at_the_money, tau, vol) == pytest.approx(0.0, abs=1e-12)
    wings = skew_shape(100.0, 100.0 * np.exp(np.array([-50.0, 50.0]) * deviation), tau, vol)
    np.testing.assert_allclose(wings, [-1.0, 1.0], atol=1e-9)


def test_a_leg_that_expires_before_the_horizon_settles_at_the_shocked_spot():
    leg = option(2, "80000", False)
    grid = pnl(book_of((leg, "-1")), spot_shocks=[-0.25, 0.1], vol_shocks=[0.0, 2.0], days=[2.0, 10.0])
    forward = float(SURFACE.forward(2 / 365))
    before = exposures(book_of((leg, "-1")), {"BTC": SURFACE}, ts_ns=NOW).total("BTC")["value_usd"]
    payoff = [-max(80_000.0 - forward * 0.75, 0.0) * 80_000.0 / forward, 0.0]
    for cell in np.moveaxis(grid.pnl_usd[:, :, 0, :], 0, -1).reshape(-1, 2):
        np.testing.assert_allclose(cell, np.array(payoff) - before, rtol=1e-12)


def test_time_alone_is_theta_where_each_expiry_keeps_its_smile():
    hour = 1 / 24
    grid = pnl(days=[hour], time_roll="expiry")
    theta = exposures(BOOK, {"BTC": SURFACE}, ts_ns=NOW).total("BTC")["theta_usd_per_day"]
    assert grid.pnl_usd.item() == pytest.approx(theta * hour, rel=0.02)
    # Vol rises towards expiry here: rolled down the term structure, a short option gains less.
    short = book_of((option(30, "80000"), "-1"))
    by_roll = [pnl(short, days=[5.0], time_roll=roll).pnl_usd.item() for roll in ("tenor", "expiry")]
    assert 0.0 < by_roll[0] < 0.8 * by_roll[1]


def test_missing_vols_leave_or_take_a_conservative_mark():
    shocks = {"spot_shocks": [-0.2, 0.0], "smile_dynamics": "sticky_moneyness"}
    for quantity in ("2", "-2"):
        book, surface = book_of((option(30, "80000"), quantity)), WithoutWing()
        assert pnl(book, surface, strict=False, **shocks).skipped == ((option(30, "80000").key, "no_vol"),)
        with pytest.raises(DataError, match="no_vol"):
            pnl(book, surface, **shocks)
        marked = pnl(book, surface, conservative=ConservativeMarks(), **shocks)
        truth = pnl(book, StubSurface(), **shocks)
        assert marked.skipped == ()
        assert marked.conservative == (option(30, "80000").key,)
        assert (marked.pnl_usd <= truth.pnl_usd + 1e-9).all()
        assert (marked.pnl_usd[:, 0] < truth.pnl_usd[:, 0]).all()


def test_a_conservative_mark_takes_no_shock_in_its_favour():
    class Blind(StubSurface):
        def implied_vol(self, log_moneyness, tau):
            return np.full(np.broadcast(log_moneyness, tau).shape, np.nan)

    for quantity in ("1", "-1"):
        grid = pnl(
            book_of((option(30, "80000"), quantity)),
            Blind(),
            vol_shocks=[-30.0, 30.0],
            vol_shock="points",
            conservative=ConservativeMarks(),
        )
        assert (grid.pnl_usd <= 1e-9).all()
        assert grid.conservative == (option(30, "80000").key,)


@pytest.mark.parametrize(
    "wrong", [{"days": [-1.0]}, {"days": []}, {"skew_shocks": [np.nan]}, {"days": [np.inf]}]
)
def test_bad_axes(wrong):
    with pytest.raises(ConfigError, match="expected"):
        pnl(**wrong)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100_000))
def test_legs_add_up(seed):
    rng = np.random.default_rng(seed)
    legs = {
        option(d, str(k), c): f"{rng.integers(1, 9)}"
        for d, k, c in zip(
            rng.choice([2, 7, 30], 4), rng.integers(60_000, 110_000, 4), rng.random(4) < 0.5, strict=True
        )
    }
    axes = {"spot_shocks": [-0.1, 0.2], "vol_shocks": [0.3], "skew_shocks": [4.0], "days": [0.5, 3.0]}
    whole = pnl(book_of(*legs.items()), **axes)
    parts = sum(pnl(book_of(leg), **axes).pnl_usd for leg in legs.items())
    np.testing.assert_allclose(whole.pnl_usd, parts, rtol=1e-9, atol=1e-6)
