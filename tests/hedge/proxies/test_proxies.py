"""Vega of one market hedged with another's: estimates, refusals, what is worth its cost."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY
from ivhedge.hedge import HedgeLimits, Numeraire
from ivhedge.hedge.proxies import (
    ProxyCosts,
    ProxySettings,
    ProxyVerdict,
    VegaBucket,
    fit_moves,
    fit_proxies,
    proxy_bands,
    proxy_hedge,
)
from ivhedge.risk.factors import PanelSteps

TENORS, NODES = np.array([30.0, 60.0, 90.0]), np.array([-1.0, 0.0, 1.0])
BTC30, BTC90 = VegaBucket("BTC", 30.0), VegaBucket("BTC", 90.0)
ETH30, ETH60, ETH90 = (VegaBucket("ETH", days) for days in (30.0, 60.0, 90.0))
FREE = ProxyCosts(round_trip_points=0.0)
PLAIN = ProxySettings(ridge=0.0, half_life_days=1e9)


def steps_of(moves, days=0.25):
    """Steps whose vol points at the money are given per bucket."""
    size = len(next(iter(moves.values())))
    vols = {name: np.zeros((size, 3, 3)) for name in ("BTC", "ETH")}
    for bucket, values in moves.items():
        vols[bucket.underlying][:, TENORS.tolist().index(bucket.tenor_days), 1] = 0.01 * np.asarray(values)
    ends = NS_PER_DAY * 20_000 + np.arange(1, size + 1) * int(days * NS_PER_DAY)
    nothing = {name: np.zeros(size) for name in vols}
    return PanelSteps(
        tenor_days=TENORS,
        nodes=NODES,
        start_ns=ends - int(days * NS_PER_DAY),
        end_ns=ends,
        days=np.full(size, days),
        spot=nothing,
        basis=nothing,
        vols=vols,
        atm_vols={name: np.full((size, 3), 0.5) for name in vols},
        left_out=0,
    )


def market(size=600, noise=0.4, seed=1, beta=0.7):
    """ETH follows BTC at its own tenor with beta, but 90 days of ETH go their own way."""
    rng = np.random.default_rng(seed)
    level, slope = rng.standard_normal((2, size))
    btc30, btc90 = level + 0.3 * slope, 0.6 * level - 0.3 * slope
    own = rng.standard_normal((3, size))
    return {
        BTC30: btc30,
        BTC90: btc90,
        ETH30: beta * btc30 + noise * own[0],
        ETH60: 0.4 * btc30 + 0.5 * btc90 + noise * own[1],
        ETH90: 2.0 * own[2],
    }


def fit(moves=None, targets=(ETH30, ETH60, ETH90), proxies=(BTC30, BTC90), **kwargs):
    chosen = kwargs.pop("settings", PLAIN)
    steps = steps_of(market() if moves is None else moves, **kwargs)
    return fit_proxies(steps, targets, proxies, rng=np.random.default_rng(5), settings=chosen)


def test_weights_are_those_of_least_squares_and_found_again():
    moves = market()
    model = fit(moves)
    x = 2.0 * np.stack([moves[BTC30], moves[BTC90]], axis=1)  # per root day
    y = 2.0 * np.stack([moves[ETH30], moves[ETH60], moves[ETH90]], axis=1)
    np.testing.assert_allclose(model.weights, np.linalg.lstsq(x, y, rcond=None)[0].T, rtol=1e-6, atol=1e-9)
    assert model.weights[0] == pytest.approx([0.7, 0.0], abs=0.1)
    assert model.weights[1] == pytest.approx([0.4, 0.5], abs=0.12)
    np.testing.assert_allclose(model.proxy_covariance, x.T @ x / 600, rtol=1e-3)
    truth = 1.0 - np.array([0.4, 0.4]) ** 2 / np.var(0.5 * y[:, :2], axis=0)
    assert model.r2[:2] == pytest.approx(truth, abs=0.05)
    assert (model.r2_lower <= model.r2).all()
    assert (model.r2 <= model.r2_upper).all()


def test_a_market_of_its_own_and_a_new_regime_are_not_trusted():
    model = fit()
    assert model.trusted.tolist() == [True, True, False]
    assert "R² may be as low as" in model.reason[2]
    turned = market()
    turned[ETH30] = turned[ETH30].copy()
    turned[ETH30][-150:] = 0.3 * turned[ETH90][-150:]
    refused = fit(turned)
    assert not refused.trusted[0]
    # On the whole it still is well explained; lately it is not.
    assert refused.r2_lower[0] > PLAIN.trusted_r2
    assert "regime unlike the past" in refused.reason[0]


def test_nothing_of_the_future_is_used():
    moves = market()
    early = fit({b: m[:300] for b, m in moves.items()})
    other = market(seed=2)
    spliced = {b: np.concatenate([m[:300], other[b][300:]]) for b, m in moves.items()}
    again = fit_proxies(
        steps_of(spliced).rows(slice(0, 300)),
        early.targets,
        early.proxies,
        rng=np.random.default_rng(5),
        settings=PLAIN,
    )
    np.testing.assert_array_equal(early.weights, again.weights)
    assert early.reason == again.reason


def test_without_costs_the_hedge_leaves_only_what_cannot_be_explained():
    model = fit()
    hedge = proxy_hedge(model, {ETH30: 1000.0}, costs=FREE)
    np.testing.assert_allclose(list(hedge.vega_usd.values()), -1000.0 * model.weights[0])
    assert hedge.share == pytest.approx(1.0)
    assert hedge.sd_after_usd == pytest.approx(1000.0 * np.sqrt(model.residual_covariance[0, 0]), rel=1e-6)
    assert hedge.decisions[0].verdict is ProxyVerdict.HEDGE
    # What the future brings: the variance left is that of the noise.
    later = market(seed=9)
    left = 1000.0 * later[ETH30] + sum(v * later[b] for b, v in hedge.vega_usd.items())
    assert left.std() == pytest.approx(400.0, rel=0.1)


def test_refused_vega_gets_no_hedge_and_is_said():
    hedge = proxy_hedge(fit(), {ETH90: 1000.0}, costs=FREE)
    assert set(hedge.vega_usd.values()) == {0.0}
    assert hedge.decisions[0].verdict is ProxyVerdict.REFUSE
    assert hedge.sd_after_usd == hedge.sd_before_usd
    both = proxy_hedge(fit(), {ETH30: 1000.0, ETH90: 1000.0}, costs=FREE)
    alone = proxy_hedge(fit(), {ETH30: 1000.0}, costs=FREE)
    assert both.vega_usd == pytest.approx(alone.vega_usd)


def test_a_hedge_is_worth_less_the_more_it_costs():
    shares, verdicts = [], []
    for cost in (0.0, 1.0, 2.0, 100.0):
        hedge = proxy_hedge(fit(), {ETH30: 1000.0}, costs=ProxyCosts(round_trip_points=cost))
        shares.append(hedge.share)
        verdicts.append(hedge.decisions[0].verdict)
        gain = 0.1 * (hedge.sd_before_usd - hedge.sd_after_usd)
        assert gain >= hedge.cost_usd / 20.0 - 1e-9
    assert all(low <= high + 1e-12 for high, low in pairwise(shares))
    assert verdicts[0] is ProxyVerdict.HEDGE
    assert verdicts[-1] is ProxyVerdict.REFUSE
    assert shares[-1] == 0.0
    assert set(proxy_hedge(fit(), {ETH30: 1.0}, costs=ProxyCosts(risk_price=0.0)).vega_usd.values()) == {0.0}


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(-5e3, 5e3), min_size=3, max_size=3),
    st.floats(0.0, 3.0),
    st.floats(0.01, 1.0),
)
def test_no_other_hedge_is_better(vegas, cost, price):
    model = _MODEL
    costs = ProxyCosts(round_trip_points=cost, risk_price=price)
    book = dict(zip(model.targets, vegas, strict=True))
    hedge = proxy_hedge(model, book, costs=costs)
    trusted = np.where(model.trusted, vegas, 0.0)
    explained = model.weights @ model.proxy_covariance @ model.weights.T
    own = np.array(vegas) @ (explained + model.residual_covariance) @ np.array(vegas)
    pull = model.proxy_covariance @ (model.weights.T @ trusted)

    def value(h):
        variance = own + 2.0 * pull @ h + h @ model.proxy_covariance @ h
        return price * np.sqrt(max(variance, 0.0)) + cost / 20.0 * np.abs(h).sum()

    found = np.array(list(hedge.vega_usd.values()))
    best = value(found)
    rng = np.random.default_rng(0)
    for scale in (1.0, 30.0, 1000.0):
        for move in rng.standard_normal((40, 2)):
            assert best <= value(found + scale * move) + 1e-6 * max(best, 1.0)
    assert best <= value(np.zeros(2)) + 1e-6 * max(best, 1.0)


_MODEL = fit()


def test_bands_take_the_hedge_to_the_plan_of_the_other_coin():
    hedge = proxy_hedge(fit(), {ETH30: 1000.0, ETH60: -500.0}, costs=FREE)
    bands = proxy_bands(hedge, "BTC", half_width_usd=50.0, index=80_000.0)
    limits = HedgeLimits(vega=bands)
    by_tenor = {band.min_days: band.band.target * 80_000.0 for band in limits.vega}
    assert by_tenor[14.0] == pytest.approx(hedge.vega_usd[BTC30])
    assert by_tenor[75.0] == pytest.approx(hedge.vega_usd[BTC90])
    assert by_tenor[0.0] == 0.0
    in_usd = proxy_bands(hedge, "BTC", half_width_usd=50.0, numeraire=Numeraire.USD)
    assert in_usd[1].band.upper - in_usd[1].band.lower == pytest.approx(100.0)
    for wrong in (
        {"underlying": "SOL"},
        {"half_width_usd": -1.0},
        {"index": None},
        {"edges_days": (0.0, 30.0, 30.0)},
        {"edges_days": (0.0, 60.0)},
    ):
        given_ = {"underlying": "BTC", "half_width_usd": 50.0, "index": 80_000.0} | wrong
        with pytest.raises(ConfigError):
            proxy_bands(hedge, given_.pop("underlying"), **given_)


def test_two_proxies_that_are_one_share_the_hedge():
    moves = market()
    moves[BTC90] = moves[BTC30]
    model = fit(moves)
    assert model.weights[0] == pytest.approx([0.35, 0.35], abs=0.05)


def test_moves_of_any_kind_give_the_same_model():
    moves = market()
    steps = steps_of(moves)
    again = fit_moves(
        moves,
        (ETH30, ETH60, ETH90),
        (BTC30, BTC90),
        days=steps.days,
        end_ns=steps.end_ns,
        rng=np.random.default_rng(5),
        settings=PLAIN,
    )
    np.testing.assert_allclose(again.weights, fit(moves).weights)
    with pytest.raises(ConfigError, match="SOL"):
        fit_moves(
            moves,
            (VegaBucket("SOL", 30.0),),
            (BTC30,),
            days=steps.days,
            end_ns=steps.end_ns,
            rng=np.random.default_rng(5),
        )


def test_what_is_refused():
    moves = market()
    with pytest.raises(DataError, match="at least 112 steps"):
        fit({b: m[:100] for b, m in moves.items()})
    with pytest.raises(ConfigError, match="each bucket once"):
        fit(targets=(ETH30, BTC30))
    with pytest.raises(ConfigError, match="SOL 30 d"):
        fit(targets=(VegaBucket("SOL", 30.0),))
    holed = {**moves, ETH30: np.where(np.arange(600) == 7, np.nan, moves[ETH30])}
    with pytest.raises(DataError, match="ETH 30 d"):
        fit(holed)
    with pytest.raises(DataError, match="never does"):
        fit({**moves, BTC30: np.zeros(600)})
    steps = steps_of(moves)
    with pytest.raises(DataError, match="order of time"):
        fit_proxies(
            replace(steps, end_ns=steps.end_ns[::-1]), (ETH30,), (BTC30,), rng=np.random.default_rng(1)
        )
    twice = steps.end_ns.copy()
    twice[1] = twice[0]
    for wrong in (
        {"end_ns": twice},
        {"end_ns": steps.end_ns[1:]},
        {"days": 0.0 * steps.days},
        {"days": -steps.days},
    ):
        given_ = {"days": steps.days, "end_ns": steps.end_ns} | wrong
        with pytest.raises(DataError, match="expected"):
            fit_moves(moves, (ETH30,), (BTC30,), rng=np.random.default_rng(1), **given_)
    with pytest.raises(ConfigError, match="targets"):
        proxy_hedge(fit(), {BTC30: 1.0})
    with pytest.raises(DataError, match="finite"):
        proxy_hedge(fit(), {ETH30: float("nan")})
    with pytest.raises(ConfigError, match="BTC 90 d"):
        proxy_hedge(fit(), {ETH30: 1.0}, costs=ProxyCosts(round_trip_points={BTC30: 0.5}))
    for wrong in ({"half_life_days": 0.0}, {"warm_up": 1}, {"trusted_r2": 1.0}, {"ridge": float("nan")}):
        with pytest.raises(ConfigError):
            ProxySettings(**wrong)
    for wrong in ({"round_trip_points": -1.0}, {"holding_days": 0.0}, {"risk_price": float("nan")}):
        with pytest.raises(ConfigError):
            ProxyCosts(**wrong)
