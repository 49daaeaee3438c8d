"""The linear form against the interior point, warm against cold."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import DataError
from ivhedge.hedge.optimiser import LinearHedge, SolverStatus, TailRows, objective, solve

from ._problems import keeps_limits, problem, worth


def linear(seed, **more):
    return replace(problem(seed, **more), aversion=0.0)


@given(st.integers(0, 10_000), st.sampled_from([np.inf, 0.5]), st.sampled_from([np.inf, 1.5]))
@settings(max_examples=30, deadline=None)
def test_same_value_as_the_interior_point(seed, budget, cap):
    one = linear(seed, budget=budget, margin_cap=cap)
    ours, theirs = LinearHedge(one).solve(), solve(one)
    assert ours.status is SolverStatus.SOLVED
    assert keeps_limits(one, ours.trades)
    assert worth(one, ours) == pytest.approx(worth(one, theirs), rel=1e-5, abs=1e-5)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_moved_exposure_is_solved_like_from_the_start(seed):
    one = linear(seed, budget=0.8, margin_cap=3.0)
    kept, rng = LinearHedge(one), np.random.default_rng(seed)
    kept.solve()
    for size in (0.02, 0.5, 2.0):
        moved = replace(one, exposure=one.exposure * (1.0 + size * rng.normal(size=5)))
        warm, cold = kept.solve(moved.exposure), LinearHedge(moved).solve()
        assert warm.status is cold.status is SolverStatus.SOLVED
        assert keeps_limits(moved, warm.trades)
        assert worth(moved, warm) == pytest.approx(worth(moved, cold), rel=1e-7, abs=1e-9)


def test_a_small_move_takes_fewer_pivots_than_the_start():
    one = linear(3, n=40)
    kept = LinearHedge(one)
    first = kept.solve()
    assert kept.solve(1.001 * one.exposure).iterations < first.iterations


@pytest.mark.parametrize(("kind", "field"), [("margin", "margin_cap"), ("budget", "budget")])
def test_a_binding_resource_is_named_with_its_price(kind, field):
    one = replace(linear(4, margin_cap=np.inf), **{field: 0.2})
    solution = LinearHedge(one).solve()
    price = next(limit.multiplier for limit in solution.binding if limit.kind == kind)
    wider = LinearHedge(replace(one, **{field: 0.2005})).solve()
    assert (worth(one, solution) - worth(one, wider)) / 0.0005 == pytest.approx(price, rel=1e-4)


def test_a_spent_budget_trades_nothing():
    solution = LinearHedge(linear(5, budget=0.0)).solve()
    assert solution.status is SolverStatus.SOLVED
    assert not solution.trades.any()


def test_factors_without_a_band_play_no_part():
    one = linear(6)
    open_band = replace(
        one, lower=np.r_[one.lower[:3], -np.inf, -np.inf], upper=np.r_[one.upper[:3], np.inf, np.inf]
    )
    assert worth(open_band, LinearHedge(open_band).solve()) == pytest.approx(
        worth(open_band, solve(open_band)), rel=1e-5
    )


def test_what_has_no_linear_form_is_refused():
    one = linear(7)
    with pytest.raises(DataError, match="band"):
        LinearHedge(replace(one, lower=np.full(5, -np.inf), upper=np.full(5, np.inf)))
    tail = TailRows(book=np.zeros(1), candidates=np.zeros((1, 12)), weights=np.ones(1), level=0.9, price=1.0)
    with pytest.raises(DataError, match="tail"):
        LinearHedge(replace(one, tail=tail))
    with pytest.raises(DataError, match="finite exposures"):
        LinearHedge(one).solve(np.full(5, np.nan))


def test_no_trade_is_never_better():
    for seed in range(10):
        one = linear(seed, margin_cap=1.0)
        assert worth(one, LinearHedge(one).solve()) <= objective(one, np.zeros(12)) + 1e-9
