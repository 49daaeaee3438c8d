"""Policies as the bands and triggers of the plan."""

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.hedge import AlwaysTrigger, BandTrigger, HedgeLimits, IntervalTrigger, plan_hedge
from ivhedge.hedge.limits import Band
from ivhedge.hedge.policies import (
    FixedBand,
    MoveTrigger,
    OptimalBand,
    Timetable,
    WhalleyWilmott,
    Zakamouline,
    band_for,
    expiry_legs,
    moment_of_option,
    solve_region,
    trigger_for,
)
from ivhedge.hedge.triggers import HedgeState
from ivhedge.risk import exposures

from .._stub import COSTS, NOW, StubSurface, book_of, market_of, option, perpetual

SURFACE = StubSurface()
ZAKAMOULINE = Zakamouline(cost=0.0005, aversion=200.0)
REGION = solve_region(total_vol=0.2, n_checks=60, cost=0.0005, aversion=200.0)


def seen(*legs):
    return exposures(book_of(*legs), {"BTC": SURFACE}, ts_ns=NOW)


@pytest.mark.parametrize(
    "policy", [FixedBand(half_width=0.1), WhalleyWilmott(cost=0.0005, aversion=200.0), ZAKAMOULINE]
)
def test_the_band_of_one_option_is_the_policy_s_zone(policy):
    band = band_for(policy, seen((option(30, "85000"), "-3")), "BTC")
    moment = moment_of_option(spot=80_000.0, strike=85_000.0, tau=30 / 365, vol=0.5)
    zone = policy.zone(moment)
    assert band.lower == pytest.approx(3.0 * float(zone.lower - moment.target), rel=1e-6)
    assert band.upper == pytest.approx(3.0 * float(zone.upper - moment.target), rel=1e-6)
    assert band.target == pytest.approx(0.5 * (band.lower + band.upper))


def test_the_optimal_region_serves_as_a_band():
    band = band_for(OptimalBand(region=REGION), seen((option(30, "85000"), "-3")), "BTC")
    assert band.lower < band.upper
    assert band.upper - band.lower < 3.0


def test_hedges_do_not_move_the_band():
    alone = band_for(ZAKAMOULINE, seen((option(), "-3")), "BTC")
    hedged = band_for(ZAKAMOULINE, seen((option(), "-3"), (perpetual(), "12000")), "BTC")
    assert hedged == alone


def test_offset_gamma_narrows_the_band():
    one = band_for(ZAKAMOULINE, seen((option(), "-2")), "BTC")
    netted = band_for(ZAKAMOULINE, seen((option(), "-2"), (option(30, "80000", False), "1.8")), "BTC")
    assert netted.upper - netted.lower < one.upper - one.lower


def test_a_book_without_options_has_the_smallest_band():
    assert band_for(ZAKAMOULINE, seen((perpetual(), "100")), "BTC", min_half_width=0.01) == Band.around(0.01)
    wide = band_for(ZAKAMOULINE, seen((option(), "-1")), "BTC", min_half_width=0.9)
    assert wide.upper - wide.lower == pytest.approx(1.8)


def test_unpriced_options_and_bad_widths_are_refused():
    book = exposures(book_of((option(underlying="ETH"), "-1")), {"BTC": SURFACE}, ts_ns=NOW, strict=False)
    with pytest.raises(DataError, match="price"):
        band_for(ZAKAMOULINE, book, "ETH")
    with pytest.raises(ConfigError):
        band_for(ZAKAMOULINE, seen(), "BTC", min_half_width=np.nan)


def test_triggers_follow_the_gate():
    band = Band.around(0.1)
    assert trigger_for(ZAKAMOULINE, band) == BandTrigger({"delta": band})
    assert trigger_for(Timetable(interval=0.25), band) == IntervalTrigger(2190.0)
    assert trigger_for(Timetable(), Band.around(0.0)) == AlwaysTrigger()
    with pytest.raises(ConfigError, match="spot"):
        trigger_for(MoveTrigger(move=0.01), band)


def test_the_plan_brings_a_book_into_the_band():
    instrument = perpetual()
    book = book_of((option(), "-10"))
    band = band_for(ZAKAMOULINE, exposures(book, {"BTC": SURFACE}, ts_ns=NOW), "BTC", min_half_width=0.001)
    plan = plan_hedge(
        book,
        {"BTC": SURFACE},
        market_of(SURFACE, [instrument]),
        HedgeLimits(delta=band),
        HedgeState(trigger=trigger_for(ZAKAMOULINE, band)),
        costs=COSTS,
    )
    traded = [(leg.instrument, leg.quantity) for leg in plan.legs]
    assert traded
    after = exposures(book_of((option(), "-10"), *traded), {"BTC": SURFACE}, ts_ns=NOW)
    # A contract of 10 USD is the finest trade.
    assert band.violation(after.account("BTC")["delta_coin"]) < 10.0 / 80_000.0


def test_legs_of_soon_expiries():
    found = expiry_legs(seen((option(1), "-2"), (option(1, "81000"), "3"), (option(20), "1")), "BTC")
    assert list(found) == [option(1).expiry_ns]
    legs = found[option(1).expiry_ns]
    assert legs.quantity.tolist() == [-2.0, 3.0]
    assert legs.strike.tolist() == [80_000.0, 81_000.0]
