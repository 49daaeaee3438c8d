"""Measures of an outcome over paths."""

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray

__all__ = ["cvar", "rms"]


def rms(pnl: ArrayLike) -> float:
    """Root mean square of P&L, in its unit."""
    values = _finite(pnl)
    return float(np.sqrt(np.mean(values * values)))


def cvar(pnl: ArrayLike, level: float = 0.95) -> float:
    """Mean loss in the worst ``1 − level`` share of outcomes, positive for a loss.

    Notes
    -----
    The outcome at the quantile counts with the share of it that lies in the tail, so the measure is
    continuous in the sample (Rockafellar, Uryasev 2002).
    """
    if not 0.0 <= level < 1.0:
        raise ConfigError(f"expected a level from 0 to below 1, found {level}")
    losses = np.sort(-_finite(pnl))[::-1]
    weight = (1.0 - level) * losses.size
    whole = min(int(weight), losses.size)
    rest = weight - whole
    total = losses[:whole].sum() + (rest * losses[whole] if whole < losses.size else 0.0)
    return float(total / weight)


def _finite(values: ArrayLike) -> FloatArray:
    found = np.asarray(values, dtype=np.float64).ravel()
    if found.size == 0 or not np.all(np.isfinite(found)):
        raise DataError("expected at least one outcome and all of them finite; find the path that is not")
    return found
