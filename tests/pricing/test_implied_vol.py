import math
from pathlib import Path

import mpmath as mp
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.pricing import IvStatus, black76_price, implied_vol

EPS = 2.0**-52


@pytest.mark.recorded
def test_every_row_of_the_fifty_digit_oracle(backend, recorded: Path):
    table = pl.read_parquet(recorded / "oracles" / "implied_vol" / "reference_iv.parquet")
    column = {name: table[name].to_numpy() for name in table.columns}
    vol, status = implied_vol(
        column["price"], column["F"], column["K"], column["T"], column["is_call"], return_status=True
    )
    solvable = column["ok"].astype(bool)
    impossible = {IvStatus.BELOW_INTRINSIC, IvStatus.ABOVE_MAXIMUM, IvStatus.NO_TIME_VALUE}
    assert set(status[~solvable].tolist()) <= impossible
    assert (status[solvable] == IvStatus.OK).all()
    np.testing.assert_array_equal(np.isnan(vol), status != IvStatus.OK)
    error = np.abs(vol / column["sigma_inv"] - 1.0)[solvable]
    floor = column["floor"][solvable]
    # Measured 5.7 (numba) and 5.0 (numpy); `floor` is what half an ulp of the price does to the answer.
    assert (error / (EPS + floor)).max() <= 8.0
    assert error[floor < 2e-15].max() <= 4e-15


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("total_vol", [1e-3, 0.05, 0.6, 2.5, 6.0])
@pytest.mark.parametrize("h", [-2.0, -1e-7, 0.0, 0.5, 4.0, 20.0])
def test_against_fifty_digit_inverse(backend, exact, sign, total_vol, h):
    forward, tau = 3300.0, 0.21
    strike = forward * math.exp(sign * h * total_vol)
    vol = total_vol / math.sqrt(tau)
    price = float(exact.price(forward, strike, tau, vol, sign))
    got = float(implied_vol(price, forward, strike, tau, sign > 0))
    want = exact.vol(price, forward, strike, tau, sign, vol)
    density = math.exp(-0.5 * (h * h + total_vol**2 / 4)) / math.sqrt(2 * math.pi)
    floor = price / math.sqrt(forward * strike) / (total_vol * density) * EPS / 2
    assert abs(got / want - 1) <= 8 * (EPS + floor)


@settings(deadline=None)
@given(
    forward=st.floats(1e-2, 1e6),
    z=st.floats(-8, 8),
    tau=st.floats(1e-4, 5),
    vol=st.floats(0.05, 5),
    is_call=st.booleans(),
)
def test_round_trip(forward, z, tau, vol, is_call):
    total_vol = vol * math.sqrt(tau)
    strike = forward * math.exp((abs(z) if is_call else -abs(z)) * total_vol)
    if not 1e-100 < strike < 1e100:
        return
    price = black76_price(forward, strike, tau, vol, is_call)
    found, status = implied_vol(price, forward, strike, tau, is_call, return_status=True)
    if price >= (forward if is_call else strike):
        assert status == IvStatus.ABOVE_MAXIMUM
        return
    assert status == IvStatus.OK
    # Near the maximum price the price itself no longer holds the vol: compare through it.
    again = black76_price(forward, strike, tau, found, is_call)
    assert float(again) == pytest.approx(float(price), rel=40 * EPS * (1 + z * z))
    if total_vol < 3:
        assert float(found) == pytest.approx(vol, rel=1e-13)


@pytest.mark.parametrize(
    ("price", "strike", "tau", "is_call", "status"),
    [
        (20.0, 80.0, 0.5, True, IvStatus.NO_TIME_VALUE),
        (19.99, 80.0, 0.5, True, IvStatus.BELOW_INTRINSIC),
        (-0.01, 120.0, 0.5, True, IvStatus.BELOW_INTRINSIC),
        (0.0, 120.0, 0.5, True, IvStatus.NO_TIME_VALUE),
        (100.0, 80.0, 0.5, True, IvStatus.ABOVE_MAXIMUM),
        (80.0, 80.0, 0.5, False, IvStatus.ABOVE_MAXIMUM),
        (81.0, 80.0, 0.5, False, IvStatus.ABOVE_MAXIMUM),
        (np.nan, 80.0, 0.5, True, IvStatus.BAD_INPUT),
        (np.inf, 80.0, 0.5, True, IvStatus.BAD_INPUT),
        (5.0, -80.0, 0.5, True, IvStatus.BAD_INPUT),
        (5.0, np.nan, 0.5, True, IvStatus.BAD_INPUT),
        (25.0, 80.0, 0.0, True, IvStatus.BAD_INPUT),
        (25.0, 80.0, -1.0, True, IvStatus.BAD_INPUT),
        (25.0, 80.0, np.nan, True, IvStatus.BAD_INPUT),
        (25.0, 80.0, 0.5, True, IvStatus.OK),
    ],
)
def test_each_item_says_why_it_has_no_vol(backend, price, strike, tau, is_call, status):
    vol, found = implied_vol([price, 10.0], 100.0, [strike, 100.0], [tau, 0.5], is_call, return_status=True)
    assert IvStatus(found[0]) is status
    assert np.isnan(vol[0]) == (status is not IvStatus.OK)
    assert found[1] == IvStatus.OK, "one bad item must not spoil its neighbour"


def test_time_value_in_the_last_bit_is_recovered_or_refused(backend):
    # 1/3 is not exact: F − K rounds, and the compensated difference still sees which side the price is on.
    forward, strike = 1.0, 1.0 / 3.0
    intrinsic = forward - strike
    _, status = implied_vol(
        [np.nextafter(intrinsic, 0), np.nextafter(intrinsic, 1)],
        forward,
        strike,
        0.1,
        True,
        return_status=True,
    )
    assert status.tolist() == [IvStatus.BELOW_INTRINSIC, IvStatus.OK]


def test_vols_too_small_to_be_sure_of_are_refused(backend):
    # At the money the total vol is sqrt(2π) times the price.
    price = np.array([3e-290, 3e-291, 3e-291]) / math.sqrt(2.0 * math.pi)
    vol, status = implied_vol(price, 1.0, 1.0, [1.0, 1.0, 1e-200], True, return_status=True)
    assert status.tolist() == [IvStatus.OK, IvStatus.NOT_CONVERGED, IvStatus.NOT_CONVERGED]
    assert np.isnan(vol).tolist() == [False, True, True]


def test_tiny_prices_far_below_the_square_root_of_the_forward(backend):
    price = np.array([5e-324, 1e-320, 1e-300, 1e-200])
    vol, status = implied_vol(price, 95_000.0, 150_000.0, 0.1, True, return_status=True)
    assert (status == IvStatus.OK).all()
    assert (np.diff(vol) > 0).all()
    np.testing.assert_allclose(black76_price(95_000.0, 150_000.0, 0.1, vol[2:], True), price[2:], rtol=1e-11)


def test_at_the_money_the_bound_holds_with_room_to_spare(backend, exact):
    # Where the arguments of the erfcx polynomial were rounded carelessly, prices and vols were 2 eps off on
    # average and 10 at worst.
    forward, total_vol = 3300.0, np.linspace(0.01, 1.9, 500)
    price = black76_price(forward, forward, 1.0, total_vol, True)
    vol = implied_vol(price, forward, forward, 1.0, True)
    errors = []
    for p, s, found in zip(price, total_vol, vol, strict=True):
        want_price = forward * mp.erf(mp.mpf(s) / mp.sqrt(8))
        want = mp.sqrt(8) * mp.erfinv(mp.mpf(p) / forward)
        floor = p / forward / (want * mp.npdf(want / 2)) * EPS / 2
        errors.append((float((p / want_price - 1) / EPS), float((found / want - 1) / (EPS + floor))))
    assert (np.abs(errors).max(axis=0) <= [7.0, 7.0]).all()
    assert (np.abs(np.mean(errors, axis=0)) <= 1.0).all()


def test_a_price_many_orders_below_the_forward_is_no_failure(backend):
    # b·sqrt(F·K) over the price reaches 1e320 on the way, which must not stop the iteration.
    price, forward, strike = 2.0547737442445738e-234, 1.334855826598688e109, 2.9900283927717563e130
    vol, status = implied_vol(price, forward, strike, 1.0, True, return_status=True)
    assert status == IvStatus.OK
    assert float(vol) == pytest.approx(1.2247049092628637, rel=1e-14)


@pytest.mark.parametrize(
    ("smallest", "largest", "share_smallest", "share_largest"),
    [(9.2, 12.4, 0.38, 0.57), (28.0, 30.0, 0.478, 0.478), (8.0, 16.0, 0.3, 0.42)],
)
def test_large_total_vols_are_not_left_too_early(
    backend, exact, smallest, largest, share_smallest, share_largest
):
    # Around the inflection h = s/2 a last step short enough for s = 1 leaves 3e-14 at s = 10.
    forward = 1e-60
    s = np.linspace(smallest, largest, 40)
    strike = forward * np.exp(np.linspace(share_smallest, share_largest, 40) * s * s)
    price = black76_price(forward, strike, 1.0, s, True)
    got = implied_vol(price, forward, strike, 1.0, True)
    for found, p, k, v in zip(got, price, strike, s, strict=True):
        want = exact.vol(p, forward, k, 1.0, 1, v)
        h = math.log(k / forward) / v
        density = math.exp(-0.5 * (h * h + v * v / 4)) / math.sqrt(2 * math.pi)
        floor = p / math.sqrt(forward * k) / (v * density) * EPS / 2
        assert abs(found / want - 1) <= 8 * (EPS + floor), (v, h)


def test_prices_in_coin_keep_their_last_bit(backend, exact):
    # The same float64 price in coin, exactly: dollars would round it, and deep in the money that shows.
    forward, tau = 61_234.567, 0.13
    for strike, vol, sign in (
        (70_000.0, 0.6, 1),
        (40_000.0, 0.8, 1),
        (90_000.0, 0.7, -1),
        (61_234.0, 0.5, -1),
    ):
        price = float(exact.price(forward, strike, tau, vol, sign) / forward)
        got, status = implied_vol(price, forward, strike, tau, sign > 0, numeraire="coin", return_status=True)
        assert status == IvStatus.OK
        want = exact.vol(mp.mpf(price) * mp.mpf(forward), forward, strike, tau, sign, vol)
        assert abs(got / want - 1) < 8 * EPS, (strike, vol, sign)


def test_statuses_of_prices_in_coin(backend):
    price = [0.05, 1.0, 1.5, 0.0, -0.1, np.nan, 1e300, 0.2, 0.19]
    strike = [100.0, 100.0, 100.0, 120.0, 120.0, 100.0, 100.0, 80.0, 80.0]
    _, status = implied_vol(price, 100.0, strike, 0.2, True, numeraire="coin", return_status=True)
    assert [IvStatus(code).name for code in status] == [
        "OK",
        "ABOVE_MAXIMUM",
        "ABOVE_MAXIMUM",
        "NO_TIME_VALUE",
        "BELOW_INTRINSIC",
        "BAD_INPUT",
        "ABOVE_MAXIMUM",
        # 0.2 is a little more than a fifth as a double, and the exact product shows it.
        "OK",
        "BELOW_INTRINSIC",
    ]


def test_an_unknown_numeraire_is_refused():
    with pytest.raises(ConfigError, match="'btc'"):
        implied_vol(1.0, 100.0, 100.0, 0.5, True, numeraire="btc")


def test_every_status_has_a_remedy():
    texts = {status.describe() for status in IvStatus}
    assert len(texts) == len(IvStatus)


def test_scalars_and_shapes(backend):
    assert implied_vol(10.0, 100.0, 100.0, 0.5, True).shape == ()
    vol, status = implied_vol(np.full((2, 1), 10.0), 100.0, [90, 100, 110], 0.5, False, return_status=True)
    assert vol.shape == status.shape == (2, 3)
    assert status.dtype == np.uint8
