"""Lots for the tail of scenarios: against every lot there is, under limits, and in whole plans."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.hedge import Band, PlanStatus
from ivhedge.hedge.objectives import ConditionalValueAtRisk
from ivhedge.hedge.objectives.rows import TailSample
from ivhedge.hedge.objectives.tail import solve_tail, tail_mean, tail_objective, tail_slope
from ivhedge.hedge.objectives.tail_lots import round_tail
from ivhedge.hedge.optimiser import HedgeProblem, SolverStatus, leg_charges
from ivhedge.hedge.plan import EdgeQuote
from ivhedge.hedge.rounding import LotGrid

from ._models import SCENARIOS
from .test_plan_options import LIMITS, OPTIONS, plan

LEVEL, PRICE = 0.9, 1.0


def case(seed, *, n=3, count=40, impact=0.0, caps=5.0, edge=0.0):
    """A book short of what n instruments move, their noise, a band; lots so coarse that rounding matters."""
    rng = np.random.default_rng(seed)
    moves = rng.standard_t(4, (count, n))
    own = rng.uniform(-3.0, 3.0, n)
    sample = TailSample(
        book=moves @ own + 0.3 * rng.normal(size=count),
        candidates=moves + 0.2 * rng.normal(size=(count, n)),
        weights=np.full(count, 1.0 / count) if seed % 2 else rng.dirichlet(np.ones(count)),
        level=LEVEL,
    )
    loads = rng.uniform(0.2, 1.0, (1, n))
    lot = rng.choice([0.25, 0.5, 1.0], n)
    cost = rng.uniform(0.02, 0.2, n)
    problem = HedgeProblem(
        exposure=loads @ own,
        target=np.zeros(1),
        lower=np.full(1, -0.5),
        upper=np.full(1, 0.5),
        reach=np.full(1, float((loads[0] * lot).min())),
        loadings=loads,
        covariance=np.eye(1),
        aversion=0.0,
        penalty=np.full(1, 3.0),
        buy_cost=cost - edge * cost,
        sell_cost=cost + edge * cost,
        max_buy=np.full(n, caps),
        max_sell=np.full(n, caps),
        free_size=np.full(n, 1.0),
        impact=np.full(n, impact),
        budget=np.inf,
        buy_charge=cost,
        sell_charge=cost,
    )
    return problem, sample, LotGrid(lot=lot, min_size=lot * rng.choice([1.0, 2.0], n))


def feasible(problem, trades):
    low, high = problem.box
    after = problem.exposure[:, None] + problem.loadings @ trades
    inside = (after >= low[:, None] - 1e-9).all(axis=0) & (after <= high[:, None] + 1e-9).all(axis=0)
    return inside & (leg_charges(problem, trades).sum(axis=0) <= problem.budget)


def unhedged(problem, sample):
    return float(tail_objective(problem, sample, np.zeros(problem.buy_cost.size), PRICE))


def best_of_all(problem, sample, grid):
    """The least objective over every lot there is."""
    sides = []
    for lot, least, buy, sell in zip(grid.lot, grid.smallest, problem.max_buy, problem.max_sell, strict=True):
        lots = np.arange(-int(sell / lot), int(buy / lot) + 1)
        sides.append(lots[(lots == 0) | (np.abs(lots) >= least)] * lot)
    trades = np.array(list(itertools.product(*sides))).T
    trades = trades[:, feasible(problem, trades)]
    return float(tail_objective(problem, sample, trades, PRICE).min())


def rounded(problem, sample, grid):
    solution = solve_tail(problem, sample, PRICE)
    assert solution.status is SolverStatus.SOLVED
    lots = round_tail(problem, sample, grid, solution.trades, PRICE)
    assert ((lots == 0) | (np.abs(lots) >= grid.smallest)).all()
    trades = lots * grid.lot
    assert (trades <= problem.max_buy).all()
    assert (-trades <= problem.max_sell).all()
    assert feasible(problem, trades[:, None]).all()
    return trades


@pytest.mark.parametrize("impact", [0.0, 0.05])
@pytest.mark.parametrize("share", [np.inf, 0.7, 0.3, 0.1])
def test_lots_come_close_to_the_best_of_all(share, impact):
    lost = []
    for seed in range(12):
        problem, sample, grid = case(seed, impact=impact)
        free = leg_charges(problem, solve_tail(problem, sample, PRICE).trades).sum()
        if np.isfinite(share):
            problem = replace(problem, budget=float(share * free))
        idle = unhedged(problem, sample)
        found = float(tail_objective(problem, sample, rounded(problem, sample, grid), PRICE))
        best = best_of_all(problem, sample, grid)
        assert best - 1e-9 <= found <= idle
        lost.append((found - best) / max(idle - best, 1e-9) if idle - best > 1e-9 else 0.0)
    assert np.mean(lost) < 0.005
    assert max(lost) < 0.03


@given(st.integers(0, 10_000), st.integers(1, 8), st.floats(0.0, 1.2), st.sampled_from([0.0, 0.1, 3.0]))
@settings(max_examples=25, deadline=None)
def test_lots_keep_every_limit_and_never_lose(seed, n, share, edge):
    problem, sample, grid = case(seed, n=n, impact=0.02, edge=edge)
    free = leg_charges(problem, solve_tail(problem, sample, PRICE).trades).sum()
    problem = replace(problem, budget=float(share * free))
    value = float(tail_objective(problem, sample, rounded(problem, sample, grid), PRICE))
    assert value <= unhedged(problem, sample)


def test_a_charge_counts_in_full_where_an_edge_lowers_the_cost():
    problem, sample, grid = case(3, edge=0.9)
    free = leg_charges(problem, solve_tail(problem, sample, PRICE).trades).sum()
    tight = replace(problem, budget=float(0.5 * free))
    assert leg_charges(tight, solve_tail(tight, sample, PRICE).trades).sum() <= tight.budget * (1.0 + 1e-6)
    assert rounded(tight, sample, grid).any()


def test_an_edge_is_taken_where_there_is_nothing_to_hedge():
    problem, sample, grid = case(5, edge=100.0)
    flat = replace(sample, book=np.zeros(sample.book.size))
    problem = replace(problem, exposure=np.zeros(1))
    assert rounded(problem, flat, grid).any()


def test_the_slope_bounds_the_tail_from_below():
    for seed in (1, 2):
        _, sample, _ = case(seed)
        rng = np.random.default_rng(seed)
        start = rng.normal(size=3)
        moves = rng.normal(size=(3, 200))
        values = tail_mean(
            sample.book[:, None] + sample.candidates @ (start[:, None] + moves), sample.weights, LEVEL
        )
        at = float(tail_mean(sample.book + sample.candidates @ start, sample.weights, LEVEL))
        assert (values >= at + tail_slope(sample, start) @ moves - 1e-9).all()


@pytest.mark.parametrize("level", [0.5, 0.625, 0.9, 0.975, 0.999])
def test_equal_weights_need_no_order(level):
    profits = np.random.default_rng(4).normal(size=(40, 5))
    weights = np.full(40, 1.0 / 40)
    uneven = weights * (1.0 + 1e-12 * np.arange(40))
    expected = tail_mean(profits, uneven / uneven.sum(), level)
    np.testing.assert_allclose(tail_mean(profits, weights, level), expected, rtol=1e-8)


TAIL = ConditionalValueAtRisk(scenarios=SCENARIOS, level=0.9)


def test_a_cost_limit_never_zeroes_a_tail_hedge():
    """More to spend never leaves more risk, and less to spend is spent."""
    left, before = [], None
    for most in (20.0, 50.0, 150.0, 200.0, 300.0, 500.0, 700.0, 1000.0):
        result = plan(limits=replace(LIMITS, max_cost_usd=most), objective=TAIL)
        assert 0.8 * most <= result.cost_usd <= most
        assert result.status is (PlanStatus.BEST_EFFORT if most < 190.0 else PlanStatus.OK)
        assert ("max_cost_usd" in result.binding) == (most < 190.0)
        left.append(result.objective_after)
        before = result.objective_before
    assert all(b < a for a, b in itertools.pairwise(left))
    assert left[0] < 0.9 * before
    assert left[-1] < 0.01 * before


@pytest.mark.parametrize("objective", [None, TAIL])
def test_a_cost_limit_is_named_whatever_the_edge(objective):
    edges = {OPTIONS[20].key: EdgeQuote(buy=2000.0, max_contracts=3.0)}
    result = plan(limits=replace(LIMITS, max_cost_usd=50.0), objective=objective, edges=edges)
    assert result.binding == ("band delta", "max_cost_usd")


def test_coarse_options_are_brought_back_into_the_band_by_the_future():
    result = plan(limits=replace(LIMITS, delta=Band.around(0.001)), objective=TAIL)
    assert result.status is PlanStatus.OK
    assert abs(result.exposures_after["delta"]) <= 0.0012
