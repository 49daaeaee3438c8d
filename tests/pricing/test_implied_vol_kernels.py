"""The paths of the compiled implied-volatility kernel against its twin, and a guard of its vector code."""

import importlib
import platform
import re

import numpy as np
import pytest

from ivhedge.pricing import IvStatus, black76_price, implied_vol
from ivhedge.pricing import _implied_vol_numba as kernel
from ivhedge.pricing import _implied_vol_scalar as scalar
from ivhedge.pricing import _implied_vol_vector as vector
from ivhedge.pricing._implied_vol_numpy import implied_vol_numpy
from ivhedge.pricing.jit import _LazyKernel, jit_available

pytestmark = pytest.mark.skipif(not jit_available(), reason="numba is absent or disabled")
EPS = 2.0**-52
COLUMNS = ("price", "forward", "strike", "tau", "is_call")


def options(n: int, seed: int, *, h_max: float, s_min: float, s_max: float) -> dict[str, np.ndarray]:
    """Return out-of-the-money options up to `h_max` deviations out, with their dollar prices."""
    rng = np.random.default_rng(seed)
    forward = np.exp(rng.uniform(-2.0, 11.0, n))
    tau = np.exp(rng.uniform(-9.0, 0.7, n))
    total_vol = np.exp(rng.uniform(np.log(s_min), np.log(s_max), n))
    h = rng.uniform(0.0, h_max, n)
    is_call = rng.random(n) < 0.5
    strike = forward * np.exp(np.where(is_call, 1.0, -1.0) * h * total_vol)
    vol = total_vol / np.sqrt(tau)
    price = black76_price(forward, strike, tau, vol, is_call)
    return {
        "price": price,
        "forward": forward,
        "strike": strike,
        "tau": tau,
        "is_call": is_call,
        "vol": vol,
        "total_vol": total_vol,
        "h": h,
    }


def run(one_pass, o: dict[str, np.ndarray]) -> np.ndarray:
    """Return what one pass alone finds."""
    vol = np.empty(o["price"].size)
    rejected = one_pass(*(o[name] for name in COLUMNS), False, vol)
    assert rejected == np.isnan(vol).sum()
    return vol


def test_ordinary_options_take_the_first_pass():
    o = options(20_000, 1, h_max=8.0, s_min=1e-4, s_max=1.3)
    found = run(vector.invert_near, o)
    below_half = o["price"] < 0.5 * np.minimum(o["forward"], o["strike"])
    assert np.isfinite(found[below_half]).all()
    np.testing.assert_allclose(found[below_half], o["vol"][below_half], rtol=2e-14)


def test_wings_take_the_second_pass():
    o = options(20_000, 2, h_max=34.0, s_min=0.5, s_max=6.0)
    below_half = o["price"] < 0.5 * np.minimum(o["forward"], o["strike"])
    above_smallest = o["price"] > 1e-190 * np.sqrt(o["forward"] * o["strike"])
    o = {name: values[below_half & above_smallest] for name, values in o.items()}
    found = run(vector.invert_far, o)
    assert np.isfinite(found).mean() > 0.999
    good = np.isfinite(found)
    # log(F/K) of the test itself and the price's own error limit what can be asked this far out.
    np.testing.assert_allclose(found[good], o["vol"][good], rtol=1e-12)


def test_prices_near_their_maximum_take_the_second_pass():
    o = options(20_000, 3, h_max=3.0, s_min=1.0, s_max=12.0)
    headroom = np.where(o["is_call"], o["forward"], o["strike"]) - o["price"]
    cap = np.minimum(o["forward"], o["strike"])
    o = {name: values[(headroom < 0.5 * cap) & (headroom > 1e-9 * cap)] for name, values in o.items()}
    assert o["vol"].size > 5000
    found = run(vector.invert_upper, o)
    assert np.isfinite(found).mean() > 0.999
    good = np.isfinite(found)
    # The headroom of a price keeps nine digits less than the price.
    np.testing.assert_allclose(found[good], o["vol"][good], rtol=1e-7)


@pytest.mark.parametrize(("h_max", "s_min", "s_max"), [(34.0, 0.5, 6.0), (2.0, 2.5, 9.0)])
def test_few_options_are_left_to_the_scalar_solver(monkeypatch, h_max, s_min, s_max):
    left = []
    solve = kernel.solve_one_by_one
    monkeypatch.setattr(kernel, "solve_one_by_one", lambda *x: left.append(x[0].size) or solve(*x))
    o = options(5000, 13, h_max=h_max, s_min=s_min, s_max=s_max)
    price = o["price"]
    inside = (price < np.where(o["is_call"], o["forward"], o["strike"])) & (price > 1e-250 * o["forward"])
    _, status = implied_vol(*(o[name][inside] for name in COLUMNS), return_status=True)
    assert (status == IvStatus.OK).all()
    assert sum(left) < 0.01 * inside.sum()


@pytest.mark.parametrize("coin", [False, True])
@pytest.mark.parametrize("size", [1, 255, 257, 5000])
def test_all_paths_agree_with_the_twin(size, coin):
    parts = [
        options(size, 4, h_max=8.0, s_min=1e-4, s_max=1.3),
        options(size, 5, h_max=37.0, s_min=0.01, s_max=9.0),
        options(size, 6, h_max=2.0, s_min=1.0, s_max=20.0),
    ]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.random.default_rng(7).permutation(columns["price"].size)
    price, forward, strike, tau, is_call = (
        columns[name][order] for name in ("price", "forward", "strike", "tau", "is_call")
    )
    price[::13] = np.where(is_call, forward, strike)[::13]
    price[1::13] *= -1.0
    tau[2::13], forward[3::13], price[4::13] = 0.0, np.nan, 0.0
    if coin:
        price /= forward
    vol = np.empty(price.size)
    status = np.empty(price.size, dtype=np.uint8)
    kernel.invert(price, forward, strike, tau, is_call, coin, vol, status)
    want, want_status = implied_vol_numpy(
        price, forward, strike, tau, np.where(is_call, 1.0, -1.0), coin=coin
    )
    np.testing.assert_array_equal(status, want_status)
    np.testing.assert_array_equal(np.isnan(vol), status != IvStatus.OK)
    # Near the maximum both answers inherit the price's last bit; elsewhere they agree to rounding.
    visible = np.where(is_call, forward, strike) - price * (forward if coin else 1.0) > 1e-3 * forward
    np.testing.assert_allclose(vol[visible], want[visible], rtol=1e-14)
    np.testing.assert_allclose(vol, want, rtol=1e-6)


def test_the_result_does_not_depend_on_the_neighbours():
    o = options(3000, 8, h_max=30.0, s_min=0.01, s_max=8.0)
    names = ("price", "forward", "strike", "tau", "is_call")
    whole = implied_vol(*(o[name] for name in names))
    parts = [implied_vol(*(o[name][i : i + 7] for name in names)) for i in range(0, 3000, 7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=8 * EPS)
    again = implied_vol(*(o[name] for name in names))
    np.testing.assert_array_equal(again, whole)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the guard reads x86-64 assembly")
@pytest.mark.parametrize(
    ("name", "packed_at_least"),
    [("normalise", 25), ("invert_near", 60), ("fill_ratio", 55), ("fill_upper_ratio", 55), ("finish", 25)],
)
def test_loops_use_vector_instructions(name, packed_at_least):
    import numba
    from llvmlite import binding

    floats, work = numba.types.Array(numba.float64, 1, "C", True), numba.float64[::1]
    flags = numba.types.Array(numba.boolean, 1, "C", True)
    signatures = {
        "normalise": (floats, floats, floats, flags, numba.boolean, work),
        "fill_ratio": (numba.int64, work),
        "fill_upper_ratio": (numba.int64, work),
        "finish": (floats, numba.float64, work, work),
    }
    dispatcher = getattr(vector, name).compile(cache=False)
    if name in signatures:
        dispatcher.compile(signatures[name])
    assembly = dispatcher.inspect_asm(dispatcher.signatures[0])
    packed = re.findall(r"\bv?(?:mul|div|sqrt|fn?madd\d+|fn?msub\d+)pd\b", assembly)
    assert len(packed) >= packed_at_least, "a call, a branch or an index that may be negative stops vectors"
    assert not re.findall(r"gather[dq]+pd", assembly), "the compiler no longer sees contiguous arrays"
    assert not re.findall(r"\$(exp|log|log1p|erfc?|pow|sqrt|fma)\b", assembly)
    if binding.get_host_cpu_features().get("avx512f"):
        assert "%zmm" in assembly
    elif binding.get_host_cpu_features().get("avx2"):
        assert "%ymm" in assembly


def test_the_text_of_the_kernels_is_plain_python(monkeypatch):
    for name in ("_implied_vol_scalar", "_implied_vol_vector", "_implied_vol_numba"):
        for value in vars(importlib.import_module(f"ivhedge.pricing.{name}")).values():
            if isinstance(value, _LazyKernel):
                monkeypatch.setattr(value, "_compiled", value.py_func)
    o = options(60, 9, h_max=30.0, s_min=0.01, s_max=8.0)
    o["price"][::9] *= -1.0
    o["price"][1::9] = np.where(o["is_call"], o["forward"], o["strike"])[1::9] * 0.9
    vol, status = np.empty(60), np.empty(60, dtype=np.uint8)
    columns = [o[name] for name in ("price", "forward", "strike", "tau", "is_call")]
    with np.errstate(all="ignore"):
        kernel.invert(*columns, False, vol, status)
    want, want_status = implied_vol_numpy(*columns[:4], np.where(o["is_call"], 1.0, -1.0))
    np.testing.assert_array_equal(status, want_status)
    np.testing.assert_allclose(vol, want, rtol=1e-12)


def test_a_product_in_dollars_is_exact():
    from fractions import Fraction

    rng = np.random.default_rng(10)
    for price, forward in rng.lognormal(0.0, 4.0, (200, 2)).tolist():
        high, low = scalar.price_in_dollars(price, forward, True)
        assert Fraction(high) + Fraction(low) == Fraction(price) * Fraction(forward)
        assert scalar.price_in_dollars(price, forward, False) == (price, 0.0)
    # Splitting would overflow; such prices are above every maximum.
    for price, forward in ((1e300, 2.0), (1e305, 2.0), (1e305, 1e-100), (1e200, 1e150)):
        assert scalar.price_in_dollars(price, forward, True) == (price * forward, 0.0)


def test_what_is_left_above_intrinsic_value_is_exact():
    from fractions import Fraction

    from ivhedge.pricing._implied_vol_numpy import _time_value

    rng = np.random.default_rng(12)
    forward, strike = rng.lognormal(0.0, 2.0, (2, 300))
    intrinsic = np.abs(forward - strike)
    price = intrinsic + np.spacing(intrinsic) * rng.integers(-3, 4, 300)
    sign = np.where(forward > strike, 1.0, -1.0)
    twin, _ = _time_value(price, np.zeros(300), forward, strike, sign)
    for p, f, k, of_twin in zip(price.tolist(), forward.tolist(), strike.tolist(), twin, strict=True):
        want = float(Fraction(p) - abs(Fraction(f) - Fraction(k)))
        assert scalar.value_above_intrinsic(p, 0.0, f, k, f > k) == of_twin == want
