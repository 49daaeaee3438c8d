"""A band with a few coefficients, fitted to the tail of what it leaves."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.optimize import minimize

from ivhedge.core.errors import CalibrationError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.policies.asymptotic import zakamouline_terms
from ivhedge.hedge.policies.protocol import OPEN, Gate, positive, rebalance
from ivhedge.hedge.policies.state import HedgeMoment, Zone

__all__ = ["BandFit", "TunedBand", "fit_band"]

_WIDEST = 1.0
_LOG_BOUND = 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedBand:
    """Zakamouline's band with free scales: one for the centre, two for the widths, one for the floor.

    Parameters
    ----------
    cost : float
        One way, per unit of value traded.
    aversion : float
        Of one notional; enters as in `Zakamouline`.
    centre : float
        Factor on K, the change of the variance at which the centre's delta is taken, >= 0.
    below, above : float
        Factors on H1 for the edges below and above the centre, >= 0. For a short call the edge below is the
        one where the hedge lacks coins.
    level : float
        Factor on H0, >= 0.

    Notes
    -----
    All factors at 1 are `Zakamouline`.
    """

    cost: float
    aversion: float
    centre: float = 1.0
    below: float = 1.0
    above: float = 1.0
    level: float = 1.0

    def __post_init__(self) -> None:
        positive("aversion", self.aversion)
        for name in ("cost", "centre", "below", "above", "level"):
            positive(name, getattr(self, name), zero=True)

    @property
    def gate(self) -> Gate:
        """When to look."""
        return OPEN

    def zone(self, moment: HedgeMoment) -> Zone:
        """Modified delta and the two widths."""
        floor, bump, shift = zakamouline_terms(moment, self.cost, self.aversion)
        factor = np.maximum(1.0 - np.sign(moment.gamma) * self.centre * shift, 0.0)
        middle = moment.target_at(moment.total_vol * np.sqrt(factor))
        floor = self.level * floor
        return Zone.to_edge(
            middle - np.minimum(floor + self.below * bump, _WIDEST),
            middle + np.minimum(floor + self.above * bump, _WIDEST),
        )

    def rebalance(self, moment: HedgeMoment) -> FloatArray:
        """New hedge, coins."""
        return rebalance(self, moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFit:
    """A fitted band.

    Parameters
    ----------
    band : TunedBand
    objective, start_objective : float
        At the fit and at the start.
    evaluations : int
    converged : bool
        False when the search ended at its limit of evaluations; the band is the best one seen.
    """

    band: TunedBand
    objective: float
    start_objective: float
    evaluations: int
    converged: bool


def fit_band(
    objective: Callable[[TunedBand], float], start: TunedBand, *, max_evaluations: int = 150
) -> BandFit:
    """Search the coefficients that minimise an objective, e.g. CVaR over simulated paths.

    Parameters
    ----------
    objective : callable
        Of a band; must use the same paths at each call.
    start : TunedBand
        Its cost stays; every other coefficient must be above zero.
    max_evaluations : int

    Raises
    ------
    CalibrationError
        If the objective at the start is not finite.

    Notes
    -----
    Nelder-Mead in the logarithms of the coefficients, which stay within a factor e^3.5 of the start.
    """
    names = [field.name for field in fields(TunedBand) if field.name != "cost"]
    origin = np.array([getattr(start, name) for name in names])
    for name, value in zip(names, origin, strict=True):
        positive(name, float(value))

    def band_at(x: FloatArray) -> TunedBand:
        values = origin * np.exp(np.clip(x, -_LOG_BOUND, _LOG_BOUND))
        return replace(start, **dict(zip(names, values.tolist(), strict=True)))

    def loss(x: FloatArray) -> float:
        outside = np.maximum(np.abs(x) - _LOG_BOUND, 0.0).sum()
        return objective(band_at(x)) + float(outside)

    first = objective(start)
    if not np.isfinite(first):
        raise CalibrationError(f"expected a finite objective at the start of the search, found {first}")
    simplex = np.vstack([np.zeros(len(names)), 0.4 * np.eye(len(names))])
    found = minimize(
        loss,
        simplex[0],
        method="Nelder-Mead",
        options={
            "initial_simplex": simplex,
            "maxfev": max_evaluations,
            "xatol": 0.02,
            "fatol": 1e-5 * abs(first),
            "adaptive": True,
        },
    )
    better = found.fun < first
    return BandFit(
        band=band_at(found.x) if better else start,
        objective=float(min(found.fun, first)),
        start_objective=first,
        evaluations=int(found.nfev) + 1,
        converged=bool(found.success),
    )
