from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.market.simulator import BTC, ETH, BatesParams, bates_otm_price, bates_price
from ivhedge.market.simulator.bates import bates_log_cf, truncation_range
from ivhedge.market.simulator.smiles import Points, smile_of
from ivhedge.pricing import black76_price

HALF_DAY = 0.5 / 365.0


def lewis_otm(k, tau, variance, p, *, exact=False):
    """Lewis (2001) single integral with the textbook little-trap cf, independent of the product code."""
    lib = mp if exact else np
    i = mp.mpc(0, 1) if exact else 1j
    kappa, theta, xi, rho = p.mean_reversion, p.long_variance, p.vol_of_vol, p.correlation

    def integrand(x):
        u = x - 0.5 * i
        d = lib.sqrt((kappa - rho * xi * i * u) ** 2 + xi**2 * (i * u + u * u))
        g = (kappa - rho * xi * i * u - d) / (kappa - rho * xi * i * u + d)
        e = lib.exp(-d * tau)
        ratio = (kappa - rho * xi * i * u - d) / xi**2
        drift = kappa * theta * (ratio * tau - 2.0 / xi**2 * lib.log((1 - g * e) / (1 - g)))
        jump_cf = lib.exp(i * u * p.jump_mean - u * u * p.jump_std**2 / 2) - 1
        mean_jump = lib.exp(p.jump_mean + p.jump_std**2 / 2) - 1
        log_cf = drift + ratio * (1 - e) / (1 - g * e) * variance
        log_cf += p.jump_intensity * tau * (jump_cf - i * u * mean_jump)
        return (lib.exp(-i * x * k + log_cf) / (x * x + 0.25)).real

    edges = np.linspace(0.0, 40.0 / np.sqrt(max(variance, 0.05) * tau), 25)
    if exact:
        integral = mp.quad(integrand, [mp.mpf(x) for x in edges])
    else:
        integral = sum(quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12)[0] for a, b in pairwise(edges))
    call = 1 - lib.exp(k / 2) / lib.pi * integral
    return float(call if k >= 0 else call - 1 + lib.exp(k))


@pytest.mark.parametrize("asset", [BTC, ETH])
@pytest.mark.parametrize("variance", [0.05, 0.3, 1.2])
@pytest.mark.parametrize("tau", [HALF_DAY, 7 / 365, 0.25, 1.0])
def test_prices_agree_with_an_independent_integral(asset, variance, tau):
    width = np.sqrt((asset.model.long_variance + asset.model.jump_variance) * tau)
    k = np.array([-3.5, -1.5, -0.3, 0.0, 0.8, 3.0]) * width
    expected = [lewis_otm(x, tau, variance, asset.model) for x in k]
    assert np.abs(bates_otm_price(1.0, np.exp(k), tau, variance, asset.model) - expected).max() < 1e-10


@pytest.mark.parametrize(("tau", "k"), [(HALF_DAY, -0.06), (1.0, 0.7)])
def test_prices_agree_with_25_digits(tau, k):
    with mp.workdps(25):
        expected = lewis_otm(mp.mpf(k), mp.mpf(tau), mp.mpf("0.3"), BTC.model, exact=True)
    assert bates_otm_price(1.0, np.exp(k), tau, 0.3, BTC.model) == pytest.approx(expected, abs=1e-14)


def test_without_jumps_and_vol_of_vol_the_price_is_black():
    flat = BatesParams(
        mean_reversion=1.0,
        long_variance=0.25,
        vol_of_vol=1e-4,
        correlation=0.0,
        jump_intensity=0.0,
        jump_mean=0.0,
        jump_std=0.0,
    )
    strikes = np.linspace(60.0, 160.0, 21)
    expected = black76_price(100.0, strikes, 0.3, 0.5, True)
    # vol of vol 1e-4 moves prices in proportion to its square, below 1e-8 of the forward
    assert bates_price(100.0, strikes, 0.3, 0.25, True, flat) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("asset", [BTC, ETH])
@pytest.mark.parametrize("variance", [0.001, 0.3, 2.0])
def test_no_butterfly_and_no_calendar_arbitrage_on_a_dense_grid(asset, variance):
    taus = np.array([0.02, 0.5, 1, 2, 7, 30, 90, 365]) / 365.0
    k = np.linspace(-2.5, 2.5, 2001)
    strikes = np.exp(k)
    calls = np.array([bates_price(1.0, strikes, tau, variance, True, asset.model) for tau in taus])
    slopes = np.diff(calls, axis=1) / np.diff(strikes)
    # 1e-11: rounding of prices over the smallest strike step, 2e-4
    assert slopes.min() > -1.0 - 1e-11
    assert slopes.max() < 1e-11
    assert np.diff(slopes, axis=1).min() > -1e-11
    assert np.diff(calls, axis=0).min() > -1e-14


def test_put_call_parity_is_exact():
    strikes = np.linspace(20_000.0, 300_000.0, 50)
    call = bates_price(90_000.0, strikes, 0.1, 0.3, True, BTC.model)
    put = bates_price(90_000.0, strikes, 0.1, 0.3, False, BTC.model)
    assert call - put == pytest.approx(90_000.0 - strikes, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    tau=st.floats(3e-5, 3.0),
    variance=st.floats(1e-4, 3.0),
    xi=st.floats(0.2, 3.0),
    rho=st.floats(-0.9, 0.9),
    intensity=st.floats(0.0, 20.0),
    std=st.floats(0.01, 0.3),
)
def test_range_holds_all_mass_and_prices_stay_bounded(tau, variance, xi, rho, intensity, std):
    params = BatesParams(
        mean_reversion=2.0,
        long_variance=0.4,
        vol_of_vol=xi,
        correlation=rho,
        jump_intensity=intensity,
        jump_mean=-0.02,
        jump_std=std,
    )
    lower, upper = truncation_range(tau, variance, params)
    assert lower < 0.0 < upper
    assert abs(bates_log_cf(np.array([-1j]), tau, variance, params)[0]) < 1e-10  # E[F_T] = F_0
    k = np.linspace(max(0.98 * lower, -30.0), min(0.98 * upper, 3.0), 40)
    otm = bates_otm_price(1.0, np.exp(k), tau, variance, params)
    assert otm[0] < 1e-11  # no mass is lost on the left
    assert np.all(otm <= np.minimum(1.0, np.exp(k)) + 1e-12)
    put = np.where(k < 0.0, otm, otm + np.expm1(k))
    slopes = np.diff(put) / np.diff(np.exp(k))
    # rounding of prices over the smallest strike step; a lost digit would show far above
    noise = 1e-14 * (1.0 + np.exp(k[1:])) / np.diff(np.exp(k))
    assert np.all(np.diff(slopes) > -10.0 * (noise[1:] + noise[:-1]))


def test_vols_are_smooth_and_near_their_known_limit():
    # at short times the vol at the money tends to sqrt(v); jumps add a little
    strike = np.array([100.0])
    points = Points(forward=strike, strike=strike, tau=np.array([60.0 / 3.15e7]), variance=np.array([0.3]))
    assert smile_of(points, BTC.model).vol[0] == pytest.approx(np.sqrt(0.3), rel=2e-3)


def test_a_worthless_strike_has_no_vol():
    points = Points(
        forward=np.array([100.0]), strike=np.array([1e6]), tau=np.array([0.01]), variance=np.array([0.3])
    )
    smile = smile_of(points, BTC.model)
    assert np.isnan(smile.vol[0])
    assert smile.atm_vol[0] > 0.4


@pytest.mark.parametrize(
    ("forward", "strike", "tau", "variance", "word"),
    [
        (np.nan, 1.0, 0.1, 0.3, "forward"),
        (1.0, -1.0, 0.1, 0.3, "strike"),
        (1.0, 1.0, 0.0, 0.3, "tau"),
        (1.0, 1.0, 0.1, -0.1, "variance"),
        (1.0, 1.0, 0.1, np.inf, "variance"),
        (1.0, 1.0, 1e-14, 1e-6, "cosine terms"),
    ],
)
def test_bad_input_is_refused(forward, strike, tau, variance, word):
    with pytest.raises(DataError, match=word):
        bates_otm_price(forward, strike, tau, variance, BTC.model)


@pytest.mark.parametrize("change", [{"vol_of_vol": 0.0}, {"correlation": 1.0}, {"jump_std": -0.1}])
def test_bad_parameters_are_refused(change):
    good = {name: getattr(BTC.model, name) for name in BatesParams.__slots__}
    with pytest.raises(ConfigError):
        BatesParams(**{**good, **change})
