from dataclasses import replace

import numpy as np
import pytest

from ivhedge.core import NS_PER_DAY, NS_PER_HOUR
from ivhedge.core.errors import ConfigError
from ivhedge.market.simulator import (
    BTC,
    ETH,
    CarryConfig,
    CorrelationConfig,
    RealWorldParams,
    bates_price,
)
from ivhedge.market.simulator.carry import carry_rate, forward_price
from ivhedge.market.simulator.paths import simulate_paths
from ivhedge.market.simulator.streams import Streams

INDEPENDENT = CorrelationConfig(spot=0.0, variance=0.0, carry=0.0, common_jump_share=0.0, jump_size=0.0)
NO_CARRY = CarryConfig(initial=0.0, mean=0.0, std=0.0)


def _streams(seed=5):
    return Streams.from_generator(np.random.default_rng(seed))


def _pricing_world(asset):
    m = asset.model
    return RealWorldParams(
        mean_reversion=m.mean_reversion,
        long_variance=m.long_variance,
        jump_intensity=m.jump_intensity,
        jump_mean=m.jump_mean,
        jump_std=m.jump_std,
    )


def test_paths_without_premia_reproduce_the_option_prices():
    # every "asset" is one independent path, so this is a Monte Carlo test of the scheme
    count, steps, step_ns = 1_500, 96, 6 * NS_PER_HOUR
    one = replace(BTC, initial_spot=1.0, real_world=_pricing_world(BTC), carry=NO_CARRY)
    assets = [replace(one, underlying=f"A{i}") for i in range(count)]
    paths = simulate_paths(
        assets, INDEPENDENT, start_ns=0, step_ns=step_ns, n_steps=steps, streams=_streams()
    )
    tau = steps * step_ns / (365 * NS_PER_DAY)
    final = paths.spot[-1]
    for strike in (0.85, 1.0, 1.15):
        payoff = np.maximum(final - strike, 0.0)
        expected = float(bates_price(1.0, strike, tau, BTC.initial_variance, True, BTC.model))
        assert abs(payoff.mean() - expected) < 4.0 * payoff.std() / np.sqrt(count)
    assert abs(final.mean() - 1.0) < 4.0 * final.std() / np.sqrt(count)
    decay = np.exp(-BTC.model.mean_reversion * tau)
    mean = BTC.model.long_variance + (BTC.initial_variance - BTC.model.long_variance) * decay
    variance = paths.variance[-1]
    assert abs(variance.mean() - mean) < 4.0 * variance.std() / np.sqrt(count)
    assert paths.variance.min() >= 0.0


def test_spot_and_variance_shocks_have_the_correlations_asked_for():
    calm = [
        replace(a, real_world=replace(a.real_world, jump_intensity=0.0, long_variance=0.5))
        for a in (BTC, ETH)
    ]
    paths = simulate_paths(
        calm, CorrelationConfig(), start_ns=0, step_ns=60 * 10**9, n_steps=40_000, streams=_streams()
    )
    returns = np.diff(np.log(paths.spot), axis=0) / np.sqrt(np.maximum(paths.variance[:-1], 1e-4))
    moves = np.diff(paths.variance, axis=0) / np.sqrt(np.maximum(paths.variance[:-1], 1e-4))
    calm_rows = paths.variance[:-1].min(axis=1) > 0.05
    matrix = np.corrcoef(np.hstack([returns, moves])[calm_rows].T)
    assert matrix[0, 1] == pytest.approx(0.8, abs=0.03)
    assert matrix[2, 3] == pytest.approx(0.7, abs=0.03)
    assert matrix[0, 2] == pytest.approx(BTC.model.correlation, abs=0.03)
    assert matrix[0, 3] == pytest.approx(0.7 * BTC.model.correlation, abs=0.03)


def test_common_jumps_hit_both_assets_together():
    jumpy = [
        replace(a, initial_variance=0.0, real_world=replace(
            a.real_world, long_variance=1e-6, jump_intensity=200.0, jump_mean=-0.2, jump_std=0.01
        ))
        for a in (BTC, ETH)
    ]  # fmt: skip

    def together(share):
        paths = simulate_paths(
            jumpy,
            CorrelationConfig(common_jump_share=share),
            start_ns=0,
            step_ns=NS_PER_HOUR,
            n_steps=4_000,
            streams=_streams(),
        )
        jumped = np.diff(np.log(paths.spot), axis=0) < -0.05
        return (jumped.all(axis=1)).sum() / jumped[:, 0].sum()

    assert together(1.0) > 0.95
    assert together(0.0) < 0.10


def test_a_longer_path_begins_with_the_shorter_one():
    short, long = (
        simulate_paths(
            (BTC, ETH), CorrelationConfig(), start_ns=7, step_ns=NS_PER_HOUR, n_steps=n, streams=_streams()
        )
        for n in (20, 50)
    )
    for name in ("times_ns", "spot", "variance", "short_carry", "premium"):
        assert np.array_equal(getattr(short, name), getattr(long, name)[:21])


def test_forward_follows_the_carry_of_its_tenor():
    assert carry_rate(0.08, 1e-9, BTC.carry) == pytest.approx(0.08, abs=1e-6)
    assert carry_rate(0.08, 1e6, BTC.carry) == pytest.approx(BTC.carry.mean, abs=1e-6)
    assert forward_price(100.0, 0.05, 0.5, BTC.carry) == pytest.approx(100.0 * np.exp(0.025))


def test_paths_cannot_be_changed_and_times_outside_are_refused():
    paths = simulate_paths((BTC,), CorrelationConfig(), start_ns=0, step_ns=10, n_steps=4, streams=_streams())
    with pytest.raises(ValueError, match="read-only"):
        paths.spot[0] = 1.0
    assert paths.index_at([0, 9, 10, 40]).tolist() == [0, 0, 1, 4]
    with pytest.raises(ConfigError, match="expected times"):
        paths.index_at(41)


@pytest.mark.parametrize("spot", [0.999, -1.0])
def test_impossible_correlations_are_refused(spot):
    with pytest.raises(ConfigError, match="correlation"):
        simulate_paths(
            (BTC, ETH),
            CorrelationConfig(spot=spot, variance=-0.9),
            start_ns=0,
            step_ns=NS_PER_HOUR,
            n_steps=2,
            streams=_streams(),
        )
