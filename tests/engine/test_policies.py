from decimal import Decimal

import pytest

from ivhedge.core import NS_PER_HOUR, InstrumentKind
from ivhedge.engine.policies import allowed_kinds, terms_of
from ivhedge.engine.spec import PolicyKind, PolicySpec, VegaBucket
from ivhedge.hedge import AlwaysTrigger, AnyTrigger, BandTrigger, IntervalTrigger, Numeraire
from ivhedge.ledger import Book, Position
from ivhedge.risk import exposures

from ..risk._stub import NOW, StubSurface, option, perpetual

CALL, PUT = option(30, "90000"), option(30, "70000", False)
HEDGE = option(60, "80000")
OWN = (Position(CALL, Decimal("-3")), Position(PUT, Decimal("-5")))
SEEN = exposures(
    Book("b", (*OWN, Position(HEDGE, Decimal(4)), Position(perpetual(), Decimal(100))), ()),
    {"BTC": StubSurface()},
    ts_ns=NOW,
)


def terms(numeraire="coin", **changes):
    spec = PolicySpec(**({"name": "p", "kind": PolicyKind.DELTA} | changes))
    return terms_of(spec, OWN, SEEN, "BTC", numeraire)


def own_vega(numeraire):
    column = f"vega_{numeraire}_per_vol_point"
    own = SEEN.legs.filter(SEEN.legs["instrument"].is_in([CALL.name, PUT.name, CALL.key, PUT.key]))
    return float(own[column].abs().sum())


def test_only_a_vega_policy_trades_options():
    kinds = {
        kind: allowed_kinds(PolicySpec(name="p", kind=kind, vega_usd=100.0 * kind.holds_vega))
        for kind in PolicyKind
    }
    assert kinds[PolicyKind.DELTA] == {InstrumentKind.PERPETUAL}
    for kind in (PolicyKind.DELTA_VEGA, PolicyKind.VIEW, PolicyKind.FIXED_VEGA):
        assert kinds[kind] == {InstrumentKind.PERPETUAL, InstrumentKind.OPTION}


def test_the_delta_band_is_a_share_of_the_books_own_gross_notional():
    band = terms(delta_band=0.05).limits.delta
    assert (band.lower, band.upper) == pytest.approx((-0.05 * 8.0, 0.05 * 8.0))


def test_no_band_leaves_a_lot_of_room():
    band = terms().limits.delta
    assert 0 < band.upper == pytest.approx(0.002 * 8.0)


@pytest.mark.parametrize("numeraire", ["coin", "usd"])
def test_vega_bands_are_a_share_of_the_own_options_vega_in_the_numeraire(numeraire):
    buckets = (VegaBucket(0.0, 20.0), VegaBucket(20.0, 100.0))
    limits = terms(numeraire, kind=PolicyKind.DELTA_VEGA, vega_band=0.25, vega_buckets=buckets).limits
    assert limits.numeraire is Numeraire(numeraire)
    assert [(b.min_days, b.max_days) for b in limits.vega] == [(0.0, 20.0), (20.0, 100.0)]
    assert own_vega(numeraire) > 0
    for item in limits.vega:
        assert item.band.upper == pytest.approx(0.25 * own_vega(numeraire))
        assert item.band.lower == -item.band.upper


def test_a_delta_policy_has_no_vega_bands():
    assert terms().limits.vega == ()


def test_own_contracts_are_no_hedges_and_hedges_do_not_outgrow_the_book():
    limits = terms(kind=PolicyKind.DELTA_VEGA).limits
    assert limits.cap_of(CALL) == limits.cap_of(PUT) == 0.0
    assert limits.cap_of(HEDGE) == 8.0
    assert limits.cap_of(perpetual()) == float("inf")


def test_a_hedge_can_be_taken_off_whole_once_the_book_has_expired():
    spec = PolicySpec(name="p", kind=PolicyKind.DELTA_VEGA)
    limits = terms_of(spec, (), SEEN, "BTC", "coin").limits
    assert limits.cap_of(HEDGE) == 4.0
    assert limits.cap_of(option(45, "75000")) == 0.0


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, AlwaysTrigger),
        ({"interval_hours": 24.0}, IntervalTrigger),
        ({"delta_band": 0.05}, BandTrigger),
        ({"interval_hours": 24.0, "delta_band": 0.05}, AnyTrigger),
    ],
)
def test_the_trigger_follows_from_what_is_set(changes, kind):
    assert isinstance(terms(**changes).trigger, kind)


def test_an_interval_and_a_band_act_on_whichever_comes_first():
    trigger = terms(interval_hours=24.0, delta_band=0.05).trigger
    last = NOW - 6 * NS_PER_HOUR
    assert not trigger.decide(NOW, last, {"delta": 0.3}).fire
    assert trigger.decide(NOW, last, {"delta": 0.5}).fire
    assert trigger.decide(NOW, NOW - 24 * NS_PER_HOUR, {"delta": 0.0}).fire


def test_a_vega_policy_also_acts_when_only_vega_is_out_of_its_band():
    trigger = terms(kind=PolicyKind.DELTA_VEGA, delta_band=0.05).trigger
    wide = 10 * own_vega("coin")
    assert trigger.decide(NOW, NOW, {"delta": 0.0, "vega_14_60d": wide}).fire
    assert not trigger.decide(NOW, NOW, {"delta": 0.0, "vega_14_60d": 0.0}).fire
    assert not terms(delta_band=0.05).trigger.decide(NOW, NOW, {"delta": 0.0, "vega_14_60d": wide}).fire
