from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, StaleQuote
from ivhedge.hedge.adjustment import AdjustmentSettings, AdjustmentStatus, GrossLimits
from ivhedge.hedge.adjustment.packages import packages, tradable
from ivhedge.hedge.adjustment.ruler import build_ruler
from ivhedge.risk.controls import ControlSettings, ExposureLimits, Mode
from ivhedge.risk.legs import price_legs
from ivhedge.risk.margin import (
    MarginLimits,
    margin,
    positions_from_legs,
    prepare_margin,
)

from .._stub import COSTS, NOW, book_of, market_of, option, perpetual, universe
from ._case import CALL, CRASH, HEDGED, MARKET, PUT, SURFACE, WIDE, adjust, guard, without_depth

NEUTRAL = book_of((CALL, "-20"), (PUT, "-20"), (option(60, "80000"), "22"), (perpetual(), "-65000"))
LOT_DELTA, LOT_VEGA = 10 / 80_000, 0.1 * 2e-3


def change(answer, name):
    return next(c for c in answer.changes if c.gauge.name == name)


def exposures(book):
    ruler = build_ruler(book, SURFACE, MARKET, WIDE, AdjustmentSettings())
    return float(ruler.held @ ruler.delta), float(ruler.held @ ruler.vega)


def initial_of(book, cash):
    one = guard(cash)
    legs = price_legs([(p.instrument, p.quantity) for p in book.positions], {"BTC": SURFACE}, NOW)
    model = prepare_margin(positions_from_legs(legs, "BTC", MARKET.index), one.profile, on=one.on)
    return float(margin(model, one.account).initial)


@pytest.mark.parametrize("book", [HEDGED, NEUTRAL])
@pytest.mark.parametrize("cash", [4.0, 8.0, 12.0])
def test_margin_comes_back_by_steps_that_keep_the_hedge(book, cash):
    answer = adjust(book, WIDE, guard=guard(cash))
    if answer.status is AdjustmentStatus.NOTHING:
        assert all(one.severity_before == 0.0 for one in answer.changes)
        return
    assert answer.status is AdjustmentStatus.DELEVERAGED
    assert answer.is_inside
    delta, vega = exposures(book)
    initial = initial_of(book, cash)
    for step in answer.steps:
        assert step.reason.startswith("closes")
        assert abs(step.delta) <= abs(delta) + 1.01 * LOT_DELTA
        assert abs(step.vega) <= abs(vega) + LOT_VEGA
        assert step.initial_margin <= initial * (1 + 1e-9)
        delta, vega, initial = step.delta, step.vega, step.initial_margin
    use = change(answer, "initial margin")
    assert use.after <= 0.6


def test_an_option_is_closed_together_with_its_hedge():
    answer = adjust(book_of((CALL, "-20"), (perpetual(), "37000")), WIDE, guard=guard(2.0))
    assert answer.status is AdjustmentStatus.DELEVERAGED
    for step in answer.steps:
        kinds = {leg.instrument.kind.value: leg for leg in step.legs}
        assert kinds["option"].quantity > 0
        assert kinds["perpetual"].quantity < 0
        # The option first: the hedge follows what was filled.
        assert step.legs[0].instrument.is_option


def test_the_ledger_margin_agrees_with_the_last_step():
    answer = adjust(HEDGED, WIDE, guard=guard(6.0))
    held = {p.instrument.key: [p.instrument, p.quantity] for p in HEDGED.positions}
    for leg in answer.legs:
        held.setdefault(leg.instrument.key, [leg.instrument, Decimal(0)])[1] += leg.quantity
    book = book_of(*((item, str(q)) for item, q in held.values() if q))
    assert initial_of(book, 6.0) == pytest.approx(answer.steps[-1].initial_margin, rel=1e-9)


def test_gross_limits_close_in_pairs():
    limits = AdjustmentSettings(gross=GrossLimits(option_units=40.0))
    answer = adjust(NEUTRAL, WIDE, settings=limits)
    assert answer.status is AdjustmentStatus.DELEVERAGED
    assert change(answer, "gross option units").after <= 40.0
    delta, vega = exposures(NEUTRAL)
    assert abs(answer.steps[-1].vega) <= abs(vega) + LOT_VEGA * len(answer.steps)
    assert abs(answer.steps[-1].delta) <= abs(delta) + 1.01 * LOT_DELTA * len(answer.steps)
    notional = AdjustmentSettings(gross=GrossLimits(notional_usd=2e6))
    answer = adjust(HEDGED, WIDE, settings=notional)
    assert change(answer, "gross notional").after <= 2e6
    with pytest.raises(ConfigError, match="option_units"):
        GrossLimits(option_units=float("nan"))


def test_theta_and_expiry_limits_are_met_by_closing():
    controls = ControlSettings(
        underlying_limits={
            "*": ExposureLimits(delta=99, gamma_1pct=99, vega_usd_per_vol_point=1e9, theta_usd_per_day=1500.0)
        },
        max_plan_cost_usd=1e6,
    )
    answer = adjust(HEDGED, WIDE, controls=controls)
    theta = change(answer, "control theta BTC")
    assert theta.before > 1500.0
    assert answer.status is AdjustmentStatus.DELEVERAGED
    assert theta.after <= 1500.0


def test_what_cannot_be_closed_is_said_with_the_collateral_that_lacks():
    answer = adjust(HEDGED, WIDE, guard=guard(3.0), market=without_depth())
    assert (answer.status, answer.legs) == (AdjustmentStatus.CANNOT, ())
    assert "limit initial margin" in answer.binding
    assert f"no quote to close {CALL.key}" in answer.binding
    text = next(text for text in answer.human if text.startswith("initial margin"))
    lack = float(text.split("add ")[1].split(" ")[0])
    enough = adjust(HEDGED, WIDE, guard=guard(3.0 + 1.0001 * lack), market=without_depth())
    assert change(enough, "initial margin").severity_before == 0.0


def test_reducing_closes_only():
    answer = adjust(HEDGED, WIDE, guard=guard(6.0), mode=Mode.REDUCING)
    held = {p.instrument.key: p.quantity for p in HEDGED.positions}
    for leg in answer.legs:
        assert held[leg.instrument.key] * leg.quantity < 0
        held[leg.instrument.key] += leg.quantity
        assert abs(held[leg.instrument.key]) <= abs(held[leg.instrument.key] - leg.quantity)


def test_displayed_sizes_and_the_cost_limit_hold():
    thin = market_of(SURFACE, universe(), size=300.0)
    size = thin.bid_size.copy()
    size[[i for i, item in enumerate(thin.instruments) if item.is_option]] = 3.0
    thin = replace(thin, bid_size=size, ask_size=size)
    answer = adjust(HEDGED, WIDE, guard=guard(4.0), market=thin)
    used = {}
    for leg in answer.legs:
        side = (leg.instrument.key, leg.quantity > 0)
        used[side] = used.get(side, 0.0) + abs(float(leg.quantity))
    rows = {item.key: i for i, item in enumerate(thin.instruments)}
    assert used
    assert all(most <= size[rows[key]] + 1e-9 for (key, _), most in used.items())
    dear = adjust(HEDGED, replace(WIDE, max_cost_usd=100.0), guard=guard(4.0))
    assert 0.0 < dear.cost_usd <= 100.0
    assert dear.status is AdjustmentStatus.CANNOT


def test_an_old_account_is_refused():
    with pytest.raises(StaleQuote, match="account"):
        adjust(HEDGED, WIDE, guard=guard(50.0, account_ns=NOW - 10**12))


def test_a_limit_of_the_controls_is_stricter_than_the_guard():
    free = ExposureLimits(delta=99, gamma_1pct=99, vega_usd_per_vol_point=1e9, theta_usd_per_day=1e9)
    strict = ControlSettings(underlying_limits={"*": free}, initial_margin_use=0.1, max_plan_cost_usd=1e6)
    loose = guard(40.0, limits=MarginLimits(initial_use=1.0, stressed_maintenance_use=1.0))
    assert adjust(HEDGED, WIDE, guard=loose).status is AdjustmentStatus.NOTHING
    answer = adjust(HEDGED, WIDE, guard=loose, controls=strict)
    assert change(answer, "initial margin").gauge.upper == 0.1
    assert answer.status is not AdjustmentStatus.NOTHING


def test_packages_are_whole_lots_within_positions_and_neutral_in_delta():
    ruler = build_ruler(HEDGED, SURFACE, MARKET, WIDE, AdjustmentSettings())
    sides = tradable(ruler, MARKET, COSTS)
    rows = packages(ruler, ruler.held, sides, reduce_only=True)
    assert rows.shape[0] > 10
    lots = rows / sides.lot
    assert np.abs(lots - np.rint(lots)).max() < 1e-9
    assert (rows * ruler.held <= 0.0).all()
    assert (np.abs(rows) <= np.abs(ruler.held) + 1e-9).all()
    both = ((rows != 0.0) & sides.is_option).any(axis=1) & ((rows != 0.0) & ~sides.is_option).any(axis=1)
    assert np.abs(rows[both] @ ruler.delta).max() <= LOT_DELTA


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.integers(-30, 30), min_size=4, max_size=4),
    st.integers(-40_000, 40_000),
    st.floats(0.5, 60.0),
)
def test_steps_never_raise_margin_nor_leave_the_hedge(sizes, perps, cash):
    items = (CALL, PUT, option(60, "80000"), option(5, "80000"))
    rows = [(item, str(size)) for item, size in zip(items, sizes, strict=True) if size]
    book = book_of(*rows, *([(perpetual(), str(perps))] if perps else []))
    answer = adjust(book, WIDE, guard=guard(cash), compare=False)
    if not book.positions:
        return
    delta, _ = exposures(book)
    initial = initial_of(book, cash)
    for step in answer.steps:
        if not step.reason.startswith("closes"):
            break
        assert step.initial_margin <= initial * (1 + 1e-9)
        assert abs(step.delta) <= abs(delta) + 1.01 * LOT_DELTA
        delta, initial = step.delta, step.initial_margin
    for one in answer.changes:
        assert one.severity_after <= one.severity_before + 1e-9
    assert CRASH.name in "".join(c.gauge.name for c in answer.changes)
