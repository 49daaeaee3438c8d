"""The kernels of `_kernels` in plain numpy: used without numba, and to test them.

Same names, arguments and results; see `_kernels` for the meaning of the arrays. Written independently:
whole arrays instead of loops, LAPACK instead of the hand-written Cholesky factorisation.
"""

from typing import TypeAlias

import numpy as np

from ivhedge.core.types import FloatArray, IntArray

__all__ = [
    "atm_vols",
    "coordinates_of",
    "fit_slices",
    "map_jacobian",
    "map_slices",
    "normal_equations",
    "robust_fit",
]

_Problem: TypeAlias = tuple[
    FloatArray,
    FloatArray,
    FloatArray,
    FloatArray,
    IntArray,
    FloatArray,
    FloatArray,
    FloatArray,
    bool,
]

RHO_LIMIT = 0.999
CAP_MARGIN = 0.9999
COORDINATE_LIMIT = 25.0
SHARE_LIMIT = 10.0
STEP_LIMIT = 1.5
ROUND_TOLERANCE = 1e-3
TOLERANCE = 3e-5
LAST_ROUND = 40
CURVATURE = 0.25
FULL_SLICE = 8
NORMAL = 1.4826


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


def _model_vol(params: FloatArray, k: FloatArray, tau: FloatArray) -> FloatArray:
    theta, rho, psi = params.T
    z = psi * k
    root = np.sqrt(z * z + 2.0 * rho * theta * z + theta * theta)
    return np.asarray(np.sqrt(0.5 * (theta + rho * z + root) / tau))


def _owner(offsets: IntArray) -> IntArray:
    return np.repeat(np.arange(offsets.size - 1), np.diff(offsets))


def _losses(
    error: FloatArray, limit: FloatArray, is_tukey: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Loss, weight and curvature, by cases."""
    size = np.abs(error)
    beyond = size >= limit
    if is_tukey:
        square = np.where(beyond, 1.0, (size / limit) ** 2)
        loss = limit**2 / 3.0 * (1.0 - (1.0 - square) ** 3)
        weight = (1.0 - square) ** 2
        bend = (1.0 - square) * (1.0 - 5.0 * square)
    else:
        loss = np.where(beyond, limit * (2.0 * size - limit), size**2)
        weight = np.where(beyond, limit / np.maximum(size, limit), 1.0)
        bend = np.where(beyond, 0.0, 1.0)
    return loss, weight, np.maximum(bend, CURVATURE * weight)


def normal_equations(
    params: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    limit: FloatArray,
    is_tukey: bool,
    hessian: FloatArray,
    gradient: FloatArray,
) -> float:
    """Robust cost; writes the curvature, shape (n, 3, 3), and the downhill slope, shape (n, 3)."""
    n = taus.size
    owner = _owner(offsets)
    theta, rho, psi = params[owner].T
    tau = taus[owner]
    z = psi * log_moneyness
    root = np.sqrt(z * z + 2.0 * rho * theta * z + theta * theta)
    model = _model_vol(params[owner], log_moneyness, tau)
    error = (model - np.clip(model, low, high)) * weight
    loss, robust, bend = _losses(error, limit[owner], is_tukey)
    gap = np.column_stack((np.zeros(n), params[:, 1] - prior[:, 0], params[:, 2] - prior[:, 2]))
    strength = np.column_stack((np.zeros(n), prior[:, 1], prior[:, 3]))
    cost = float(np.sum(loss) + np.sum(strength * gap * gap))
    inside = (model > low) & (model < high)
    scale = np.where(inside, 0.0, 0.25 * weight / (model * tau))
    rows = scale[:, None] * np.column_stack(
        (
            1.0 + (rho * z + theta) / root,
            z * (1.0 + theta / root),
            log_moneyness * (rho + (z + rho * theta) / root),
        )
    )
    hessian[:], gradient[:] = 0.0, -strength * gap
    np.add.at(hessian, owner, bend[:, None, None] * rows[:, :, None] * rows[:, None, :])
    np.add.at(gradient, owner, -rows * (robust * error)[:, None])
    hessian[:, [0, 1, 2], [0, 1, 2]] += strength
    return cost


def _sizes(
    params: FloatArray,
    k: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
) -> FloatArray:
    owner = _owner(offsets)
    model = _model_vol(params[owner], k, taus[owner])
    return np.asarray(np.abs(model - np.clip(model, low, high)) * weight)


def _scales(sizes: FloatArray, offsets: IntArray, counts: IntArray, min_scale: float) -> FloatArray:
    values = [sizes[a : a + count] for a, count in zip(offsets[:-1], counts, strict=True)]
    pooled = np.sort(np.concatenate(values))
    overall = max(NORMAL * float(pooled[pooled.size // 2]), min_scale)
    own = [NORMAL * np.sort(mine)[mine.size // 2] if mine.size >= FULL_SLICE else 0.0 for mine in values]
    return np.clip(own, overall, 3.0 * overall)


def atm_vols(
    log_moneyness: FloatArray, vol: FloatArray, weight: FloatArray, offsets: IntArray, counts: IntArray
) -> FloatArray:
    """Weighted median vol of the values nearest the money, per slice."""
    atm = np.empty(counts.size)
    for s, count in enumerate(counts):
        part = slice(int(offsets[s]), int(offsets[s]) + int(count))
        away = np.abs(log_moneyness[part])
        near = np.flatnonzero(away <= np.sort(away)[min(max(5, count // 5), count) - 1])
        order = near[np.argsort(vol[part][near], kind="stable")]
        share = np.cumsum(weight[part][order] ** 2)
        atm[s] = vol[part][order[int(np.searchsorted(share, 0.5 * share[-1]))]]
    return atm


def _solve(matrix: FloatArray, right: FloatArray) -> FloatArray | None:
    try:
        np.linalg.cholesky(matrix)
        return np.asarray(np.linalg.solve(matrix, right))
    except np.linalg.LinAlgError:
        return None


def robust_fit(
    start: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    counts: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    min_scale: float,
    turning: tuple[float, float],
    rounds: tuple[int, int, int],
    max_iterations: int,
    scale_tolerance: float,
) -> tuple[FloatArray, FloatArray, int, int, bool]:
    """Slices, robust weights, steps, rounds, and whether the last round reached its minimum."""
    quotes = (log_moneyness, low, high, weight, offsets, taus)
    x, damping, iterations, settled, at_minimum = start.copy(), 1e-3, 0, False, False
    scales = _scales(_sizes(map_slices(x), *quotes), offsets, counts, min_scale)
    for number in range(rounds[0], rounds[2]):
        is_tukey = number >= rounds[1]
        last = settled or number == rounds[2] - 1
        limit = scales * (turning[1] if is_tukey else turning[0])
        most, tolerance = (LAST_ROUND, TOLERANCE) if last else (max_iterations, ROUND_TOLERANCE)
        x, steps, damping, at_minimum = _descend(
            x, (*quotes, prior, limit, is_tukey), most, tolerance, damping
        )
        iterations += steps
        if last:
            break
        new = _scales(_sizes(map_slices(x), *quotes), offsets, counts, min_scale)
        settled = is_tukey and bool(np.max(np.abs(new / scales - 1.0)) <= scale_tolerance)
        scales = new
    params = map_slices(x)
    robust = _losses(_sizes(params, *quotes), limit[_owner(offsets)], is_tukey)[1]
    return params, robust, iterations, number + 1 - rounds[0], at_minimum


def _equations(x: FloatArray, problem: _Problem) -> tuple[float, FloatArray, FloatArray]:
    n = x.size // 3
    hessian, gradient = np.empty((n, 3, 3)), np.empty((n, 3))
    return normal_equations(map_slices(x), *problem, hessian, gradient), hessian, gradient


def _descend(
    x: FloatArray, problem: _Problem, most: int, tolerance: float, damping: float
) -> tuple[FloatArray, int, float, bool]:
    """Levenberg–Marquardt on the free numbers: (x, steps, damping, at a minimum)."""
    n = x.size // 3
    limit = np.repeat([COORDINATE_LIMIT, COORDINATE_LIMIT, SHARE_LIMIT], n)
    cost, hessian, gradient = _equations(x, problem)
    for steps in range(1, most + 1):
        blocks = map_jacobian(x).reshape(n, 3, 3 * n)
        full = np.einsum("sja,sjl,slb->ab", blocks, hessian, blocks, optimize=True)
        right = np.einsum("sja,sj->a", blocks, gradient)
        for _ in range(12):
            step = _solve(full + np.diag(damping * (np.diag(full) + 1e-6) + 1e-9), right)
            if step is not None:
                trial = np.clip(x + np.clip(step, -STEP_LIMIT, STEP_LIMIT), -limit, limit)
                new_cost, new_hessian, new_gradient = _equations(trial, problem)
                if new_cost < cost:
                    break
            damping *= 5.0
        else:
            return x, steps, 1e-3, True
        gain, cost, x = cost - new_cost, new_cost, trial
        hessian, gradient = new_hessian, new_gradient
        damping = max(0.25 * damping, 1e-9)
        if gain <= tolerance * cost:
            return x, steps, damping, True
    return x, most, damping, False


def fit_slices(
    atm_vol: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    counts: IntArray,
    taus: FloatArray,
    prior: FloatArray,
    min_scale: float,
    huber: float,
    rounds: int,
) -> FloatArray:
    """Robust (Huber) fit of each slice on its own, inside its butterfly domain: params of shape (n, 3)."""
    params = np.empty((taus.size, 3))
    for s in range(taus.size):
        part = slice(int(offsets[s]), int(offsets[s + 1]))
        current = np.array([atm_vol[s] ** 2 * taus[s], 0.0, 0.8 * atm_vol[s] * np.sqrt(taus[s])])
        ends = np.array([0, part.stop - part.start])
        quotes = (log_moneyness[part], low[part], high[part], weight[part], ends, taus[s : s + 1])
        for _ in range(rounds):
            sizes = _sizes(current[None, :], *quotes)[: counts[s]]
            scale = max(NORMAL * float(np.sort(sizes)[sizes.size // 2]), min_scale)
            current = _slice_round(current, (*quotes, prior[s : s + 1], np.array([huber * scale]), False))
        params[s] = current
    return params


def _slice_round(current: FloatArray, problem: _Problem) -> FloatArray:
    hessian, gradient = np.empty((1, 3, 3)), np.empty((1, 3))
    damping = 1e-3
    for _ in range(12):
        cost = normal_equations(current[None, :], *problem, hessian, gradient)
        full, right = hessian[0].copy(), gradient[0].copy()
        for _ in range(8):
            step = _solve(full + np.diag(damping * np.diag(full) + 1e-12), right)
            if step is not None:
                trial = _bounded(current, step)
                new_cost = normal_equations(trial[None, :], *problem, hessian, gradient)
                if new_cost < cost:
                    break
            damping *= 5.0
        else:
            return current
        current = trial
        damping = max(0.2 * damping, 1e-9)
        if cost - new_cost <= 1e-4 * new_cost:
            break
    return current


def _bounded(current: FloatArray, step: FloatArray) -> FloatArray:
    theta = current[0] * (1.0 + np.clip(step[0] / current[0], -0.5, 0.5))
    rho = np.clip(current[1] + np.clip(step[1], -0.3, 0.3), -0.95, 0.95)
    cap = _own_caps(np.array([theta]), np.array([rho]))[0]
    psi = min(current[2] * (1.0 + np.clip(step[2] / current[2], -0.5, 0.7)), cap)
    return np.array([theta, rho, psi])
