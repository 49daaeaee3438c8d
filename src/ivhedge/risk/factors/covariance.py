"""Covariance of factors: weighted, shrunk, always positive definite.

Factors have different units, hence the correlation is shrunk, towards the identity, and the standard
deviations are left alone. A few steps of a crash would make most of a correlation and of its apparent
noise: steps are first drawn in to a radius, ``z ← z·min(1, c√p/‖z‖)``, with z the changes over their
standard deviations, p factors and c the `bound`, and scaled to unit variance again. The standard deviations
see every step in full. With weights ω summing to one and S = Σ ω z zᵀ, the intensity is that of Ledoit and
Wolf (2004), lemmas 3.2 to 3.5, whose 1/n is ω here:

    μ = tr S / p,  d² = ‖S − μI‖²/p,  b² = min(d², Σ ω² ‖z zᵀ − S‖²/p),  intensity = b²/d².

Means are taken as zero. The intensity counts steps as independent; serial dependence makes it too small, not
the covariance indefinite, for which `FLOOR` cares.

References
----------
Ledoit, Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, JMVA 88.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import NS_PER_DAY

__all__ = ["FLOOR", "ShrunkCovariance", "ewma_weights", "shrink_covariance"]

BOUND: Final = 1.5
"""Of bounds on the recorded chains 1 to 2 do alike, and better out of sample than none."""
FLOOR: Final = 1e-4
"""Smallest intensity, hence a lower bound of every eigenvalue of the correlation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShrunkCovariance:
    """A covariance and what it was made of.

    Parameters
    ----------
    scales : FloatArray, shape (k,)
        Standard deviations.
    correlation : FloatArray, shape (k, k)
        Shrunk, positive definite, ones on the diagonal.
    intensity : float
        Share of the identity in it.
    effective_steps : float
        1 / Σ ω².
    """

    scales: FloatArray
    correlation: FloatArray
    intensity: float
    effective_steps: float

    @property
    def covariance(self) -> FloatArray:
        """Shape (k, k)."""
        return np.asarray(self.scales[:, None] * self.correlation * self.scales)


def ewma_weights(times: ArrayLike, *, half_life_days: float) -> FloatArray:
    """Weights of steps ending at `times` (ns), halving every `half_life_days` before the last, summing to 1.

    Raises
    ------
    ConfigError
        If the half-life is not positive.
    """
    if not half_life_days > 0.0:
        raise ConfigError(f"expected half_life_days > 0, found {half_life_days}")
    ends = np.asarray(times, dtype=np.int64)
    weights = np.exp2((ends - ends.max()) / NS_PER_DAY / half_life_days)
    return np.asarray(weights / weights.sum())


def shrink_covariance(
    changes: FloatArray, *, weights: FloatArray | None = None, bound: float = BOUND
) -> ShrunkCovariance:
    """Covariance of factor changes about zero with a shrunk correlation.

    Parameters
    ----------
    changes : FloatArray, shape (S, k)
    weights : FloatArray, shape (S,), optional
        Not negative, summing to 1; equal without them.
    bound : float
        Radius of steps for the correlation, in root mean square standard deviations; infinite leaves
        Ledoit and Wolf's own.

    Raises
    ------
    ConfigError
        If the weights are not as said, or the bound is not positive.
    DataError
        If a change is not finite, a factor never moves, or there are fewer than two steps.
    """
    steps, count = changes.shape
    share = np.full(steps, 1.0 / max(steps, 1)) if weights is None else weights
    if not bound > 0.0:
        raise ConfigError(f"expected bound > 0, found {bound}")
    if share.shape != (steps,) or (share < 0.0).any() or abs(float(share.sum()) - 1.0) > 1e-9:
        raise ConfigError(f"expected {steps} weights that are not negative and sum to 1, found {share.shape}")
    if steps < 2 or not np.isfinite(changes).all():
        raise DataError(f"expected at least two steps of finite factor changes, found {steps} steps")
    scales = np.sqrt(share @ changes**2)
    if not (scales > 0.0).all():
        raise DataError(
            f"expected factors that move, found still ones, {np.flatnonzero(scales <= 0.0).tolist()}; "
            "leave them out: a risk of zero is not believed"
        )
    z = changes / scales
    radius = np.sqrt((z**2).mean(axis=1))
    z = z * np.minimum(1.0, bound / np.where(radius > 0.0, radius, 1.0))[:, None]
    z = z / np.sqrt(share @ z**2)
    sample = (z * share[:, None]).T @ z
    distance = float(((sample - np.eye(count)) ** 2).sum()) / count
    # ‖z zᵀ − S‖² = (zᵀz)² − 2 zᵀSz + ‖S‖², without the (S, k, k) array. tr S = k, hence μ = 1.
    norms = (z**2).sum(axis=1) ** 2 - 2.0 * np.einsum("si,ij,sj->s", z, sample, z) + (sample**2).sum()
    error = float(share**2 @ norms) / count
    intensity = 1.0 if distance == 0.0 else min(error / distance, 1.0)
    intensity = max(intensity, FLOOR)
    correlation = (1.0 - intensity) * sample + intensity * np.eye(count)
    np.fill_diagonal(correlation, 1.0)
    return ShrunkCovariance(
        scales=scales,
        correlation=0.5 * (correlation + correlation.T),
        intensity=intensity,
        effective_steps=1.0 / float(share @ share),
    )
