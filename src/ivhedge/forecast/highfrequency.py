"""Jump-robust and noise-robust measures, and the test that tells jumps from diffusion.

Same conventions as `estimators`: last axis over the bars of a day, missing bars nan, variance of the day as
a fraction squared.

References
----------
Barndorff-Nielsen and Shephard (2004, 2006); Huang and Tauchen (2005), eq. 12, the ratio statistic;
Barndorff-Nielsen, Hansen, Lunde and Shephard (2011), the non-negative Parzen kernel.
"""

from dataclasses import dataclass
from math import gamma

import numpy as np
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.forecast.estimators import _day_sum, realised_variance

__all__ = ["JumpTest", "bipower_variation", "jump_test", "realised_kernel", "realised_quarticity"]

_MU1 = float(np.sqrt(2.0 / np.pi))
_MU43 = 2.0 ** (2.0 / 3.0) * gamma(7.0 / 6.0) / gamma(0.5)
_THETA = np.pi**2 / 4.0 + np.pi - 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpTest:
    """Result of the ratio jump test, one entry per day.

    Parameters
    ----------
    statistic : FloatArray
        Standard normal without jumps, large with them; nan where a day shows no movement.
    p_value : FloatArray
        One-sided.
    jump_variance : FloatArray
        max(RV − BV, 0), fraction squared a day, whatever the test says.
    """

    statistic: FloatArray
    p_value: FloatArray
    jump_variance: FloatArray


def bipower_variation(returns: FloatArray) -> FloatArray:
    """(π/2) Σ |r_i||r_{i−1}|, scaled for the product that is lost; a single jump does not enter it."""
    size = np.abs(returns)
    bars = returns.shape[-1]
    pairs = size[..., 1:] * size[..., :-1]
    return np.asarray(_day_sum(pairs) * (bars / (bars - 1.0)) / _MU1**2, dtype=np.float64)


def realised_quarticity(returns: FloatArray) -> FloatArray:
    """(n/3) Σ r⁴: the integrated quarticity that sets the error of the realised variance."""
    return np.asarray(_day_sum(returns**4) * (returns.shape[-1] / 3.0), dtype=np.float64)


def _tripower_quarticity(returns: FloatArray) -> FloatArray:
    power = np.abs(returns) ** (4.0 / 3.0)
    bars = returns.shape[-1]
    triples = power[..., 2:] * power[..., 1:-1] * power[..., :-2]
    return np.asarray(_day_sum(triples) * (bars * bars / (bars - 2.0)) / _MU43**3, dtype=np.float64)


def jump_test(returns: FloatArray) -> JumpTest:
    """Barndorff-Nielsen and Shephard's test in its ratio form.

    Parameters
    ----------
    returns : FloatArray, shape (..., bars)

    Notes
    -----
    With 24 hourly returns the test is a screen, not a verdict: it finds moves that dwarf their neighbours.
    """
    if returns.shape[-1] < 4:
        raise ConfigError(f"expected at least 4 bars a day for the jump test, found {returns.shape[-1]}")
    rv = realised_variance(returns)
    bv = bipower_variation(returns)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.maximum(1.0, _tripower_quarticity(returns) / bv**2)
        statistic = (rv - bv) / rv / np.sqrt(_THETA / returns.shape[-1] * ratio)
    return JumpTest(
        statistic=statistic,
        p_value=np.asarray(ndtr(-statistic), dtype=np.float64),
        jump_variance=np.maximum(rv - bv, 0.0),
    )


def realised_kernel(returns: FloatArray, *, bandwidth: int = 2) -> FloatArray:
    """Realised kernel with Parzen weights: robust to bounce between bid and ask, never negative.

    Parameters
    ----------
    returns : FloatArray, shape (..., bars)
    bandwidth : int
        Autocovariances used, at least 0 (plain realised variance) and below the number of bars.
    """
    bars = returns.shape[-1]
    if not 0 <= bandwidth < bars:
        raise ConfigError(f"expected a bandwidth of 0 to {bars - 1}, found {bandwidth}")
    present = np.isfinite(returns)
    filled = np.where(present, returns, 0.0)
    total = (filled**2).sum(axis=-1)
    for lag in range(1, bandwidth + 1):
        total = total + 2.0 * _parzen(lag / (bandwidth + 1.0)) * (filled[..., lag:] * filled[..., :-lag]).sum(
            axis=-1
        )
    # The Parzen weights make the form non-negative; only rounding can fall below zero.
    return np.asarray(np.maximum(total, 0.0) * (bars / present.sum(axis=-1)), dtype=np.float64)


def _parzen(x: float) -> float:
    return 1.0 - 6.0 * x**2 + 6.0 * x**3 if x <= 0.5 else 2.0 * (1.0 - x) ** 3
