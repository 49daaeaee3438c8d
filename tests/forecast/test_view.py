"""Premium, expectation and targets against numbers that can be written down."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError, StaleQuote
from ivhedge.core.units import NS_PER_DAY
from ivhedge.forecast import OnlineForecaster, RandomWalkForecaster, forecast_term_structure
from ivhedge.forecast.view import (
    HoldingCosts,
    ViewRules,
    variance_outlook,
    variance_premium,
    vega_expectation,
    vega_targets,
)

RULES = ViewRules(capital_usd=1e6, max_vega_usd=1_000.0)
FREE = HoldingCosts(half_spread_points=0.0, hedge_cost_bps=0.0)


@dataclass(frozen=True)
class FlatSurface:
    """One vol everywhere."""

    ts_ns: int
    vol: float
    underlying: str = "BTC"

    @property
    def expiries(self):
        return np.array([self.ts_ns + 7 * NS_PER_DAY, self.ts_ns + 90 * NS_PER_DAY])

    def total_variance(self, log_moneyness, tau):
        k, t = np.broadcast_arrays(log_moneyness, tau)
        return self.vol**2 * t + 0.0 * k

    def implied_vol(self, log_moneyness, tau):
        k, _ = np.broadcast_arrays(log_moneyness, tau)
        return self.vol + 0.0 * np.asarray(k, dtype=np.float64)

    def forward(self, tau):
        return 100.0 + 0.0 * np.asarray(tau)


@pytest.fixture(scope="module")
def state(measures):
    return OnlineForecaster(RandomWalkForecaster(), measures, (1, 7, 14, 30, 60, 90))


@pytest.fixture(scope="module")
def as_of(state):
    return int(state.history.day_ns[-1]) + NS_PER_DAY


def test_the_outlook_at_the_end_of_a_day_is_the_forecast(state, as_of):
    tenors = np.array([1.0, 7.0, 10.0, 30.0])
    seen = variance_outlook(state, as_of, tenors / 365)
    stated = forecast_term_structure(state, tenors)
    np.testing.assert_allclose(seen.vol, stated.vol)
    np.testing.assert_allclose(seen.quantile(0.05), stated.low**2)
    np.testing.assert_allclose(seen.quantile(0.95), stated.high**2)
    np.testing.assert_allclose(seen.probability_below(seen.quantile(0.3)), 0.3)


def test_later_in_the_day_only_what_is_left_counts(state, as_of):
    noon = as_of + NS_PER_DAY // 2
    seen = variance_outlook(state, noon, np.array([6.5]) / 365)
    week = forecast_term_structure(state, [0.5, 7.0])
    total = week.vol[1] ** 2 * 7.0 - week.vol[0] ** 2 * 0.5
    np.testing.assert_allclose(seen.variance, total / 6.5)


def test_the_outlook_refuses_the_past_and_the_stale(state, as_of):
    with pytest.raises(DataError, match="only what was known"):
        variance_outlook(state, as_of - 1, [0.02])
    with pytest.raises(StaleQuote, match=r"2\.5 days"):
        variance_outlook(state, as_of + 5 * NS_PER_DAY // 2, [0.02])
    with pytest.raises(ConfigError, match="90"):
        variance_outlook(state, as_of, [0.5])
    with pytest.raises(ConfigError, match="probability"):
        variance_outlook(state, as_of, [0.02]).quantile(1.0)


def test_the_premium_of_a_flat_surface(state, as_of):
    tau = np.array([7.0, 30.0]) / 365
    outlook = variance_outlook(state, as_of, tau)
    fair = FlatSurface(as_of, float(outlook.vol[0]))
    seen = variance_premium(fair, state, tau)
    assert seen.variance[0] == pytest.approx(0.0, abs=1e-6)
    assert seen.atm[0] == pytest.approx(0.0, abs=1e-12)
    rich = variance_premium(FlatSurface(as_of, 2.0 * fair.vol), state, tau)
    assert rich.vol[0] == pytest.approx(fair.vol, rel=1e-5)
    assert (rich.probability_cheaper > seen.probability_cheaper).all()
    np.testing.assert_allclose(rich.score - seen.score, np.log(4.0) / outlook.log_sd, rtol=1e-4)


def test_the_expectation_by_hand(state, as_of):
    surface, tau = FlatSurface(as_of, 0.5), 30.0 / 365
    costs = HoldingCosts(half_spread_points=0.4, hedge_cost_bps=5.0, hedge_every_hours=6.0)
    seen = vega_expectation(surface, state, tau, costs=costs, holding_days=7.0)
    held, variance = 7.0 / 365, variance_outlook(state, as_of, 7.0 / 365).variance[0]
    assert seen.gamma[0] == pytest.approx(100 * (variance - 0.25) * held / (2 * 0.5 * tau))
    # Per trade: |d delta| = Gamma |dF|, E|dF| = F sqrt(2 v dt / pi), at 5 bp of the dollars traded.
    gamma = 1.0 / (0.5 * tau)
    each = 5e-4 * gamma * np.sqrt(2.0 * variance * (6.0 / 24 / 365) / np.pi)
    assert seen.hedging[0] == pytest.approx(100 * each * 7 * 4)
    assert seen.spread[0] == 0.8
    assert seen.roll[0] == 0.0
    to_expiry = vega_expectation(surface, state, 5.0 / 365, costs=costs, holding_days=7.0)
    assert to_expiry.spread[0] == 0.4
    assert to_expiry.holding[0] == pytest.approx(5.0 / 365)
    doubled = vega_expectation(surface, state, tau, costs=costs, variance_scale=2.0)
    assert doubled.expected_vol[0] == pytest.approx(np.sqrt(2.0 * variance))


def test_gamma_of_the_expectation_is_that_of_black(state, as_of):
    """A delta-hedged straddle on simulated paths earns what the formula says, to first order."""
    rng, vol, tau, held = np.random.default_rng(2), 0.5, 60.0 / 365, 2.0 / 365
    realised, steps, paths = 0.7, 48, 4000
    step = held / steps
    moves = realised * np.sqrt(step) * rng.standard_normal((paths, steps)) - 0.5 * realised**2 * step
    from ivhedge.pricing import black76_greeks, black76_price

    forward, earned = np.full(paths, 100.0), np.zeros(paths)
    for n in range(steps):
        left = tau - n * step
        call, put = (
            black76_greeks(forward, 100.0, left, vol, side, names=["delta"])["delta"]
            for side in (True, False)
        )
        after = forward * np.exp(moves[:, n])
        earned -= (call + put) * (after - forward)
        forward = after
    value = [
        sum(black76_price(f, 100.0, left, vol, side) for side in (True, False))
        for f, left in ((100.0, tau), (forward, tau - held))
    ]
    earned += value[1] - value[0]
    vega = 2.0 * float(black76_greeks(100.0, 100.0, tau, vol, True, names=["vega"])["vega"])
    expected = (realised**2 - vol**2) * held / (2.0 * vol * tau)
    assert earned.mean() / vega == pytest.approx(expected, rel=0.05)


def test_targets_follow_the_rules(state, as_of):
    vol = float(variance_outlook(state, as_of, 7.0 / 365).vol[0])
    cheap = vega_expectation(FlatSurface(as_of, 0.3 * vol), state, RULES.tenors, costs=FREE)
    view = vega_targets(cheap, RULES, ts_ns=as_of, underlying="BTC")
    assert all(0.0 < t.vega_usd <= 1_000.0 for t in view.targets)
    assert all(t.reason.startswith("long") for t in view.targets)
    rich = vega_expectation(FlatSurface(as_of, 5.0 * vol), state, RULES.tenors, costs=FREE)
    short = vega_targets(rich, RULES, ts_ns=as_of, underlying="BTC")
    assert all(t.vega_usd < 0.0 for t in short.targets)
    barred = vega_targets(rich, RULES, ts_ns=as_of, underlying="BTC", may_sell=False)
    assert [t.vega_usd for t in barred.targets] == [0.0, 0.0, 0.0]
    assert all("barred" in t.reason for t in barred.targets)
    kelly = replace(RULES, max_vega_usd=1e9)
    sized = vega_targets(rich, kelly, ts_ns=as_of, underlying="BTC").targets[1]
    assert sized.vega_usd == pytest.approx(-0.5 * 0.25 * 1e6 * rich.net[1] / rich.sd[1] ** 2)


def test_nothing_is_held_that_does_not_pay(state, as_of):
    fair = FlatSurface(as_of, float(variance_outlook(state, as_of, 7.0 / 365).vol[0]))
    dear = vega_expectation(fair, state, RULES.tenors, costs=HoldingCosts())
    view = vega_targets(dear, RULES, ts_ns=as_of, underlying="BTC")
    assert [t.vega_usd for t in view.targets] == [0.0, 0.0, 0.0]
    assert all("do not cover" in t.reason for t in view.targets)
    rich = vega_expectation(FlatSurface(as_of, 1.5), state, RULES.tenors, costs=FREE)
    timid = vega_targets(rich, replace(RULES, least_ratio=1e9), ts_ns=as_of, underlying="BTC")
    assert all("little against" in t.reason for t in timid.targets)
    assert view.to_dict()["targets"][0]["vega_usd_per_vol_point"] == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"capital_usd": np.nan},
        {"fraction": 0.0},
        {"ranges_days": ()},
        {"ranges_days": ((7.0, 30.0), (20.0, 60.0))},
        {"max_vega_usd": -1.0},
    ],
)
def test_rules_out_of_range(changes):
    with pytest.raises(ConfigError):
        replace(RULES, **changes)


def test_settings_out_of_range(state, as_of):
    surface = FlatSurface(as_of, 0.5)
    with pytest.raises(ConfigError):
        vega_expectation(surface, state, 0.1, costs=FREE, holding_days=0.0)
    with pytest.raises(ConfigError):
        HoldingCosts(hedge_every_hours=0.0)
    with pytest.raises(ConfigError):
        HoldingCosts(half_spread_points=np.nan)
    with pytest.raises(ConfigError, match="tenors"):
        vega_targets(vega_expectation(surface, state, 0.1, costs=FREE), RULES, ts_ns=as_of, underlying="BTC")
