import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from ivhedge.core import NS_PER_DAY
from ivhedge.engine.spec import StructureKind, StructureSpec
from ivhedge.engine.structures import choose_legs, nearest_expiry

from ..risk._stub import NOW, StubSurface, option, perpetual

DAYS = (7, 30, 90)
STRIKES = range(40_000, 160_001, 1_000)


def day(n):
    return NOW + n * NS_PER_DAY


@pytest.fixture(scope="module")
def listed():
    return [option(d, str(k), c) for d in DAYS for k in STRIKES for c in (True, False)]


def spec(kind, **changes):
    return StructureSpec(**({"kind": kind, "tenor_days": 30.0, "notional_usd": 160_000.0} | changes))


def strike_of_call_delta(surface, days, delta):
    tau = days / 365
    total = surface.level * math.sqrt(tau)
    return float(surface.forward(tau)) * math.exp(0.5 * total**2 - total * float(ndtri(delta)))


@pytest.mark.parametrize(
    ("tenor", "expected"),
    [(7.0, 7), (14.0, 7), (25.0, 30), (70.0, 90), (200.0, 90)],
)
def test_the_listed_expiry_nearest_to_the_tenor_is_taken(listed, tenor, expected):
    assert nearest_expiry(listed, tenor, NOW) == day(expected)


def test_an_expiry_much_nearer_than_the_tenor_is_passed_over(listed):
    # 7 days are nearer to 18 than 30 are, but they are less than 40 % of 18.
    assert nearest_expiry(listed, 18.0, NOW) == day(30)
    assert nearest_expiry(listed, 17.0, NOW) == day(7)
    assert nearest_expiry(listed, 300.0, NOW) is None


def test_only_what_expires_counts():
    assert nearest_expiry([perpetual()], 1.0, NOW) is None
    assert nearest_expiry([], 1.0, NOW) is None


@settings(deadline=None)
@given(st.sampled_from([0.1, 0.25, 0.4]), st.floats(0.3, 0.8))
def test_strangle_legs_are_the_strikes_nearest_to_their_deltas(delta, level):
    surface = StubSurface(level=level, carry=0.05)
    listed = [option(30, str(k), c) for k in STRIKES for c in (True, False)]
    (call, n_call), (put, n_put) = choose_legs(
        spec(StructureKind.STRANGLE, delta=delta), listed, surface, 80_000.0, NOW
    )
    assert (call.is_call, put.is_call) == (True, False)
    assert abs(float(call.strike) - strike_of_call_delta(surface, 30, delta)) <= 500.001
    assert abs(float(put.strike) - strike_of_call_delta(surface, 30, 1 - delta)) <= 500.001
    assert put.strike < call.strike
    assert n_call == n_put == Decimal("2.0")


def test_a_straddle_has_both_legs_at_one_strike_whatever_its_delta(listed):
    surface = StubSurface()
    legs = choose_legs(spec(StructureKind.STRADDLE, delta=0.1), listed, surface, 80_000.0, NOW)
    assert [item.strike for item, _ in legs] == [Decimal(81_000)] * 2
    assert strike_of_call_delta(surface, 30, 0.5) == pytest.approx(80_826, abs=1)
    assert {item.is_call for item, _ in legs} == {True, False}


@pytest.mark.parametrize(
    ("kind", "notional", "expected"),
    [
        (StructureKind.STRANGLE, -80_000.0, {True: "-1.0", False: "-1.0"}),
        (StructureKind.RISK_REVERSAL, 80_000.0, {True: "1.0", False: "-1.0"}),
        (StructureKind.RISK_REVERSAL, -80_000.0, {True: "-1.0", False: "1.0"}),
        (StructureKind.CALL, 80_000.0, {True: "1.0"}),
        (StructureKind.PUT, -84_200.0, {False: "-1.1"}),
    ],
)
def test_signs_and_sizes_of_the_legs(listed, kind, notional, expected):
    legs = choose_legs(spec(kind, notional_usd=notional), listed, StubSurface(), 80_000.0, NOW)
    assert {item.is_call: contracts for item, contracts in legs} == {
        side: Decimal(size) for side, size in expected.items()
    }


@pytest.mark.parametrize(
    "changes",
    [{"tenor_days": 300.0}, {"notional_usd": 3_000.0}],
    ids=["no expiry", "less than half a lot"],
)
def test_what_does_not_fit_has_no_legs(listed, changes):
    assert choose_legs(spec(StructureKind.STRANGLE, **changes), listed, StubSurface(), 80_000.0, NOW) == ()


def test_a_structure_is_whole_or_not_at_all():
    calls = [option(30, str(k), True) for k in STRIKES]
    assert choose_legs(spec(StructureKind.STRANGLE), calls, StubSurface(), 80_000.0, NOW) == ()
    assert len(choose_legs(spec(StructureKind.CALL), calls, StubSurface(), 80_000.0, NOW)) == 1
