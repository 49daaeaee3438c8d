"""What may be a covariance of a hedge problem: singular, but never with a negative variance."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import DataError
from ivhedge.hedge.optimiser import SolverStatus, objective, solve
from ivhedge.hedge.optimiser.definite import check_covariance, is_semidefinite

from ._problems import by_piqp, problem


def matrix(seed, k, rank, shift):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, rank))
    found = root @ root.T + np.zeros((k, k))
    sd = np.sqrt(np.diag(found))
    units = 10.0 ** rng.uniform(-4, 6, k)
    return (found / np.outer(sd, sd) - shift * np.eye(k)) * np.outer(units, units)


@given(
    st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.0, 1e-12, 1e-5, 0.3])
)
@settings(max_examples=150, deadline=None)
def test_kernel_and_twin_agree_on_every_unit(seed, k, rank, shift):
    covariance = matrix(seed, k, rank, shift)
    fine = check_covariance(covariance) is None
    assert is_semidefinite(covariance) == fine
    if shift <= 1e-12:
        assert fine
    if shift >= 1e-5 and rank < k:
        assert not fine


def test_what_is_wrong_is_said():
    one = problem(1)
    k = one.exposure.size
    wrong = {
        "variance of -1": np.diag([-1.0, *np.ones(k - 1)]),
        "not symmetric at factors": np.eye(k) + np.eye(k, k=1) * 0.1,
        "as the least eigenvalue": 3.0 * np.ones((k, k)) - 2.0 * np.eye(k),
        "without variance that covary": np.ones((k, k)) - np.diag([1.0, *np.zeros(k - 1)]),
    }
    for said, covariance in wrong.items():
        assert not is_semidefinite(covariance)
        with pytest.raises(DataError, match=rf"expected a positive semidefinite covariance.*{said}.*clip"):
            solve(replace(one, covariance=covariance))


def test_an_indefinite_covariance_is_refused_by_both_solvers(monkeypatch):
    covariance = np.eye(5)
    covariance[0, 1] = covariance[1, 0] = 2.0
    one = replace(problem(3), covariance=covariance)
    with pytest.raises(DataError, match="least eigenvalue"):
        solve(one)
    with pytest.raises(DataError, match="least eigenvalue"):
        by_piqp(one, monkeypatch)


def test_a_singular_covariance_is_solved(monkeypatch):
    for seed in range(5):
        one = problem(seed, k=6, margin_cap=np.inf)
        root = np.random.default_rng(seed).normal(size=(6, 2))
        one = replace(one, covariance=root @ root.T)
        found, other = solve(one), by_piqp(one, monkeypatch)
        assert found.status is other.status is SolverStatus.SOLVED
        assert objective(one, found.trades) == pytest.approx(objective(one, other.trades), rel=1e-4)
    still = problem(7)
    flat = still.covariance.copy()
    flat[0], flat[:, 0] = 0.0, 0.0
    assert solve(replace(still, covariance=flat)).status is SolverStatus.SOLVED
