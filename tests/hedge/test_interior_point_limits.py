"""Degenerate problems, refused ones, edges and tails."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from ivhedge.core.errors import DataError
from ivhedge.hedge.optimiser import (
    SolverStatus,
    TailRows,
    band_violation,
    objective,
    solve,
    tail_loss,
)

from ._problems import by_piqp, keeps_limits, problem, worth

DEGENERATE = {
    "zero_covariance": lambda p: replace(p, covariance=np.zeros((5, 5))),
    "no_aversion": lambda p: replace(p, aversion=0.0),
    "singular_covariance": lambda p: replace(p, covariance=np.ones((5, 5))),
    "one_factor_without_risk": lambda p: replace(p, covariance=np.diag([1.0, 0.0, 2.0, 0.0, 1e-8])),
    "twins": lambda p: replace(p, loadings=np.tile(p.loadings[:, :6], 2)),
    "infinite_caps": lambda p: replace(p, max_buy=np.full(12, np.inf), max_sell=np.full(12, np.inf)),
    "some_zero_caps": lambda p: replace(p, max_buy=np.zeros(12)),
    "no_bands": lambda p: replace(p, lower=np.full(5, -np.inf), upper=np.full(5, np.inf)),
    "one_sided_bands": lambda p: replace(p, lower=np.full(5, -np.inf)),
    "no_penalty": lambda p: replace(p, penalty=np.zeros(5)),
    "points_for_bands": lambda p: replace(p, lower=np.full(5, 0.2), upper=np.full(5, 0.2)),
    "steep_penalty": lambda p: replace(p, penalty=np.full(5, 1e6)),
    "no_reach": lambda p: replace(p, reach=np.zeros(5)),
    "tiny_costs": lambda p: replace(p, buy_cost=1e-9 * p.buy_cost, sell_cost=1e-9 * p.sell_cost),
    "an_instrument_without_loading": lambda p: replace(p, loadings=p.loadings * (np.arange(12) > 0)),
    "far_from_the_bands": lambda p: replace(p, exposure=1e6 * p.exposure),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("seed", range(3))
def test_degenerate_problems_are_solved_like_piqp_does(name, seed, monkeypatch):
    one = DEGENERATE[name](problem(seed))
    own, peer = solve(one), by_piqp(one, monkeypatch)
    assert own.status is SolverStatus.SOLVED
    assert keeps_limits(one, own.trades)
    if peer.status is SolverStatus.SOLVED:
        assert worth(one, own) == pytest.approx(worth(one, peer), rel=2e-5, abs=2e-5)
    assert worth(one, own) <= objective(one, np.zeros(12)) + 1e-6


def test_without_room_there_is_nothing_to_do():
    one = problem(6)
    for idle in (
        replace(one, max_buy=np.zeros(12), max_sell=np.zeros(12)),
        one.columns(np.zeros(0, dtype=np.int64)),
        replace(one, exposure=np.zeros(5)),
        replace(one, budget=0.0),
        replace(one, margin_cap=0.0),
    ):
        solution = solve(idle)
        assert solution.status is SolverStatus.NOTHING_TO_DO
        assert not solution.trades.any()


def test_what_costs_no_budget_still_trades_when_that_is_spent():
    one = replace(problem(6, budget=0.0), buy_charge=np.r_[np.zeros(3), np.ones(9)], sell_charge=np.ones(12))
    solution = solve(one)
    assert solution.status is SolverStatus.SOLVED
    assert (solution.trades[:3] > 0.0).any()
    assert not solution.trades[3:].any()
    assert "budget" in {limit.kind for limit in solution.binding}


def test_what_cannot_be_met_is_the_least_violation_with_its_limits():
    # One instrument moves two factors together; their bands want them apart.
    one = replace(
        problem(0, k=2, n=1, margin_cap=np.inf),
        exposure=np.array([3.0, 1.0]),
        lower=np.array([-0.5, 0.8]),
        upper=np.array([0.5, 1.2]),
        loadings=np.ones((2, 1)),
        penalty=np.array([10.0, 30.0]),
        max_sell=np.full(1, 5.0),
        aversion=0.0,
    )
    solution = solve(one)
    after = one.exposure + one.loadings @ solution.trades
    assert solution.status is SolverStatus.SOLVED
    assert band_violation(one, after)[1] == pytest.approx(0.0, abs=1e-4)
    kinds = {(limit.kind, limit.index) for limit in solution.binding}
    assert {("upper", 0), ("lower", 1)} <= kinds


@pytest.mark.parametrize(
    "name", ["exposure", "loadings", "covariance", "buy_cost", "max_buy", "upper", "margin", "free_size"]
)
def test_what_is_not_a_number_is_refused(name):
    one = problem(7)
    bad = getattr(one, name).copy()
    bad.flat[-1] = np.nan
    with pytest.raises(DataError, match="hedge problem"):
        solve(replace(one, **{name: bad}))


def test_bands_the_wrong_way_round_are_refused():
    one = problem(7)
    with pytest.raises(DataError, match=r"lower <= upper"):
        solve(replace(one, lower=one.upper + 1.0))


def test_a_round_trip_that_earns_and_an_edge_without_a_cap_are_refused():
    one = problem(7)
    with pytest.raises(DataError, match="round trip"):
        solve(replace(one, buy_cost=-one.sell_cost - 0.01))
    edge = np.where(np.arange(12) == 2, -0.05, one.buy_cost)
    with pytest.raises(DataError, match="finite cap"):
        solve(replace(one, buy_cost=edge, max_buy=np.full(12, np.inf)))


@given(st.integers(0, 10_000), st.sampled_from([0.0, 3.0]))
@settings(max_examples=25, deadline=None)
def test_an_edge_is_taken_up_to_its_worth(seed, size):
    one = problem(seed, budget=5.0)
    edged = replace(
        one,
        exposure=size * one.exposure,
        buy_cost=np.where(np.arange(12) < 3, -0.04, one.buy_cost),
        buy_charge=one.buy_cost,
        sell_charge=one.sell_cost,
    )
    own = solve(edged)
    with pytest.MonkeyPatch.context() as patch:
        peer = by_piqp(edged, patch)
    assert own.status is SolverStatus.SOLVED
    assert worth(edged, own) == pytest.approx(worth(edged, peer), rel=2e-5, abs=1e-5)
    assert keeps_limits(edged, own.trades)


def test_an_edge_without_risk_is_taken_to_the_cap():
    one = replace(problem(3), exposure=np.zeros(5), margin_cap=np.inf)
    one = replace(one, loadings=one.loadings * (np.arange(12) != 4))
    one = replace(
        one, sell_cost=np.where(np.arange(12) == 4, -0.02, one.sell_cost), max_sell=np.full(12, 7.0)
    )
    solution = solve(one)
    assert solution.trades[4] == pytest.approx(-7.0, abs=1e-3)
    assert ("max_sell", 4) in {(limit.kind, limit.index) for limit in solution.binding}


def with_tail(seed, price):
    one = problem(seed, margin_cap=np.inf)
    rng = np.random.default_rng(seed)
    moves = rng.standard_t(3, size=(60, 5))
    weights = rng.uniform(0.5, 1.5, 60)
    tail = TailRows(
        book=moves @ one.exposure,
        candidates=moves @ one.loadings,
        weights=weights / weights.sum(),
        level=0.9,
        price=price,
    )
    return replace(one, tail=tail)


def test_a_dearer_tail_is_never_heavier_and_costs_more_variance():
    losses = [tail_loss((p := with_tail(2, price)).tail, solve(p).trades) for price in (0.01, 0.3, 10.0)]
    assert losses[0] > losses[1] > losses[2]


def test_the_tail_alone_is_the_linear_programme_of_rockafellar_and_uryasev():
    one = replace(with_tail(4, 1.0), aversion=0.0, penalty=np.zeros(5), reach=np.full(5, 1e3))
    tail, n, count = one.tail, 12, 60
    profit = tail.candidates
    cost = np.r_[one.buy_cost, one.sell_cost, 1.0, tail.weights / 0.1]
    rows = np.hstack((-profit, profit, -np.ones((count, 1)), -np.eye(count)))
    caps = np.r_[one.max_buy, one.max_sell]
    bounds = [(0.0, None if np.isinf(cap) else cap) for cap in caps] + [(None, None)] + [(0.0, None)] * count
    best = linprog(cost, A_ub=rows, b_ub=tail.book, bounds=bounds, method="highs")
    solution = solve(one)
    assert solution.status is SolverStatus.SOLVED
    assert objective(one, solution.trades) == pytest.approx(best.fun, rel=1e-5)
    assert n == solution.trades.size


def test_scenarios_that_do_not_fit_are_refused():
    one = with_tail(1, 1.0)
    for bad in (
        replace(one.tail, candidates=one.tail.candidates[:, 1:]),
        replace(one.tail, weights=2.0 * one.tail.weights),
        replace(one.tail, level=1.0),
        replace(one.tail, book=np.full(60, np.nan)),
    ):
        with pytest.raises(DataError):
            solve(replace(one, tail=bad))
