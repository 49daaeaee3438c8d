"""A fit that starts from an earlier one: the same answer in fewer steps, and expiries that come and go."""

from dataclasses import replace

import numpy as np
import pytest

from ivhedge.surface import EssviSurface
from ivhedge.surface.flexible import FlexibleFit, FlexibleQuotes, FlexibleSettings, error_bars, fit_flexible

FAST = FlexibleSettings()
NAMES = ("expiries", "taus", "theta", "rho", "psi", "forwards")


def some_expiries(surface: EssviSurface, at: list[int]) -> EssviSurface:
    """Some of the expiries."""
    return replace(surface, **{name: getattr(surface, name)[at] for name in NAMES})


@pytest.fixture(scope="module")
def small(truth_surface: EssviSurface) -> EssviSurface:
    """Four expiries of the true surface."""
    return some_expiries(truth_surface, [0, 3, 5, 8])


def quotes_around(surface: EssviSurface, seed: int, noise: float = 0.004) -> FlexibleQuotes:
    """Noisy bands of 21 strikes per expiry."""
    k = np.concatenate([np.linspace(-2.5, 2.5, 21) * np.sqrt(theta) for theta in surface.theta])
    mid = surface.implied_vol(k, np.repeat(surface.taus, 21))
    mid = mid + noise * np.random.default_rng(seed).uniform(-1.0, 1.0, mid.size)
    return FlexibleQuotes(
        log_moneyness=k,
        bid_vol=mid - 0.004,
        ask_vol=mid + 0.004,
        mid_vol=mid,
        offsets=np.arange(surface.taus.size + 1) * 21,
        expiries=surface.expiries,
        taus=surface.taus,
    )


def assert_same(warm: FlexibleFit, cold: FlexibleFit) -> None:
    """Same program, same answer."""
    assert warm.converged
    assert (warm.used == cold.used).all()
    assert warm.objective == pytest.approx(cold.objective, rel=1e-6)
    assert np.abs(warm.fitted_vol - cold.fitted_vol).max() < 1e-4


def test_start_of_the_same_quotes(small: EssviSurface) -> None:
    quotes = quotes_around(small, 1)
    cold = fit_flexible(quotes, small, FAST)
    warm = fit_flexible(quotes, small, FAST, start=cold)
    assert_same(warm, cold)
    assert sum(warm.iterations) < 0.3 * sum(cold.iterations)


def test_start_of_nearly_the_same_quotes(small: EssviSurface) -> None:
    quotes = quotes_around(small, 2)
    earlier = fit_flexible(quotes, small, FAST)
    move = 1e-4 * np.random.default_rng(3).standard_normal(quotes.mid_vol.size)
    moved = replace(
        quotes,
        bid_vol=quotes.bid_vol + move,
        ask_vol=quotes.ask_vol + move,
        mid_vol=quotes.mid_vol + move,
        log_moneyness=quotes.log_moneyness + 1e-4,
    )
    cold, warm = fit_flexible(moved, small, FAST), fit_flexible(moved, small, FAST, start=earlier)
    assert_same(warm, cold)
    assert sum(warm.iterations) < sum(cold.iterations)


def test_an_earlier_fit_judges_while_quotes_move_little(small: EssviSurface) -> None:
    quotes = quotes_around(small, 2, noise=0.002)
    earlier = fit_flexible(quotes, small, FAST)
    assert not earlier.judged_again
    spoiled = quotes.mid_vol.copy()
    spoiled[30] += 0.2
    moved = replace(quotes, mid_vol=spoiled, bid_vol=spoiled - 0.004, ask_vol=spoiled + 0.004)
    theta = small.theta * 1.005
    backbone = replace(small, theta=theta, psi=small.psi * 1.002)
    warm = fit_flexible(moved, backbone, FAST, start=earlier)
    assert warm.judged_again
    assert warm.proof.proven
    # Kernels stay where they were, and a quote that went bad is found.
    assert (warm.surface.mean[:, : quotes.taus.size] == earlier.surface.mean[:, : quotes.taus.size]).all()
    assert np.flatnonzero(~warm.used).tolist() == [30]
    bars = error_bars(moved, warm, FAST)
    cold = fit_flexible(moved, backbone, FAST)
    assert np.flatnonzero(~cold.used).tolist() == [30]
    assert np.abs(warm.fitted_vol - cold.fitted_vol)[warm.used].max() < 5e-4
    np.testing.assert_allclose(bars, error_bars(moved, cold, FAST), rtol=0.15)


def test_quotes_that_moved_far_are_judged_anew(small: EssviSurface) -> None:
    quotes = quotes_around(small, 2, noise=0.002)
    earlier = fit_flexible(quotes, small, FAST)
    by = np.where(np.repeat(np.arange(4), 21) == 2, 0.02, 0.0)
    moved = replace(
        quotes, bid_vol=quotes.bid_vol + by, ask_vol=quotes.ask_vol + by, mid_vol=quotes.mid_vol + by
    )
    warm = fit_flexible(moved, small, FAST, start=earlier)
    assert not warm.judged_again
    assert_same(warm, fit_flexible(moved, small, FAST))
    # An at-the-money vol that moved by more than 1 % moves the kernels.
    backbone = replace(small, theta=1.03 * small.theta, psi=1.01 * small.psi)
    other = fit_flexible(quotes, backbone, FAST, start=earlier)
    assert (other.surface.mean[:, -1] > earlier.surface.mean[:, -1]).all()


@pytest.mark.parametrize("expiries", [[0, 5], [0, 3, 5, 8], [3], [1, 2]])
def test_start_with_other_expiries(truth_surface: EssviSurface, expiries: list[int]) -> None:
    before = some_expiries(truth_surface, expiries)
    earlier = fit_flexible(quotes_around(before, 4), before, FAST)
    now = some_expiries(truth_surface, [3, 5, 9])
    quotes = quotes_around(now, 5)
    assert_same(fit_flexible(quotes, now, FAST, start=earlier), fit_flexible(quotes, now, FAST))


def test_start_that_was_not_solved_is_left_out(small: EssviSurface) -> None:
    quotes = quotes_around(small, 6)
    cold = fit_flexible(quotes, small, FAST)
    warm = fit_flexible(quotes, small, FAST, start=replace(cold, memory=None))
    assert (warm.fitted_vol == cold.fitted_vol).all()


def test_same_input_same_bits(small: EssviSurface) -> None:
    quotes = quotes_around(small, 7)
    first, second = fit_flexible(quotes, small, FAST), fit_flexible(quotes, small, FAST)
    assert (first.surface.weight == second.surface.weight).all()
    assert (first.fitted_vol == second.fitted_vol).all()


def test_calendar_that_the_quotes_cross_is_mended(small: EssviSurface) -> None:
    quotes = quotes_around(small, 8, noise=0.0)
    late = np.repeat(np.arange(4), 21) == 1
    wing = late & (np.abs(quotes.log_moneyness) > 0.0) & (np.arange(84) % 21 > 17)
    fall = np.where(wing, -0.25, 0.0)
    crossed = replace(
        quotes, bid_vol=quotes.bid_vol + fall, mid_vol=quotes.mid_vol + fall, ask_vol=quotes.ask_vol + fall
    )
    fit = fit_flexible(crossed, small, FAST)
    k = np.linspace(-8.0, 8.0, 801) * np.sqrt(small.theta[0])
    variance = fit.surface.total_variance(k, small.taus[:, None])
    assert (np.diff(variance, axis=0) > -1e-9).all()


def test_an_empty_expiry_keeps_the_backbone(small: EssviSurface) -> None:
    quotes = quotes_around(small, 9)
    keep = np.repeat([True, False, True, True], 21)
    rest = FlexibleQuotes(
        log_moneyness=quotes.log_moneyness[keep],
        bid_vol=quotes.bid_vol[keep],
        ask_vol=quotes.ask_vol[keep],
        mid_vol=quotes.mid_vol[keep],
        offsets=np.array([0, 21, 21, 42, 63]),
        expiries=quotes.expiries,
        taus=quotes.taus,
    )
    fit = fit_flexible(rest, small, FAST)
    assert fit.converged
    k = np.linspace(-0.1, 0.1, 5)
    tau = float(small.taus[1])
    np.testing.assert_allclose(fit.surface.implied_vol(k, tau), small.implied_vol(k, tau), atol=0.03)
