"""Butterfly arbitrage of a raw SVI slice, decided exactly, and its repair.

With (k − m)/σ = (s − 1/s)/2, s > 0, total variance and its derivatives are rational in s, and
g(k) = P(s) / (16(s² + 1)³W(s)²) with a polynomial P of degree 10 and w = W/(2s):

    q = s² + 1,  W = 2as + bσ(ρ(s² − 1) + s² + 1),  D = b(ρq + s² − 1),  K = 2ms + σ(s² − 1)
    P = 4q(2Wq − KD)² − qD²(8sW + W²) + 64(b/σ)W²s³

So the smile is free of butterfly arbitrage for all strikes when w > 0, P has no root on (0, ∞), is positive
at s = 1, and both wing slopes are below 2. Floats are rational numbers: Sturm's theorem in exact
arithmetic counts the roots without any rounding. The domain is that of Martini and Mingone (2022), less its
boundary.

References
----------
Gatheral, Jacquier (2014), Arbitrage-free SVI volatility surfaces, lemma 2.2.
Martini, Mingone (2022), No arbitrage SVI, SIAM Journal on Financial Mathematics 13(1) (arXiv 2005.03340).
Lee (2004), The moment formula for implied volatility at extreme strikes.
"""

from collections.abc import Callable
from dataclasses import astuple, fields
from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm

import numpy as np

from ivhedge.core.errors import ArbitrageError, ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.surface.certificate import density_factor
from ivhedge.surface.models.report import ArbitrageReport
from ivhedge.surface.models.svi import JumpWingSvi, RawSvi

__all__ = ["repair_svi", "svi_arbitrage"]

Polynomial = list[Fraction]
Integers = list[int]
_SLOPE_LIMIT = 2
_MIX_STEPS = 14


def svi_arbitrage(slice_: RawSvi) -> ArbitrageReport:
    """Decide whether a raw SVI slice has butterfly arbitrage at any strike.

    Returns
    -------
    ArbitrageReport
        `free` and `proven` are exact for the parameters as floats. A slice exactly on the edge (a density
        that touches zero, a wing slope of exactly 2) counts as not free. `min_density` and where it is are
        numerical.

    Examples
    --------
    Axel Vogt's slice (Gatheral, Jacquier 2014, example 3.1):

    >>> vogt = RawSvi(a=-0.0410, b=0.1331, m=0.3586, rho=0.3060, sigma=0.4153, tau=1.0)
    >>> svi_arbitrage(vogt).free
    False
    """
    violations = []
    b, rho = Fraction(slice_.b), Fraction(slice_.rho)
    right, left = b * (1 + rho), b * (1 - rho)
    if right >= _SLOPE_LIMIT or left >= _SLOPE_LIMIT:
        steepest = float(max(right, left))
        violations.append(f"a wing slope of {steepest:.6g} is not below 2 (Lee's bound)")
    if not _variance_is_positive(slice_):
        violations.append("the smallest total variance is not above 0")
    polynomial = _density_numerator(slice_)
    roots = _roots_on_positive_axis(polynomial)
    density, where = _smallest_density(slice_, polynomial)
    if roots or sum(polynomial) <= 0:
        violations.append(f"the density is negative or zero: g({where:.4g}) = {density:.4g}")
    below, above = _edges(slice_, polynomial) if roots else (None, None)
    return ArbitrageReport(
        free=not violations,
        proven=not violations,
        min_density=density,
        at_log_moneyness=where,
        min_variance=slice_.min_variance,
        left_slope=float(left),
        right_slope=float(right),
        checked_from=float("-inf"),
        checked_to=float("inf"),
        negative_below=below,
        negative_above=above,
        violations=tuple(violations),
    )


def _variance_is_positive(slice_: RawSvi) -> bool:
    a, b, rho, sigma = (Fraction(x) for x in (slice_.a, slice_.b, slice_.rho, slice_.sigma))
    return a > 0 or (a < 0 and a * a < b * b * sigma * sigma * (1 - rho * rho)) or (a == 0 and b > 0)


def _density_numerator(slice_: RawSvi) -> Polynomial:
    """Coefficients of P by ascending power."""
    a, b, rho, m, sigma = (Fraction(x) for x in (slice_.a, slice_.b, slice_.rho, slice_.m, slice_.sigma))
    one = Fraction(1)
    q = [one, Fraction(0), one]
    w = [b * sigma * (1 - rho), 2 * a, b * sigma * (1 + rho)]
    d = [b * (rho - 1), Fraction(0), b * (rho + 1)]
    k = [-sigma, 2 * m, sigma]
    tilt = _add(_times([Fraction(2)], w, q), _times([Fraction(-1)], k, d))
    squared = _times(w, w)
    first = _times([Fraction(4)], q, tilt, tilt)
    second = _times([Fraction(-1)], q, d, d, _add(_times([Fraction(0), Fraction(8)], w), squared))
    third = _times([Fraction(0)] * 3 + [64 * b / sigma], squared)
    return _add(_add(first, second), third)


def _add(left: Polynomial, right: Polynomial) -> Polynomial:
    size = max(len(left), len(right))
    zero = Fraction(0)
    return [
        (left[i] if i < len(left) else zero) + (right[i] if i < len(right) else zero) for i in range(size)
    ]


def _times(*factors: Polynomial) -> Polynomial:
    product = [Fraction(1)]
    for factor in factors:
        grown = [Fraction(0)] * (len(product) + len(factor) - 1)
        for i, x in enumerate(product):
            for j, y in enumerate(factor):
                grown[i + j] += x * y
        product = grown
    return product


def _roots_on_positive_axis(polynomial: Polynomial) -> int:
    """Number of distinct roots on (0, ∞), by Sturm's theorem in integers."""
    chain = [_primitive(_trimmed(_integers(polynomial)))]
    while chain[0] and chain[0][0] == 0:
        # Roots at s = 0 lie outside the open axis.
        chain[0] = chain[0][1:]
    if len(chain[0]) <= 1:
        return 0
    chain.append(_primitive([i * c for i, c in enumerate(chain[0])][1:]))
    while True:
        rest = _primitive([-c for c in _remainder(chain[-2], chain[-1])])
        if not rest:
            break
        chain.append(rest)
    return _sign_changes([p[0] for p in chain]) - _sign_changes([p[-1] for p in chain])


def _integers(polynomial: Polynomial) -> Integers:
    common = lcm(*(c.denominator for c in polynomial))
    return [int(c * common) for c in polynomial]


def _trimmed(polynomial: Integers) -> Integers:
    size = len(polynomial)
    while size and polynomial[size - 1] == 0:
        size -= 1
    return polynomial[:size]


def _primitive(polynomial: Integers) -> Integers:
    content = gcd(*polynomial) if polynomial else 1
    return [c // content for c in polynomial] if content > 1 else polynomial


def _remainder(dividend: Integers, divisor: Integers) -> Integers:
    """Remainder of polynomials up to a positive factor."""
    rest, lead = list(dividend), divisor[-1]
    while len(rest) >= len(divisor):
        top, shift = rest[-1], len(rest) - len(divisor)
        # Multiplying by |lead| keeps the signs that Sturm's chain lives on.
        rest = [abs(lead) * c for c in rest]
        factor = top if lead > 0 else -top
        for i, c in enumerate(divisor):
            rest[shift + i] -= factor * c
        rest = _primitive(_trimmed(rest))
    return rest


def _sign_changes(values: Integers) -> int:
    signs = [v > 0 for v in values if v != 0]
    return sum(x != y for x, y in pairwise(signs))


def _smallest_density(slice_: RawSvi, polynomial: Polynomial) -> tuple[float, float]:
    """Smallest g and its log-moneyness: at stationary points of g, or in a wing."""
    scale = max(abs(c) for c in polynomial)
    p = np.polynomial.Polynomial([float(c / scale) for c in polynomial])
    b, rho, sigma = slice_.b, slice_.rho, slice_.sigma
    w = np.polynomial.Polynomial([b * sigma * (1.0 - rho), 2.0 * slice_.a, b * sigma * (1.0 + rho)])
    w = w / np.max(np.abs(w.coef))
    q = np.polynomial.Polynomial([1.0, 0.0, 1.0])
    s_axis = np.polynomial.Polynomial([0.0, 1.0])
    stationary = (p.deriv() * q * w - p * (6.0 * s_axis * w + 2.0 * q * w.deriv())).roots()
    roots = stationary[np.abs(stationary.imag) < 1e-3 * np.abs(stationary)].real
    # A scan beside the roots: clustered roots of a polynomial of degree 13 lose digits.
    s = np.concatenate((roots[(roots > 1e-12) & (roots < 1e12)], np.geomspace(1e-4, 1e4, 801)))
    k = slice_.m + slice_.sigma * 0.5 * (s - 1.0 / s)
    g = density_factor(k, *slice_.derivatives(k))
    best = int(np.argmin(g))
    candidates = [
        (float(g[best]), float(k[best])),
        (0.25 * (1.0 - 0.25 * (b * (1.0 + rho)) ** 2), float("inf")),
        (0.25 * (1.0 - 0.25 * (b * (1.0 - rho)) ** 2), float("-inf")),
    ]
    return min(candidates) if b > 0.0 else candidates[0]


def _edges(slice_: RawSvi, polynomial: Polynomial) -> tuple[float | None, float | None]:
    """Roots of the density nearest to the money on either side."""
    scale = max(abs(c) for c in polynomial)
    roots = np.polynomial.Polynomial([float(c / scale) for c in polynomial]).roots()
    s = roots[(np.abs(roots.imag) < 1e-6 * np.abs(roots)) & (roots.real > 0.0)].real
    k = slice_.m + slice_.sigma * 0.5 * (s - 1.0 / s)
    below, above = k[k < 0.0], k[k >= 0.0]
    return (float(below.max()) if below.size else None), (float(above.min()) if above.size else None)


def repair_svi(slice_: RawSvi) -> RawSvi:
    """Bring a slice to the edge of the arbitrage-free domain; a free one is returned as it is.

    Returns
    -------
    RawSvi
        Proven free of butterfly arbitrage.

    Raises
    ------
    ArbitrageError
        If no anchor can be represented in floats: total variance at the money below 1e-280 or above 1e280.

    Notes
    -----
    Anchors are SSVI slices with the slice's variance at the money and, as far as they can, its skew there and
    its put slope, its call slope or its mean slope (Gatheral and Jacquier 2014, section 5.1); their steepness
    is capped by the sufficient conditions of theorem 4.2 with a margin, so they are free by theorem. On the
    straight line from the slice to each, in jump wings where these determine the slice, bisection finds the
    nearest point that the exact check proves free; of the results the one nearest in vol is returned.
    """
    if svi_arbitrage(slice_).free:
        return slice_
    repaired = [_towards(slice_, anchor) for anchor in _anchors(slice_) if svi_arbitrage(anchor).free]
    if not repaired:
        raise ArbitrageError(f"expected a repairable slice, found {slice_}; its numbers are out of range")
    k = np.linspace(-2.5, 2.5, 41) * float(np.sqrt(slice_.derivatives(0.0)[0]))
    wanted = slice_.implied_vol(k)
    return min(repaired, key=lambda trial: float(np.sum((trial.implied_vol(k) - wanted) ** 2)))


def _towards(slice_: RawSvi, anchor: RawSvi) -> RawSvi:
    """The nearest slice found free on the way to a free anchor."""
    path = _path(slice_, anchor)
    low, high = 0.0, 1.0
    for _ in range(_MIX_STEPS):
        share = 0.5 * (low + high)
        low, high = (low, share) if _seems_free(path(share)) else (share, high)
    # Exact arithmetic has the last word.
    while high < 1.0:
        trial = path(high)
        if svi_arbitrage(trial).free:
            return trial
        high = min(1.0, high + max(0.1 * (1.0 - high), 1e-3))
    return anchor


def _path(slice_: RawSvi, anchor: RawSvi) -> Callable[[float], RawSvi]:
    """Slices from one to the other: by jump wings, which keep vol and skew at the money, else by box."""
    try:
        first, last = slice_.jump_wings(), anchor.jump_wings()
        first.raw(), last.raw()
    except ConfigError:
        start, end = box_coordinates(slice_), box_coordinates(anchor)
        return lambda share: slice_from((1.0 - share) * start + share * end, slice_.tau)
    start, end = np.array(astuple(first)), np.array(astuple(last))
    names = [field.name for field in fields(first)]

    def wings(share: float) -> RawSvi:
        mixed = (1.0 - share) * start + share * end
        return JumpWingSvi(**dict(zip(names, mixed.tolist(), strict=True))).raw()

    return wings


def _seems_free(slice_: RawSvi) -> bool:
    """A scan in floats: fast, and right but for the last digits."""
    if slice_.b * (1.0 + abs(slice_.rho)) >= _SLOPE_LIMIT:
        return False
    k = slice_.m + slice_.sigma * np.sinh(np.linspace(-9.0, 9.0, 721))
    with np.errstate(divide="ignore", invalid="ignore"):
        return bool((density_factor(k, *slice_.derivatives(k)) > 0.0).all())


def _anchors(slice_: RawSvi) -> list[RawSvi]:
    theta, slope, _ = (float(x) for x in slice_.derivatives(0.0))
    theta = float(np.clip(theta, 1e-280, 1e280))
    put, call = slice_.b * (1.0 - slice_.rho), slice_.b * (1.0 + slice_.rho)
    # In SSVI the difference of the wing slopes is twice the slope at the money.
    wings = [(put, put + 2.0 * slope), (call - 2.0 * slope, call)]
    wings.append((max(slice_.b - slope, 0.0), max(slice_.b + slope, 0.0)))
    return [_ssvi(theta, *pair, slice_.tau) for pair in wings]


def _ssvi(theta: float, put: float, call: float, tau: float) -> RawSvi:
    steepness = max(put + call, 1e-6 * float(np.sqrt(theta)))
    rho = float(np.clip((call - put) / steepness, -0.95, 0.95))
    wing = 1.0 + abs(rho)
    psi = min(steepness, 0.99 * 4.0 / wing, 0.99 * 2.0 * float(np.sqrt(theta / wing)))
    root = float(np.sqrt((1.0 - rho) * (1.0 + rho)))
    return RawSvi(
        a=0.5 * theta * root * root,
        b=0.5 * psi,
        rho=rho,
        m=-rho * theta / psi,
        sigma=root * theta / psi,
        tau=tau,
    )


def box_coordinates(slice_: RawSvi) -> FloatArray:
    """Smallest variance, put and call wing slope, centre and width: a box holds every valid slice."""
    put, call = slice_.b * (1.0 - slice_.rho), slice_.b * (1.0 + slice_.rho)
    return np.array([slice_.min_variance, put, call, slice_.m, slice_.sigma])


def slice_from(box: FloatArray, tau: float) -> RawSvi:
    """The slice of box coordinates."""
    lowest, put, call, m, sigma = (float(x) for x in box)
    return RawSvi(
        a=lowest - sigma * float(np.sqrt(put * call)),
        b=0.5 * (put + call),
        rho=(call - put) / (call + put) if put + call > 0.0 else 0.0,
        m=m,
        sigma=sigma,
        tau=tau,
    )
