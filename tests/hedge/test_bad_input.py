"""Contradictory targets, nothing to trade with, no depth, books beyond their limits: for every objective."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from ivhedge.core.errors import DataError
from ivhedge.hedge import Band, HedgeState, PlanStatus, RiskModel, TenorBand, plan_hedge
from ivhedge.hedge.objectives import ConditionalValueAtRisk, FactorNeutral, MinimumVariance
from ivhedge.hedge.plan import EdgeQuote

from ._models import MODEL, SCENARIOS
from ._stub import COSTS, book_of, market_of, perpetual
from .test_plan_options import BOOK, LIMITS, MARKET, OPTIONS, SURFACE, filled, plan

EDGES = {OPTIONS[20].key: EdgeQuote(buy=500.0, max_contracts=2.0)}
EVERY = pytest.mark.parametrize(
    ("objective", "edges"),
    [
        (None, None),
        (MinimumVariance(model=MODEL), EDGES),
        (FactorNeutral(model=MODEL), None),
        (ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9), None),
        (ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9), EDGES),
    ],
    ids=["greeks", "variance with edge", "factors", "tail", "tail with edge"],
)


def violations(result):
    return {
        f.name: max((f.lower if f.lower is not None else -np.inf) - v, v - (f.upper or np.inf), 0.0)
        for f, v in ((f, f.after) for f in result.factors)
        if f.lower is not None or f.upper is not None
    }


@EVERY
def test_targets_that_contradict_each_other(objective, edges):
    limits = replace(
        LIMITS, gamma_1pct=Band.around(0.001), vega=(TenorBand(0, 1000, Band(4000.0, 6000.0, 5000.0)),)
    )
    market = market_of(SURFACE, [perpetual(), OPTIONS[20]])
    result = plan(book_of(), limits, market, objective=objective, edges=edges)
    assert result.status is PlanStatus.BEST_EFFORT
    why = "beyond the sizes of all instruments" if edges else "can be met alone, not together"
    assert any(why in name for name in result.binding)
    assert any(name.startswith("band ") for name in result.binding)
    assert result.objective_after <= result.objective_before


@EVERY
def test_nothing_to_trade_with(objective, edges):
    for market, edge in ((market_of(SURFACE, []), None), (MARKET, edges)):
        limits = replace(LIMITS, allowed_kinds=frozenset())
        result = plan(limits=limits, market=market, objective=objective, edges=edge)
        assert (result.status, result.legs) == (PlanStatus.BEST_EFFORT, ())
        assert result.binding == ("band delta", "no tradable instrument")
        assert result.variance_before > 0.0


@EVERY
def test_no_depth(objective, edges):
    market = market_of(SURFACE, [perpetual(), *OPTIONS], size=0.0)
    result = plan(market=market, objective=objective, edges=edges)
    assert (result.status, result.legs) == (PlanStatus.BEST_EFFORT, ())
    assert result.binding == (
        "band delta",
        "no quote or size to trade with at 37 instruments",
        "no tradable instrument",
    )


@EVERY
def test_little_depth_is_used_up_and_named(objective, edges):
    market = market_of(SURFACE, [perpetual()], size=500.0)
    edges = edges and {perpetual().key: EdgeQuote(buy=0.01, max_contracts=1e6)}
    result = plan(market=market, objective=objective, edges=edges)
    assert result.status is PlanStatus.BEST_EFFORT
    assert [abs(leg.quantity) for leg in result.legs] == [Decimal(500)]
    assert f"displayed size of {perpetual().key}" in result.binding


@EVERY
def test_a_book_beyond_its_limits_comes_back_or_says_why_not(objective, edges):
    book = book_of(*((p.instrument, str(p.quantity * 20)) for p in BOOK.positions))
    limits = replace(LIMITS, vega=(TenorBand(0, 1000, Band.around(500.0)),))
    result = plan(book, limits, objective=objective, edges=edges)
    assert result.status is PlanStatus.OK
    assert abs(result.exposures_after["delta"]) <= 0.021
    capped = replace(limits, max_contracts={"option": Decimal(2)})
    result = plan(book, capped, objective=objective, edges=edges)
    assert result.status is PlanStatus.BEST_EFFORT
    assert any(name.startswith("max_contracts of") for name in result.binding)
    assert result.objective_after < result.objective_before
    # No band gets worse on the way.
    again = plan(filled(book, result), capped, objective=objective, edges=edges)
    before, after = violations(result), violations(again)
    assert all(after[name] <= before[name] + 1e-6 + 0.01 * abs(before[name]) for name in before)


@EVERY
def test_a_surface_without_vols_is_refused(objective, edges):
    lost = replace(SURFACE, level=float("nan"))
    with pytest.raises(DataError, match="expected at-the-money vols"):
        plan_hedge(
            BOOK,
            lost,
            MARKET,
            LIMITS,
            HedgeState(),
            costs=COSTS,
            risk=RiskModel(),
            objective=objective,
            edges=edges,
        )
