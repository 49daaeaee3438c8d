"""Fixed lognormal kernels per expiry, and the backbone's law expressed in them."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing import black76_price
from ivhedge.surface.certificate import density_factor
from ivhedge.surface.essvi import essvi_derivatives
from ivhedge.surface.flexible._weights import deconvolve

__all__ = ["Basis", "BasisSettings", "kernel_basis", "projected_weights"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisSettings:
    """Where the kernels lie.

    Parameters
    ----------
    n_kernels : int
        Per expiry, odd.
    reach_sd : float
        Centre of the outermost kernels, in at-the-money standard deviations.
    exponent : float
        1 spaces the centres evenly; above 1 they are denser near the money.
    min_width_sd : float
        Smallest width. Narrower kernels follow sharper smiles and ripple between strikes.
    """

    n_kernels: int = 41
    reach_sd: float = 12.0
    exponent: float = 1.25
    min_width_sd: float = 0.5

    def __post_init__(self) -> None:
        if self.n_kernels < 5 or self.n_kernels % 2 == 0:
            raise ConfigError(f"expected an odd number of at least 5 kernels, found {self.n_kernels}")
        if not self.reach_sd > 0.0 or not self.exponent >= 1.0 or not self.min_width_sd > 0.0:
            raise ConfigError("expected reach_sd > 0, exponent >= 1 and min_width_sd > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Lognormal kernels of all expiries.

    Parameters
    ----------
    z : FloatArray, shape (m,)
        Centres in standard deviations.
    deviation : FloatArray, shape (n,)
        At-the-money total vol of each expiry.
    mean : FloatArray, shape (n, m)
        Means, exp(z·deviation).
    width : FloatArray, shape (n, m)
        Total vols.
    """

    z: FloatArray
    deviation: FloatArray
    mean: FloatArray
    width: FloatArray

    def prices(self, expiry: IntArray, log_moneyness: FloatArray) -> FloatArray:
        """Out-of-the-money prices, forward 1, of all kernels of one expiry per row, shape (k, m).

        Puts below 0, calls from 0 on.

        Notes
        -----
        Differences of one type of option between kernels matter only in sums whose weights and means add up
        to 1; there puts and calls say the same, and the one out of the money says it without cancellation.
        """
        k = np.asarray(log_moneyness, dtype=np.float64)[:, None]
        return black76_price(self.mean[expiry], np.exp(k), 1.0, self.width[expiry], k >= 0.0)


def kernel_basis(deviation: FloatArray, settings: BasisSettings) -> Basis:
    """Place the kernels of each expiry.

    Parameters
    ----------
    deviation : FloatArray, shape (n,)
        At-the-money total vol.
    settings : BasisSettings
    """
    u = np.linspace(-1.0, 1.0, settings.n_kernels)
    z = settings.reach_sd * np.sign(u) * np.abs(u) ** settings.exponent
    width = np.maximum(settings.min_width_sd, np.gradient(z))
    return Basis(
        z=z,
        deviation=np.asarray(deviation),
        mean=np.exp(np.outer(deviation, z)),
        width=np.outer(deviation, width),
    )


def projected_weights(
    basis: Basis, theta: FloatArray, rho: FloatArray, psi: FloatArray, *, rounds: int = 40, points: int = 65
) -> FloatArray:
    """Kernel weights near the law of eSSVI slices, positive, adding to 1 per expiry, shape (n, m).

    Notes
    -----
    Richardson-Lucy deconvolution of the density in log-moneyness: multiplicative, hence positive and smooth.
    """
    grid = np.linspace(basis.z[0] - 1.0, basis.z[-1] + 1.0, points)
    k = basis.deviation[:, None] * grid
    with np.errstate(all="ignore"):
        w, slope, curvature = essvi_derivatives(k, theta[:, None], rho[:, None], psi[:, None])
        d2 = -k / np.sqrt(w) - 0.5 * np.sqrt(w)
        density = density_factor(k, w, slope, curvature) * np.exp(-0.5 * d2 * d2) / np.sqrt(w)
    density = np.maximum(np.nan_to_num(density, nan=0.0), 0.0) + 1e-300
    density /= density.sum(axis=1, keepdims=True)
    scale = basis.width / basis.deviation[:, None]
    centre = basis.z - 0.5 * scale * basis.width
    weights = np.empty_like(basis.mean)
    deconvolve(grid, density, centre, scale, rounds, weights)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
