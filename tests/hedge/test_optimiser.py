"""The programme against a general minimiser, and the refusal of what has not converged."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from ivhedge.hedge.aversion import priced_objective, solve_at_price
from ivhedge.hedge.optimiser import HedgeProblem, SolverStatus, fallback, objective, solve, solver
from ivhedge.hedge.optimiser.fallback import judge


def problem(seed, *, k=6, n=4):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, k))
    exposure = rng.normal(size=k) * 3.0
    covariance = root @ root.T + 0.1 * np.eye(k)
    return HedgeProblem(
        exposure=exposure,
        target=np.zeros(k),
        lower=np.full(k, -np.inf),
        upper=np.full(k, np.inf),
        reach=np.zeros(k),
        loadings=rng.normal(size=(k, n)),
        covariance=covariance,
        aversion=1.0 / float(np.sqrt(exposure @ covariance @ exposure)),
        penalty=np.zeros(k),
        buy_cost=rng.uniform(0.05, 0.4, n),
        sell_cost=rng.uniform(0.05, 0.4, n),
        max_buy=np.full(n, 2.0),
        max_sell=np.full(n, 2.0),
        free_size=np.full(n, np.inf),
        impact=np.zeros(n),
        budget=np.inf,
    )


def best(value, n, cap=2.0):
    """Least value over buys and sells in a box, by a general minimiser."""
    found = minimize(
        lambda z: value(z[:n] - z[n:]) + 1e-3 * float(np.minimum(z[:n], z[n:]).sum()),
        np.full(2 * n, 0.1),
        bounds=[(0.0, cap)] * (2 * n),
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return float(value(found.x[:n] - found.x[n:]))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_minimiser_does_better(seed):
    one = problem(seed)
    solution = solve(one)
    assert solution.status is SolverStatus.SOLVED
    reached = objective(one, solution.trades)
    assert reached <= best(lambda x: objective(one, x), 4) + 1e-5
    assert reached < objective(one, np.zeros(4))


@pytest.mark.parametrize("seed", range(5))
def test_the_price_of_risk_is_a_weight_of_the_standard_deviation(seed):
    start = problem(seed)
    last, solution = solve_at_price(start, 1.0)
    reached = priced_objective(last, solution.trades, 1.0)
    assert reached <= best(lambda x: priced_objective(start, x, 1.0), 4) * (1.0 + 1e-4)
    once = solve(start)
    assert reached <= priced_objective(start, once.trades, 1.0) + 1e-9


def test_without_a_price_nothing_is_solved_twice():
    free = replace(problem(0), aversion=0.0)
    last, solution = solve_at_price(free, 0.0)
    assert last is free
    assert np.abs(solution.trades).max() < 1e-5


@pytest.mark.parametrize(
    ("value", "solved", "residual", "status"),
    [
        (1.0, True, 1e-9, SolverStatus.SOLVED),
        (1.0, False, 1e-9, SolverStatus.NOT_CONVERGED),
        (np.nan, True, 1e-9, SolverStatus.NUMERICAL_TROUBLE),
        (1.0, True, 1e-3, SolverStatus.NUMERICAL_TROUBLE),
        (1.0, True, np.nan, SolverStatus.NUMERICAL_TROUBLE),
    ],
)
def test_the_word_of_the_fallback_is_checked(value, solved, residual, status):
    assert judge(np.full(4, value), solved, residual, 1e-9) is status


def test_what_neither_solver_finishes_is_not_traded(monkeypatch):
    monkeypatch.setattr(solver, "jit_available", lambda: False)
    monkeypatch.setattr(fallback, "_ITERATIONS", 1)
    solution = solve(problem(1))
    assert solution.status is SolverStatus.NOT_CONVERGED
    assert not solution.trades.any()
    assert solution.binding == ()
