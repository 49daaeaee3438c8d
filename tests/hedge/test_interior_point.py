"""The structured interior point: optimality, equality with PIQP, its plain form, the way to the fallback."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.hedge.optimiser import (
    SolverStatus,
    band_violation,
    interior_point,
    newton,
    objective,
    solve,
    solver,
    warmup,
)
from ivhedge.hedge.optimiser.prepare import prepare
from ivhedge.hedge.optimiser.problem import check
from ivhedge.hedge.optimiser.scaling import moneys, scale_problem, units_of
from ivhedge.hedge.optimiser.verify import Multipliers, optimality

from ._problems import by_piqp, keeps_limits, problem, worth

INNER = ("_start", "_residuals", "cholesky", "direction", "inverse", "largest", "longest", "products")
MORE = ("reduced_matrix", "transposed")


@given(
    st.integers(0, 10_000),
    st.sampled_from([np.inf, 0.5]),
    st.sampled_from([30.0, 1.5]),
    st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=40, deadline=None)
def test_same_value_as_piqp_and_within_every_limit(seed, budget, cap, impact):
    one = problem(seed, budget=budget, margin_cap=cap, impact=impact)
    own = solve(one)
    with pytest.MonkeyPatch.context() as patch:
        peer = by_piqp(one, patch)
    assert own.status is peer.status is SolverStatus.SOLVED
    assert peer.fallback
    assert not own.fallback
    assert worth(one, own) == pytest.approx(worth(one, peer), rel=1e-5, abs=1e-5)
    assert keeps_limits(one, own.trades, impact=False)


@given(st.integers(0, 10_000), st.sampled_from([np.inf, 0.5]), st.sampled_from([0.0, 0.3]))
@settings(max_examples=30, deadline=None)
def test_nothing_near_it_is_better(seed, budget, impact):
    one = problem(seed, budget=budget, margin_cap=2.0, impact=impact)
    own = solve(one)
    best = worth(one, own)
    rng = np.random.default_rng(seed)
    for size in (1e-3, 0.03, 0.3):
        for step in rng.normal(0.0, size, (30, 12)):
            trades = np.clip(own.trades + step, -one.max_sell, one.max_buy)
            if keeps_limits(one, trades, room=0.0, impact=False):
                assert objective(one, trades) >= best - 1e-5 * (1.0 + abs(best))


def both_forms(monkeypatch, one):
    """The kernel's answer and that of its plain Python, with the scaled problem."""
    kernel, seen = interior_point.interior_point, {}

    def keep(*arguments):
        seen["arguments"] = arguments
        seen["compiled"] = kernel(*arguments)
        return seen["compiled"]

    with monkeypatch.context() as patch:
        patch.setattr(solver, "interior_point", keep)
        solve(one)
    with monkeypatch.context() as patch:
        for module, names in ((interior_point, INNER + MORE), (newton, ("back_substitute", "transposed"))):
            for name in names:
                patch.setattr(module, name, getattr(module, name).py_func)
        for module in (interior_point, newton):
            patch.setattr(module, "prefer_full_vectors", lambda: None)
        seen["plain"] = kernel.py_func(*seen["arguments"])
    return seen


def test_the_kernel_and_its_plain_python_agree(monkeypatch):
    seen = both_forms(monkeypatch, problem(3, k=3, n=4, budget=0.7, impact=0.2))
    compiled, plain = seen["compiled"], seen["plain"]
    assert compiled[0]
    assert plain[0]
    assert compiled[1] == plain[1]
    assert compiled[4] == pytest.approx(plain[4], abs=1e-6)


@pytest.mark.parametrize("impact", [0.0, 0.3])
def test_the_compiled_scaling_is_the_numpy_one(impact):
    one = replace(problem(8, budget=0.4, impact=impact), max_sell=np.r_[0.0, np.inf, np.full(10, 1.0)])
    good, units, scaled = prepare(one, False)
    expected = replace(units_of(one), money=moneys(one, units_of(one))[0])
    twin = scale_problem(one, expected)
    assert good
    assert (units.risk, units.money) == pytest.approx((expected.risk, expected.money))
    order = np.lexsort((scaled.curvature > 0.0, -scaled.sign, scaled.column))
    other = np.lexsort((twin.curvature > 0.0, -twin.sign, twin.column))
    for field in fields(twin):
        ours, theirs = getattr(scaled, field.name), getattr(twin, field.name)
        if field.name in ("column", "sign", "cost", "curvature", "caps", "uses"):
            ours, theirs = ours[..., order], theirs[..., other]
        assert np.allclose(ours, theirs, rtol=1e-12, atol=0.0), field.name


def test_a_wrong_answer_does_not_pass_the_check():
    one = problem(9)
    _, _, scaled = prepare(one, False)
    m, k = scaled.cost.size, scaled.exposure.size
    zero = np.zeros((2, k))
    none = Multipliers(
        link=np.zeros(k), bands=zero, box=zero, caps=np.zeros(m), floors=np.zeros(m), rows=np.zeros(1)
    )
    idle = optimality(scaled, np.zeros(m), none)
    assert idle.dual > 1e-2
    assert optimality(scaled, np.full(m, -0.1), none).primal >= 0.1
    assert not idle.within(1e-6)


def test_an_answer_that_fails_the_check_is_not_used(monkeypatch):
    kernel = solver.interior_point

    def off(*arguments):
        converged, iterations, y, link, x, z = kernel(*arguments)
        return converged, iterations, y, link, 1.01 * x, z

    monkeypatch.setattr(solver, "interior_point", off)
    solution = solve(problem(1))
    assert solution.fallback
    assert solution.status is SolverStatus.SOLVED


def test_what_does_not_converge_goes_to_the_fallback_with_its_limits_named(monkeypatch):
    one = problem(1, margin_cap=1.5)
    own = solve(one)
    monkeypatch.setattr(solver, "_ITERATIONS", 2)
    solution = solve(one)
    assert solution.fallback
    assert worth(one, solution) == pytest.approx(worth(one, own), rel=1e-5)
    assert {(b.kind, b.index) for b in solution.binding} == {(b.kind, b.index) for b in own.binding}
    prices = {(b.kind, b.index): b.multiplier for b in own.binding}
    for limit in solution.binding:
        assert limit.multiplier == pytest.approx(prices[limit.kind, limit.index], rel=0.02, abs=1e-3)


def test_a_dearer_violation_is_never_larger():
    one = replace(problem(2), budget=2.0)
    left = []
    for penalty in (0.1, 1.0, 10.0, 100.0):
        harder = replace(one, penalty=np.full(5, penalty))
        left.append(band_violation(harder, one.exposure + one.loadings @ solve(harder).trades).sum())
    assert all(later <= earlier + 1e-5 for earlier, later in pairwise(left))


@pytest.mark.parametrize(("kind", "field"), [("margin", "margin_cap"), ("budget", "budget")])
def test_a_binding_resource_is_named_with_its_price(kind, field):
    one = replace(problem(4, margin_cap=np.inf), **{field: 0.6})
    solution = solve(one)
    price = next(limit.multiplier for limit in solution.binding if limit.kind == kind)
    wider = objective(one, solve(replace(one, **{field: 0.606})).trades)
    assert (objective(one, solution.trades) - wider) / 0.006 == pytest.approx(price, rel=0.05)


def test_warmup_and_a_second_solve_give_the_same_bits():
    warmup()
    one = problem(11)
    assert np.array_equal(solve(one).trades, solve(one).trades)


def test_a_problem_over_some_instruments():
    one = problem(12)
    keep = np.array([1, 4, 7])
    fewer = one.columns(keep)
    check(fewer)
    closed = replace(
        one,
        max_buy=np.where(np.isin(np.arange(12), keep), one.max_buy, 0.0),
        max_sell=np.where(np.isin(np.arange(12), keep), one.max_sell, 0.0),
    )
    assert worth(fewer, solve(fewer)) == pytest.approx(worth(closed, solve(closed)), rel=1e-5)
