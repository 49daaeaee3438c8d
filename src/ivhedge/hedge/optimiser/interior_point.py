"""Structured interior point for the hedge programme in scaled units.

    minimise    ½ yᵀQy + cᵀv + ½ vᵀdiag(q)v + πᵀ(s₊ + s₋)
    subject to  y = e + F σ v,  0 ≤ v ≤ U,  W v + t = B,
                L ≤ y ≤ H,   l − s₋ ≤ y ≤ u + s₊,   s, t ≥ 0

for sides v of instruments (buy: σ = 1, sell: σ = −1). Mehrotra's predictor and corrector with Gondzio's
centrality correctors on one factorisation, separate steps for primal and dual while that does not spoil the
dual residual. All complementary pairs (x, z) lie in one vector: v, U − v, H − y, y − L, u + s₊ − y, s₊,
y + s₋ − l, s₋, t. The slack of a soft band starts on its central path and keeps ``λ + ζ = π`` and
``w − s = u − y`` exactly, so a band costs one diagonal entry.

References
----------
Mehrotra (1992), "On the implementation of a primal-dual interior point method"; Gondzio (1996), "Multiple
centrality correctors in a primal-dual method for linear programming".
"""

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.optimiser.newton import (
    cholesky,
    direction,
    inverse,
    largest,
    longest,
    products,
    reduced_matrix,
    transposed,
)
from ivhedge.pricing.jit import INNER, njit, prefer_full_vectors

__all__ = ["interior_point"]

_PROXIMAL = 1e-11
_TO_BOUNDARY = 0.995
_BETA_LOW, _BETA_HIGH = 0.1, 10.0
_CORRECTORS = 2
_SUMS = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered; infinities stay


@njit(**INNER)
def _start(
    m: int,
    k: int,
    start: float,
    exposure: FloatArray,
    caps: FloatArray,
    box: FloatArray,
    bands: FloatArray,
    penalty: FloatArray,
    y: FloatArray,
    x: FloatArray,
    z: FloatArray,
) -> None:
    for s in range(m):
        cap = caps[s]
        size = min(0.3 * cap, 0.1)
        x[s] = size
        z[s] = start / size
        if cap < np.inf:
            x[m + s] = cap - size
            z[m + s] = start / (cap - size)
    at = 2 * m
    for i in range(k):
        low, high = box[0, i], box[1, i]
        room = min(0.1, 0.25 * (high - low))
        y[i] = min(max(exposure[i], low + room), high - room)
        if high < np.inf:
            x[at + i] = high - y[i]
            z[at + i] = start / x[at + i]
        if low > -np.inf:
            x[at + k + i] = y[i] - low
            z[at + k + i] = start / x[at + k + i]
        for side in range(2):
            edge = bands[side, i]
            if penalty[i] > 0.0 and abs(edge) < np.inf:
                distance = edge - y[i] if side == 0 else y[i] - edge
                slope = penalty[i] * distance
                root = (slope * slope + 4.0 * start * start) ** 0.5
                far = 2.0 * start + root + abs(slope)
                near = 2.0 * start + 4.0 * start * start / (root + abs(slope))
                w = at + (2 + 2 * side) * k + i
                x[w] = (far if slope > 0.0 else near) / (2.0 * penalty[i])
                x[w + k] = (near if slope > 0.0 else far) / (2.0 * penalty[i])
                z[w] = start / x[w]
                z[w + k] = start / x[w + k]


@njit(fastmath=_SUMS, **INNER)
def _residuals(
    loadings: FloatArray,
    covariance: FloatArray,
    column: IntArray,
    sign: FloatArray,
    cost: FloatArray,
    curvature: FloatArray,
    uses: FloatArray,
    resource: FloatArray,
    exposure: FloatArray,
    penalty: FloatArray,
    has: FloatArray,
    x: FloatArray,
    z: FloatArray,
    y: FloatArray,
    nu: FloatArray,
    flow: FloatArray,
    r_side: FloatArray,
    r_y: FloatArray,
    r_rows: FloatArray,
    measures: FloatArray,
) -> None:
    # Gradient of the Lagrangian and the linear rows; measures: complementarity, objective.
    prefer_full_vectors()
    k, n = loadings.shape
    rows, m = uses.shape
    at = 2 * m
    end = at + 6 * k
    value, gap = 0.0, 0.0
    transposed(loadings, nu, flow)
    for s in range(m):
        r_side[s] = z[s] - z[m + s] - cost[s] - curvature[s] * x[s]
    for r in range(rows):
        price = z[end + r]
        for s in range(m):
            r_side[s] -= uses[r, s] * price
    for s in range(m):
        r_side[s] += sign[s] * flow[column[s]]
    for s in range(m):
        value += (cost[s] + 0.5 * curvature[s] * x[s]) * x[s]
    for j in range(n):
        flow[j] = 0.0
    for s in range(m):
        flow[column[s]] += sign[s] * x[s]
    for i in range(k):
        moved, slope = 0.0, 0.0
        for j in range(n):
            moved += loadings[i, j] * flow[j]
        for h in range(k):
            slope += covariance[i, h] * y[h]
        value += 0.5 * slope * y[i]
        a = at + i
        r_rows[i] = exposure[i] + moved - y[i]
        r_y[i] = -(slope + nu[i] + z[a] - z[a + k] + z[a + 2 * k] - z[a + 4 * k])
    for side in range(2):
        for i in range(k):
            v = at + (3 + 2 * side) * k + i
            value += penalty[i] * x[v] * has[v]
    for r in range(rows):
        used = 0.0
        for s in range(m):
            used += uses[r, s] * x[s]
        r_rows[k + r] = resource[r] - used - x[end + r]
    for a in range(x.size):
        gap += x[a] * z[a]
    measures[0], measures[1] = gap, value


@njit(fastmath=_SUMS)
def interior_point(
    loadings: FloatArray,
    covariance: FloatArray,
    column: IntArray,
    sign: FloatArray,
    cost: FloatArray,
    curvature: FloatArray,
    caps: FloatArray,
    uses: FloatArray,
    resource: FloatArray,
    exposure: FloatArray,
    box: FloatArray,
    bands: FloatArray,
    penalty: FloatArray,
    start: float,
    tolerance: float,
    iterations: int,
) -> tuple[bool, int, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Solve; all inputs scaled to order one.

    Parameters
    ----------
    loadings : FloatArray, shape (k, n)
    covariance : FloatArray, shape (k, k)
    column : IntArray, shape (m,)
        Instrument of each side.
    sign, cost, curvature, caps : FloatArray, shape (m,)
        Curvature >= 0; caps positive, may be infinite.
    uses : FloatArray, shape (rows, m)
        Use of each resource by a unit of a side, >= 0.
    resource : FloatArray, shape (rows,)
        Positive.
    exposure : FloatArray, shape (k,)
    box, bands : FloatArray, shape (2, k)
        Box: low, high, with room between. Bands: upper, lower (in this order); infinite where none.
    penalty : FloatArray, shape (k,)
    start, tolerance : float
        Complementarity of the first iterate; relative duality gap and residuals of the last.
    iterations : int

    Returns
    -------
    converged : bool
    iterations : int
    y, multipliers : FloatArray, shape (k,)
        Multipliers of y = e + F x.
    x, z : FloatArray, shape (2m + 6k + rows,)
        Complementary pairs in the order of the module's text; z = 0 where there is no bound.
    """
    k, n = loadings.shape
    rows, m = uses.shape
    size, at = k + rows, 2 * m
    end = at + 6 * k
    total = end + rows
    x, z = np.ones(total), np.zeros(total)
    y, nu = np.zeros(k), np.zeros(k)
    _start(m, k, start, exposure, caps, box, bands, penalty, y, x, z)
    for r in range(rows):
        used = 0.0
        for s in range(m):
            used += uses[r, s] * x[s]
        x[end + r] = max(resource[r] - used, 0.1 * resource[r], 1e-4)
        z[end + r] = start / x[end + r]
    has = (z > 0.0).astype(np.float64)
    pairs = int(has.sum())
    r_side, r_y, r_rows = np.empty(m), np.empty(k), np.empty(size)
    weight, theta, column_weight, weighted = np.empty(m), np.zeros((2, k)), np.empty(n), np.empty((k, n))
    hessian, h_inverse, root = np.empty((k, k)), np.empty((k, k)), np.zeros((k, k))
    factor = np.zeros((size, size))
    flow, push, work = np.empty(n), np.empty(m), np.empty(k)
    d_y, d_rows, t_y, t_rows = np.empty(k), np.empty(size), np.empty(k), np.empty(size)
    xi, zi, aim = np.zeros(total), np.zeros(total), np.zeros(total)
    dx, dz, tx, tz = np.zeros(total), np.zeros(total), np.zeros(total), np.zeros(total)
    measures, ones, per_side, per_factor = np.empty(2), np.ones(size), np.empty(m), np.empty(k)
    for s in range(m):
        per_side[s] = 1.0 / (1.0 + abs(cost[s]))
    for i in range(k):
        per_factor[i] = 1.0 / (1.0 + penalty[i])
    for iteration in range(iterations + 1):
        _residuals(
            loadings, covariance, column, sign, cost, curvature, uses, resource, exposure, penalty,
            has, x, z, y, nu, flow, r_side, r_y, r_rows, measures,
        )  # fmt: skip
        primal = largest(r_rows, ones)
        dual = max(largest(r_side, per_side), largest(r_y, per_factor))
        gap, value = measures[0], max(abs(measures[1]), 1e-3)
        mu = gap / max(pairs, 1)
        if not np.isfinite(gap + primal + dual):
            return False, iteration, y, nu, x, z
        if gap < tolerance * value and primal < tolerance and dual < tolerance:
            return True, iteration, y, nu, x, z
        if iteration == iterations:
            break
        # Factorisation.
        for a in range(total):
            xi[a] = 1.0 / x[a]
            zi[a] = has[a] / (z[a] + (1.0 - has[a]))
        for s in range(m):
            weight[s] = 1.0 / (z[s] * xi[s] + z[m + s] * xi[m + s] + curvature[s] + _PROXIMAL)
        for i in range(k):
            for h in range(k):
                hessian[i, h] = covariance[i, h]
            a = at + i
            extra = z[a] * xi[a] + z[a + k] * xi[a + k] + 1e-9
            for side in range(2):
                w = at + (2 + 2 * side) * k + i
                if has[w] > 0.0:
                    theta[side, i] = 1.0 / (x[w] * zi[w] + x[w + k] * zi[w + k])
                    extra += theta[side, i]
            hessian[i, i] += extra
        cholesky(hessian)
        inverse(hessian, root, h_inverse)
        reduced_matrix(loadings, column, sign, uses, weight, column_weight, weighted, factor)
        for i in range(k):
            for h in range(i + 1):
                factor[i, h] += h_inverse[i, h]
        for r in range(rows):
            factor[k + r, k + r] += x[end + r] * zi[end + r]
        cholesky(factor)
        # Predictor, corrector, centrality correctors.
        for a in range(total):
            aim[a] = 0.0
        share, sigma, step_p, step_d = 1.0, 0.0, 0.0, 0.0
        for turn in range(2 + _CORRECTORS):
            direction(
                loadings, column, sign, uses, aim, x, z, xi, zi, has, weight, theta, h_inverse, factor,
                r_side, r_y, r_rows, flow, push, work, d_y, d_rows, dx, dz,
            )  # fmt: skip
            new_p, new_d = longest(xi, dx), longest(zi, dz)
            if turn == 0:
                ahead, _ = products(x, dx, z, dz, has, new_p, new_d)
                sigma = min(max((ahead / gap) ** 3, 1e-6), 1.0)
                # Complementarity must not run ahead of the residuals: at 0 the steps end before these go.
                sigma = max(sigma, 0.1 * tolerance * value / gap)
                # The second-order term is only as good as the predictor's step.
                if min(new_p, new_d) < 0.1:
                    sigma, share = max(sigma, 0.3), min(new_p, new_d)
                for a in range(total):
                    second = min(max(share * dx[a] * dz[a], -10.0 * mu), 10.0 * mu)
                    aim[a] = (sigma * mu - second) * has[a]
                continue
            if turn > 1 and new_p + new_d < step_p + step_d + 0.02:
                if new_p + new_d < step_p + step_d:
                    dx, tx = tx, dx
                    dz, tz = tz, dz
                    d_y, t_y = t_y, d_y
                    d_rows, t_rows = t_rows, d_rows
                else:
                    step_p, step_d = new_p, new_d
                break
            step_p, step_d = new_p, new_d
            if turn == 1 + _CORRECTORS or min(step_p, step_d) > 0.9:
                break
            # Gondzio: push the products of a longer trial step back between the neighbourhood's walls.
            try_p, try_d = min(1.0, 1.5 * step_p + 0.1), min(1.0, 1.5 * step_d + 0.1)
            middle = max(sigma, 1e-3) * mu
            for a in range(total):
                product = (x[a] + try_p * dx[a]) * (z[a] + try_d * dz[a])
                low, high = max(_BETA_LOW * middle - product, 0.0), _BETA_HIGH * middle
                aim[a] += (low + min(max(high - product, -high), 0.0)) * has[a]
            dx, tx = tx, dx
            dz, tz = tz, dz
            d_y, t_y = t_y, d_y
            d_rows, t_rows = t_rows, d_rows
        step_p, step_d = min(1.0, _TO_BOUNDARY * step_p), min(1.0, _TO_BOUNDARY * step_d)
        # Separate steps leave (α_p − α_d) Q Δy in the dual residual: only while that is small.
        spoilt = 0.0
        for i in range(k):
            slope = 0.0
            for h in range(k):
                slope += covariance[i, h] * d_y[h]
            spoilt = max(spoilt, abs(slope) / (1.0 + penalty[i]))
        spoilt = max(spoilt, largest(dx[:m], curvature))
        if abs(step_p - step_d) * spoilt > max(0.1 * dual, tolerance):
            step_p = min(step_p, step_d)
            step_d = step_p
        # Neighbourhood: no pair far behind the mean.
        for _ in range(3):
            after, least = products(x, dx, z, dz, has, step_p, step_d)
            if least >= 1e-5 * after / max(pairs, 1):
                break
            step_p, step_d = 0.9 * step_p, 0.9 * step_d
        for a in range(total):
            x[a] += step_p * dx[a]
        for a in range(total):
            z[a] += step_d * dz[a]
        for i in range(k):
            y[i] += step_p * d_y[i]
            nu[i] += step_d * d_rows[i]
    return False, iterations, y, nu, x, z
