"""The flexible surface: no arbitrage whatever the quotes, and a close fit of good ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import CalibrationError, ConfigError, DataError
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.market import clean_chain, quote_vols, read_chains
from ivhedge.surface import EssviSurface, certify, density_factor, fit_surface
from ivhedge.surface.flexible import (
    FlexibleQuotes,
    FlexibleSettings,
    SliceStatus,
    fit_flexible,
    flexible_quotes,
)

FAST = FlexibleSettings()


def quotes_around(
    surface: EssviSurface, *, half: float = 0.004, n_strikes: int = 21, seed: int | None = None
) -> FlexibleQuotes:
    """Bands around a surface, with mids moved at random inside them where a seed is given."""
    n = surface.taus.size
    k = np.concatenate([np.linspace(-2.5, 2.5, n_strikes) * np.sqrt(theta) for theta in surface.theta])
    tau = np.repeat(surface.taus, n_strikes)
    mid = surface.implied_vol(k, tau)
    if seed is not None:
        mid = mid + half * np.random.default_rng(seed).uniform(-0.5, 0.5, mid.size)
    return FlexibleQuotes(
        log_moneyness=k,
        bid_vol=mid - half,
        ask_vol=mid + half,
        mid_vol=mid,
        offsets=np.arange(n + 1) * n_strikes,
        expiries=surface.expiries,
        taus=surface.taus,
    )


@pytest.fixture(scope="module")
def small(truth_surface: EssviSurface) -> EssviSurface:
    """Four expiries of the true surface."""
    at = [0, 3, 5, 8]
    names = ("expiries", "taus", "theta", "rho", "psi", "forwards")
    return replace(truth_surface, **{name: getattr(truth_surface, name)[at] for name in names})


def test_exact_quotes_are_met(small: EssviSurface) -> None:
    quotes = quotes_around(small)
    fit = fit_flexible(quotes, small, FAST)
    assert fit.inside.all()
    assert fit.used.all()
    assert fit.converged
    assert np.abs(fit.fitted_vol - quotes.mid_vol).max() < 1.5e-3


def test_smile_that_the_backbone_cannot_follow(small: EssviSurface) -> None:
    quotes = quotes_around(small)
    steps = quotes.log_moneyness / np.sqrt(np.repeat(small.theta, np.diff(quotes.offsets)))
    lift = 0.03 * np.minimum(steps * steps, 4.0) / 4.0
    quotes = replace(
        quotes, bid_vol=quotes.bid_vol + lift, mid_vol=quotes.mid_vol + lift, ask_vol=quotes.ask_vol + lift
    )
    fit = fit_flexible(quotes, small, FAST)
    assert fit.inside.mean() > 0.95
    assert np.abs(fit.fitted_vol - quotes.mid_vol).mean() < 2e-3


def test_certificate_accepts_the_surface(small: EssviSurface) -> None:
    fit = fit_flexible(quotes_around(small, seed=1), small)
    assert fit.proof.proven
    assert fit.mix <= 0.01
    certificate = certify(fit.surface)
    assert certificate.valid
    assert certificate.min_density > 0.0


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), spoiled=st.floats(0.0, 0.5), half=st.floats(1e-3, 0.05))
def test_no_arbitrage_whatever_the_quotes(
    small: EssviSurface, seed: int, spoiled: float, half: float
) -> None:
    rng = np.random.default_rng(seed)
    quotes = quotes_around(small, half=half, n_strikes=11)
    error = np.where(rng.random(44) < spoiled, rng.uniform(-0.25, 0.4, 44), rng.normal(0.0, half, 44))
    mid = np.maximum(quotes.mid_vol + error, 0.02)
    low = np.maximum(mid - half, 0.01)
    bid = np.where(rng.random(44) < 0.1, np.nan, low)
    mid = np.where(np.isnan(bid), np.nan, mid)
    quotes = replace(quotes, bid_vol=bid, mid_vol=mid, ask_vol=low + 2.0 * half)
    surface = fit_flexible(quotes, small, FAST).surface
    assert (surface.weight >= 0.0).all()
    assert np.abs(surface.weight.sum(axis=1) - 1.0).max() < 1e-12
    assert np.abs((surface.weight * surface.mean).sum(axis=1) - 1.0).max() < 1e-12
    k = np.linspace(-8.0, 8.0, 401) * np.sqrt(small.theta[0])
    taus = np.sort(np.concatenate((small.taus, 0.5 * (small.taus[1:] + small.taus[:-1]), [0.001, 1.0])))
    w, slope, curvature = surface.derivatives(k, taus[:, None])
    assert np.isfinite(w).all()
    assert (w > 0.0).all()
    g = (1 - k * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + curvature / 2
    assert g.min() > -1e-9
    assert (np.diff(w, axis=0) >= -1e-6 * w[1:]).all()


def test_density_is_a_law_with_mean_one(small: EssviSurface) -> None:
    surface = fit_flexible(quotes_around(small, seed=2), small, FAST).surface
    tau = float(small.taus[1])
    k = np.linspace(-20.0, 20.0, 8001) * np.sqrt(small.theta[1])
    w, slope, curvature = surface.derivatives(k, tau)
    d2 = -k / np.sqrt(w) - 0.5 * np.sqrt(w)
    g = density_factor(k, w, slope, curvature)
    density = g * np.exp(-0.5 * d2 * d2) / np.sqrt(2.0 * np.pi * w)
    assert np.trapezoid(density, k) == pytest.approx(1.0, abs=1e-6)
    assert np.trapezoid(np.exp(k) * density, k) == pytest.approx(1.0, abs=1e-6)


def test_derivatives_are_those_of_the_variance(small: EssviSurface) -> None:
    surface = fit_flexible(quotes_around(small, seed=3), small, FAST).surface
    tau, h = 0.03, 1e-4
    k = np.linspace(-0.3, 0.3, 13)
    w, slope, curvature = surface.derivatives(k, tau)
    up, down = surface.total_variance(k + h, tau), surface.total_variance(k - h, tau)
    np.testing.assert_allclose(slope, (up - down) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(curvature, (up + down - 2 * w) / h**2, atol=1e-4)


def test_variance_at_the_money_is_linear_between_expiries(small: EssviSurface) -> None:
    surface = fit_flexible(quotes_around(small), small, FAST).surface
    first, second = small.taus[1:3]
    middle = float(surface.total_variance(0.0, 0.5 * (first + second)))
    ends = surface.total_variance(0.0, np.array([first, second]))
    assert middle == pytest.approx(float(ends.mean()), rel=1e-9)


def test_far_wings_are_finite_and_below_lee(small: EssviSurface) -> None:
    surface = fit_flexible(quotes_around(small), small, FAST).surface
    k = np.array([-400.0, -50.0, 50.0, 400.0])
    w, slope, _ = surface.derivatives(k, 0.5)
    assert np.isfinite(w).all()
    assert (np.abs(slope) < 2.0).all()
    assert (np.sign(slope) == np.sign(k)).all()


def test_bad_quotes_are_not_believed(small: EssviSurface) -> None:
    quotes = quotes_around(small, seed=4)
    bad = np.random.default_rng(5).random(quotes.mid_vol.size) < 0.1
    lift = np.where(bad, 0.2, 0.0)
    spoiled = replace(
        quotes, bid_vol=quotes.bid_vol + lift, mid_vol=quotes.mid_vol + lift, ask_vol=quotes.ask_vol + lift
    )
    fit = fit_flexible(spoiled, small, FAST)
    assert not fit.used[bad].any()
    assert fit.used[~bad].all()
    assert np.abs(fit.fitted_vol - quotes.mid_vol).max() < 0.01


def one_expiry_replaced(quotes: FlexibleQuotes, keep: np.ndarray) -> FlexibleQuotes:
    """Rows kept, offsets made anew."""
    counts = [int(keep[quotes.rows(e)].sum()) for e in range(quotes.taus.size)]
    return FlexibleQuotes(
        log_moneyness=quotes.log_moneyness[keep],
        bid_vol=quotes.bid_vol[keep],
        ask_vol=quotes.ask_vol[keep],
        mid_vol=quotes.mid_vol[keep],
        offsets=np.concatenate(([0], np.cumsum(counts))),
        expiries=quotes.expiries,
        taus=quotes.taus,
    )


def test_expiry_with_one_quote_keeps_the_backbone(small: EssviSurface) -> None:
    quotes = quotes_around(small)
    keep = np.ones(84, dtype=bool)
    keep[22:42] = False
    fit = fit_flexible(one_expiry_replaced(quotes, keep), small, FAST)
    assert fit.status == (SliceStatus.FITTED, SliceStatus.BACKBONE, SliceStatus.FITTED, SliceStatus.FITTED)
    k = np.linspace(-0.1, 0.1, 5)
    tau = float(small.taus[1])
    np.testing.assert_allclose(fit.surface.implied_vol(k, tau), small.implied_vol(k, tau), atol=0.03)


def test_only_one_sided_quotes_give_the_backbone(small: EssviSurface) -> None:
    quotes = quotes_around(small)
    nothing = np.full(quotes.mid_vol.size, np.nan)
    fit = fit_flexible(replace(quotes, bid_vol=nothing, mid_vol=nothing), small, FAST)
    assert set(fit.status) == {SliceStatus.BACKBONE}
    assert np.isfinite(fit.fitted_vol).all()


@pytest.mark.parametrize("level", [0.01, 9.0])
def test_extreme_vols(small: EssviSurface, level: float) -> None:
    theta = level**2 * small.taus
    backbone = replace(small, theta=theta, psi=np.minimum(0.5 * np.sqrt(theta), 1.0), rho=0.0 * theta)
    fit = fit_flexible(quotes_around(backbone, half=0.02 * level), backbone, FAST)
    assert np.isfinite(fit.fitted_vol).all()
    assert fit.inside.mean() > 0.9 or set(fit.status) == {SliceStatus.NOT_SOLVED}


def test_only_calls_and_duplicate_strikes(small: EssviSurface) -> None:
    quotes = quotes_around(small)
    calls = one_expiry_replaced(quotes, quotes.log_moneyness >= 0.0)
    doubled = FlexibleQuotes(
        log_moneyness=np.repeat(calls.log_moneyness, 2),
        bid_vol=np.repeat(calls.bid_vol, 2),
        ask_vol=np.repeat(calls.ask_vol, 2),
        mid_vol=np.repeat(calls.mid_vol, 2),
        offsets=2 * calls.offsets,
        expiries=calls.expiries,
        taus=calls.taus,
    )
    fit = fit_flexible(doubled, small, FAST)
    assert fit.inside.all()


def test_expiries_an_hour_apart(small: EssviSurface) -> None:
    expiries = small.expiries[1] + np.array([0, NS_PER_HOUR])
    taus = (expiries - small.ts_ns) / (365 * 24 * NS_PER_HOUR)
    theta, rho, psi = small.slice_parameters(taus)
    close = replace(
        small, expiries=expiries, taus=taus, theta=theta, rho=rho, psi=psi, forwards=small.forwards[:2]
    )
    fit = fit_flexible(quotes_around(close, seed=6), close)
    assert fit.proof.proven
    assert fit.inside.mean() > 0.95


def test_one_expiry_alone(small: EssviSurface) -> None:
    names = ("expiries", "taus", "theta", "rho", "psi", "forwards")
    alone = replace(small, **{name: getattr(small, name)[1:2] for name in names})
    fit = fit_flexible(quotes_around(alone), alone)
    assert fit.proof.proven
    assert fit.inside.all()


def test_crossed_band_is_refused(small: EssviSurface) -> None:
    quotes = quotes_around(small)
    with pytest.raises(CalibrationError, match="crossed"):
        replace(quotes, bid_vol=quotes.ask_vol, ask_vol=quotes.bid_vol)


def test_bad_arguments(small: EssviSurface) -> None:
    with pytest.raises(ConfigError, match="mix"):
        FlexibleSettings(mix=0.0)
    with pytest.raises(CalibrationError, match="positive finite bid"):
        replace(quotes_around(small), bid_vol=-quotes_around(small).bid_vol)
    surface = fit_flexible(quotes_around(small), small, FAST).surface
    with pytest.raises(DataError, match="log-moneyness"):
        surface.total_variance(np.nan, 0.1)
    with pytest.raises(DataError, match="tau"):
        surface.implied_vol(0.0, -1.0)
    assert float(surface.total_variance(0.1, 0.0)) == 0.0


@pytest.mark.recorded
def test_recorded_snapshot(recorded: Path) -> None:
    chain = read_chains(recorded / "deribit_chains" / "BTC", start="2026-03-02", end="2026-03-03")
    chain = chain.filter(chain["ts"] == chain["ts"].min())
    base = fit_surface(chain)
    quotes = flexible_quotes(quote_vols(clean_chain(chain).chain, base.forwards))
    fit = fit_flexible(quotes, base.surface)
    two_sided = np.isfinite(quotes.bid_vol) & np.isfinite(quotes.ask_vol)
    assert fit.inside[two_sided].mean() > 0.97
    assert fit.proof.proven


def one_tick_bid(quotes: FlexibleQuotes, row: int, lift: float) -> FlexibleQuotes:
    """The quotes with a wide bound without a mid in one row, its bid `lift` above the mid."""
    bid, ask, mid = quotes.bid_vol.copy(), quotes.ask_vol.copy(), quotes.mid_vol.copy()
    bid[row], ask[row] = mid[row] + lift, mid[row] + lift + 0.06
    mid[row] = np.nan
    return replace(quotes, bid_vol=bid, ask_vol=ask, mid_vol=mid)


def test_outermost_bound_is_used_where_all_others_can_be_met(small: EssviSurface) -> None:
    quotes = quotes_around(small, n_strikes=7)
    row = int(quotes.offsets[2]) - 1
    fit = fit_flexible(one_tick_bid(quotes, row, 0.05), small, FAST)
    assert fit.used.all()
    assert fit.inside.all()


def test_inner_bound_against_its_neighbours_is_not_used(small: EssviSurface) -> None:
    quotes = quotes_around(small)
    row = int(quotes.offsets[2]) - 6
    fit = fit_flexible(one_tick_bid(quotes, row, 0.05), small, FAST)
    others = np.arange(quotes.mid_vol.size) != row
    assert not fit.used[row]
    assert fit.inside[others].all()
