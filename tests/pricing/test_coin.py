import mpmath as mp
import numpy as np
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.pricing import COIN_GREEK_NAMES, black76_greeks, coin_greeks, coin_price, usd_price

POINTS = [
    (95_000.0, 110_000.0, 0.25, 0.55),
    (3300.0, 3300.0, 0.02, 0.7),
    (180.0, 95.0, 1.3, 0.9),
    (100.0, 300.0, 0.5, 0.5),
]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("sign", [1, -1])
def test_coin_greeks_are_derivatives_of_value_over_forward(backend, exact, point, sign):
    def coin(forward, tau, vol, strike):
        return exact.price(forward, strike, tau, vol, sign) / forward

    at = tuple(map(mp.mpf, (point[0], point[2], point[3], point[1])))
    forward = at[0]

    def derivative(by_forward, by_tau, by_vol, by_strike=0):
        orders = by_forward, by_tau, by_vol, by_strike
        return mp.diff(coin, at, orders, relative=True, h=mp.mpf(10) ** -12)

    delta = forward * derivative(1, 0, 0)
    want = {
        "price_coin": coin(*at),
        "delta_coin": delta,
        "gamma_coin_1pct": (delta + forward**2 * derivative(2, 0, 0)) / 100,
        "vega_coin": derivative(0, 0, 1),
        "theta_coin": -derivative(0, 1, 0),
        "vanna_coin": derivative(1, 0, 1),
        "volga_coin": derivative(0, 0, 2),
        "c_F": derivative(1, 0, 0),
        "c_FF": derivative(2, 0, 0),
        "c_FFF": derivative(3, 0, 0),
        "charm_coin": -derivative(1, 1, 0),
        "veta_coin": -derivative(0, 1, 1),
        "zomma_coin": derivative(2, 0, 1),
        "color_coin": -derivative(2, 1, 0),
        "ultima_coin": derivative(0, 0, 3),
        "dvanna_dvol_coin": derivative(1, 0, 2),
        "dvanna_dt_coin": -derivative(1, 1, 1),
        "dvolga_dt_coin": -derivative(0, 1, 2),
        "dual_delta_coin": derivative(0, 0, 0, 1),
        "dual_gamma_coin": derivative(0, 0, 0, 2),
        "dual_vanna_coin": derivative(0, 0, 1, 1),
        "dual_charm_coin": -derivative(0, 1, 0, 1),
    }
    got = coin_greeks(*point, sign > 0)
    assert set(got) == set(want) == set(COIN_GREEK_NAMES)
    for name, value in want.items():
        assert float(abs(got[name] / value - 1)) < 1e-11, name


@pytest.mark.parametrize(("tau", "vol"), [(0.0, 0.5), (0.5, 0.0)])
def test_limits_at_zero_total_vol(backend, tau, vol):
    coin = coin_greeks(100.0, [80.0, 100.0, 125.0], tau, vol, True)
    known = {
        "price_coin": [0.2, 0.0, 0.0],
        "delta_coin": [0.8, 0.5, 0.0],
        "gamma_coin_1pct": [-0.008, np.nan, 0.0],
        "vega_coin": [0.0, np.sqrt(tau / (2 * np.pi)), 0.0],
        "c_F": [8e-3, 5e-3, 0.0],
        "c_FF": [-1.6e-4, np.nan, 0.0],
        "c_FFF": [4.8e-6, np.nan, 0.0],
        "dual_delta_coin": [-0.01, -0.005, 0.0],
    }
    for name, values in coin.items():
        np.testing.assert_allclose(values, known.get(name, [0.0, np.nan, 0.0]), rtol=1e-14, err_msg=name)


def test_delta_coin_is_the_premium_adjusted_delta(backend):
    strikes = np.linspace(50.0, 200.0, 31)
    greeks = black76_greeks(100.0, strikes, 0.4, 0.8, True)
    coin = coin_greeks(100.0, strikes, 0.4, 0.8, True)
    np.testing.assert_allclose(coin["delta_coin"], greeks["delta"] - greeks["price"] / 100.0, atol=1e-15)


def test_hedging_with_an_inverse_future_removes_the_coin_exposure():
    # Value in coin of a short inverse future worth delta_coin·F dollars changes by −delta_coin·(dF/F).
    f, notional = 60_000.0, float(coin_greeks(60_000.0, 65_000.0, 0.1, 0.6, True)["delta_coin"]) * 60_000.0

    def value(forward):
        option = float(coin_greeks(forward, 65_000.0, 0.1, 0.6, True, names=["price_coin"])["price_coin"])
        return option - notional * (1 / f - 1 / forward)

    assert abs(value(f * 1.0001) - value(f * 0.9999)) < 1e-8
    assert abs(value(f * 1.0001) - value(f)) < 1e-7


def test_prices_go_to_coin_and_back():
    usd = np.array([0.0, 12.5, 900.0])
    coin = coin_price(usd, 60_000.0)
    np.testing.assert_allclose(usd_price(coin, 60_000.0), usd, rtol=1e-15)
    assert coin_price(60.0, 60_000.0).shape == ()


@pytest.mark.parametrize("forward", [0.0, -1.0, np.nan, np.inf])
def test_no_conversion_without_a_forward(forward):
    assert np.isnan(coin_price(1.0, forward))
    assert np.isnan(usd_price(1.0, forward))
    assert np.isnan(coin_greeks(forward, 100.0, 0.5, 0.4, True)["delta_coin"])


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="found delta"):
        coin_greeks(100.0, 100.0, 0.5, 0.4, True, names=["delta"])
