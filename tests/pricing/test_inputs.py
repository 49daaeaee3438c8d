import numpy as np
import pytest

from ivhedge.core.errors import DataError
from ivhedge.pricing import black76_greeks, black76_price, coin_greeks, implied_vol
from ivhedge.pricing._inputs import broadcast_floats, broadcast_options


def options(is_call=True, **changed):
    inputs = {"forward": 100.0, "strike": 110.0, "tau": 0.5, **changed}
    shape, floats, flags = broadcast_options(is_call, **inputs)
    for array in (*floats, flags):
        assert array.ndim == 1
        assert array.flags.c_contiguous
        assert array.flags.aligned
        assert array.size == int(np.prod(shape))
    assert {a.dtype for a in floats} == {np.dtype(np.float64)}
    assert flags.dtype == np.bool_
    return shape, [a.tolist() for a in floats], flags.tolist()


@pytest.mark.parametrize("is_call", [True, np.True_, 1, 1.0, np.array(True), np.uint8(1)])
@pytest.mark.parametrize("forward", [100, 100.0, np.float32(100), np.float64(100), np.array(100)])
def test_scalars_of_any_kind(is_call, forward):
    assert options(is_call, forward=forward) == ((), [[100.0], [110.0], [0.5]], [True])


def test_a_put_is_no_call():
    assert options(False) == options(0) == options(np.array(0.0))
    assert options(False)[2] == [False]


def test_ready_arrays_are_not_copied():
    x, calls = np.arange(6.0), np.arange(6) > 2
    _, (forward, strike, _), flags = broadcast_options(calls, forward=x, strike=x, tau=x)
    assert np.shares_memory(forward, x)
    assert np.shares_memory(strike, x)
    assert np.shares_memory(flags, calls)


def test_scalars_spread_over_arrays_and_the_side_counts_for_the_shape():
    assert options(np.array([True, False]))[0] == (2,)
    shape, (forward, strike, tau), flags = options(
        np.array([[True], [False]]), strike=[90, 110, 120], tau=np.array([0.5])
    )
    assert shape == (2, 3)
    assert forward == [100.0] * 6
    assert strike == [90.0, 110.0, 120.0] * 2
    assert tau == [0.5] * 6
    assert flags == [True] * 3 + [False] * 3


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_nothing_in_nothing_out(shape):
    assert options(forward=np.empty(shape)) == (shape, [[], [], []], [])
    assert options(np.empty(shape, bool))[0] == shape


def test_an_empty_array_does_not_meet_a_longer_one():
    with pytest.raises(DataError, match="broadcast"):
        options(forward=[], strike=[1.0, 2.0])


@pytest.mark.parametrize(
    "prepare",
    [
        lambda a: a.astype(np.float32),
        lambda a: a.astype(">f8"),
        lambda a: a.astype(int),
        lambda a: a.astype(object),
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(np.repeat(a, 2, 0), 3, 1)[::2, ::3],
        lambda a: a[::-1][::-1],
        lambda a: np.ma.MaskedArray(a),
        lambda a: np.frombuffer(b"\0" + a.tobytes(), np.float64, offset=1).reshape(a.shape),
        lambda a: np.rec.fromarrays([a.astype("u1"), a], names="c,x", aligned=False)["x"],
        lambda a: a.tolist(),
    ],
)
def test_any_layout_and_real_dtype(prepare):
    grid = np.arange(1.0, 7.0).reshape(2, 3)
    assert options(forward=prepare(grid))[:2] == ((2, 3), [[1, 2, 3, 4, 5, 6], [110.0] * 6, [0.5] * 6])
    assert options(prepare(grid) == grid)[2] == [True] * 6


def test_masked_items_and_none_are_missing_numbers():
    assert np.isnan(options(forward=[1.0, None])[1][0]).tolist() == [False, True]
    masked = np.ma.MaskedArray([1.0, 2.0], mask=[False, True])
    values = options(forward=masked)[1][0]
    assert values[0] == 1.0
    assert np.isnan(values[1])
    with pytest.raises(DataError, match="masked"):
        options(np.ma.MaskedArray([True, False], mask=[False, True]))


def test_shapes_that_do_not_fit_are_all_named():
    with pytest.raises(DataError) as info:
        options([True, False], forward=[1.0, 2.0, 3.0])
    for part in ("is_call (2,)", "forward (3,)", "strike ()", "tau ()"):
        assert part in str(info.value)
    with pytest.raises(DataError, match=r"price \(2,\), forward \(3,\)"):
        broadcast_floats(price=[1.0, 2.0], forward=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("bad", ["x", "1.5", 1j, [1.0, "x"], [[1.0], [1.0, 2.0]], 10**400, [10**400]])
def test_what_is_no_number_is_named(bad):
    with pytest.raises(DataError, match="expected strike as real numbers"):
        options(strike=bad)


@pytest.mark.parametrize("bad", ["call", 2, -1, 0.5, float("nan"), None, [True, None], ["C"], 1j])
def test_what_is_no_side_is_refused(bad):
    with pytest.raises(DataError, match="is_call"):
        options(bad)


def test_results_of_one_option_may_be_read_only_but_never_change():
    first = broadcast_options(True, forward=1.0)[2]
    assert not first.flags.writeable
    assert broadcast_options(False, forward=1.0)[2].tolist() == [False]
    assert first.tolist() == [True]


OPTIONS = (np.linspace(90.0, 110.0, 12).reshape(3, 4), 100.0, 0.5, 0.4, True)
CALLS_WITH_OUT = {
    "price": (lambda out: black76_price(*OPTIONS, out=out), (3, 4)),
    "vol": (lambda out: implied_vol(np.full((3, 4), 15.0), *OPTIONS[:3], True, out=out), (3, 4)),
    "greeks": (lambda out: black76_greeks(*OPTIONS, names=("delta", "gamma"), out=out), (2, 3, 4)),
    "coin": (lambda out: coin_greeks(*OPTIONS, names=("price_coin", "c_F"), out=out), (2, 3, 4)),
}


@pytest.mark.parametrize("name", CALLS_WITH_OUT)
def test_results_go_where_they_are_asked_to(backend, name):
    call, shape = CALLS_WITH_OUT[name]
    out = np.full(shape, -7.0)
    given = call(out)
    fresh = call(None)
    rows = [given] if isinstance(given, np.ndarray) else list(given.values())
    wanted = [fresh] if isinstance(fresh, np.ndarray) else list(fresh.values())
    for row, want in zip(rows, wanted, strict=True):
        assert np.shares_memory(row, out)
        np.testing.assert_array_equal(row, want)
    assert not (out == -7.0).any()


@pytest.mark.parametrize("name", CALLS_WITH_OUT)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: out[..., :-1], "shape"),
        (lambda out: out.astype(np.float32), "float32"),
        (lambda out: out.tolist(), "list"),
        (lambda out: np.asfortranarray(out), "C-contiguous"),
    ],
)
def test_an_unfit_place_for_results_is_refused(name, spoil, message):
    call, shape = CALLS_WITH_OUT[name]
    with pytest.raises(DataError, match=message):
        call(spoil(np.empty(shape)))


def test_results_never_overwrite_inputs():
    forward = np.full(5, 100.0)
    with pytest.raises(DataError, match="overlapping"):
        black76_price(forward, 100.0, 0.5, 0.4, True, out=forward)
    locked = np.empty(5)
    locked.setflags(write=False)
    with pytest.raises(DataError, match="writeable"):
        black76_price(forward, 100.0, 0.5, 0.4, True, out=locked)
