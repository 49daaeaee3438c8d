"""Bates (1996) option prices from the characteristic function: no simulation, no discretisation error.

Under the pricing measure, with F the forward of the expiry and v the variance state::

    dF/F = sqrt(v) dW + (e^J − 1) dN − λ k̄ dt,      J ~ N(μ, s²),  k̄ = e^{μ + s²/2} − 1
    dv   = κ (θ − v) dt + ξ sqrt(v) dZ,             dW dZ = ρ dt

Prices are undiscounted and divided by F until the last step, so one routine serves every coin.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray

__all__ = ["BatesParams", "bates_log_cf", "bates_otm_price", "bates_price", "truncation_range"]

_TAIL = 1e-14
"""Probability left outside the truncation range, at most, on either side."""
_SERIES_TAIL = 1e-14
"""Size of the first cosine term that may be left out, relative to the forward."""
_MAX_TERMS = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class BatesParams:
    """Parameters of the Bates model under the pricing measure; times in years, vols as decimals.

    Parameters
    ----------
    mean_reversion, long_variance, vol_of_vol, correlation : float
        κ, θ, ξ, ρ of the variance process.
    jump_intensity : float
        λ, jumps per year.
    jump_mean, jump_std : float
        μ and s of the normal jump of the log price.
    """

    mean_reversion: float
    long_variance: float
    vol_of_vol: float
    correlation: float
    jump_intensity: float
    jump_mean: float
    jump_std: float

    def __post_init__(self) -> None:
        if min(self.mean_reversion, self.long_variance, self.vol_of_vol) <= 0.0:
            raise ConfigError(
                "expected positive mean reversion, long variance and vol of vol, found "
                f"{self.mean_reversion}, {self.long_variance}, {self.vol_of_vol}"
            )
        if not -1.0 < self.correlation < 1.0:
            raise ConfigError(f"expected a correlation inside (-1, 1), found {self.correlation}")
        if min(self.jump_intensity, self.jump_std) < 0.0 or not np.isfinite(self.jump_mean):
            raise ConfigError(
                "expected a jump intensity and a jump std at or above 0 and a finite jump mean, found "
                f"{self.jump_intensity}, {self.jump_std}, {self.jump_mean}"
            )

    @property
    def jump_variance(self) -> float:
        """Variance per year that the jumps add, λ (μ² + s²)."""
        return self.jump_intensity * (self.jump_mean**2 + self.jump_std**2)


def bates_log_cf(u: ArrayLike, tau: float, variance: float, params: BatesParams) -> np.ndarray:
    """Logarithm of the characteristic function of ln(F_T / F_0).

    Parameters
    ----------
    u : complex array_like, shape (n,)
        Argument; ``u = -1j * p`` gives the logarithm of the moment E[(F_T/F_0)^p].
    tau : float
        Years to expiry.
    variance : float
        Variance state v now, per year.
    params : BatesParams

    Returns
    -------
    complex array, shape (n,)

    Notes
    -----
    The "little trap" form, whose logarithm never crosses its branch cut, multiplied through by β + d so
    that nothing cancels: ``β − d = −ξ²(iu + u²)/(β + d)``, ``log1p`` and ``expm1`` for short times.

    References
    ----------
    Albrecher, Mayer, Schoutens and Tistaert (2007), The little Heston trap, second formula.
    Bates (1996), for the jump term.
    """
    u_array = np.asarray(u, dtype=np.complex128)
    iu = 1j * u_array
    xi2 = params.vol_of_vol**2
    quadratic = iu + u_array * u_array
    beta = params.mean_reversion - params.correlation * params.vol_of_vol * iu
    d = np.sqrt(beta * beta + xi2 * quadratic)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(beta.real >= 0.0, -xi2 * quadratic / (beta + d), beta - d)
    decay = -np.expm1(-d * tau)
    state = -quadratic * decay / (2.0 * d + gap * decay)
    log_term = np.log1p(gap * decay / (2.0 * d))
    level = params.mean_reversion * params.long_variance / xi2 * (gap * tau - 2.0 * log_term)
    mean, std = params.jump_mean, params.jump_std
    compensator = np.expm1(mean + 0.5 * std * std)
    jumps = np.expm1(iu * mean - 0.5 * std * std * u_array * u_array) - iu * compensator
    result: np.ndarray = level + state * variance + params.jump_intensity * tau * jumps
    return result


_POWERS = np.concatenate([sign * np.geomspace(0.02, 2e4, 44) for sign in (-1.0, 1.0)])
_PROBES = np.geomspace(1.0, 4e8, 92)
_ARGUMENTS = np.concatenate([-1j * _POWERS, _PROBES + 0j])


@lru_cache(maxsize=64)
def _explosion_times(params: BatesParams) -> FloatArray:
    # Andersen and Piterbarg (2007), proposition 3.1: the times at which the moments become infinite.
    p = _POWERS
    chi = params.correlation * params.vol_of_vol * p - params.mean_reversion
    discriminant = chi * chi - params.vol_of_vol**2 * (p * p - p)
    real = np.sqrt(np.maximum(discriminant, 0.0))
    imaginary = np.sqrt(np.maximum(-discriminant, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.log((chi + real) / (chi - real)) / real
        turning = 2.0 * (np.arctan(imaginary / chi) + np.pi * (chi < 0.0)) / imaginary
    stable = ((discriminant >= 0.0) & (chi < 0.0)) | ((p >= 0.0) & (p <= 1.0))
    return np.where(stable, np.inf, np.where(discriminant >= 0.0, rising, turning))


def _survey(tau: float, variance: float, params: BatesParams) -> tuple[float, float, float]:
    # Where the density ends on both sides, and the frequency beyond which nothing is left of the cf.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        log_size = bates_log_cf(_ARGUMENTS, tau, variance, params).real
    log_moment, log_cf = log_size[: _POWERS.size], log_size[_POWERS.size :]
    bound = (log_moment - np.log(_TAIL)) / np.abs(_POWERS)
    bound[~np.isfinite(bound) | (_explosion_times(params) <= 1.0001 * tau)] = np.inf
    half = _POWERS.size // 2
    large = np.flatnonzero(log_cf - np.log(_PROBES) > np.log(_SERIES_TAIL))
    last = 0 if large.size == 0 else int(large[-1]) + 1
    highest = float(_PROBES[last]) if last < _PROBES.size else np.inf
    return -float(bound[:half].min()), float(bound[half:].min()), highest


def truncation_range(tau: float, variance: float, params: BatesParams) -> tuple[float, float]:
    """Interval of ln(F_T/F_0) outside which at most 1e-14 of probability lies on each side.

    Parameters
    ----------
    tau, variance : float
        Years to expiry and variance state.
    params : BatesParams

    Returns
    -------
    lower, upper : float

    Notes
    -----
    Chernoff's bound P(x > b) ≤ E[e^{px}] e^{-pb}, minimised over the moments p that are finite at `tau`
    (Andersen and Piterbarg 2007, proposition 3.1). Unlike a rule in cumulants it is a bound, also for
    half-day expiries whose tails are made of jumps.
    """
    return _survey(tau, variance, params)[:2]


def _series_length(width: float, highest: float, tau: float, variance: float) -> int:
    terms = highest * width / np.pi + 2.0
    if not terms <= _MAX_TERMS:
        raise DataError(
            f"tau {tau:.3g} with variance {variance:.3g} needs {terms:.3g} cosine terms, more than "
            f"{_MAX_TERMS}; price options with at least a few seconds of life only"
        )
    return max(int(terms), 16)


def _trigonometric_sum(angle: FloatArray, coefficients: np.ndarray) -> FloatArray:
    # Re Σ_{j=1}^{n} c_j e^{i j angle}, with j = R q + r: about 2 sqrt(n) exponentials per angle instead of n.
    radix = int(np.ceil(np.sqrt(coefficients.size + 1)))
    blocks = -(-(coefficients.size + 1) // radix)
    padded = np.zeros(blocks * radix, dtype=np.complex128)
    padded[1 : coefficients.size + 1] = coefficients
    table = padded.reshape(blocks, radix).T
    low = np.exp(1j * np.multiply.outer(angle, np.arange(radix)))
    high = np.exp(1j * np.multiply.outer(angle, radix * np.arange(blocks)))
    return np.asarray(np.einsum("kq,kq->k", low @ table, high).real, dtype=np.float64)


def _normalised_put(k: FloatArray, tau: float, variance: float, params: BatesParams) -> FloatArray:
    # E[(e^k − e^x)^+] by the cosine series of Fang and Oosterlee (2008), equations 20-25, with the two
    # payoff integrals over [a, k] written out.
    lower, upper, highest = _survey(tau, variance, params)
    width = upper - lower
    terms = _series_length(width, highest, tau, variance)
    u = np.arange(1, terms) * (np.pi / width)
    density = np.exp(bates_log_cf(u, tau, variance, params) - 1j * u * lower).real * (2.0 / width)
    cosine = density / (1.0 + u * u)
    constant = np.exp(lower) * np.sum(cosine)
    inside = np.clip(k, lower, upper)
    series = _trigonometric_sum((inside - lower) * (np.pi / width), -cosine - 1j * (cosine / u))
    weight = np.exp(inside)
    mass = (weight * (inside - lower) - (weight - np.exp(lower))) / width
    put = mass + weight * series + constant
    intrinsic = -np.expm1(-np.maximum(k, 0.0)) * np.exp(np.maximum(k, 0.0))
    put = np.where(k <= lower, 0.0, np.where(k >= upper, intrinsic, put))
    return np.asarray(np.maximum(put, intrinsic), dtype=np.float64)


def bates_otm_price(
    forward: ArrayLike, strike: ArrayLike, tau: ArrayLike, variance: ArrayLike, params: BatesParams
) -> FloatArray:
    """Undiscounted price of the out-of-the-money option: put below the forward, call at and above it.

    Parameters
    ----------
    forward, strike, tau, variance : array_like, broadcastable
        USD, USD, years, variance state per year. Items that share (tau, variance) share one
        characteristic function.
    params : BatesParams

    Returns
    -------
    FloatArray
        USD, broadcast shape; absolute error below 1e-12 of the forward.

    Raises
    ------
    DataError
        If an input is not finite, a forward, strike or tau not positive, or a variance negative.
    """
    arrays = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (forward, strike, tau, variance)))
    shape = arrays[0].shape
    f, strikes, taus, variances = (x.ravel() for x in arrays)
    _check(f, strikes, taus, variances)
    k = np.log(strikes / f)
    pairs, group = np.unique(taus + 1j * variances, return_inverse=True)
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(pairs.size + 1))
    put = np.empty_like(k)
    for index, pair in enumerate(pairs):
        rows = order[bounds[index] : bounds[index + 1]]
        put[rows] = _normalised_put(k[rows], float(pair.real), float(pair.imag), params)
    otm = np.where(k < 0.0, put, np.maximum(put - np.expm1(k), 0.0))
    return np.asarray((otm * f).reshape(shape), dtype=np.float64)


def bates_price(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    variance: ArrayLike,
    is_call: ArrayLike,
    params: BatesParams,
) -> FloatArray:
    """Undiscounted call or put price, USD; the out-of-the-money price plus intrinsic value.

    Parameters
    ----------
    forward, strike, tau, variance, params
        As in `bates_otm_price`.
    is_call : boolean array_like

    Returns
    -------
    FloatArray
        USD, broadcast shape.

    Raises
    ------
    DataError
        As in `bates_otm_price`.
    """
    f, strikes = np.asarray(forward, dtype=np.float64), np.asarray(strike, dtype=np.float64)
    calls: BoolArray = np.asarray(is_call, dtype=np.bool_)
    intrinsic = np.maximum(np.where(calls, f - strikes, strikes - f), 0.0)
    return np.asarray(bates_otm_price(f, strikes, tau, variance, params) + intrinsic, dtype=np.float64)


def _check(forward: FloatArray, strike: FloatArray, tau: FloatArray, variance: FloatArray) -> None:
    for name, values, lowest in (("forward", forward, 0.0), ("strike", strike, 0.0), ("tau", tau, 0.0)):
        bad = ~(np.isfinite(values) & (values > lowest))
        if bad.any():
            raise DataError(
                f"expected a positive, finite {name}, found {values[bad][0]} in {int(bad.sum())} items"
            )
    bad = ~(np.isfinite(variance) & (variance >= 0.0))
    if bad.any():
        raise DataError(f"expected a variance at or above 0, found {variance[bad][0]}")
