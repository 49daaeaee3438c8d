"""Objectives: revaluation against the room of risk, own risk, and what each programme leaves."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError, UnknownInstrument
from ivhedge.hedge import Band, HedgeLimits, HedgeState, PlanStatus, RiskModel, plan_hedge
from ivhedge.hedge.objectives import (
    BucketedVega,
    ConditionalValueAtRisk,
    DeltaGamma,
    DeltaGammaVega,
    FactorNeutral,
    MinimumVariance,
    ResidualVols,
)
from ivhedge.hedge.objectives.residual import own_risk
from ivhedge.hedge.objectives.revalue import factor_values
from ivhedge.hedge.objectives.rows import TailSample
from ivhedge.hedge.objectives.tail import tail_mean
from ivhedge.pricing import black76_greeks
from ivhedge.risk.factors import factor_loadings
from ivhedge.risk.legs import price_legs

from ._models import MODEL, SCENARIOS, model_of, scenarios_of
from ._stub import COSTS, NOW, StubSurface, book_of, market_of, option, perpetual, universe

SURFACE = StubSurface(skew=-0.1, carry=0.03)
MARKET = market_of(SURFACE, universe(), half_spread=0.005)
LIMITS = HedgeLimits(numeraire="usd", delta=Band.around(0.05))
STRANGLE = book_of((option(30, "90000"), "-20"), (option(30, "70000", False), "-20"))
DEAR = RiskModel(risk_price=1.0)
PLAIN = MinimumVariance(model=MODEL)


def plan(objective, book=STRANGLE, limits=LIMITS, market=MARKET, risk=DEAR, **kwargs):
    return plan_hedge(
        book, SURFACE, market, limits, HedgeState(), costs=COSTS, risk=risk, objective=objective, **kwargs
    )


LEGS = [
    (option(30), "-3"),
    (option(60, "70000", False), "2"),
    (option(30, coin=False), "-1"),
    (perpetual(), "5000"),
    (perpetual(days=90), "2000"),
    (perpetual(coin=False), "-20000"),
]


@pytest.mark.parametrize("coin", [False, True])
def test_one_pricing_call_gives_what_one_factor_at_a_time_gives(coin):
    book = book_of(*LEGS)
    one = factor_loadings(book, {"BTC": SURFACE}, MODEL, NOW)
    legs = price_legs([(p.instrument, p.quantity) for p in book.positions], {"BTC": SURFACE}, NOW)
    all_at_once = factor_values(legs, SURFACE, MODEL, coin=coin)
    expected = one.coin if coin else one.usd
    np.testing.assert_allclose(all_at_once.odd.T, expected, rtol=1e-10, atol=1e-9 * np.abs(expected).max())


def test_the_even_part_of_spot_is_its_gamma():
    small = model_of(scales=(1e-3, 0.01, 0.02, 0.008, 0.004, 0.002))
    flat = StubSurface()
    legs = price_legs([(option(30), Decimal(1)), (perpetual(), Decimal(100))], {"BTC": flat}, NOW)
    found = factor_values(legs, flat, small, coin=False).even_spot
    greeks = black76_greeks(80_000.0, 80_000.0, 30 / 365, 0.5, True, names=("delta", "gamma"))
    # A log move bends the forward too: half of (gamma F^2 + delta F) u^2.
    bend = float(greeks["gamma"]) * 80_000.0**2 + float(greeks["delta"]) * 80_000.0
    assert found[0] == pytest.approx(0.5 * bend * 1e-6, rel=1e-3)
    assert found[1] == pytest.approx(0.5 * 1000.0 * 1e-6, rel=1e-3)


def test_own_risk_is_vega_times_its_vol_and_only_options_have_it():
    legs = price_legs([(option(30), Decimal(-2)), (perpetual(), Decimal(9))], {"BTC": StubSurface()}, NOW)
    risk = own_risk(legs, StubSurface(), ResidualVols.flat(0.01), 4.0)
    vega = black76_greeks(80_000.0, 80_000.0, 30 / 365, 0.5, True, names=("vega",))["vega"]
    assert risk.tolist() == pytest.approx([-2 * float(vega) * 0.01 * 2.0, 0.0])


def test_the_variance_of_a_plan_is_that_of_the_model():
    result = plan(replace(PLAIN, residual=ResidualVols.flat(0.0)), risk=RiskModel(risk_price=0.0))
    linear = factor_loadings(STRANGLE, {"BTC": SURFACE}, MODEL, NOW).exposure()
    legs = price_legs([(p.instrument, p.quantity) for p in STRANGLE.positions], {"BTC": SURFACE}, NOW)
    even = factor_values(legs, SURFACE, MODEL, coin=False).even_spot.sum()
    expected = float(linear @ MODEL.correlation @ linear) + 3.0 * even**2
    # Greeks that are not counted keep a ten-thousandth of their own variance.
    assert result.variance_before == pytest.approx(expected, rel=2e-3)


def test_own_risk_keeps_a_plan_from_piling_into_one_option():
    twins = market_of(SURFACE, [perpetual(), option(28, "80000"), option(28, "81000")], half_spread=0.005)
    book = book_of((option(30, "80500"), "-20"))

    def share(vol):
        objective = replace(PLAIN, residual=ResidualVols.flat(vol))
        result = plan(objective, book, market=twins, risk=RiskModel(aversion=1e-3))
        sizes = [abs(float(leg.quantity)) for leg in result.legs if leg.instrument.is_option]
        return max(sizes) / sum(sizes)

    assert share(0.05) < 0.55 < share(0.0)


def test_a_held_contract_offsets_its_own_risk():
    held = universe()[5]
    book = book_of((held, "-5"))
    result = plan(replace(PLAIN, residual=ResidualVols.flat(0.05)), book, risk=RiskModel(risk_price=5.0))
    own = {f.name: (f.before, f.after) for f in result.factors}["residual"]
    assert own[1] < 0.2 * own[0]
    assert [leg.instrument.key for leg in result.legs if leg.instrument.is_option] == [held.key]


@pytest.mark.parametrize(
    "objective",
    [
        BucketedVega(),
        DeltaGamma(),
        DeltaGammaVega(),
        PLAIN,
        FactorNeutral(model=MODEL),
        ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9),
    ],
)
@pytest.mark.parametrize("numeraire", ["usd", "coin"])
def test_every_objective_lowers_its_risk_and_never_its_value(objective, numeraire):
    result = plan(objective, limits=replace(LIMITS, numeraire=numeraire))
    assert result.status is PlanStatus.OK
    assert any(leg.instrument.is_option for leg in result.legs)
    assert result.objective_after < result.objective_before
    assert result.variance_after < 0.5 * result.variance_before
    assert abs(result.exposures_after["delta"]) <= 0.051


def test_no_objective_is_bucketed_vega():
    assert plan(None).to_dict() == plan(BucketedVega()).to_dict()


def test_vega_counts_by_tenor_as_one_or_not_at_all():
    ladder = book_of((option(20, "80000"), "-10"), (option(150, "80000"), "-10"))
    none, buckets, one = (
        plan(o, ladder).variance_before for o in (DeltaGamma(), BucketedVega(), DeltaGammaVega())
    )
    assert none < buckets < one
    calendar = book_of((option(20, "80000"), "-20"), (option(150, "80000"), "10"))
    _, buckets, one = (
        plan(o, calendar).variance_before for o in (DeltaGamma(), BucketedVega(), DeltaGammaVega())
    )
    assert one < buckets
    gamma = replace(LIMITS, gamma_1pct=Band.around(0.02))
    result = plan(DeltaGamma(), limits=gamma, risk=RiskModel(risk_price=0.0))
    assert abs(result.exposures_after["gamma_1pct"]) <= 0.025
    assert max(abs(v) for k, v in result.exposures_after.items() if k.startswith("vega")) > 100.0


def test_factor_bands_are_met():
    bands = {"BTC.level": Band.around(500.0), "BTC.skew": Band.around(200.0)}
    before = plan(FactorNeutral(model=MODEL)).exposures_before
    assert abs(before["BTC.level"]) > 500.0
    result = plan(FactorNeutral(model=MODEL, bands=bands), risk=RiskModel(risk_price=0.0))
    assert result.status is PlanStatus.OK
    for name, band in bands.items():
        assert abs(result.exposures_after[name]) <= 1.1 * band.upper


def test_correlated_factors_hedge_each_other_only_where_that_is_trusted():
    related = model_of(rho=-0.15)
    trusting, strict = (plan(kind(model=related)) for kind in (MinimumVariance, FactorNeutral))
    assert trusting.variance_before != pytest.approx(strict.variance_before, rel=1e-3)


def test_tail_mean_by_hand():
    profits = np.array([-4.0, 1.0, -2.0, 3.0])
    even = np.full(4, 0.25)
    assert tail_mean(profits, even, 0.5) == pytest.approx(3.0)
    # Three eighths: the worst quarter, and half a quarter of the next.
    assert tail_mean(profits, even, 0.625) == pytest.approx((0.25 * 4 + 0.125 * 2) / 0.375)
    assert tail_mean(np.column_stack((profits, -profits)), even, 0.75).tolist() == [4.0, 3.0]


def test_the_tail_hedge_beats_the_variance_hedge_in_the_tail():
    tail = ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.95)
    result = plan(tail)
    half = plan(tail, risk=RiskModel(risk_price=0.3))
    assert result.objective_after < result.objective_before
    assert half.cost_usd <= result.cost_usd


def test_coin_held_counts_in_usd_factors():
    from ivhedge.core import Money, currency

    cash = (Money.from_exact(Decimal(2), currency("BTC")),)
    spot = plan(PLAIN, book_of(cash=cash)).exposures_before["BTC.spot"]
    assert spot == pytest.approx(2 * 80_000 * 0.03)
    result = plan(ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9), book_of(cash=cash))
    assert result.variance_after < 0.05 * result.variance_before


def test_a_trigger_that_does_not_fire_still_tells_the_risk():
    from ivhedge.hedge import IntervalTrigger

    state = HedgeState(last_hedge_ns=NOW - 1, trigger=IntervalTrigger(6.0))
    for objective in (PLAIN, ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9)):
        found = plan_hedge(STRANGLE, SURFACE, MARKET, LIMITS, state, costs=COSTS, objective=objective)
        assert (found.status, found.legs) == (PlanStatus.NO_ACTION, ())
        assert found.variance_before > 0.0


def test_what_does_not_cover_the_underlying_is_refused():
    with pytest.raises(ConfigError, match="spot factor of BTC"):
        plan(MinimumVariance(model=model_of("ETH")))
    with pytest.raises((ConfigError, UnknownInstrument), match="scenarios"):
        plan(ConditionalValueAtRisk(scenarios=scenarios_of("ETH")))
    with pytest.raises(ConfigError, match="bands on factors"):
        FactorNeutral(model=MODEL, bands={"BTC.levle": Band.around(1.0)})
    with pytest.raises(ConfigError, match="at least 1000 scenarios"):
        ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.999)
    with pytest.raises(ConfigError, match="kurtosis"):
        MinimumVariance(model=MODEL, kurtosis=1.0)
    with pytest.raises(ConfigError, match="at or above 0"):
        ResidualVols.flat(-0.01)
    with pytest.raises(DataError, match="positive definite"):
        replace(MODEL, correlation=np.ones((6, 6)))
    with pytest.raises(DataError, match="after a move"):
        plan(MinimumVariance(model=model_of(scales=(0.03, 0.01, 0.6, 0.008, 0.004, 0.002))))


def test_a_sample_keeps_its_weights():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(200))
    weighted = replace(SCENARIOS, weights=weights)
    a, b = (plan(ConditionalValueAtRisk(scenarios=s, level=0.9)) for s in (SCENARIOS, weighted))
    assert a.objective_before != pytest.approx(b.objective_before, rel=1e-6)
    assert TailSample.__slots__
