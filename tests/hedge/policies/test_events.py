"""The fast replay of events is that of a delta at every event."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.hedge.policies import FixedBand, replay_events, replay_events_stepwise

TERMS = {"strike": 100.0, "vol": 0.5, "expiry": 8.0 / 365.0, "cost": 3e-4, "fee": 0.01}


def stream(seed, n, days=7.0, start=100.0):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0.0, days / 365.0, n))
    steps = np.sqrt(np.diff(times, prepend=0.0)) * 0.5 * rng.standard_normal(n)
    return times, start * np.exp(np.cumsum(steps))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    half=st.sampled_from([0.0005, 0.005, 0.05, 0.3, 1.5]),
    to_target=st.booleans(),
    position=st.sampled_from([-1, 1]),
    start=st.floats(85.0, 115.0),
    days=st.sampled_from([1.0, 7.9, 8.0]),
)
def test_fast_replay_equals_a_delta_at_every_event(seed, half, to_target, position, start, days):
    times, prices = stream(seed, 3_000, days, start)
    policy = FixedBand(half_width=half, to_target=to_target)
    fast = replay_events(policy, times, prices, position=position, **TERMS)
    slow = replay_events_stepwise(policy, times, prices, position=position, **TERMS)
    assert fast.trades == slow.trades
    for name in ("cash", "hedge", "cost", "fees", "turnover"):
        assert getattr(fast, name) == pytest.approx(getattr(slow, name), abs=1e-9)


def test_the_edge_that_lies_inside_the_interval_is_seen():
    # The hedge taken at the total vol 2 is left at d1 = x, just below 2. The price at which that happens is
    # highest when the total vol is x, between the two looks, by (2 − x)²/2 in the log.
    vol, half, x = 2.0, 0.01, 1.9992
    start = 100.0 * np.exp(2.0 * ndtri(ndtr(x) + half) - 2.0)
    times = [0.0, 1.0 - (x / vol) ** 2]
    prices = [start, 100.0 * np.exp(0.5 * x * x - 1e-8)]
    policy = FixedBand(half_width=half, to_target=True)
    terms = {"strike": 100.0, "vol": vol, "expiry": 1.0}
    assert replay_events_stepwise(policy, times, prices, **terms).trades == 2
    assert replay_events(policy, times, prices, **terms).trades == 2


def test_few_deltas_are_computed():
    times, prices = stream(1, 200_000)
    found = replay_events(FixedBand(half_width=0.02, to_target=True), times, prices, **TERMS)
    assert found.trades < found.looks < 0.01 * times.size


def test_events_after_expiry_and_out_of_order_are_refused():
    policy = FixedBand(half_width=0.02)
    with pytest.raises(DataError, match="sort"):
        replay_events(policy, [0.0, 0.01, 0.005], [100.0] * 3, **TERMS)
    with pytest.raises(DataError, match="expiry"):
        replay_events(policy, [0.0, 0.1], [100.0] * 2, **TERMS)
    with pytest.raises(DataError, match="prices"):
        replay_events(policy, [0.0, 0.001], [100.0, np.nan], **TERMS)
    with pytest.raises(DataError, match="shape"):
        replay_events(policy, [], [], **TERMS)
    with pytest.raises(DataError, match="position"):
        replay_events(policy, [0.0], [100.0], position=0, **TERMS)
    with pytest.raises(ConfigError, match="vol"):
        replay_events(policy, [0.0], [100.0], strike=100.0, vol=0.0, expiry=1.0)
