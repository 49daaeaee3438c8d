"""Lags and information shares of known truth."""

import numpy as np
import pytest

from ivhedge.core.errors import DataError
from ivhedge.surface.fusion import hayashi_yoshida, information_share, lead_lag, venue_lags

GRID = np.arange(-3.0, 3.01, 0.1)


def observed(seed: int, *lags: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """One walk seen late by each lag, at random times."""
    rng = np.random.default_rng(seed)
    fine = np.arange(0.0, 600.0, 0.05)
    walk = np.cumsum(1e-4 * rng.standard_normal(fine.size))
    series = []
    for lag in lags:
        times = np.sort(rng.uniform(5.0, 595.0, 900))
        series.append((times, np.interp(times - lag, fine, walk)))
    return series


def test_covariation_is_the_sum_over_overlapping_intervals() -> None:
    rng = np.random.default_rng(0)
    ta, tb = np.sort(rng.uniform(0, 10, 12)), np.sort(rng.uniform(0, 10, 9))
    xa, xb = rng.standard_normal(12), rng.standard_normal(9)
    plain = 0.0
    for i in range(11):
        for j in range(8):
            if min(ta[i + 1], tb[j + 1]) > max(ta[i], tb[j]):
                plain += (xa[i + 1] - xa[i]) * (xb[j + 1] - xb[j])
    assert hayashi_yoshida(ta, xa, tb, xb) == pytest.approx(plain, rel=1e-12)
    assert hayashi_yoshida(ta, xa, tb + 1.5, xb, 1.5) == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("lag", [0.5, 1.5, -1.0])
def test_lag_is_found(lag: float) -> None:
    a, b = observed(1, 0.0, lag)
    found = lead_lag(*a, *b, lags_s=GRID)
    assert found.lag_s == pytest.approx(lag, abs=0.25)
    assert found.clear
    assert found.std_error < 0.5


def test_unrelated_series_have_no_clear_lag() -> None:
    clear = sum(
        lead_lag(*observed(seed, 0.0)[0], *observed(seed + 50, 0.0)[0], lags_s=GRID).clear
        for seed in range(10)
    )
    assert clear <= 1


def test_lags_of_venues_leave_out_unclear_ones() -> None:
    a, b = observed(1, 0.0, 1.0)
    series = {"a": a, "b": b, "c": observed(99, 0.0)[0]}
    found = venue_lags(series, leader="a", lags_s=GRID)
    assert found["a"] == (0.0, 0.0)
    assert found["b"][0] == pytest.approx(1.0, abs=0.25)
    assert "c" not in found
    with pytest.raises(DataError, match="leader"):
        venue_lags(series, leader="z", lags_s=GRID)


def test_leader_has_the_information() -> None:
    rng = np.random.default_rng(2)
    walk = np.cumsum(1e-3 * rng.standard_normal(3000))
    late = np.concatenate((np.zeros(2), walk[:-2]))
    levels = np.stack((walk, late), axis=1) + 1e-4 * rng.standard_normal((3000, 2)) + [0.0, 0.01]
    share = information_share(["leader", "late"], levels)
    assert share.weight.sum() == pytest.approx(1.0)
    assert share.weight[0] > 0.8
    assert (share.lower <= share.upper).all()
    assert share.lower[0] > 0.8
    assert share.upper[1] < 0.2


def test_bad_input() -> None:
    a = observed(1, 0.0)[0]
    with pytest.raises(DataError, match="ascending times"):
        lead_lag(a[0][::-1], a[1], *a, lags_s=GRID)
    with pytest.raises(DataError, match="five ascending lags"):
        lead_lag(*a, *a, lags_s=[0.0])
    moving = np.random.default_rng(0).standard_normal(200)
    with pytest.raises(DataError, match="leave stale venues out"):
        information_share(["a", "b"], np.stack((moving, np.ones(200)), axis=1))
    with pytest.raises(DataError, match="finite samples"):
        information_share(["a", "b"], np.full((200, 2), np.nan))


def test_lag_beyond_the_grid_is_not_clear() -> None:
    a, b = observed(1, 0.0, 3.2)
    found = lead_lag(*a, *b, lags_s=GRID)
    assert found.lag_s == pytest.approx(GRID[-1])
    assert found.correlation > 0.1
    assert not found.clear


def test_swapping_the_series_turns_the_lag_around() -> None:
    a, b = observed(4, 0.0, 1.0)
    there, back = lead_lag(*a, *b, lags_s=GRID), lead_lag(*b, *a, lags_s=GRID)
    assert back.lag_s == pytest.approx(-there.lag_s, abs=0.15)
    assert hayashi_yoshida(*a, *b, 0.7) == pytest.approx(hayashi_yoshida(*b, *a, -0.7), rel=1e-9)


def test_order_of_venues_does_not_matter_to_shares() -> None:
    rng = np.random.default_rng(3)
    walk = np.cumsum(1e-3 * rng.standard_normal(1500))
    late = np.concatenate((np.zeros(1), walk[:-1]))
    levels = np.stack((walk, late, walk), axis=1) + 2e-4 * rng.standard_normal((1500, 3))
    one = information_share(["a", "b", "c"], levels)
    two = information_share(["c", "a", "b"], levels[:, [2, 0, 1]])
    for name in ("lower", "upper", "weight"):
        np.testing.assert_allclose(getattr(one, name)[[2, 0, 1]], getattr(two, name), atol=1e-8)
    assert (one.lower >= 0.0).all()
    assert (one.upper <= 1.0).all()
    assert one.weight.sum() == pytest.approx(1.0)


def test_an_exact_copy_has_no_share_of_its_own() -> None:
    walk = np.cumsum(np.random.default_rng(0).standard_normal((200, 1)), axis=0)
    with pytest.raises(DataError, match="leave one out"):
        information_share(["a", "b"], np.concatenate((walk, walk + 0.01), axis=1))
