"""Compiled vol errors of eSSVI slices: robust cost, scales, normal equations, checks of the certificate.

Quotes come packed, slice s occupying rows `offsets[s]:offsets[s+1]` of `log_moneyness`, `low`, `high` and
`weight`, all of shape (q,). A quote pulls the model's vol into low..high: a value has low = high, a bound one
side far away. Inside a slice the values come first; `counts` says how many they are. `params` has one row
(theta, rho, psi) per slice. `prior` has one row (rho, weight, psi, weight) per slice: two weak
pseudo-observations that hold thin slices. `limit` is the turning point of the loss per slice, in weighted
errors.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit
from ivhedge.pricing.straight import absolute, select, square_root, straight

__all__ = [
    "CURVATURE",
    "FULL_SLICE",
    "NORMAL",
    "atm_vols",
    "dense_checks",
    "normal_equations",
    "order_statistic",
    "robust_weights",
    "scales_of",
    "slice_equations",
    "slice_errors",
]

FULL_SLICE = 8
NORMAL = 1.4826  # median of the size of a normal error, inverted
CURVATURE = 0.25
"""Smallest share of the reweighting curvature that a step assumes, where the loss itself is concave."""
REORDER = {"reassoc", "contract", "nsz"}  # lets sums be vectorised; NaN stay NaN


@straight
def _distance(vol: float, low: float, high: float) -> float:
    """How far a vol lies above (positive) or below (negative) its range."""
    return select(vol > high, vol - high, select(vol < low, vol - low, 0.0))


@straight
def _loss(error: float, limit: float, is_tukey: bool) -> tuple[float, float, float]:
    """Loss, its slope over that of the square, and half its second derivative."""
    size = absolute(error)
    cut = select(size < limit, size, limit)
    share = cut / limit
    square = share * share
    rest = 1.0 - square
    loss = select(is_tukey, limit * limit / 3.0 * (1.0 - rest * rest * rest), cut * (2.0 * size - cut))
    weight = select(is_tukey, rest * rest, limit / select(size < limit, limit, size))
    bend = select(is_tukey, rest * (1.0 - 5.0 * square), select(size < limit, 1.0, 0.0))
    return loss, weight, select(bend > CURVATURE * weight, bend, CURVATURE * weight)


@straight
def _quote(
    k: float,
    low: float,
    high: float,
    weight: float,
    theta: float,
    rho: float,
    psi: float,
    flat: float,
    tau: float,
    limit: float,
    is_tukey: bool,
) -> tuple[float, float, float, float, float, float]:
    """Loss of one quote, its curvature, its pull, and the derivatives of its weighted error."""
    z = psi * k
    shifted = z + rho * theta
    root = square_root(shifted * shifted + flat)
    vol = square_root(0.5 * (theta + rho * z + root) / tau)
    loss, robust, bend = _loss(_distance(vol, low, high) * weight, limit, is_tukey)
    # A bound that holds has no slope; a value met exactly keeps it.
    scale = select((vol > low) & (vol < high), 0.0, 0.25 * weight / (vol * tau))
    pull = robust * _distance(vol, low, high) * weight
    over = 1.0 / root
    first = scale * (1.0 + (rho * z + theta) * over)
    return (
        loss,
        bend,
        pull,
        first,
        scale * z * (1.0 + theta * over),
        scale * k * (rho + shifted * over),
    )


@njit(fastmath=REORDER, **INNER)
def slice_equations(
    params: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    tau: float,
    prior: FloatArray,
    limit: float,
    is_tukey: bool,
    hessian: FloatArray,
    gradient: FloatArray,
) -> float:
    """Robust cost of one slice; writes its curvature to `hessian` and its downhill slope to `gradient`."""
    theta, rho, psi = params[0], params[1], params[2]
    flat = theta * theta * (1.0 - rho * rho)
    cost: float = 0.0
    h00, h01, h02, h11, h12, h22, g0, g1, g2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(log_moneyness.size):
        loss, bend, pull, j0, j1, j2 = _quote(
            log_moneyness[i], low[i], high[i], weight[i], theta, rho, psi, flat, tau, limit, is_tukey
        )
        cost += loss
        h00 += bend * j0 * j0
        h01 += bend * j0 * j1
        h02 += bend * j0 * j2
        h11 += bend * j1 * j1
        h12 += bend * j1 * j2
        h22 += bend * j2 * j2
        g0 -= pull * j0
        g1 -= pull * j1
        g2 -= pull * j2
    rho_error, psi_error = rho - prior[0], psi - prior[2]
    cost += prior[1] * rho_error * rho_error + prior[3] * psi_error * psi_error
    h11 += prior[1]
    h22 += prior[3]
    hessian[0, 0], hessian[0, 1], hessian[0, 2] = h00, h01, h02
    hessian[1, 0], hessian[1, 1], hessian[1, 2] = h01, h11, h12
    hessian[2, 0], hessian[2, 1], hessian[2, 2] = h02, h12, h22
    gradient[0], gradient[1], gradient[2] = g0, g1 - prior[1] * rho_error, g2 - prior[3] * psi_error
    return cost


@njit()
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
    cost = 0.0
    for s in range(taus.size):
        a, b = offsets[s], offsets[s + 1]
        cost += slice_equations(
            params[s],
            log_moneyness[a:b],
            low[a:b],
            high[a:b],
            weight[a:b],
            taus[s],
            prior[s],
            limit[s],
            is_tukey,
            hessian[s],
            gradient[s],
        )
    return cost


@njit(**INNER)
def slice_errors(
    params: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    tau: float,
    out: FloatArray,
) -> None:
    """Sizes of the weighted errors of one slice."""
    theta, rho, psi = params[0], params[1], params[2]
    flat = theta * theta * (1.0 - rho * rho)
    for i in range(out.size):
        z = psi * log_moneyness[i]
        shifted = z + rho * theta
        vol = math.sqrt(0.5 * (theta + rho * z + math.sqrt(shifted * shifted + flat)) / tau)
        out[i] = abs(_distance(vol, low[i], high[i])) * weight[i]


@njit(**INNER)
def robust_weights(
    params: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    taus: FloatArray,
    limit: FloatArray,
    is_tukey: bool,
) -> FloatArray:
    """Robust weight of every quote: 1 in full, 0 rejected."""
    out = np.empty(weight.size)
    for s in range(taus.size):
        a, b = offsets[s], offsets[s + 1]
        mine = out[a:b]
        slice_errors(params[s], log_moneyness[a:b], low[a:b], high[a:b], weight[a:b], taus[s], mine)
        for i in range(mine.size):
            mine[i] = _loss(mine[i], limit[s], is_tukey)[1]
    return out


@njit(**INNER)
def order_statistic(values: FloatArray, rank: int) -> float:
    """Value of that rank from 0, by Hoare's selection; `values` are reordered."""
    first, last = 0, values.size - 1
    while first < last:
        pivot = values[(first + last) // 2]
        i, j = first, last
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            last = j
        elif rank >= i:
            first = i
        else:
            break
    chosen: float = values[rank]
    return chosen


@njit(**INNER)
def scales_of(
    params: FloatArray,
    log_moneyness: FloatArray,
    low: FloatArray,
    high: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    counts: IntArray,
    taus: FloatArray,
    min_scale: float,
) -> FloatArray:
    """Robust scale of the errors of each slice: its own, held between one and three times the whole's.

    A slice whose shape the model cannot follow is thus not thrown away as a whole, and a slice of few
    quotes cannot call its own outliers normal. Bounds have no say.
    """
    n = taus.size
    out = np.zeros(n)
    pooled, filled = np.empty(weight.size), 0
    for s in range(n):
        a, count = offsets[s], counts[s]
        b = a + count
        mine = pooled[filled : filled + count]
        slice_errors(params[s], log_moneyness[a:b], low[a:b], high[a:b], weight[a:b], taus[s], mine)
        if count >= FULL_SLICE:
            out[s] = NORMAL * order_statistic(mine, count // 2)
        filled += count
    overall = max(NORMAL * order_statistic(pooled[:filled], filled // 2), min_scale)
    for s in range(n):
        out[s] = min(max(out[s], overall), 3.0 * overall)
    return out


@njit()
def atm_vols(
    log_moneyness: FloatArray, vol: FloatArray, weight: FloatArray, offsets: IntArray, counts: IntArray
) -> FloatArray:
    """Weighted median vol of the values nearest the money, per slice."""
    atm = np.empty(counts.size)
    for s in range(counts.size):
        a, count = offsets[s], counts[s]
        k, mine, trust = log_moneyness[a : a + count], vol[a : a + count], weight[a : a + count]
        wanted = min(max(5, count // 5), count)
        reach = order_statistic(np.abs(k), wanted - 1)
        near, share, size = np.empty(count), np.empty(count), 0
        for i in range(count):
            if abs(k[i]) > reach:
                continue
            # Sorted by vol as they come.
            j = size
            while j > 0 and near[j - 1] > mine[i]:
                near[j], share[j] = near[j - 1], share[j - 1]
                j -= 1
            near[j], share[j] = mine[i], trust[i] * trust[i]
            size += 1
        half, total, j = 0.5 * np.sum(share[:size]), share[0], 0
        while total < half and j < size - 1:
            j += 1
            total += share[j]
        atm[s] = near[j]
    return atm


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
