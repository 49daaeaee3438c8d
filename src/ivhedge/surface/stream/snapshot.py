"""What a stream publishes."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.surface.certificate import ArbitrageCertificate, certify
from ivhedge.surface.essvi import EssviSurface
from ivhedge.surface.stream import _kernel as kernel

__all__ = ["StreamSnapshot", "covariances", "vol_gradient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSnapshot:
    """A published surface with its error bars.

    Parameters
    ----------
    surface : EssviSurface
        Fulfils the sufficient conditions of no arbitrage for all strikes and times.
    covariance : FloatArray, shape (n, 3, 3)
        Of (theta, rho, psi)/(tau, 1, tau) by the quotes' own noise.
    drift : FloatArray, shape (n,)
        Variance of the vol by age and spot moves of the quotes in use.
    lag : FloatArray, shape (n,)
        Variance of the vol by which the surface is off: the newest quotes differ from it, vols have been
        moving while the quotes in use grew old, it was moved to be free of arbitrage, or it is `held`.
    quotes : IntArray, shape (n,)
        Quotes in use.
    newest_ns : IntArray, shape (n,)
        Time of the newest quote; 0 without one.
    witnessed_ns : IntArray, shape (n,)
        Time since which three quotes around the money are known; 0 without.
    stale : BoolArray, shape (n,)
        No quote within `stale_after_s`, or fewer than three in use.
    held : bool
        The surface is an earlier one: the newest could not be certified.
    ts_ns : int
        Time of the publication, that of the surface unless that is held.
    """

    ts_ns: int
    surface: EssviSurface
    covariance: FloatArray
    drift: FloatArray
    lag: FloatArray
    quotes: IntArray
    newest_ns: IntArray
    witnessed_ns: IntArray
    stale: BoolArray
    held: bool = False

    def certificate(self) -> ArbitrageCertificate:
        """Certify on the dense grid and in the wings as well; milliseconds."""
        return certify(self.surface)

    def vol_error(self, log_moneyness: ArrayLike, expiry: ArrayLike) -> FloatArray:
        """Standard deviation of the vol, decimal.

        Parameters
        ----------
        log_moneyness : array_like, shape (p,)
        expiry : array_like of int, shape (p,)
            Position in ``surface.expiries``.
        """
        k, e = np.broadcast_arrays(np.asarray(log_moneyness, dtype=np.float64), np.asarray(expiry))
        if e.size and not (np.issubdtype(e.dtype, np.integer) and e.min() >= 0 and e.max() < self.drift.size):
            raise DataError(f"expected expiry positions in 0..{self.drift.size - 1}")
        if not np.isfinite(k).all():
            raise DataError("expected finite log-moneyness ln(K / F), found NaN or infinity")
        tau = self.surface.taus[e]
        h = vol_gradient(k, self.surface.theta[e] / tau, self.surface.rho[e], self.surface.psi[e] / tau)
        own = np.einsum("...i,...ij,...j", h, self.covariance[e], h)
        return np.asarray(np.sqrt(own + self.drift[e] + self.lag[e]))


def vol_gradient(k: FloatArray, a: FloatArray, rho: FloatArray, b: FloatArray) -> FloatArray:
    """Derivatives of the vol of slices (a, rho, b), shape (..., 3); twin of the kernel's."""
    z = b * k
    root = np.sqrt((z + rho * a) ** 2 + a * a * (1.0 - rho * rho))
    c = 0.25 / np.sqrt(0.5 * (a + rho * z + root))
    parts = (1.0 + (rho * z + a) / root, z + a * z / root, rho * k + (z * k + rho * a * k) / root)
    return np.stack([c * part for part in parts], axis=-1)


def covariances(slices: FloatArray) -> FloatArray:
    """Inverse information of each slice, times its measured scale where that is above 1."""
    out = np.empty((slices.shape[0], 3, 3))
    kernel.information(slices, out)
    kernel.invert(out)
    return out
