"""Regression hedge ratio: β by tenor and delta bucket from what Black-Scholes hedging left."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.ratios.buckets import RatioBuckets
from ivhedge.hedge.ratios.legs import RatioLegs
from ivhedge.hedge.ratios.protocol import ratio_delta
from ivhedge.hedge.ratios.steps import HedgeSteps
from ivhedge.surface.dynamics import SmileDelta

__all__ = ["BucketRatio", "bucket_sums", "fit_bucket_ratio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRatio:
    """A β for each bucket; 0, which is Black-Scholes, outside the grid.

    Parameters
    ----------
    buckets : RatioBuckets
    beta : FloatArray, shape (buckets.count,)
    standard_error : FloatArray, shape (buckets.count,)
        Infinite where the bucket had too few steps and β is 0.
    name : str
    """

    buckets: RatioBuckets
    beta: FloatArray
    standard_error: FloatArray
    name: str = "regression"

    def __post_init__(self) -> None:
        shape = (self.buckets.count,)
        if self.beta.shape != shape or self.standard_error.shape != shape or not np.isfinite(self.beta).all():
            raise ConfigError(f"expected finite beta and standard_error of shape {shape}")

    def vol_beta(self, legs: RatioLegs) -> FloatArray:
        """β of each option's bucket."""
        at = self.buckets.locate(legs.days, legs.call_delta)
        return np.asarray(np.where(at >= 0, self.beta[np.maximum(at, 0)], 0.0))

    def delta(self, legs: RatioLegs) -> SmileDelta:
        """Delta with the β of the bucket."""
        return ratio_delta(self, legs)


def bucket_sums(
    step: HedgeSteps, buckets: RatioBuckets, shape: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Σ x² and Σ x·y of each bucket over one step, x the exposure (times `shape`) and y the residual."""
    at = buckets.locate(step.days, step.call_delta)
    use = at >= 0
    x = step.exposure[use] if shape is None else (step.exposure * shape)[use]
    squares, products = (
        np.bincount(at[use], values, buckets.count).astype(np.float64)
        for values in (x * x, x * step.residual[use])
    )
    return squares, products


def fit_bucket_ratio(
    steps: Sequence[HedgeSteps], *, buckets: RatioBuckets | None = None, least_steps: int = 20
) -> BucketRatio:
    """Slope of each bucket, all steps alike, with standard errors that count a step once.

    Options of one step share its move: the error is White's over sums by step, not over options.

    Parameters
    ----------
    steps : sequence of HedgeSteps
        One per look.
    buckets : RatioBuckets, optional
    least_steps : int
        A bucket with fewer keeps Black-Scholes.

    Raises
    ------
    CalibrationError
        If no bucket has enough steps.
    """
    grid = buckets or RatioBuckets()
    sums = [bucket_sums(step, grid) for step in steps]
    x = np.array([a for a, _ in sums]).reshape(-1, grid.count)
    y = np.array([b for _, b in sums]).reshape(-1, grid.count)
    count = (x > 0.0).sum(axis=0)
    use = count >= max(least_steps, 2)
    if not use.any():
        raise CalibrationError(
            f"expected a bucket with {least_steps} steps, found {int(count.max(initial=0))}; add looks"
        )
    total = np.where(use, x.sum(axis=0), 1.0)
    beta = np.where(use, y.sum(axis=0) / total, 0.0)
    spread = ((y - beta * x) ** 2).sum(axis=0) * count / np.maximum(count - 1, 1)
    return BucketRatio(buckets=grid, beta=beta, standard_error=np.where(use, np.sqrt(spread) / total, np.inf))
