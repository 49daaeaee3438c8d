"""Compiled core of the stream: what a slice is, how it moves with a quote, how it settles.

A slice is (a, rho, b) = (theta/tau, rho, psi/tau): eSSVI is homogeneous in (theta, psi), so at fixed
log-moneyness the vol of these numbers does not depend on the passing of time.

Each (venue, instrument) owns one slot with its latest quote. A slice keeps the normal equations of its slots;
a new quote takes the old contribution of its slot out and puts its own in, so nothing counts twice. The whole
slice is linearised again every few quotes. The fixed point is that of the batch problem (Tukey's loss on
vol errors in units of their standard deviation).

Variance of a quote: half-spread² / depth factor, plus what the market may have moved since: vol_of_vol² · age
+ (spot_beta · change of ln F)². This widens error bars with age and at spot jumps.
"""

import math

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import njit

__all__ = ["correct", "information", "invert"]

# Columns of a slot.
# RAW and RAW_NOISE are as quoted; VOL and NOISE are less the venue's bias, at the venue's scale of errors.
K, VOL, NOISE, LOG_F, BID, ASK, H0, H1, H2, WEIGHT, TARGET, RAW, RAW_NOISE, N_COLUMNS = range(14)
# What is known of a venue in a slice: level, slope, vol at the money that its slope is measured by, and the
# factor on the variance of its errors.
LEVEL, SLOPE, ATM, FACTOR, N_BIAS = range(5)
Z_LIMIT = 3.0
# Columns of a slice: parameters, scale of errors, drift variance, ln forward, normal equations (6 + 3), what
# was known when quotes were many: parameters (3) and information (6), scale of the errors of all slices.
SCALE, DRIFT, S_LOG_F, EQ, ANCHOR, INFO, WHOLE, S_COLUMNS = 3, 4, 5, 6, 15, 18, 24, 25
FEW = 8
"""Quotes below which a slice leans on what it knew."""
# Settings in one array; at its end a move of ln F that waits for a second quote's word, its slot and time.
(
    FLOOR,
    FULL_DEPTH,
    Q_TIME,
    BETA,
    TUKEY,
    MIN_SCALE,
    MAX_AGE,
    MAX_LAG,
    MAX_LEAD,
    MAX_MOVE,
    MAX_STEP,
    WAITING,
    WAITING_SLOT,
    WAITING_NS,
    N_SETTINGS,
) = range(15)
(
    ACCEPTED,
    UNCHANGED,
    DUPLICATE,
    UNKNOWN_VENUE,
    UNKNOWN_INSTRUMENT,
    NOT_FINITE,
    CROSSED,
    OUT_OF_ORDER,
    FUTURE,
    LATE,
    EXPIRED,
    ONE_SIDED,
    NO_VOL,
    IN_THE_MONEY,
    BAD_FORWARD,
    N_REASONS,
) = range(16)
NS_PER_YEAR = 365.0 * 86_400e9
RHO_MAX = 0.995


@njit()
def _model(k: float, a: float, rho: float, b: float) -> tuple[float, float, float, float]:
    """Vol of a slice and its derivatives by (a, rho, b)."""
    z = b * k
    root = math.sqrt((z + rho * a) ** 2 + a * a * (1.0 - rho * rho))
    vol = math.sqrt(max(0.5 * (a + rho * z + root), 1e-12))
    c = 0.25 / vol
    root = max(root, 1e-300)
    return (
        vol,
        c * (1.0 + (rho * z + a) / root),
        c * (z + a * z / root),
        c * (rho * k + (z * k + rho * a * k) / root),
    )


@njit()
def _add(s: FloatArray, h0: float, h1: float, h2: float, weight: float, target: float) -> None:
    s[EQ] += weight * h0 * h0
    s[EQ + 1] += weight * h0 * h1
    s[EQ + 2] += weight * h0 * h2
    s[EQ + 3] += weight * h1 * h1
    s[EQ + 4] += weight * h1 * h2
    s[EQ + 5] += weight * h2 * h2
    s[EQ + 6] += weight * h0 * target
    s[EQ + 7] += weight * h1 * target
    s[EQ + 8] += weight * h2 * target


@njit()
def _lean(s: FloatArray) -> None:
    """Add what the slice knew to its normal equations."""
    for i in range(6):
        s[EQ + i] += s[INFO + i]
    a0, a1, a2 = s[ANCHOR], s[ANCHOR + 1], s[ANCHOR + 2]
    s[EQ + 6] += s[INFO] * a0 + s[INFO + 1] * a1 + s[INFO + 2] * a2
    s[EQ + 7] += s[INFO + 1] * a0 + s[INFO + 3] * a1 + s[INFO + 4] * a2
    s[EQ + 8] += s[INFO + 2] * a0 + s[INFO + 4] * a1 + s[INFO + 5] * a2


@njit()
def _solve(s: FloatArray) -> tuple[float, float, float]:
    """Step of (a, rho, b) from the normal equations, held by a weak prior centred where the slice is."""
    i0, i1, i2 = 4.0 / (s[0] * s[0]), 4.0, 1.0 / (s[2] * s[2])
    m00, m01, m02 = s[EQ] + i0, s[EQ + 1], s[EQ + 2]
    m11, m12, m22 = s[EQ + 3] + i1, s[EQ + 4], s[EQ + 5] + i2
    # Targets are y − vol(p*) + h·p*, so the right-hand side less A·p is the gradient at p.
    g0 = s[EQ + 6] - s[EQ] * s[0] - s[EQ + 1] * s[1] - s[EQ + 2] * s[2]
    g1 = s[EQ + 7] - s[EQ + 1] * s[0] - s[EQ + 3] * s[1] - s[EQ + 4] * s[2]
    g2 = s[EQ + 8] - s[EQ + 2] * s[0] - s[EQ + 4] * s[1] - s[EQ + 5] * s[2]
    l00 = math.sqrt(m00)
    l10, l20 = m01 / l00, m02 / l00
    l11 = math.sqrt(max(m11 - l10 * l10, 1e-12 * m11))
    l21 = (m12 - l20 * l10) / l11
    l22 = math.sqrt(max(m22 - l20 * l20 - l21 * l21, 1e-12 * m22))
    y0 = g0 / l00
    y1 = (g1 - l10 * y0) / l11
    y2 = (g2 - l20 * y0 - l21 * y1) / l22
    x2 = y2 / l22
    x1 = (y1 - l21 * x2) / l11
    x0 = (y0 - l10 * x1 - l20 * x2) / l00
    return x0, x1, x2


@njit()
def _move(s: FloatArray, tau: float) -> float:
    """Step inside the slice's own butterfly domain; the size of the step relative to the slice."""
    d0, d1, d2 = _solve(s)
    a0, r0, b0 = s[0], s[1], s[2]
    s[0] = max(a0 + min(max(d0, -0.5 * a0), a0), 1e-6)
    s[1] = min(max(r0 + min(max(d1, -0.3), 0.3), -RHO_MAX), RHO_MAX)
    wing = 1.0 + abs(s[1])
    cap = min(4.0 / wing, 2.0 * math.sqrt(s[0] * tau / wing)) / tau
    s[2] = min(max(b0 + min(max(d2, -0.5 * b0), b0), 1e-3 * s[0]), cap)
    return float(abs(s[0] - a0) / a0 + abs(s[1] - r0) + abs(s[2] - b0) / b0)


@njit()
def correct(slot: FloatArray, bias: FloatArray, tau: float) -> None:
    """Take a venue's bias off its quote."""
    z = slot[K] / (bias[ATM] * math.sqrt(tau))
    z = min(max(z, -Z_LIMIT), Z_LIMIT)
    slot[VOL] = max(slot[RAW] - bias[LEVEL] - bias[SLOPE] * z, 1e-4)
    slot[NOISE] = slot[RAW_NOISE] * bias[FACTOR]


@njit()
def _drift(slot: FloatArray, age_ns: float, log_f: float, cfg: FloatArray) -> float:
    moved = cfg[BETA] * (log_f - slot[LOG_F])
    return float(cfg[Q_TIME] * max(age_ns, 0.0) / NS_PER_YEAR + moved * moved)


@njit()
def _enter(slot: FloatArray, s: FloatArray, drift: float, cfg: FloatArray) -> None:
    """Linearise a slot at the slice and add it, by Tukey's loss."""
    vol, h0, h1, h2 = _model(slot[K], s[0], s[1], s[2])
    error = slot[VOL] - vol
    variance = slot[NOISE] + drift
    x = error * error / (variance * (cfg[TUKEY] * s[SCALE]) ** 2)
    weight = (1.0 - x) ** 2 / variance if x < 1.0 else 0.0
    slot[H0], slot[H1], slot[H2], slot[WEIGHT] = h0, h1, h2, weight
    slot[TARGET] = error + h0 * s[0] + h1 * s[1] + h2 * s[2]
    _add(s, h0, h1, h2, weight, slot[TARGET])


@njit()
def information(slices: FloatArray, out: FloatArray) -> None:
    """Information of each slice at its measured scale, the weak prior inside, shape (n, 3, 3)."""
    for e in range(slices.shape[0]):
        s = slices[e]
        scale = max(s[SCALE], 1.0)
        part = EQ
        for i in range(3):
            for j in range(i, 3):
                out[e, i, j] = out[e, j, i] = s[part] / (scale * scale)
                part += 1
        out[e, 0, 0] += 4.0 / (s[0] * s[0])
        out[e, 1, 1] += 4.0
        out[e, 2, 2] += 1.0 / (s[2] * s[2])


@njit()
def invert(matrices: FloatArray) -> None:
    """Invert symmetric positive definite 3 x 3 matrices in place, scaled to unit diagonals first."""
    for e in range(matrices.shape[0]):
        m = matrices[e]
        d0, d1, d2 = 1.0 / math.sqrt(m[0, 0]), 1.0 / math.sqrt(m[1, 1]), 1.0 / math.sqrt(m[2, 2])
        a, b, c = m[0, 1] * d0 * d1, m[0, 2] * d0 * d2, m[1, 2] * d1 * d2
        det = max(1.0 + 2.0 * a * b * c - a * a - b * b - c * c, 1e-15)
        m[0, 0] = (1.0 - c * c) * d0 * d0 / det
        m[1, 1] = (1.0 - b * b) * d1 * d1 / det
        m[2, 2] = (1.0 - a * a) * d2 * d2 / det
        m[0, 1] = m[1, 0] = (b * c - a) * d0 * d1 / det
        m[0, 2] = m[2, 0] = (a * c - b) * d0 * d2 / det
        m[1, 2] = m[2, 1] = (a * b - c) * d1 * d2 / det
