"""Heston's stochastic variance by characteristic function.

    dS/S = √v dW,  dv = κ(θ − v) dt + ξ√v dB,  d⟨W, B⟩ = ρ dt

With β = κ − ρξz, P = z − z², d = √(β² + ξ²P), E = e^(−dτ) and Q = β(1 − E) + d(1 + E):

    ln E[e^(zX)] = (κθ/ξ²)·((β − d)τ − 2 ln(Q/(2d))) − v₀·P·(1 − E)/Q

This is the "little trap" form (no jump of the logarithm), written so that nothing cancels as ξ → 0:
β − d = −ξ²P/(β + d), and ln(Q/(2d)) by log1p.

References
----------
Heston (1993), A closed-form solution for options with stochastic volatility.
Albrecher, Mayer, Schoutens, Tistaert (2007), The little Heston trap.
Cui, del Baño Rollin, Germano (2017), Full and fast calibration of the Heston stochastic volatility model
(derivatives of the characteristic function; here by the chain rule on the form above).
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ivhedge.core.types import ArrayLike, FloatArray, StatusArray
from ivhedge.surface.models._checks import require_params
from ivhedge.surface.models._fourier import model_prices, model_vols, required_vols

__all__ = ["HestonModel"]

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class HestonModel:
    """Heston parameters, per year.

    Parameters
    ----------
    v0, theta : float
        Variance now and in the long run (vol²).
    kappa : float
        Speed of mean reversion.
    xi : float
        Vol of variance.
    rho : float
        Correlation of returns and variance.

    Raises
    ------
    ConfigError
        If v0 > 0, kappa > 0, theta > 0, xi > 0 or |rho| < 1 is violated; Feller's condition is not asked.
    """

    v0: float
    kappa: float
    theta: float
    xi: float
    rho: float

    def __post_init__(self) -> None:
        require_params("Heston", asdict(self), heston_conditions(self))

    @property
    def feller_ratio(self) -> float:
        """2κθ/ξ²; below 1 the variance reaches zero."""
        return 2.0 * self.kappa * self.theta / self.xi**2

    def expected_variance(self, tau: float) -> float:
        """Expected integrated variance to `tau`."""
        share = -np.expm1(-self.kappa * tau) / self.kappa
        return float(self.theta * tau + (self.v0 - self.theta) * share)

    def log_characteristic(
        self, z: ComplexArray, tau: float, *, gradient: bool = False
    ) -> tuple[ComplexArray, ComplexArray]:
        """Logarithm of E[e^(zX)], shape (n,), and by (v0, kappa, theta, xi, rho), shape (5, n) or (0, n)."""
        return heston_log_characteristic(self, z, tau, gradient=gradient)

    def price(self, log_moneyness: ArrayLike, tau: ArrayLike, is_call: ArrayLike) -> FloatArray:
        """Undiscounted prices relative to the forward, to 1e-10; arguments broadcast."""
        return model_prices(self, log_moneyness, tau, is_call)

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Implied vol, decimal.

        Raises
        ------
        DataError
            If a point is out of range, or its out-of-the-money price is below 1e-11 of the forward.
        """
        return required_vols(self, log_moneyness, tau)

    def vols_with_status(self, log_moneyness: ArrayLike, tau: ArrayLike) -> tuple[FloatArray, StatusArray]:
        """Implied vols with an `IvStatus` per point; NaN exactly where it is not ``OK``."""
        return model_vols(self, log_moneyness, tau)

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """vol² · tau; errors as `implied_vol`."""
        return np.asarray(self.implied_vol(log_moneyness, tau) ** 2 * np.asarray(tau, dtype=np.float64))


def heston_conditions(model: "HestonModel") -> dict[str, bool]:
    """Conditions on the five diffusion parameters."""
    return {
        "v0 > 0": model.v0 > 0.0,
        "kappa > 0": model.kappa > 0.0,
        "theta > 0": model.theta > 0.0,
        "xi > 0": model.xi > 0.0,
        "|rho| < 1": abs(model.rho) < 1.0,
    }


def heston_log_characteristic(
    model: "HestonModel", z: ComplexArray, tau: float, *, gradient: bool
) -> tuple[ComplexArray, ComplexArray]:
    """See the module."""
    kappa, theta, xi, rho = model.kappa, model.theta, model.xi, model.rho
    p = z * (1.0 - z)
    beta = kappa - rho * xi * z
    d = np.sqrt(beta * beta + xi * xi * p)
    decay = np.exp(-d * tau)
    rest = -np.expm1(-d * tau)
    q = beta * rest + d * (1.0 + decay)
    gap = -p / (beta + d)  # (β − d)/ξ²
    # ln(Q/(2d))/ξ²; log1p of complex numbers loses nothing for small ξ.
    log_term = _log1p(xi * xi * gap * rest / (2.0 * d)) / (xi * xi)
    level = kappa * (gap * tau - 2.0 * log_term)
    slope = -p * rest / q
    value = theta * level + model.v0 * slope
    if not gradient:
        return value, np.empty((0, z.size), dtype=np.complex128)
    rows = [slope, None, level, None, None]
    for row, d_kappa, d_xi, d_rho in ((1, 1.0, 0.0, 0.0), (3, 0.0, 1.0, 0.0), (4, 0.0, 0.0, 1.0)):
        d_beta = d_kappa - z * (rho * d_xi + xi * d_rho)
        d_d = (beta * d_beta + xi * p * d_xi) / d
        d_decay = -tau * decay * d_d
        d_q = d_beta * rest + d_d * (1.0 + decay) + (d - beta) * d_decay
        d_slope = p * (d_decay * q + rest * d_q) / (q * q)
        d_bracket = (d_beta - d_d) * tau - 2.0 * (d_q / q - d_d / d)
        d_level = (d_kappa / kappa - 2.0 * d_xi / xi) * level + kappa / (xi * xi) * d_bracket
        rows[row] = theta * d_level + model.v0 * d_slope
    return value, np.stack([np.asarray(row) for row in rows])


def _log1p(x: ComplexArray) -> ComplexArray:
    # ln|1 + x| from x itself: exact to rounding for small x, unlike log(1 + x).
    return np.asarray(
        0.5 * np.log1p(x.real * (2.0 + x.real) + x.imag**2) + 1j * np.arctan2(x.imag, 1.0 + x.real)
    )
