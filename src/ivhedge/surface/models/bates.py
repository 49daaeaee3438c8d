"""Bates' model: Heston's variance with lognormal jumps of Poisson arrival.

    ln E[e^(zX)] = Heston + λτ·(e^(zμ + z²δ²/2) − 1 − z·(e^(μ + δ²/2) − 1))

References
----------
Bates (1996), Jumps and stochastic volatility: exchange rate processes implicit in Deutsche Mark options.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ivhedge.core.types import ArrayLike, FloatArray, StatusArray
from ivhedge.surface.models._checks import require_params
from ivhedge.surface.models._fourier import model_prices, model_vols, required_vols
from ivhedge.surface.models.heston import HestonModel

__all__ = ["BatesModel"]

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatesModel:
    """Bates parameters, per year.

    Parameters
    ----------
    v0, kappa, theta, xi, rho : float
        As in `HestonModel`.
    jump_rate : float
        Expected jumps per year.
    jump_mean, jump_sd : float
        Mean and standard deviation of the log-return of one jump.

    Raises
    ------
    ConfigError
        If v0 > 0, kappa > 0, theta > 0, xi > 0, |rho| < 1, jump_rate >= 0 or jump_sd >= 0 is violated.
    """

    v0: float
    kappa: float
    theta: float
    xi: float
    rho: float
    jump_rate: float
    jump_mean: float
    jump_sd: float

    def __post_init__(self) -> None:
        conditions = {
            "v0 > 0": self.v0 > 0.0,
            "kappa > 0": self.kappa > 0.0,
            "theta > 0": self.theta > 0.0,
            "xi > 0": self.xi > 0.0,
            "|rho| < 1": abs(self.rho) < 1.0,
            "jump_rate >= 0": self.jump_rate >= 0.0,
            "jump_sd >= 0": self.jump_sd >= 0.0,
            "|jump_mean| + jump_sd < 5": abs(self.jump_mean) + self.jump_sd < 5.0,
        }
        require_params("Bates", asdict(self), conditions)

    @property
    def heston(self) -> HestonModel:
        """The model without its jumps."""
        return HestonModel(v0=self.v0, kappa=self.kappa, theta=self.theta, xi=self.xi, rho=self.rho)

    @property
    def feller_ratio(self) -> float:
        """2κθ/ξ²; below 1 the variance reaches zero."""
        return self.heston.feller_ratio

    def expected_variance(self, tau: float) -> float:
        """Expected integrated variance to `tau`, jumps included."""
        jumps = self.jump_rate * (self.jump_mean**2 + self.jump_sd**2)
        return self.heston.expected_variance(tau) + jumps * tau

    def log_characteristic(
        self, z: ComplexArray, tau: float, *, gradient: bool = False
    ) -> tuple[ComplexArray, ComplexArray]:
        """Logarithm of E[e^(zX)], shape (n,), and by the eight parameters, shape (8, n) or (0, n)."""
        value, slopes = self.heston.log_characteristic(z, tau, gradient=gradient)
        rate, mean, sd = self.jump_rate, self.jump_mean, self.jump_sd
        grown = np.exp(z * (mean + 0.5 * z * sd * sd))
        drift = float(np.exp(mean + 0.5 * sd * sd))
        jump = grown - 1.0 - z * (drift - 1.0)
        value = value + rate * tau * jump
        if not gradient:
            return value, slopes
        by_jumps = (
            tau * jump,
            rate * tau * z * (grown - drift),
            rate * tau * sd * z * (z * grown - drift),
        )
        return value, np.vstack((slopes, *by_jumps))

    def price(self, log_moneyness: ArrayLike, tau: ArrayLike, is_call: ArrayLike) -> FloatArray:
        """Undiscounted prices relative to the forward, to 1e-10; arguments broadcast."""
        return model_prices(self, log_moneyness, tau, is_call)

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Implied vol, decimal; errors as `HestonModel.implied_vol`."""
        return required_vols(self, log_moneyness, tau)

    def vols_with_status(self, log_moneyness: ArrayLike, tau: ArrayLike) -> tuple[FloatArray, StatusArray]:
        """Implied vols with an `IvStatus` per point; NaN exactly where it is not ``OK``."""
        return model_vols(self, log_moneyness, tau)

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """vol² · tau; errors as `implied_vol`."""
        return np.asarray(self.implied_vol(log_moneyness, tau) ** 2 * np.asarray(tau, dtype=np.float64))
