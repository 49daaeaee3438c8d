"""The array replay: kernel against twin, exact money, and rules by hand."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR
from ivhedge.engine.arrays import DeltaRule, HeldOptions, QuoteEvents, replay_arrays

TICK, LOT = Decimal("0.5"), Decimal("0.001")


def market(seed=1, n=4000, days=3.0, start=200_000):
    rng = np.random.default_rng(seed)
    middle = start * np.exp(np.cumsum(rng.normal(0.0, 2e-4, n)))
    bid = np.rint(middle).astype(np.int64)
    gaps = rng.integers(0, int(2 * days * NS_PER_DAY / n), n)
    return QuoteEvents(
        ts_ns=np.cumsum(gaps) + 1, bid=bid, ask=bid + rng.integers(0, 4, n), tick=TICK, lot=LOT
    )


def options(start=200_000):
    return HeldOptions(
        strike=np.array([start, round(0.95 * start), round(1.05 * start)]),
        expiry_ns=np.array([2 * NS_PER_DAY, 30 * NS_PER_DAY, 7 * NS_PER_DAY]),
        is_call=np.array([True, False, True]),
        lots=np.array([-5000, 3000, -2000]),
        vol_ts_ns=np.array([0, NS_PER_DAY]),
        vols=np.array([[0.5, 0.6, 0.55], [0.45, 0.65, 0.5]]),
    )


RULES = [
    DeltaRule(move=0.002),
    DeltaRule(move=0.001, band=0.2),
    DeltaRule(move=0.001, band=0.2, to_edge=True, premium_adjusted=True),
    DeltaRule(move=0.5, interval_ns=NS_PER_HOUR),
    DeltaRule(move=0.004, interval_ns=6 * NS_PER_HOUR, fee_rate=Decimal(0)),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_compiled_loop_is_its_twin(rule, seed):
    one, other = (replay_arrays(market(seed), options(), rule, compiled=way) for way in (True, False))
    np.testing.assert_array_equal(one.trade_at, other.trade_at)
    np.testing.assert_array_equal(one.trade_lots, other.trade_lots)
    for name in ("n_looks", "cash", "fees", "slippage", "payoffs", "position", "equity"):
        assert getattr(one, name) == getattr(other, name), name


def identity(events, held, rule, found):
    """Cash, fees and equity again in fractions: from the trades, and from holdings times price moves."""
    bid, ask = (side.astype(object) for side in (events.bid, events.ask))
    cash = fees = spread = 0
    rate = Fraction(rule.fee_rate)
    for at, size in zip(found.trade_at.tolist(), found.trade_lots.tolist(), strict=True):
        price = 2 * (ask[at] if size > 0 else bid[at])
        fee = -((-abs(size) * price * rate) // 1)
        fees += fee
        cash -= size * price + fee
        spread += abs(size) * (ask[at] - bid[at])
    assert (found.cash, found.fees, found.slippage) == (cash, fees, spread)
    middle = (events.bid + events.ask).tolist()
    position = np.zeros(events.ts_ns.size, dtype=np.int64)
    np.add.at(position, found.trade_at, found.trade_lots)
    position = np.cumsum(position).tolist()
    earned = sum(lots * (later - now) for lots, now, later in zip(position, middle, middle[1:], strict=False))
    payoffs = 0
    for k in range(held.strike.size):
        at = int(np.searchsorted(events.ts_ns, held.expiry_ns[k]))
        if at < events.ts_ns.size:
            over = middle[at] - 2 * int(held.strike[k])
            payoffs += int(held.lots[k]) * max(over if held.is_call[k] else -over, 0)
    assert found.payoffs == payoffs
    assert found.equity == earned + payoffs - fees - spread
    assert found.position == position[-1]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    move=st.sampled_from([1e-4, 1e-3, 1e-2]),
    band=st.sampled_from([0.0, 0.1, 1.0]),
    to_edge=st.booleans(),
    fee=st.sampled_from([0, 1, 4999, 5000]),
)
def test_money_is_exact_to_the_unit(seed, move, band, to_edge, fee):
    events, held = market(seed, n=600), options()
    rule = DeltaRule(move=move, band=band, to_edge=to_edge, fee_rate=Decimal(fee).scaleb(-7))
    identity(events, held, rule, replay_arrays(events, held, rule))


def test_an_option_settles_at_the_first_event_after_its_expiry():
    events = QuoteEvents(
        ts_ns=np.array([0, 10, 20, 30]),
        bid=np.array([100, 100, 130, 200]),
        ask=np.array([100, 100, 132, 200]),
        tick=Decimal(1),
        lot=Decimal(1),
    )
    held = HeldOptions(
        strike=np.array([120]),
        expiry_ns=np.array([15]),
        is_call=np.array([True]),
        lots=np.array([3]),
        vol_ts_ns=np.array([0]),
        vols=np.array([[0.5]]),
    )
    found = replay_arrays(events, held, DeltaRule(move=0.9, band=1e9))
    assert found.payoffs == 3 * 2 * 11
    assert found.unit == Decimal("0.5")
    assert found.equity * found.unit == 33
    assert found.option_value_usd[1] == 0.0
    assert found.trade_at.size == 0


def test_hedging_takes_the_variance_out():
    """Sold at its true vol and hedged finely, an option costs about nothing; unhedged it is a bet."""
    hedged, open_ = [], []
    for seed in range(40):
        events = market(seed, n=3000)
        vol = 2e-4 * np.sqrt(3000 / 3 * 365)
        held = HeldOptions(
            strike=np.array([200_000]),
            expiry_ns=np.array([5 * NS_PER_DAY]),
            is_call=np.array([True]),
            lots=np.array([-1000]),
            vol_ts_ns=np.array([0]),
            vols=np.array([[vol]]),
        )
        free = {"fee_rate": Decimal(0)}
        hedged.append(replay_arrays(events, held, DeltaRule(move=5e-4, **free)).pnl_usd)
        open_.append(replay_arrays(events, held, DeltaRule(move=5e-4, band=1e9, **free)).pnl_usd)
    assert np.std(hedged) < 0.15 * np.std(open_)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bid": np.array([1, 0])}, "bids above 0, found another at event 1"),
        ({"ask": np.array([1, 0])}, "asks at or above"),
        ({"ts_ns": np.array([5, 4])}, "do not fall"),
        ({"ts_ns": np.array([], dtype=np.int64)}, "one length"),
        ({"bid": np.array([1.0, 1.0])}, "whole ticks"),
        ({"tick": Decimal(0)}, "positive tick"),
    ],
)
def test_impossible_events_are_refused(change, message):
    good = {"ts_ns": np.array([1, 2]), "bid": np.array([1, 1]), "ask": np.array([1, 2])}
    with pytest.raises(DataError, match=message):
        QuoteEvents(**({"tick": TICK, "lot": LOT} | good | change))


def test_no_events_and_no_finite_price_are_refused():
    none = np.array([], dtype=np.int64)
    with pytest.raises(DataError, match="found none"):
        QuoteEvents(ts_ns=none, bid=none, ask=none, tick=TICK, lot=LOT)
    with pytest.raises(DataError, match="finite"):
        QuoteEvents.from_prices(np.array([1]), np.array([np.nan]), np.array([1.0]), tick=TICK, lot=LOT)


def test_what_cannot_be_counted_exactly_is_refused():
    from dataclasses import replace

    for lots in (2**50, -(2**63)):
        huge = replace(options(), lots=np.array([lots, 1, 1]))
        with pytest.raises(ConfigError, match="64 bits"):
            replay_arrays(market(n=10), huge, RULES[0])
    far = replace(options(), strike=np.array([2**61, 1, 1]))
    with pytest.raises(ConfigError, match="64 bits"):
        replay_arrays(market(n=10), far, RULES[0])
    late = replace(options(), vol_ts_ns=np.array([NS_PER_DAY, 2 * NS_PER_DAY]))
    with pytest.raises(DataError, match="from the first event"):
        replay_arrays(market(n=10), late, RULES[0])
    with pytest.raises(ConfigError, match="whole 1e-7"):
        DeltaRule(move=0.1, fee_rate=Decimal("0.00000001"))
    for wrong in ({"move": 0.0}, {"band": -1.0}, {"band": float("nan")}, {"band": float("inf")}):
        with pytest.raises(ConfigError, match="move"):
            DeltaRule(**({"move": 0.1} | wrong))
