"""Jumps are seen in their own bar, calm paths stay calm, and nothing looks ahead."""

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, parse_time
from ivhedge.forecast import Bars
from ivhedge.forecast.bars import BarRepairs
from ivhedge.forecast.view import Regime, SpikeRules, spike_start, spike_update

START = parse_time("2024-01-01")
QUIET = 0.005


def made(close):
    """Bars of hourly closes, whole days."""
    days = close.reshape(-1, 24)
    return Bars(
        day_ns=START + NS_PER_DAY * np.arange(len(days)),
        open=days,
        high=days,
        low=days,
        close=days,
        interval_ns=NS_PER_HOUR,
        repairs=BarRepairs(),
    )


def path(days, seed=3, weekend=1.0):
    rng = np.random.default_rng(seed)
    hour = np.arange(days * 24)
    scale = QUIET * (1.0 + 0.5 * (hour % 24 == 14)) * np.where((hour // 24) % 7 >= 5, weekend, 1.0)
    return 100.0 * np.exp(np.cumsum(scale * rng.standard_normal(hour.size)))


def run(state, closes):
    states = []
    for close in closes:
        state = spike_update(state, float(close), state.ts_ns + state.step_ns)
        states.append(state)
    return states


def test_false_alarms_are_as_rare_as_asked():
    close = path(700, weekend=0.5)
    states = run(spike_start(made(close[: 24 * 200])), close[24 * 200 :])
    days = {s.ts_ns // NS_PER_DAY for s in states if s.bars_since_jump == 0}
    # One day in a hundred, and what an estimated scale adds.
    assert len(days) < 0.03 * 500
    assert sum(s.regime is Regime.CALM for s in states) > 0.9 * len(states)


@pytest.mark.parametrize("size", [8.0, -8.0])
def test_a_jump_is_seen_in_its_own_bar_and_fades(size):
    close = path(64)
    state = spike_start(made(close[: 24 * 60]))
    calm = run(state, close[24 * 60 : 24 * 60 + 5])
    jumped = close[24 * 60 + 5 :] * np.exp(size * QUIET)
    states = run(calm[-1], jumped)
    assert [s.regime for s in calm] == [Regime.CALM] * 5
    first = states[0]
    assert first.regime is Regime.SPIKE
    assert not first.may_sell
    assert np.sign(first.statistic) == np.sign(size)
    hold = state.rules.hold_bars
    assert states[hold - 1].regime is Regime.SPIKE
    assert states[hold].regime is Regime.ELEVATED
    assert states[hold].may_sell
    assert states[2 * hold].regime is Regime.CALM


def test_a_wild_market_is_elevated_without_one_jump():
    close = path(60)
    state = spike_start(made(close))
    moves = np.where(np.arange(6) % 2, 1.0, -1.0) * 3.0 * QUIET
    states = run(state, close[-1] * np.exp(np.cumsum(moves)))
    assert all(s.bars_since_jump is None for s in states)
    assert states[-1].regime is Regime.ELEVATED


def test_later_bars_change_no_earlier_state():
    close = path(64)
    begin = spike_start(made(close[: 24 * 60]))
    rest = close[24 * 60 :]
    changed = np.concatenate([rest[:20], rest[20:] * 2.0])
    for first, second in zip(run(begin, rest)[:20], run(begin, changed)[:20], strict=True):
        assert (first.statistic, first.ratio, first.regime) == (
            second.statistic,
            second.ratio,
            second.regime,
        )


def test_a_missing_bar_is_no_jump():
    close = path(60)
    close[24 * 50 + 3] = np.nan
    assert np.isfinite(spike_start(made(close)).returns).all()


def test_what_is_refused():
    close = path(60)
    with pytest.raises(DataError, match="672"):
        spike_start(made(close[: 24 * 20]))
    with pytest.raises(DataError, match="move"):
        spike_start(made(np.full(24 * 60, 100.0)))
    state = spike_start(made(close))
    with pytest.raises(DataError, match="positive close"):
        spike_update(state, float("nan"), state.ts_ns + NS_PER_HOUR)
    with pytest.raises(DataError, match="gap"):
        spike_update(state, 100.0, state.ts_ns + 2 * NS_PER_HOUR)
    for bad in ({"window_bars": 5}, {"false_alarms_per_day": 0.0}, {"elevated_ratio": 1.0}):
        with pytest.raises(ConfigError):
            SpikeRules(**bad)
