"""Linear algebra of one Newton step of the hedge programme: (k + rows)² instead of (2n + 5k)².

Every block of the KKT system is diagonal but the covariance of the factors. Trades and exposures are
eliminated; what is left for the multipliers of ``y = e + F x`` and of the resource rows is

    blkdiag(H⁻¹, t/g) + A D⁻¹ Aᵀ,   A = [F σ; −W],

symmetric positive definite; columns of the two sides of an instrument share one product.
"""

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import INNER, njit, prefer_full_vectors

__all__ = [
    "back_substitute",
    "cholesky",
    "direction",
    "inverse",
    "largest",
    "longest",
    "products",
    "reduced_matrix",
    "transposed",
]

_SUMS = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered; infinities stay
_NUMBERS = {"reassoc", "contract", "nsz", "arcp", "nnan"}
_FLOOR = 1e-15  # of its own diagonal: below it a pivot is rounding noise


@njit(fastmath=_SUMS, **INNER)
def cholesky(matrix: FloatArray) -> None:
    """Replace the lower triangle by its Cholesky factor; a pivot lost to rounding becomes huge (step 0)."""
    size = matrix.shape[0]
    largest = 1e-300
    for i in range(size):
        largest = max(largest, matrix[i, i])
    for i in range(size):
        diagonal = matrix[i, i]
        for j in range(i):
            total = matrix[i, j]
            for h in range(j):
                total -= matrix[i, h] * matrix[j, h]
            matrix[i, j] = total / matrix[j, j]
        total = diagonal
        for h in range(i):
            total -= matrix[i, h] * matrix[i, h]
        if total <= _FLOOR * diagonal:
            total = 1e64 * largest
        matrix[i, i] = total**0.5


@njit(fastmath=_SUMS, **INNER)
def back_substitute(factor: FloatArray, right: FloatArray) -> None:
    """Solve in place for one right-hand side."""
    size = right.size
    for i in range(size):
        total = right[i]
        for h in range(i):
            total -= factor[i, h] * right[h]
        right[i] = total / factor[i, i]
    for i in range(size - 1, -1, -1):
        value = right[i] / factor[i, i]
        right[i] = value
        for h in range(i):
            right[h] -= factor[i, h] * value


@njit(fastmath=_SUMS, **INNER)
def inverse(factor: FloatArray, root: FloatArray, result: FloatArray) -> None:
    """Inverse of the factored matrix; `root` is left with the inverse of the factor."""
    size = factor.shape[0]
    for i in range(size):
        for j in range(i):
            root[i, j] = 0.0
        for h in range(i):
            share = factor[i, h]
            for j in range(h + 1):
                root[i, j] -= share * root[h, j]
        scale = 1.0 / factor[i, i]
        for j in range(i):
            root[i, j] *= scale
        root[i, i] = scale
    for i in range(size):
        for j in range(size):
            result[i, j] = 0.0
    for h in range(size):
        for i in range(h + 1):
            share = root[h, i]
            for j in range(h + 1):
                result[i, j] += share * root[h, j]


@njit(fastmath=_SUMS, **INNER)
def reduced_matrix(
    loadings: FloatArray,
    column: IntArray,
    sign: FloatArray,
    uses: FloatArray,
    weight: FloatArray,
    theta: FloatArray,
    weighted: FloatArray,
    result: FloatArray,
) -> None:
    """Lower triangle of A D⁻¹ Aᵀ for weights D⁻¹ of the sides."""
    prefer_full_vectors()
    k, n = loadings.shape
    rows, sides = uses.shape
    for j in range(n):
        theta[j] = 0.0
    for s in range(sides):
        theta[column[s]] += weight[s]
    for i in range(k):
        for j in range(n):
            weighted[i, j] = loadings[i, j] * theta[j]
    # Blocks of two by four: each load serves several products. Indices past the block repeat its last row.
    for i in range(0, k, 2):
        last = min(i + 1, k - 1)
        for g in range(0, last + 1, 4):
            b, c, d = min(g + 1, last), min(g + 2, last), min(g + 3, last)
            t1, t2, t3, t4, u1, u2, u3, u4 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for j in range(n):
                t, u = weighted[i, j], weighted[last, j]
                f1, f2, f3, f4 = loadings[g, j], loadings[b, j], loadings[c, j], loadings[d, j]
                t1 += t * f1
                t2 += t * f2
                t3 += t * f3
                t4 += t * f4
                u1 += u * f1
                u2 += u * f2
                u3 += u * f3
                u4 += u * f4
            result[i, g], result[i, b], result[i, c], result[i, d] = t1, t2, t3, t4
            result[last, g], result[last, b], result[last, c], result[last, d] = u1, u2, u3, u4
    for r in range(rows):
        for j in range(n):
            theta[j] = 0.0
        for s in range(sides):
            theta[column[s]] -= sign[s] * weight[s] * uses[r, s]
        for i in range(k):
            total = 0.0
            for j in range(n):
                total += loadings[i, j] * theta[j]
            result[k + r, i] = total
        for q in range(r + 1):
            total = 0.0
            for s in range(sides):
                total += uses[r, s] * weight[s] * uses[q, s]
            result[k + r, k + q] = total


@njit(fastmath=_SUMS, **INNER)
def direction(
    loadings: FloatArray,
    column: IntArray,
    sign: FloatArray,
    uses: FloatArray,
    aim: FloatArray,
    x: FloatArray,
    z: FloatArray,
    xi: FloatArray,
    zi: FloatArray,
    has: FloatArray,
    weight: FloatArray,
    theta: FloatArray,
    h_inverse: FloatArray,
    factor: FloatArray,
    r_side: FloatArray,
    r_y: FloatArray,
    r_rows: FloatArray,
    flow: FloatArray,
    push: FloatArray,
    work: FloatArray,
    d_y: FloatArray,
    d_rows: FloatArray,
    dx: FloatArray,
    dz: FloatArray,
) -> None:
    """Newton direction that takes every product x z to `aim`; absent pairs have z = aim = has = 0."""
    # Short loops over few arrays: with more the compiler cannot tell that they do not overlap.
    prefer_full_vectors()
    k, n = loadings.shape
    rows, m = uses.shape
    at = 2 * m
    end = at + 6 * k
    for s in range(m):
        push[s] = r_side[s] + aim[s] * xi[s] - z[s] - aim[m + s] * xi[m + s] + z[m + s]
    for s in range(m):
        dx[s] = weight[s] * push[s]
    for j in range(n):
        flow[j] = 0.0
    for s in range(m):
        flow[column[s]] += sign[s] * dx[s]
    for i in range(k):
        a, b = at + i, at + k + i
        value = r_y[i] - (aim[a] * xi[a] - z[a]) + (aim[b] * xi[b] - z[b])
        for side in range(2):
            w = at + (2 + 2 * side) * k + i
            kappa = aim[w] * zi[w] - x[w] - aim[w + k] * zi[w + k] + x[w + k]
            value += (2.0 * side - 1.0) * theta[side, i] * kappa
        work[i] = value
    for i in range(k):
        total = 0.0
        for h in range(k):
            total += h_inverse[i, h] * work[h]
        moved = 0.0
        for j in range(n):
            moved += loadings[i, j] * flow[j]
        d_rows[i] = total - moved - r_rows[i]
    for r in range(rows):
        a = end + r
        total = -r_rows[k + r] + aim[a] * zi[a] - x[a]
        for s in range(m):
            total += uses[r, s] * dx[s]
        d_rows[k + r] = total
    back_substitute(factor, d_rows)
    transposed(loadings, d_rows, flow)
    for s in range(m):
        push[s] += sign[s] * flow[column[s]]
    for r in range(rows):
        value = d_rows[k + r]
        for s in range(m):
            push[s] -= uses[r, s] * value
    for s in range(m):
        dx[s] = weight[s] * push[s]
    for s in range(m):
        dx[m + s] = -dx[s] * has[m + s]
    for i in range(k):
        total = 0.0
        for h in range(k):
            total += h_inverse[i, h] * (work[h] - d_rows[h])
        d_y[i] = total
    for i in range(k):
        dx[at + i] = -d_y[i] * has[at + i]
        dx[at + k + i] = d_y[i] * has[at + k + i]
    for a in range(at + 2 * k):
        dz[a] = (aim[a] - z[a] * dx[a]) * xi[a] - z[a]
    for side in range(2):
        turn = 2.0 * side - 1.0
        for i in range(k):
            w = at + (2 + 2 * side) * k + i
            v = w + k
            kappa = aim[w] * zi[w] - x[w] - aim[v] * zi[v] + x[v]
            dz[w] = theta[side, i] * (kappa - turn * d_y[i])
            dz[v] = -dz[w]
            dx[v] = (aim[v] * zi[v] - x[v] + x[v] * zi[v] * dz[w]) * has[w]
            dx[w] = dx[v] + turn * d_y[i] * has[w]
    for r in range(rows):
        a = end + r
        dz[a] = d_rows[k + r]
        dx[a] = aim[a] * zi[a] - x[a] - x[a] * zi[a] * dz[a]


@njit(fastmath=_SUMS, **INNER)
def transposed(loadings: FloatArray, price: FloatArray, result: FloatArray) -> None:
    """Fᵀν; four rows at a time."""
    prefer_full_vectors()
    k, n = loadings.shape
    for j in range(n):
        result[j] = 0.0
    for i in range(0, k - k % 4, 4):
        one, two, three, four = price[i], price[i + 1], price[i + 2], price[i + 3]
        for j in range(n):
            result[j] += (
                loadings[i, j] * one
                + loadings[i + 1, j] * two
                + loadings[i + 2, j] * three
                + loadings[i + 3, j] * four
            )
    for i in range(k - k % 4, k):
        one = price[i]
        for j in range(n):
            result[j] += loadings[i, j] * one


@njit(fastmath=_NUMBERS, **INNER)
def products(
    x: FloatArray,
    dx: FloatArray,
    z: FloatArray,
    dz: FloatArray,
    has: FloatArray,
    step_p: float,
    step_d: float,
) -> tuple[float, float]:
    """Sum and least of the products of all pairs after a step."""
    total, least = 0.0, 1e300
    for a in range(x.size):
        product = (x[a] + step_p * dx[a]) * (z[a] + step_d * dz[a])
        total += product
        least = min(least, product + (1.0 - has[a]) * 1e300)
    return total, least


@njit(fastmath=_NUMBERS, **INNER)
def largest(values: FloatArray, scale: FloatArray) -> float:
    """Largest |values · scale|."""
    worst = 0.0
    for i in range(values.size):
        worst = max(worst, abs(values[i] * scale[i]))
    return worst


@njit(fastmath=_NUMBERS, **INNER)
def longest(inverse_x: FloatArray, dx: FloatArray) -> float:
    """Largest step, at most 1, that keeps x + step·dx at or above zero."""
    worst = 1.0
    for a in range(dx.size):
        worst = max(worst, -dx[a] * inverse_x[a])
    return 1.0 / worst
