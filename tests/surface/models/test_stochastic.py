import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.pricing import IvStatus, black76_price
from ivhedge.surface.models import TRUE_BATES, TRUE_HESTON, BatesModel, HestonModel
from ivhedge.surface.models._fourier import otm_prices


def by_mpmath(model, k, tau):
    """Heston (1993): two probabilities, his own form of the transform, mpmath quadrature at 30 digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(30):
        v0, kappa, theta, xi, rho = (
            mpmath.mpf(x) for x in (model.v0, model.kappa, model.theta, model.xi, model.rho)
        )
        rate, mean, sd = (
            (mpmath.mpf(model.jump_rate), mpmath.mpf(model.jump_mean), mpmath.mpf(model.jump_sd))
            if isinstance(model, BatesModel)
            else (mpmath.mpf(0), mpmath.mpf(0), mpmath.mpf(0))
        )
        x, t = mpmath.mpf(k), mpmath.mpf(tau)

        def phi(z):
            beta = kappa - rho * xi * z
            d = mpmath.sqrt(beta * beta + xi * xi * (z - z * z))
            g = (beta - d) / (beta + d)
            decay = mpmath.exp(-d * t)
            level = (beta - d) * t - 2 * mpmath.log((1 - g * decay) / (1 - g))
            slope = (beta - d) / xi**2 * (1 - decay) / (1 - g * decay)
            drift = mpmath.exp(mean + sd * sd / 2) - 1
            jump = mpmath.exp(z * mean + z * z * sd * sd / 2) - 1 - z * drift
            return mpmath.exp(kappa * theta / xi**2 * level + slope * v0 + rate * t * jump)

        def probability(shift):
            def integrand(u):
                return (mpmath.exp(-1j * u * x) * phi(shift + 1j * u) / (1j * u)).real

            scale = 1 / mpmath.sqrt(model.expected_variance(tau))
            edges = [0, *(scale * j * 2 for j in range(1, 12)), scale * 60, scale * 200]
            return mpmath.mpf(1) / 2 + mpmath.quad(integrand, edges) / mpmath.pi

        return float(probability(1) - mpmath.exp(x) * probability(0))


@pytest.mark.parametrize(
    ("strike", "price"),
    [
        (80.0, 26.774758743998854),
        (90.0, 20.933349000596710),
        (100.0, 16.070154917028834),
        (110.0, 12.132211516709845),
        (120.0, 9.024913483457836),
    ],
)
def test_lewis_reference_prices(strike, price):
    # A. Lewis' reference: spot 100, r 1 %, q 2 %, one year.
    model = HestonModel(v0=0.04, kappa=4.0, theta=0.25, xi=1.0, rho=-0.5)
    forward, discount = 100.0 * np.exp(-0.01), np.exp(-0.01)
    found = model.price(np.log(strike / forward), 1.0, True) * forward * discount
    assert float(found) == pytest.approx(price, abs=1e-10)


@pytest.mark.parametrize("model", [TRUE_HESTON, TRUE_BATES], ids=["heston", "bates"])
@pytest.mark.parametrize(("tau", "sds"), [(1 / 365, -2.0), (1 / 365, 2.5), (0.25, 0.0), (1.0, -1.5)])
@pytest.mark.slow
def test_prices_are_those_of_an_independent_integration(model, tau, sds):
    k = sds * np.sqrt(model.expected_variance(tau))
    assert float(model.price(k, tau, True)) == pytest.approx(by_mpmath(model, k, tau), abs=1e-10)


@pytest.mark.parametrize("days", [1, 7, 30, 365])
def test_prices_are_those_of_quantlib(days):
    ql = pytest.importorskip("QuantLib")
    today = ql.Date(5, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    rate = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, ql.Actual365Fixed()))
    m = TRUE_BATES
    process = ql.BatesProcess(
        rate,
        rate,
        ql.QuoteHandle(ql.SimpleQuote(1.0)),
        *(m.v0, m.kappa, m.theta, m.xi, m.rho, m.jump_rate, m.jump_mean, m.jump_sd),
    )
    engine = ql.BatesEngine(ql.BatesModel(process), 1e-13, 100_000)
    tau = days / 365
    k = np.linspace(-3.2, 3.2, 9) * np.sqrt(m.expected_variance(tau))
    theirs = []
    for x in k:
        payoff = ql.PlainVanillaPayoff(ql.Option.Call, float(np.exp(x)))
        option = ql.VanillaOption(payoff, ql.EuropeanExercise(today + days))
        option.setPricingEngine(engine)
        theirs.append(option.NPV())
    np.testing.assert_allclose(m.price(k, tau, True), theirs, rtol=0.0, atol=1e-10)


@st.composite
def models(draw):
    number = lambda low, high: draw(st.floats(low, high))  # noqa: E731
    return BatesModel(
        v0=number(0.02, 1.5),
        kappa=number(0.1, 20.0),
        theta=number(0.02, 1.5),
        xi=number(0.1, 6.0),
        rho=number(-0.9, 0.9),
        jump_rate=number(0.0, 50.0),
        jump_mean=number(-0.2, 0.2),
        jump_sd=number(0.005, 0.3),
    )


@settings(max_examples=20, deadline=None)
@given(models(), st.sampled_from([1 / 365, 0.05, 0.5, 2.0]))
def test_prices_have_no_arbitrage_and_keep_parity(model, tau):
    k = np.linspace(-3.0, 3.0, 61) * np.sqrt(model.expected_variance(tau))
    call, put = model.price(k, tau, True), model.price(k, tau, False)
    np.testing.assert_allclose(call - put, 1.0 - np.exp(k), rtol=0.0, atol=1e-12)
    slope = np.diff(call) / np.diff(np.exp(k))
    gap = np.diff(np.exp(k)).min()
    assert np.all(slope <= 1e-11 / gap)
    assert np.all(slope >= -1.0 - 1e-11 / gap)
    assert np.all(np.diff(slope) >= -4e-11 / gap)


@settings(max_examples=8, deadline=None)
@given(models(), st.sampled_from([2 / 365, 0.1, 1.0]))
def test_gradients_are_those_of_differences(model, tau):
    k = np.linspace(-2.0, 2.0, 7) * np.sqrt(model.expected_variance(tau))
    gradient = otm_prices(model, k, tau, gradient=True)[1]
    for row, name in enumerate(dataclasses.asdict(model)):
        value = getattr(model, name)
        step = 1e-4 * max(abs(value), 0.02)
        if name == "jump_rate" and value < 2.0 * step:
            continue
        up, down = (
            otm_prices(dataclasses.replace(model, **{name: value + side * step}), k, tau)[0]
            for side in (1.0, -1.0)
        )
        size = np.max(np.abs(gradient[row]))
        # Prices stand to 1e-11; the rest is the third derivative's share.
        np.testing.assert_allclose(
            gradient[row], (up - down) / (2.0 * step), rtol=0.0, atol=1e-4 * size + 2e-11 / step
        )


@pytest.mark.parametrize("xi", [1e-2, 1e-5, 1e-9])
def test_small_vol_of_variance_is_black(xi):
    model = HestonModel(v0=0.3, kappa=2.0, theta=0.5, xi=xi, rho=-0.4)
    k = np.linspace(-1.0, 1.0, 9)
    vol = np.sqrt(model.expected_variance(0.5) / 0.5)
    black = black76_price(1.0, np.exp(k), 0.5, vol, True)
    np.testing.assert_allclose(model.price(k, 0.5, True), black, rtol=0.0, atol=0.05 * xi + 1e-12)


def test_bates_without_jumps_is_heston():
    still = dataclasses.replace(TRUE_BATES, jump_rate=0.0)
    k = np.linspace(-0.4, 0.4, 9)
    np.testing.assert_array_equal(still.implied_vol(k, 0.1), TRUE_HESTON.implied_vol(k, 0.1))


def test_points_broadcast_and_total_variance_belongs_to_the_vol():
    k, tau = np.array([[-0.1], [0.2]]), np.array([0.05, 0.2, 1.0])
    vol = TRUE_HESTON.implied_vol(k, tau)
    assert vol.shape == (2, 3)
    assert vol[1, 2] == pytest.approx(float(TRUE_HESTON.implied_vol(0.2, 1.0)), rel=1e-9)
    np.testing.assert_allclose(TRUE_HESTON.total_variance(k, tau), vol**2 * tau, rtol=1e-14)


def test_points_out_of_reach_are_named():
    with pytest.raises(DataError, match="vols_with_status"):
        TRUE_HESTON.implied_vol([0.0, 3.0], 1 / 365)
    vol, status = TRUE_HESTON.vols_with_status([0.0, 3.0], 1 / 365)
    assert status.tolist() == [IvStatus.OK, IvStatus.NO_TIME_VALUE]
    assert np.isnan(vol).tolist() == [False, True]
    with pytest.raises(DataError, match="tau > 0"):
        TRUE_HESTON.implied_vol(0.0, -1.0)
    with pytest.raises(DataError, match="log-moneyness"):
        TRUE_HESTON.price(np.nan, 1.0, True)


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"v0": 0.0}, "v0 > 0"),
        ({"kappa": -1.0}, "kappa > 0"),
        ({"theta": 0.0}, "theta > 0"),
        ({"xi": 0.0}, "xi > 0"),
        ({"rho": 1.0}, r"\|rho\| < 1"),
        ({"v0": float("nan")}, "finite"),
    ],
)
def test_parameters_are_checked(change, condition):
    for model in (TRUE_HESTON, TRUE_BATES):
        with pytest.raises(ConfigError, match=condition):
            dataclasses.replace(model, **change)


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"jump_rate": -1.0}, "jump_rate >= 0"),
        ({"jump_sd": -0.1}, "jump_sd >= 0"),
        ({"jump_mean": 6.0}, "jump_mean"),
    ],
)
def test_jump_parameters_are_checked(change, condition):
    with pytest.raises(ConfigError, match=condition):
        dataclasses.replace(TRUE_BATES, **change)


def test_degenerate_parameters_are_refused_not_mispriced():
    model = HestonModel(v0=1e-8, kappa=1e-6, theta=1e-8, xi=1e5, rho=-0.9999999)
    with pytest.raises(DataError, match="degenerate"):
        model.price(0.0, 0.01, True)
