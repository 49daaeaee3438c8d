"""Few options, holding periods, edges, and what a plan says when it cannot do what it was asked."""

import itertools
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError
from ivhedge.hedge import (
    Band,
    HedgeLimits,
    HedgeState,
    MarginGuard,
    PlanStatus,
    RiskModel,
    TenorBand,
    plan_hedge,
)
from ivhedge.hedge.objectives import ConditionalValueAtRisk, FactorNeutral, MinimumVariance
from ivhedge.hedge.plan import EdgeQuote, HoldingPeriod
from ivhedge.hedge.plan.select import _score, choose_options, reduce
from ivhedge.hedge.ratios import BlackScholes, SmileRatio, ratio_legs
from ivhedge.risk.legs import price_legs
from ivhedge.risk.margin import Account, load_margin_profile
from ivhedge.surface.dynamics import StickyMoneyness

from ._models import MODEL, SCENARIOS
from ._stub import COSTS, StubSurface, book_of, market_of, option, perpetual

SURFACE = StubSurface(skew=-0.1, carry=0.03)
STRIKES = ("60000", "65000", "70000", "75000", "80000", "85000", "90000", "95000", "100000")
OPTIONS = [option(days, k, k >= "80000" or k == "100000") for days in (10, 28, 56, 91) for k in STRIKES]
MARKET = market_of(SURFACE, [perpetual(), *OPTIONS], half_spread=0.01)
LIMITS = HedgeLimits(numeraire="usd", delta=Band.around(0.02))
BOOK = book_of((option(30, "92000"), "-30"), (option(45, "68000", False), "-20"), (option(60, "88000"), "15"))
DEAR = RiskModel(risk_price=1.0)
PLAIN = MinimumVariance(model=MODEL)


def plan(book=BOOK, limits=LIMITS, market=MARKET, risk=DEAR, objective=PLAIN, **kwargs):
    return plan_hedge(
        book, SURFACE, market, limits, HedgeState(), costs=COSTS, risk=risk, objective=objective, **kwargs
    )


def options_of(result):
    return [leg for leg in result.legs if leg.instrument.is_option]


def filled(book, result):
    held = {p.instrument.key: (p.instrument, p.quantity) for p in book.positions}
    for leg in result.legs:
        _, before = held.get(leg.instrument.key, (None, Decimal(0)))
        held[leg.instrument.key] = (leg.instrument, before + leg.quantity)
    return book_of(*((item, str(quantity)) for item, quantity in held.values() if quantity))


@pytest.mark.parametrize(
    "objective",
    [None, PLAIN, FactorNeutral(model=MODEL), ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9)],
)
def test_no_more_options_than_asked_for(objective):
    left = []
    for most in (0, 1, 2, 3, None):
        result = plan(objective=objective, max_hedge_options=most)
        assert result.status is PlanStatus.OK
        assert most is None or len(options_of(result)) <= most
        assert all(leg.quantity % leg.instrument.lot == 0 for leg in result.legs)
        left.append(result.objective_after)
    # The choice is a heuristic: more freedom may lose a little, not much.
    assert all(b <= a * 1.02 for a, b in itertools.pairwise(left))
    assert left[3] < 0.7 * left[0]


def test_forward_choice_is_close_to_the_best_pair_of_all():
    from ivhedge.hedge.plan import programme

    seen = []
    original = programme.choose_options
    try:
        programme.choose_options = lambda *args: seen.append(args) or original(*args)
        plan(max_hedge_options=2)
    finally:
        programme.choose_options = original
    reduced, usable, held, limit = seen[0]
    pairs = np.array([[i, j] for i in usable for j in usable if i < j])
    chosen = choose_options(reduced, usable, held, limit)
    best, found = float(_score(reduced, pairs).min()), float(_score(reduced, chosen[None, :])[0])
    assert found <= 1.03 * best
    assert reduce(reduced.problem, np.ones(len(MARKET.instruments), dtype=bool), 1.0).risk[0].shape[0] == 37


def test_hedges_that_are_held_fill_the_limit():
    first = plan(max_hedge_options=2)
    keys = {leg.instrument.key for leg in options_of(first)}
    assert len(keys) == 2
    moved = replace(SURFACE, spot=84_000.0)
    market = market_of(moved, [perpetual(), *OPTIONS], half_spread=0.001)
    again = plan_hedge(
        filled(BOOK, first),
        moved,
        market,
        LIMITS,
        HedgeState(),
        costs=COSTS,
        risk=DEAR,
        objective=PLAIN,
        max_hedge_options=2,
        hedge_keys=keys,
    )
    assert {leg.instrument.key for leg in options_of(again)} <= keys
    free = plan_hedge(
        filled(BOOK, first),
        moved,
        market,
        LIMITS,
        HedgeState(),
        costs=COSTS,
        risk=DEAR,
        objective=PLAIN,
        max_hedge_options=2,
    )
    assert not {leg.instrument.key for leg in options_of(free)} <= keys


def test_a_hedge_that_cannot_be_traded_still_counts():
    gone = option(30, "81000")
    book = book_of((option(30, "92000"), "-30"), (gone, "3"))
    assert options_of(plan(book, max_hedge_options=1))
    assert not options_of(plan(book, max_hedge_options=1, hedge_keys={gone.key}))


def test_books_about_to_expire_decline_by_themselves():
    risk, month = RiskModel(risk_price=0.1), HoldingPeriod(days=20.0)
    near = market_of(SURFACE, [perpetual(), *OPTIONS], half_spread=0.02)
    long = plan(book_of((option(60, "84000"), "-30")), market=near, risk=risk, holding=month)
    dying = book_of((option(3, "84000"), "-30"))
    bare = replace(month, least_life_days=0.0)
    short = plan(dying, market=near, risk=RiskModel(risk_price=0.02), holding=bare)
    assert options_of(long)
    assert not options_of(short)
    assert short.counted_days == pytest.approx(2.0)
    assert "no option is worth its cost" in short.notes[-1]
    assert "in and out" in short.notes[-1]
    assert not any("worth its cost" in note for note in long.notes)
    dear = RiskModel(risk_price=1.0)
    assert options_of(plan(dying, market=near, risk=dear, holding=bare))
    barred = plan(dying, market=near, risk=dear, holding=month)
    assert not options_of(barred)
    assert "lives for 3 days" in barred.notes[-1]
    # What is held may still go.
    held = filled(dying, plan(dying, market=near, risk=dear, holding=bare))
    keys = {p.instrument.key for p in held.positions if p.instrument.is_option} - {
        dying.positions[0].instrument.key
    }
    flat = book_of(*((p.instrument, str(p.quantity)) for p in held.positions if p.instrument.key in keys))
    tiny = book_of((option(3, "84000"), "-0.1"), *((p.instrument, str(p.quantity)) for p in flat.positions))
    assert options_of(plan(tiny, market=near, risk=dear, holding=month, hedge_keys=keys))


def test_longer_holding_buys_more_hedge():
    left = [
        plan(risk=RiskModel(risk_price=0.1), holding=HoldingPeriod(days=d)).variance_after
        for d in (0.5, 5.0, 25.0)
    ]
    assert left[0] > left[1] > left[2]


def test_counted_days():
    ten = HoldingPeriod(days=10.0)
    assert ten.counted_days(np.inf) == 10.0
    assert ten.counted_days(6.0) == pytest.approx(4.0)
    assert ten.counted_days(1e6) == pytest.approx(10.0, rel=1e-4)
    # By quadrature.
    t = (np.arange(10_000) + 0.5) / 1000.0
    assert ten.counted_days(30.0) == pytest.approx(np.sqrt(1.0 - t / 30.0).mean() * 10.0, rel=1e-6)


def test_a_hedge_on_is_not_turned_over_on_an_unchanged_market():
    risk, month = RiskModel(risk_price=0.2), HoldingPeriod(days=15.0)
    first = plan(risk=risk, holding=month, max_hedge_options=3)
    keys = {leg.instrument.key for leg in options_of(first)}
    second = plan(filled(BOOK, first), risk=risk, holding=month, max_hedge_options=3, hedge_keys=keys)
    assert keys
    assert second.cost_usd < 0.03 * first.cost_usd


def test_an_edge_is_taken_up_to_its_size_and_told_apart_from_cost():
    key = OPTIONS[13].key
    plain = plan(max_hedge_options=3)
    edge = {key: EdgeQuote(buy=400.0, max_contracts=2.5)}
    result = plan(max_hedge_options=3, edges=edge)
    leg = next(leg for leg in result.legs if leg.instrument.key == key)
    assert Decimal(0) < leg.quantity <= Decimal("2.5")
    assert result.edge_usd == pytest.approx(400.0 * float(leg.quantity))
    assert result.to_dict()["edge_usd"] == pytest.approx(result.edge_usd)
    assert leg.cost.total_usd > 0.0
    assert plain.edge_usd == 0.0
    assert result.objective_after < plain.objective_after


def test_an_edge_is_followed_no_further_by_many_plans():
    """The size counts what the book holds: one plan after the other does not go beyond it."""
    key, book, held = OPTIONS[20].key, BOOK, []
    for _ in range(4):
        book = filled(book, plan(book, edges={key: EdgeQuote(buy=2000.0, max_contracts=3.0)}))
        held += [p.quantity for p in book.positions if p.instrument.key == key]
    assert held == [Decimal(3)] * 4
    own = book_of((OPTIONS[20], "15"), (option(30, "92000"), "-30"))
    result = plan(own, edges={key: EdgeQuote(buy=2000.0, max_contracts=3.0)})
    assert all(leg.quantity < 0 for leg in result.legs if leg.instrument.key == key)


@given(
    st.lists(st.integers(0, len(OPTIONS) - 1), min_size=1, max_size=3, unique=True),
    st.floats(-3000.0, 3000.0),
    st.floats(-3000.0, 3000.0),
    st.sampled_from([0.5, 2.0, 7.3]),
    st.sampled_from([None, 400.0]),
    st.sampled_from([None, HoldingPeriod(days=10.0)]),
)
@settings(max_examples=12, deadline=None)
def test_plan_after_plan_an_edge_stays_within_its_size(rows, buy, sell, most, budget, holding):
    edges = {OPTIONS[i].key: EdgeQuote(buy=buy, sell=sell, max_contracts=most) for i in rows}
    book, limits = BOOK, replace(LIMITS, max_cost_usd=budget)
    for _ in range(3):
        book = filled(book, plan(book, limits, objective=None, edges=edges, holding=holding))
        for position in book.positions:
            if position.instrument.key in edges:
                assert not (buy > 0.0 and float(position.quantity) > most + 1e-9)
                assert not (sell > 0.0 and float(position.quantity) < -most - 1e-9)


def test_a_cap_by_an_edge_is_not_called_displayed_size():
    limits = replace(LIMITS, vega=(TenorBand(0, 1000, Band(5e4, 6e4, 5.5e4)),))
    edges = {item.key: EdgeQuote(buy=1e-6, max_contracts=3.0) for item in OPTIONS}
    result = plan(limits=limits, objective=None, edges=edges)
    assert result.status is PlanStatus.BEST_EFFORT
    assert f"size of the edge or of the hedge held of {OPTIONS[20].key}" in result.binding
    assert not any("displayed" in name for name in result.binding)


def test_a_holding_period_asks_for_a_risk_of_one_day():
    with pytest.raises(ConfigError, match="expected horizon_days 1 with a holding period, found 10"):
        plan(risk=RiskModel(horizon_days=10.0), holding=HoldingPeriod(days=10.0))


def test_scenarios_and_factor_bands_keep_the_horizon_of_the_risk():
    week = RiskModel(risk_price=1.0, horizon_days=7.0)
    tail = ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9)
    with pytest.raises(ConfigError, match="horizon of 7 days, found 1"):
        plan(risk=week, objective=tail)
    weekly = replace(SCENARIOS, horizon_ns=7 * SCENARIOS.horizon_ns)
    assert plan(risk=week, objective=replace(tail, scenarios=weekly)).status is PlanStatus.OK
    neutral = FactorNeutral(model=MODEL, bands={"BTC.level": Band.around(500.0)})
    with pytest.raises(ConfigError, match="horizon of 7 days, found 1"):
        plan(risk=week, objective=neutral)
    assert plan(risk=week, objective=replace(neutral, model=MODEL.over(7.0))).status is PlanStatus.OK
    # Without bands the model is taken over to the horizon.
    assert plan(risk=week, objective=FactorNeutral(model=MODEL)).status is PlanStatus.OK


def test_an_edge_both_ways_is_no_money_machine():
    edges = {item.key: EdgeQuote(buy=1e6, sell=1e6, max_contracts=3.0) for item in OPTIONS}
    result = plan(edges=edges)
    assert result.status is PlanStatus.OK
    assert all(abs(leg.quantity) <= 3 for leg in options_of(result))


def test_an_edge_does_not_push_a_plan_past_its_cost_limit():
    edges = {OPTIONS[13].key: EdgeQuote(buy=500.0, max_contracts=50.0)}
    limits = replace(LIMITS, max_cost_usd=200.0)
    result = plan(limits=limits, edges=edges)
    assert 0.0 < result.cost_usd <= 200.0


class Dearer:
    """Charges more than it said per contract, as fees per fill do."""

    def unit_cost(self, *args):
        return COSTS.unit_cost(*args)

    def charge(self, *args):
        cost = COSTS.charge(*args)
        return replace(cost, spread=1.4 * cost.spread, fee=1.4 * cost.fee)


@pytest.mark.parametrize("objective", [None, ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9)])
def test_a_plan_that_is_charged_more_than_expected_shrinks_and_does_not_vanish(objective):
    limits = replace(LIMITS, max_cost_usd=300.0)
    result = plan_hedge(
        BOOK, SURFACE, MARKET, limits, HedgeState(), costs=Dearer(), risk=DEAR, objective=objective
    )
    assert 200.0 < result.cost_usd <= 300.0
    assert result.objective_after < 0.1 * result.objective_before


def test_bad_terms_are_refused():
    with pytest.raises(ConfigError, match="instruments of the market"):
        plan(edges={"deribit:BTC-NONE": EdgeQuote(buy=1.0, max_contracts=1.0)})
    for bad in ({"max_contracts": np.inf}, {"max_contracts": 0.0}, {"buy": np.nan, "max_contracts": 1.0}):
        with pytest.raises(ConfigError):
            EdgeQuote(**bad)
    for bad in (
        {"days": 0.0},
        {"days": np.inf},
        {"days": 3.0, "exit_share": -1.0},
        {"days": 3.0, "least_life_days": -1.0},
    ):
        with pytest.raises(ConfigError):
            HoldingPeriod(**bad)
    with pytest.raises(ConfigError, match="max_hedge_options"):
        plan(max_hedge_options=-1)


def test_bands_that_contradict_each_other_are_named():
    # One option moves gamma and vega together: no gamma and a lot of vega cannot both be had.
    limits = replace(
        LIMITS,
        gamma_1pct=Band.around(0.001),
        vega=(TenorBand(0, 1000, Band(4000.0, 6000.0, 5000.0)),),
    )
    market = market_of(SURFACE, [perpetual(), option(30, "80000")])
    result = plan(book_of(), limits, market, objective=None)
    assert result.status is PlanStatus.BEST_EFFORT
    assert any("can be met alone, not together" in name for name in result.binding)


def test_zero_depth_is_named():
    result = plan(market=market_of(SURFACE, [perpetual(), *OPTIONS], size=0.0))
    assert (result.status, result.legs) == (PlanStatus.BEST_EFFORT, ())
    assert "no quote or size to trade with at 37 instruments" in result.binding
    assert "no tradable instrument" in result.binding


@given(
    st.lists(
        st.tuples(st.integers(0, len(OPTIONS) - 1), st.integers(-150, 150).filter(bool)),
        max_size=4,
        unique_by=lambda leg: leg[0],
    ),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([None, HoldingPeriod(days=2.0), HoldingPeriod(days=20.0, exit_share=0.0)]),
    st.sampled_from([None, PLAIN, FactorNeutral(model=MODEL)]),
    st.sampled_from([None, 300.0]),
)
@settings(max_examples=30, deadline=None)
def test_invariants(legs, most, holding, objective, budget):
    book = book_of(*((OPTIONS[i], str(Decimal(q) / 10)) for i, q in legs))
    limits = replace(LIMITS, max_contracts={"option": Decimal(12)}, max_cost_usd=budget)
    result = plan(book, limits, objective=objective, max_hedge_options=most, holding=holding)
    assert result.status is not PlanStatus.SOLVER_FAILED
    assert len(options_of(result)) <= most
    assert all(abs(leg.quantity) <= 12 for leg in options_of(result))
    assert result.objective_after <= result.objective_before
    assert budget is None or result.cost_usd <= budget


@pytest.mark.parametrize("numeraire", ["usd", "coin"])
def test_the_delta_of_a_ratio_is_hedged(numeraire):
    """Delta alone, to the lot: what is left is the ratio's delta of the whole book, not Black-Scholes'."""
    sticky = SmileRatio(rule=StickyMoneyness(), name="sticky moneyness")
    limits = HedgeLimits(numeraire=numeraire, delta=Band.around(0.0), max_contracts={"option": Decimal(0)})
    plain, tilted = (plan(limits=limits, objective=None, ratio=r) for r in (None, sticky))
    legs = price_legs([(p.instrument, p.quantity) for p in BOOK.positions], {"BTC": SURFACE}, MARKET.ts_ns)
    added = ratio_legs(SURFACE, legs.strike, legs.tau, legs.is_call)
    shift = float((legs.size * sticky.delta(added).adjustment).sum())
    assert abs(shift) > 0.05
    before = [next(f.before for f in result.factors if f.name == "delta") for result in (plain, tilted)]
    assert before[1] - before[0] == pytest.approx(shift, rel=1e-9)
    after = next(f.after for f in tilted.factors if f.name == "delta")
    assert abs(after) < 1e-3
    same = plan(limits=limits, objective=None, ratio=BlackScholes())
    assert same.to_dict() == plain.to_dict()


def test_spot_and_vol_are_not_correlated_twice():
    with pytest.raises(ConfigError, match="counts it already"):
        plan(objective=None, risk=RiskModel(spot_vol_correlation=-0.3), ratio=BlackScholes())


def test_a_plan_may_have_a_guard_for_each_venue():
    rich = MarginGuard(
        venue="deribit",
        profile=load_margin_profile("deribit_pm_btc"),
        on=date(2026, 2, 1),
        account=Account(cash=1e4),
        account_ns=MARKET.ts_ns,
    )
    idle = replace(rich, venue="okx", profile=load_margin_profile("okx_pm"))
    free = plan()
    assert plan(margin=(rich, idle)).legs == free.legs
    refused = plan(margin=(idle,))
    assert refused.legs == ()
    assert "margin: no margin guard for deribit" in refused.binding
