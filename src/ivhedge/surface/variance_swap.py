"""Fair variance: what the smile pays for realised variance, by two routes that share no formula.

A variance swap on a continuous path is worth the log contract: fair rate = E[−2·ln(S_T/F)]/tau.

1. Log-strip, `variance_swap_rate`: out-of-the-money options weighted by 1/K²,
   E[−2 ln X] = 2·∫ o(k)·e^(−k) dk, o the option price over the forward (Carr, Madan 1998; Demeterfi,
   Derman, Kamal, Zou 1999). What lies beyond the last strike is added as an exponential tail, exact in the
   limit where total variance is linear in the wing.
2. w-transform, `w_transform_variance`: E[−2 ln X] = ∫ φ(z)·w(k(z)) dz along z = d2(k) (Chriss, Morokoff 1999;
   Gatheral 2006, chapter 11). Needs vols only, no prices.

Jumps make realised variance differ from the log contract by a term of third order in the jump.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.surface.base import VolSurface
from ivhedge.surface.density import checked_tau, even_panels, strike_rule
from ivhedge.surface.quoting import log_moneyness_of_d

__all__ = [
    "VarianceSwapRate",
    "forward_variance",
    "variance_swap_rate",
    "volatility_swap_rate",
    "w_transform_variance",
]

_D2_REACH = 9.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceSwapRate:
    """Fair variance at some times to expiry, each array of shape (n,).

    Parameters
    ----------
    tau : FloatArray
        Years.
    variance : FloatArray
        Fair annualised variance; its root is the quoted strike.
    tail : FloatArray
        Share of `variance` that lies beyond the last strike integrated.
    error : FloatArray
        Estimated absolute error of `variance`: the change when the number of panels is halved, plus the
        change of the tail when its decay is read nearer to the money.
    """

    tau: FloatArray
    variance: FloatArray
    tail: FloatArray
    error: FloatArray

    @property
    def vol(self) -> FloatArray:
        """Strike in vol terms, decimal."""
        return np.asarray(np.sqrt(self.variance))


def variance_swap_rate(surface: VolSurface, tau: ArrayLike, *, panels: int = 16) -> VarianceSwapRate:
    """Fair variance from the strip of out-of-the-money options.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, shape (n,)
        Years, positive.
    panels : int
        Panels of 16 Gauss-Legendre nodes on each side of the forward, even, >= 2.

    Returns
    -------
    VarianceSwapRate

    Raises
    ------
    ConfigError
        If a tau is not positive and finite, or `panels` is odd or too small.
    DataError
        If a total variance in the wings is not positive and finite.
    """
    years = np.atleast_1d(checked_tau(tau))
    fine, coarse = (_strip(surface, years, n) for n in (even_panels(panels), panels // 2))
    ends = strike_rule(surface, years, panels)[0][:, [0, -1]]
    tail, other = (_tails(surface, years, ends, share) for share in (0.99, 0.9))
    variance = (fine + tail) / years
    return VarianceSwapRate(
        tau=years,
        variance=variance,
        tail=tail / (fine + tail),
        error=(np.abs(fine - coarse) + np.abs(tail - other)) / years,
    )


def w_transform_variance(surface: VolSurface, tau: ArrayLike, *, panels: int = 12) -> FloatArray:
    """Fair annualised variance by the w-transform, independent of option prices.

    Parameters
    ----------
    surface : VolSurface
        Without butterfly arbitrage: d2 must fall in the strike.
    tau : array_like, shape (n,)
        Years, positive.
    panels : int
        Panels of 16 Gauss-Legendre nodes on |d2| <= 9.

    Returns
    -------
    FloatArray, shape (n,)

    Raises
    ------
    ConfigError
        If a tau is not positive and finite, or a d2 within ±9 belongs to no strike within reach: the wing
        is too steep for this route.

    Notes
    -----
    Gatheral (2006), The volatility surface, chapter 11, after Chriss and Morokoff (1999).
    """
    years = np.atleast_1d(checked_tau(tau))
    step = 2.0 * _D2_REACH / panels
    z = -_D2_REACH + step * (np.arange(panels)[:, None] + 0.5 + 0.5 * _NODES).ravel()
    weight = 0.5 * step * np.tile(_WEIGHTS, panels) * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    k, found = log_moneyness_of_d(surface, years[:, None], z, sign=-1.0)
    if not found.all():
        raise ConfigError(
            f"expected a strike for every d2 within ±{_D2_REACH:g}, found none at tau "
            f"{years[~found.all(axis=1)].tolist()}; use variance_swap_rate"
        )
    return np.asarray((surface.total_variance(k, years[:, None]) * weight).sum(axis=1) / years)


def forward_variance(surface: VolSurface, taus: ArrayLike) -> FloatArray:
    """Model-free forward variance between successive times to expiry.

    Parameters
    ----------
    surface : VolSurface
    taus : array_like, shape (n,)
        Years, strictly ascending, n >= 2.

    Returns
    -------
    FloatArray, shape (n - 1,)
        Annualised variance expected from one time to the next. Never negative on a surface without calendar
        arbitrage, because −ln is convex; nothing is floored on one that has it.

    Raises
    ------
    ConfigError
        If the times do not ascend, or one is not positive and finite.
    """
    years = checked_tau(taus)
    if years.ndim != 1 or years.size < 2 or not (np.diff(years) > 0.0).all():
        raise ConfigError(f"expected at least two times in ascending order, found {years.tolist()}")
    total = years * variance_swap_rate(surface, years).variance
    return np.asarray(np.diff(total) / np.diff(years))


def volatility_swap_rate(surface: VolSurface, tau: ArrayLike) -> FloatArray:
    """Approximate strike of a volatility swap: the vol of the option without vanna, at d2 = 0.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, shape (n,)
        Years, positive.

    Returns
    -------
    FloatArray, shape (n,)
        Decimal vol.

    Raises
    ------
    ConfigError
        If a tau is not positive and finite, or no strike has d2 = 0.

    Notes
    -----
    Rolloos and Arslan (2017), Taylor-made volatility swaps: exact to first order in the correlation and in
    the vol of vol of a continuous model; jumps are not covered.
    """
    years = np.atleast_1d(checked_tau(tau))
    k, found = log_moneyness_of_d(surface, years, 0.0, sign=-1.0)
    if not found.all():
        raise ConfigError(f"expected a strike with d2 = 0, found none at tau {years[~found].tolist()}")
    return np.asarray(surface.implied_vol(k, years))


def _strip(surface: VolSurface, years: FloatArray, panels: int) -> FloatArray:
    k, weight = strike_rule(surface, years, panels)
    return np.asarray(2.0 * (weight * _integrand(surface, k, years[:, None])).sum(axis=1))


def _integrand(surface: VolSurface, k: FloatArray, years: FloatArray) -> FloatArray:
    """Out-of-the-money price over the strike: puts left of the forward, calls right of it."""
    from scipy.special import log_ndtr, ndtr

    root = np.sqrt(surface.total_variance(k, years))
    side = np.where(k < 0.0, -1.0, 1.0)
    d1 = -k / root + 0.5 * root
    # e^(−k)·N(d1) in logs: e^(−k) overflows in the left wing where N(−d1) underflows.
    return np.asarray(side * (np.exp(log_ndtr(side * d1) - k) - ndtr(side * (d1 - root))))


def _tails(surface: VolSurface, years: FloatArray, ends: FloatArray, share: float) -> FloatArray:
    # Beyond each end the integrand falls like exp(−rate·|k|), at the rate between share·end and end.
    last = _integrand(surface, ends, years[:, None])
    before = _integrand(surface, share * ends, years[:, None])
    falls = (last > 0.0) & (before > last)
    ratio = np.where(falls, before, 2.0) / np.where(falls, last, 1.0)
    rate = np.log(ratio) / ((1.0 - share) * np.abs(ends))
    return np.asarray(2.0 * np.where(falls, last / rate, 0.0).sum(axis=1))
