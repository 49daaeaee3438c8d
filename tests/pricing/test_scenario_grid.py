"""Scenario grids against option by option prices, for each vol, payoff and way of summing."""

import importlib
import math
import platform
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.pricing import _scenario_numba as kernels
from ivhedge.pricing import black76_price, scenario_grid
from ivhedge.pricing.jit import _LazyKernel, jit_available

module = importlib.import_module("ivhedge.pricing.scenario_grid")
needs_numba = pytest.mark.skipif(not jit_available(), reason="numba is absent or disabled")
EPS = 2.0**-52
SPOTS = np.array([-0.9, -0.2, -1e-9, 0.0, 0.15, 3.0])
SHOCKS = np.array([-1.0, -0.3, 0.0, 0.5, 4.0])
LEGS = ("forward", "strike", "tau", "is_call", "quantity")


@pytest.fixture(params=["numba", "numpy"])
def backend(request, monkeypatch):
    """Run the test twice: with the compiled kernels and with the numpy twin."""
    if request.param == "numba" and not jit_available():
        pytest.skip("numba is absent or disabled, only the numpy twin exists here")
    monkeypatch.setattr(module, "jit_available", lambda: request.param == "numba")
    return request.param


def book_of(n, seed=3):
    """Return ordinary, far, at-the-money, expired and zero-vol legs."""
    rng = np.random.default_rng(seed)
    forward = rng.choice([95_000.0, 3300.0, 0.2], n) * np.exp(rng.normal(0.0, 0.02, n))
    tau = np.exp(rng.uniform(-8.0, 0.5, n))
    vol = np.exp(rng.normal(-0.6, 0.5, n))
    strike = forward * np.exp(rng.normal(0.0, 4.0, n) * vol * np.sqrt(tau))
    strike[::11], tau[::13], vol[::17] = forward[::11], 0.0, 0.0
    legs = {
        "forward": forward,
        "strike": strike,
        "tau": tau,
        "is_call": rng.random(n) < 0.5,
        "quantity": rng.normal(0.0, 5.0, n),
    }
    return legs, vol


def brute_force(legs, spots, vol):
    """Exactly rounded sums of `black76_price`; vol of shape (spots, vols, legs)."""
    shocked = legs["forward"] * (1.0 + spots)[:, None, None]
    price = black76_price(shocked, legs["strike"], legs["tau"], vol, legs["is_call"])
    usd, coin = legs["quantity"] * price, legs["quantity"] * price / shocked
    sums = [np.apply_along_axis(math.fsum, -1, each) for each in (usd, coin)]
    return sums, [np.abs(each).sum(axis=-1) for each in (usd, coin)]


def assert_close(grid, want, gross, factor=64.0):
    for got, exact, scale in zip((grid.usd, grid.coin), want, gross, strict=True):
        assert got.shape == exact.shape
        assert (np.abs(got - exact) <= factor * EPS * scale).all()


# Around the block of 512 and the padding of 16.
@pytest.mark.parametrize("n", [1, 15, 16, 511, 513, 1100])
def test_moving_smiles_against_every_price(backend, n):
    legs, vol = book_of(n)
    moved = vol * (1.0 + 0.3 * np.abs(SPOTS)[:, None])
    grid = scenario_grid(**legs, spot_shocks=SPOTS, vols=moved, vol_shocks=SHOCKS)
    assert_close(grid, *brute_force(legs, SPOTS, moved[:, None, :] * (1.0 + SHOCKS)[:, None]))


def test_fixed_vols_and_shocks_in_points_are_floored_at_zero(backend):
    legs, vol = book_of(200)
    points = np.array([-500.0, -20.0, 0.0, 35.0])
    grid = scenario_grid(**legs, spot_shocks=SPOTS, vols=vol, vol_shocks=points, vol_shock="points")
    shocked = np.maximum(vol + 0.01 * points[:, None], 0.0)
    want = np.broadcast_to(shocked, (SPOTS.size, *shocked.shape))
    assert_close(grid, *brute_force(legs, SPOTS, want))
    sign = np.where(legs["is_call"], 1.0, -1.0)
    payoff = np.maximum(sign * (legs["forward"] * (1.0 + SPOTS)[:, None] - legs["strike"]), 0.0)
    assert grid.usd[:, 0] == pytest.approx(payoff @ legs["quantity"], rel=1e-12)


def test_shocks_of_each_leg(backend):
    # The venues' rule: the vol shock fades with the expiry, and underlyings move apart.
    legs, vol = book_of(300)
    fade = SHOCKS[:, None] * np.minimum(1.0, (30.0 / (365.0 * legs["tau"] + 1.0)) ** 0.3)
    spots = SPOTS[:, None] * np.where(legs["forward"] > 1000.0, 1.0, 0.5)
    grid = scenario_grid(**legs, spot_shocks=spots, vols=vol, vol_shocks=fade)
    shocked = legs["forward"] * (1.0 + spots[:, None, :])
    price = black76_price(shocked, legs["strike"], legs["tau"], vol * (1.0 + fade), legs["is_call"])
    scale = np.abs(legs["quantity"] * price).sum(axis=-1)
    assert (np.abs(grid.usd - (legs["quantity"] * price).sum(axis=-1)) <= 256 * EPS * scale).all()
    per_coin = legs["quantity"] * price / shocked
    assert (np.abs(grid.coin - per_coin.sum(axis=-1)) <= 256 * EPS * np.abs(per_coin).sum(axis=-1)).all()


def test_groups_and_legs_add_up_to_the_book(backend):
    legs, vol = book_of(600)
    groups = np.arange(600) % 7
    groups[groups == 3] = 4
    shocks = {"spot_shocks": SPOTS, "vols": vol, "vol_shocks": SHOCKS}
    book = scenario_grid(**legs, **shocks)
    grouped = scenario_grid(**legs, **shocks, groups=groups)
    single = scenario_grid(**legs, **shocks, per_leg=True)
    assert grouped.usd.shape == (7, SPOTS.size, SHOCKS.size)
    assert single.coin.shape == (600, SPOTS.size, SHOCKS.size)
    assert not grouped.usd[3].any()
    for name in ("usd", "coin"):
        each = getattr(single, name)
        gross = np.abs(each).sum(axis=0)
        assert (np.abs(each.sum(axis=0) - getattr(book, name)) <= 64 * EPS * gross).all()
        assert (np.abs(getattr(grouped, name).sum(axis=0) - getattr(book, name)) <= 64 * EPS * gross).all()
        of_two = each[groups == 2]
        scale = np.abs(of_two).sum(axis=0)
        assert (np.abs(of_two.sum(axis=0) - getattr(grouped, name)[2]) <= 64 * EPS * scale).all()


def test_a_call_less_a_put_is_the_forward_less_the_strike(backend):
    legs, vol = book_of(300)
    both = {name: np.concatenate([legs[name], legs[name]]) for name in LEGS}
    both["is_call"] = np.arange(600) < 300
    both["quantity"] = np.where(both["is_call"], 1.0, -1.0)
    grid = scenario_grid(**both, spot_shocks=SPOTS, vols=np.concatenate([vol, vol]), vol_shocks=SHOCKS)
    want = (legs["forward"] * (1.0 + SPOTS)[:, None] - legs["strike"]).sum(axis=1)
    assert grid.usd == pytest.approx(np.repeat(want[:, None], SHOCKS.size, axis=1), rel=1e-12)


def test_changes_against_the_unshocked_book_are_exactly_zero_without_a_shock(backend):
    legs, vol = book_of(700)
    shocks = {"spot_shocks": SPOTS, "vols": vol, "vol_shocks": SHOCKS}
    change = scenario_grid(**legs, **shocks, base_vol=vol)
    assert change.usd[3, 2] == 0.0
    assert change.coin[3, 2] == 0.0
    value = scenario_grid(**legs, **shocks)
    np.testing.assert_array_equal(change.usd, value.usd - value.usd[3, 2])
    by_group = scenario_grid(**legs, **shocks, base_vol=vol, groups=np.arange(700) % 3)
    assert not by_group.usd[:, 3, 2].any()


def test_deep_wings_keep_their_relative_accuracy(backend):
    strike = np.array([30.0, 60.0, 170.0, 400.0])
    legs = {"forward": 100.0, "tau": 0.1, "is_call": strike > 100.0, "quantity": 1.0}
    grid = scenario_grid(strike=strike, **legs, spot_shocks=[0.0], vols=0.4, per_leg=True)
    want = black76_price(100.0, strike, 0.1, 0.4, strike > 100.0)
    assert want[0] < 1e-15
    assert grid.usd[:, 0, 0] == pytest.approx(want, rel=1e-12, abs=0.0)


def test_extreme_vols_stay_finite_and_an_empty_book_is_worth_nothing(backend):
    grid = scenario_grid(
        100.0, 90.0, [0.0, 1e300], True, 1.0, spot_shocks=[0.0], vols=1e300, vol_shocks=[-1.0, 0.0, 1e300]
    )
    assert grid.usd.tolist() == [[20.0, 110.0, 110.0]]
    empty = scenario_grid([], [], [], True, [], spot_shocks=[0.0, 0.1], vols=[], vol_shocks=[0.0])
    assert empty.usd.tolist() == [[0.0], [0.0]]


positive = st.floats(0.5, 2.0)
leg = st.tuples(
    positive, positive, st.floats(0.0, 2.0), st.booleans(), st.floats(-9.0, 9.0), st.floats(0.0, 3.0)
)


@given(st.lists(leg, min_size=2, max_size=40), st.data())
@settings(max_examples=40, deadline=None)
def test_books_add_up(items, data):
    cut = data.draw(st.integers(1, len(items) - 1))

    def revalue(part, **options):
        columns = [np.array(c) for c in zip(*part, strict=True)]
        return scenario_grid(*columns[:5], spot_shocks=SPOTS, vols=columns[5], vol_shocks=SHOCKS, **options)

    whole, left, right = revalue(items), revalue(items[:cut]), revalue(items[cut:])
    gross = np.abs(revalue(items, per_leg=True).usd).sum(axis=0)
    assert (np.abs(left.usd + right.usd - whole.usd) <= 64 * EPS * gross).all()


@needs_numba
def test_threads_change_nothing(monkeypatch):
    legs, vol = book_of(1500)
    moved = vol * (1.0 + 0.1 * np.arange(41)[:, None])
    spots, shocks = np.linspace(-0.3, 0.3, 41), np.linspace(-0.5, 1.0, 5)
    results = []
    for count in ("1", "3"):
        monkeypatch.setenv("IVHEDGE_THREADS", count)
        for options in ({}, {"per_leg": True}, {"groups": np.arange(1500) % 4}):
            results.append(scenario_grid(**legs, spot_shocks=spots, vols=moved, vol_shocks=shocks, **options))
    for one, three in zip(results[:3], results[3:], strict=True):
        np.testing.assert_array_equal(one.usd, three.usd)
        np.testing.assert_array_equal(one.coin, three.coin)
    # One spot at a time, as the finest slicing would.
    for i in (0, 17, 40):
        alone = scenario_grid(**legs, spot_shocks=spots[i : i + 1], vols=moved[i], vol_shocks=shocks)
        np.testing.assert_array_equal(alone.usd[0], results[0].usd[i])


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"strike": [1.0, 2.0]}, DataError, r"strike \(2,\)"),
        ({"strike": np.ones((3, 3))}, DataError, r"one axis"),
        ({"vols": np.ones((2, 4))}, DataError, r"vols .* \(2 spots, 3 legs\), found \(2, 4\)"),
        ({"vols": np.ones((3, 3))}, DataError, r"vols .* \(2 spots, 3 legs\), found \(3, 3\)"),
        ({"base_vol": np.ones(2)}, DataError, r"base_vol .* found \(2,\)"),
        ({"spot_shocks": np.ones((2, 2))}, DataError, r"spot_shocks .* found \(2, 2\)"),
        ({"vol_shocks": np.ones((2, 2))}, DataError, r"vol_shocks .* found \(2, 2\)"),
        ({"strike": [1.0, np.nan, -1.0]}, DataError, r"strike .* nan at leg 1, -1.0 at leg 2"),
        ({"forward": [0.0, 1.0, 1.0]}, DataError, r"forward .* 0.0 at leg 0"),
        ({"forward": 9e149}, DataError, r"shocked forward"),
        ({"tau": -0.1}, DataError, r"tau"),
        ({"quantity": np.inf}, DataError, r"quantity"),
        ({"vols": [[0.1, 0.2, 0.3], [0.1, np.nan, 0.3]]}, DataError, r"vols .* nan at leg 1"),
        ({"vols": [0.1, 0.2, -0.3]}, DataError, r"vols .* -0.3 at leg 2"),
        ({"vols": np.inf}, DataError, r"inf at leg 0, inf at leg 1, inf at leg 2"),
        ({"groups": [0, 1]}, DataError, r"groups"),
        ({"groups": [0, 1, -1]}, DataError, r"groups"),
        ({"groups": [0, 1, 9]}, DataError, r"groups .* 9 among 3 legs"),
        ({"groups": [0.0, 1.0, 1.0]}, DataError, r"groups"),
        ({"groups": [0, 1, 1], "per_leg": True}, ConfigError, r"both"),
        ({"vol_shock": "percent"}, ConfigError, r"percent"),
        ({"spot_shocks": []}, ConfigError, r"spot_shocks"),
        ({"spot_shocks": [0.0, -1.0]}, ConfigError, r"-100 %"),
        ({"vol_shocks": [np.nan]}, ConfigError, r"vol_shocks"),
    ],
)
def test_bad_input_is_named(change, error, text):
    good = {
        "forward": 1.0,
        "strike": [1.0, 2.0, 3.0],
        "tau": 1.0,
        "is_call": [True, False, True],
        "quantity": 1.0,
        "spot_shocks": [0.0, 0.5],
        "vols": 0.5,
        "vol_shocks": [0.0],
    }
    with pytest.raises(error, match=text):
        scenario_grid(**(good | change))


def test_a_result_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 1 << 20)
    legs, vol = book_of(5000)
    with pytest.raises(ConfigError, match="groups instead of per_leg"):
        scenario_grid(**legs, spot_shocks=SPOTS, vols=vol, vol_shocks=SHOCKS, per_leg=True)


@needs_numba
def test_the_text_of_the_kernels_is_plain_python(monkeypatch):
    legs, vol = book_of(40)
    shocks = {"spot_shocks": SPOTS, "vols": vol, "vol_shocks": SHOCKS}
    options = ({}, {"per_leg": True}, {"groups": np.arange(40) % 3})
    compiled = [scenario_grid(**legs, **shocks, **each) for each in options]
    for name in ("_polynomials", "_elementary", "_scenario_numba"):
        for value in vars(importlib.import_module(f"ivhedge.pricing.{name}")).values():
            if isinstance(value, _LazyKernel):
                monkeypatch.setattr(value, "_compiled", value.py_func)
    gross = np.abs(compiled[1].usd).sum(axis=0)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for each, want in zip(options, compiled, strict=True):
            plain = scenario_grid(**legs, **shocks, **each)
            assert (np.abs(plain.usd - want.usd) <= 64 * EPS * gross).all()


@needs_numba
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the guard reads x86-64 assembly")
@pytest.mark.parametrize(
    ("name", "packed_at_least"),
    [
        ("fill_total_vol", 1),
        ("fill_density", 15),
        ("fill_arguments", 4),
        ("fill_polynomial", 50),
        ("fill_price", 5),
        ("weighted_sums", 2),
        ("fill_distance", 9),
        ("fill_half_root", 2),
    ],
)
def test_stages_use_vector_instructions(name, packed_at_least):
    from llvmlite import binding

    dispatcher = getattr(kernels, name).compile(cache=False)
    assembly = dispatcher.inspect_asm(dispatcher.signatures[0])
    packed = re.findall(r"\bv?(?:mul|div|sqrt|fn?m(?:add|sub)\d+)pd\b", assembly)
    assert len(packed) >= packed_at_least, "a call, a branch or too many arrays stop vectorisation"
    assert not re.findall(r"\$(exp|log|log1p|erfc?|pow|sqrt)\b", assembly)
    if binding.get_host_cpu_features().get("avx2"):
        assert re.search(r"%[yz]mm", assembly)
