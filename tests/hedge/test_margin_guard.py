"""A plan never leaves the margin limits: it is cut, or nothing is traded, and the limit is named."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core import Money, currency
from ivhedge.core.errors import ConfigError, DataError, StaleQuote
from ivhedge.core.instruments import Settlement
from ivhedge.hedge import Band, HedgeLimits, HedgeState, MarginGuard, PlanStatus, TenorBand, plan_hedge
from ivhedge.hedge.margin_guard import ElsewhereMargin, judge_plans
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
        "account_ns": NOW,
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


def judged(margin, *rows, book=LONG, index=SURFACE.spot, surface=SURFACE, cost=0.0, ts_ns=NOW):
    """Verdict on plans of the 30-day call at the guard's venue and elsewhere."""
    here = option(30, "90000")
    items = (here, replace(here, venue="okx", name="there"))
    plans = np.array(rows, dtype=np.float64)
    guards = margin if isinstance(margin, tuple) else (margin,)
    return judge_plans(guards, book, surface, index, ts_ns, items, plans, np.full(len(rows), cost))


def test_trades_where_nobody_guards_are_refused():
    rich = guard(1_000.0)
    verdict = judged(rich, (-1.0, 0.0), (0.0, -1.0), (0.0, 0.0))
    assert verdict.ok.tolist() == [True, False, True]
    assert verdict.breached[1] == ("no margin guard for okx",)
    here = option(30, "90000")
    alone = rich.judge(
        LONG, SURFACE, SURFACE.spot, NOW, (here, replace(here, venue="okx")), np.eye(2), np.zeros(2)
    )
    assert alone.ok.tolist() == [True, False]
    with pytest.raises(ConfigError, match="profile of 'okx'"):
        guard(1.0, venue="okx")
    with pytest.raises(ConfigError, match="one margin guard per venue"):
        judged((rich, rich), (1.0, 0.0))


def test_each_venue_has_its_own_room():
    there = guard(0.0, venue="okx", profile=load_margin_profile("okx_pm"))
    verdict = judged((guard(1_000.0), there), (-1.0, 0.0), (0.0, -1.0), (-1.0, -1.0))
    assert verdict.ok.tolist() == [True, False, False]
    assert all(name.startswith("okx ") for name in verdict.breached[1])


def test_other_underlyings_of_the_account_have_to_be_counted():
    usdc = {"venue": "derive", "profile": load_margin_profile("derive_pm2")}
    put = replace(
        option(30, "70000", False),
        venue="derive",
        settlement=Settlement.USD,
        settle_currency=currency("USDC"),
    )
    ether = replace(put, underlying="ETH", name="ETH-PUT", strike=Decimal(2_000))
    book = book_of((put, "1"), (ether, "-500"))
    sell, cost = np.array([[-3.0]]), np.zeros(1)

    def verdict(**changes):
        margin = guard(300_000.0, **usdc, **changes)
        return margin.judge(book, SURFACE, SURFACE.spot, NOW, (put,), sell, cost)

    with pytest.raises(ConfigError, match="ETH"):
        verdict()
    assert verdict(elsewhere=ElsewhereMargin()).ok[0]
    full = ElsewhereMargin(initial=310_000.0)
    assert verdict(elsewhere=full).breached == (("initial_use",),)
    lost = ElsewhereMargin(stressed_loss=310_000.0)
    assert verdict(elsewhere=lost).breached == (("maintenance after crash",),)
    with pytest.raises(ConfigError, match="stressed_loss"):
        ElsewhereMargin(stressed_loss=-1.0)


def test_what_is_old_or_far_off_is_refused():
    second = 10**9
    with pytest.raises(StaleQuote, match="account"):
        judged(guard(100.0, account_ns=NOW - 61 * second), (1.0, 0.0))
    with pytest.raises(StaleQuote, match="account"):
        judged(guard(100.0, account_ns=NOW + 2 * second), (1.0, 0.0))
    with pytest.raises(StaleQuote, match="surface"):
        judged(guard(100.0, account_ns=NOW + 3601 * second), (1.0, 0.0), ts_ns=NOW + 3601 * second)
    for index in (80.0, 0.0, np.nan):
        with pytest.raises(DataError, match="index"):
            judged(guard(100.0), (1.0, 0.0), index=index)
    with pytest.raises(DataError, match="NaN"):
        judged(guard(100.0), (1.0, 0.0), cost=np.nan)


def test_a_gain_against_the_marks_is_no_equity():
    need = judged(guard(1e-9), (-10.0, 0.0), book=book_of(), cost=-1e9)
    assert not need.ok[0]


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
