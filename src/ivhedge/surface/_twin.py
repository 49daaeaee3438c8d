"""The kernels of `_kernels` in plain numpy: used without numba, and to test them.

Same names, arguments and results; see `_kernels` for the meaning of the arrays. Written independently:
whole arrays instead of loops, LAPACK instead of the hand-written Cholesky factorisation.
"""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray

__all__ = ["coordinates_of", "fit_slices", "map_jacobian", "map_slices", "minimise", "normal_equations"]

RHO_LIMIT = 0.999
CAP_MARGIN = 0.9999
COORDINATE_LIMIT = 25.0
SHARE_LIMIT = 10.0
STEP_LIMIT = 1.5


def _ratios(rho: FloatArray) -> FloatArray:
    up = (1.0 + rho[:-1]) / (1.0 + rho[1:])
    down = (1.0 - rho[:-1]) / (1.0 - rho[1:])
    return np.concatenate(([1.0], np.maximum(up, down)))


def _own_caps(theta: FloatArray, rho: FloatArray) -> FloatArray:
    wing = 1.0 + np.abs(rho)
    return np.asarray(CAP_MARGIN * np.minimum(4.0 / wing, 2.0 * np.sqrt(theta / wing)))


def _caps(theta: FloatArray, rho: FloatArray, ratio: FloatArray) -> FloatArray:
    # caps[i] = min over j >= i of own[j] / (ratio[i+1] · … · ratio[j])
    growth = np.cumprod(ratio)
    reach = _own_caps(theta, rho) / growth
    return np.asarray(np.minimum.accumulate(reach[::-1])[::-1] * growth)


def map_slices(x: FloatArray) -> FloatArray:
    """Slices without arbitrage from any 3n finite numbers."""
    n = x.size // 3
    rho = RHO_LIMIT * np.tanh(x[:n])
    ratio = _ratios(rho)
    growth = np.cumprod(ratio)
    theta = growth * np.cumsum(np.exp(x[n : 2 * n]) / growth)
    caps = _caps(theta, rho, ratio)
    share = 1.0 / (1.0 + np.exp(-x[2 * n :]))
    psi = np.empty(n)
    psi[0] = share[0] * caps[0]
    for i in range(1, n):
        low = psi[i - 1] * ratio[i]
        high = max(low, min(caps[i], psi[i - 1] * theta[i] / theta[i - 1]))
        psi[i] = low + share[i] * (high - low)
    return np.column_stack((theta, rho, psi))


def map_jacobian(x: FloatArray) -> FloatArray:
    """Derivatives of `map_slices` by central differences."""
    size = x.size
    jacobian = np.empty((size, size))
    for c in range(size):
        move = np.zeros(size)
        move[c] = 1e-6
        jacobian[:, c] = (map_slices(x + move) - map_slices(x - move)).ravel() / 2e-6
    return jacobian


def coordinates_of(params: FloatArray) -> FloatArray:
    """Free numbers whose slices are near `params`."""
    n = params.shape[0]
    angle = np.arctanh(np.clip(params[:, 1] / RHO_LIMIT, -0.97, 0.97))
    rho = RHO_LIMIT * np.tanh(angle)
    ratio = _ratios(rho)
    theta, rise = np.empty(n), np.empty(n)
    for i in range(n):
        floor = theta[i - 1] * ratio[i] if i else 0.0
        rise[i] = max(params[i, 0] - floor, 0.01 * params[i, 0])
        theta[i] = floor + rise[i]
    caps = _caps(theta, rho, ratio)
    share = np.empty(n)
    before = 0.0
    for i in range(n):
        low = before * ratio[i] if i else 0.0
        high = max(low, min(caps[i], before * theta[i] / theta[i - 1])) if i else caps[0]
        share[i] = np.clip((params[i, 2] - low) / (high - low), 0.02, 0.98) if high > low else 0.5
        before = low + share[i] * (high - low)
    return np.concatenate((angle, np.log(rise), np.log(share / (1.0 - share))))


def normal_equations(
    params: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    wanted: bool,
) -> tuple[float, FloatArray, FloatArray]:
    """Cost, JᵀJ of shape (n, 3, 3) and −Jᵀr of shape (n, 3) of the weighted vol errors."""
    n = taus.size
    owner = np.repeat(np.arange(n), np.diff(offsets))
    theta, rho, psi = params[owner].T
    tau = taus[owner]
    z = psi * log_moneyness
    root = np.sqrt(z * z + 2.0 * rho * theta * z + theta * theta)
    model = np.sqrt(0.5 * (theta + rho * z + root) / tau)
    error = (model - vol) * weight
    gap = np.column_stack((np.zeros(n), params[:, 1] - prior[:, 0], params[:, 2] - prior[:, 2]))
    strength = np.column_stack((np.zeros(n), prior[:, 1], prior[:, 3]))
    cost = float(error @ error + np.sum(strength * gap * gap))
    hessian, gradient = np.zeros((n, 3, 3)), -strength * gap
    if wanted:
        scale = 0.25 * weight / (model * tau)
        rows = scale[:, None] * np.column_stack(
            (
                1.0 + (rho * z + theta) / root,
                z * (1.0 + theta / root),
                log_moneyness * (rho + (z + rho * theta) / root),
            )
        )
        np.add.at(hessian, owner, rows[:, :, None] * rows[:, None, :])
        np.add.at(gradient, owner, -rows * error[:, None])
        hessian[:, [0, 1, 2], [0, 1, 2]] += strength
    return cost, hessian, gradient


def _solve(matrix: FloatArray, right: FloatArray) -> FloatArray | None:
    try:
        np.linalg.cholesky(matrix)
        return np.asarray(np.linalg.solve(matrix, right))
    except np.linalg.LinAlgError:
        return None


def minimise(
    start: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    max_iterations: int,
    tolerance: float,
) -> tuple[FloatArray, float, int, bool]:
    """Levenberg–Marquardt on the free numbers: (x, cost, iterations, converged)."""
    quotes = (log_moneyness, vol, weight, offsets, taus, prior)
    x = start.copy()
    n = taus.size
    limit = np.repeat([COORDINATE_LIMIT, COORDINATE_LIMIT, SHARE_LIMIT], n)
    damping, iterations, converged = 1e-3, 0, False
    cost, hessian, gradient = normal_equations(map_slices(x), *quotes, True)
    while iterations < max_iterations and not converged:
        iterations += 1
        blocks = map_jacobian(x).reshape(n, 3, 3 * n)
        full = np.einsum("sja,sjl,slb->ab", blocks, hessian, blocks, optimize=True)
        right = np.einsum("sja,sj->a", blocks, gradient)
        for _ in range(12):
            step = _solve(full + np.diag(damping * (np.diag(full) + 1e-6) + 1e-9), right)
            if step is not None:
                move = np.clip(step, -STEP_LIMIT, STEP_LIMIT)
                trial = np.clip(x + move, -limit, limit)
                new_cost = normal_equations(map_slices(trial), *quotes, False)[0]
                if new_cost < cost:
                    break
            damping *= 5.0
        else:
            return x, cost, iterations, True
        converged = cost - new_cost <= tolerance * cost
        damping = max(0.25 * damping, 1e-9)
        x = trial
        cost, hessian, gradient = normal_equations(map_slices(x), *quotes, True)
    return x, cost, iterations, converged


def fit_slices(
    atm_vol: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    min_scale: float,
    rounds: int,
) -> FloatArray:
    """Robust (Huber) fit of each slice on its own, inside its butterfly domain: params of shape (n, 3)."""
    params = np.empty((taus.size, 3))
    for s in range(taus.size):
        part = slice(int(offsets[s]), int(offsets[s + 1]))
        current = np.array([atm_vol[s] ** 2 * taus[s], 0.0, 0.8 * atm_vol[s] * np.sqrt(taus[s])])
        for _ in range(rounds):
            current = _huber_round(
                current, log_moneyness[part], vol[part], weight[part], taus[s], prior[s : s + 1], min_scale
            )
        params[s] = current
    return params


def _huber_round(
    current: FloatArray,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    tau: float,
    prior: FloatArray,
    min_scale: float,
) -> FloatArray:
    theta, rho, psi = current
    z = psi * log_moneyness
    model = np.sqrt(0.5 * (theta + rho * z + np.sqrt(z * z + 2.0 * rho * theta * z + theta**2)) / tau)
    errors = np.abs((model - vol) * weight)
    scale = max(1.4826 * float(np.sort(errors)[errors.size // 2]), min_scale)
    robust = weight * np.sqrt(np.minimum(1.0, 1.5 * scale / np.maximum(errors, 1e-300)))
    offsets, taus = np.array([0, vol.size]), np.array([tau])
    quotes = (log_moneyness, vol, robust, offsets, taus, prior)
    damping = 1e-3
    for _ in range(12):
        cost, hessian, gradient = normal_equations(current[None, :], *quotes, True)
        for _ in range(8):
            diagonal = np.diag(hessian[0])
            step = _solve(hessian[0] + np.diag(damping * diagonal + 1e-12), gradient[0])
            if step is not None:
                trial = _bounded(current, step)
                new_cost = normal_equations(trial[None, :], *quotes, False)[0]
                if new_cost < cost:
                    break
            damping *= 5.0
        else:
            return current
        current = trial
        damping = max(0.2 * damping, 1e-9)
        if cost - new_cost <= 1e-6 * cost:
            break
    return current


def _bounded(current: FloatArray, step: FloatArray) -> FloatArray:
    theta = current[0] * (1.0 + np.clip(step[0] / current[0], -0.5, 0.5))
    rho = np.clip(current[1] + np.clip(step[1], -0.3, 0.3), -0.95, 0.95)
    cap = _own_caps(np.array([theta]), np.array([rho]))[0]
    psi = min(current[2] * (1.0 + np.clip(step[2] / current[2], -0.5, 0.7)), cap)
    return np.array([theta, rho, psi])
