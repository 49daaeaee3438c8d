"""A surface whose forwards, carry and vols have been shifted at fixed standardised strikes.

With u the log move of spot, b the change of carry, h(τ, x) the shift of vol and σ_atm the vol at the forward:

    F'(τ) = F(τ)·exp(u + b·τ),   σ'_atm = σ_atm + h(τ, 0),   x = k/(σ'_atm·√τ),
    σ'(k, τ) = σ(x·σ_atm·√τ, τ) + h(τ, x),

so that reading it as a panel gives the panel of the base plus the shifts. A move of spot alone leaves the
smile at fixed x; how vols answer to spot is in the correlations of the factors. A shifted surface can have
arbitrage: it is for revaluation, not for publication.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.risk.factors.shapes import shift_at
from ivhedge.surface.base import VolSurface

__all__ = ["ShiftedSurface"]

_MINUTE = 1.0 / (DAYS_PER_YEAR * 1440.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftedSurface:
    """See the head of the module; a `VolSurface`.

    Parameters
    ----------
    base : VolSurface
    log_move : float
        ln of spot after over spot before.
    carry_move : float
        Change of ln(F/spot)/tau, per year.
    tenor_days, nodes : FloatArray, shapes (M,) and (N,)
    grid : FloatArray, shape (M, N)
        Vol shifts, decimal; linear in ln τ and x, flat beyond.
    """

    base: VolSurface
    log_move: float
    carry_move: float
    tenor_days: FloatArray
    nodes: FloatArray
    grid: FloatArray

    @property
    def underlying(self) -> str:
        """Coin the surface belongs to."""
        return self.base.underlying

    @property
    def ts_ns(self) -> int:
        """Time of the surface, nanoseconds since the epoch, UTC."""
        return self.base.ts_ns

    @property
    def expiries(self) -> IntArray:
        """Fitted expiries of the base."""
        return self.base.expiries

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Vol after the shift, decimal; NaN where it would not be positive, which legs show as `no_vol`."""
        k, years = np.broadcast_arrays(np.asarray(log_moneyness, np.float64), np.asarray(tau, np.float64))
        years = np.maximum(years, _MINUTE)
        root = np.sqrt(years)
        before = np.asarray(self.base.implied_vol(np.zeros_like(k), years))
        after = before + self._shift(years, np.zeros_like(k))
        good = after > 0.0
        x = k / (np.where(good, after, 1.0) * root)
        vol = np.asarray(self.base.implied_vol(x * before * root, years)) + self._shift(years, x)
        return np.asarray(np.where(good & (vol > 0.0), vol, np.nan))

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Total implied variance after the shift."""
        return np.asarray(self.implied_vol(log_moneyness, tau) ** 2 * np.asarray(tau, dtype=np.float64))

    def forward(self, tau: ArrayLike) -> FloatArray:
        """Forward after the shift, USD."""
        years = np.asarray(tau, dtype=np.float64)
        return np.asarray(self.base.forward(years) * np.exp(self.log_move + self.carry_move * years))

    def lowest_vol(self) -> tuple[float, float, float]:
        """Lowest vol on the grid of shifts, positive or not, with its tenor in days and its x."""
        tau = np.broadcast_to((self.tenor_days / DAYS_PER_YEAR)[:, None], self.grid.shape)
        x = np.broadcast_to(self.nodes, self.grid.shape)
        before = np.asarray(self.base.implied_vol(np.zeros_like(tau), tau))
        vols = np.asarray(self.base.implied_vol(x * before * np.sqrt(tau), tau)) + self.grid
        row, column = np.unravel_index(int(np.argmin(vols)), vols.shape)
        return float(vols[row, column]), float(self.tenor_days[row]), float(self.nodes[column])

    def _shift(self, years: FloatArray, x: FloatArray) -> FloatArray:
        return shift_at(self.grid, self.tenor_days, self.nodes, years, x)
