from functools import cache

import mpmath as mp
import numpy as np
import pytest
from tests.pricing.conftest import exact_price

from ivhedge.core.errors import ConfigError
from ivhedge.pricing import (
    COIN_GREEK_NAMES,
    GREEK_NAMES,
    black76_greeks,
    black76_price,
    coin_greeks,
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
    "dvanna_dvol": ((1, 0, 0, 2), 1),
    "dvanna_dt": ((1, 0, 1, 1), -1),
    "dvolga_dt": ((0, 0, 1, 2), -1),
    "dual_vanna": ((0, 1, 0, 1), 1),
    "dual_charm": ((0, 1, 1, 0), -1),
}
# Polynomials in d1, d2 with a zero: there the error is relative to the sum of the absolute terms, with
# |ln(F/K)|/s + s/2 in the place of |d1| and |d2|, which cancel as well.
POLYNOMIALS = {
    "vanna": (lambda d1, d2, s: d2, lambda d, s: d),
    "volga": (lambda d1, d2, s: d1 * d2, lambda d, s: d**2),
    "charm": (lambda d1, d2, s: d2, lambda d, s: d),
    "veta": (lambda d1, d2, s: 1 + d1 * d2, lambda d, s: 1 + d**2),
    "speed": (lambda d1, d2, s: d1 / s + 1, lambda d, s: d / s + 1),
    "zomma": (lambda d1, d2, s: d1 * d2 - 1, lambda d, s: d**2 + 1),
    "color": (lambda d1, d2, s: 1 - d1 * d2, lambda d, s: d**2 + 1),
    "ultima": (lambda d1, d2, s: d1 * d2 * (1 - d1 * d2) + d1**2 + d2**2, lambda d, s: 3 * d**2 + d**4),
    "dvanna_dvol": (lambda d1, d2, s: d1 + d2 - d1 * d2**2, lambda d, s: 2 * d + d**3),
    "dvanna_dt": (lambda d1, d2, s: d1 * (d2**2 - 1), lambda d, s: d**3 + d),
    "dvolga_dt": (lambda d1, d2, s: d1**2 + d2**2 - d1 * d2 * (1 + d1 * d2), lambda d, s: 3 * d**2 + d**4),
    "dual_vanna": (lambda d1, d2, s: d1, lambda d, s: d),
    "dual_charm": (lambda d1, d2, s: d1, lambda d, s: d),
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


@cache
def _exact_greeks(point, sign):
    """Each Greek at 60 digits and what its error is measured by; once for all back ends."""
    forward, strike, years, v = inputs = tuple(map(mp.mpf, point))
    s = v * mp.sqrt(years)
    x = mp.log(forward / strike) / s

    def price(*changes):
        # In relative changes of each input, as their sizes differ by many orders.
        return exact_price(*(at * (1 + change) for at, change in zip(inputs, changes, strict=True)), sign)

    wants = {}
    for name, (orders, direction) in ORDERS.items():
        want = direction * mp.diff(price, (0, 0, 0, 0), orders, h=mp.mpf(10) ** -12 * min(s, 1))
        want /= mp.fprod(at**order for at, order in zip(inputs, orders, strict=True))
        scale = abs(want)
        if name in POLYNOMIALS:
            value, absolute = POLYNOMIALS[name]
            front = mp.npdf(x + s / 2) / mp.npdf(0)
            cancels = abs(value(x + s / 2, x - s / 2, s))
            scale = scale * absolute(abs(x) + s / 2, s) / cancels if cancels > 0 else front
        wants[name] = (want, float(scale))
    return wants


@pytest.mark.parametrize("vol", [0.05, 0.6, 5.0])
@pytest.mark.parametrize("tau", [1 / 8760, 0.1, 2.0])
def test_accuracy_over_a_broad_grid(backend, exact, tau, vol):
    for z, sign in ((-8.0, 1), (-2.5, -1), (-0.3, 1), (0.0, -1), (1.1, 1), (8.0, -1), (8.0, 1)):
        point = (3300.0, float(3300.0 * np.exp(z * vol * np.sqrt(tau))), tau, vol)
        greeks = black76_greeks(*point, sign > 0)
        for name, (want, scale) in _exact_greeks(point, sign).items():
            assert float(abs(greeks[name] - want)) <= 1e-11 * scale, (name, z)


@pytest.mark.parametrize("at", [512, 1024, 3 * 512])
def test_results_do_not_depend_on_the_cut_into_parts(at):
    rng = np.random.default_rng(3)
    n = 2100
    forward, vol = np.exp(rng.normal(4.0, 1.0, n)), rng.uniform(0.05, 3.0, n)
    strike, is_call = forward * np.exp(rng.normal(0.0, 3.0, n) * vol * 0.4), rng.random(n) < 0.5
    vol[::50], forward[::71] = 0.0, -1.0
    whole = black76_greeks(forward, strike, 0.16, vol, is_call)
    whole["price_alone"] = black76_price(forward, strike, 0.16, vol, is_call)
    for part in (slice(0, at), slice(at, n)):
        columns = forward[part], strike[part], 0.16, vol[part], is_call[part]
        cut = {**black76_greeks(*columns), "price_alone": black76_price(*columns)}
        for name, values in cut.items():
            np.testing.assert_array_equal(values, whole[name][part], err_msg=name)


def test_a_subset_gives_the_same_as_all(backend):
    strikes = np.linspace(20.0, 400.0, 700)
    for compute, names in ((black76_greeks, GREEK_NAMES), (coin_greeks, COIN_GREEK_NAMES)):
        everything = compute(100.0, strikes, 0.4, 0.8, False)
        for name in names:
            alone = compute(100.0, strikes, 0.4, 0.8, False, names=[name])[name]
            np.testing.assert_array_equal(alone, everything[name], err_msg=name)


@pytest.mark.parametrize("compute", [black76_greeks, coin_greeks])
def test_any_kind_of_input_and_no_shared_memory(backend, compute):
    strikes = np.linspace(50.0, 150.0, 21).astype(np.float32)
    want = compute(100.0, strikes.astype(np.float64)[::2].copy(), 0.5, 0.4, True)
    read_only = strikes.astype(np.float64)
    read_only.flags.writeable = False
    forms = (strikes[::2], read_only[::2], list(map(float, strikes[::2])))
    for form in forms:
        got = compute(np.array(100.0), form, 0.5, [0.4], np.bool_(True))
        for name, values in got.items():
            np.testing.assert_array_equal(values, want[name], err_msg=name)
            assert not np.shares_memory(values, np.asarray(form))
            assert values.flags.writeable
    assert all(values.shape == () for values in compute(100.0, 90.0, 0.5, 0.4, True).values())


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
