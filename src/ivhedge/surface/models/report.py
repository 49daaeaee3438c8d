"""What the fit of a model gives back."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.core.units import VOL_POINT
from ivhedge.surface.models.quotes import VolQuotes

__all__ = ["ArbitrageReport", "ModelFit", "build_fit"]

M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbitrageReport:
    """Whether one smile has butterfly arbitrage.

    Parameters
    ----------
    free : bool
        No arbitrage found on `checked_from` to `checked_to`.
    proven : bool
        `free` holds for all strikes and was decided exactly, not on a grid.
    min_density : float
        Smallest density factor g(k); its sign is that of the density.
    at_log_moneyness : float
        Where it is smallest; infinite for a wing.
    min_variance : float
        Smallest total variance.
    left_slope, right_slope : float
        Slopes of total variance at the far ends, the left one counted downwards; NaN if unknown.
    checked_from, checked_to : float
        Log-moneyness that was checked.
    negative_below, negative_above : float or None
        Nearest log-moneyness to the money, on either side, at which the density turns negative.
    violations : tuple of str
        In words; empty when free.
    """

    free: bool
    proven: bool
    min_density: float
    at_log_moneyness: float
    min_variance: float
    left_slope: float
    right_slope: float
    checked_from: float
    checked_to: float
    negative_below: float | None
    negative_above: float | None
    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFit(Generic[M]):
    """A fitted model with what it says about itself.

    Parameters
    ----------
    params : M
        The fitted model: its parameters, with `total_variance` and `implied_vol`.
    rmse_vol_points : float
        Root mean square error to the mids, vol points (0.01 vol), every quote counted alike.
    weighted_rmse_vol_points : float
        The same, weighted by 1 / half-spread².
    rmse_half_spreads : float
        Root mean square error in half-spreads.
    inside_bid_ask : float
        Share of quotes whose model vol lies between bid and ask.
    fitted_vol, error_vol : FloatArray, shape (q,)
        Model vol, and model less mid, decimals, in the order of the quotes.
    n_quotes, iterations : int
    converged : bool
        The search ended in a minimum or at a bound, not at `max_iterations`.
    warnings : tuple of str
        Limits hit and what deserves attention; empty when there is nothing to say.
    arbitrage : ArbitrageReport or None
        Of the smile; None where the model is free of static arbitrage by construction.
    """

    params: M
    rmse_vol_points: float
    weighted_rmse_vol_points: float
    rmse_half_spreads: float
    inside_bid_ask: float
    fitted_vol: FloatArray
    error_vol: FloatArray
    n_quotes: int
    iterations: int
    converged: bool
    warnings: tuple[str, ...]
    arbitrage: ArbitrageReport | None


def build_fit(
    params: M,
    fitted_vol: FloatArray,
    quotes: VolQuotes,
    *,
    iterations: int,
    converged: bool,
    warnings: tuple[str, ...],
    arbitrage: ArbitrageReport | None = None,
) -> ModelFit[M]:
    """Measure fitted vols against their quotes."""
    error = fitted_vol - quotes.mid_vol
    scaled = error / quotes.half_spread
    weight = quotes.half_spread**-2.0
    inside = (fitted_vol >= quotes.bid_vol) & (fitted_vol <= quotes.ask_vol)
    if not converged:
        warnings = (*warnings, f"stopped after {iterations} iterations before a minimum")
    error.setflags(write=False)
    fitted_vol.setflags(write=False)
    return ModelFit(
        params=params,
        rmse_vol_points=float(np.sqrt(np.mean(error * error))) / VOL_POINT,
        weighted_rmse_vol_points=float(np.sqrt(np.sum(weight * error * error) / np.sum(weight))) / VOL_POINT,
        rmse_half_spreads=float(np.sqrt(np.mean(scaled * scaled))),
        inside_bid_ask=float(inside.mean()),
        fitted_vol=fitted_vol,
        error_vol=error,
        n_quotes=len(quotes),
        iterations=iterations,
        converged=converged,
        warnings=warnings,
        arbitrage=arbitrage,
    )
