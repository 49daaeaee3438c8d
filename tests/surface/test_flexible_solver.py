"""The augmented Lagrangian against an independent solver."""

import numpy as np
import piqp
import pytest
import scipy.sparse as sp

from ivhedge.surface.flexible.program import (
    Cuts,
    Program,
    Solution,
    State,
    no_cuts,
    roughness,
    solve,
    stack_rows,
)

N, M, Q, R = 3, 9, 12, 4


def random_program(seed: int) -> tuple[Program, Cuts]:
    """Bands around the prices of a hidden law, some of them wrong, some one-sided."""
    rng = np.random.default_rng(seed)
    z = np.linspace(-2.0, 2.0, M)
    bands = rng.uniform(0.0, 5.0, (N * Q, M))
    hidden = rng.dirichlet(np.ones(M), N)
    middle = np.einsum("qm,qm->q", bands, hidden[np.repeat(np.arange(N), Q)])
    middle += np.where(rng.random(N * Q) < 0.2, 4.0 * rng.standard_normal(N * Q), 0.0)
    low, high = middle - 0.1, middle + 0.1
    low[::5], high[2::7] = -np.inf, np.inf
    quadratic = np.empty((N, M, M))
    linear = np.empty((N, M))
    for e in range(N):
        own = slice(e * Q, (e + 1) * Q)
        quadratic[e] = bands[own].T @ bands[own] + 0.1 * roughness(M) + 1e-3 * np.eye(M)
        linear[e] = -bands[own].T @ middle[own]
    equality = np.stack((np.ones(M), np.exp(0.3 * z)))
    near = rng.uniform(0.0, 1.0, (R * (N - 1), M))
    rows, offsets, at = stack_rows(np.repeat(equality[None], N, axis=0), bands, np.arange(N + 1) * Q)
    stacked = np.zeros((3, rows.shape[0]))
    stacked[1:] = np.inf
    stacked[:, at] = low, high, np.full(N * Q, 20.0)
    for k, value in enumerate((1.0, 1.05)):
        stacked[:2, offsets[:-1] + k] = value
    program = Program(
        quadratic=quadratic,
        linear=linear,
        rows=rows,
        offsets=offsets,
        low=stacked[0],
        high=stacked[1],
        cap=stacked[2],
    )
    cuts = Cuts(near=near, far=near + 0.02, least=np.full(near.shape[0], 1e-3), offsets=np.arange(N) * R)
    return program, cuts


def start_of(program: Program, cuts: Cuts) -> State:
    """Equal weights, no multipliers."""
    n, m = program.linear.shape
    return State(
        x=np.full((n, m), 1.0 / m),
        multipliers=np.zeros(program.rows.shape[0]),
        cut_multipliers=np.zeros(cuts.least.size),
    )


def band_rows(program: Program, e: int) -> slice:
    """Rows of the bands of one expiry."""
    return slice(int(program.offsets[e]) + 2 + program.linear.shape[1], int(program.offsets[e + 1]))


def objective(program: Program, x: np.ndarray) -> float:
    """Value of the program with the excess written out."""
    value = 0.0
    for e in range(x.shape[0]):
        own = band_rows(program, e)
        price = program.rows[own] @ x[e]
        excess = np.maximum(price - program.high[own], 0.0) + np.maximum(program.low[own] - price, 0.0)
        value += 0.5 * x[e] @ program.quadratic[e] @ x[e] + program.linear[e] @ x[e]
        value += float(program.cap[own] @ excess)
    return value


def reference(program: Program, cuts: Cuts) -> np.ndarray:
    """The same program by PIQP, with every slack written out."""
    n, q = N * M, N * Q
    own = [band_rows(program, e) for e in range(N)]
    rows = np.zeros((q, n))
    for e in range(N):
        rows[e * Q : (e + 1) * Q, e * M : (e + 1) * M] = program.rows[own[e]]
    low, high, cap = (
        np.concatenate([v[rows_of] for rows_of in own]) for v in (program.low, program.high, program.cap)
    )
    order = np.zeros((cuts.near.shape[0], n + 2 * q))
    for i in range(order.shape[0]):
        e = int(np.searchsorted(cuts.offsets, i, side="right")) - 1
        order[i, e * M : (e + 1) * M] = -cuts.near[i]
        order[i, (e + 1) * M : (e + 2) * M] = cuts.far[i]
    eye, none = np.eye(q), np.zeros((q, q))
    inequality = np.vstack((np.hstack((rows, -eye, none)), np.hstack((rows, none, eye)), order))
    lower = np.concatenate((np.full(q, -np.inf), low, cuts.least))
    upper = np.concatenate((high, np.full(q + order.shape[0], np.inf)))
    live = np.isfinite(lower) | np.isfinite(upper)
    quadratic = np.zeros((n + 2 * q, n + 2 * q))
    equality, equal_to = np.zeros((2 * N, n + 2 * q)), np.zeros(2 * N)
    for e in range(N):
        block = slice(e * M, (e + 1) * M)
        quadratic[block, block] = program.quadratic[e]
        first = program.offsets[e]
        equality[2 * e : 2 * e + 2, block] = program.rows[first : first + 2]
        equal_to[2 * e : 2 * e + 2] = program.low[first : first + 2]
    solver = piqp.SparseSolver()
    solver.settings.eps_abs = solver.settings.eps_rel = 1e-10
    solver.setup(
        sp.csc_matrix(quadratic),
        np.concatenate((program.linear.ravel(), cap, cap)),
        sp.csc_matrix(equality),
        equal_to,
        sp.csc_matrix(inequality[live]),
        lower[live],
        upper[live],
        np.zeros(n + 2 * q),
        np.full(n + 2 * q, np.inf),
    )
    assert solver.solve() == piqp.PIQP_SOLVED
    return np.asarray(solver.result.x)[:n].reshape(N, M)


def rise(cuts: Cuts, x: np.ndarray) -> np.ndarray:
    """Left side of the cuts."""
    owner = np.searchsorted(cuts.offsets, np.arange(cuts.near.shape[0]), side="right") - 1
    return np.einsum("rm,rm->r", cuts.far, x[owner + 1]) - np.einsum("rm,rm->r", cuts.near, x[owner])


def solved(program: Program, cuts: Cuts, softer: int = 2) -> Solution:
    """Answer from equal weights."""
    return solve(program, cuts, start_of(program, cuts), softer=softer)


@pytest.mark.parametrize("seed", range(6))
def test_same_answer_as_piqp(seed: int) -> None:
    program, cuts = random_program(seed)
    found = solved(program, cuts)
    expected = reference(program, cuts)
    assert found.solved.all()
    assert objective(program, found.x) == pytest.approx(objective(program, expected), rel=1e-6)
    assert np.abs(found.x - expected).max() < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_expiries_without_cuts_are_solved_one_by_one(seed: int) -> None:
    program, _ = random_program(seed)
    cuts = no_cuts(N, M)
    found = solved(program, cuts)
    assert objective(program, found.x) == pytest.approx(
        objective(program, reference(program, cuts)), rel=1e-6
    )


def test_conditions_of_the_optimum_hold() -> None:
    program, cuts = random_program(7)
    found = solved(program, cuts)
    x, y = found.x, found.multipliers
    assert found.solved.all()
    slack = rise(cuts, x) - cuts.least
    assert slack.min() > -1e-7
    assert (found.cut_multipliers >= 0.0).all()
    assert np.abs(found.cut_multipliers * slack).max() < 1e-6
    for e in range(N):
        own = slice(int(program.offsets[e]), int(program.offsets[e + 1]))
        rows, value = program.rows[own], program.rows[own] @ x[e]
        assert (np.abs(y[own]) <= program.cap[own]).all()
        # A row with a multiplier lies on its side, or beyond where the multiplier is the cap.
        side = np.where(y[own] > 0.0, program.high[own], program.low[own])
        inner = (y[own] != 0.0) & (np.abs(y[own]) < program.cap[own])
        assert np.abs(value - side)[inner].max() < 1e-7
        pull = program.quadratic[e] @ x[e] + program.linear[e] + rows.T @ y[own]
        for c, rows_of, sign in ((e, cuts.near, 1.0), (e - 1, cuts.far, -1.0)):
            if 0 <= c < N - 1:
                at = slice(int(cuts.offsets[c]), int(cuts.offsets[c + 1]))
                pull += sign * rows_of[at].T @ found.cut_multipliers[at]
        assert np.abs(pull).max() < 1e-6


def test_start_does_not_matter() -> None:
    program, cuts = random_program(3)
    cold = solved(program, cuts)
    warm = solve(program, cuts, cold.state(), softer=0)
    assert objective(program, warm.x) == pytest.approx(objective(program, cold.x), rel=1e-9)
    assert warm.steps.max() <= 2
    assert warm.steps.max() < cold.steps.max()


def test_same_input_same_bits() -> None:
    program, cuts = random_program(4)
    first, second = solved(program, cuts), solved(program, cuts)
    assert (first.x == second.x).all()
    assert (first.multipliers == second.multipliers).all()


def test_cuts_that_cannot_hold_end_without_a_hang() -> None:
    program, cuts = random_program(5)
    impossible = Cuts(near=cuts.near, far=0.0 * cuts.far, least=cuts.least + 1.0, offsets=cuts.offsets)
    found = solved(program, impossible)
    assert np.isfinite(found.x).all()
