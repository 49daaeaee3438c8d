"""Lower bounds of the rise of convex prices between strikes, and the bisection that makes them a proof.

On a cell of strikes the later price lies above its tangents at both ends, hence above each mean of the two,
and the earlier one below its chord. The best mean is the one with the chord's slope. All that is needed are
values and slopes at the ends; the bound is short of the truth by a share of curvature times width squared.
"""

import math

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import INNER, njit
from ivhedge.surface.flexible._mixture import backbone_parts, kernel_parts
from ivhedge.surface.flexible._proof_wings import OPEN, wing_need

__all__ = ["calendar_bounds", "cell_bound", "prove_pair"]

WING_SD = np.array([6.0, 8.0, 10.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 20.0, 22.0, 25.0, 30.0, 40.0])
"""Where the wings may begin, in standard deviations of the earlier expiry."""
STEP_SD = 0.5
FLOOR_SD = 1e-5
MAX_POINTS = 4000
"""Points of one side: in the rare pair that needs more, what is left is not proven."""
SLACK = 1.02
"""A least mix need not be more exact than this."""
NEXT_TO_ZERO = 1e-300
"""Puts end here, calls begin at 0."""
PER_LEVEL = 2e-14
"""Relative error of a price per unit of its logarithm: exponents are exact to some 1e-16 of their size."""
UNDERFLOW = 1e-290
"""What may be lost below the smallest number, in units of the largest price at hand."""


@njit()
def cell_bound(
    width: float, near0: float, near1: float, far0: float, far1: float, slope0: float, slope1: float,
    error: float,
) -> float:  # fmt: skip
    """Lower bound of far - near on a cell, for relative errors of the inputs up to `error`."""
    # Any share in [0, 1] gives a valid bound: its own rounding does no harm.
    share = 0.5
    if slope1 > slope0:
        share = min(max((slope1 - (near1 - near0) / width) / (slope1 - slope0), 0.0), 1.0)
    at0 = share * far0 + (1.0 - share) * (far1 - slope1 * width) - near0
    at1 = share * (far0 + slope0 * width) + (1.0 - share) * far1 - near1
    tilt = (share * abs(slope0) + (1.0 - share) * abs(slope1)) * width
    return min(at0, at1) - error * (near0 + near1 + far0 + far1 + tilt) - UNDERFLOW


@njit()
def calendar_bounds(
    strike: FloatArray,
    near: FloatArray,
    far: FloatArray,
    far_slope: FloatArray,
    error: float,
    out: FloatArray,
) -> None:
    """Lower bounds of far - near between neighbouring strikes, both convex in the strike.

    Parameters
    ----------
    strike : FloatArray, shape (n,)
        Ascending.
    near, far : FloatArray, shape (n,)
        Earlier and later price of one kind of option; only `near` at strikes, no slope, is needed.
    far_slope : FloatArray, shape (n,)
        Derivative of `far` in the strike.
    error : float
        Relative error of prices and slopes that the bounds allow for.
    out : FloatArray, shape (n - 1,)
        Filled with the bounds: on cell i no strike has a smaller rise.
    """
    for i in range(out.size):
        out[i] = cell_bound(
            strike[i + 1] - strike[i], near[i], near[i + 1], far[i], far[i + 1], far_slope[i],
            far_slope[i + 1], error,
        )  # fmt: skip


@njit(**INNER)
def _evaluate(
    k: FloatArray, slices: FloatArray, log_weight: FloatArray, centre: FloatArray, width: FloatArray,
    out: FloatArray,
) -> None:  # fmt: skip
    """Parts of both expiries of a pair at strikes, shape (4 sources, 4, k): kernels, then backbone."""
    n = k.size
    zero = np.zeros(n)
    for r in range(2):
        row = np.full(n, r)
        kernel_parts(k, row, zero, log_weight, centre, width, out[r])
        backbone_parts(
            k, np.full(n, slices[r, 0]), np.full(n, slices[r, 1]), np.full(n, slices[r, 2]), out[2 + r]
        )


@njit()
def pair_bounds(
    side: float, k0: float, k1: float, one: FloatArray, two: FloatArray, kernel_error: float, error: float
) -> tuple[float, float, float]:
    """Bounds of the kernels' and the backbone's rise on a cell, and the largest price of the later ones."""
    top = -math.inf
    for r in range(4):
        top = max(top, max(one[r, 3], two[r, 3]))
    deepest = min(min(one[0, 3], one[1, 3]), min(two[0, 3], two[1, 3]))
    kernel_error += PER_LEVEL * abs(deepest)
    error += PER_LEVEL * max(max(abs(one[2, 3]), abs(one[3, 3])), max(abs(two[2, 3]), abs(two[3, 3])))
    # Strikes in units of the first one.
    width, ratio = math.expm1(k1 - k0), math.exp(k0 - k1)
    e0, e1 = math.exp(one[0, 3] - top), math.exp(two[0, 3] - top)
    f0, f1 = math.exp(one[1, 3] - top), math.exp(two[1, 3] - top)
    unit = max(one[1, 0] * f0, two[1, 0] * f1)
    kernels = cell_bound(
        width, one[0, 0] * e0, two[0, 0] * e1, one[1, 0] * f0, two[1, 0] * f1,
        -side * one[1, 1] * f0, -side * two[1, 1] * f1 * ratio, kernel_error,
    )  # fmt: skip
    e0, e1 = math.exp(one[2, 3] - top), math.exp(two[2, 3] - top)
    f0, f1 = math.exp(one[3, 3] - top), math.exp(two[3, 3] - top)
    backbone = cell_bound(
        width, one[2, 0] * e0, two[2, 0] * e1, one[3, 0] * f0, two[3, 0] * f1,
        -side * one[3, 1] * f0, -side * two[3, 1] * f1 * ratio, error,
    )  # fmt: skip
    # The conditions of the backbone say that it rises.
    return kernels, max(backbone, 0.0), max(unit, max(one[3, 0] * f0, two[3, 0] * f1))


@njit()
def _need(kernels: float, backbone: float) -> float:
    """Smallest mix with (1 - mix)·kernels + mix·backbone >= 0; 1, which proves nothing, for NaN."""
    if kernels >= 0.0:
        return 0.0
    share = -kernels / (backbone - kernels)
    return share if share < 1.0 else 1.0


@njit(**INNER)
def _prove_side(
    side: float, reach: float, deviation: float, mix: float, slices: FloatArray, log_weight: FloatArray,
    centre: FloatArray, width: FloatArray, kernel_error: float, error: float, out: FloatArray,
) -> None:  # fmt: skip
    """Fill `out`: least mix, least rise over the backbone's price, its log-moneyness, cells; to `reach`."""
    n = math.ceil(reach / (STEP_SD * deviation)) + 1
    k, parts = np.empty(MAX_POINTS), np.empty((MAX_POINTS, 4, 4))
    for i in range(n):
        x = reach * i / (n - 1) if i < n - 1 else reach
        k[i] = side * x if side > 0.0 else -max(x, NEXT_TO_ZERO)
    left, right = np.empty(2 * MAX_POINTS, np.int64), np.empty(2 * MAX_POINTS, np.int64)
    for i in range(n - 1):
        left[i], right[i] = (i, i + 1) if side > 0.0 else (i + 1, i)
    open_cells = n - 1
    start, asked = 0, mix
    need, least, where, cells = 0.0, math.inf, 0.0, 0
    while open_cells > 0:
        fresh = np.empty((4, 4, n - start))
        _evaluate(k[start:n], slices, log_weight, centre, width, fresh)
        for i in range(n - start):
            for r in range(4):
                for c in range(4):
                    parts[start + i, r, c] = fresh[r, c, i]
            # What this strike alone asks for, to which no proof can do with less.
            point = parts[start + i]
            top = max(max(point[0, 3], point[1, 3]), max(point[2, 3], point[3, 3]))
            own = math.exp(point[1, 3] - top) * point[1, 0] - math.exp(point[0, 3] - top) * point[0, 0]
            base = math.exp(point[3, 3] - top) * point[3, 0] - math.exp(point[2, 3] - top) * point[2, 0]
            wanted = _need(own, max(base, 0.0))
            if wanted > asked:
                asked = min(SLACK * wanted, 1.0)
        start, kept = n, 0
        for c in range(open_cells):
            i, j = left[c], right[c]
            kernels, backbone, unit = pair_bounds(side, k[i], k[j], parts[i], parts[j], kernel_error, error)
            own = _need(kernels, backbone)
            final = own <= asked or n >= MAX_POINTS or k[j] - k[i] < FLOOR_SD * deviation
            if final:
                cells += 1
                need = max(need, own)
                rise = ((1.0 - mix) * kernels + mix * backbone) / unit
                if rise < least:
                    least, where = rise, 0.5 * (k[i] + k[j])
            else:
                k[n] = 0.5 * (k[i] + k[j])
                left[kept], right[kept] = i, j
                kept += 1
                n += 1
        # Halve what was kept; its middles are the points from `start` on, in order.
        for c in range(kept - 1, -1, -1):
            i, j, middle = left[c], right[c], start + c
            left[2 * c], right[2 * c] = i, middle
            left[2 * c + 1], right[2 * c + 1] = middle, j
        open_cells = 2 * kept
    out[0], out[1], out[2], out[3] = need, least, where, cells


@njit()
def prove_pair(
    mix: float, slices: FloatArray, log_weight: FloatArray, centre: FloatArray, width: FloatArray,
    kernel_error: float, error: float, out: FloatArray,
) -> None:  # fmt: skip
    """Prove one pair of expiries; all arrays hold the two rows of the pair.

    `out`, shape (2, 6), holds per side, left first: least mix, least rise, its log-moneyness, cells, where
    the wing begins, and the argument that holds there.
    """
    deviation = math.sqrt(slices[0, 0])
    for s in range(2):
        side = -1.0 if s == 0 else 1.0
        best, argument, reach = 2.0, OPEN, WING_SD[7]
        for i in range(WING_SD.size):
            need, why = wing_need(
                side, WING_SD[i] * deviation, mix, slices[0], slices[1], log_weight[0], centre[0], width[0],
                log_weight[1], centre[1], width[1],
            )  # fmt: skip
            if why != OPEN and need < best:
                best, argument, reach = need, why, WING_SD[i]
            if best <= mix:
                break
        row = out[s]
        _prove_side(
            side, reach * deviation, deviation, mix, slices, log_weight, centre, width, kernel_error, error,
            row,
        )  # fmt: skip
        row[0] = max(row[0], min(best, 1.0))
        if best > mix and row[1] > 0.0:
            row[1], row[2] = -0.0, side * reach * deviation
        row[4], row[5] = side * reach * deviation, argument
