"""Parts of the error bars: what a quote tells, and bars that are longer where mids scatter."""

from dataclasses import replace

import numpy as np
import pytest

from ivhedge.surface import EssviSurface
from ivhedge.surface.flexible import FlexibleFit, FlexibleQuotes, fit_flexible
from ivhedge.surface.flexible.error_bars import error_bars

HALF, COUNT = 0.006, 25


@pytest.fixture(scope="module")
def fitted(small: EssviSurface) -> tuple[FlexibleQuotes, FlexibleFit]:
    k = np.concatenate([np.linspace(-2.5, 2.5, COUNT) * np.sqrt(theta) for theta in small.theta])
    mid = small.implied_vol(k, np.repeat(small.taus, COUNT))
    mid += HALF * np.random.default_rng(3).uniform(-0.4, 0.4, k.size)
    quotes = FlexibleQuotes(
        log_moneyness=k,
        bid_vol=mid - HALF,
        ask_vol=mid + HALF,
        mid_vol=mid,
        offsets=np.arange(small.taus.size + 1) * COUNT,
        expiries=small.expiries,
        taus=small.taus,
    )
    return quotes, fit_flexible(quotes, small)


def test_mids_that_scatter_more_than_their_noise_lengthen_the_bars_of_their_expiry(
    fitted: tuple[FlexibleQuotes, FlexibleFit],
) -> None:
    quotes, fit = fitted
    rows = quotes.rows(1)
    # Mids four noise levels from the fit, everywhere in one expiry.
    fitted_vol = fit.fitted_vol.copy()
    half = 0.5 * (quotes.ask_vol - quotes.bid_vol)
    fitted_vol[rows] = (quotes.mid_vol + 4.0 * fit.noise[1] * half)[rows]
    ratio = error_bars(quotes, replace(fit, fitted_vol=fitted_vol)) / error_bars(quotes, fit)
    own = np.sqrt(np.mean(((quotes.mid_vol - fit.fitted_vol) / half)[rows] ** 2)) / fit.noise[1]
    np.testing.assert_allclose(ratio[rows], 4.0 / max(own, 1.0), rtol=1e-9)
    np.testing.assert_allclose(np.delete(ratio, np.r_[rows]), 1.0, rtol=1e-12)


def test_a_band_without_a_mid_tells_less_than_a_mid_and_more_than_nothing(
    fitted: tuple[FlexibleQuotes, FlexibleFit],
) -> None:
    quotes, fit = fitted
    rows = quotes.rows(1)
    alone = np.zeros(quotes.mid_vol.size, dtype=np.bool_)
    alone[rows] = True
    bands = replace(quotes, mid_vol=np.where(alone, np.nan, quotes.mid_vol))
    unseen = replace(fit, used=fit.used & ~(alone & (np.arange(alone.size) % 2 == 0)))
    by_mids, by_bands, by_half_of_the_bands = (
        np.median(error_bars(q, f)[rows]) for q, f in ((quotes, fit), (bands, fit), (bands, unseen))
    )
    assert 1.2 * by_mids < by_bands < 0.95 * by_half_of_the_bands
