"""Compiled kernels against their numpy twins, and a guard that they use vector instructions."""

import importlib
import platform
import re

import mpmath as mp
import numpy as np
import pytest

from ivhedge.pricing import (
    COIN_GREEK_NAMES,
    GREEK_NAMES,
    IvStatus,
    black76_greeks,
    black76_price,
    coin_greeks,
    implied_vol,
    warmup,
)
from ivhedge.pricing._elementary import erfcx_pair, exp_negative, is_valid, log_ratio, normal_cdf
from ivhedge.pricing._greeks_coin_numba import fill_coin_greek
from ivhedge.pricing._greeks_numba import fill_greek
from ivhedge.pricing._greeks_numpy import greeks_numpy
from ivhedge.pricing._greeks_state import fill_state, fill_tails
from ivhedge.pricing._implied_vol_numpy import implied_vol_numpy
from ivhedge.pricing._numpy_kernels import black76_price_numpy
from ivhedge.pricing._price_numba import fill_distances, fill_erfcx, fill_prices, price_kernel, refine_weights
from ivhedge.pricing.jit import _LazyKernel, jit_available

pytestmark = pytest.mark.skipif(not jit_available(), reason="numba is absent or disabled")
EPS = 2.0**-52


@pytest.fixture(scope="module")
def chain() -> dict[str, np.ndarray]:
    """Return a seeded mix of ordinary, wing, zero and invalid options."""
    rng = np.random.default_rng(20)
    n = 20_000
    forward = np.exp(rng.normal(4.0, 3.0, n))
    tau = np.exp(rng.uniform(-9.0, 1.0, n))
    vol = np.exp(rng.uniform(-3.0, 1.6, n))
    strike = forward * np.exp(rng.normal(0.0, 2.0, n) * vol * np.sqrt(tau))
    strike[::50] = forward[::50]
    tau[::97], vol[::89], forward[::83] = 0.0, 0.0, np.nan
    return {
        "forward": forward,
        "strike": strike,
        "tau": tau,
        "vol": vol,
        "sign": np.where(rng.random(n) < 0.5, 1.0, -1.0),
    }


def test_prices_agree(chain):
    columns = [chain[name] for name in ("forward", "strike", "tau", "vol")]
    compiled = black76_price(*columns, chain["sign"] > 0)
    np.testing.assert_allclose(compiled, black76_price_numpy(*columns, chain["sign"]), rtol=4e-14)


def test_vols_and_statuses_agree(chain):
    price = black76_price(*(chain[name] for name in ("forward", "strike", "tau", "vol")), chain["sign"] > 0)
    price[::71] *= 0.5
    columns = [chain[name] for name in ("forward", "strike", "tau")]
    vol, status = implied_vol(price, *columns, chain["sign"] > 0, return_status=True)
    twin_vol, twin_status = implied_vol_numpy(price, *columns, chain["sign"])
    np.testing.assert_array_equal(status, twin_status)
    assert set(status.tolist()) >= {IvStatus.OK, IvStatus.BELOW_INTRINSIC, IvStatus.BAD_INPUT}
    assert IvStatus.NOT_CONVERGED not in status
    np.testing.assert_array_equal(np.isnan(vol), status != IvStatus.OK)
    np.testing.assert_allclose(vol, twin_vol, rtol=1e-14)


def test_greeks_agree(chain):
    columns = [chain[name] for name in ("forward", "strike", "tau", "vol")]
    compiled = black76_greeks(*columns, chain["sign"] > 0) | coin_greeks(*columns, chain["sign"] > 0)
    twin = greeks_numpy(*columns, chain["sign"], GREEK_NAMES + COIN_GREEK_NAMES)
    for name, want in zip(GREEK_NAMES + COIN_GREEK_NAMES, twin, strict=True):
        # Where two terms cancel (d1·d2 near 1) only the scale of the terms can be asked for; far from the
        # money a rounding of d1 counts d1² times; below 1e-290 densities leave the normal numbers.
        got = compiled[name]
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=name)
        live = np.abs(want) > 1e-290
        error = np.abs(got[live] / want[live] - 1.0)
        assert np.quantile(error, 0.999) < 1e-12, name
        assert error.max() < 1e-8, name


def test_building_blocks_against_fifty_digits():
    with mp.workdps(50):
        for y in (-0.85, -0.8, -0.1, 0.0, 1e-3, 0.7, 3.0, 26.0, 1e4):
            exact = mp.exp(mp.mpf(y) ** 2) * mp.erfc(mp.mpf(y)) if y < 1e3 else 1 / (mp.sqrt(mp.pi) * y)
            quotient, total = erfcx_pair(y, y)
            assert abs(total / 2 / exact - 1) < (8 * EPS if y < 1e3 else 1e-8), y
            # At y1 = y2 the difference quotient is minus the derivative, 2/√π − 2·y·erfcx(y).
            if -0.8 <= y < 1e3:
                slope = 2 / mp.sqrt(mp.pi) - 2 * y * exact
                assert abs(quotient / slope - 1) < 40 * EPS, y
        for ratio in (1.0, 1 + 1e-15, 1 - 1e-9, 0.67, 1.5, 1e-200, 3e250):
            exact = mp.log(mp.mpf(ratio))
            assert abs(log_ratio(ratio, 1.0) - exact) <= 3 * EPS * abs(exact), ratio
        for x in (0.0, -1e-17, -0.34, -0.35, -1.0, -50.3, -707.9):
            assert abs(exp_negative(x) / mp.exp(mp.mpf(x)) - 1) < 4 * EPS, x
        for d in (-37.0, -9.0, -1.0, -0.0, 0.3, 4.0, 50.0):
            assert abs(normal_cdf(d) / mp.ncdf(mp.mpf(d)) - 1) < 8 * EPS * (1 + d * d), d
    assert exp_negative(-709.0) == 0.0


def test_validity_is_decided_as_by_comparisons():
    values = (
        -np.inf,
        -1.0,
        -0.0,
        0.0,
        5e-324,
        0.99e-150,
        1e-150,
        1.0,
        1e150,
        1.01e150,
        np.inf,
        np.nan,
        -np.nan,
    )
    for value in values:
        in_domain, is_time = 1e-150 <= value <= 1e150, 0.0 <= value < np.inf
        assert is_valid(value, 1.0, 1.0, 1.0) == is_valid(1.0, value, 1.0, 1.0) == in_domain
        assert is_valid(1.0, 1.0, value, 1.0) == is_valid(1.0, 1.0, 1.0, value) == is_time


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the guard reads x86-64 assembly")
@pytest.mark.parametrize(
    ("kernel", "inputs", "flags", "outputs", "packed_at_least"),
    [
        (fill_distances, 4, 0, 1, 40),
        (refine_weights, 4, 0, 1, 40),
        (fill_erfcx, -2, 0, 1, 55),
        (fill_prices, 4, 1, 2, 10),
        (fill_tails, 2, 1, 1, 10),
        (fill_state, 4, 0, 1, 60),
        (fill_greek, -1, 0, 2, 300),
        (fill_coin_greek, -1, 0, 2, 300),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_kernels_use_vector_instructions(kernel, inputs, flags, outputs, packed_at_least):
    import numba
    from llvmlite import binding

    column = numba.types.Array(numba.float64, 1, "C", readonly=True)
    side = numba.types.Array(numba.boolean, 1, "C", readonly=True)
    given = (column,) * inputs + (side,) * flags if inputs > 0 else (numba.int64,)
    marks = (numba.boolean[::1],) if kernel is fill_state else ()
    dispatcher = kernel.compile(cache=False)
    dispatcher.compile(given + (numba.float64[::1],) * outputs + marks)
    assembly = dispatcher.inspect_asm(dispatcher.signatures[0])
    packed = re.findall(r"\bv?(?:mul|div|sqrt|fmadd\d+|fnmadd\d+)pd\b", assembly)
    assert len(packed) >= packed_at_least, "a call, a branch or a loop over coefficients stops vectorisation"
    called = re.findall(r"\$(exp|log|log1p|erfc?|pow|sqrt)\b", assembly)
    assert not called, "a library call inside the loop is made once per option, not once per vector"
    if binding.get_host_cpu_features().get("avx2"):
        assert re.search(r"%[yz]mm", assembly)


@pytest.fixture
def plain_kernels(monkeypatch):
    """Run the kernels' own Python text, so that it can be debugged and measured by coverage."""
    names = (
        "_price_numba",
        "_greeks_state",
        "_greeks_numba",
        "_greeks_coin_numba",
        "_implied_vol_scalar",
        "_implied_vol_vector",
    )
    for name in names:
        module = importlib.import_module(f"ivhedge.pricing.{name}")
        for value in vars(module).values():
            if isinstance(value, _LazyKernel):
                monkeypatch.setattr(value, "_compiled", value.py_func)


def test_the_text_of_the_kernels_is_plain_python(chain, plain_kernels):
    few = {name: values[:200] for name, values in chain.items()}
    columns = [few[name] for name in ("forward", "strike", "tau", "vol")]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        price = black76_price(*columns, few["sign"] > 0)
        price[5:200:20] = few["forward"][5:200:20]
        price[6:200:20] *= 0.1
        vol, status = implied_vol(price, *columns[:3], few["sign"] > 0, return_status=True)
        greeks = black76_greeks(*columns, few["sign"] > 0) | coin_greeks(*columns, few["sign"] > 0)
    twin_vol, twin_status = implied_vol_numpy(price, *columns[:3], few["sign"])
    np.testing.assert_array_equal(status, twin_status)
    np.testing.assert_allclose(vol, twin_vol, rtol=1e-13)
    names = GREEK_NAMES + COIN_GREEK_NAMES
    for name, want in zip(names, greeks_numpy(*columns, few["sign"], names), strict=True):
        np.testing.assert_allclose(greeks[name], want, rtol=1e-9, atol=1e-290, err_msg=name)


def test_warmup_compiles_every_kernel():
    warmup()
    assert price_kernel.dispatcher().signatures


def test_extreme_inputs_never_fail_silently():
    extremes = [
        -1.0,
        0.0,
        5e-324,
        1e-310,
        1e-150,
        1e-20,
        0.5,
        1.0,
        1.0 + EPS,
        2.0,
        1e20,
        1e150,
        1e300,
        np.inf,
        np.nan,
    ]
    price, forward, strike, tau = (axis.ravel() for axis in np.meshgrid(*[extremes] * 4))
    for sign in (1.0, -1.0):
        vol, status = implied_vol(price, forward, strike, tau, sign > 0, return_status=True)
        signs = np.full(price.shape, sign)
        twin_vol, twin_status = implied_vol_numpy(price, forward, strike, tau, signs)
        np.testing.assert_array_equal(status, twin_status)
        np.testing.assert_array_equal(np.isnan(vol), status != IvStatus.OK)
        np.testing.assert_allclose(vol, twin_vol, rtol=1e-13)
        found = status == IvStatus.OK
        # Smaller prices than that are documented to come out as 0.
        again = black76_price(forward, strike, tau, vol, sign > 0)[found]
        root = np.sqrt(forward[found]) * np.sqrt(strike[found])
        visible = price[found] > 1e-300 * np.maximum(root, 1.0)
        np.testing.assert_allclose(again[visible], price[found][visible], rtol=1e-11)
        greeks = black76_greeks(forward, strike, tau, np.roll(price, 7), sign > 0)
        off_the_money = np.isfinite(greeks["price"]) & (forward != strike)
        for name, values in greeks.items():
            assert not np.isnan(values[off_the_money]).any(), name
