"""The interior point against an independent solver."""

import numpy as np
import piqp
import pytest
import scipy.sparse as sp

from ivhedge.surface.flexible.program import Cuts, Program, roughness, solve

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
    program = Program(
        quadratic=quadratic,
        linear=linear,
        equality=np.repeat(equality[None], N, axis=0),
        equal_to=np.tile([1.0, 1.05], (N, 1)),
        bands=bands,
        offsets=np.arange(N + 1) * Q,
        low=low,
        high=high,
        penalty=np.full(N * Q, 20.0),
    )
    cuts = Cuts(near=near, far=near + 0.02, least=np.full(near.shape[0], 1e-3), offsets=np.arange(N) * R)
    return program, cuts


def objective(program: Program, x: np.ndarray) -> float:
    """Value of the program with the excess written out."""
    value = 0.0
    for e in range(x.shape[0]):
        own = slice(program.offsets[e], program.offsets[e + 1])
        price = program.bands[own] @ x[e]
        excess = np.maximum(price - program.high[own], 0.0) + np.maximum(program.low[own] - price, 0.0)
        value += 0.5 * x[e] @ program.quadratic[e] @ x[e] + program.linear[e] @ x[e]
        value += float(program.penalty[own] @ excess)
    return value


def reference(program: Program, cuts: Cuts) -> np.ndarray:
    """The same program by PIQP, with every slack written out."""
    n, q = N * M, N * Q
    owner = np.repeat(np.arange(N), Q)
    rows = np.zeros((q, n))
    for i in range(q):
        rows[i, owner[i] * M : (owner[i] + 1) * M] = program.bands[i]
    order = np.zeros((cuts.near.shape[0], n + 2 * q))
    for i in range(order.shape[0]):
        e = int(np.searchsorted(cuts.offsets, i, side="right")) - 1
        order[i, e * M : (e + 1) * M] = -cuts.near[i]
        order[i, (e + 1) * M : (e + 2) * M] = cuts.far[i]
    eye, none = np.eye(q), np.zeros((q, q))
    inequality = np.vstack((np.hstack((rows, -eye, none)), np.hstack((rows, none, eye)), order))
    lower = np.concatenate((np.full(q, -np.inf), program.low, cuts.least))
    upper = np.concatenate((program.high, np.full(q + order.shape[0], np.inf)))
    live = np.isfinite(lower) | np.isfinite(upper)
    quadratic = np.zeros((n + 2 * q, n + 2 * q))
    equality = np.zeros((2 * N, n + 2 * q))
    for e in range(N):
        block = slice(e * M, (e + 1) * M)
        quadratic[block, block] = program.quadratic[e]
        equality[2 * e : 2 * e + 2, block] = program.equality[e]
    solver = piqp.SparseSolver()
    solver.settings.eps_abs = solver.settings.eps_rel = 1e-10
    solver.setup(
        sp.csc_matrix(quadratic),
        np.concatenate((program.linear.ravel(), program.penalty, program.penalty)),
        sp.csc_matrix(equality),
        program.equal_to.ravel(),
        sp.csc_matrix(inequality[live]),
        lower[live],
        upper[live],
        np.zeros(n + 2 * q),
        np.full(n + 2 * q, np.inf),
    )
    assert solver.solve() == piqp.PIQP_SOLVED
    return np.asarray(solver.result.x)[:n].reshape(N, M)


@pytest.mark.parametrize("seed", range(4))
def test_same_answer_as_piqp(seed: int) -> None:
    program, cuts = random_program(seed)
    found = solve(program, cuts, np.full((N, M), 1.0 / M), tolerance=1e-10)
    expected = reference(program, cuts)
    assert objective(program, found.x) == pytest.approx(objective(program, expected), rel=1e-6)
    assert np.abs(found.x - expected).max() < 1e-4


def test_constraints_hold() -> None:
    program, cuts = random_program(7)
    found = solve(program, cuts, np.full((N, M), 1.0 / M), tolerance=1e-9)
    x = found.x
    assert (x >= 0.0).all()
    assert np.abs(np.einsum("erm,em->er", program.equality, x) - program.equal_to).max() < 1e-7
    owner = np.searchsorted(cuts.offsets, np.arange(cuts.near.shape[0]), side="right") - 1
    rise = np.einsum("rm,rm->r", cuts.far, x[owner + 1]) - np.einsum("rm,rm->r", cuts.near, x[owner])
    assert (rise >= cuts.least - 1e-7).all()


def test_start_does_not_matter() -> None:
    program, cuts = random_program(3)
    cold = solve(program, cuts, np.full((N, M), 1.0 / M), tolerance=1e-8)
    warm = solve(program, cuts, cold.x, start_gap=0.1, tolerance=1e-8)
    assert objective(program, warm.x) == pytest.approx(objective(program, cold.x), rel=1e-6)
