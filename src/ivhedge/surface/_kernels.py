"""Compiled kernels of the eSSVI fit; `_twin` holds the same functions in plain numpy.

Quotes come packed: `log_moneyness`, `vol`, `weight` of shape (q,), slice s occupying
`offsets[s]:offsets[s+1]`; `params` has one row (theta, rho, psi) per slice. `prior` has one row
(rho, weight, psi, weight) per slice: two weak pseudo-observations that hold thin slices.

The map from free numbers to slices is that of Mingone (2022), No arbitrage global parametrization for the
eSSVI volatility surface. Importing this module imports numba.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import njit

__all__ = [
    "coordinates_of",
    "dense_checks",
    "fit_slices",
    "map_jacobian",
    "map_slices",
    "minimise",
    "normal_equations",
]

RHO_LIMIT = 0.999
CAP_MARGIN = 0.9999  # keeps slices strictly inside the butterfly domain
COORDINATE_LIMIT = 25.0
SHARE_LIMIT = 10.0  # logistic coordinates of psi: 5e-5 from a bound is on it
STEP_LIMIT = 1.5


@njit()
def _skew_ratio(rho_before: float, rho: float) -> float:
    """Smallest growth of psi that keeps both wing slopes from falling."""
    return max((1.0 + rho_before) / (1.0 + rho), (1.0 - rho_before) / (1.0 - rho))


@njit()
def _psi_caps(theta: FloatArray, rho: FloatArray, ratio: FloatArray) -> FloatArray:
    """Largest psi of each slice: butterfly of its own, and room for those after it."""
    n = theta.size
    caps = np.empty(n)
    for i in range(n - 1, -1, -1):
        wing = 1.0 + abs(rho[i])
        caps[i] = CAP_MARGIN * min(4.0 / wing, 2.0 * math.sqrt(theta[i] / wing))
        if i < n - 1:
            caps[i] = min(caps[i], caps[i + 1] / ratio[i + 1])
    return caps


@njit()
def map_slices(x: FloatArray) -> FloatArray:
    """Slices without arbitrage from any 3n finite numbers."""
    n = x.size // 3
    theta, rho, ratio = np.empty(n), np.empty(n), np.ones(n)
    for i in range(n):
        rho[i] = RHO_LIMIT * math.tanh(x[i])
        theta[i] = math.exp(x[n + i])
        if i > 0:
            ratio[i] = _skew_ratio(rho[i - 1], rho[i])
            theta[i] += theta[i - 1] * ratio[i]
    caps = _psi_caps(theta, rho, ratio)
    params = np.empty((n, 3))
    for i in range(n):
        low, high = 0.0, caps[i]
        if i > 0:
            low = params[i - 1, 2] * ratio[i]
            high = max(low, min(high, params[i - 1, 2] * theta[i] / theta[i - 1]))
        share = 1.0 / (1.0 + math.exp(-x[2 * n + i]))
        params[i, 0], params[i, 1], params[i, 2] = theta[i], rho[i], low + share * (high - low)
    return params


@njit()
def map_jacobian(x: FloatArray) -> FloatArray:
    """Derivatives of `map_slices`: row 3s + j is parameter j of slice s, columns are the 3n numbers."""
    n = x.size // 3
    size = 3 * n
    params = map_slices(x)
    theta, rho, psi = params[:, 0], params[:, 1], params[:, 2]
    d_theta, d_rho, d_psi = np.zeros((n, size)), np.zeros((n, size)), np.zeros((n, size))
    ratio, d_ratio = np.ones(n), np.zeros((n, size))
    for i in range(n):
        tanh = math.tanh(x[i])
        d_rho[i, i] = RHO_LIMIT * (1.0 - tanh * tanh)
        d_theta[i, n + i] = math.exp(x[n + i])
        if i > 0:
            up = (1.0 + rho[i - 1]) / (1.0 + rho[i])
            down = (1.0 - rho[i - 1]) / (1.0 - rho[i])
            ratio[i] = max(up, down)
            if up >= down:
                d_ratio[i, i - 1] = d_rho[i - 1, i - 1] / (1.0 + rho[i])
                d_ratio[i, i] = -up * d_rho[i, i] / (1.0 + rho[i])
            else:
                d_ratio[i, i - 1] = -d_rho[i - 1, i - 1] / (1.0 - rho[i])
                d_ratio[i, i] = down * d_rho[i, i] / (1.0 - rho[i])
            for c in range(size):
                d_theta[i, c] += ratio[i] * d_theta[i - 1, c] + theta[i - 1] * d_ratio[i, c]
    caps, d_caps = np.empty(n), np.zeros((n, size))
    for i in range(n - 1, -1, -1):
        wing = 1.0 + abs(rho[i])
        d_wing = math.copysign(d_rho[i, i], rho[i])
        far, near = 4.0 / wing, 2.0 * math.sqrt(theta[i] / wing)
        caps[i] = CAP_MARGIN * min(far, near)
        if far <= near:
            d_caps[i, i] = -caps[i] * d_wing / wing
        else:
            for c in range(size):
                d_caps[i, c] = 0.5 * caps[i] * d_theta[i, c] / theta[i]
            d_caps[i, i] -= 0.5 * caps[i] * d_wing / wing
        if i < n - 1 and caps[i + 1] / ratio[i + 1] < caps[i]:
            caps[i] = caps[i + 1] / ratio[i + 1]
            for c in range(size):
                d_caps[i, c] = (d_caps[i + 1, c] - caps[i] * d_ratio[i + 1, c]) / ratio[i + 1]
    for i in range(n):
        share = 1.0 / (1.0 + math.exp(-x[2 * n + i]))
        low, high = 0.0, caps[i]
        slope_bound = False
        if i > 0:
            low = psi[i - 1] * ratio[i]
            limit = psi[i - 1] * theta[i] / theta[i - 1]
            slope_bound = limit < high
            high = max(low, min(high, limit))
        for c in range(size):
            d_low, d_high = 0.0, d_caps[i, c]
            if i > 0:
                d_low = d_psi[i - 1, c] * ratio[i] + psi[i - 1] * d_ratio[i, c]
                if slope_bound:
                    d_high = (
                        d_psi[i - 1, c] * theta[i]
                        + psi[i - 1] * (d_theta[i, c] - theta[i] / theta[i - 1] * d_theta[i - 1, c])
                    ) / theta[i - 1]
            d_psi[i, c] = d_low + share * (d_high - d_low)
        d_psi[i, 2 * n + i] += (high - low) * share * (1.0 - share)
    jacobian = np.empty((size, size))
    for i in range(n):
        jacobian[3 * i], jacobian[3 * i + 1], jacobian[3 * i + 2] = d_theta[i], d_rho[i], d_psi[i]
    return jacobian


@njit()
def coordinates_of(params: FloatArray) -> FloatArray:
    """Free numbers whose slices are near `params`: each slice is moved into what the map can reach."""
    n = params.shape[0]
    x = np.empty(3 * n)
    theta, rho, ratio = np.empty(n), np.empty(n), np.ones(n)
    for i in range(n):
        x[i] = math.atanh(min(max(params[i, 1] / RHO_LIMIT, -0.97), 0.97))
        rho[i] = RHO_LIMIT * math.tanh(x[i])
        theta[i] = params[i, 0]
        floor = 0.0
        if i > 0:
            ratio[i] = _skew_ratio(rho[i - 1], rho[i])
            floor = theta[i - 1] * ratio[i]
        rise = max(params[i, 0] - floor, 0.01 * params[i, 0])
        x[n + i] = math.log(rise)
        theta[i] = floor + rise
    caps = _psi_caps(theta, rho, ratio)
    before = 0.0
    for i in range(n):
        low, high = 0.0, caps[i]
        if i > 0:
            low = before * ratio[i]
            high = max(low, min(high, before * theta[i] / theta[i - 1]))
        share = (params[i, 2] - low) / (high - low) if high > low else 0.5
        share = min(max(share, 0.02), 0.98)
        x[2 * n + i] = math.log(share / (1.0 - share))
        before = low + share * (high - low)
    return x


@njit()
def _slice_equations(
    theta: float,
    rho: float,
    psi: float,
    log_moneyness: FloatArray,
    vol: FloatArray,
    weight: FloatArray,
    tau: float,
    prior: FloatArray,
    hessian: FloatArray,
    gradient: FloatArray,
    wanted: bool,
) -> float:
    """Cost of one slice; adds JᵀJ to `hessian` and −Jᵀr to `gradient` when wanted."""
    flat = theta * theta * (1.0 - rho * rho)
    rho_error, psi_error = rho - prior[0], psi - prior[2]
    cost: float = prior[1] * rho_error * rho_error + prior[3] * psi_error * psi_error
    if wanted:
        hessian[1, 1] += prior[1]
        hessian[2, 2] += prior[3]
        gradient[1] -= prior[1] * rho_error
        gradient[2] -= prior[3] * psi_error
    for i in range(log_moneyness.size):
        k = log_moneyness[i]
        z = psi * k
        shifted = z + rho * theta
        root = math.sqrt(shifted * shifted + flat)
        model = math.sqrt(0.5 * (theta + rho * z + root) / tau)
        error = (model - vol[i]) * weight[i]
        cost += error * error
        if wanted:
            scale = 0.25 * weight[i] / (model * tau)
            j0 = scale * (1.0 + (rho * z + theta) / root)
            j1 = scale * z * (1.0 + theta / root)
            j2 = scale * k * (rho + shifted / root)
            hessian[0, 0] += j0 * j0
            hessian[0, 1] += j0 * j1
            hessian[0, 2] += j0 * j2
            hessian[1, 1] += j1 * j1
            hessian[1, 2] += j1 * j2
            hessian[2, 2] += j2 * j2
            gradient[0] -= j0 * error
            gradient[1] -= j1 * error
            gradient[2] -= j2 * error
    if wanted:
        hessian[1, 0], hessian[2, 0], hessian[2, 1] = hessian[0, 1], hessian[0, 2], hessian[1, 2]
    return cost


@njit()
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
    hessian, gradient = np.zeros((n, 3, 3)), np.zeros((n, 3))
    cost = 0.0
    for s in range(n):
        a, b = offsets[s], offsets[s + 1]
        cost += _slice_equations(
            params[s, 0],
            params[s, 1],
            params[s, 2],
            log_moneyness[a:b],
            vol[a:b],
            weight[a:b],
            taus[s],
            prior[s],
            hessian[s],
            gradient[s],
            wanted,
        )
    return cost, hessian, gradient


@njit()
def _cholesky_solve(matrix: FloatArray, right: FloatArray, out: FloatArray) -> bool:
    """Solve a symmetric positive definite system in place; False if it is not positive definite."""
    n = right.size
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for q in range(j):
                total -= matrix[i, q] * matrix[j, q]
            if i == j:
                if not total > 0.0:
                    return False
                matrix[i, i] = math.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    for i in range(n):
        total = right[i]
        for q in range(i):
            total -= matrix[i, q] * out[q]
        out[i] = total / matrix[i, i]
    for i in range(n - 1, -1, -1):
        total = out[i]
        for q in range(i + 1, n):
            total -= matrix[q, i] * out[q]
        out[i] = total / matrix[i, i]
    return True


@njit()
def _assemble(
    jacobian: FloatArray, hessian: FloatArray, gradient: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Normal equations in the free numbers; only the lower triangle is filled."""
    n = gradient.shape[0]
    size = 3 * n
    full, right = np.zeros((size, size)), np.zeros(size)
    scaled = np.empty((3, size))
    for s in range(n):
        rows = jacobian[3 * s : 3 * s + 3]
        for c in range(size):
            for j in range(3):
                scaled[j, c] = (
                    hessian[s, j, 0] * rows[0, c]
                    + hessian[s, j, 1] * rows[1, c]
                    + hessian[s, j, 2] * rows[2, c]
                )
                right[c] += rows[j, c] * gradient[s, j]
        for a in range(size):
            r0, r1, r2 = rows[0, a], rows[1, a], rows[2, a]
            if r0 == 0.0 and r1 == 0.0 and r2 == 0.0:
                continue
            for c in range(a + 1):
                full[a, c] += r0 * scaled[0, c] + r1 * scaled[1, c] + r2 * scaled[2, c]
    return full, right


@njit()
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
    x = start.copy()
    trial, step = np.empty(x.size), np.empty(x.size)
    damping, iterations, converged = 1e-3, 0, False
    cost, hessian, gradient = normal_equations(
        map_slices(x), log_moneyness, vol, weight, offsets, taus, prior, True
    )
    while iterations < max_iterations and not converged:
        iterations += 1
        full, right = _assemble(map_jacobian(x), hessian, gradient)
        accepted = False
        new_cost = cost
        for _ in range(12):
            damped = full.copy()
            for c in range(x.size):
                damped[c, c] += damping * (full[c, c] + 1e-6) + 1e-9
            if _cholesky_solve(damped, right, step):
                for c in range(x.size):
                    move = min(max(step[c], -STEP_LIMIT), STEP_LIMIT)
                    limit = SHARE_LIMIT if c >= 2 * taus.size else COORDINATE_LIMIT
                    trial[c] = min(max(x[c] + move, -limit), limit)
                new_cost = normal_equations(
                    map_slices(trial), log_moneyness, vol, weight, offsets, taus, prior, False
                )[0]
                if new_cost < cost:
                    accepted = True
                    break
            damping *= 5.0
        if not accepted:
            # No smaller cost in any direction tried: a minimum to rounding.
            return x, cost, iterations, True
        converged = cost - new_cost <= tolerance * cost
        damping = max(0.25 * damping, 1e-9)
        x[:] = trial
        cost, hessian, gradient = normal_equations(
            map_slices(x), log_moneyness, vol, weight, offsets, taus, prior, True
        )
    return x, cost, iterations, converged


@njit()
def _slice_vols(
    params: FloatArray, log_moneyness: FloatArray, tau: float, vol: FloatArray, weight: FloatArray
) -> FloatArray:
    """Weighted vol errors of one slice."""
    theta, rho = params[0], params[1]
    errors = np.empty(log_moneyness.size)
    for i in range(errors.size):
        shifted = params[2] * log_moneyness[i] + rho * theta
        root = math.sqrt(shifted * shifted + theta * theta * (1.0 - rho * rho))
        w = 0.5 * (theta + rho * params[2] * log_moneyness[i] + root)
        errors[i] = (math.sqrt(w / tau) - vol[i]) * weight[i]
    return errors


@njit()
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
    n = taus.size
    params = np.empty((n, 3))
    step = np.empty(3)
    for s in range(n):
        k, v, tau = (
            log_moneyness[offsets[s] : offsets[s + 1]],
            vol[offsets[s] : offsets[s + 1]],
            taus[s],
        )
        base = weight[offsets[s] : offsets[s + 1]]
        current = np.empty(3)
        current[0] = atm_vol[s] * atm_vol[s] * tau
        current[1] = 0.0
        current[2] = 0.8 * math.sqrt(current[0])
        trial = np.empty(3)
        for _ in range(rounds):
            errors = np.abs(_slice_vols(current, k, tau, v, base))
            scale = max(1.4826 * np.sort(errors)[errors.size // 2], min_scale)
            robust = base.copy()
            for i in range(errors.size):
                if errors[i] > 1.5 * scale:
                    robust[i] *= math.sqrt(1.5 * scale / errors[i])
            damping = 1e-3
            for _ in range(12):
                hessian, gradient = np.zeros((3, 3)), np.zeros(3)
                cost = _slice_equations(
                    current[0], current[1], current[2], k, v, robust, tau, prior[s], hessian, gradient, True
                )
                accepted = False
                new_cost = cost
                for _ in range(8):
                    damped = hessian.copy()
                    for c in range(3):
                        damped[c, c] *= 1.0 + damping
                        damped[c, c] += 1e-12
                    if _cholesky_solve(damped, gradient, step):
                        trial[0] = current[0] * (1.0 + min(max(step[0] / current[0], -0.5), 0.5))
                        trial[1] = min(max(current[1] + min(max(step[1], -0.3), 0.3), -0.95), 0.95)
                        wing = 1.0 + abs(trial[1])
                        cap = CAP_MARGIN * min(4.0 / wing, 2.0 * math.sqrt(trial[0] / wing))
                        move = min(max(step[2] / current[2], -0.5), 0.7)
                        trial[2] = min(current[2] * (1.0 + move), cap)
                        new_cost = _slice_equations(
                            trial[0],
                            trial[1],
                            trial[2],
                            k,
                            v,
                            robust,
                            tau,
                            prior[s],
                            hessian,
                            gradient,
                            False,
                        )
                        if new_cost < cost:
                            accepted = True
                            break
                    damping *= 5.0
                if not accepted:
                    break
                current[:] = trial
                damping = max(0.2 * damping, 1e-9)
                if cost - new_cost <= 1e-6 * cost:
                    break
        params[s] = current
    return params


@njit()
def dense_checks(k: FloatArray, params: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Total variance, density factor g(k) and rise over the slice before, on the strikes of each slice.

    `k` has shape (n, m), `params` (n, 3); the results have shapes (n, m), (n, m) and (n - 1, m). The rise
    in row i compares slices i + 1 and i at the strikes of slice i + 1.
    """
    n, m = k.shape
    variance, density, rise = np.empty((n, m)), np.empty((n, m)), np.empty((max(n - 1, 0), m))
    for s in range(n):
        theta, rho, psi = params[s, 0], params[s, 1], params[s, 2]
        flat = theta * theta * (1.0 - rho * rho)
        for i in range(m):
            z = psi * k[s, i]
            shifted = z + rho * theta
            root = math.sqrt(shifted * shifted + flat)
            w = 0.5 * (theta + rho * z + root)
            inverse = 1.0 / root
            slope = 0.5 * psi * (rho + shifted * inverse)
            curvature = 0.5 * psi * psi * flat * inverse * inverse * inverse
            tilt = 1.0 - 0.5 * k[s, i] * slope / w
            variance[s, i] = w
            density[s, i] = tilt * tilt - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * curvature
        if s > 0:
            before, skew, slant = params[s - 1, 0], params[s - 1, 1], params[s - 1, 2]
            flat = before * before * (1.0 - skew * skew)
            for i in range(m):
                z = slant * k[s, i]
                shifted = z + skew * before
                w = 0.5 * (before + skew * z + math.sqrt(shifted * shifted + flat))
                rise[s - 1, i] = variance[s, i] - w
    return variance, density, rise
