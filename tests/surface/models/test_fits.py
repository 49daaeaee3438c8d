import dataclasses

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import CalibrationError, ConfigError, CrossedQuote, DataError
from ivhedge.market import clean_chain, estimate_forwards, quote_vols, read_chains
from ivhedge.surface import SelectionRules, select_quotes
from ivhedge.surface.models import (
    TRUE_BATES,
    TRUE_HESTON,
    RawSvi,
    TruthSettings,
    VolQuotes,
    fit_bates,
    fit_heston,
    fit_sabr,
    fit_svi,
    svi_arbitrage,
    truth_quotes,
)

SMALL = TruthSettings(days=(2.0, 14.0, 60.0, 365.0), n_strikes=25, width_sd=2.5)
K = np.linspace(-0.4, 0.3, 21)


def around(vol, tau=0.1, half=0.003):
    return VolQuotes.one_expiry(K, tau, vol - half, vol + half)


def test_svi_finds_the_truth():
    truth = RawSvi(a=0.01, b=0.1, rho=-0.4, m=0.02, sigma=0.08, tau=0.1)
    fit = fit_svi(around(truth.implied_vol(K)), slope_prior=0.0)
    assert fit.converged
    assert fit.warnings == ()
    assert fit.arbitrage.proven
    np.testing.assert_allclose(dataclasses.astuple(fit.params), dataclasses.astuple(truth), rtol=1e-6)
    # The weak prior of the wings costs next to nothing.
    assert fit_svi(around(truth.implied_vol(K))).rmse_vol_points < 0.02


def test_svi_is_proven_free_although_the_quotes_are_not():
    vogt = RawSvi(a=-0.0410, b=0.1331, m=0.3586, rho=0.3060, sigma=0.4153, tau=1.0)
    k = np.linspace(-1.5, 1.5, 30)
    vol = vogt.implied_vol(k)
    quotes = VolQuotes.one_expiry(k, 1.0, vol - 0.01, vol + 0.01)
    fit = fit_svi(quotes)
    assert fit.arbitrage.free
    assert svi_arbitrage(fit.params).proven
    assert "constrained" in fit.warnings[0]
    assert fit.rmse_vol_points < 1.0
    free = fit_svi(quotes, arbitrage_free=False)
    assert not free.arbitrage.free
    assert "arbitrage" in free.warnings[0]
    assert free.rmse_vol_points < fit.rmse_vol_points


def test_outliers_do_not_move_the_fit():
    truth = RawSvi(a=0.01, b=0.1, rho=-0.4, m=0.02, sigma=0.08, tau=0.1)
    vol = truth.implied_vol(K)
    vol[[3, 12, 17]] += [0.15, -0.1, 0.2]
    robust = fit_svi(around(vol)).params.implied_vol(K) - truth.implied_vol(K)
    plain = fit_svi(around(vol), huber=None).params.implied_vol(K) - truth.implied_vol(K)
    # A corner of SVI can still bend into one quote near its minimum, so the median is judged.
    assert np.median(np.abs(robust)) < 0.005 < np.median(np.abs(plain))


def test_tight_quotes_weigh_more():
    vol = 0.5 + 0.2 * K**2
    half = np.where(K < 0.0, 0.002, 0.05)
    bent = vol + np.where(K < 0.0, 0.0, 0.03)
    fit = fit_sabr(VolQuotes.one_expiry(K, 0.1, bent - half, bent + half))
    error = np.abs(fit.error_vol)
    assert np.median(error[K < 0.0]) < 0.3 * np.median(error[K >= 0.0])


@pytest.mark.parametrize(
    ("model", "fit"), [(TRUE_HESTON, fit_heston), (TRUE_BATES, fit_bates)], ids=["heston", "bates"]
)
def test_a_generated_surface_is_recovered(model, fit):
    truth = truth_quotes(np.random.default_rng(3), model, SMALL)
    found = fit(truth.quotes)
    assert found.converged
    assert found.arbitrage is None
    assert truth.rmse_vol_points(found.fitted_vol) < 0.25
    assert found.inside_bid_ask > 0.95
    assert any("Feller" in text for text in found.warnings)
    assert found.params.v0 == pytest.approx(model.v0, rel=0.1)


def test_clean_vols_give_the_parameters_back():
    taus = np.array([0.02, 0.1, 0.5])
    k = np.concatenate([np.linspace(-2.0, 2.0, 11) * np.sqrt(0.35 * tau) for tau in taus])
    vol = TRUE_HESTON.implied_vol(k, np.repeat(taus, 11))
    quotes = VolQuotes(
        log_moneyness=k,
        bid_vol=vol - 0.004,
        ask_vol=vol + 0.004,
        mid_vol=vol,
        offsets=np.array([0, 11, 22, 33]),
        taus=taus,
    )
    found = fit_heston(quotes)
    np.testing.assert_allclose(dataclasses.astuple(found.params), dataclasses.astuple(TRUE_HESTON), rtol=1e-4)
    held = fit_heston(quotes, bounds={"kappa": (0.5, 1.0)})
    assert any("kappa is at its upper bound" in text for text in held.warnings)
    again = fit_heston(quotes, start=found.params)
    assert again.iterations <= 3


def test_settings_are_checked():
    quotes = around(0.5 + 0.2 * K**2)
    with pytest.raises(ConfigError, match="huber"):
        fit_svi(quotes, huber=0.0)
    with pytest.raises(ConfigError, match="slope_prior"):
        fit_svi(quotes, slope_prior=-1.0)
    with pytest.raises(ConfigError, match="max_iterations"):
        fit_heston(quotes, max_iterations=0)
    with pytest.raises(ConfigError, match="positive lower bound of xi"):
        fit_heston(quotes, bounds={"xi": (-1.0, 2.0)})
    with pytest.raises(ConfigError, match="low < high"):
        fit_bates(quotes, bounds={"rho": (0.5, -0.5)})


def test_a_stop_before_the_minimum_is_said():
    fit = fit_sabr(around(0.5 + 0.8 * K**2), max_iterations=1)
    assert not fit.converged
    assert "before a minimum" in fit.warnings[-1]


@pytest.mark.parametrize(("fit", "least"), [(fit_svi, 5), (fit_sabr, 3), (fit_heston, 5), (fit_bates, 8)])
def test_fewer_quotes_than_parameters_are_refused(fit, least):
    few = least - 1
    quotes = VolQuotes.one_expiry(K[:few], 0.1, np.full(few, 0.5), np.full(few, 0.52))
    with pytest.raises(CalibrationError, match=f"at least {least} quotes"):
        fit(quotes)
    # Repetitions of one strike determine nothing.
    same = VolQuotes.one_expiry(np.zeros(9), 0.1, np.full(9, 0.5), np.full(9, 0.52))
    with pytest.raises(CalibrationError, match="distinct"):
        fit(same)


def test_slice_models_refuse_several_expiries():
    truth = truth_quotes(np.random.default_rng(3), settings=SMALL)
    for fit in (fit_svi, fit_sabr):
        with pytest.raises(CalibrationError, match="one expiry"):
            fit(truth.quotes)
    assert fit_sabr(truth.quotes.expiry(1)).n_quotes == np.diff(truth.quotes.offsets)[1]


def test_bad_quotes_are_refused_by_name():
    vol = np.full(K.size, 0.5)
    gap = vol.copy()
    gap[4] = np.nan
    with pytest.raises(DataError, match=r"finite bid_vol.*row 4"):
        VolQuotes.one_expiry(K, 0.1, gap, vol + 0.01)
    with pytest.raises(CrossedQuote, match=r"bid 0\.5 above ask 0\.49"):
        VolQuotes.one_expiry(K, 0.1, vol, vol - 0.01)
    with pytest.raises(DataError, match="vols above 0"):
        VolQuotes.one_expiry(K, 0.1, vol - 0.5, vol)
    with pytest.raises(DataError, match="mid_vol between"):
        VolQuotes.one_expiry(K, 0.1, vol, vol + 0.01, vol + 0.02)
    with pytest.raises(DataError, match="one shape"):
        VolQuotes.one_expiry(K, 0.1, vol[1:], vol, vol)
    for tau in (0.0, -0.1, np.nan):
        with pytest.raises(DataError, match="tau > 0"):
            VolQuotes.one_expiry(K, tau, vol, vol)
    whole = around(vol)
    for taus, offsets, words in (
        ([0.2, 0.1], [0, 10, 21], "ascending taus"),
        ([0.1, 0.1], [0, 10, 21], "ascending taus"),
        ([0.1, 0.2], [0, 21], "n \\+ 1"),
        ([0.1, 0.2], [0, 10, 20], "from 0 to 21"),
        ([], [0], "at least one expiry"),
    ):
        with pytest.raises(DataError, match=words):
            dataclasses.replace(whole, taus=np.array(taus), offsets=np.array(offsets))


@pytest.mark.recorded
def test_recorded_quotes_are_fitted(recorded):
    chains = read_chains(recorded / "deribit_chains" / "ETH")
    moments = chains["ts"].unique().sort()
    cleaned = clean_chain(chains.filter(pl.col("ts") == moments[len(moments) // 2])).chain
    vols = quote_vols(cleaned, estimate_forwards(cleaned))
    quotes = VolQuotes.from_selection(vols, select_quotes(vols, SelectionRules()))
    inside, free = [], []
    for number in range(1, quotes.taus.size, 4):
        one = quotes.expiry(number)
        if len(one) < 5:
            continue
        fit = fit_svi(one)
        inside.append(fit.inside_bid_ask)
        free.append(fit.arbitrage.proven)
        assert fit_sabr(one).rmse_vol_points < 5.0
    assert np.mean(inside) > 0.9
    assert all(free)
    late = quotes.expiry(quotes.taus.size - 1)
    heston = fit_heston(late, max_iterations=20)
    assert heston.rmse_vol_points < 2.0
