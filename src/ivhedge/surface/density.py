"""Risk-neutral law of X = S/F at a time to expiry: density, cumulative probability, quantiles, moments.

With w(k) the total variance, d2 = −k/√w − √w/2 and φ the normal density, the law of ln X has

    density      p(k) = g(k)·φ(d2)/√w                      (Gatheral, Jacquier 2014)
    probability  P(ln X ≤ k) = N(−d2) + φ(d2)·w'/(2√w)     (slope of the put price in the strike)

with g the butterfly factor `density_factor`. Nothing is floored: where the surface has butterfly arbitrage
the density is negative and says so.

References
----------
Breeden, Litzenberger (1978), Prices of state-contingent claims implicit in option prices.
Gatheral, Jacquier (2014), Arbitrage-free SVI volatility surfaces, section 2.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.surface.base import VolSurface
from ivhedge.surface.certificate import DifferentiableSurface, density_factor

__all__ = [
    "RiskNeutralMoments",
    "log_density",
    "probability_below",
    "quantile",
    "risk_neutral_moments",
    "smile_derivatives",
    "strike_rule",
]

_ARM_SD = 2e-3
_FIRST_REACH_SD, _STRETCHES = 8.0, 26
_NEGLIGIBLE = 9.0
"""Both |d1| and |d2| beyond this: what is left of a normal law is below 1e-18."""
_BISECTIONS = 90
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskNeutralMoments:
    """Moments of the law of X = S/F, each of shape (n,).

    `mass` and `mean` are 1 on a surface free of arbitrage up to `error`; a smile with kinks loses the mass
    that its second derivative hides. Moments are those of ln X, which always exist; the variance of X does
    not when the right wing is steep (Lee 2004).

    Parameters
    ----------
    tau : FloatArray
        Years.
    mass, mean : FloatArray
        Integral of the density, and E[X].
    log_mean, log_variance, log_skewness, log_excess_kurtosis : FloatArray
        Of ln X.
    error : FloatArray
        Largest change of mass, mean, log mean and log variance, the latter two in units of the deviation
        and of the variance, when the number of panels is halved; plus the mass and the part of the mean
        beyond the last strikes, which only a wing near Lee's limit leaves there.
    """

    tau: FloatArray
    mass: FloatArray
    mean: FloatArray
    log_mean: FloatArray
    log_variance: FloatArray
    log_skewness: FloatArray
    log_excess_kurtosis: FloatArray
    error: FloatArray


def smile_derivatives(
    surface: VolSurface, log_moneyness: ArrayLike, tau: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Total variance with its slope and curvature in log-moneyness.

    Parameters
    ----------
    surface : VolSurface
        In closed form if it is a `DifferentiableSurface`, else by five-point stencils with arms of 0.002
        standard deviations.
    log_moneyness, tau : array_like, broadcastable
        ``ln(K / F)``; years, positive.

    Returns
    -------
    (w, dw_dk, d2w_dk2) : tuple of FloatArray

    Raises
    ------
    ConfigError
        If a tau is not positive and finite.
    """
    k, years = np.broadcast_arrays(np.asarray(log_moneyness, dtype=np.float64), checked_tau(tau))
    if isinstance(surface, DifferentiableSurface):
        return surface.derivatives(k, years)
    arm = _ARM_SD * np.sqrt(surface.total_variance(np.zeros_like(k), years))
    far_left, left, centre, right, far_right = (
        np.asarray(surface.total_variance(k + step * arm, years)) for step in (-2.0, -1.0, 0.0, 1.0, 2.0)
    )
    slope = (8.0 * (right - left) - (far_right - far_left)) / (12.0 * arm)
    curvature = (16.0 * (right + left) - (far_right + far_left) - 30.0 * centre) / (12.0 * arm * arm)
    return centre, slope, curvature


def log_density(surface: VolSurface, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
    """Density of ln(S/F) under the forward measure; divide by S/F for the density of S/F.

    Parameters
    ----------
    surface : VolSurface
    log_moneyness, tau : array_like, broadcastable
        ``ln(K / F)``; years, positive.

    Raises
    ------
    ConfigError
        If a tau is not positive and finite.

    Notes
    -----
    Gatheral and Jacquier (2014), section 2. Negative exactly where there is butterfly arbitrage.
    """
    w, slope, curvature = smile_derivatives(surface, log_moneyness, tau)
    _, d2 = _d1_d2(log_moneyness, w)
    return np.asarray(density_factor(log_moneyness, w, slope, curvature) * _phi(d2) / np.sqrt(w))


def probability_below(surface: VolSurface, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
    """Risk-neutral probability that the settlement lies at or below a strike.

    Parameters
    ----------
    surface : VolSurface
    log_moneyness, tau : array_like, broadcastable
        ``ln(K / F)``; years, positive.

    Raises
    ------
    ConfigError
        If a tau is not positive and finite.

    Notes
    -----
    N(−d2) + φ(d2)·∂√w/∂k: the price of a cash digital put with its skew correction.
    """
    from scipy.special import ndtr

    w, slope, _ = smile_derivatives(surface, log_moneyness, tau)
    _, d2 = _d1_d2(log_moneyness, w)
    return np.asarray(ndtr(-d2) + _phi(d2) * 0.5 * slope / np.sqrt(w), dtype=np.float64)


def quantile(surface: VolSurface, probability: ArrayLike, tau: ArrayLike) -> FloatArray:
    """Level of S/F below which the settlement falls with a given risk-neutral probability.

    Parameters
    ----------
    surface : VolSurface
    probability, tau : array_like, broadcastable
        In (0, 1); years, positive.

    Raises
    ------
    ConfigError
        If a probability lies outside (0, 1) or a tau is not positive and finite.
    DataError
        If the surface does not reach that probability at any strike.
    """
    share, years = np.broadcast_arrays(np.asarray(probability, dtype=np.float64), checked_tau(tau))
    if not np.all((share > 0.0) & (share < 1.0)):
        raise ConfigError(f"expected probabilities in (0, 1), found {np.asarray(probability).tolist()}")
    left, right = law_reach(surface, years)
    low, high = -left, right
    outside = (probability_below(surface, low, years) > share) | (
        probability_below(surface, high, years) < share
    )
    if np.any(outside):
        raise DataError(
            f"expected a law that covers the probabilities asked for, found none for "
            f"{share[outside].ravel()[:3].tolist()}; certify the surface"
        )
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        too_low = probability_below(surface, middle, years) < share
        low = np.where(too_low, middle, low)
        high = np.where(too_low, high, middle)
    return np.asarray(np.exp(0.5 * (low + high)))


def risk_neutral_moments(surface: VolSurface, tau: ArrayLike, *, panels: int = 16) -> RiskNeutralMoments:
    """Moments of the law of S/F at some times to expiry.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, shape (n,)
        Years, positive.
    panels : int
        Panels of 16 Gauss-Legendre nodes on each side of the forward, even, >= 2.

    Raises
    ------
    ConfigError
        If a tau is not positive and finite, or `panels` is odd or too small.
    """
    years = np.atleast_1d(checked_tau(tau))
    fine, coarse = (_moments(surface, years, n) for n in (even_panels(panels), panels // 2))
    variance = fine[3]
    units = np.stack([np.ones_like(variance), np.ones_like(variance), np.sqrt(variance), variance])
    return RiskNeutralMoments(
        tau=years,
        mass=fine[0],
        mean=fine[1],
        log_mean=fine[2],
        log_variance=variance,
        log_skewness=fine[4],
        log_excess_kurtosis=fine[5],
        error=np.max(np.abs(fine[:4] - coarse[:4]) / units, axis=0) + _beyond(surface, years),
    )


def strike_rule(surface: VolSurface, tau: ArrayLike, panels: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of an integral over all log-moneyness, per time to expiry.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, shape (n,)
        Years, positive.
    panels : int
        Panels of 16 Gauss-Legendre nodes on each side of the forward.

    Returns
    -------
    (log_moneyness, weight) : tuple of FloatArray, shape (n, 32·panels)

    Notes
    -----
    k = √w(0)·sinh(x), x even: dense at the money, and out to where |d1| and |d2| exceed 9 in few nodes.
    """
    years = np.atleast_1d(checked_tau(tau))
    unit = np.sqrt(surface.total_variance(np.zeros_like(years), years))[:, None]
    offsets = (np.arange(panels)[:, None] + 0.5 + 0.5 * _NODES).ravel()
    # The sides apart: prices out of the money have a kink at the forward.
    steps = [np.arcsinh(end[:, None] / unit) / panels for end in law_reach(surface, years)]
    x = np.concatenate((-steps[0] * offsets[::-1], steps[1] * offsets), axis=1)
    per_node = 0.5 * np.tile(_WEIGHTS, panels)
    weight = np.concatenate((steps[0] * per_node[::-1], steps[1] * per_node), axis=1) * unit * np.cosh(x)
    return np.asarray(unit * np.sinh(x)), np.asarray(weight)


def checked_tau(tau: ArrayLike) -> FloatArray:
    """Years as an array, refused where not positive and finite."""
    years = np.asarray(tau, dtype=np.float64)
    if not np.all((years > 0.0) & (years < np.inf)):
        raise ConfigError(
            f"expected tau > 0 in years, found {years.tolist()}; drop expired instruments first"
        )
    return years


def law_reach(surface: VolSurface, years: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distance from the forward on each side, in log-moneyness, beyond which nothing is left of the law."""
    unit = np.sqrt(surface.total_variance(np.zeros_like(years), years))
    ends = []
    for side in (-1.0, 1.0):
        distance = _FIRST_REACH_SD * unit
        for _ in range(_STRETCHES):
            w = np.asarray(surface.total_variance(side * distance, years))
            if not (np.isfinite(w) & (w > 0.0)).all():
                raise DataError("expected positive finite total variances in the wings; certify the surface")
            d1, d2 = _d1_d2(side * distance, w)
            enough = np.minimum(np.abs(d1), np.abs(d2)) > _NEGLIGIBLE
            if enough.all():
                break
            distance = np.where(enough, distance, 1.5 * distance)
        ends.append(distance)
    return ends[0], ends[1]


def _beyond(surface: VolSurface, years: FloatArray) -> FloatArray:
    """Mass and part of the mean outside the reach: the probability and its twin under the share measure."""
    from scipy.special import ndtr

    total = np.zeros_like(years)
    for side, end in zip((-1.0, 1.0), law_reach(surface, years), strict=True):
        w, slope, _ = smile_derivatives(surface, side * end, years)
        for d in _d1_d2(side * end, w):
            total += np.abs(ndtr(side * d) - side * _phi(d) * 0.5 * slope / np.sqrt(w))
    return total


def _moments(surface: VolSurface, years: FloatArray, panels: int) -> FloatArray:
    k, weight = strike_rule(surface, years, panels)
    w, slope, curvature = smile_derivatives(surface, k, years[:, None])
    factor = weight * density_factor(k, w, slope, curvature) / np.sqrt(w)
    d1, d2 = _d1_d2(k, w)
    mass = factor * _phi(d2)
    # e^k·φ(d2) = φ(d1): no exponential that could overflow.
    mean = (factor * _phi(d1)).sum(axis=1)
    log_mean = (mass * k).sum(axis=1)
    centred = k - log_mean[:, None]
    second, third, fourth = ((mass * centred**n).sum(axis=1) for n in (2, 3, 4))
    skewness, kurtosis = third / second**1.5, fourth / second**2 - 3.0
    return np.stack([mass.sum(axis=1), mean, log_mean, second, skewness, kurtosis])


def even_panels(panels: int) -> int:
    """Number of panels, refused where odd or below 2."""
    if panels < 2 or panels % 2:
        raise ConfigError(f"expected an even number of panels >= 2, found {panels}")
    return panels


def _d1_d2(log_moneyness: ArrayLike, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    root = np.sqrt(w)
    ratio = -np.asarray(log_moneyness, dtype=np.float64) / root
    return np.asarray(ratio + 0.5 * root), np.asarray(ratio - 0.5 * root)


def _phi(x: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi))
