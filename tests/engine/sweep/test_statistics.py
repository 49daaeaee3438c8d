"""Figures, resamples, p-values and the choice from the past, on series whose answers are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.engine.sweep import (
    CHOSEN,
    BootstrapSpec,
    Cell,
    WalkForwardSpec,
    compare,
    scores,
    step_figures,
    walk_forward,
)
from ivhedge.engine.sweep.figures import block_indices, max_drawdown, spread_correction

HOW = BootstrapSpec(block=4, resamples=400)


def cell(pnl, lengths, cost=None):
    pnl = np.asarray(pnl, dtype=float)
    names = tuple(f"v{row}" for row in range(len(pnl)))
    return Cell(
        market="BTC",
        book="book",
        variants=names,
        periods=tuple(f"p{place}" for place in range(len(lengths))),
        lengths=lengths,
        ts_ns=np.arange(pnl.shape[1], dtype=np.int64),
        pnl=pnl,
        cost=np.ones_like(pnl) if cost is None else np.asarray(cost, dtype=float),
    )


def test_figures_by_hand():
    found = step_figures(np.array([3.0, -2.0, 1.0, -4.0]), np.array([1.0, 0.0, 0.0, 2.0]))
    assert found.pnl_usd == -2.0
    assert found.cost_usd == 3.0
    assert found.cvar95_usd == -4.0
    assert found.std_usd == pytest.approx(np.std([3, -2, 1, -4], ddof=1))
    assert max_drawdown(np.array([3.0, -2.0, 1.0, -4.0])) == -5.0
    assert max_drawdown(np.array([-1.0, 5.0])) == -1.0


def test_criteria_by_hand():
    base = step_figures(np.array([2.0, -2.0, 2.0, -2.0]), np.ones(4))
    own = step_figures(np.array([2.0, 0.0, 2.0, 0.0]), np.ones(4))
    assert scores("sharpe", own, base) == pytest.approx(own.mean_usd / own.std_usd)
    assert scores("cvar95", own, base) == 0.0
    assert scores("std", own, base) == -own.std_usd
    assert scores("variance_per_cost", own, base) == pytest.approx((16 / 3 - 4 / 3) / 4)
    still = step_figures(np.zeros(4), np.zeros(4))
    assert np.isnan(scores("sharpe", still, base))
    assert np.isnan(scores("variance_per_cost", still, base))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_resamples_stay_inside_their_period(lengths, block, seed):
    found = block_indices(tuple(lengths), block, 20, np.random.default_rng(seed))
    assert found.shape == (20, sum(lengths))
    start = 0
    for length in lengths:
        part = found[:, start : start + length]
        assert part.min() >= start
        assert part.max() < start + length
        start += length


def test_every_step_is_drawn_equally_often():
    found = block_indices((12, 30), 5, 40_000, np.random.default_rng(1))
    counts = np.bincount(found.ravel(), minlength=42) / 40_000
    np.testing.assert_allclose(counts, 1.0, atol=0.05)


def test_resamples_vary_as_much_as_the_mean_does():
    """Of independent steps the variance of the mean is known; blocks alone show less of it."""
    rng, lengths = np.random.default_rng(2), (60, 60)
    drawn = [
        rng.standard_normal(120)[block_indices(lengths, 8, 200, rng)].mean(axis=1).std() for _ in range(200)
    ]
    known = 1.0 / np.sqrt(120)
    assert np.mean(drawn) < 0.95 * known
    assert np.mean(drawn) * spread_correction(lengths, 8) == pytest.approx(known, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["std", "cvar95", "sharpe"])
def test_equals_are_rejected_about_as_often_as_promised(criterion):
    """600 steps, two variants that are no better: at 5 % between 2 and 8 % are rejected."""
    rejected, runs = 0, 400
    how = BootstrapSpec(block=8, resamples=300)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        found = compare(cell(rng.standard_normal((2, 600)), (600,)), criterion, how, rng)
        rejected += found.p_value[1] < 0.05
    assert 0.02 <= rejected / runs <= 0.08


def test_differences_are_paired_and_a_twin_has_none():
    rng = np.random.default_rng(1)
    common = rng.normal(0.0, 100.0, 200)
    found = compare(cell([common, common - 1.0, common], (100, 100)), "cvar95", HOW, rng)
    gain = found.differences["score"]
    # The common part cancels: without pairing the interval would be tens wide.
    assert gain.low[1] == pytest.approx(-1.0)
    assert gain.high[1] == pytest.approx(-1.0)
    assert gain.value[2] == gain.low[2] == gain.high[2] == 0.0
    assert np.isnan(found.p_value[[0, 2]]).all()


def test_the_best_of_many_equals_is_no_discovery():
    rng = np.random.default_rng(2)
    noise = rng.normal(0.0, 1.0, (21, 240))
    found = compare(cell(noise, (120, 120)), "sharpe", HOW, rng)
    best = np.nanargmin(found.p_value)
    assert found.p_value[best] < 0.1  # alone it looks good
    assert found.p_adjusted[best] > 0.1  # as the best of twenty it does not
    known = np.isfinite(found.p_value)
    assert (found.p_adjusted[known] >= found.p_value[known]).all()


def test_a_true_gain_is_found():
    rng = np.random.default_rng(3)
    base = rng.normal(0.0, 1.0, 240)
    found = compare(cell([base, 0.3 * base], (240,)), "std", HOW, rng)
    assert found.p_adjusted[1] < 0.02
    assert found.differences["score"].low[1] > 0.0


def test_the_choice_sees_the_past_alone():
    """Each period has another winner: who looked ahead would always win, who does not always loses."""
    win, lose = np.tile([1.0, 1.1], 10), np.tile([-1.0, -1.1], 10)
    pnl = [np.zeros(60), np.concatenate([win, lose, win]), np.concatenate([lose, win, lose])]
    pnl[0] = np.tile([-0.1, 0.1], 30)
    found = walk_forward(
        cell(pnl, (20, 20, 20)),
        "sharpe",
        WalkForwardSpec(train=1, anchored=False),
        HOW,
        np.random.default_rng(4),
    )
    assert [fold.chosen for fold in found.folds] == ["v1", "v2"]
    assert [fold.best_out for fold in found.folds] == ["v2", "v1"]
    assert [fold.trained_on for fold in found.folds] == [("p0",), ("p1",)]
    assert found.cell.variants[-1] == CHOSEN
    np.testing.assert_array_equal(found.cell.pnl[-1], np.concatenate([lose, lose]))
    assert all(fold.rank_correlation < 0 for fold in found.folds)


def test_anchored_training_keeps_the_first_period():
    rng = np.random.default_rng(5)
    found = walk_forward(
        cell(rng.normal(size=(3, 80)), (20, 20, 20, 20)), "std", WalkForwardSpec(train=2), HOW, rng
    )
    assert [fold.trained_on for fold in found.folds] == [("p0", "p1"), ("p0", "p1", "p2")]
    assert found.cell.periods == ("p2", "p3")


def test_the_seed_alone_decides_the_intervals():
    rng = np.random.default_rng(6)
    data = cell(rng.normal(size=(3, 80)), (40, 40))
    first, second, other = (
        compare(data, "cvar95", HOW, np.random.default_rng(seed)).figures["pnl_usd"].low for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
