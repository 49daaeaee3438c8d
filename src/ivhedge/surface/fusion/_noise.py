"""Noise of each venue: a scale in units of the quoted error, and a contamination that explains the rest.

The error of a good quote is normal with the venue's scale. A share of the quotes is bad: their errors are
normal too, but wide and around a mean of their own, because stale quotes lie on one side. Each quote's
probability of being good is its weight (expectation-maximisation of a two-part mixture).
"""

from dataclasses import dataclass, replace

import numpy as np

from ivhedge.core.types import FloatArray, IntArray

__all__ = ["VenueNoise", "first_noise", "good_probability", "update_noise"]

_NORMAL = 1.4826
_PRIOR_COUNT = 4.0
_PRIOR_SCALE = 0.4
_LEAST_SCALE = 0.05
_LEAST_BAD_SD = 0.01
_FIRST_BAD_SD = 0.08
_MOST_BAD = 0.45
_COMMON_COUNT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueNoise:
    """Noise of each venue, all of shape (v,).

    Parameters
    ----------
    scale : FloatArray
        Error of good quotes over their quoted error.
    bad_share, bad_mean, bad_sd : FloatArray
        Contamination; mean and deviation in decimal vol.
    """

    scale: FloatArray
    bad_share: FloatArray
    bad_mean: FloatArray
    bad_sd: FloatArray


def first_noise(error: FloatArray, size: FloatArray, venue: IntArray, n_venues: int) -> VenueNoise:
    """Start: the median size of errors.

    Parameters
    ----------
    error, size : FloatArray, shape (q,)
        Vol error and quoted error.
    venue : IntArray, shape (q,)
    n_venues : int
    """
    scale = np.full(n_venues, _PRIOR_SCALE)
    for v in range(n_venues):
        mine = venue == v
        if mine.any():
            count = float(mine.sum())
            seen = _NORMAL * float(np.median(np.abs(error[mine]) / size[mine]))
            total = count * seen**2 + _PRIOR_COUNT * _PRIOR_SCALE**2
            scale[v] = max((total / (count + _PRIOR_COUNT)) ** 0.5, _LEAST_SCALE)
    full = np.ones(n_venues)
    return VenueNoise(scale=scale, bad_share=0.05 * full, bad_mean=0.0 * full, bad_sd=_FIRST_BAD_SD * full)


def good_probability(noise: VenueNoise, error: FloatArray, size: FloatArray, venue: IntArray) -> FloatArray:
    """Probability that each quote is good, shape (q,)."""
    sd = noise.scale[venue] * size
    # A stale quote has the error of a good one, and its displacement on top.
    bad_sd = np.hypot(noise.bad_sd[venue], sd)
    good = -0.5 * (error / sd) ** 2 - np.log(sd) + np.log1p(-noise.bad_share[venue])
    away = error - noise.bad_mean[venue]
    bad = -0.5 * (away / bad_sd) ** 2 - np.log(bad_sd) + np.log(noise.bad_share[venue])
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(bad - good, -500.0, 500.0))))


def update_noise(
    noise: VenueNoise,
    good: FloatArray,
    error: FloatArray,
    fitted_variance: FloatArray,
    size: FloatArray,
    venue: IntArray,
) -> VenueNoise:
    """One step of maximisation.

    Parameters
    ----------
    noise : VenueNoise
    good, error, fitted_variance, size : FloatArray, shape (q,)
        Probability of being good, error, variance of the fitted value, quoted error.
    venue : IntArray, shape (q,)
    """
    n = noise.scale.size

    def total(values: FloatArray) -> FloatArray:
        return np.bincount(venue, weights=values, minlength=n).astype(np.float64)

    count, all_of = total(good), total(np.ones(good.size))
    squares = total(good * (error**2 + fitted_variance) / size**2)
    scale = np.sqrt((squares + _PRIOR_COUNT * _PRIOR_SCALE**2) / (count + _PRIOR_COUNT))
    bad = 1.0 - good
    n_bad = total(bad)
    # Stale quotes of all venues stand where the market was: their displacement is one and the same.
    common = float(np.sum(bad * error / size**2) / (np.sum(bad / size**2) + 1e-3 / np.min(size) ** 2))
    mean = (total(bad * error) + _COMMON_COUNT * common) / (n_bad + _COMMON_COUNT)
    own = (noise.scale[venue] * size) ** 2
    spread = np.maximum(total(bad * ((error - mean[venue]) ** 2 - own)), 0.0)
    bad_sd = np.sqrt((spread + 2.0 * _FIRST_BAD_SD**2) / (n_bad + 2.0))
    seen = all_of > 0
    return replace(
        noise,
        scale=np.where(seen, np.maximum(scale, _LEAST_SCALE), noise.scale),
        bad_share=np.clip((n_bad + 1.0) / (all_of + 20.0), 1e-3, _MOST_BAD),
        bad_mean=mean,
        bad_sd=np.maximum(bad_sd, _LEAST_BAD_SD),
    )
