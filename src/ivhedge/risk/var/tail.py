"""Value at risk and expected shortfall of a sample of profits, with the share of each leg."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray

__all__ = ["TailRisk", "tail_risk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRisk:
    """Risk of a book over one horizon, losses positive.

    Parameters
    ----------
    level : float
    var, es : float
        Negative where even the tail is a profit.
    var_interval, es_interval : tuple of float
        95 % bounds of the sampling error of the scenarios, not of the model.
    es_standard_error : float
    contributions : FloatArray, shape (n,)
        Of each leg to `es`; they sum to it.
    var_contributions : FloatArray, shape (n,)
        `contributions` in the proportion that makes them sum to `var`; NaN where `es` is 0.
    """

    level: float
    var: float
    es: float
    var_interval: tuple[float, float]
    es_interval: tuple[float, float]
    es_standard_error: float
    contributions: FloatArray

    @property
    def var_contributions(self) -> FloatArray:
        """Each leg's part of the value at risk, by its part of the shortfall."""
        if self.es == 0.0:
            return np.full(self.contributions.shape, np.nan)
        return np.asarray(self.contributions * (self.var / self.es))


def tail_risk(
    pnl: ArrayLike, level: float, *, weights: ArrayLike | None = None, overlap: int = 1
) -> TailRisk:
    """Estimate value at risk and expected shortfall of the sum of the legs.

    Parameters
    ----------
    pnl : array_like, shape (scenarios, legs) or (scenarios,)
    level : float
        0.99 for the loss exceeded on one day in a hundred.
    weights : array_like, shape (scenarios,), optional
        Probabilities; equal ones by default.
    overlap : int
        Neighbouring scenarios that share market history: error bars count one of them.

    Raises
    ------
    ConfigError
        If the level is not inside (0, 1), `overlap` is below 1 or the sample too short for the level: less
        than one scenario is expected beyond it.
    DataError
        If a profit is not finite, or weights are negative or do not sum to 1.

    Notes
    -----
    The shortfall is the mean of the worst ``1 - level`` of probability, the scenario at its edge counted in
    part (Acerbi and Tasche 2002, definition 2.6); contributions are the same mean of each leg (Tasche 1999),
    hence they add up. The value at risk interpolates between the midpoints of the scenarios' probabilities.
    Standard errors: of the mean of ``VaR + (L - VaR)+ / (1 - level)`` and of order statistics.

    References
    ----------
    Acerbi, Tasche (2002), "On the coherence of expected shortfall", J. of Banking and Finance 26.
    Rockafellar, Uryasev (2002), "Conditional value-at-risk for general loss distributions", same journal.
    """
    legs = np.asarray(pnl, dtype=np.float64)
    legs = legs[:, None] if legs.ndim == 1 else legs
    probability = _checked(legs, level, weights, overlap)
    losses = -legs.sum(axis=1)
    order = np.argsort(losses, kind="stable")
    ordered, mass = losses[order], probability[order]
    upto = np.cumsum(mass)
    beyond = 1.0 - level
    # Probability of each scenario that lies within the worst `beyond`.
    inside = np.clip(upto - level, 0.0, mass)
    inside *= beyond / inside.sum()
    worst = np.flatnonzero(inside > 0.0)
    contributions = -(inside[worst] @ legs[order[worst]]) / beyond
    es = float(contributions.sum())
    middle = upto - 0.5 * mass
    var = min(float(np.interp(level, middle, ordered)), es)
    count = 1.0 / float((probability**2).sum()) / overlap
    z = float(ndtri(0.975))
    excess = np.maximum(ordered - var, 0.0)
    spread = float(np.sqrt(max((mass @ excess**2) - (mass @ excess) ** 2, 0.0)))
    error = spread / (beyond * np.sqrt(count))
    half = z * np.sqrt(level * beyond / count)
    low, high = np.interp(np.clip([level - half, level + half], 0.0, 1.0), middle, ordered)
    return TailRisk(
        level=level,
        var=var,
        es=es,
        var_interval=(min(float(low), var), max(float(high), var)),
        es_interval=(es - z * error, es + z * error),
        es_standard_error=float(error),
        contributions=contributions,
    )


def _checked(legs: FloatArray, level: float, weights: ArrayLike | None, overlap: int) -> FloatArray:
    if not 0.0 < level < 1.0:
        raise ConfigError(f"expected a level between 0 and 1, found {level}")
    if overlap < 1:
        raise ConfigError(f"expected overlap at or above 1, found {overlap}")
    if legs.ndim != 2 or legs.shape[0] == 0:
        raise DataError(f"expected profits of shape (scenarios, legs), found {legs.shape}")
    n = legs.shape[0]
    mass = np.full(n, 1.0 / n) if weights is None else np.asarray(weights, dtype=np.float64)
    if mass.shape != (n,) or not (np.isfinite(mass).all() and mass.min() >= 0.0):
        raise DataError(f"expected {n} weights, finite and at least 0, found shape {mass.shape}")
    if abs(mass.sum() - 1.0) > 1e-9:
        raise DataError(f"expected weights that sum to 1, found {mass.sum()}")
    if not np.isfinite(legs).all():
        raise DataError("expected a finite profit of each leg in each scenario; leave no leg without a price")
    if 1.0 / float((mass**2).sum()) * (1.0 - level) < 1.0 - 1e-9:
        raise ConfigError(
            f"expected at least one scenario beyond the level {level}, found {n} scenarios; pass more"
        )
    return mass
