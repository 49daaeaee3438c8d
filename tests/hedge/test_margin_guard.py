"""A plan never leaves the margin limits: it is cut, or nothing is traded, and the limit is named."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core import Money, currency
from ivhedge.core.errors import ConfigError
from ivhedge.hedge import Band, HedgeLimits, HedgeState, MarginGuard, PlanStatus, TenorBand, plan_hedge
from ivhedge.risk.legs import price_legs
from ivhedge.risk.margin import (
    Account,
    MarginLimits,
    Stress,
    check_margin,
    load_margin_profile,
    positions_from_legs,
    prepare_margin,
)

from ._stub import COSTS, NOW, StubSurface, book_of, market_of, option, universe

SURFACE = StubSurface(skew=-0.1, carry=0.03)
MARKET = market_of(SURFACE, universe())
CRASH = Stress(name="crash", spot=-0.3, vol=0.5)
# Vega is bought back, or sold: options raise or lower the margin.
LONG = book_of((option(30, "90000"), "20"), (option(30, "70000", False), "20"))
SHORT = book_of((option(30, "90000"), "-20"), (option(30, "70000", False), "-20"))
VEGA = HedgeLimits(
    delta=Band.around(0.05),
    vega=(TenorBand(0, 14, Band.around(0.001)), TenorBand(14, 60, Band.around(0.002))),
)


def guard(cash: float, **changes) -> MarginGuard:
    base = {
        "venue": "deribit",
        "profile": load_margin_profile("deribit_pm_btc"),
        "on": date(2026, 2, 1),
        "account": Account(cash=cash),
        "stresses": (CRASH,),
    }
    return MarginGuard(**(base | changes))


def plan(book, margin=None, limits=VEGA):
    return plan_hedge(book, SURFACE, MARKET, limits, HedgeState(), costs=COSTS, margin=margin)


def margin_of(book, margin, legs=()):
    """Margin of the book with the legs traded, by the venue's rules and not by the guard."""
    held = {p.instrument.key: [p.instrument, p.quantity] for p in book.positions}
    for leg in legs:
        held.setdefault(leg.instrument.key, [leg.instrument, Decimal(0)])[1] += leg.quantity
    priced = price_legs([tuple(row) for row in held.values()], {"BTC": SURFACE}, NOW)
    model = prepare_margin(positions_from_legs(priced, "BTC", MARKET.index), margin.profile, on=margin.on)
    # What the trades cost: the premium at the marks, and the plan's own cost.
    value = {
        i.key: float(p) for i, p in zip(priced.instruments, model.positions.mark, strict=True) if i.is_option
    }
    paid = sum(value[leg.instrument.key] * float(leg.quantity) for leg in legs if leg.instrument.is_option)
    cost = sum(leg.cost.total_usd for leg in legs) / MARKET.index
    account = replace(margin.account, cash=margin.account.cash - paid - cost)
    return check_margin(model, np.zeros((1, len(held))), margin.limits, account, stresses=margin.stresses)


def test_a_plan_inside_the_limits_is_not_touched():
    assert plan(LONG, guard(1_000.0)).to_dict() == plan(LONG).to_dict()


def test_a_plan_beyond_the_limits_is_cut_and_the_limit_named():
    free = plan(LONG)
    assert free.legs
    cut = None
    for cash in np.geomspace(0.5, 400.0, 40):
        margin = guard(float(cash))
        result = plan(LONG, margin)
        if result.legs and {leg.quantity for leg in result.legs} != {leg.quantity for leg in free.legs}:
            cut = result
            assert margin_of(LONG, margin, result.legs).ok[0]
            break
    assert cut is not None
    assert cut.status is PlanStatus.BEST_EFFORT
    assert any(name.startswith("margin: ") for name in cut.binding)
    assert "cut by margin" in cut.reason
    assert sum(abs(leg.quantity) for leg in cut.legs) < sum(abs(leg.quantity) for leg in free.legs)
    assert cut.objective_after < cut.objective_before


def test_without_any_room_nothing_is_traded():
    # Long options need no margin to hold; selling them against this equity does.
    tight = guard(0.0, limits=MarginLimits(initial_use=1e-6, stressed_maintenance_use=1e-6))
    result = plan(LONG, tight)
    assert (result.legs, result.status) == ((), PlanStatus.BEST_EFFORT)
    assert result.exposures_after == result.exposures_before


def test_a_book_beyond_its_limits_may_come_back():
    poor = guard(3.0)
    assert not margin_of(SHORT, poor).ok[0]
    result = plan(SHORT, poor)
    assert result.legs
    before, after = margin_of(SHORT, poor), margin_of(SHORT, poor, result.legs)
    assert after.what_if.before.initial[0] < before.what_if.before.initial[0]


def test_legs_at_another_venue_are_not_its_business():
    assert plan(LONG, guard(0.0, venue="okx")).to_dict() == plan(LONG).to_dict()


def test_a_profile_past_its_date_refuses():
    with pytest.raises(ConfigError, match="deribit_pm_btc"):
        plan(LONG, guard(100.0, on=date(2030, 1, 1)))


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(-30, 30), min_size=3, max_size=3),
    cash=st.floats(0.5, 200.0),
    initial_use=st.floats(0.05, 1.0),
)
def test_no_plan_leaves_the_limits(sizes, cash, initial_use):
    legs = zip((option(30, "90000"), option(30, "70000", False), option(7, "85000")), sizes, strict=True)
    book = book_of(*((item, str(size)) for item, size in legs if size), cash=(Money.zero(currency("BTC")),))
    margin = guard(cash, limits=MarginLimits(initial_use=initial_use, stressed_maintenance_use=0.5))
    result = plan(book, margin)
    if not result.legs:
        return
    before, after = margin_of(book, margin), margin_of(book, margin, result.legs)
    if after.ok[0]:
        return
    # Beyond a limit only where the book was there before, and then with less margin.
    assert not before.ok[0]
    for name in after.breached[0]:
        assert name in before.breached[0]
    if "initial_use" in after.breached[0]:
        assert after.what_if.before.initial[0] <= before.what_if.before.initial[0]
