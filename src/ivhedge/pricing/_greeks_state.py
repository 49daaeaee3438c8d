"""Compiled: what all Greeks of a block of options share.

All derivatives are F·φ(d1) = K·φ(d2) times polynomials in d1, d2 and the reciprocals of F, K, s, vol and tau,
which two divisions and a square root give for all of them. The block stays in the cache, and each Greek is
one short loop over it.
"""

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing._elementary import is_valid
from ivhedge.pricing._greeks_numpy import INV_SQRT_TWO_PI
from ivhedge.pricing._numpy_kernels import LOWER_Y, S_MAX, S_MIN, SQRT_HALF, SQUARE_MAX, TAU_MIN
from ivhedge.pricing._price_numba import (
    C1,
    C2,
    INV_S,
    MAJOR,
    MINOR,
    PRODUCT,
    SLOPE,
    STRIDE,
    VALUE,
    WEIGHT,
    S,
    fill_distances,
    fill_erfcx,
)
from ivhedge.pricing._price_numba import ROWS as PRICE_ROWS
from ivhedge.pricing.jit import IN_BOOLS, IN_FLOATS, INNER, njit, prefer_full_vectors
from ivhedge.pricing.straight import flip, select, square_root, straight

__all__ = ["fill_block", "fill_state", "fill_tails"]

D1, D2, SCALED, INV_F, INV_K, INV_VOL, INV_TAU, ROOT, STRIKE, TAU, VOL, PRICE, N1, N2 = (
    STRIDE * row for row in range(PRICE_ROWS, PRICE_ROWS + 14)
)
"""More rows of the scratch."""
ROWS = PRICE_ROWS + 14
COLUMNS = ", ".join([IN_FLOATS] * 4)
KERNEL = f"void({COLUMNS}, {IN_BOOLS}, int64[::1], boolean, float64[:, ::1], int64, boolean[::1])"


@straight
def shared(
    forward: float, strike: float, minor: float, major: float, weight: float
) -> tuple[float, float, float, float, float]:
    """Return d1, d2, F·φ(d1), 1/F and 1/K."""
    both = 1.0 / (forward * strike)
    below = forward < strike
    d1, d2 = select(below, -minor, major), select(below, -major, minor)
    scaled = INV_SQRT_TWO_PI * select(below, forward, strike) * weight
    return d1, d2, scaled, strike * both, forward * both


@straight
def shared_times(tau: float, vol: float, inverse_total_vol: float) -> tuple[float, float, float]:
    """Return sqrt(tau), 1/vol and 1/tau."""
    root, ratio = square_root(tau), vol * inverse_total_vol
    return root, root * inverse_total_vol, ratio * ratio


@straight
def needs_twin(forward: float, strike: float, tau: float, vol: float, total_vol: float) -> bool:
    """Tell where the inputs are invalid, extreme, or the total vol is at one of its limits."""
    inside = (total_vol >= S_MIN) & (total_vol < S_MAX) & (tau > TAU_MIN)
    ordinary = (vol > 1.0 / SQUARE_MAX) & (vol < SQUARE_MAX)
    return flip(is_valid(forward, strike, tau, vol) & inside & ordinary)


@njit(fastmath={"contract"}, nogil=True, **INNER)
def fill_state(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    scratch: FloatArray,
    irregular: BoolArray,
) -> None:
    """Fill what the Greeks share; `scaled` is F·φ(d1)."""
    prefer_full_vectors()
    fill_distances(forward, strike, tau, vol, scratch)
    n = forward.size
    for i in range(n):
        d1, d2, scaled, inv_f, inv_k = shared(
            forward[i], strike[i], scratch[i + MINOR], scratch[i + MAJOR], scratch[i + WEIGHT]
        )
        scratch[i + D1], scratch[i + D2], scratch[i + SCALED] = d1, d2, scaled
        scratch[i + INV_F], scratch[i + INV_K], scratch[i + STRIKE] = inv_f, inv_k, strike[i]
    for i in range(n):
        root, inv_vol, inv_tau = shared_times(tau[i], vol[i], scratch[i + INV_S])
        scratch[i + ROOT], scratch[i + INV_VOL], scratch[i + INV_TAU] = root, inv_vol, inv_tau
        scratch[i + TAU], scratch[i + VOL] = tau[i], vol[i]
    bad = 0
    for i in range(n):
        bad += needs_twin(forward[i], strike[i], tau[i], vol[i], scratch[i + S])
        irregular[i] = False
    # Counting goes by vectors, writing flags does not; there is rarely one to write.
    if bad > 0:
        for i in range(n):
            irregular[i] = needs_twin(forward[i], strike[i], tau[i], vol[i], scratch[i + S])


@straight
def price_and_tails(
    forward: float,
    strike: float,
    inv_f: float,
    inv_k: float,
    total_vol: float,
    minor: float,
    weight: float,
    product: float,
    c1: float,
    c2: float,
    value1: float,
    slope: float,
    is_call: bool,
) -> tuple[float, float, float]:
    """Return the price, q·N(q·d1) and q·N(q·d2), both tails with full relative accuracy."""
    value2 = value1 + (c2 - c1) * slope
    below, upper = forward < strike, minor * SQRT_HALF < LOWER_Y
    cap = select(below, forward, strike)
    half = 0.5 * weight
    # exp(−y2²) is exp(−y1²) times the ratio of the smaller of F and K to the larger; 1/(y + 4) = (1 − c)/6.4.
    near, far = half * (value1 * (1.0 - c1) * (1.0 / 6.4)), half * (value2 * (1.0 - c2) * (1.0 / 6.4))
    tail2 = far * select(below, forward * inv_k, strike * inv_f)
    tail1, rest1 = select(upper, 1.0 - near, near), select(upper, near, 1.0 - near)
    quotient = (value2 - (1.0 - c1) * slope) * product
    otm = select(upper, cap - cap * (near + far), cap * half * (total_vol * SQRT_HALF) * quotient)
    intrinsic = select(is_call, forward - strike, strike - forward)
    price = otm + select(intrinsic > 0.0, intrinsic, 0.0)
    first = select(below, select(is_call, tail1, -rest1), select(is_call, 1.0 - tail2, -tail2))
    second = select(below, select(is_call, tail2, tail2 - 1.0), select(is_call, rest1, -tail1))
    return price, first, second


@njit(fastmath={"contract"}, nogil=True, **INNER)
def fill_tails(
    forward: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    scratch: FloatArray,
) -> None:
    """Fill the price and q·N(q·d1), q·N(q·d2)."""
    prefer_full_vectors()
    for i in range(forward.size):
        price, first, second = price_and_tails(
            forward[i],
            strike[i],
            scratch[i + INV_F],
            scratch[i + INV_K],
            scratch[i + S],
            scratch[i + MINOR],
            scratch[i + WEIGHT],
            scratch[i + PRODUCT],
            scratch[i + C1],
            scratch[i + C2],
            scratch[i + VALUE],
            scratch[i + SLOPE],
            is_call[i],
        )
        scratch[i + PRICE], scratch[i + N1], scratch[i + N2] = price, first, second


@njit(fastmath={"contract"}, nogil=True, **INNER)
def fill_block(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    is_call: BoolArray,
    with_tails: bool,
    scratch: FloatArray,
    irregular: BoolArray,
) -> None:
    """Fill all that the Greeks of a block share."""
    fill_state(forward, strike, tau, vol, scratch, irregular)
    if with_tails:
        fill_erfcx(irregular.size, scratch)
        fill_tails(forward, strike, is_call, scratch)
