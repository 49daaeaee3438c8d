import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import DataError
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.risk.attribution import PERPETUAL, SpotPath, bridge

from ._book import EXPIRIES, SETTLES, T0, book, hourly, marked, surface

T1 = T0 + 6 * NS_PER_HOUR + 7 * 60_000_000_000


def lay(legs, start, end, path=None, step=NS_PER_HOUR, stickiness=0.5):
    return bridge(
        legs,
        start,
        end,
        np.ones(legs.count, dtype=bool),
        path=path,
        max_step_ns=step,
        skew_stickiness=stickiness,
    )


@given(st.floats(-1.0, 2.0), st.floats(85_000, 95_000), st.floats(0.3, 0.8), st.booleans())
@settings(max_examples=30, deadline=None)
def test_ends_are_the_marks_and_parts_are_the_moves(stickiness, spot, level, with_path):
    legs = book()
    start = marked(legs, surface(T0), noise=0.003)
    end = marked(legs, surface(T1, spot=spot, level=level, skew=-0.05), noise=-0.002)
    laid = lay(legs, start, end, hourly() if with_path else None, stickiness=stickiness)
    assert np.diff(laid.ts_ns).max() <= NS_PER_HOUR
    assert laid.forward[0].tolist() == start.forward.tolist()
    assert laid.forward[-1].tolist() == end.forward.tolist()
    options = legs.is_option
    assert laid.vol[0, options] == pytest.approx(start.vol[options], rel=1e-12)
    assert laid.vol[-1, options] == pytest.approx(end.vol[options], rel=1e-12)
    moves = laid.slide + laid.surface + laid.own
    assert moves[:, options] == pytest.approx(np.diff(laid.vol[:, options], axis=0), abs=1e-12)
    assert (laid.vol[:, options] > 0).all()
    assert laid.share.sum(axis=0) == pytest.approx(np.ones(legs.count))


def test_spot_between_the_marks_follows_the_path_and_meets_the_index():
    legs, path = book(), hourly()
    laid = lay(legs, marked(legs, surface(T0)), marked(legs, surface(T1, spot=90_700.0)), path)
    assert laid.spot[[0, -1], 0] == pytest.approx([90_000.0, 90_700.0], rel=1e-12)
    inner = np.isin(laid.ts_ns, path.ts_ns)
    assert inner.sum() == 6
    ratio = laid.spot[:, 0] / path.at(laid.ts_ns)
    log_ratio = np.log(ratio)
    line = np.interp(laid.ts_ns - T0, [0, T1 - T0], log_ratio[[0, -1]])
    assert log_ratio == pytest.approx(line, abs=1e-12)


def test_sticky_strikes_keep_the_smile_and_sticky_moneyness_moves_it():
    legs = book()
    start, end = marked(legs, surface(T0)), marked(legs, surface(T1, spot=90_000.0))
    path = SpotPath(
        ts_ns=np.array([T0, T0 + 3 * NS_PER_HOUR, T1]), price=np.array([90_000.0, 93_000.0, 90_000.0])
    )
    sticky = lay(legs, start, end, path, stickiness=1.0)
    at = int(np.searchsorted(sticky.ts_ns, T0 + 3 * NS_PER_HOUR))
    ends = 0.5 * (sticky.vol[0, :4] + sticky.vol[-1, :4])
    assert np.abs(sticky.vol[at, :4] - ends).max() < 2e-3
    assert np.abs(sticky.slide).max() < 1e-12
    moving = lay(legs, start, end, path, stickiness=0.0)
    # A negative skew and a higher spot: the same strikes are farther down the smile.
    assert (moving.vol[at, [0, 2]] > sticky.vol[at, [0, 2]] + 5e-3).all()


def test_a_leg_that_expires_inside_stops_at_its_settlement():
    legs = book(expiry=[SETTLES, EXPIRIES[2]])
    t0, t1 = T0, SETTLES + 3 * NS_PER_HOUR
    settlement = np.array([91_111.0, 91_111.0, np.nan, np.nan, np.nan, np.nan])
    start = marked(legs, surface(t0))
    end = marked(legs, surface(t1, spot=91_500.0), settlement=settlement)
    laid = lay(legs, start, end, hourly(t0))
    at = int(np.flatnonzero(laid.ts_ns == SETTLES)[0])
    assert (laid.forward[at:, :2] == 91_111.0).all()
    assert (laid.tau[at:, :2] == 0.0).all()
    assert (laid.share[at:, :2] == 0.0).all()
    assert np.abs(np.diff(laid.vol[:, :2], axis=0)[at - 1 :]).max() == 0.0
    assert np.isfinite(laid.vol[:, :4]).all()
    assert np.abs(laid.slide[:2, :2]).min() > 0.0  # on the smile of the start until then
    assert laid.forward[-1, 2] == end.forward[2]


def test_without_surfaces_the_vol_is_straight_in_variance_and_all_of_it_the_marks_own():
    legs = book()
    start, end = marked(legs, surface(T0)), marked(legs, surface(T1, level=0.6))
    blind = [
        type(m)(**{n: getattr(m, n) for n in m.__slots__ if n != "surface"}, surface=None)
        for m in (start, end)
    ]
    laid = lay(legs, *blind)
    assert np.abs(laid.surface).max() == 0.0
    assert np.abs(laid.slide).max() == 0.0
    u = (laid.ts_ns - T0) / (T1 - T0)
    expected = (1 - u)[:, None] * start.vol[:4] ** 2 + u[:, None] * end.vol[:4] ** 2
    assert laid.vol[:, :4] ** 2 == pytest.approx(expected, rel=1e-12)


def test_one_step_has_two_states_and_a_hole_in_the_path_is_divided():
    legs = book()
    start, end = marked(legs, surface(T0)), marked(legs, surface(T1))
    assert lay(legs, start, end, hourly(), step=None).ts_ns.tolist() == [T0, T1]
    holey = SpotPath(ts_ns=np.array([T0 - 1, T1 + 1]), price=np.array([90_000.0, 91_000.0]))
    assert np.diff(lay(legs, start, end, holey).ts_ns).max() <= NS_PER_HOUR


def test_roll_keeps_the_annual_rate_and_a_perpetual_has_none():
    legs = book()
    start, end = marked(legs, surface(T0)), marked(legs, surface(T1))
    laid = lay(legs, start, end)
    rolled = laid.roll[0] / laid.forward[0] - 1
    expected = np.expm1(-0.06 * (laid.tau[0] - laid.tau[1]))
    dated = legs.expiry_ns != PERPETUAL
    assert rolled[dated] == pytest.approx(expected[dated], rel=1e-6)
    assert legs.expiry_ns[4] == PERPETUAL
    assert rolled[4] == 0.0


def test_bad_input():
    legs = book()
    start, end = marked(legs, surface(T0)), marked(legs, surface(T1))
    with pytest.raises(DataError, match="end after the start"):
        lay(legs, end, start)
    short = SpotPath(ts_ns=np.array([T0 + 5, T1]), price=np.array([1.0, 1.0]))
    with pytest.raises(DataError, match="spot path over"):
        lay(legs, start, end, short)
    for times, prices in (([2, 1], [1.0, 1.0]), ([1, 2], [1.0, np.nan]), ([1], [1.0]), ([1, 2], [1.0, 0.0])):
        with pytest.raises(DataError, match="expected"):
            SpotPath(ts_ns=np.array(times), price=np.array(prices))
