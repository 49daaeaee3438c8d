"""Error bars of the flexible surface: they cover the truth, and grow where quotes say less."""

from dataclasses import replace

import numpy as np
import pytest

from ivhedge.core.errors import CalibrationError, DataError
from ivhedge.surface import EssviSurface, PackedQuotes, calibrate_essvi
from ivhedge.surface.flexible import FlexibleFit, FlexibleQuotes, FlexibleSettings, fit_flexible
from ivhedge.surface.flexible.error_bars import error_bars
from ivhedge.surface.models.truth import TRUE_HESTON, TruthSettings, truth_quotes

FAST = FlexibleSettings()
HALF = 0.006


def noisy(surface: EssviSurface, seed: int, n_strikes: int = 31) -> FlexibleQuotes:
    k = np.concatenate([np.linspace(-2.5, 2.5, n_strikes) * np.sqrt(theta) for theta in surface.theta])
    true = surface.implied_vol(k, np.repeat(surface.taus, n_strikes))
    mid = true + HALF * np.random.default_rng(seed).uniform(-0.5, 0.5, k.size)
    return FlexibleQuotes(
        log_moneyness=k,
        bid_vol=mid - HALF,
        ask_vol=mid + HALF,
        mid_vol=mid,
        offsets=np.arange(surface.taus.size + 1) * n_strikes,
        expiries=surface.expiries,
        taus=surface.taus,
    )


@pytest.fixture(scope="module")
def surface(truth_surface: EssviSurface) -> EssviSurface:
    at = [2, 5, 8]
    names = ("expiries", "taus", "theta", "rho", "psi", "forwards")
    return replace(truth_surface, **{name: getattr(truth_surface, name)[at] for name in names})


@pytest.fixture(scope="module")
def fitted(surface: EssviSurface) -> tuple[FlexibleQuotes, FlexibleFit]:
    quotes = noisy(surface, 0)
    return quotes, fit_flexible(quotes, surface, FAST)


def test_bars_cover_the_truth(surface: EssviSurface) -> None:
    # Of a model whose density is smooth: kernels of some width cannot follow a smile with a kink.
    covered, ratio = [], []
    for seed in range(4):
        shown = TruthSettings(days=(7.0, 30.0, 90.0), n_strikes=40, tick=0.0)
        truth = truth_quotes(np.random.default_rng(seed), TRUE_HESTON, shown)
        bands = truth.quotes
        quotes = FlexibleQuotes(
            log_moneyness=bands.log_moneyness,
            bid_vol=bands.bid_vol,
            ask_vol=bands.ask_vol,
            mid_vol=bands.mid_vol,
            offsets=bands.offsets,
            expiries=surface.expiries,
            taus=bands.taus,
        )
        slices = calibrate_essvi(
            PackedQuotes(
                log_moneyness=bands.log_moneyness,
                vol=bands.mid_vol,
                weight=2.0 / (bands.ask_vol - bands.bid_vol),
                offsets=bands.offsets,
                taus=bands.taus,
            )
        ).params
        theta, rho, psi = slices.T
        backbone = replace(surface, taus=bands.taus, theta=theta, rho=rho, psi=psi)
        fit = fit_flexible(quotes, backbone, FAST)
        bars = error_bars(quotes, fit, FAST)
        covered.append(np.abs(fit.fitted_vol - truth.true_vol) <= 1.96 * bars)
        ratio.append(np.median(2.0 * bars / (bands.ask_vol - bands.bid_vol)))
    assert 0.90 <= np.mean(covered) <= 0.99
    # A bar longer than the noise of one mid would cover without having used its neighbours.
    assert 0.02 < np.mean(ratio) < 0.25


def test_bars_are_longer_beyond_the_quotes(fitted: tuple[FlexibleQuotes, FlexibleFit]) -> None:
    quotes, fit = fitted
    deviation = float(np.sqrt(fit.surface.backbone.theta[1]))
    inner, outer = error_bars(
        quotes, fit, FAST, log_moneyness=np.array([0.0, 4.0]) * deviation, expiry=np.array([1, 1])
    )
    assert outer > 3.0 * inner


def test_points_agree_with_quotes(fitted: tuple[FlexibleQuotes, FlexibleFit]) -> None:
    quotes, fit = fitted
    owner = np.repeat(np.arange(quotes.taus.size), np.diff(quotes.offsets))
    order = np.random.default_rng(1).permutation(owner.size)
    some = error_bars(quotes, fit, FAST, log_moneyness=quotes.log_moneyness[order], expiry=owner[order])
    np.testing.assert_allclose(some, error_bars(quotes, fit, FAST)[order], rtol=1e-9)


def test_bars_follow_the_noise(fitted: tuple[FlexibleQuotes, FlexibleFit]) -> None:
    quotes, fit = fitted
    less = error_bars(quotes, fit, FAST)
    more = error_bars(quotes, replace(fit, noise=3.0 * fit.noise), FAST)
    assert np.median(more / less) > 1.5


def test_nothing_believed_is_infinite(fitted: tuple[FlexibleQuotes, FlexibleFit]) -> None:
    quotes, fit = fitted
    used = fit.used.copy()
    used[quotes.rows(1)] = False
    bars = error_bars(quotes, replace(fit, used=used), FAST)
    assert np.isinf(bars[quotes.rows(1)]).all()
    assert np.isfinite(bars[quotes.rows(0)]).all()


def test_wrong_input_is_refused(fitted: tuple[FlexibleQuotes, FlexibleFit]) -> None:
    quotes, fit = fitted
    with pytest.raises(DataError, match="together"):
        error_bars(quotes, fit, log_moneyness=np.zeros(1))
    with pytest.raises(DataError, match="finite"):
        error_bars(quotes, fit, log_moneyness=np.array([np.nan]), expiry=np.array([0]))
    with pytest.raises(DataError, match="positions"):
        error_bars(quotes, fit, log_moneyness=np.zeros(1), expiry=np.array([9]))
    with pytest.raises(CalibrationError, match="of the fit"):
        error_bars(quotes, replace(fit, used=fit.used[:-1]), FAST)
