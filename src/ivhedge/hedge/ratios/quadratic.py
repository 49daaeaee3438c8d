"""Hull and White's minimum-variance delta: β quadratic in delta.

    delta_MV = delta + vega/(F·√τ)·(a + b·δ + c·δ²),   hence   β = (a + b·δ + c·δ²)/√τ,

δ the call delta N(d1), so that calls and puts of a strike share β.

References
----------
Hull, White (2017), Optimal delta hedging for options, Journal of Banking & Finance 82, equation 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.hedge.ratios.legs import RatioLegs
from ivhedge.hedge.ratios.protocol import ratio_delta
from ivhedge.hedge.ratios.steps import HedgeSteps
from ivhedge.surface.dynamics import SmileDelta

__all__ = ["HullWhite", "fit_hull_white"]

_LEAST = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class HullWhite:
    """The quadratic.

    Parameters
    ----------
    a, b, c : float
        Vol per unit of log move, times the root of a year.
    name : str
    """

    a: float
    b: float
    c: float
    name: str = "hull_white"

    def __post_init__(self) -> None:
        if not np.isfinite([self.a, self.b, self.c]).all():
            raise ConfigError(f"expected finite coefficients, found {self.a}, {self.b}, {self.c}")

    def vol_beta(self, legs: RatioLegs) -> FloatArray:
        """β of each option."""
        d = legs.call_delta
        return np.asarray((self.a + self.b * d + self.c * d * d) / np.sqrt(legs.tau))

    def delta(self, legs: RatioLegs) -> SmileDelta:
        """Minimum-variance delta."""
        return ratio_delta(self, legs)


def fit_hull_white(steps: Sequence[HedgeSteps]) -> HullWhite:
    """Least squares of the residuals on the exposures, all steps alike.

    Raises
    ------
    CalibrationError
        If there are fewer than 30 options or they do not tell the coefficients apart.
    """
    days, d, y, x = (
        np.concatenate([getattr(step, name) for step in steps] or [np.empty(0)])
        for name in ("days", "call_delta", "residual", "exposure")
    )
    if y.size < _LEAST:
        raise CalibrationError(f"expected at least {_LEAST} options over steps, found {y.size}")
    scaled = x / np.sqrt(days / DAYS_PER_YEAR)
    design = np.column_stack((scaled, scaled * d, scaled * d * d))
    fit, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    if rank < design.shape[1]:
        raise CalibrationError("expected options of several deltas and a forward that moves; add steps")
    return HullWhite(a=float(fit[0]), b=float(fit[1]), c=float(fit[2]))
