import mpmath as mp
import numpy as np
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.pricing import (
    GREEK_NAMES,
    black76_greeks,
    black76_price,
    gamma_1pct,
    theta_per_day,
    vega_per_vol_point,
)

POINTS = [
    (95_000.0, 110_000.0, 0.25, 0.55),
    (3300.0, 3300.0, 0.02, 0.7),
    (180.0, 95.0, 1.3, 0.9),
    (0.21, 0.2, 0.001, 2.2),
    (100.0, 300.0, 0.5, 0.5),
    (100.0, 103.0, 2.0, 2.4),
]
# Orders of differentiation with respect to (forward, strike, tau, vol), and the sign: calendar time is −tau.
ORDERS = {
    "price": ((0, 0, 0, 0), 1),
    "delta": ((1, 0, 0, 0), 1),
    "gamma": ((2, 0, 0, 0), 1),
    "vega": ((0, 0, 0, 1), 1),
    "theta": ((0, 0, 1, 0), -1),
    "vanna": ((1, 0, 0, 1), 1),
    "volga": ((0, 0, 0, 2), 1),
    "charm": ((1, 0, 1, 0), -1),
    "veta": ((0, 0, 1, 1), -1),
    "speed": ((3, 0, 0, 0), 1),
    "zomma": ((2, 0, 0, 1), 1),
    "color": ((2, 0, 1, 0), -1),
    "ultima": ((0, 0, 0, 3), 1),
    "dual_delta": ((0, 1, 0, 0), 1),
    "dual_gamma": ((0, 2, 0, 0), 1),
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("sign", [1, -1])
def test_every_greek_is_the_derivative_it_says(backend, exact, point, sign):
    greeks = black76_greeks(*point, sign > 0)
    assert set(ORDERS) | {"rho"} == set(greeks)
    for name, (orders, direction) in ORDERS.items():
        want = (
            direction
            * mp.diff(
                lambda *x: exact.price(*x, sign),
                tuple(map(mp.mpf, point)),
                orders,
                relative=True,
                h=mp.mpf(10) ** -12,
            )
            if sum(orders)
            else exact.price(*point, sign)
        )
        assert float(abs(greeks[name] / want - 1)) < 1e-10, name
    assert float(greeks["rho"]) == pytest.approx(-point[2] * float(greeks["price"]), rel=1e-15)


def test_price_is_the_price(backend):
    strikes = np.linspace(20.0, 400.0, 1000)
    greeks = black76_greeks(100.0, strikes, 0.4, 0.8, False, names=("price",))
    np.testing.assert_allclose(greeks["price"], black76_price(100.0, strikes, 0.4, 0.8, False), rtol=1e-14)


@pytest.mark.parametrize(("tau", "vol"), [(0.0, 0.5), (0.5, 0.0)])
def test_limits_at_zero_total_vol(backend, tau, vol):
    greeks = black76_greeks(100.0, [80.0, 100.0, 130.0], tau, vol, True)
    np.testing.assert_array_equal(greeks["price"], [20.0, 0.0, 0.0])
    np.testing.assert_array_equal(greeks["delta"], [1.0, 0.5, 0.0])
    np.testing.assert_array_equal(greeks["dual_delta"], [-1.0, -0.5, 0.0])
    np.testing.assert_allclose(greeks["vega"], [0.0, 100.0 * np.sqrt(tau / (2 * np.pi)), 0.0], rtol=1e-15)
    for name in set(GREEK_NAMES) - {"price", "delta", "dual_delta", "vega", "rho"}:
        np.testing.assert_array_equal(greeks[name], [0.0, np.nan, 0.0], err_msg=name)


def test_deep_wings_are_zero_not_nan(backend):
    greeks = black76_greeks(100.0, [1e-3, 1e5], 1e-6, 0.2, True)
    for name, values in greeks.items():
        assert np.isfinite(values).all(), name
    np.testing.assert_array_equal(greeks["delta"], [1.0, 0.0])


def test_invalid_items_are_nan_in_every_greek(backend):
    greeks = black76_greeks([100.0, -1.0, 100.0], 100.0, [0.5, 0.5, -0.5], 0.4, True)
    for name, values in greeks.items():
        assert np.isnan(values).tolist() == [False, True, True], name


def test_only_the_names_asked_for_in_their_order(backend):
    greeks = black76_greeks(100.0, np.ones((2, 3)) * 90, 0.5, 0.4, True, names=["vega", "delta"])
    assert list(greeks) == ["vega", "delta"]
    assert greeks["vega"].shape == (2, 3)
    assert black76_greeks(100.0, 90.0, 0.5, 0.4, True, names=[]) == {}


def test_blocks_join_without_a_seam(backend):
    strikes = np.linspace(50.0, 200.0, 1537)
    whole = black76_greeks(100.0, strikes, 0.5, 0.4, True)
    part = black76_greeks(100.0, strikes[500:530], 0.5, 0.4, True)
    for name in GREEK_NAMES:
        np.testing.assert_allclose(whole[name][500:530], part[name], rtol=1e-12, err_msg=name)


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="found gama"):
        black76_greeks(100.0, 90.0, 0.5, 0.4, True, names=["gama"])


def test_practitioner_units_are_finite_changes():
    point = (100.0, 105.0, 0.5, 0.6)
    greeks = black76_greeks(*point, True)
    up = black76_greeks(100.5, 105.0, 0.5, 0.6, True)["delta"]
    down = black76_greeks(99.5, 105.0, 0.5, 0.6, True)["delta"]
    assert float(gamma_1pct(greeks["gamma"], 100.0)) == pytest.approx(float(up - down), rel=1e-4)
    more_vol = black76_price(100.0, 105.0, 0.5, 0.605, True) - black76_price(100.0, 105.0, 0.5, 0.595, True)
    assert float(vega_per_vol_point(greeks["vega"])) == pytest.approx(float(more_vol), rel=1e-4)
    day = 1 / 365
    next_day = black76_price(100.0, 105.0, 0.5 - day / 2, 0.6, True)
    day_before = black76_price(100.0, 105.0, 0.5 + day / 2, 0.6, True)
    assert float(theta_per_day(greeks["theta"])) == pytest.approx(float(next_day - day_before), rel=1e-4)
