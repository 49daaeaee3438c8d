"""Far wings of a pair of neighbouring expiries: why the later price is higher at every strike beyond one.

With x = |k|, all for the strikes of one side beyond x = K:

* Kernels, upper bound. A price out of the money is the integral of y·N(±d2) over log-strikes further out, a
  tail of a log-concave function, hence log-concave in x (Prékopa): B(x) <= B(K)·exp(-h·(x - K)), with the
  hazard h = q/p at K.
* Backbone, lower bound. Where w <= 2x, vega rises with total vol, so b2 - b1 >= (s2 - s1)·vega(s1).
  - s2 - s1 >= R/(2·s2), where R <= w2 - w1 follows the path that raises (a, b) at a constant psi/theta, then
    theta alone: R = (a2 - a1)(x + 1/phi1)/2 + (b2 - b1)·a1²/(2·phi1·(a2 + b2)²·(phi1·x + 1))
    + (1 + rho2)(theta2 - psi2/phi1)/2 for phi1·x >= 1 (a is the side's own parameter, b the other's; on the
    left swap them and the sign of rho). The terms are lower bounds of the integrals of dw/da, dw/db and
    dw/dtheta. R falls at most at the rate phi1/(phi1·K + 1).
  - s2: w2 is convex with slope up to a2/2, so 1/s2 falls at most at the rate a2/(4·w2(K)).
  - vega = φ(d1): its exponent E = (x ∓ w/2)²/(2w) has E' = u - u²w'/2 ∓ 1/2 + w'/8, u = x/w. As w is convex
    with an asymptote of positive intercept, u rises to 2/a and w' to a/2; with u >= 1/2 the largest E' is
    that of u = 2/a and w' = w'(K).

So the inequality (1 - mix)·ΣB(K) <= mix·R/(2·s2)·vega holds beyond K if it holds at K and every hazard is at
least the sum of the three rates. Where it does not, a single later kernel may dominate: if it is at least as
wide as every earlier one and the ratio of densities rises from K on, then so does the ratio of prices
(tails of tails of functions with a monotone ratio), and it is enough to compare at K.
"""

import math

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import njit
from ivhedge.surface.flexible._mixture import LOG_SQRT_2PI, kernel_level, kernel_terms, stable_variance

__all__ = ["BACKBONE", "KERNEL", "OPEN", "wing_need"]

OPEN, BACKBONE, KERNEL = 0, 1, 2
"""Which argument holds: none, the backbone's rise, a wide later kernel."""
SURE = 1e-9
"""Relative margin on both sides of each inequality, far above the rounding of its terms."""


@njit()
def least_variance_rise(
    x: float, theta1: float, phi1: float, a1: float, b1: float, theta2: float, a2: float, b2: float
) -> float:
    """Lower bound R of the rise of total variance of ordered slices at a distance x; `a` is of that side."""
    psi2 = 0.5 * (a2 + b2)
    rise = 0.5 * max(a2 - a1, 0.0) * (x + 1.0 / phi1)
    rise += 0.5 * (a2 / psi2) * max(theta2 - psi2 / phi1, 0.0)
    if phi1 * x >= 1.0:
        share = a1 / (a2 + b2)
        rise += 0.5 * max(b2 - b1, 0.0) * share * share / (phi1 * (phi1 * x + 1.0))
    return rise


@njit()
def wing_need(
    side: float, x: float, mix: float,
    slice1: FloatArray, slice2: FloatArray,
    log_weight1: FloatArray, centre1: FloatArray, width1: FloatArray,
    log_weight2: FloatArray, centre2: FloatArray, width2: FloatArray,
) -> tuple[float, int]:  # fmt: skip
    """Share of the backbone from which the wing beyond x on a side (-1 or 1) is safe, and why."""
    k = side * x
    theta1, rho1, psi1 = slice1[0], slice1[1], slice1[2]
    theta2, rho2, psi2 = slice2[0], slice2[1], slice2[2]
    phi1 = psi1 / theta1
    a1, b1 = psi1 * (1.0 + side * rho1), psi1 * (1.0 - side * rho1)
    a2, b2 = psi2 * (1.0 + side * rho2), psi2 * (1.0 - side * rho2)
    z1, z2 = psi1 * k, psi2 * k
    root1 = math.sqrt((z1 + rho1 * theta1) ** 2 + theta1 * theta1 * (1.0 - rho1 * rho1))
    root2 = math.sqrt((z2 + rho2 * theta2) ** 2 + theta2 * theta2 * (1.0 - rho2 * rho2))
    w1 = stable_variance(theta1 + rho1 * z1, root1, z1, rho1)
    w2 = stable_variance(theta2 + rho2 * z2, root2, z2, rho2)
    slope1 = side * 0.5 * psi1 * (rho1 + (z1 + rho1 * theta1) / root1)

    top = -math.inf
    for j in range(width1.size):
        top = max(top, kernel_level(k, log_weight1[j], centre1[j], width1[j], 1.0 / width1[j]))
    if not top > -math.inf:
        # Below every number, but not nothing.
        return 1.0, OPEN
    strike = math.exp(min(k, 700.0))
    total, least_hazard = 0.0, math.inf
    widest = 0.0
    for j in range(width1.size):
        if log_weight1[j] > -math.inf:
            s = width1[j]
            # The hazard of a kernel does not depend on its weight; its own level keeps it from vanishing.
            level = kernel_level(k, 0.0, centre1[j], s, 1.0 / s)
            own = math.exp(min(-level, 700.0))
            p, q, _ = kernel_terms(
                k, level, strike, own, 0.0, centre1[j], s, 1.0 / s, 1.0, math.exp(centre1[j])
            )
            total += p * math.exp(log_weight1[j] + level - top)
            least_hazard = min(least_hazard, q / p)
            widest = max(widest, s)

    # A later kernel that dominates all earlier ones from here on.
    for i in range(width2.size):
        s = width2[i]
        if s < widest or not log_weight2[i] > -math.inf:
            continue
        # How fast densities fall outwards, and the size of the terms, of which the difference may be small.
        lead = side * (k - centre2[i] + 0.5 * s * s) / (s * s)
        size = (x + abs(centre2[i]) + s * s) / (s * s)
        ordered = True
        for j in range(width1.size):
            if log_weight1[j] > -math.inf:
                v = width1[j] * width1[j]
                mine = side * (k - centre1[j] + 0.5 * v) / v
                ordered = ordered and mine >= lead + SURE * (size + (x + abs(centre1[j]) + v) / v)
        if ordered:
            level = kernel_level(k, 0.0, centre2[i], s, 1.0 / s)
            own = math.exp(min(-level, 700.0))
            p, _, _ = kernel_terms(
                k, level, strike, own, 0.0, centre2[i], s, 1.0 / s, 1.0, math.exp(centre2[i])
            )
            # Exponents are exact to some 1e-16 of their size.
            if log_weight2[i] + level + math.log(p) >= top + math.log(total) + SURE * (1.0 - 1e-3 * level):
                return 0.0, KERNEL

    if not (w1 <= 2.0 * x and w2 <= 2.0 * x and a1 > 0.0 and a2 < 4.0):
        return 1.0, OPEN
    rise = least_variance_rise(x, theta1, phi1, a1, b1, theta2, a2, b2)
    rate = (2.0 / a1) * (1.0 - slope1 / a1) - side * 0.5 + 0.125 * slope1
    rate += 0.25 * a2 / w2 + phi1 / (phi1 * x + 1.0)
    if not (rise > 0.0 and least_hazard >= rate * (1.0 + SURE) + SURE):
        return 1.0, OPEN
    d1 = -k / math.sqrt(w1) + 0.5 * math.sqrt(w1)
    depth = 0.5 * d1 * d1
    floor = math.log(0.5 * rise / math.sqrt(w2)) - depth - LOG_SQRT_2PI - SURE * (1.0 + 1e-3 * depth)
    excess = top + math.log(total) + SURE * (1.0 + 1e-3 * abs(top)) - floor
    # mix·floor >= (1 - mix)·total.
    return 1.0 / (1.0 + math.exp(min(-excess, 700.0))), BACKBONE
